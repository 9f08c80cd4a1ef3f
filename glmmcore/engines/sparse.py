"""H = Lambda'Z'WZ Lambda + P as a sparse matrix: multifrontal Cholesky, dense core, selected inverse.

P is the prior precision: the identity, or that of levels which covary.

For several large factors the trailing block of the arrow is too large to be dense, or needlessly dense (nested
factors fill nothing in). Here all levels are ordered by minimum degree; sets of columns with equal rows are
eliminated in dense fronts (loops for small ones, LAPACK for large ones), and what fills in anyway is one dense core
for LAPACK. The inverse runs back through the same fronts (the recursion of Takahashi, Fagan and Chen, 1973, in
blocks), so that the log determinant and its gradient are exact.

Levels may obey constraints N'u = 0. With B the columns of N and of what is to be taken off the matrix (see
`Precision`), W = H^-1 B and S = diag(0, I) - B'W, solutions are x + W S^-1 W'r with x = H^-1 r, the inverse is that of
H plus W S^-1 W', and the determinant on the constrained space is |H| |S|.

The fixed effects meet every level. They stay outside as a border of p dense columns: with H_r the random part and
W = H_r^-1 B the solved border, S = F - B'W is their Schur complement.

Longer than 400 lines: factorisation, solves and selected inverse run over the same fronts, which one object holds.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.linalg import blas, lapack

from glmmcore.engines import _front_kernels as fronts
from glmmcore.engines import _inverse_kernels as inverses
from glmmcore.engines import _sparse_kernels as kernels
from glmmcore.engines._tree_kernels import stack_sizes
from glmmcore.engines.contract import Engine
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.pattern import SparsePattern
from glmmcore.engines.single_precision import refined_solution, single_factor
from glmmcore.engines.symbolic import Plan
from glmmcore.tall import cross, times

__all__ = ["SparseSystem"]

# Order of the core from which its factor and inverse in single precision, half the time, are worth the conversion.
_LARGE = 1000
_NONE = np.zeros((0, 0), dtype=np.float32)


class SparseSystem(Engine):
    """The Hessian of the spherical random effects; used as `BlockedSystem` is.

    Parameters
    ----------
    layout : RowLayout
        A factor without prior (fixed effects, relative factor I) comes last, if at all.
    n_profiled : int
        Number of fixed effects that take part in `solve` only; none or all of them.
    pattern, plan : optional
        When they are known already.
    """

    def __init__(
        self,
        layout: RowLayout,
        n_profiled: int = 0,
        pattern: SparsePattern | None = None,
        plan: Plan | None = None,
    ) -> None:
        self.layout = layout
        pattern = SparsePattern(layout) if pattern is None else pattern
        plan = pattern.plan() if plan is None else plan
        self._plan = plan
        self._level_at = pattern.level_at
        self._row_arrays = (
            layout.z, layout.predictor, layout.factor, layout.within, layout.start, layout.offsets, layout.sizes,
            pattern.level_at, pattern.pair_at,
        )  # fmt: skip
        n_factors = pattern.n_random
        self._factors: list[Factor] = layout.factors[:n_factors]
        self._q = int(layout.offsets[n_factors])
        self._p = layout.order - self._q
        self._profiled = n_profiled > 0
        self._n_random_columns = int(layout.sizes[:n_factors].sum())
        at = pattern.place(plan)
        self._position, self._block_first = at.position, at.block_first
        self._blocks = (at.at, at.factor_f, at.factor_g, at.start_f, at.start_g, layout.sizes)
        self._scaled_blocks = (at.at, at.factor_f, at.factor_g, layout.sizes)
        self._places = (at.row, at.column, at.factor_f, at.factor_g, at.flipped, layout.sizes, at.at)
        self._prior = (at.prior_first, at.prior_row, at.prior_column, at.prior_value)
        self._tree = (plan.first, plan.row_first, plan.rows, plan.parent)
        self._large = np.flatnonzero(plan.large)
        self._size = pattern.size
        k = pattern.node_size
        self._lower_size = pattern.size - int((k * (k - 1) // 2).sum())
        self._factor_stack, self._inverse_stack, self._closes = stack_sizes(plan.parent, plan.widths, plan.heights)
        self._constraints, self._corner, self._n_null = _constraints(self._factors, layout)
        self._allocate()
        self._prior_logdet = self._logdet_of_prior() if layout.has_covarying_levels else 0.0

    def _logdet_of_prior(self) -> float:
        """Log determinant of H without random effects; infinite for a prior that is not positive definite."""
        known = [(f.precision.logdet, f.k) for f in self._factors if f.precision is not None]
        if all(logdet is not None for logdet, _ in known):
            return sum(k * logdet for logdet, k in known if logdet is not None)
        self._t[...] = 0.0
        return self._logdet if self._factor_random() else np.inf

    def _allocate(self) -> None:
        plan, sizes = self._plan, self.layout.sizes
        self._value = np.zeros(self._size)
        self._border = np.zeros((self._q, self._p))
        self._fixed = np.zeros((self._p, self._p))
        self._panel = np.zeros(int(plan.panel_first[-1]))
        self._core = np.zeros((plan.n_core, plan.n_core), order="F")
        # the factor of the core in single precision, and then `_core` is what was factored
        self._short, self._core_state = _NONE, "cholesky"
        self._t = np.zeros((len(sizes), int(sizes.max()), int(sizes.max())))
        self._local = np.zeros(plan.order + 1, dtype=np.int64)
        self._pending = np.zeros(plan.n_super, dtype=np.int64)
        self._state = np.zeros(2, dtype=np.int64)
        tallest = int(plan.heights.max(initial=0))
        self._update = np.empty(tallest * tallest)
        self._solved = np.zeros((self._q, self._p))

    # ---- build ----------------------------------------------------------------------------------------
    @property
    def _sums(self) -> tuple[np.ndarray, ...]:
        return self._value, self._border, self._fixed

    def add(self, lo: int, hi: int, weights: np.ndarray, values: np.ndarray, score: np.ndarray) -> None:
        """Add the rows lo..hi to Z'WZ, and Z' values to `score` (q,).

        `weights` (pairs, hi - lo) packs the lower triangle of each row's W, `values` is (m, hi - lo).
        """
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        kernels.accumulate(
            begin, end, self._n_random_columns, *self._row_arrays, rows.sums(lo, hi, weights),
            rows.sums(lo, hi, values), self._value, self._border, self._fixed, score,
        )  # fmt: skip

    def set_blocks(self, values: np.ndarray) -> None:
        """Take the numbers of all blocks of Z'WZ from elsewhere than from rows, without fixed effects."""
        self._value[...] = values

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Z'WZ x, (q,)."""
        q = self._q
        out = np.zeros_like(x)
        kernels.multiply(*self._blocks, self._value, x, out)
        out[:q] += times(self._border, x[q:])
        out[q:] += cross(self._border, x[:q]) + self._fixed @ x[q:]
        return out

    # ---- factor and solve -----------------------------------------------------------------------------
    def factorise(self, factors: list[np.ndarray]) -> bool:
        """Factor H for the relative factors T of every factor; False when it is not positive definite."""
        for i, t in enumerate(factors):
            self._t[i, : len(t), : len(t)] = t
        return self._factor_random() and self._factor_border(factors)

    def _factor_random(self) -> bool:
        """Factor the part of the random effects."""
        plan = self._plan
        self._panel[...] = 0.0
        self._core[...] = 0.0
        self._inverted = False
        kernels.scatter(
            plan.first, plan.row_first, plan.panel_first, self._block_first, *self._places, self._t, *self._prior,
            self._value, self._panel, self._core,
        )  # fmt: skip
        if not self._factor_supernodes():
            return False
        if not self._factor_core():
            return False
        self._logdet = 2.0 * float(np.log(self._diagonal()).sum())
        return self._constrain()

    def _factor_core(self) -> bool:
        if not self._plan.n_core:
            return True
        if self.single and self.gains_by_single:
            self._core_state = "single"  # what was factored stays, for refinements
            self._short, is_definite = single_factor(self._core)
            return is_definite
        self._core_state = "cholesky"
        self._core, info = lapack.dpotrf(self._core, lower=1, clean=0, overwrite_a=1)
        return info == 0

    @property
    def gains_by_single(self) -> bool:
        """Whether `single` saves time; `single_inverse` does not: the inverse of the core replaces its factor."""
        return self._plan.n_core >= _LARGE

    def _constrain(self) -> bool:
        """Restrict what was factored to the levels that obey their constraints."""
        constraints = self._constraints
        if not constraints.shape[1]:
            return True
        self._bound = np.column_stack([self._solve_free(column) for column in constraints.T])
        small = self._corner - cross(constraints, self._bound)
        sign, logdet = np.linalg.slogdet(small)
        if sign != (-1.0) ** self._n_null or not np.isfinite(logdet):
            return False
        self._unbound = np.linalg.inv(0.5 * (small + small.T))
        self._logdet += float(logdet)
        return True

    def _runs(self) -> list[tuple[int, int, int]]:
        """Stretches of small fronts, each with the large front that follows it (-1 for none)."""
        edges = np.concatenate(([-1], self._large))
        runs = [(int(a) + 1, int(b), int(b)) for a, b in pairwise(edges)]
        return [*runs, (int(edges[-1]) + 1, self._plan.n_super, -1)]

    def _factor_supernodes(self) -> bool:
        plan, pending, state = self._plan, self._pending, self._state
        stack = np.empty(self._factor_stack)
        state[:] = 0
        for begin, end, large in self._runs():
            failed = fronts.factor_fronts(
                begin, end, *self._tree, plan.panel_first, self._panel, self._core, self._local, stack,
                pending, state, self._update,
            )  # fmt: skip
            if failed >= 0:
                return False
            if large >= 0:
                fronts.assemble_front(
                    large, *self._tree, plan.panel_first, self._panel, self._local, stack, pending, state,
                    self._update,
                )  # fmt: skip
                square, below = self._views(large)
                info = lapack.dpotrf(square, lower=1, clean=0, overwrite_a=1)[1]
                if info != 0:
                    return False
                if len(below):
                    r = len(below)
                    blas.dtrsm(1.0, square, below, side=1, lower=1, trans_a=1, overwrite_b=1)
                    update = self._update[: r * r].reshape((r, r), order="F")
                    blas.dsyrk(-1.0, below, beta=1.0, c=update, lower=1, overwrite_c=1)
                fronts.pass_on(large, *self._tree, self._core, stack, pending, state, self._update)
        return True

    def _views(self, s: int) -> tuple[np.ndarray, np.ndarray]:
        """Both blocks of a panel, (w, w) and (r, w), as views."""
        lo, w, r = int(self._plan.panel_first[s]), int(self._plan.widths[s]), int(self._plan.heights[s])
        square = self._panel[lo : lo + w * w].reshape((w, w), order="F")
        below = self._panel[lo + w * w : lo + w * (w + r)].reshape((r, w), order="F")
        return square, below

    def _diagonal(self) -> np.ndarray:
        """Diagonal of the Cholesky factor."""
        plan = self._plan
        w = np.repeat(plan.widths, plan.widths)
        column = np.arange(plan.first[-1]) - np.repeat(plan.first[:-1], plan.widths)
        start = np.repeat(plan.panel_first[:-1], plan.widths)
        core = self._short if self._core_state == "single" else self._core
        return np.concatenate([self._panel[start + column * (w + 1)], np.diagonal(core)])

    def _factor_border(self, factors: list[np.ndarray]) -> bool:
        if not self._p:
            return True
        full = np.zeros(self.layout.order)
        scaled = np.empty((self._p, self._q))
        for j in range(self._p):
            full[: self._q] = self._border[:, j]
            scaled[j] = self.layout.apply_transposed(factors, full)[: self._q]
            self._solved[:, j] = self._solve_random(scaled[j])
        schur = self._fixed - scaled @ self._solved
        self._schur, info = lapack.dpotrf(0.5 * (schur + schur.T), lower=1)
        return info == 0

    @property
    def logdet(self) -> float:
        """Log determinant of H over that of the prior precision, without the profiled coefficients."""
        logdet = self._logdet - self._prior_logdet
        if self._p and not self._profiled:
            return logdet + 2.0 * float(np.log(np.diagonal(self._schur)).sum())
        return logdet

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, (q,)."""
        q = self._q
        x = np.empty_like(rhs)
        x[:q] = self._solve_random(rhs[:q])
        if self._p:
            x[q:], _ = lapack.dpotrs(self._schur, rhs[q:] - cross(self._solved, rhs[:q]), lower=1)
            x[:q] -= times(self._solved, x[q:])
        return x

    def _solve_random(self, rhs: np.ndarray) -> np.ndarray:
        x = self._solve_free(rhs)
        if self._constraints.shape[1]:
            x += times(self._bound, self._unbound @ cross(self._bound, rhs))
        return x

    def _solve_free(self, rhs: np.ndarray) -> np.ndarray:
        """Solve without regard to constraints."""
        plan = self._plan
        x = np.empty(self._q)
        x[self._position] = rhs
        fronts.forward(plan.first, plan.row_first, plan.rows, plan.panel_first, self._panel, x)
        core = slice(int(plan.first[-1]), None)
        if not plan.n_core:
            pass
        elif self._core_state == "cholesky":
            x[core], _ = lapack.dpotrs(self._core, x[core], lower=1)
        elif self._core_state == "single":
            x[core] = refined_solution(self._short, self._core, x[core], refine=self.refines)
        elif self._core_state == "inverse":
            x[core] = blas.dsymv(1.0, self._core, x[core], lower=1)
        else:
            x[core] = blas.dtrmv(self._core, blas.dtrmv(self._core, x[core], lower=1), lower=1, trans=1)
        fronts.backward(plan.first, plan.row_first, plan.rows, plan.panel_first, self._panel, x)
        return x[self._position]

    def half_solve(self, normals: np.ndarray) -> np.ndarray:
        """L'^-1 normals, (q,), L the Cholesky factor of the random part of H, constraints apart."""
        plan = self._plan
        x = normals.copy()
        core = slice(int(plan.first[-1]), None)
        if plan.n_core:
            x[core] = blas.dtrsv(self._core, x[core], lower=1, trans=1)
        fronts.backward(plan.first, plan.row_first, plan.rows, plan.panel_first, self._panel, x)
        return x[self._position]

    # ---- selected inverse -----------------------------------------------------------------------------
    def invert(self) -> None:
        """H^-1 on the pattern of Z'Z, for the calls below; nothing is done twice."""
        plan = self._plan
        if self._inverted:
            return
        self._inverted = True
        if plan.n_core and self._core_state in ("cholesky", "single"):
            self._invert_core()
        self._v = np.empty_like(self._value)
        self._invert_supernodes()
        first = self._block_first
        kernels.selected_core(first[-2], first[-1], self._core, plan.core_inverse, *self._places, self._v)
        if self._constraints.shape[1]:
            kernels.correct(*self._blocks, self._bound @ self._unbound, self._bound, self._v)
        self._v_border, self._v_fixed = np.zeros((0, 0)), np.zeros((0, 0))
        if self._p and not self._profiled:
            inverse, _ = lapack.dpotri(self._schur, lower=1)
            self._v_fixed = np.ascontiguousarray(np.tril(inverse) + np.tril(inverse, -1).T)
            self._v_border = -self._solved @ self._v_fixed
            kernels.correct(*self._blocks, -self._v_border, self._solved, self._v)

    def _invert_core(self) -> None:
        """Invert the core, or its factor, in place; it serves `solve` in its new form from here on."""
        is_single, forms_inverse = self._core_state == "single", self._plan.core_inverse
        invert = {
            (False, False): lapack.dtrtri, (False, True): lapack.dpotri,
            (True, False): lapack.strtri, (True, True): lapack.spotri,
        }[is_single, forms_inverse]  # fmt: skip
        factor = self._short if is_single else self._core
        inverse, _ = invert(factor, lower=1, overwrite_c=1)
        if is_single:
            self._core[...], self._short = inverse, _NONE
        else:
            self._core = inverse
        self._core_state = "inverse" if forms_inverse else "inverse factor"

    def _invert_supernodes(self) -> None:
        plan, pending, state = self._plan, self._pending, self._state
        widths, heights = plan.widths, plan.heights
        gain = np.empty(int(widths.max(initial=0)) * (int(heights.max(initial=0)) + 1))
        front = np.empty(int(((widths + heights) ** 2).max(initial=0)))
        column, stack = np.empty(plan.n_core), np.empty(self._inverse_stack)
        stack_first = np.zeros(plan.n_super, dtype=np.int64)
        blocks = (self._block_first, *self._places)
        kept = (plan.has_child, self._closes, stack, pending, state, stack_first)
        state[:] = 0
        for begin, end, large in reversed(self._runs()):
            if large >= 0:
                if plan.core_inverse or plan.parent[large] != plan.n_super:
                    inverses.gather_inverse(
                        large, *self._tree, self._core, plan.core_inverse, stack, pending, state, stack_first,
                        self._local, front,
                    )  # fmt: skip
                else:
                    self._multiply_core(large, front)
                self._invert_large(large, front)
                inverses.selected(large, plan.first, plan.row_first, *blocks, front, self._v)
                inverses.keep_front(large, plan.first, plan.row_first, plan.parent, *kept, front)
            inverses.invert_fronts(
                begin, end, *self._tree, plan.panel_first, self._panel, self._core, plan.core_inverse,
                self._local, *kept, gain, front, column, *blocks, self._v,
            )  # fmt: skip

    def _multiply_core(self, s: int, front: np.ndarray) -> None:
        """Form the core's inverse over the rows of front s, K'K with K its inverse triangular factor."""
        plan = self._plan
        w, d = int(plan.widths[s]), int(plan.widths[s] + plan.heights[s])
        rows = plan.rows[plan.row_first[s] : plan.row_first[s + 1]] - int(plan.first[-1])
        columns = np.asfortranarray(self._core[int(rows[0]) :, rows])  # zero above the diagonal
        lower = blas.dsyrk(1.0, columns, trans=1, lower=1)
        front[: d * d].reshape((d, d), order="F")[w:, w:] = lower + np.tril(lower, -1).T

    def _invert_large(self, s: int, front: np.ndarray) -> None:
        """Complete front s, as `inverses.invert_fronts` does, through BLAS."""
        square, below = self._views(s)
        w, d = len(square), len(square) + len(below)
        v = front[: d * d].reshape((d, d), order="F")
        inverse, _ = lapack.dtrtri(square, lower=1)
        inverse = np.tril(inverse)
        v[:w, :w] = blas.dgemm(1.0, inverse, inverse, trans_a=1)
        if d > w:
            gain = blas.dtrsm(1.0, square, below, side=1, lower=1)
            v[w:, :w] = blas.dgemm(-1.0, v[w:, w:], gain)
            v[:w, w:] = v[w:, :w].T
            v[:w, :w] -= blas.dgemm(1.0, gain, v[w:, :w], trans_a=1)

    @property
    def inverse_blocks(self) -> np.ndarray:
        """The numbers of H^-1 that `invert` found, in the places of `set_blocks`."""
        return self._v

    def factor_products(self) -> list[np.ndarray]:
        """Diagonal blocks of Z'WZ Lambda H^-1 summed over levels, (k, k) for each factor; after `invert`."""
        g = np.zeros_like(self._t)
        sizes = self.layout.sizes
        kernels.products(*self._blocks, self._t, self._value, self._v, g)
        out = [g[i, :k, :k] for i, k in enumerate(sizes)]
        if len(self._v_fixed):
            for i, f in enumerate(self._factors):
                part = slice(self.layout.offsets[i], self.layout.offsets[i + 1])
                shape = (f.n_levels, f.k, self._p)
                out[i] += np.einsum(
                    "lap,lbp->ab", self._border[part].reshape(shape), self._v_border[part].reshape(shape)
                )
            out[-1] += self._border.T @ self._scale_border() + self._fixed @ self._v_fixed
        return out

    def _scale_border(self) -> np.ndarray:
        """Lambda times the inverse between random and fixed effects, (q, p)."""
        out = np.empty_like(self._v_border)
        for i, f in enumerate(self._factors):
            part = slice(self.layout.offsets[i], self.layout.offsets[i + 1])
            blocks = self._v_border[part].reshape(f.n_levels, f.k, self._p)
            out[part] = np.matmul(self._t[i, : f.k, : f.k], blocks).reshape(-1, self._p)
        return out

    def scale_inverse(self) -> None:
        """Turn H^-1 into Lambda H^-1 Lambda', the conditional covariance of b, for the calls below."""
        self._inverted = False
        kernels.scale(*self._scaled_blocks, self._t, self._v)
        if len(self._v_fixed):
            self._v_border = self._scale_border()

    def row_covariances(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Z cov(b) Z' of the rows lo..hi, packed over predictors, into `out`; after `scale_inverse`."""
        n_columns = self._n_random_columns + len(self._v_fixed)
        out[...] = 0.0
        each = self.layout.place(lo, hi, out)
        kernels.row_covariances(
            *self.layout.runs(lo, hi), self._n_random_columns, n_columns, *self._row_arrays, self._v, self._v_border,
            self._v_fixed, each,
        )  # fmt: skip
        self.layout.spread(lo, hi, each, out)

    def level_covariances(self, factor: int) -> np.ndarray:
        """Conditional covariance of each level's coefficients, (L, k, k); after `scale_inverse`."""
        if factor == len(self._factors):
            return self._v_fixed[None].copy()
        f = self._factors[factor]
        lo = int(self._level_at[factor])
        return self._v[lo : lo + f.order * f.k].reshape(f.n_levels, f.k, f.k).copy()

    def describe(self) -> list[str]:
        """One line a factor, then what the factorisation costs."""
        plan = self._plan
        lines = [f"{f.name}: sparse, {f.n_levels} levels of {f.k}" for f in self._factors]
        if self._p:
            lines.append(f"fixed effects: border of {self._p} dense columns")
        filled = plan.factor_size - self._lower_size
        lines.append(
            f"factor: {plan.factor_size} numbers, {filled} of them fill, {plan.n_super} sparse fronts up to "
            f"order {int((plan.widths + plan.heights).max(initial=0))}, dense core of order {plan.n_core}"
        )
        return lines


def _constraints(factors: list[Factor], layout: RowLayout) -> tuple[np.ndarray, np.ndarray, int]:
    """Columns (q, c) of all constraints and of what they allow to take off, the corner (c, c), and how many bind."""
    columns, corner = [], []
    for i, f in enumerate(factors):
        if f.precision is None or not f.precision.is_singular:
            continue
        for part, weight in ((f.precision.null, 0.0), (f.precision.pin, 1.0)):
            block = np.zeros((int(layout.offsets[len(factors)]), part.shape[1] * f.k))
            block[layout.offsets[i] : layout.offsets[i + 1]] = np.kron(part, np.eye(f.k))
            columns.append(block)
            corner += [weight] * block.shape[1]
    if not columns:
        return np.zeros((0, 0)), np.zeros((0, 0)), 0
    return np.hstack(columns), np.diag(corner), corner.count(0.0)
