"""Where a formula becomes a fitted model: the one door from here to `glmmcore`, through its public names."""

from __future__ import annotations

from typing import Any

__all__ = ["fit_formula"]


def fit_formula(formula: str, data: Any, family: Any = "gaussian", **options: Any) -> Any:
    """Fit a generalised linear mixed model with `glmmcore.glmm`, to which all arguments go."""
    from glmmcore import glmm

    return glmm(formula, data, family, **options)
