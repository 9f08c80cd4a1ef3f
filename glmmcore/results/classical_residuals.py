"""Classical residuals of a fit; scaled residuals by simulation are simresid's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.arguments import require_word
from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["residuals"]


def residuals(fit: FittedGLMM, kind: str = "response") -> pd.Series:
    """See `FittedGLMM.residuals`."""
    kinds = {
        "response": lambda: fit.resid_response,
        "pearson": lambda: fit.resid_pearson,
        "working": lambda: _working(fit),
        "deviance": lambda: _deviance(fit),
    }
    require_word(kind, "residuals: kind", kinds)
    return pd.Series(kinds[kind](), index=fit.data.index, name=kind)


def _require_plain(fit: FittedGLMM, kind: str) -> None:
    if "zi" in fit.design.predictors:
        raise ModelError(f"{kind} residuals are not defined for a zero-inflated model; use kind='pearson'")


def _working(fit: FittedGLMM) -> np.ndarray:
    """(y - mu) dx eta / d mu, per trial."""
    _require_plain(fit, "working")
    trials = np.ones(fit.nobs) if fit.trials is None else fit.trials
    _, slope, _, _ = fit.family.link.derivatives(fit.law.eta)
    return fit.resid_response / (trials * slope)


def _deviance(fit: FittedGLMM) -> np.ndarray:
    """Signed root of the unit deviance, without the dispersion."""
    _require_plain(fit, "deviance")
    y, mean = fit.observed, fit.fitted
    trials = np.ones(fit.nobs) if fit.trials is None else fit.trials
    unit = fit.family.unit_deviance(y, trials, mean, fit.law.parameters)
    if unit is None:
        raise ModelError(
            f"deviance residuals are not defined for family '{fit.family.name}'; use kind='pearson', or "
            "simresid.simulate_residuals for residuals that are uniform under the model"
        )
    weights = 1.0 if fit.design.var_weights is None else fit.design.var_weights
    return np.sign(y - mean) * np.sqrt(weights * np.maximum(unit, 0.0))
