"""Which function adapts which statsmodels model, and why some models cannot be adapted."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import warn_user
from simresid.adapters._unsupported import unsupported

if TYPE_CHECKING:
    from simresid.protocol import FittedModel

__all__ = ["adapt", "converged_of"]

LITTLE_TO_GAIN = 1e-3
"""What a log posterior may still rise at an optimum that is as good as found."""

_COUNTS = ("statsmodels_counts", "adapt_count")
_LINEAR = ("statsmodels_linear", "LinearFit")
_BAYES = ("statsmodels_bayes", "BayesMixedFit")

# Model class -> (module of this package, function or class that takes the results).
ADAPTERS = {
    "OLS": _LINEAR,
    "WLS": _LINEAR,
    "GLS": _LINEAR,
    "GLM": ("statsmodels_glm", "adapt_glm"),
    "GLMGam": ("statsmodels_gam", "adapt_gam"),
    "GEE": ("statsmodels_gee", "adapt_gee"),
    "Poisson": _COUNTS,
    "NegativeBinomial": _COUNTS,
    "NegativeBinomialP": _COUNTS,
    "GeneralizedPoisson": _COUNTS,
    "ZeroInflatedPoisson": _COUNTS,
    "ZeroInflatedNegativeBinomialP": _COUNTS,
    "ZeroInflatedGeneralizedPoisson": _COUNTS,
    "HurdleCountModel": _COUNTS,
    "TruncatedLFPoisson": _COUNTS,
    "TruncatedLFNegativeBinomialP": _COUNTS,
    "TruncatedLFGeneralizedPoisson": _COUNTS,
    "Logit": ("statsmodels_binary", "adapt_binary"),
    "Probit": ("statsmodels_binary", "adapt_binary"),
    "BetaModel": ("statsmodels_binary", "BetaFit"),
    "OrderedModel": ("statsmodels_binary", "OrderedFit"),
    "MixedLM": ("statsmodels_mixed", "MixedLMFit"),
    "BinomialBayesMixedGLM": _BAYES,
    "PoissonBayesMixedGLM": _BAYES,
}

REFUSED = {
    "MNLogit": "categories without an order have no residual on the line; model one against the rest",
    "RLM": "robust regression states no law of the response",
    "QuantReg": "quantile regression states no law of the response",
    "GLSAR": "its rows are whitened with an estimated autoregression; use GLS with the matrix sigma",
    "NominalGEE": "it works on indicator rows, not on the response",
    "OrdinalGEE": "it works on indicator rows, not on the response",
    "ConditionalLogit": "it conditions on the group totals and states no law of the response",
    "ConditionalMNLogit": "it conditions on the group totals and states no law of the response",
    "ConditionalPoisson": "it conditions on the group totals and states no law of the response",
}


def adapt(results: Any) -> FittedModel:
    """Adapt the results of a statsmodels fit."""
    model = getattr(results, "model", None)
    if model is None:
        raise TypeError("pass the results of a statsmodels fit, model.fit(...), not the model")
    name = type(model).__name__
    inner = type(getattr(results, "_results", results)).__name__
    if name in REFUSED:
        raise unsupported(f"statsmodels {name} cannot be simulated from: {REFUSED[name]}.")
    if not type(model).__module__.startswith("statsmodels.") or name not in ADAPTERS:
        raise unsupported(f"No adapter knows the law of a {type(model).__module__}.{name} model.")
    if inner == "RegularizedResults":
        raise unsupported(
            f"statsmodels {name}.fit_regularized() returns coefficients only, without a dispersion or a law."
        )
    if getattr(model, "exog", None) is None or getattr(model, "endog", None) is None:
        raise TypeError("remove_data() has been called on these results: fit the model again to keep its data")
    module, attribute = ADAPTERS[name]
    adapter = getattr(importlib.import_module(f"simresid.adapters.{module}"), attribute)
    fitted_model: FittedModel = adapter(results)
    converged = converged_of(results)
    if converged is not None:
        fitted_model.converged = converged  # type: ignore[attr-defined]  # a capability where the library states it
    if converged is False:
        warn_user(
            f"this {name} fit of statsmodels did not converge: residuals are those of other estimates than the "
            "model's. Fit it with more iterations (maxiter=) or another method= first",
        )
    return fitted_model


def converged_of(results: Any) -> bool | None:
    """Whether the optimiser found what it looked for, as far as the results of a fit say; None for closed forms.

    Two-part models have a flag for each part. Bayesian mixed models keep the optimiser's record, whose success fails
    for a line search that ran out of digits at the optimum and holds far from it where the objective is flat: there
    it counts what a Newton step would gain, by the gradient and the optimiser's inverse Hessian.
    """
    if getattr(results, "constraints", None) is not None:
        return None  # put in place by a fit without iterations, whose flag says nothing of the search
    record = getattr(results, "optim_retvals", None)
    if record is not None and {"jac", "hess_inv"} <= set(record):
        gradient = np.asarray(record["jac"], dtype=float)
        return float(gradient @ (record["hess_inv"] @ gradient)) / 2 < LITTLE_TO_GAIN
    settings = getattr(results, "mle_retvals", None)
    flag = settings.get("converged") if isinstance(settings, dict) else None
    flag = getattr(results, "converged", None) if flag is None else flag
    return None if flag is None or callable(flag) else bool(np.all(flag))
