"""Rows sorted by their levels, with the left-hand sides of all factors side by side.

Rows that are equal in Z follow each other and are kept as one run: intercepts alone make a run of every combination of
levels, however many rows it has.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from glmmcore.engines import _row_kernels as kernels
from glmmcore.engines.precision import Precision
from glmmcore.engines.roots import RootChange, Slope

__all__ = ["Factor", "RelativeFactor", "RowLayout", "relative_change"]

RelativeFactor: TypeAlias = Any
"""T of one level, (k, k), or a root of the covariance of all effects of a factor where its levels covary.

Engines that know independent levels only get and return arrays, which a list of either kind could not say.
"""

# Equal rows are kept as runs if there are at most this share as many runs as rows, and at least so many fewer;
# otherwise summing over runs and spreading to rows cost more than they save.
_SHARE = 0.5
_SAVED = 2000
# Rows are sorted by their left-hand sides too where these are so few and take so few values.
_FEW, _VALUES = 4, 64


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """All random coefficients of one grouping factor, or the fixed effects as a factor of one level.

    Attributes
    ----------
    name : str
        As printed.
    codes : ndarray of int32, shape (n,)
        Level of each row.
    n_levels : int
    z : ndarray, shape (n, k)
        Left-hand sides of the factor's terms side by side.
    predictor : ndarray of int32, shape (k,)
        Index, among the linear predictors with random effects, of each column.
    prior : float
        Prior precision of the spherical coefficients: 1 for random effects, 0 for integrated fixed effects.
    precision : Precision, optional
        Prior precision Q of the levels where they covary: that of the spherical coefficients, level by level, is the
        Kronecker product of Q and I.
    covarying : {"line", "dense", "sparse"}, optional
        How levels with one coefficient each covary through a relative factor of their own, a `LevelRoot`.
    dense_entries : int
        Numbers in the dense blocks of the covariance of such levels.
    blocks : ndarray of int64, shape (blocks + 1,), optional
        First level of each block of such levels that is independent of the others, and their number.
    """

    name: str
    codes: np.ndarray
    n_levels: int
    z: np.ndarray
    predictor: np.ndarray
    prior: float = 1.0
    precision: Precision | None = None
    covarying: str | None = None
    dense_entries: int = 0
    blocks: np.ndarray | None = None

    @property
    def k(self) -> int:
        """Coefficients per level."""
        return self.z.shape[1]

    @property
    def order(self) -> int:
        """Coefficients in all."""
        return self.n_levels * self.k


class RowLayout:
    """Row arrays shared by the engines; everything it returns and takes is in its own row order.

    Parameters
    ----------
    factors : list of Factor
        The leading one first.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Position in the original data of each sorted row.
    first : ndarray of int64, shape (R + 1,)
        First row of each run, and n.
    z : ndarray, shape (R, K)
        Left-hand sides of each run.
    start : ndarray of int32, shape (R, F)
        First coefficient of each run's level of each factor.
    n, n_runs : int
        Number of rows, and of runs R.
    offsets : ndarray of int64, shape (F + 1,)
        First coefficient of each factor, and their total.
    """

    def __init__(self, factors: list[Factor]) -> None:
        self.n = len(factors[0].codes)
        self.rows = _sorted_rows(factors)
        self.offsets = np.concatenate(([0], np.cumsum([f.order for f in factors]))).astype(np.int64)
        self.sizes = np.array([f.k for f in factors], dtype=np.int32)
        self._spans = [(lo, lo + f.order, f.k) for lo, f in zip(self.offsets.tolist(), factors, strict=False)]
        z = np.empty((self.n, int(self.sizes.sum())))
        start = np.empty((self.n, len(factors)), dtype=np.int32)
        column = 0
        for i, f in enumerate(factors):
            z[:, column : column + f.k] = f.z[self.rows]
            start[:, i] = self.offsets[i] + f.codes[self.rows].astype(np.int64) * f.k
            column += f.k
        new = _changes(start) | _changes(z)
        n_runs = np.count_nonzero(new)
        if n_runs > _SHARE * self.n or self.n - n_runs < _SAVED:
            new = np.ones(self.n, dtype=bool)
        self.first = np.append(np.flatnonzero(new), self.n).astype(np.int64)
        self.n_runs = len(self.first) - 1
        self._has_runs = self.n_runs < self.n
        self._known: dict[tuple[int, int], tuple[int, int]] = {}
        self.z: np.ndarray = z[new] if self._has_runs else z
        self.start: np.ndarray = start[new] if self._has_runs else start
        # the sorted arrays above are all that is needed from here on
        self.factors = [replace(f, codes=f.codes[:0], z=f.z[:0].copy()) for f in factors]
        self.predictor = np.concatenate([f.predictor for f in factors]).astype(np.int32)
        self.factor = np.repeat(np.arange(len(factors), dtype=np.int32), self.sizes)
        self.within = np.concatenate([np.arange(k) for k in self.sizes]).astype(np.int32)
        self._prior = np.repeat([f.prior for f in factors], np.diff(self.offsets)).astype(float)
        self._precisions = {i: f.precision.matrix() for i, f in enumerate(factors) if f.precision is not None}

    def with_rows(self, chosen: np.ndarray, first: np.ndarray) -> RowLayout:
        """The same runs with some of their rows, in order; `first` (R + 1,) counts the chosen rows."""
        other = copy.copy(self)
        other.n, other.rows, other.first = len(chosen), self.rows[chosen], first
        other._has_runs, other._known = True, {}
        return other

    def runs(self, lo: int, hi: int) -> tuple[int, int]:
        """First run of the rows lo..hi, and the one after the last."""
        if not self._has_runs:
            return lo, hi
        if (lo, hi) not in self._known:
            begin = int(np.searchsorted(self.first, lo, side="right")) - 1
            self._known[lo, hi] = begin, int(np.searchsorted(self.first, hi, side="left"))
        return self._known[lo, hi]

    def sums(self, lo: int, hi: int, values: np.ndarray) -> np.ndarray:
        """Sums over the runs of the rows lo..hi of values (m, hi - lo)."""
        if not self._has_runs:
            return values
        begin, end = self.runs(lo, hi)
        out = np.empty((len(values), end - begin))
        kernels.sum_runs(lo, self.first, begin, values, out)
        return out

    def place(self, lo: int, hi: int, out: np.ndarray) -> np.ndarray:
        """Where to add what belongs to the runs of the rows lo..hi, before `spread` takes it to `out` (m, hi - lo)."""
        if not self._has_runs:
            return out
        begin, end = self.runs(lo, hi)
        return np.zeros((len(out), end - begin))

    def spread(self, lo: int, hi: int, values: np.ndarray, out: np.ndarray) -> None:
        """Add the values (m, runs) of the runs of the rows lo..hi to `out` (m, hi - lo)."""
        if values is not out:
            kernels.spread_runs(lo, self.first, self.runs(lo, hi)[0], values, out)

    def of_rows(self, values: np.ndarray) -> np.ndarray:
        """What belongs to runs, (R, ...), for each row, (n, ...); the same array where each row is a run."""
        return np.repeat(values, np.diff(self.first), axis=0) if self._has_runs else values

    @property
    def order(self) -> int:
        """Number of coefficients q."""
        return int(self.offsets[-1])

    @property
    def prior(self) -> np.ndarray:
        """Prior precision of each coefficient where levels do not covary, (q,)."""
        return self._prior

    @property
    def has_covarying_levels(self) -> bool:
        """Whether a factor's levels covary."""
        return bool(self._precisions)

    def n_levels(self, factor: int) -> int:
        """How many levels of a factor there are; those with rows where levels covary."""
        known = self.factors[factor].precision is not None
        return len(np.unique(self.start[:, factor])) if known else self.factors[factor].n_levels

    def penalty(self, u: np.ndarray) -> np.ndarray:
        """Prior precision times u, (q,)."""
        out = self._prior * u
        for i, matrix in self._precisions.items():
            own, pin = self.by_level(u, i), self.factors[i].precision.pin  # type: ignore[union-attr]
            product = matrix @ own
            if pin.size:
                product -= pin @ (pin.T @ own)
            self.by_level(out, i)[...] = product
        return out

    def add_random_part(self, lo: int, hi: int, b: np.ndarray, out: np.ndarray) -> None:
        """Add Z b of the rows lo..hi to `out` (m, hi - lo)."""
        begin, end = self.runs(lo, hi)
        each = self.place(lo, hi, out)
        z, start = self.z, self.start
        if len(out) != 1:
            kernels.add_random_part(begin, end, z, self.predictor, self.factor, self.within, start, b, each)
        elif z.shape[1] == start.shape[1] == 2:
            kernels.add_two_intercepts(begin, end, z, start, b, each)
        else:
            kernels.add_random_part_of_one(begin, end, z, self.factor, self.within, start, b, each)
        self.spread(lo, hi, each, out)

    def add_score(self, lo: int, hi: int, values: np.ndarray, out: np.ndarray) -> None:
        """Add Z' values of the rows lo..hi, values (m, hi - lo), to `out` (q,)."""
        self._add_score(lo, hi, self.z, values, out)

    def add_information(self, lo: int, hi: int, values: np.ndarray, out: np.ndarray) -> None:
        """Add (Z squared)' values of the rows lo..hi, values (m, hi - lo), to `out` (q,)."""
        self._add_score(lo, hi, np.square(self.z), values, out)

    def level_products(self, factor: int, weights: np.ndarray) -> np.ndarray:
        """Z'WZ of the coefficients of each level of a factor, (L, k, k), for weights of rows (n,)."""
        first, k = int(self.sizes[:factor].sum()), int(self.sizes[factor])
        level = (self.start[:, factor] - self.offsets[factor]) // k
        total = self.sums(0, self.n, weights[None])[0]
        out = np.empty((self.factors[factor].n_levels, k, k))
        for a in range(k):
            weighted = self.z[:, first + a] * total
            for b in range(a + 1):
                own = np.bincount(level, weighted * self.z[:, first + b], minlength=len(out))
                out[:, a, b] = out[:, b, a] = own
        return out

    def _add_score(self, lo: int, hi: int, z: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
        begin, end = self.runs(lo, hi)
        total = self.sums(lo, hi, values)
        if len(total) != 1:
            kernels.add_score(begin, end, z, self.predictor, self.factor, self.within, self.start, total, out)
        elif z.shape[1] == self.start.shape[1]:
            kernels.add_score_of_intercepts(begin, end, z, self.start, total, out)
        else:
            kernels.add_score_of_one(begin, end, z, self.factor, self.within, self.start, total, out)

    def by_level(self, x: np.ndarray, factor: int) -> np.ndarray:
        """View of one factor's coefficients in x (q,), (L, k)."""
        lo, hi, k = self._spans[factor]
        return x[lo:hi].reshape(-1, k)

    def apply_factors(self, factors: Sequence[RelativeFactor], u: np.ndarray) -> np.ndarray:
        """b = Lambda u, (q,)."""
        out = np.empty_like(u)
        for (lo, hi, k), t in zip(self._spans, factors, strict=True):
            if isinstance(t, np.ndarray):
                _by_level(u[lo:hi], t.T, k, out[lo:hi])
            else:
                out[lo:hi] = t.apply(u[lo:hi])
        return out

    def apply_transposed(self, factors: Sequence[RelativeFactor], x: np.ndarray) -> np.ndarray:
        """Lambda' x, (q,)."""
        out = np.empty_like(x)
        for (lo, hi, k), t in zip(self._spans, factors, strict=True):
            if isinstance(t, np.ndarray):
                _by_level(x[lo:hi], t, k, out[lo:hi])
            else:
                out[lo:hi] = t.apply_transposed(x[lo:hi])
        return out

    def add_outer(
        self,
        slopes: Sequence[np.ndarray | Slope],
        left: np.ndarray,
        right: np.ndarray,
        dual: np.ndarray,
        times: float = 1.0,
    ) -> None:
        """Add times the sum over levels of left_j right_j' to each factor's slope; ``right = Lambda' dual``.

        Where levels covary, G takes ``left dual'`` and all that is added must be symmetric in the end.
        """
        for (lo, hi, k), slope in zip(self._spans, slopes, strict=True):
            if isinstance(slope, np.ndarray):
                slope += times * (left[lo:hi].reshape(-1, k).T @ right[lo:hi].reshape(-1, k))
            else:
                own = left[lo:hi]
                slope.add(own, own if dual is left else dual[lo:hi], times)

    @staticmethod
    def trace(factors: Sequence[RelativeFactor], products: Sequence[np.ndarray | Slope]) -> float:
        """Trace of Lambda' Z'WZ Lambda H^-1, from the `factor_products` of a system."""
        return float(
            sum(np.vdot(t, g) if isinstance(g, np.ndarray) else g.trace for t, g in zip(factors, products, strict=True))
        )


def relative_change(new: Sequence[RelativeFactor], old: Sequence[RelativeFactor]) -> list[RelativeFactor]:
    """Differences of relative factors."""
    return [
        a - b if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) else RootChange(a, b)
        for a, b in zip(new, old, strict=True)
    ]


def _by_level(x: np.ndarray, right: np.ndarray, k: int, out: np.ndarray) -> None:
    """Rows of x, k numbers a level, times a matrix (k, k)."""
    if k == 1:
        np.multiply(x, right[0, 0], out=out)
    else:
        np.matmul(x.reshape(-1, k), right, out=out.reshape(-1, k))


def _sorted_rows(factors: list[Factor]) -> np.ndarray:
    """Order of the rows by the level of the first factor, then of the second, ..., then by left-hand sides."""
    rows = None
    keys = [(f.codes, f.n_levels) for f in factors if f.n_levels > 1 or f is factors[0]]
    for codes, n_levels in reversed(keys + _repeated_values(factors)):
        own = codes if rows is None else codes[rows]
        order, _ = kernels.sort_rows(np.ascontiguousarray(own, dtype=np.int32), n_levels)
        rows = order if rows is None else rows[order]
    assert rows is not None
    return rows


def _repeated_values(factors: list[Factor]) -> list[tuple[np.ndarray, int]]:
    """Codes of the left-hand sides, and how many, where all of them take few values: a treatment, a year.

    Fixed effects as a factor are left-hand sides too, seldom of few values.
    """
    n = len(factors[0].codes)
    columns = [z for f in factors for z in f.z.T]
    if n <= _SAVED or len(columns) > _FEW or any(f.prior == 0.0 for f in factors):
        return []
    keys = []
    for z in columns:
        values = np.unique(z[:: n // _SAVED])
        if len(values) > _VALUES:
            return []
        if len(values) == 1 and np.all(z == values[0]):
            continue
        codes = np.minimum(np.searchsorted(values, z), len(values) - 1)
        if np.any(values[codes] != z):
            return []
        keys.append((codes, len(values)))
    return keys


def _changes(a: np.ndarray) -> np.ndarray:
    """Whether each row of an array differs from the one before."""
    out = np.ones(len(a), dtype=bool)
    out[1:] = a[1:, 0] != a[:-1, 0] if a.shape[1] else False
    for column in range(1, a.shape[1]):
        out[1:] |= a[1:, column] != a[:-1, column]
    return out
