"""One factor whose coefficients form a first-order autoregressive chain in each level, each row at one of them.

With T = s C, C the factor of a chain of unit variance and correlation rho, H = I + s^2 C'MC and M = Z'WZ diagonal. The
inverse of C C' is tridiagonal, and so is what has to be factored: with c = 1 - rho^2 and f_i the information up to
coefficient i,

    f_i = s^2 m_i + rho^2 f_(i-1) / (1 + c f_(i-1)),   log|H| = sum_(i<k) log(1 + c f_i) + log(1 + f_k),

which is exact for s = 0 and loses no digits as rho goes to one. All of it takes time proportional to the number of
coefficients, where a full block takes its cube; blocks of the inverse take the square.

All other factors, and fixed effects where they belong to the system, are a border of E dense columns: with W = H_r^-1 B
the solved border, S = F - B'W is their Schur complement.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from glmmcore.engines import _chain_kernels as kernels
from glmmcore.engines.bordered import BorderedSystem
from glmmcore.engines.layout import RowLayout

__all__ = ["ChainSystem", "is_chain"]


def is_chain(layout: RowLayout) -> bool:
    """Whether the rows fit: one predictor, at most one coefficient of the leading factor a row."""
    lead = layout.factors[0]
    if lead.prior == 0.0 or layout.predictor.max(initial=0) > 0:
        return False
    return bool(np.count_nonzero(layout.z[:, : lead.k], axis=1).max(initial=0) <= 1)


class ChainSystem(BorderedSystem):
    """The Hessian of the spherical random effects; used as `BlockedSystem` is.

    Parameters
    ----------
    layout : RowLayout
        With ``is_chain(layout)``, and a chain for its leading factor.
    n_profiled : int
        Number of fixed effects, the last coefficients, that take part in `solve` only.
    """

    def __init__(self, layout: RowLayout, n_profiled: int = 0) -> None:
        self._k = layout.factors[0].k
        super().__init__(layout, n_profiled)

    def _set_layout(self, layout: RowLayout) -> None:
        self.layout = layout
        z = layout.z[:, : self._k]
        column = np.abs(z).argmax(axis=1)
        self._z = np.ascontiguousarray(z[np.arange(len(z)), column])
        self._at = layout.start[:, 0].astype(np.int64) + column
        # columns of the border that each run meets, and with what
        other = slice(self._k, None)
        first = layout.start[:, layout.factor[other]].astype(np.int64)
        self._columns = np.ascontiguousarray(first + layout.within[other] - self._q)
        self._x = np.ascontiguousarray(layout.z[:, other])

    def _allocate(self) -> None:
        super()._allocate()
        q, u = self._q, self._used
        self._pivot = np.ones(q)
        self._v_border, self._v_corner = np.zeros((q, u)), np.zeros((u, u))
        self._scale, self._rho, self._innovation = 0.0, 0.0, 1.0
        self._factors = [np.zeros((f.k, f.k)) for f in self.layout.factors]

    # ---- build ------------------------------------------------------------------------------------------------
    def add(self, lo: int, hi: int, weights: np.ndarray, values: np.ndarray, score: np.ndarray) -> None:
        """Add the rows lo..hi to Z'WZ, and Z' values to `score` (q,); see `BlockedSystem.add`."""
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        w, v = (np.ascontiguousarray(rows.sums(lo, hi, each)[0]) for each in (weights, values))
        kernels.accumulate(
            begin, end, self._z, self._at, self._x, self._columns, w, v, self._diagonal, self._border, self._corner,
            score,
        )  # fmt: skip

    # ---- factor and solve -------------------------------------------------------------------------------------
    @np.errstate(over="ignore", invalid="ignore")  # weights far outside are refused below
    def factorise(self, factors: list[np.ndarray]) -> bool:
        """Factor H for the relative factors T of every factor; False when it is not positive definite."""
        self._factors = factors
        t = factors[0]
        self._scale = float(t[0, 0])
        # without a standard deviation there is nothing to correlate
        self._rho = float(t[1, 0] / self._scale) if self._scale != 0.0 else 0.0
        self._innovation = float(np.square(t[1, 1] / self._scale)) if self._scale != 0.0 else 1.0
        weight = self._scale**2 * self._diagonal
        self._logdet, failed = kernels.filter_chains(self._k, weight, self._rho, self._innovation, self._pivot)
        if failed >= 0:
            return False
        if not self._e:
            return True
        scaled = self._scale_columns(self._lead(self._border, t.T))
        self._solved = np.column_stack([self._solve_lead(column) for column in scaled.T])
        schur = self._scale_columns(self._scale_columns(self._corner).T) - scaled.T @ self._solved
        schur[np.diag_indices(self._e)] += self._prior
        if not np.all(np.isfinite(schur)):
            return False
        self._schur, info = lapack.dpotrf(0.5 * (schur + schur.T), lower=1)
        return info == 0

    def _lead(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """T times every level's rows of x (q, ...)."""
        return np.asarray(np.matmul(t, x.reshape(-1, self._k, x.shape[1])).reshape(x.shape))

    def _scale_columns(self, x: np.ndarray) -> np.ndarray:
        """X Lambda for the columns of the border, (..., E), or of its first factors."""
        return self._by_column(x, self._factors[1:])

    def _by_column(self, x: np.ndarray, right: list[np.ndarray]) -> np.ndarray:
        out = np.empty_like(x)
        for (where, k), t in zip(self._others, right, strict=True):
            if where.stop <= x.shape[1]:
                out[:, where] = (x[:, where].reshape(len(x), -1, k) @ t).reshape(len(x), -1)
        return out

    @property
    def logdet(self) -> float:
        """Log determinant of H without the profiled coefficients."""
        return float(self._logdet) + 2.0 * float(np.log(np.diagonal(self._schur)[: self._used]).sum())

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, (q,)."""
        q = self._q
        x = np.empty_like(rhs)
        x[:q] = self._solve_lead(rhs[:q])
        if self._e:
            x[q:], _ = lapack.dpotrs(self._schur, rhs[q:] - self._solved.T @ rhs[:q], lower=1)
            x[:q] -= self._solved @ x[q:]
        return x

    def _solve_lead(self, rhs: np.ndarray) -> np.ndarray:
        out = np.empty(self._q)
        kernels.solve_chains(self._k, self._rho, self._innovation, self._pivot, np.ascontiguousarray(rhs), out)
        return out

    # ---- selected inverse -------------------------------------------------------------------------------------
    def invert(self) -> None:
        """What the calls below read of H^-1."""
        self._total, self._variance = np.zeros((self._k, self._k)), np.empty(self._q)
        kernels.sum_blocks(
            self._k, self._rho, self._innovation, self._pivot, self._diagonal, self._variance, self._total
        )
        u = self._used
        if u:
            # a leading part of the factor is the factor of the leading part
            inverse, _ = lapack.dpotri(np.asfortranarray(self._schur[:u, :u]), lower=1)
            self._v_corner = np.tril(inverse) + np.tril(inverse, -1).T
            self._v_border = -self._solved[:, :u] @ self._v_corner

    def factor_products(self) -> list[np.ndarray]:
        """Sum over levels of the diagonal blocks of Z'WZ Lambda H^-1, one (k, k) array a factor; after `invert`."""
        # M T H_r^-1 = s M V C^-T, and C^-1 has two diagonals
        lead = self._scale * self._total
        lead[:, 1:] = (lead[:, 1:] - self._rho * lead[:, :-1]) / np.sqrt(self._innovation)
        out = [lead] + [np.zeros((k, k)) for _, k in self._others]
        u = self._used
        if not u:
            return out
        border, corner = (self._scale_columns(m[:, :u]) for m in (self._border, self._corner[:u]))
        moved = self._lead(self._v_border, self._factors[0])
        lead -= self._sum_outer(self._diagonal[:, None] * moved, self._solved[:, :u])
        lead += self._sum_outer(border, self._v_border)
        full = self._border[:, :u].T @ moved + corner @ self._v_corner
        for i, (where, _) in enumerate(self._others):
            if where.stop <= u:
                out[1 + i] = self._blocks(full, i).sum(axis=0)
        return out

    def _sum_outer(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Sum over levels of left_j right_j', (k, k)."""
        shape = (-1, self._k, left.shape[1])
        return np.asarray(np.tensordot(left.reshape(shape), right.reshape(shape), axes=([0, 2], [0, 2])))

    def _blocks(self, full: np.ndarray, i: int) -> np.ndarray:
        """Diagonal blocks of the levels of the i-th of the other factors, (L, k, k)."""
        where, k = self._others[i]
        index = np.arange(where.start, where.stop).reshape(-1, k)
        return full[index[:, :, None], index[:, None, :]]

    def scale_inverse(self) -> None:
        """Turn H^-1 into Lambda H^-1 Lambda', the conditional covariance of b, for the calls below."""
        self._variance *= self._scale**2
        u = self._used
        if u:
            transposed = [t.T for t in self._factors[1:]]
            self._scaled_solved = self._lead(self._solved[:, :u], self._factors[0])
            self._scaled_border = self._lead(self._v_border, self._factors[0])
            self._cross = self._by_column(self._scaled_border, transposed)
            self._corner_covariance = self._by_column(self._by_column(self._v_corner, transposed).T, transposed)

    def row_covariances(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Z cov(b) Z' of the rows lo..hi, (1, hi - lo), into `out`; after `scale_inverse`."""
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        out[...] = 0.0
        each = rows.place(lo, hi, out)
        at, z = self._at[begin:end], self._z[begin:end]
        variance = self._variance
        if self._used:
            variance = variance - np.einsum("qe,qe->q", self._scaled_border, self._scaled_solved)
        each[0] += np.square(z) * variance[at]
        if self._used:
            # profiled columns, the last ones, are left out
            met = int(np.count_nonzero(self._columns[0] < self._used)) if len(self._columns) else 0
            columns, x = self._columns[begin:end, :met], self._x[begin:end, :met]
            each[0] += 2.0 * z * np.einsum("ic,ic->i", self._cross[at[:, None], columns], x)
            inner = self._corner_covariance[columns[:, :, None], columns[:, None, :]]
            each[0] += np.einsum("ic,icd,id->i", x, inner, x)
        rows.spread(lo, hi, each, out)

    def level_covariances(self, factor: int) -> np.ndarray:
        """Conditional covariance of each level's coefficients, (L, k, k); after `scale_inverse`."""
        if factor:
            return self._blocks(self._corner_covariance, factor - 1)
        blocks = np.empty((self._q // self._k, self._k, self._k))
        kernels.smoothed_blocks(self._k, self._rho, self._innovation, self._pivot, blocks)
        blocks *= self._scale**2
        if self._used:
            shape = (-1, self._k, self._used)
            left, right = self._scaled_border.reshape(shape), self._scaled_solved.reshape(shape)
            blocks -= np.matmul(left, right.transpose(0, 2, 1))
        return blocks

    def describe(self) -> list[str]:
        """One line a block."""
        lead = self.layout.factors[0]
        lines = [f"{lead.name}: autoregressive, tridiagonal, {lead.n_levels} levels of {self._k}"]
        if self._e:
            names = ", ".join(f"{f.name} ({f.order})" for f in self.layout.factors[1:])
            lines.append(f"{names}: border of {self._e} dense columns")
        return lines
