"""Family, zero inflation and frequency weights as arrays for the predictors that carry random effects.

The engines need, per row, the log density with its first and second derivatives in the *inner* predictors (those with
random effects, or with fixed effects that REML integrates); the gradient needs in addition the derivatives of these
with respect to every predictor. This module picks those rows and knows nothing about groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.families.base import Family, Parameters

if TYPE_CHECKING:
    from glmmcore.families.zero_inflation import ZeroInflated

__all__ = ["Likelihood", "positive_information"]


# Extra parameters of families without any.
_NONE = np.zeros(0)


def positive_information(second: np.ndarray) -> np.ndarray:
    """Minus second derivatives of rows (n,), kept positive."""
    # with a response in large units all of them are small
    largest = float(np.max(-second, initial=0.0))
    return np.maximum(-second, max(1e-12 * min(largest, 1.0), np.finfo(float).tiny))


class Likelihood:
    """Log density of rows in terms of the values of all predictors.

    Parameters
    ----------
    family : Family
    zero_inflated : bool
        Mix with a point mass at zero; adds the predictor ``"zi"`` at the end.
    y, trials : ndarray, shape (n,)
        `trials` may be None (one trial each).
    freq_weights : ndarray, shape (n,), or None
    inner : tuple of str
        Predictors among ("cond", "zi") for which Newton terms are wanted, in this order.

    Notes
    -----
    `values` below is one array a predictor, in the order of `predictors`, each of shape (n,) or (1,).
    """

    def __init__(
        self,
        family: Family,
        zero_inflated: bool,
        y: np.ndarray,
        trials: np.ndarray | None,
        freq_weights: np.ndarray | None,
        inner: tuple[str, ...],
    ) -> None:
        self.family = family
        self.mixture: ZeroInflated | None = None
        if zero_inflated:
            from glmmcore.families.zero_inflation import ZeroInflated

            self.mixture = ZeroInflated(family)
        self.y = y
        self.trials = trials
        self.freq_weights = freq_weights
        self.predictors = (*family.predictors, *(("zi",) if zero_inflated else ()))
        self.inner = inner
        # rows of (cond, zi) and of the packed pairs (cond cond, cond zi, zi zi) that are wanted
        where = [("cond", "zi").index(name) for name in inner]
        self._rows = where
        self._pairs = [a * (a + 1) // 2 + b for i, a in enumerate(where) for b in where[: i + 1]]
        self._no_trials = np.ones(0)

    def _data(self, lo: int, hi: int) -> tuple[np.ndarray, np.ndarray]:
        if self.trials is not None:
            return self.y[lo:hi], self.trials[lo:hi]
        if len(self._no_trials) != hi - lo:
            self._no_trials = np.ones(hi - lo)
        return self.y[lo:hi], self._no_trials

    def with_response(self, y: np.ndarray) -> Likelihood:
        """The same law of another response."""
        return Likelihood(self.family, self.mixture is not None, y, self.trials, self.freq_weights, self.inner)

    def parameters(self, lo: int, hi: int, values: list[np.ndarray]) -> Parameters:
        """Family's parameters of the rows lo..hi; `values` hold these rows only, or one element."""
        at = 1
        delta = np.zeros(1)
        if self.family.has_dispersion:
            delta = values[1]
            at = 2
        extra = self.family.extra
        psi = np.array([values[at + j][0] for j in range(len(extra))]) if extra else _NONE
        eta = values[0]
        return Parameters(eta if len(eta) == hi - lo else np.full(hi - lo, eta[0]), delta, psi)

    def _zeta(self, lo: int, hi: int, values: list[np.ndarray]) -> np.ndarray:
        zeta = values[-1]
        return zeta if len(zeta) == hi - lo else np.full(hi - lo, zeta[0])

    def row_newton_terms(self, lo: int, hi: int, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log densities (b,) up to constants, first derivatives (m, b) and packed second ones (pairs, b)."""
        y, trials = self._data(lo, hi)
        p = self.parameters(lo, hi, values)
        if self.mixture is None:
            l, l1, l2 = self.family.newton_terms(y, trials, p)
            first, second = l1[None], l2[None]
        else:
            l, first, second = self.mixture.newton_terms(y, trials, p, self._zeta(lo, hi, values))
            first, second = first[self._rows], second[self._pairs]
        if self.freq_weights is not None:
            w = self.freq_weights[lo:hi]
            return l * w, first * w, second * w
        return l, first, second

    def newton_terms(self, lo: int, hi: int, values: list[np.ndarray]) -> tuple[float, np.ndarray, np.ndarray]:
        """As `row_newton_terms`, with the sum of the log densities."""
        l, first, second = self.row_newton_terms(lo, hi, values)
        return float(l.sum()), first, second

    def conditional_information(self, lo: int, hi: int, values: list[np.ndarray]) -> np.ndarray:
        """Observed information of the conditional predictor, kept positive, (b,)."""
        y, trials = self._data(lo, hi)
        p = self.parameters(lo, hi, values)
        if self.mixture is None:
            second = self.family.newton_terms(y, trials, p)[2]
        else:
            second = self.mixture.newton_terms(y, trials, p, self._zeta(lo, hi, values))[2][0]
        if self.freq_weights is not None:
            second = second * self.freq_weights[lo:hi]
        return positive_information(second)

    def derivatives(
        self, lo: int, hi: int, values: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Log densities (b,), d1 (P, b), d2 (m, P, b) and d3 (pairs, P, b) of the rows lo..hi."""
        y, trials = self._data(lo, hi)
        p = self.parameters(lo, hi, values)
        if self.mixture is None:
            d = self.family.derivatives(y, trials, p)
            loglik, d1, d2, d3 = d.loglik, d.d1, d.d2[None], d.d3[None]
        else:
            loglik, d1, d2, d3 = self.mixture.derivatives(y, trials, p, self._zeta(lo, hi, values))
            d2, d3 = d2[self._rows], d3[self._pairs]
        if self.freq_weights is not None:
            w = self.freq_weights[lo:hi]
            return loglik * w, d1 * w, d2 * w, d3 * w
        return loglik, d1, d2, d3
