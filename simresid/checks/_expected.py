r"""What a fit does to residuals of a right model on average, from its leverages.

A row with leverage `h` has a residual that is narrower on the normal scale by the factor :math:`s = \sqrt{1 - (1 - v)
h}` (`simresid.checks._leverage`), so that :math:`P(u \le q) = \Phi(\Phi^{-1}(q) / s)` and :math:`E(u - 1/2)^2 =
\arcsin\{s^2/(1+s^2)\} / (2 \pi)`. Families that estimate a scale of a continuous response give residuals of the right
spread already, and nothing is expected of these.

The remaining effects of a fit on the distribution function, those of a scale (which takes up the spread) and of a shape
(gamma, negative binomial), are a change of spread and one of skewness. They are estimated from refits, in these two
directions only: all others would add the noise of few refits to the statistic. The exception is where the refits are
off on average by more than their spread: a family that fits its zeros by a parameter of their own has hardly any spread
below their probability, and a change of skewness does not stop there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simresid.checks._leverage import shrinkage
from simresid.checks._mean_cdf import GRID, STEPS
from simresid.checks.inputs import FloatArray
from simresid.checks.nulls.comparison import Expected

__all__ = ["expected_cdf", "expected_quantile_scores", "expected_spread_scores"]

CLASSES = 20
"""Quantiles that stand for the factors of all rows."""


def _factors(res: Any) -> FloatArray | None:
    """Factor by which each residual is narrower than uniform on the normal scale; None where nothing is known."""
    return shrinkage(res) if res.discrete else None


def _directions() -> FloatArray:
    """Changes of the distribution function with spread and skewness, orthonormal over `GRID`, ``(2, k)``."""
    from scipy.special import ndtri

    z = ndtri(GRID)
    density = np.exp(-0.5 * z * z)
    out: list[FloatArray] = []
    for change in (z * density, (z * z - 1) * density):
        for direction in out:
            change = change - (change * STEPS) @ direction * direction
        out.append(change / np.sqrt(np.square(change) @ STEPS))
    return np.array(out)


def expected_cdf(res: Any) -> Expected:
    """Mean distribution function minus the uniform one, at the points of `GRID`."""
    from scipy.special import ndtr, ndtri

    factors, values = _factors(res), np.zeros(GRID.size)
    if factors is not None:
        classes = np.quantile(factors, (np.arange(CLASSES) + 0.5) / CLASSES)
        values = ndtr(ndtri(GRID) / classes[:, None]).mean(axis=0) - GRID
    return Expected(values, _directions(), STEPS)


def expected_quantile_scores(res: Any, functions: FloatArray, quantiles: FloatArray) -> Expected:
    """Sums of ``functions`` ``(n, k)`` times ``P(u <= q) - q`` of the rows, ``(n_quantiles * k,)``."""
    from scipy.special import ndtr, ndtri

    factors = _factors(res)
    if factors is None or len(factors) != len(functions):
        return Expected(np.zeros(quantiles.size * functions.shape[1]))
    return Expected(np.ravel([(ndtr(ndtri(q) / factors) - q) @ functions for q in quantiles]))


def expected_spread_scores(res: Any, functions: FloatArray) -> Expected:
    """Sums of ``functions`` ``(n, k)`` times ``E(u - 1/2)**2`` of the rows ``(k,)``."""
    factors = _factors(res)
    if factors is None or len(factors) != len(functions):
        return Expected(np.zeros(functions.shape[1]))
    squared = np.square(factors)
    return Expected(np.asarray(np.arcsin(squared / (1 + squared)) / (2 * np.pi) @ functions))
