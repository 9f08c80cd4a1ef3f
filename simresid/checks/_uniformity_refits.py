r"""Uniformity of the residuals of a fitted model among those of refits (formulas in `simresid.checks.uniformity`).

By default the distance `D` from the centre is measured in standard deviations over data and refits,
:math:`\max|\bar F-c|/s(u)` (a studentised envelope, Myllymäki et al. 2017): a fit that estimates location and scale
leaves little room in some places and more in others. It sees more than `D`: of 250 to 300 data sets each .79
instead of .70 (t(4) errors in a gaussian model), .68 instead of .56 (15 % extra zeros in a nbinom2 model), .69
instead of .41 (Poisson counts with effects of rows), .86 instead of .84 (lognormal data in a gamma model). And it
keeps a band to draw, which `A^2` does not.

References
----------
Myllymäki, M., Mrkvička, T., Grabarnik, P., Seijo, H. and Hahn, U. (2017). Global envelope tests for spatial processes.
Journal of the Royal Statistical Society B 79, 381-404.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from simresid.checks._expected import expected_cdf
from simresid.checks._mean_cdf import GRID, LOGIT_WEIGHTS, STEPS, mean_cdf
from simresid.checks.base import Effect
from simresid.checks.inputs import FloatArray
from simresid.checks.nulls.comparison import Comparison, compare
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import FEWEST_TO_RANK, Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import cauchy_combination, quadratic_form_sf, simulation_pvalue

__all__ = ["NAMES", "Method", "band_grid", "local_level", "null_levels", "uniformity_among_refits"]

Method: TypeAlias = Literal["auto", "ks", "ad", "cvm", "band", "dependent"]
N_BAND_POINTS, N_BAND_SIMS = 100, 1999

LEAST_SCALE = 0.15
"""Least standard deviation of refits that the distance is divided by, by the largest over the unit interval."""

NAMES = {
    "auto": "envelope of refits",
    "ks": "Kolmogorov-Smirnov",
    "ad": "Anderson-Darling",
    "cvm": "Cramér-von Mises",
    "band": "simultaneous band",
    "dependent": "Cauchy-combined order statistics",
}


def _components(data: FittedData) -> FloatArray:
    return mean_cdf(data.lower, data.upper) - GRID


def uniformity_among_refits(res: Any, pool: RefitPool, plan: Plan, alternative: str, method: Method) -> dict[str, Any]:
    """Compare the mean distribution function of the residuals with those of refits: fields of the result."""
    import pandas as pd

    n = pool.own.lower.size
    distances = {
        "auto": _studentised(alternative),
        "ks": _sup(alternative),
        **{name: f(n) for name, f in _REFIT_DISTANCES.items()},
    }
    theory, limit = _theory(method, n, alternative)
    found = compare(
        pool,
        plan,
        "mean cdf",
        _components,
        distances[method],
        theory,
        theory_limits=(-np.inf, limit),
        centre_by=expected_cdf(res),
    )
    gap = found.own - found.centre
    worst = int(np.argmax(np.abs(gap)))
    distance = float(np.abs(gap[worst]))
    low, high = found.around(distance, 0.0, 1.3581 / np.sqrt(n), 0.5 if method in ("ad", "cvm", "dependent") else 1.0)
    band = None
    if method in ("auto", "ks", "band") and alternative == "two-sided":
        width = found.limits[1] * _scale(method, n, found)
        lower, upper = (np.clip(GRID + found.centre + side * width, 0.0, 1.0) for side in (-1, 1))
        band = pd.DataFrame(
            {"probability": GRID, "lower": lower, "upper": upper, "observed": np.clip(GRID + found.own, 0.0, 1.0)}
        )
    return {
        "statistic": float(_sup(alternative)(gap[None, :])[0]) if method == "auto" else found.statistic,
        "alternative": alternative,
        "method": NAMES[method],
        "n_obs": n,
        "effect": Effect("distance between distributions", distance, 0.0, (max(0.0, low), min(1.0, high))),
        "location": float(GRID[worst]),
        "exact": False,
        "band": band,
        "notes": found.notes,
        **found.fields,
    }


def _sup(alternative: str) -> Callable[[FloatArray], FloatArray]:
    sided = {"two-sided": np.abs, "greater": np.positive, "less": np.negative}[alternative]
    return lambda gap: np.max(sided(gap), axis=1)


def _studentised(alternative: str) -> Callable[[FloatArray], FloatArray]:
    """Largest distance in standard deviations over data and refits; the distance itself of few refits."""
    largest = _sup(alternative)
    return lambda gap: largest(gap / _deviation(gap) if len(gap) > FEWEST_TO_RANK else gap)


def _deviation(gap: FloatArray) -> FloatArray:
    """Standard deviation at every point of the rows of `gap` ``(m, k)``."""
    sd = gap.std(axis=0)
    return np.asarray(np.maximum(sd, max(LEAST_SCALE * float(sd.max()), 1e-12)))


def _scale(method: Method, n: int, found: Comparison) -> FloatArray:
    """What the distance is measured in at every point."""
    if method == "band":
        return np.asarray(np.sqrt(GRID * (1 - GRID) / n))
    if method == "auto" and found.n_refits >= FEWEST_TO_RANK:
        return _deviation(np.vstack([found.own[None, :], found.components]) - found.centre)
    return np.ones(GRID.size)


def _weighted(weights: FloatArray) -> Callable[[int], Callable[[FloatArray], FloatArray]]:
    return lambda n: lambda gap: n * (gap**2 @ weights)


def _standardised(n: int) -> Callable[[FloatArray], FloatArray]:
    inside = np.minimum(GRID, 1 - GRID) >= 1 / (n + 1)
    scale = np.sqrt(GRID[inside] * (1 - GRID[inside]) / n)
    return lambda gap: np.max(np.abs(gap[:, inside]) / scale, axis=1)


def _combined(n: int) -> Callable[[FloatArray], FloatArray]:
    from scipy.special import ndtr

    scale = np.sqrt(GRID * (1 - GRID) / n)
    half = 0.5  # a larger p-value speaks for nothing, and its negative tangent must not drown the others
    return lambda gap: np.array(
        [-np.log10(cauchy_combination(np.minimum(2 * ndtr(-np.abs(row) / scale), half))) for row in gap]
    )


_REFIT_DISTANCES: dict[str, Callable[[int], Callable[[FloatArray], FloatArray]]] = {
    "ad": _weighted(LOGIT_WEIGHTS),
    "cvm": _weighted(STEPS),
    "band": _standardised,
    "dependent": _combined,
}


def _theory(method: Method, n: int, alternative: str) -> tuple[Callable[[float], float], float]:
    """P-value of a distance of independent uniforms, and the distance of p-value .05."""
    from scipy.special import kolmogorov, ndtr, ndtri

    if method in ("auto", "ks") and alternative == "two-sided":
        return lambda d: float(kolmogorov(np.sqrt(n) * d)), 1.3581 / np.sqrt(n)
    if method in ("auto", "ks"):
        return lambda d: float(np.exp(-2 * n * max(d, 0.0) ** 2)), np.sqrt(np.log(20.0) / (2 * n))
    if method == "band":
        levels = null_levels(n)
        return lambda z: simulation_pvalue(2 * float(ndtr(-z)), levels, "less"), float(
            -ndtri(np.quantile(levels, 0.05) / 2)
        )
    if method == "dependent":
        return lambda t: 10.0**-t, float(-np.log10(0.05))
    j = np.arange(1, 41)
    # 95 % points of Anderson and Darling (1952)
    weights, rest, limit = (1 / (j * (j + 1)), 1 / 41, 2.492) if method == "ad" else (1 / (j * np.pi) ** 2, 0.0, 0.4614)
    return lambda t: quadratic_form_sf(max(t - rest, 1e-12), weights), limit


def band_grid(n: int) -> FloatArray:
    """Probabilities at which the band of `n` residuals is drawn."""
    k = min(n, N_BAND_POINTS)
    return np.arange(1, k + 1) / (k + 1)


def local_level(counts: Any, n: int, grid: FloatArray) -> FloatArray:
    """Smallest two-sided binomial p-value over the grid, per row of counts."""
    from scipy.special import bdtr, bdtrc

    low = bdtr(counts, n, grid)
    high = np.where(counts > 0, bdtrc(np.maximum(counts - 1, 0), n, grid), 1.0)
    return np.asarray(np.min(np.minimum(1.0, 2 * np.minimum(low, high)), axis=-1))


@lru_cache(maxsize=16)
def null_levels(n: int) -> FloatArray:
    """Simulate the statistic for `n` uniforms; it depends on nothing else, so one fixed stream serves all."""
    grid = band_grid(n)
    cells = np.diff(np.concatenate([[0.0], grid, [1.0]]))
    counts = np.random.default_rng(n).multinomial(n, cells, size=N_BAND_SIMS)
    return local_level(np.cumsum(counts[:, :-1], axis=1), n, grid)
