"""Covariance structures of random effects, by the name used in formulas."""

from __future__ import annotations

from glmmcore.covariance.base import FactorRoot, Structure
from glmmcore.covariance.correlation import CommonCompoundSymmetric, CompoundSymmetric
from glmmcore.covariance.diagonal import CommonDiagonal, Diagonal
from glmmcore.covariance.fields import Exponential, Field, Gaussian, Matern
from glmmcore.covariance.own_scales import OwnScales
from glmmcore.covariance.places import Places
from glmmcore.covariance.serial import AutoRegressive, CommonToeplitz, OwnScalesAutoRegressive, Toeplitz
from glmmcore.covariance.times import AutoRegressiveLevels, GappedAutoRegressive, OrnsteinUhlenbeck
from glmmcore.covariance.unstructured import Unstructured

__all__ = ["FIELDS", "STRUCTURES", "AutoRegressiveLevels", "FactorRoot", "Field", "OwnScales", "Places", "Structure"]

STRUCTURES: dict[str, type[Structure]] = {
    cls.name: cls
    for cls in (
        Unstructured,
        Diagonal,
        CommonDiagonal,
        CompoundSymmetric,
        CommonCompoundSymmetric,
        AutoRegressive,
        OwnScalesAutoRegressive,
        Toeplitz,
        CommonToeplitz,
    )
}

FIELDS: dict[str, type[Field]] = {
    cls.name: cls for cls in (Exponential, Gaussian, Matern, OrnsteinUhlenbeck, GappedAutoRegressive)
}
"""Structures over coordinates, by the name used in formulas."""
