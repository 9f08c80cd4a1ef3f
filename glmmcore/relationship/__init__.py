"""How levels of a grouping factor covary: known matrices, pedigrees, trees, neighbourhoods; see ``glmm(known=)``."""

from __future__ import annotations

from glmmcore.relationship.base import Relationship
from glmmcore.relationship.intrinsic import from_adjacency, random_walk
from glmmcore.relationship.matrices import covariance, precision
from glmmcore.relationship.pedigree import from_pedigree
from glmmcore.relationship.tree import from_tree

__all__ = [
    "Relationship",
    "covariance",
    "from_adjacency",
    "from_pedigree",
    "from_tree",
    "precision",
    "random_walk",
]
