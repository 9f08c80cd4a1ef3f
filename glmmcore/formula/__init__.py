"""Formulas: lme4's grammar in, dense matrices and group codes out."""

from glmmcore.formula.build import build_design

__all__ = ["build_design"]
