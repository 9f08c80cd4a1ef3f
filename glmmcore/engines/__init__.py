"""Linear algebra of the random effects; knows factors, weights and solves, and no family."""

from __future__ import annotations

from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.layout import RowLayout

__all__ = ["choose_system"]


def choose_system(layout: RowLayout, n_profiled: int = 0) -> BlockedSystem:
    """Return the engine that suits the layout."""
    return BlockedSystem(layout, n_profiled)
