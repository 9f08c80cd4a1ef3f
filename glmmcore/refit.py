"""The same model for other responses, without formula work and from a warm start."""

from __future__ import annotations

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.result import FittedGLMM

__all__ = ["refit"]


def refit(fit: FittedGLMM, y: np.ndarray) -> FittedGLMM:
    """See `FittedGLMM.refit`."""
    if y.shape != (fit.nobs,):
        raise ModelError(f"refit: y has shape {y.shape}, the model has {fit.nobs} rows")
    if not np.all(np.isfinite(y)):
        raise ModelError(f"refit: y is not finite at positions {np.flatnonzero(~np.isfinite(y))[:5].tolist()}")
    trials = np.ones(len(y)) if fit.trials is None else fit.trials
    fit.family.check_support(y, trials, zero_model="zi" in fit.design.predictors)
    estimator = fit._estimator.with_response(y)
    return FittedGLMM(estimator, estimator.fit(start=fit._solution.x))
