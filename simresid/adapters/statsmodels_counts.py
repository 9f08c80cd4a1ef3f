"""statsmodels count models: Poisson and its generalisations; inflated, hurdle and truncated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.adapters._count_laws import (
    CountLaw,
    GeneralizedPoisson,
    LeftTruncated,
    NegativeBinomial,
    Poisson,
    ZeroMixture,
)
from simresid.adapters._rows import IndependentRows, response_for_refit
from simresid.adapters.statsmodels_rows import (
    Rebuild,
    can_refit,
    describe,
    refit_options,
    used_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = ["CountFit", "RefittableCountFit", "adapt_count"]


class CountFit(IndependentRows):
    """A fitted count model of ``statsmodels.discrete``.

    The mean is ``results.predict()``: ``results.fittedvalues`` is the linear predictor, and without the
    offset. Dispersion parameters are the last ones of ``results.params``.
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        self._rebuild = _rebuild(results)
        dispersion = _n_dispersion(results)
        coefficients = np.size(results.params) - dispersion
        super().__init__(
            count_law(results),
            model.endog,
            description=describe(model, "(log)"),
            data=used_rows(model, _kept_rows(model)),
            llf=results.llf,
            edf=coefficients,
            df_resid=model.endog.size - coefficients - dispersion,
        )


class RefittableCountFit(CountFit):
    """A count model found by plain maximum likelihood, which a new fit reproduces."""

    def refit(self, y: ArrayLike) -> RefittableCountFit:
        """Fit the same design, offset and exposure to `y`, starting at the fitted parameters."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def adapt_count(results: Any) -> CountFit:
    """Adapt a fitted count model."""
    model = results.model
    if type(model).__name__.startswith("TruncatedLF") and getattr(model, "exposure", None) is not None:
        raise TypeError(
            f"statsmodels takes the logarithm of exposure twice inside {type(model).__name__}, so its "
            "likelihood and its predictions disagree; fit the model with offset=np.log(exposure) instead"
        )
    return RefittableCountFit(results) if can_refit(results) else CountFit(results)


def count_law(results: Any) -> CountLaw:
    """Return the law of the response of a fitted count model."""
    model, params = results.model, np.asarray(results.params, float)
    name = type(model).__name__
    if name.startswith("ZeroInflated"):
        mean = np.asarray(results.predict(which="mean-main"), float)
        zero = 1 - np.asarray(results.predict(which="prob-main"), float)
        return ZeroMixture(base_law(model.model_main, mean, params), zero)
    if name.startswith("TruncatedLF"):
        mean = np.asarray(results.predict(which="mean-main"), float)
        main = base_law(model.model_main, mean, params)
        return main if model.truncation < 0 else LeftTruncated(main, int(model.truncation))
    if name == "HurdleCountModel":
        return _hurdle_law(model, params)
    return base_law(model, np.asarray(results.predict(), float), params)


def base_law(model: Any, mean: FloatArray, params: FloatArray) -> CountLaw:
    """Return the law of a plain count model with the given `mean`; its dispersion is the last of `params`."""
    name = type(model).__name__
    if name == "Poisson":
        return Poisson(mean)
    if name == "GeneralizedPoisson":
        # The class stores p - 1: variance = mean * (1 + alpha * mean**(p - 1))**2
        factor = 1 + params[-1] * mean**model.parameterization
        return GeneralizedPoisson(mean / factor, 1 - 1 / factor)
    if name == "NegativeBinomialP":
        power, alpha = model.parameterization, params[-1]
    elif name == "NegativeBinomial":
        power, alpha = {"nb2": (2, params[-1]), "nb1": (1, params[-1]), "geometric": (2, 1.0)}[model.loglike_method]
    else:
        raise TypeError(f"statsmodels count model {name} is not supported")
    return _negative_binomial(mean, power, float(alpha))


def _negative_binomial(mean: FloatArray, power: float, alpha: float) -> NegativeBinomial:
    """Variance ``mean + alpha * mean**power``; an `alpha` at or below zero is the Poisson limit."""
    size = np.full(mean.shape, np.inf) if alpha <= 0 else mean ** (2 - power) / alpha
    return NegativeBinomial(mean, size)


def _hurdle_law(model: Any, params: FloatArray) -> ZeroMixture:
    """Return zeros by the zero model's count law, positive counts by the truncated main law.

    The class lists the zero model's parameters first, each part with one dispersion parameter if negative
    binomial.
    """
    zero_model, main_model = model.model1.model_main, model.model2.model_main
    n_zero = model.exog.shape[1] + _has_dispersion(zero_model)
    zero_params, main_params = params[:n_zero], params[n_zero:]
    n_columns = model.exog.shape[1]
    zero = base_law(zero_model, np.exp(model.exog @ zero_params[:n_columns]), zero_params)
    main = base_law(main_model, np.exp(model.exog @ main_params[:n_columns]), main_params)
    return ZeroMixture(LeftTruncated(main, 0), zero.pmf(0))


def _rebuild(results: Any) -> Rebuild:
    model, options = results.model, refit_options(results)
    if type(model).__name__ == "HurdleCountModel":
        # statsmodels 0.14 hands the parameters of both parts to each of them
        del options["start_params"]
    return Rebuild(type(model), model.exog, _constructor_options(model), options)


def _constructor_options(model: Any) -> dict[str, Any]:
    """Return what rebuilds the model; statsmodels forgets a hurdle's laws and a truncated model's power."""
    options = dict(model._get_init_kwds())
    if type(model).__name__ == "HurdleCountModel":
        zero, main = model.model1.model_main, model.model2.model_main
        for model_part, law, power in ((zero, "zerodist", "pzero"), (main, "dist", "p")):
            options[law] = "negbin" if _has_dispersion(model_part) else "poisson"
            options[power] = getattr(model_part, "parameterization", 2)
    if type(model).__name__ == "TruncatedLFNegativeBinomialP":
        options["p"] = model.model_main.parameterization
    if type(model).__name__ == "TruncatedLFGeneralizedPoisson":
        options["p"] = model.model_main.parameterization + 1
    return options


def _has_dispersion(model: Any) -> int:
    return 0 if type(model).__name__ == "Poisson" else 1


def _n_dispersion(results: Any) -> int:
    model = results.model
    name = type(model).__name__
    if name == "HurdleCountModel":
        return _has_dispersion(model.model1.model_main) + _has_dispersion(model.model2.model_main)
    if name == "NegativeBinomial" and model.loglike_method == "geometric":
        return 0
    return _has_dispersion(getattr(model, "model_main", model))


def _kept_rows(model: Any) -> NDArray[np.intp] | None:
    """Rows that a truncated model kept: its class drops those at or below the cut without a word."""
    if not type(model).__name__.startswith("TruncatedLF"):
        return None
    return np.flatnonzero(np.asarray(model.data.endog) > model.truncation)
