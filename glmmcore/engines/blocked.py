"""H = Lambda'Z'WZ Lambda + I as an arrow: block-diagonal leading factor, sparse cells, dense trailing block.

The largest factor leads, so that eliminating it costs little and fills only the trailing block. With one factor
there is no trailing block; with nested factors the Schur complement stays block diagonal inside it.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.linalg import blas, lapack

from glmmcore.engines import _blocked_inverse_kernels as inverse_kernels
from glmmcore.engines import _blocked_kernels as kernels
from glmmcore.engines import _dense_kernels as dense_kernels
from glmmcore.engines import _intercept_kernels as intercept_kernels
from glmmcore.engines.cells import Cells
from glmmcore.engines.contract import Engine
from glmmcore.engines.layout import RowLayout
from glmmcore.engines.single_precision import refined_solution, single_factor

__all__ = ["BlockedSystem"]

# Order of the trailing block up to which plain loops beat LAPACK.
_SMALL = 64
# Order from which factor and inverse in single precision, half the time, are worth the conversion.
_LARGE = 256
# Reciprocal of the least eigenvalue, of the trailing block scaled to a unit diagonal, up to which its inverse in single
# precision has errors of 1e-4 at most (of 1e-6 mostly).
_WELL_CONDITIONED = 1000.0
# Nanoseconds of one multiplication of two cells in loops, and in BLAS with the empty cells filled up, from this order.
_LOOP, _BLAS, _WIDE = 0.6, 0.1, 16


class BlockedSystem(Engine):
    """The Hessian of the spherical random effects, for one layout of rows.

    Use: `reset`, then `add` over all rows, `factorise`, and then `solve`, `logdet`, `invert` and what reads the
    inverse. `n_profiled` trailing coefficients at the very end (fixed effects) take part in `solve` only: they are
    left out of `logdet` and of the inverse.
    """

    def __init__(self, layout: RowLayout, n_profiled: int = 0, cells: Cells | None = None) -> None:
        self.layout = layout
        self._cells = Cells(layout) if cells is None else cells
        lead = layout.factors[0]
        self._k = lead.k
        self._n_lead = lead.order
        n_trail = layout.order - lead.order
        self._n_used = n_trail - n_profiled
        # fixed effects, which have no prior, have the identity for their relative factor
        self._is_scalar = lead.k == 1 and all(f.k == 1 or f.prior == 0.0 for f in layout.factors)
        self._is_single = self._is_scalar and len(layout.factors) == 1
        trailing = range(1, len(layout.factors))
        self._q_factor = np.repeat(
            np.array(trailing, dtype=np.int32), [layout.factors[f].order for f in trailing]
        ).astype(np.int32)
        self._q_within = np.concatenate(
            [np.zeros(0)] + [np.tile(np.arange(layout.sizes[f]), layout.factors[f].n_levels) for f in trailing]
        ).astype(np.int32)
        self._q_start = np.arange(n_trail, dtype=np.int32) - self._q_within
        self._prior = layout.prior[self._n_lead :]
        heights = np.diff(self._cells.first).astype(float)
        loops = _LOOP * lead.k * float(heights @ heights)
        self._is_full = n_trail >= _WIDE and loops > _BLAS * float(n_trail) ** 2 * lead.order
        self._allocate()

    def _allocate(self) -> None:
        lead, height, n_trail = self.layout.factors[0], len(self._cells.column), len(self._q_factor)
        k, largest = lead.k, int(self.layout.sizes.max())
        self._m_lead = np.zeros((lead.n_levels, k, k))
        self._m_cell = np.zeros((height, k))
        # upper triangles row by row, which BLAS takes transposed as lower ones
        self._m_trail = np.zeros((n_trail, n_trail))
        self._is_zero = True
        self._l_lead = np.zeros((lead.n_levels, k, k))
        self._y = np.zeros((height, k))
        self._s = np.zeros((n_trail, n_trail))
        # the factor in single precision, and then `_s` is what was factored
        self._single: np.ndarray | None = None
        self._short = np.zeros((0, 0), dtype=np.float32)
        self._diagonal = np.zeros(0)
        self._v_trail = np.zeros((self._n_used, self._n_used))
        self._t = np.zeros((len(self.layout.factors), largest, largest))
        self._wide = np.zeros((self._n_lead if self._is_full else 0, n_trail))

    # modules cannot be pickled, so that they are looked up and not kept
    @property
    def _loops(self) -> ModuleType:
        return intercept_kernels if self._is_scalar else kernels

    @property
    def _inverse_loops(self) -> ModuleType:
        return intercept_kernels if self._is_scalar else inverse_kernels

    # ---- build ------------------------------------------------------------------------------------------------
    @property
    def _sums(self) -> tuple[np.ndarray, ...]:
        return self._m_lead, self._m_cell, self._m_trail

    def reset(self) -> None:
        """See `Engine.reset`; new arrays, of which memory is not even taken yet, are zero as they are."""
        if not self._is_zero:
            super().reset()
        self._is_zero = True

    def add(self, lo: int, hi: int, weights: np.ndarray, values: np.ndarray, score: np.ndarray) -> None:
        """Add the rows lo..hi to Z'WZ, and Z' values to `score` (q,).

        `weights` (pairs, hi - lo) packs the lower triangle of each row's W, `values` is (m, hi - lo).
        """
        rows = self.layout
        self._is_zero = False
        begin, end = rows.runs(lo, hi)
        weights, values = rows.sums(lo, hi, weights), rows.sums(lo, hi, values)
        if self._k == 1 and len(weights) == 1:
            kernels.accumulate_leads(begin, end, rows.z, rows.start, weights, values, self._m_lead, score)
            if len(rows.factors) > 1:
                kernels.accumulate_others(
                    begin, end, self._n_lead, rows.z, rows.factor, rows.within, rows.start, self._cells.of_run,
                    weights, values, self._m_cell, self._m_trail, score,
                )  # fmt: skip
        else:
            kernels.accumulate(
                begin, end, self._k, rows.z, rows.predictor, rows.factor, rows.within, rows.start, self._cells.of_run,
                weights, values, *self._sums, score,
            )  # fmt: skip

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Z'WZ x, (q,)."""
        out = np.zeros_like(x)
        self._loops.multiply(self._m_lead, self._cells.first, self._cells.column, self._m_cell, x, out)
        if len(self._m_trail):
            out[self._n_lead :] += blas.dsymv(1.0, self._m_trail.T, x[self._n_lead :], lower=1)
        return out

    # ---- factor and solve -------------------------------------------------------------------------------------
    def factorise(self, factors: list[np.ndarray]) -> bool:
        """Factor H for the relative factors T of every factor; False when it is not positive definite."""
        for i, t in enumerate(factors):
            self._t[i, : len(t), : len(t)] = t
        sizes = self.layout.sizes
        if len(self._s):
            kernels.scale_trailing(
                self._m_trail, self._q_start, self._q_within, self._q_factor, self._t, sizes, self._prior, self._s
            )
        self._logdet_lead, failed = self._loops.eliminate_leading(
            self._m_lead, self.layout.factors[0].prior, self._cells.first, self._cells.factor, self._m_cell, self._t,
            sizes, self._l_lead, self._y,
        )  # fmt: skip
        if failed >= 0:
            return False
        if len(self._s):
            if self._is_full:
                kernels.spread_cells(self._cells.first, self._cells.column, self._y, self._wide)
                self._s = blas.dsyrk(-1.0, self._wide.T, 1.0, self._s.T, lower=1, overwrite_c=1).T
            else:
                cells = self._cells
                self._loops.subtract_products(cells.first, cells.column, self._y, self._s)
            if len(self._s) <= _SMALL:
                return dense_kernels.cholesky(self._s)
            self._single = None
            if self.single and self.gains_by_single:
                self._single, is_definite = single_factor(self._s.T)
                return is_definite
            self._diagonal = np.diagonal(self._s).copy()
            factor, info = lapack.dpotrf(self._s.T, lower=1, clean=0, overwrite_a=1)
            self._s = factor.T
            return info == 0
        return True

    @property
    def gains_by_single(self) -> bool:
        """Whether `single` saves time."""
        return len(self._s) >= _LARGE

    @property
    def logdet(self) -> float:
        """Log determinant of H without the profiled coefficients."""
        if not self._n_used:
            return float(self._logdet_lead)
        diagonal = np.diagonal(self._s if self._single is None else self._single)[: self._n_used].astype(float)
        return float(self._logdet_lead + 2.0 * np.log(diagonal).sum())

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, (q,)."""
        x = rhs.copy()
        self._loops.forward_substitute(self._l_lead, self._cells.first, self._cells.column, self._y, x)
        if len(self._s):
            trailing = x[self._n_lead :]
            if len(self._s) <= _SMALL:
                dense_kernels.cholesky_solve(self._s, trailing)
            elif self._single is None:
                trailing[...] = lapack.dpotrs(self._s.T, trailing, lower=1)[0]
            else:
                trailing[...] = refined_solution(self._single, self._s.T, trailing, refine=self.refines)
        self._loops.back_substitute(self._l_lead, self._cells.first, self._cells.column, self._y, x)
        return x

    def last_block(self, count: int) -> np.ndarray:
        """H^-1 of the last coefficients, (count, count): the last block of the factor is the factor of its inverse."""
        if self._single is not None or count > len(self._s):
            return super().last_block(count)
        first = len(self._s) - count
        upper = np.triu(self._s[first:, first:])
        root = lapack.dtrtri(upper)[0] if count else upper
        return np.asarray(root @ root.T)

    # ---- selected inverse -------------------------------------------------------------------------------------
    def invert(self) -> None:
        """H^-1 on the pattern of Z'Z, for the calls below."""
        product = np.zeros_like(self._y)
        if self._n_used:  # else loops over the trailing block need not even be compiled
            self._invert_trailing()
            self._multiply_cells(product)
        self._v_lead = np.empty_like(self._m_lead)
        self._v_cell = np.empty_like(self._m_cell)
        self._inverse_loops.selected_inverse(
            self._l_lead, self._cells.first, self._y, product, self._v_lead, self._v_cell
        )

    def _invert_trailing(self) -> None:
        n = self._n_used
        if n <= _SMALL:
            # a leading part of the factor is the factor of the leading part
            dense_kernels.cholesky_inverse(np.ascontiguousarray(self._s[:n, :n]), self._v_trail)
        elif self._single is not None:
            self._invert_short(self._single[:n, :n])
        elif not (self.single_inverse and self.gains_by_single and self._invert_well_conditioned()):
            np.copyto(self._v_trail, self._s[:n, :n])  # of which LAPACK reads and writes the upper triangle only
            self._v_trail = lapack.dpotri(self._v_trail.T, lower=1, overwrite_c=1)[0].T
        if not self._is_scalar:  # else that can wait for `scale_inverse`
            inverse_kernels.mirror(self._v_trail)

    def _multiply_cells(self, product: np.ndarray) -> None:
        """The trailing block of H^-1 times the cells of the factor, into `product`, zeroed."""
        cells = self._cells
        if self._is_full:
            wide = blas.dsymm(1.0, self._v_trail.T, self._wide[:, : self._n_used].T, lower=1).T
            inverse_kernels.gather_cells(cells.first, cells.column, wide, product)
        else:
            self._inverse_loops.trailing_products(cells.first, cells.column, self._y, self._v_trail, product)

    def _invert_short(self, factor: np.ndarray) -> None:
        """Inverse of the trailing block from a lower factor in whatever precision, in single precision."""
        if len(self._short) != len(factor):
            self._short = np.zeros((len(factor), len(factor)), dtype=np.float32)
        np.copyto(self._short, factor.T, casting="same_kind")
        np.copyto(self._v_trail, lapack.spotri(self._short.T, lower=1, overwrite_c=1)[0].T)

    def _invert_well_conditioned(self) -> bool:
        """Invert in single precision; False if that might leave too few digits.

        With unit diagonal and eigenvalues w, sum(1 / w) - n = sum((1 - w)^2 / w) >= 1 / min(w) - 2.
        """
        n = self._n_used
        with np.errstate(over="ignore", invalid="ignore"):
            self._invert_short(self._s[:n, :n].T)
            excess = float(self._diagonal[:n] @ np.diagonal(self._v_trail)) - n
        return excess + 2.0 < _WELL_CONDITIONED

    def factor_products(self) -> list[np.ndarray]:
        """Sum over levels of the diagonal blocks of Z'WZ Lambda H^-1, one (k, k) array a factor; after `invert`."""
        g = np.zeros_like(self._t)
        if self._is_single:
            intercept_kernels.factor_products_of_one(self._m_lead, self._t, self._v_lead, g)
            return [g[0]]
        self._inverse_loops.factor_products(
            self._m_lead, self._m_cell, self._m_trail, self._t, self.layout.sizes, self._v_lead, self._v_cell,
            self._v_trail, self._cells.first, self._cells.factor, self._q_start, self._q_within, self._q_factor, g,
        )  # fmt: skip
        return [g[i, :k, :k] for i, k in enumerate(self.layout.sizes)]

    def scale_inverse(self) -> None:
        """Turn H^-1 into Lambda H^-1 Lambda', the conditional covariance of b, for the calls below."""
        if self._is_single:
            self._v_lead *= self._t[0, 0, 0] * self._t[0, 0, 0]
            return
        if self._is_scalar and self._n_used:
            inverse_kernels.mirror(self._v_trail)
        self._inverse_loops.scale_inverse(
            self._t, self.layout.sizes, self._cells.first, self._cells.factor, self._q_factor, self._v_lead,
            self._v_cell, self._v_trail,
        )  # fmt: skip

    def row_covariances(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Z cov(b) Z' of the rows lo..hi, packed lower triangle over predictors, into `out`; after `scale_inverse`."""
        self._quadratics(lo, hi, self._v_lead, self._v_cell, self._v_trail, out)

    def _quadratics(
        self, lo: int, hi: int, lead: np.ndarray, cell: np.ndarray, trail: np.ndarray, out: np.ndarray
    ) -> None:
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        out[...] = 0.0
        each = rows.place(lo, hi, out)
        n_columns, of_run = rows.z.shape[1], self._cells.of_run
        if self._k == 1 and n_columns == rows.start.shape[1] and len(each) == 1:
            two = n_columns == 2
            loop = intercept_kernels.row_covariances_of_two if two else intercept_kernels.row_covariances
            loop(begin, end, rows.z, rows.start, of_run, lead, cell, trail, each)
        else:
            inverse_kernels.row_covariances(
                begin, end, self._k, rows.z, rows.predictor, rows.factor, rows.within, rows.start, of_run,
                lead, cell, trail, each,
            )  # fmt: skip
        rows.spread(lo, hi, each, out)

    # ---- one factor, level by level (quadrature) --------------------------------------------------------------
    def lead_blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """Z'WZ and the Cholesky factor of H of every leading level, each (L, k, k)."""
        lower = np.tril(self._m_lead)
        return lower + np.tril(lower, -1).transpose(0, 2, 1), self._l_lead

    def row_quadratics(self, lo: int, hi: int, blocks: np.ndarray, out: np.ndarray) -> None:
        """z_i' B_j z_i of the rows lo..hi for symmetric leading blocks B (L, k, k), into `out` (pairs, hi - lo)."""
        self._quadratics(lo, hi, blocks, np.zeros((0, self._k)), np.zeros((0, 0)), out)

    def level_covariances(self, factor: int) -> np.ndarray:
        """Conditional covariance of each level's coefficients, (L, k, k); after `scale_inverse`."""
        if factor == 0:
            return self._v_lead.copy()
        rows, k = self.layout, int(self.layout.sizes[factor])
        first = int(rows.offsets[factor]) - self._n_lead
        index = first + np.arange(rows.factors[factor].n_levels)[:, None] * k + np.arange(k)
        return self._v_trail[index[:, :, None], index[:, None, :]]

    def describe(self) -> list[str]:
        """One line a block."""
        lead = self.layout.factors[0]
        kind = "diagonal" if self._k == 1 else f"block diagonal, {self._k} x {self._k}"
        lines = [f"{lead.name}: leading, {kind}, {lead.n_levels} levels"]
        if len(self._s):
            names = ", ".join(f"{f.name} ({f.order})" for f in self.layout.factors[1:])
            lines.append(f"{names}: trailing, dense, order {len(self._s)}, {len(self._cells.column)} sparse cell rows")
        return lines
