"""Regressors that keep no data, such as those of scikit-learn and glum: the caller states data and family."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import warn_user
from simresid.adapters._count_laws import Binomial, NegativeBinomial, Poisson
from simresid.adapters._laws import Gamma, InverseGaussian, Law, Normal, Tweedie
from simresid.adapters._rows import IndependentRows, response_for_refit

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = ["RegressorFit", "adapt"]

# Exponent of the mean in the variance, Tweedie excepted.
_VARIANCE_POWER = {"gaussian": 0.0, "poisson": 1.0, "gamma": 2.0, "inverse_gaussian": 3.0}
_FAMILIES = (*_VARIANCE_POWER, "binomial", "nbinom2", "tweedie")


class RegressorFit(IndependentRows):
    """A fitted regressor with ``predict(X)``, its data, and the family that its mean is taken to have.

    scikit-learn and glum models know how to predict a mean; they keep neither their data nor, scikit-learn,
    a law.

    Parameters
    ----------
    model : object
        Fitted, with ``predict(X)`` returning the mean; a classifier of two classes with ``predict_proba(X)``.
    X : array_like or DataFrame (n, p)
        Rows to simulate, usually those of the fit.
    y : array_like (n,)
        Response as it was given to ``fit``: for `trials` the proportion of successes, for a two-class
        classifier the labels.
    family : {"gaussian", "poisson", "gamma", "inverse_gaussian", "binomial", "nbinom2", "tweedie"}
        Law of the response.
    var_weights : array_like (n,), optional
        What the fit got as ``sample_weight`` where this means precision: the dispersion is divided by it. A
        Poisson response with `var_weights` is a rate; the counts ``var_weights * y`` are what is simulated.
    exposure : array_like (n,), optional
        For ``family="poisson"`` and a model of rates, such as claims a year: `y` are then the counts and
        ``predict(X)`` is the rate, of a fit that got ``y / exposure`` and ``sample_weight=exposure``.
    trials : array_like (n,), optional
        Number of trials, for ``family="binomial"``; the fit got it as ``sample_weight``.
    offset : array_like (n,), optional
        Passed to ``predict`` and ``fit`` (glum).
    dispersion : float, optional
        Dispersion of gaussian, gamma, inverse_gaussian and tweedie. Default: Pearson's estimate, which needs
        the number of coefficients (`coef_` that are not zero, and the intercept) or `n_params`.
    n_params : int, optional
        Number of fitted parameters of the mean.
    power : float, optional
        Variance power of ``family="tweedie"``, between 1 and 2; default ``model.power``.
    theta : float, optional
        Of ``family="nbinom2"``, whose variance is ``mu + mu**2 / theta``.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import RegressorFit
    >>> class Doubling:
    ...     coef_, intercept_ = np.array([2.0]), 0.0
    ...     def predict(self, X):
    ...         return 2.0 * X[:, 0]
    >>> x = np.array([[1.0], [2.0], [3.0]])
    >>> model = RegressorFit(Doubling(), x, [3, 2, 7], family="poisson")
    >>> model.fitted
    array([2., 4., 6.])
    >>> RegressorFit(Doubling(), x, [1, 2, 7], family="poisson", exposure=[0.5, 0.5, 1]).fitted
    array([1., 2., 6.])
    """

    refit_effort = 40.0
    """Time of a refit in units of one by glmmcore: tests make fewer refits where it is large."""

    def __init__(
        self,
        model: Any,
        X: Any,
        y: ArrayLike,
        *,
        family: str,
        var_weights: ArrayLike | None = None,
        exposure: ArrayLike | None = None,
        trials: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        dispersion: float | None = None,
        n_params: int | None = None,
        power: float | None = None,
        theta: float | None = None,
    ) -> None:
        if family not in _FAMILIES:
            raise ValueError(f"family must be one of {', '.join(_FAMILIES)}, not {family!r}")
        self._model, self._X, self._offset = model, X, offset
        self._options: dict[str, Any] = {
            "family": family,
            "dispersion": dispersion,
            "n_params": n_params,
            "power": power,
            "theta": theta,
        }
        response, self._classes = _numeric_response(model, y)
        mean = _predicted_mean(model, X, offset)
        if mean.shape != response.shape:
            raise ValueError(f"predict(X) gives shape {mean.shape} for a response of shape {response.shape}")
        n = mean.size
        if exposure is not None:
            if family != "poisson":
                raise ValueError(f"exposure= is for family='poisson', not {family!r}; see var_weights=")
            if var_weights is not None:
                raise ValueError("give exposure= with counts as y, or var_weights= with rates as y, not both")
            response = _whole(response, "counts") / _weights(exposure, "exposure", n)
            var_weights = exposure
        self._weights = _weights(var_weights, "var_weights", n)
        self._trials_given = _weights(trials, "trials", n)
        known = n_params if n_params is not None else _n_coefficients(model)
        law, observed = self._law_and_counts(response, mean, known)
        _warn_of_rates(family, observed, law.mean())
        super().__init__(
            law,
            observed,
            description=f"{type(model).__name__} {family}",
            data=_frame(X),
            trials=self._trials_given if family == "binomial" else None,
            edf=known,
            df_resid=None if known is None else n - known,
        )

    def _law_and_counts(self, y: FloatArray, mean: FloatArray, n_params: int | None) -> tuple[Law, FloatArray]:
        family, weights, trials = self._options["family"], self._weights, self._trials_given
        if family == "binomial":
            if np.any(weights != 1):
                raise TypeError("var_weights have no binomial law; give the number of trials as trials=")
            return Binomial(trials, mean), _whole(y * trials, "proportion times trials")
        if np.any(trials != 1):
            raise ValueError("trials= belongs to family='binomial'")
        if family in ("poisson", "nbinom2"):
            counts = _whole(y * weights, f"{family} response times var_weights")
            if family == "poisson":
                return Poisson(weights * mean), counts
            if self._options["theta"] is None:
                raise ValueError("family='nbinom2' needs theta=, the variance being mu + mu**2 / theta")
            return NegativeBinomial(weights * mean, weights * float(self._options["theta"])), counts
        power = self._power()
        dispersion = self._dispersion(y, mean, power, n_params) / weights
        if family == "gaussian":
            return Normal(mean, np.sqrt(dispersion)), y
        if family == "gamma":
            return Gamma(mean, dispersion), y
        if family == "inverse_gaussian":
            return InverseGaussian(mean, dispersion), y
        return Tweedie(mean, dispersion, np.full(mean.size, power)), y

    def _power(self) -> float:
        if self._options["family"] != "tweedie":
            return _VARIANCE_POWER[self._options["family"]]
        stated = self._options["power"]
        power = getattr(self._model, "power", None) if stated is None else stated
        if power is None or not 1 < power < 2:
            raise ValueError(f"family='tweedie' needs power= between 1 and 2, got {power}")
        return float(power)

    def _dispersion(self, y: FloatArray, mean: FloatArray, power: float, n_params: int | None) -> float:
        if self._options["dispersion"] is not None:
            return float(self._options["dispersion"])
        if n_params is None:
            raise ValueError(
                f"{type(self._model).__name__} has no coef_, so its dispersion cannot be estimated: give "
                "dispersion= or n_params="
            )
        return float(np.sum(self._weights * (y - mean) ** 2 / mean**power) / (y.size - n_params))

    def refit(self, y: ArrayLike) -> RegressorFit:
        """Fit a copy of the regressor to another response.

        Parameters
        ----------
        y : array_like (n,)
            On the scale of `observed`.

        Returns
        -------
        RegressorFit
            Of the copy.
        """
        response: Any = response_for_refit(y, self.nobs)
        weights = self._weights * self._trials_given
        if self._options["family"] in ("binomial", "poisson", "nbinom2"):
            response = response / weights
        if self._classes is not None:
            response = self._classes[response.astype(np.int64)]
        new = copy.deepcopy(self._model)
        options: dict[str, Any] = {} if np.all(weights == 1) else {"sample_weight": weights}
        if self._offset is not None:
            options["offset"] = self._offset
        new.fit(self._X, response, **options)
        return type(self)(
            new,
            self._X,
            response,
            var_weights=self._weights,
            trials=self._trials_given,
            offset=self._offset,
            **self._options,
        )


def adapt(model: Any) -> Any:
    """Say that a bare regressor is not enough."""
    name = f"{type(model).__module__.split('.')[0]}.{type(model).__name__}"
    raise TypeError(
        f"{name} keeps neither its data nor the law of its response. State them:\n\n"
        "    from simresid.adapters import RegressorFit\n"
        "    res = simresid.simulate_residuals(RegressorFit(model, X, y, family='poisson'))\n\n"
        "of a model of rates with exposure= and counts as y"
    )


def _numeric_response(model: Any, y: ArrayLike) -> tuple[FloatArray, NDArray[Any] | None]:
    """Return the response as numbers, and the labels behind 0 and 1 for a classifier."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return np.array(y, dtype=np.float64), None
    if len(classes) != 2:
        raise TypeError(f"a classifier of {len(classes)} classes has no residual on the line; two are needed")
    labels = np.asarray(y)
    unknown = set(np.unique(labels)) - set(classes)
    if unknown:
        raise ValueError(f"y holds {sorted(map(str, unknown))[0]!r}, which is no class of the classifier")
    return (labels == classes[1]).astype(np.float64), np.asarray(classes)


def _predicted_mean(model: Any, X: Any, offset: ArrayLike | None) -> FloatArray:
    if hasattr(model, "predict_proba") and getattr(model, "classes_", None) is not None:
        return np.asarray(model.predict_proba(X), float)[:, 1]
    return np.asarray(model.predict(X) if offset is None else model.predict(X, offset=offset), float)


def _weights(values: ArrayLike | None, name: str, n: int) -> FloatArray:
    weights = np.ones(n) if values is None else np.asarray(values, float)
    if weights.shape != (n,):
        raise ValueError(f"{name} has shape {weights.shape} for {n} rows")
    if np.any(~(weights > 0)):
        raise ValueError(f"{name} must be positive; row {int(np.argmin(weights > 0))} (from 0) is not")
    return weights


def _warn_of_rates(family: str, observed: FloatArray, mean: FloatArray) -> None:
    """Notice predictions that cannot be means of these counts."""
    total, predicted = float(observed.sum()), float(mean.sum())
    far = abs(total - predicted) > 5.0 * np.sqrt(max(total, predicted)) and not 0.8 < predicted / max(total, 1.0) < 1.25
    if family in ("poisson", "nbinom2") and far:
        warn_user(
            f"the counts add up to {total:,.0f}, their predicted means to {predicted:,.0f}: if predict(X) is a rate, "
            "give exposure= (with counts as y) or var_weights= (with rates as y)",
        )


def _whole(values: FloatArray, what: str) -> FloatArray:
    whole = np.rint(values)
    if np.any(np.abs(values - whole) > 1e-6 * np.maximum(1, np.abs(values))) or np.any(whole < 0):
        row = int(np.argmax(np.abs(values - whole)))
        raise ValueError(f"{what} must be whole numbers; row {row} (from 0) gives {values[row]:g}")
    return whole


def _n_coefficients(model: Any) -> int | None:
    """Return the number of non-zero coefficients, intercept included; None for a model without any."""
    coefficients = getattr(model, "coef_", None)
    if coefficients is None:
        return None
    return int(np.count_nonzero(coefficients)) + int(np.any(np.asarray(getattr(model, "intercept_", 0)) != 0))


def _frame(X: Any) -> pd.DataFrame | None:
    import pandas as pd

    return X if isinstance(X, pd.DataFrame) else None
