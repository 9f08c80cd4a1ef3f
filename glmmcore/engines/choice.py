"""Which engine a layout gets: what an evaluation costs in each."""

from __future__ import annotations

import numpy as np

from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.border import border_of
from glmmcore.engines.cells import Cells
from glmmcore.engines.contract import System
from glmmcore.engines.covarying import CovaryingSystem
from glmmcore.engines.layout import RowLayout
from glmmcore.engines.pattern import SparsePattern
from glmmcore.engines.sparse import SparseSystem
from glmmcore.engines.symbolic import Plan
from glmmcore.errors import ModelError
from glmmcore.memory import require_memory

__all__ = ["BORDER", "LONG_CHAIN", "choose_system"]

# Most coefficients of other factors beside effects of places or times, for which they are dense columns.
_BORDER = 3000
# Coefficients of a level from which a chain is taken as a line; quadrature, of up to three, knows blocks only.
_SHORTEST = 4
# The same beside other factors, and how many coefficients of theirs it takes as dense columns.
LONG_CHAIN, BORDER = 16, 200
# Trailing orders that are dense in any case: there is nothing to gain, and the analysis would outlast the fit.
_SMALL = 400
# Share of the trailing block that fills in at once, from which a sparse order has nothing left to save.
_FULL = 0.5
# Nanoseconds of one multiplication in LAPACK and in loops, and of handling one small front.
_LAPACK = 0.03
_LOOP = 0.5
_FRONT = 300.0


def choose_system(layout: RowLayout, n_profiled: int = 0, *, chained: bool = False) -> System:
    """Return the engine that is expected to be faster; `chained` if the leading factor is a first-order chain.

    The layout is analysed only when its trailing block is large and not filled in by the leading levels at once, or
    when levels covary: only the sparse engine knows these.
    """
    if layout.factors[0].covarying is not None:
        return _covarying(layout, n_profiled)
    if layout.has_covarying_levels:
        pattern = SparsePattern(layout)
        return _sparse(layout, n_profiled, pattern, pattern.plan())
    if chained and _suits_chain(layout):
        return CovaryingSystem(layout, n_profiled)
    trailing = int(sum(f.order for f in layout.factors[1:] if f.prior > 0.0))
    if trailing <= _SMALL:
        return BlockedSystem(layout, n_profiled)
    cells = Cells(layout)
    fill = cells.fill(layout)
    if fill > _FULL * trailing**2:
        return _blocked(layout, n_profiled, trailing, cells)
    pattern = SparsePattern(layout)
    plan = pattern.plan()
    if _blocked_time(trailing, fill * layout.factors[0].k) < _sparse_time(plan):
        return _blocked(layout, n_profiled, trailing, cells)
    return _sparse(layout, n_profiled, pattern, plan)


def _suits_chain(layout: RowLayout) -> bool:
    alone = all(f.prior == 0.0 for f in layout.factors[1:])
    lead, border = layout.factors[0], layout.order - layout.factors[0].order
    if lead.k < (_SHORTEST if alone else LONG_CHAIN) or border > BORDER or lead.prior == 0.0:
        return False
    one_predictor = bool(np.all(lead.predictor == lead.predictor[0]))
    return one_predictor and bool(np.count_nonzero(layout.z[:, : lead.k], axis=1).max(initial=0) <= 1)


def _covarying(layout: RowLayout, n_profiled: int) -> CovaryingSystem:
    """The engine of fields, within what it can hold."""
    dense = float(sum(f.dense_entries for f in layout.factors))
    lead, border = layout.factors[0], layout.order - layout.factors[0].order
    if any(f.precision is not None for f in layout.factors):
        raise ModelError("known= and effects of places or times in one model are not possible; fit one of the two")
    if border > _BORDER:
        raise ModelError(
            f"the other random effects have {border} coefficients, beside effects of places or times up to {_BORDER} "
            "are possible; merge rare levels"
        )
    columns = border_of(layout, n_profiled)
    require_memory(
        8.0 * (5.0 * lead.order * columns.width + 4.0 * border**2 + 6.0 * dense),
        f"effects of {lead.order} places or times beside {border} other coefficients",
        "merge rare levels, or round the coordinates",
    )
    return CovaryingSystem(layout, n_profiled, columns)


def _sparse(layout: RowLayout, n_profiled: int, pattern: SparsePattern, plan: Plan) -> SparseSystem:
    _require_memory(float(plan.panel_first[-1]) + float(plan.n_core) ** 2, plan.n_core)
    return SparseSystem(layout, n_profiled, pattern, plan)


def _blocked(layout: RowLayout, n_profiled: int, trailing: int, cells: Cells) -> BlockedSystem:
    _require_memory(float(trailing) ** 2, trailing)
    return BlockedSystem(layout, n_profiled, cells)


def _require_memory(entries: float, order: int) -> None:
    """Refuse a system whose matrix, factor, inverse and a copy to work on do not fit."""
    require_memory(
        4 * 8.0 * entries,
        f"factorising random effects with a full matrix of order {order}",
        "merge rare levels, or drop one of the crossed grouping factors",
    )


def _blocked_time(trailing: int, fill: float) -> float:
    """Nanoseconds of one evaluation: n^3 for factor and inverse, some ten passes over the trailing block."""
    n = float(trailing)
    return _LAPACK * n**3 + _LOOP * (3.0 * fill + 10.0 * n * n)


def _sparse_time(plan: Plan) -> float:
    n = float(plan.n_core)
    core = n**3 * (1.0 if plan.core_inverse else 2.0 / 3.0)
    if not plan.core_inverse:
        below = plan.parent == plan.n_super
        core += n * float(np.sum(plan.heights[below & plan.has_child].astype(float) ** 2))
    leaves = 0.0 if plan.core_inverse else n * float(plan.heights[~plan.has_child].sum())
    large = plan.large
    loops = 3.0 * float(plan.work[~large].sum()) + leaves + 4.0 * n * n
    blas = 3.0 * float(plan.work[large].sum())
    return _LAPACK * (core + blas) + _LOOP * loops + _FRONT * plan.n_super
