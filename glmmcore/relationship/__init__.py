"""How levels of a grouping factor covary: known matrices, pedigrees, trees, neighbourhoods; see ``glmm(known=)``."""

from __future__ import annotations

from glmmcore.relationship.base import Relationship
from glmmcore.relationship.matrices import covariance, precision

__all__ = ["Relationship", "covariance", "precision"]
