"""Rows sorted by the leading factor, with the left-hand sides of all factors side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from glmmcore.engines._row_kernels import add_random_part, add_score, sort_rows

__all__ = ["Factor", "RowLayout"]


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
    """

    name: str
    codes: np.ndarray
    n_levels: int
    z: np.ndarray
    predictor: np.ndarray
    prior: float = 1.0

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
    offsets : ndarray of int64, shape (F + 1,)
        First coefficient of each factor, and their total.
    """

    def __init__(self, factors: list[Factor]) -> None:
        lead = factors[0]
        self.n = len(lead.codes)
        self.rows, _ = sort_rows(np.ascontiguousarray(lead.codes, dtype=np.int32), lead.n_levels)
        self.offsets = np.concatenate(([0], np.cumsum([f.order for f in factors]))).astype(np.int64)
        self.sizes = np.array([f.k for f in factors], dtype=np.int32)
        self.z = np.empty((self.n, int(self.sizes.sum())))
        self.start = np.empty((self.n, len(factors)), dtype=np.int32)
        column = 0
        for i, f in enumerate(factors):
            self.z[:, column : column + f.k] = f.z[self.rows]
            self.start[:, i] = self.offsets[i] + f.codes[self.rows].astype(np.int64) * f.k
            column += f.k
        # the sorted arrays above are all that is needed from here on
        self.factors = [replace(f, codes=f.codes[:0], z=f.z[:0].copy()) for f in factors]
        self.predictor = np.concatenate([f.predictor for f in factors]).astype(np.int32)
        self.factor = np.repeat(np.arange(len(factors), dtype=np.int32), self.sizes)
        self.within = np.concatenate([np.arange(k) for k in self.sizes]).astype(np.int32)

    @property
    def order(self) -> int:
        """Number of coefficients q."""
        return int(self.offsets[-1])

    @property
    def prior(self) -> np.ndarray:
        """Prior precision of each coefficient, (q,)."""
        return np.repeat([f.prior for f in self.factors], np.diff(self.offsets)).astype(float)

    def add_random_part(self, lo: int, hi: int, b: np.ndarray, out: np.ndarray) -> None:
        """Add Z b of the rows lo..hi to `out` (m, hi - lo)."""
        add_random_part(lo, hi, self.z, self.predictor, self.factor, self.within, self.start, b, out)

    def add_score(self, lo: int, hi: int, values: np.ndarray, out: np.ndarray) -> None:
        """Add Z' values of the rows lo..hi, values (m, hi - lo), to `out` (q,)."""
        add_score(lo, hi, self.z, self.predictor, self.factor, self.within, self.start, values, out)

    def add_information(self, lo: int, hi: int, values: np.ndarray, out: np.ndarray) -> None:
        """Add (Z squared)' values of the rows lo..hi, values (m, hi - lo), to `out` (q,)."""
        squared = np.square(self.z[lo:hi])
        add_score(0, hi - lo, squared, self.predictor, self.factor, self.within, self.start[lo:hi], values, out)

    def by_level(self, x: np.ndarray, factor: int) -> np.ndarray:
        """View of one factor's coefficients in x (q,), (L, k)."""
        return x[self.offsets[factor] : self.offsets[factor + 1]].reshape(-1, self.sizes[factor])

    def apply_factors(self, factors: list[np.ndarray], u: np.ndarray) -> np.ndarray:
        """b = Lambda u, (q,)."""
        b = np.empty_like(u)
        for i, t in enumerate(factors):
            self.by_level(b, i)[...] = self.by_level(u, i) @ t.T
        return b

    def apply_transposed(self, factors: list[np.ndarray], x: np.ndarray) -> np.ndarray:
        """Lambda' x, (q,)."""
        out = np.empty_like(x)
        for i, t in enumerate(factors):
            self.by_level(out, i)[...] = self.by_level(x, i) @ t
        return out

    def outer(self, left: np.ndarray, right: np.ndarray) -> list[np.ndarray]:
        """Sum over levels of left_j right_j', one (k, k) array a factor."""
        return [self.by_level(left, i).T @ self.by_level(right, i) for i in range(len(self.factors))]

    @staticmethod
    def trace(factors: list[np.ndarray], products: list[np.ndarray]) -> float:
        """Trace of Lambda' Z'WZ Lambda H^-1, from the `factor_products` of a system."""
        return float(sum(np.sum(t * g) for t, g in zip(factors, products, strict=True)))
