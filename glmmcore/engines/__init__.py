"""Linear algebra of the random effects; knows factors, weights and solves, and no family."""

from __future__ import annotations

from glmmcore.engines._row_kernels import distinct_in_runs
from glmmcore.engines.choice import choose_system

__all__ = ["choose_system", "distinct_in_runs"]
