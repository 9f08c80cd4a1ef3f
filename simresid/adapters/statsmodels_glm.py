"""statsmodels GLM: every family, variance weights, repetition weights, trials, offset and exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simresid.adapters._count_laws import Binomial, NegativeBinomial, Poisson
from simresid.adapters._laws import Gamma, InverseGaussian, Law, Normal, Tweedie
from simresid.adapters._rows import IndependentRows, response_for_refit
from simresid.adapters.statsmodels_rows import Rebuild, can_refit, describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = ["GLMFit", "RefittableGLMFit", "Response", "adapt_glm", "family_name", "glm_response", "link_name"]

_WHOLE = 1e-6  # Proportion times trials misses a whole number by rounding only.


class Response(NamedTuple):
    """The response of a GLM on the scale that can be simulated, and its law."""

    observed: FloatArray
    law: Law
    trials: FloatArray | None
    rows: NDArray[np.intp] | None
    """Row of ``model.endog`` behind every observation where freq_weights repeat rows."""
    divisor: FloatArray | None
    """What turned counts into the rates or proportions of ``model.endog``."""


class GLMFit(IndependentRows):
    """A fitted statsmodels GLM.

    * Binomial responses are counts of successes, whichever of statsmodels' spellings was used: two columns,
      proportions with the trials in `var_weights`, or proportions with the trials in `freq_weights`.
    * `var_weights` divide the dispersion (gaussian, gamma, inverse gaussian, Tweedie). A Poisson or negative
      binomial response with `var_weights` is a rate whose count is ``weight * y``; the counts are what is
      simulated.
    * `freq_weights` are repeated rows and are written out as such; they must be whole numbers.
    * ``scale`` is the one the fit reports (Pearson's by default).
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        response = glm_response(
            model.family,
            model.endog,
            np.asarray(results.fittedvalues, float),
            results.scale,
            var_weights=model.var_weights,
            freq_weights=model.freq_weights,
            n_trials=model.n_trials,
        )
        self._rebuild = _rebuild(results, response)
        self._divisor = response.divisor
        rank = model.df_model + 1
        super().__init__(
            response.law,
            response.observed,
            description=describe(model, f"{family_name(model.family)}({link_name(model.family)})"),
            data=used_rows(model, response.rows),
            trials=response.trials,
            llf=_llf(results, response),
            edf=rank,
            df_resid=response.observed.size - rank,
        )

    def _endog(self, y: ArrayLike) -> FloatArray:
        """Return the response as the model class wants it."""
        response = response_for_refit(y, self.nobs)
        if self.trials is not None:
            # Two columns tell the family its trials; it keeps those of the last model built with it.
            return np.column_stack([response, self.trials - response])
        return response if self._divisor is None else response / self._divisor


class RefittableGLMFit(GLMFit):
    """A GLM found by plain maximum likelihood, which a new fit reproduces."""

    def refit(self, y: ArrayLike) -> RefittableGLMFit:
        """Fit the same design, offset, weights and family to `y` (successes, for k-of-n responses)."""
        return type(self)(self._rebuild(self._endog(y)))


def _rebuild(results: Any, response: Response) -> Rebuild:
    model = results.model
    index: Any = slice(None) if response.rows is None else response.rows
    constructor = {
        "family": model.family,
        "offset": np.broadcast_to(model._offset_exposure, model.exog.shape[0])[index],
        "var_weights": model.var_weights[index] if response.trials is None else None,
    }
    start = np.array(results.params, dtype=np.float64)
    # statsmodels 0.14 reports NaN parameters after a good fit when exposure is a Series
    fit = {"start_params": start if np.isfinite(start).all() else None, "scale": model.scaletype}
    return Rebuild(type(model), model.exog[index], constructor, fit)


def adapt_glm(results: Any) -> GLMFit:
    """Adapt ``GLM(...).fit()``."""
    return RefittableGLMFit(results) if can_refit(results) else GLMFit(results)


def family_name(family: Any) -> str:
    """Return statsmodels' name of the family; refuse one defined elsewhere, whose law is not known."""
    if not type(family).__module__.startswith("statsmodels."):
        raise TypeError(
            f"the family {type(family).__qualname__} is not one of statsmodels' own, so its law is not "
            "known; simulate from it and use simresid.from_simulations"
        )
    return type(family).__name__


def link_name(family: Any) -> str:
    """Return the lower-case name of the link."""
    return type(family.link).__name__.lower()


def glm_response(
    family: Any,
    endog: ArrayLike,
    mean: FloatArray,
    scale: float,
    *,
    var_weights: ArrayLike = 1.0,
    freq_weights: ArrayLike = 1.0,
    n_trials: ArrayLike = 1.0,
) -> Response:
    """Return observed values and law of a GLM.

    Parameters
    ----------
    family : statsmodels family
    endog, mean : array (n,)
        Response and fitted mean as the GLM saw them: proportions or rates where there are trials or weights.
    scale : float
        Dispersion; must be one for families without.
    var_weights, freq_weights, n_trials : array (n,) or float
        As statsmodels defines them.
    """
    endog = np.asarray(endog, float)
    weights, frequency, trials = (
        np.broadcast_to(np.asarray(values, float), endog.shape) for values in (var_weights, freq_weights, n_trials)
    )
    name = family_name(family)
    if name == "Binomial":
        return _binomial(endog, mean, scale, weights, frequency, trials)
    rows = _repeated_rows(frequency)
    index = slice(None) if rows is None else rows
    mean, weights, endog = mean[index], weights[index], endog[index]
    if name in ("Poisson", "NegativeBinomial"):
        _refuse_quasi(name, scale)
        divisor = None
        if np.any(weights != 1):
            endog, divisor = _whole(endog * weights, f"{name} response times var_weights"), weights
        law: Law = Poisson(weights * mean)
        if name == "NegativeBinomial":
            law = NegativeBinomial(weights * mean, weights / family.alpha)
        return Response(endog, law, None, rows, divisor)
    return Response(endog, _dispersed(family, name, mean, scale / weights), None, rows, None)


def _dispersed(family: Any, name: str, mean: FloatArray, dispersion: FloatArray) -> Law:
    power = family.var_power if name == "Tweedie" else None
    if name == "Gaussian" or power == 0:
        return Normal(mean, np.sqrt(dispersion))
    if name == "Gamma" or power == 2:
        return Gamma(mean, dispersion)
    if name == "InverseGaussian" or power == 3:
        return InverseGaussian(mean, dispersion)
    if power is not None and 1 < power < 2:
        return Tweedie(mean, dispersion, power)
    if power is not None:
        raise TypeError(f"a Tweedie family with var_power={power} has no law that can be simulated here")
    raise TypeError(f"statsmodels family {name} is not supported")


def _binomial(
    endog: FloatArray,
    mean: FloatArray,
    scale: float,
    weights: FloatArray,
    frequency: FloatArray,
    n_trials: FloatArray,
) -> Response:
    _refuse_quasi("Binomial", scale)
    proportions = np.any((endog != 0) & (endog != 1))
    if np.any(n_trials != 1):
        if np.any(weights != 1):
            raise TypeError("successes and failures together with var_weights have no binomial law")
        trials, rows = n_trials, _repeated_rows(frequency)
    elif np.any(weights != 1):
        trials, rows = (
            _whole(weights, "var_weights, the trials of a binomial response,"),
            _repeated_rows(frequency),
        )
    elif proportions and np.any(frequency != 1):
        trials, rows = _whole(frequency, "freq_weights, the trials of a binomial response,"), None
    else:
        trials, rows = n_trials, _repeated_rows(frequency)
    successes = _whole(endog * trials, "binomial proportion times trials")
    index = slice(None) if rows is None else rows
    trials, successes = trials[index], successes[index]
    divisor = trials if np.any(trials != 1) else None
    return Response(successes, Binomial(trials, mean[index]), trials, rows, divisor)


def _repeated_rows(frequency: ArrayLike) -> NDArray[np.intp] | None:
    frequency = np.asarray(frequency, float)
    if np.all(frequency == 1):
        return None
    if np.any(frequency < 0) or np.any(frequency != np.round(frequency)):
        raise TypeError(
            "freq_weights mean repeated rows, and these are not whole numbers, so there is no law to "
            "simulate from; use var_weights for precision weights"
        )
    return np.repeat(np.arange(frequency.size), frequency.astype(np.int64))


def _whole(values: FloatArray, what: str) -> FloatArray:
    whole = np.round(values)
    if np.any(np.abs(values - whole) > _WHOLE * np.maximum(1, np.abs(values))) or np.any(whole < 0):
        row = int(np.argmax(np.abs(values - whole)))
        raise TypeError(
            f"{what} must be whole numbers for the response to have a law; row {row} (from 0) gives "
            f"{values[row]:g}. Such weights define a quasi-likelihood, from which nothing can be simulated"
        )
    return whole


def _refuse_quasi(name: str, scale: float) -> None:
    if scale != 1:
        raise TypeError(
            f"this {name} GLM was fitted with scale={float(scale):g}: a quasi-likelihood has no law to "
            "simulate from. Fit it with the default scale, or use a family with a dispersion parameter "
            "(NegativeBinomial, beta-binomial)"
        )


def _llf(results: Any, response: Response) -> float | None:
    """Log-likelihood of the observations as they are simulated, counts included."""
    if response.divisor is None:
        return float(results.llf)
    if isinstance(response.law, Binomial | Poisson | NegativeBinomial):
        return float(np.sum(np.log(response.law.pmf(response.observed))))
    return None
