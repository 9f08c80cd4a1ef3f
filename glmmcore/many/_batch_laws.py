"""What the distributions of the rows of many fits say about their responses: means, residuals, cdf."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmmcore.families.base import Family
from glmmcore.results.law import Law

__all__ = ["ManyLaws"]

# Rows evaluated at a time: many small responses share a call, one large response is a call of its own.
_ROWS = 65536


class ManyLaws:
    """Distribution of every row of every response given the conditional modes.

    Parameters
    ----------
    family : Family
    values : dict of str to ndarray, shape (B, n) or (B, 1)
        Linear predictors; NaN where there is nothing.
    trials : ndarray, shape (n,), or None
    y : ndarray, shape (B, n)
        Responses.
    """

    def __init__(self, family: Family, values: dict[str, np.ndarray], trials: np.ndarray | None, y: np.ndarray) -> None:
        self.family, self.values, self.trials, self.y = family, values, trials, y

    def mean(self) -> np.ndarray:
        """Conditional means, (B, n)."""
        return self._evaluate(lambda law, y: (law.mean(),), 1)[0]

    def variance(self) -> np.ndarray:
        """Conditional variances, (B, n)."""
        return self._evaluate(lambda law, y: (law.variance(),), 1)[0]

    def cdf(self, y: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(P(Y < y), P(Y <= y)), each (B, n), at the responses or at values that spread over (B, n)."""
        laws = self if y is None else ManyLaws(self.family, self.values, self.trials, np.broadcast_to(y, self.y.shape))
        lower, upper = laws._evaluate(lambda law, y: law.cdf(y), 2)
        return lower, upper

    def pearson(self) -> np.ndarray:
        """Sum of squared Pearson residuals of every response, (B,); NaN for one without a fit."""

        def squares(law: Law, y: np.ndarray) -> tuple[np.ndarray]:
            difference, variance = np.square(y - law.mean()), law.variance()
            # 0 for a row without trials
            return (np.divide(difference, variance, out=difference, where=(difference > 0.0) | (variance > 0.0)),)

        (rows,) = self._evaluate(squares, 1)
        return np.where(np.isfinite(rows).any(axis=1), np.nansum(rows, axis=1), np.nan)

    def _evaluate(self, function: Callable[[Law, np.ndarray], tuple[np.ndarray, ...]], count: int) -> list[np.ndarray]:
        """`count` results of a function of the rows, each (B, n), NaN where a row has no distribution or response."""
        n_responses, n = self.y.shape
        out = [np.full((n_responses, n), np.nan) for _ in range(count)]
        # further parameters of a family are one number a call
        step = 1 if self.family.extra else max(1, _ROWS // max(n, 1))
        for first in range(0, n_responses, step):
            block = slice(first, first + step)
            y = self.y[block]
            there = np.isfinite(y)
            for v in self.values.values():
                there &= np.isfinite(v[block])
            if not there.any():
                continue
            values = {name: np.broadcast_to(v[block], y.shape)[there] for name, v in self.values.items()}
            trials = None if self.trials is None else np.broadcast_to(self.trials, y.shape)[there]
            law = Law(self.family, values, trials)
            with np.errstate(over="ignore", divide="ignore"):
                results = function(law, np.ascontiguousarray(y[there]))
            for whole, result in zip(out, results, strict=True):
                whole[block][there] = result
        return out
