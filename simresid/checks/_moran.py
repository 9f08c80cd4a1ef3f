r"""Moran's I and the weights it needs.

For weights :math:`w_{ij}` with rows that sum to 1 and :math:`z = u - \bar u`,

.. math:: I = \frac{n}{W} \frac{\sum_{ij} w_{ij} z_i z_j}{\sum_i z_i^2}, \quad E = -\frac{1}{n-1}, \quad
    \mathrm{Var} = \frac{n[(n^2-3n+3)S_1 - nS_2 + 3W^2] - \kappa[n(n-1)S_1 - 2nS_2 + 6W^2]}
    {(n-1)(n-2)(n-3)W^2} - E^2

with :math:`W = \sum w`, :math:`S_1 = \frac12 \sum_{ij} (w_{ij} + w_{ji})^2`, :math:`S_2 = \sum_i (w_{i\cdot}
+ w_{\cdot i})^2` and :math:`\kappa = n \sum z^4 / (\sum z^2)^2`: moments under random permutation (Cliff &
Ord 1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from glmmcore.memory import require_memory
from simresid.alignment import real_array
from simresid.checks._combined import combine
from simresid.checks._mean_cdf import middle
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.base import Effect
from simresid.checks.inputs import FloatArray, Residuals, generator
from simresid.checks.nulls.choice import NullKind, against_refits, check_null, without_refits
from simresid.checks.nulls.comparison import compare, digest, normal_limits
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import monte_carlo_error, normal_pvalue, simulation_pvalue

if TYPE_CHECKING:
    from simresid.checks.spatial import MoranResult

__all__ = [
    "MoranNull",
    "band_weights",
    "check_moran_null",
    "inverse_weights",
    "moran",
    "moran_test",
    "neighbour_weights",
    "places_from_distances",
]

Result = TypeVar("Result", bound="MoranResult")
MoranNull: TypeAlias = NullKind | Literal["permutation"]
N_PERMUTATIONS = 999
#: Standard deviation by expectation below which only rounding tells permutations apart.
ROUNDING = 1e-6


@dataclass(frozen=True)
class _Moments:
    """Sums over the weights that the moments of I need."""

    total: float
    s1: float
    s2: float


def moran(z: FloatArray, weights: Any) -> FloatArray:
    """Moran's I of the centred columns of `z` ``(n, m)``; `weights` is dense or sparse ``(n, n)``."""
    return np.asarray(z.shape[0] / weights.sum() * np.sum(z * (weights @ z), axis=0) / np.sum(z**2, axis=0))


def _moments(weights: Any) -> _Moments:
    both = weights + weights.T
    squared = np.sum(both**2) if isinstance(both, np.ndarray) else both.multiply(both).sum()
    rows = np.ravel(weights.sum(axis=1)) + np.ravel(weights.sum(axis=0))
    return _Moments(float(weights.sum()), 0.5 * float(squared), float(np.sum(rows**2)))


def permutation_sd(z: FloatArray, moments: _Moments) -> float:
    """Return the standard deviation of I over permutations of the centred vector `z`."""
    n, w2 = z.size, moments.total**2
    kurtosis = n * float(np.sum(z**4)) / float(np.sum(z**2)) ** 2
    first = n * ((n**2 - 3 * n + 3) * moments.s1 - n * moments.s2 + 3 * w2)
    second = kurtosis * (n * (n - 1) * moments.s1 - 2 * n * moments.s2 + 6 * w2)
    variance = (first - second) / ((n - 1) * (n - 2) * (n - 3) * w2) - 1 / (n - 1) ** 2
    return float(np.sqrt(max(variance, 0.0)))


# ---- weights ----


def inverse_weights(distances: FloatArray) -> FloatArray:
    """Weights ``1/d``, zero on the diagonal, rows summing to 1.

    Examples
    --------
    >>> import numpy as np
    >>> inverse_weights(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]))[0]
    array([0.        , 0.66666667, 0.33333333])
    """
    # relative to the nearest neighbour of each row, so that neither large nor tiny distances overflow
    d = np.array(distances, dtype=float)
    np.fill_diagonal(d, np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        w = d.min(axis=1, keepdims=True) / d
    np.fill_diagonal(w, 0.0)
    return np.asarray(w / w.sum(axis=1, keepdims=True))


def neighbour_weights(neighbours: NDArray[np.intp]) -> Any:
    """Equal weights for the neighbours listed in each row ``(n, k)``, as a sparse matrix."""
    from scipy.sparse import csr_array

    n, k = neighbours.shape
    _check_indices(neighbours, n)
    indptr = np.arange(0, n * k + 1, k)
    return csr_array((np.full(n * k, 1.0 / k), neighbours.ravel(), indptr), shape=(n, n))


def band_weights(pairs: NDArray[np.intp], n: int) -> tuple[Any, int]:
    """Equal weights for all partners of a row in `pairs` ``(m, 2)``; also the number of rows without any."""
    from scipy.sparse import csr_array, diags_array

    _check_indices(pairs, n)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    adjacency = csr_array((np.ones(i.size), (i, j)), shape=(n, n))
    count = np.ravel(adjacency.sum(axis=1))
    scale = np.divide(1.0, count, out=np.zeros(n), where=count > 0)
    return diags_array(scale, format="csr") @ adjacency, int(np.count_nonzero(count == 0))


def _check_indices(indices: NDArray[np.intp], n: int) -> None:
    """Raise ValueError for places that do not exist: sparse matrices do not look, and write beyond their memory."""
    if indices.size and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError("the distances between places cannot be ordered; are they finite?")


# ---- distances ----


def places_from_distances(distances: Any) -> tuple[FloatArray, NDArray[np.intp]]:
    """Check a distance matrix and merge rows at distance zero.

    Returns
    -------
    distances : ndarray (n_places, n_places)
    place : ndarray of int (n,)

    Raises
    ------
    ValueError
        If the matrix is not square, symmetric, finite and non-negative with a zero diagonal.
    """
    d = real_array(distances, "distances")
    if d.ndim != 2 or d.shape[0] != d.shape[1]:
        raise ValueError(f"distances must be a square matrix, not of shape {d.shape}")
    n = d.shape[0]
    require_memory(5 * 8.0 * n * n, f"weights of {n} x {n} distances", "pass coordinates, or group the rows first")
    if not np.all(np.isfinite(d)) or d.min() < 0:
        raise ValueError("distances must be finite and not negative")
    if np.any(np.diag(d) != 0) or not np.allclose(d, d.T, rtol=1e-8, atol=1e-12 * d.max()):
        raise ValueError("distances must be symmetric with a zero diagonal")
    first = np.argmax(d == 0, axis=1)
    kept, place = np.unique(first, return_inverse=True)
    return d[np.ix_(kept, kept)], place


def check_moran_null(null: str, n_refits: int | None) -> None:
    """Raise ValueError for an unknown null distribution."""
    if not isinstance(null, str) or null != "permutation":
        check_null(null, n_refits, "'auto', 'refits', 'simulated', 'analytic' or 'permutation'")
    elif n_refits is not None:
        raise ValueError(f"n_refits={n_refits} goes with null='refits', not with permutations")


# ---- test ----


def moran_test(
    res: Residuals,
    u: FloatArray,
    place: NDArray[np.intp],
    weights: Any,
    nearest: Any,
    alternative: str,
    null: MoranNull,
    n_refits: int | None,
    method: str,
    notes: list[str],
    result: type[Result],
) -> Result:
    """Test residuals `u` ``(n,)`` that sit at places ``(n,)`` with the given weights between places.

    `nearest` are the weights for the effect size, the correlation with the nearest neighbours.
    """
    n = int(place.max()) + 1
    if n < u.size:
        notes.append(f"{u.size - n} rows share their place with another and were combined.")
    if null != "permutation" and _is_informative(u, place, weights):
        refitted, given = against_refits(
            res,
            null,
            n_refits,
            lambda pool, plan: _among_refits(pool, plan, place, weights, nearest, alternative, method, notes, result),
        )
        if refitted is not None:
            return refitted
        notes += given
    null = without_refits(null)
    pool = None if null == "permutation" or analytic_null_holds(res, null) else null_residuals(res)
    z = combine(u if pool is None else pool.comparable(u), place)
    z = z - z.mean()
    if not np.any(z):
        raise ValueError("the residuals do not vary between places")
    statistic = float(moran(z[:, None], weights)[0])
    expected, sd = -1 / (n - 1), permutation_sd(z, _moments(weights))
    pvalue, error, simulated = 1.0, 0.0, None
    if sd > ROUNDING * abs(expected):
        pvalue = normal_pvalue((statistic - expected) / sd, alternative)
    else:
        notes.append("All places are equally near to each other, so that Moran's I is the same for all residuals.")
    if null == "permutation":
        rng = generator(res, f"{method} permutation")
        simulated = _in_blocks(lambda size: rng.permuted(np.tile(z, (size, 1)), axis=1).T, n, weights)
    elif pool is not None:
        replicates = np.array([combine(v, place) for v in pool.replicates])
        replicates -= replicates.mean(axis=1, keepdims=True)
        simulated = moran(replicates.T, weights)
        notes.append(pool.note)
    if simulated is not None:
        pvalue = simulation_pvalue(statistic, simulated, alternative)
        error = monte_carlo_error(pvalue, simulated.size, alternative)
    near = float(np.clip(moran(z[:, None], nearest)[0], -1.0, 1.0))  # rows at an edge can push it beyond
    slack = 1.96 * permutation_sd(z, _moments(nearest))
    return result(
        statistic=statistic,
        pvalue=pvalue,
        alternative=alternative,
        method=method,
        n_obs=u.size,
        effect=Effect("autocorrelation", near, expected, (max(near - slack, -1.0), min(near + slack, 1.0))),
        monte_carlo_error=error,
        null="analytic" if pool is None else "simulated",
        notes=tuple(notes),
        expected=expected,
        sd=sd,
        null_distribution=simulated,
    )


def _is_informative(u: FloatArray, place: NDArray[np.intp], weights: Any) -> bool:
    """Whether I differs between permutations of the residuals by more than rounding."""
    z = combine(u, place)
    z = z - z.mean()
    return bool(np.any(z)) and permutation_sd(z, _moments(weights)) > ROUNDING / (z.size - 1)


def _among_refits(
    pool: RefitPool,
    plan: Plan,
    place: NDArray[np.intp],
    weights: Any,
    nearest: Any,
    alternative: str,
    method: str,
    notes: list[str],
    result: type[Result],
) -> Result:
    """Compare Moran's I with that of refits, residuals known up to a cell at its middle."""

    def deviations(data: FittedData) -> FloatArray:
        z = combine(middle(data.lower, data.upper), place)
        return np.asarray(z - z.mean())

    def both(data: FittedData) -> FloatArray:
        z = deviations(data)[:, None]
        if not np.any(z):
            raise ValueError("the residuals do not vary between places")
        return np.array([moran(z, weights)[0], moran(z, nearest)[0]])

    own = deviations(pool.own)
    sd, near_sd = permutation_sd(own, _moments(weights)), permutation_sd(own, _moments(nearest))
    found = compare(
        pool,
        plan,
        ("moran", method, digest(place, *_arrays(weights), *_arrays(nearest))),
        both,
        lambda x: x[:, 0],
        lambda x: normal_pvalue(x / sd, alternative),
        alternative=alternative,
        theory_limits=normal_limits(sd, alternative),
    )
    statistic, near, level = float(found.own[0]), float(found.own[1]), float(found.centre[1])
    return result(
        statistic=statistic,
        alternative=alternative,
        method=method,
        n_obs=place.size,
        effect=Effect("autocorrelation", near, level, found.around(near, level, 1.96 * near_sd)),
        notes=(*notes, *found.notes),
        expected=float(found.centre[0]),
        sd=float(found.null.std()),
        null_distribution=float(found.centre[0]) + found.null,
        **found.fields,
    )


def _arrays(weights: Any) -> tuple[NDArray[Any], ...]:
    """What tells weights, dense or sparse, from others."""
    return (weights,) if isinstance(weights, np.ndarray) else (weights.indptr, weights.indices, weights.data)


def _in_blocks(draw: Any, n: int, weights: Any) -> FloatArray:
    step = max(1, min(N_PERMUTATIONS, int(4e6) // n))
    sizes = [min(step, N_PERMUTATIONS - first) for first in range(0, N_PERMUTATIONS, step)]
    return np.concatenate([moran(draw(size), weights) for size in sizes])
