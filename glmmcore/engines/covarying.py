"""A leading factor all of whose effects covary, each row at one of them, and a border of dense columns.

The effects are places, times or the like, one a level, or chains of k times, one chain a level. A root Lambda of their
covariance (`roots`) takes the place of one small T a level, and with D = Z'WZ diagonal the leading block of H is
I + Lambda'D Lambda (`leads`): tridiagonal algebra for chains, in time proportional to the number of effects, dense for
fields, sparse for fields of many places.

All other factors, and fixed effects where they belong to the system, are a border of E dense columns B, with corner C,
multiplied by their own relative factors Lambda_b: with W = H_r^-1 Lambda'B Lambda_b the solved border,
S = I + Lambda_b'C Lambda_b - (Lambda'B Lambda_b)'W is their Schur complement.

With M = Z'WZ and V = Lambda H^-1 Lambda' what gradients need is M - M V M: P - K S^-1 K' for the leading factor,
where P is its own and K = B Lambda_b - D Lambda W, so that Lambda'K = W; and C_0 - C_0 Lambda_b S^-1 Lambda_b'C_0 for
the border, where C_0 = C - B'V_0 B.

Where blocks of the leading factor are independent and meet few columns of the border each, arrays with a row for every
level of it have these columns only (`border`): S and what is of its size remain dense.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy.linalg import lapack

from glmmcore.engines import _covarying_kernels as kernels
from glmmcore.engines.border import WholeBorder, border_of
from glmmcore.engines.contract import Engine
from glmmcore.engines.layout import RelativeFactor, RowLayout
from glmmcore.engines.leads import Lead, LineLead, lead_of
from glmmcore.engines.roots import LevelRoot

__all__ = ["CovaryingSystem"]


class CovaryingSystem(Engine):
    """The Hessian of the spherical random effects; used as `BlockedSystem` is.

    Parameters
    ----------
    layout : RowLayout
        Each row meets at most one coefficient of the first factor, in a predictor that all of these share; one a level
        where levels covary. Levels of other factors may covary too.
    n_profiled : int
        Number of fixed effects, the last coefficients, that take part in `solve` only.
    border : WholeBorder, optional
        Columns in rows of the leading factor, when they are known already.
    """

    def __init__(self, layout: RowLayout, n_profiled: int = 0, border: WholeBorder | None = None) -> None:
        self._border_columns = border_of(layout, n_profiled) if border is None else border
        self._q = layout.factors[0].order
        self._e = layout.order - self._q
        self._used = self._e - n_profiled
        self._prior = layout.prior[self._q :]
        self._set_layout(layout)
        self._allocate()

    def _set_layout(self, layout: RowLayout) -> None:
        self.layout = layout
        k = self._k = layout.factors[0].k
        self._lead_predictor = int(layout.predictor[0])
        self._predictor = np.ascontiguousarray(layout.predictor[k:], dtype=np.int64)
        column = np.abs(layout.z[:, :k]).argmax(axis=1)
        self._z = np.ascontiguousarray(layout.z[np.arange(len(column)), column])
        self._at = layout.start[:, 0].astype(np.int64) + column
        # with what each run meets its columns of the border
        self._x = np.ascontiguousarray(layout.z[:, k:])

    def _allocate(self) -> None:
        q, e, m = self._q, self._e, self._border_columns.width
        self._diagonal, self._border, self._corner = np.zeros(q), np.zeros((q, m)), np.zeros((e, e))
        self._solved, self._schur = np.zeros((q, m)), np.zeros((e, e))
        self._lead: Lead | None = None
        self._factors: list[RelativeFactor] = []
        self._weighed: np.ndarray | None = None

    # ---- build ------------------------------------------------------------------------------------------------
    @property
    def _sums(self) -> tuple[np.ndarray, ...]:
        return self._diagonal, self._border, self._corner

    def add(self, lo: int, hi: int, weights: np.ndarray, values: np.ndarray, score: np.ndarray) -> None:
        """Add the rows lo..hi to Z'WZ, and Z' values to `score` (q,); see `BlockedSystem.add`."""
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        w, v = (np.ascontiguousarray(rows.sums(lo, hi, each)) for each in (weights, values))
        kernels.accumulate(
            begin, end, self._z, self._at, self._lead_predictor, self._x, self._border_columns.columns,
            self._border_columns.places, self._predictor, w, v, self._diagonal,
            self._border, self._corner, score,
        )  # fmt: skip

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Z'WZ x, (q + E,)."""
        q, border = self._q, self._border_columns
        out = np.empty_like(x)
        out[:q] = self._diagonal * x[:q] + border.pushed(self._border, x[q:])
        out[q:] = border.pulled(self._border, x[:q]) + self._corner @ x[q:]
        return out

    # ---- factor and solve -------------------------------------------------------------------------------------
    @property
    def _root(self) -> LevelRoot:
        return cast("LevelRoot", self._factors[0])

    @property
    def _led(self) -> Lead:
        assert self._lead is not None
        return self._lead

    @np.errstate(over="ignore", invalid="ignore")  # weights far outside are refused below
    def factorise(self, factors: list[RelativeFactor]) -> bool:
        """Factor H for the relative factors of every factor; False when it is not positive definite."""
        self._factors = factors
        if not np.all(np.isfinite(self._diagonal)):
            return False
        self._lead = lead_of(self._root, self._diagonal)
        if self._lead is None:
            return False
        if not self._e:
            return True
        scaled = self._root.apply_transposed(self._times_rows(self._border))
        self._solved = self._lead.solve(scaled)
        explained = self._border_columns.products(scaled, self._solved)
        schur = self._times_border(self._times_border(self._corner).T) - explained
        schur[np.diag_indices(self._e)] += self._prior
        if not np.all(np.isfinite(schur)):
            return False
        self._schur, info = lapack.dpotrf(0.5 * (schur + schur.T), lower=1, clean=1)
        return bool(info == 0)

    def _times_border(self, x: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """X Lambda_b, or X Lambda_b', for the columns of the border, (..., E), or of its first factors."""
        return self._times(x, self._border_columns.spans, transposed)

    def _times_rows(self, x: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """The same for rows of the leading factor, (q, m)."""
        return self._times(x, self._border_columns.row_spans, transposed)

    def _times(self, x: np.ndarray, spans: list[tuple[slice, int]], transposed: bool) -> np.ndarray:
        out = np.empty(x.shape)
        for (where, k), t in zip(spans, self._factors[1:], strict=True):
            if where.stop <= x.shape[1]:
                own = x[:, where]
                if isinstance(t, np.ndarray):
                    out[:, where] = (own.reshape(-1, k) @ (t.T if transposed else t)).reshape(len(x), -1)
                else:
                    times = t.apply if transposed else t.apply_transposed
                    out[:, where] = times(np.ascontiguousarray(own.T)).T
        return out

    @property
    def logdet(self) -> float:
        """Log determinant of H without the profiled coefficients."""
        return self._led.logdet + 2.0 * float(np.log(np.diagonal(self._schur)[: self._used]).sum())

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, (q,); NaN after a factorisation that failed."""
        q = self._q
        if self._lead is None:
            return np.full_like(rhs, np.nan)
        x = np.empty_like(rhs)
        x[:q] = self._led.solve(np.ascontiguousarray(rhs[:q]))
        if self._e:
            border = self._border_columns
            x[q:], _ = lapack.dpotrs(self._schur, rhs[q:] - border.pulled(self._solved, rhs[:q]), lower=1)
            x[:q] -= border.pushed(self._solved, x[q:])
        return x

    # ---- selected inverse -------------------------------------------------------------------------------------
    def invert(self) -> None:
        """What the calls below read of H^-1."""
        u = self._used
        self._inverse = np.zeros((u, u))
        if u:
            # a leading part of the factor is the factor of the leading part
            lower, _ = lapack.dpotri(np.asfortranarray(self._schur[:u, :u]), lower=1)
            self._inverse = np.tril(lower) + np.tril(lower, -1).T
            used = np.ascontiguousarray(self._solved[:, : self._border_columns.used])
            self._moved = self._root.apply(used)

    def factor_products(self) -> list[Any]:
        """Per factor: the sum over levels of Z'WZ Lambda H^-1, (k, k), or G where levels covary; after `invert`."""
        u, lead = self._used, self._led
        slope = lead.slope()
        out: list[Any] = [slope] + [np.zeros((k, k)) for _, k in self._border_columns.spans]
        if not u:
            return out
        border, m = self._border_columns, self._border_columns.used
        own_rows = np.ascontiguousarray(self._border[:, :m])
        reduced = self._times_rows(own_rows) - self._diagonal[:, None] * self._moved
        lead.subtract(slope, reduced, self._solved[:, :m], lambda rows: border.weighted(rows, self._inverse))
        explained = self._root.apply(lead.solve(self._root.apply_transposed(own_rows)))
        own = self._corner[:u, :u] - border.products(own_rows, explained)
        turned = self._times_border(own)
        products = turned @ self._inverse
        for i, (where, k) in enumerate(self._border_columns.spans):
            if where.stop > u:
                continue
            t = self._factors[1 + i]
            if isinstance(t, np.ndarray):
                index = np.arange(where.start, where.stop).reshape(-1, k)
                out[1 + i] = products[index[:, :, None], index[:, None, :]].sum(axis=0)
            else:
                out[1 + i] = t.slope(np.ascontiguousarray(own[where, where] - products[where] @ turned[where].T))
        return out

    def scale_inverse(self) -> None:
        """Turn H^-1 into Lambda H^-1 Lambda', the conditional covariance of b, for the calls below."""
        self._variance = self._led.variance()
        u, border = self._used, self._border_columns
        self._cross, self._covariance = np.zeros((self._q, border.used)), np.zeros((u, u))
        if u:
            weighed = border.weighted(self._moved, self._inverse)
            self._variance = self._variance + np.einsum("qm,qm->q", weighed, self._moved)
            self._cross = -self._times_rows(weighed, transposed=True)
            self._weighed = weighed if self._k > 1 else None  # only blocks of chains need it again
            half = self._times_border(self._inverse, transposed=True)
            self._covariance = np.ascontiguousarray(self._times_border(half.T, transposed=True))

    def row_covariances(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Z cov(b) Z' of the rows lo..hi, packed lower triangle over predictors, into `out`; after `scale_inverse`."""
        rows = self.layout
        begin, end = rows.runs(lo, hi)
        out[...] = 0.0
        each = rows.place(lo, hi, out)
        kernels.row_covariances(
            begin, end, self._z, self._at, self._lead_predictor, self._x, self._border_columns.columns,
            self._border_columns.places, self._predictor, self._variance, self._cross, self._covariance, each,
        )  # fmt: skip
        rows.spread(lo, hi, each, out)

    def level_covariances(self, factor: int) -> np.ndarray:
        """Conditional covariance of each level's coefficients, (L, k, k); after `scale_inverse`."""
        if not factor and self._k == 1:
            return self._variance[:, None, None].copy()
        if not factor:
            blocks = cast("LineLead", self._led).level_blocks(self._k)
            if self._weighed is not None:
                shape = (-1, self._k, self._weighed.shape[1])
                blocks += np.matmul(self._weighed.reshape(shape), self._moved.reshape(shape).transpose(0, 2, 1))
            return blocks
        where, k = self._border_columns.spans[factor - 1]
        index = np.arange(where.start, where.stop).reshape(-1, k)
        return self._covariance[index[:, :, None], index[:, None, :]]

    def describe(self) -> list[str]:
        """One line a block."""
        lead = self.layout.factors[0]
        if lead.covarying is None:
            lines = [f"{lead.name}: autoregressive, tridiagonal, {lead.n_levels} levels of {self._k}"]
        else:
            kind = "tridiagonal" if lead.covarying == "line" else lead.covarying
            lines = [f"{lead.name}: {kind}, {self._q} levels that covary"]
        if self._e:
            names = ", ".join(f"{f.name} ({f.order})" for f in self.layout.factors[1:])
            few = "" if self._border_columns.width == self._e else f", {self._border_columns.width} a block"
            lines.append(f"{names}: border of {self._e} dense columns{few}")
        return lines
