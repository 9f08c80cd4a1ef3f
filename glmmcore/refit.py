"""The same model for other responses, without formula work and from a warm start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.estimate import Estimator
from glmmcore.result import FittedGLMM

if TYPE_CHECKING:
    from glmmcore.design import Design

__all__ = ["refit"]


def refit(fit: FittedGLMM, y: np.ndarray) -> FittedGLMM:
    """See `FittedGLMM.refit`."""
    if y.shape != (fit.nobs,):
        raise ModelError(f"refit: y has shape {y.shape}, the model has {fit.nobs} rows")
    if not np.all(np.isfinite(y)):
        raise ModelError(f"refit: y is not finite at positions {np.flatnonzero(~np.isfinite(y))[:5].tolist()}")
    design = with_response(fit.design, y)
    trials = np.ones(len(y)) if design.response.trials is None else design.response.trials
    fit.family.check_support(y, trials, zero_model="zi" in design.predictors)
    old = fit._estimator
    estimator = Estimator(design, old.family, old.reml, old.problem.with_response(y), old.linear)
    return FittedGLMM(estimator, estimator.fit(start=fit._solution.x))


def with_response(design: Design, y: np.ndarray) -> Design:
    """The design with another response."""
    from dataclasses import replace

    return replace(design, response=replace(design.response, y=y))
