r"""Empirical variogram of residuals, with what a right model would show.

With z the residual of a place and :math:`s^2` the variance of these, the relative semivariance of all pairs whose
distance lies in a bin is

.. math:: \gamma = \frac{1}{m} \sum_{(i, j)} \frac{(z_i - z_j)^2}{2 s^2},

1 for independent residuals, however wide, and below 1 where places are alike. The curve is compared with those of
refits (permutations of the places where there is no model to refit): the distance of a curve from their mean is the
largest deviation over all bins, in units of the standard deviations that permutations have there, so that the band
holds the whole curve of a right model in 95 of 100 data sets and the p-value says the same as the picture.

References
----------
Cressie, N. (1993). Statistics for Spatial Data. Wiley, section 2.4. Diggle, P. J. and Ribeiro, P. J. (2007).
Model-based Geostatistics. Springer, section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.arguments import positive_number, whole_number
from simresid.checks._combined import combine
from simresid.checks._mean_cdf import middle
from simresid.checks.inputs import FloatArray, Residuals, aligned, aligned_numeric, generator, residual_array
from simresid.checks.nulls.choice import NullKind, against_refits
from simresid.checks.nulls.comparison import LEVEL, Comparison, compare, digest
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Variogram", "variogram"]

N_PERMUTATIONS = 399
MOST_PLACES = 1500
"""More places are thinned at random: pairs of these settle every bin."""
FEWEST_PAIRS = 20
"""Bins of fewer pairs join the next one."""
N_BINS = 12
MOST_BINS = 1000


@dataclass(frozen=True, eq=False)
class Variogram:
    """Semivariances of residuals by distance.

    Parameters
    ----------
    table : DataFrame
        A row for each bin: ``distance`` (mean of its pairs), ``pairs``, ``semivariance`` (1 for independent residuals),
        ``expected`` (mean of the null distribution), ``lower`` and ``upper`` (band for the whole curve).
    pvalue : float
        Of the largest departure: below .05 where the curve leaves the band.
    null : {"refits", "permutation"}
        What the band comes from.
    n_refits : int
        Refits it rests on.
    notes : tuple of str
        Anything the reader must know, as sentences.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import variogram
    >>> x, y = np.random.default_rng(1).random((2, 100))
    >>> found = variogram(0.1 + 0.8 * x, x, y)
    >>> bool(found.table["semivariance"].iloc[0] < 0.2), found.pvalue < 0.05
    (True, True)
    """

    table: pd.DataFrame
    pvalue: float
    null: str
    n_refits: int
    notes: tuple[str, ...] = ()

    @property
    def farthest_out(self) -> int:
        """Bin with the largest departure from what is expected, in units of the band."""
        half = (self.table["upper"] - self.table["expected"]).to_numpy()
        departure = (self.table["semivariance"] - self.table["expected"]).to_numpy() / np.maximum(half, 1e-300)
        return int(np.argmax(np.abs(departure)))

    @property
    def alike(self) -> bool:
        """Whether the largest departure is of pairs that are more alike than expected."""
        row = self.table.iloc[self.farthest_out]
        return bool(row["semivariance"] < row["expected"])

    def __repr__(self) -> str:
        how = f"{self.n_refits} refits" if self.null == "refits" else "permutations"
        return f"<Variogram of {len(self.table)} distances, p = {self.pvalue:.2g} ({how})>"


def variogram(
    res: Residuals,
    x: Any,
    y: Any = None,
    by: Any = None,
    *,
    bins: int = N_BINS,
    max_distance: float | None = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> Variogram:
    """Semivariances of residuals by distance in space or time, beside those of refits.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals; plain ones must lie in [0, 1].
    x, y : array_like (n,) or str
        Coordinates, on a plane; `x` alone for times. Rows at the same place are combined, as
        `spatial_autocorrelation_test` combines them.
    by : array_like (n,) or str, optional
        Only pairs within its levels count.
    bins : int
        Bins of equal width; those of fewer than 20 pairs join the next one.
    max_distance : float, optional
        By default half of the extent of the places.
    null : {"auto", "refits", "simulated", "analytic"}
        With anything but refits the band comes from permutations of the places.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    Variogram
        Table, band and p-value.

    Raises
    ------
    ValueError
        If there are fewer than ten places, or too few pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import variogram
    >>> u, x, y = np.random.default_rng(1).random((3, 80))
    >>> list(variogram(u, x, y, bins=5).table.columns)
    ['distance', 'pairs', 'semivariance', 'expected', 'lower', 'upper']
    """
    u = residual_array(res)
    points = [aligned_numeric(x, res, "x"), *([] if y is None else [aligned_numeric(y, res, "y")])]
    if by is not None:
        points.append(np.asarray(aligned(by, res, "by").astype("category").cat.codes, dtype=np.float64))
    layout = _Pairs(
        np.column_stack(points), by is not None, whole_number(bins, "bins", least=1, most=MOST_BINS), max_distance, res
    )
    permuted = layout.permutations(u, generator(res, "variogram permutation"))
    sd = np.maximum(permuted.std(axis=0), 1e-12)
    largest = np.max(np.abs(permuted - permuted.mean(axis=0)) / sd, axis=1)

    def among_refits(pool: RefitPool, plan: Plan) -> Variogram:
        limit = float(np.quantile(largest, 1 - LEVEL))
        found: Comparison = compare(
            pool,
            plan,
            ("variogram", digest(layout.place, layout.pairs, layout.bin)),
            lambda data: layout.semivariances(_values(data)),
            lambda deviations: np.max(np.abs(deviations) / sd, axis=1),
            lambda distance: float((1 + np.count_nonzero(largest >= distance)) / (largest.size + 1)),
            theory_limits=(-np.inf, limit),
        )
        notes = (*layout.notes, *found.notes)
        half = found.limits[1] * sd
        return Variogram(layout.table(found.own, found.centre, half), found.pvalue, "refits", found.n_refits, notes)

    refitted, given = against_refits(res, null, n_refits, among_refits)
    if refitted is not None:
        return refitted
    own, centre = layout.semivariances(u), permuted.mean(axis=0)
    distance = float(np.max(np.abs(own - centre) / sd))
    ranked = np.sort(largest)[::-1]
    allowed = int(np.ceil(LEVEL * (largest.size + 1) - 1e-9)) - 2
    half = ranked[max(allowed, 0)] * sd
    pvalue = float((1 + np.count_nonzero(largest >= distance)) / (largest.size + 1))
    return Variogram(layout.table(own, centre, half), pvalue, "permutation", 0, (*layout.notes, *given))


def _values(data: FittedData) -> FloatArray:
    return middle(data.lower, data.upper)


class _Pairs:
    """Places, and which pairs of them belong to which distance."""

    def __init__(self, points: FloatArray, in_groups: bool, bins: int, most: float | None, res: Residuals) -> None:
        from scipy.spatial.distance import cdist

        places, place = np.unique(points, axis=0, return_inverse=True)
        self.place = np.ravel(place).astype(np.intp)
        self.notes: tuple[str, ...] = ()
        if len(places) < len(points):
            self.notes += (f"{len(points) - len(places)} rows share their place with another and were combined.",)
        if len(places) < 10:
            raise ValueError(f"a variogram needs at least 10 distinct places, there are {len(places)}")
        self._kept = np.arange(len(places))
        if len(places) > MOST_PLACES:
            chosen = generator(res, "variogram places").choice(len(places), MOST_PLACES, replace=False)
            self._kept = np.sort(chosen)
            self.notes += (f"{MOST_PLACES} of {len(places)} places, drawn at random, are used.",)
        places = places[self._kept]
        group = places[:, -1] if in_groups else np.zeros(len(places))
        at = places[:, :-1] if in_groups else places
        i, j = np.triu_indices(len(places), 1)
        same = group[i] == group[j]
        i, j = i[same], j[same]
        distance = cdist(at, at)[i, j]
        if not distance.size or not np.isfinite(distance).all():
            raise ValueError("no two places can be compared; are the coordinates finite, and the groups large enough?")
        reach = positive_number(float(np.linalg.norm(np.ptp(at, axis=0))) / 2 if most is None else most)
        if reach is None:
            raise ValueError(f"max_distance={most!r:.60}; use a positive distance")
        near = distance <= reach
        if np.count_nonzero(near) < FEWEST_PAIRS:
            raise ValueError(f"only {np.count_nonzero(near)} pairs of places are nearer than {reach:g} to each other")
        self.pairs = np.ascontiguousarray(np.stack([i[near], j[near]]))
        self.bin = _bins(distance[near], reach, bins)
        self.count = np.bincount(self.bin)
        self._distance = np.bincount(self.bin, distance[near]) / self.count

    def _by_bin(self, z: FloatArray) -> FloatArray:
        variance = float(np.var(z))
        if not variance > 0.0:
            raise ValueError("the residuals do not vary between places")
        squared = np.square(z[self.pairs[0]] - z[self.pairs[1]])
        return np.asarray(0.5 * np.bincount(self.bin, squared) / self.count / variance)

    def semivariances(self, u: FloatArray) -> FloatArray:
        """Relative semivariance of each bin from residuals ``(n,)``."""
        return self._by_bin(combine(u, self.place)[self._kept])

    def permutations(self, u: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The same of permuted places ``(N_PERMUTATIONS, bins)``."""
        z = combine(u, self.place)[self._kept]
        return np.array([self._by_bin(rng.permutation(z)) for _ in range(N_PERMUTATIONS)])

    def table(self, own: FloatArray, centre: FloatArray, half: FloatArray) -> pd.DataFrame:
        """Curve and band by bin."""
        import pandas as pd

        return pd.DataFrame(
            {
                "distance": self._distance,
                "pairs": self.count,
                "semivariance": own,
                "expected": centre,
                "lower": np.maximum(centre - half, 0.0),
                "upper": centre + half,
            }
        )


def _bins(distance: FloatArray, reach: float, bins: int) -> NDArray[np.intp]:
    """Bin of each pair, of equal width but where there are few pairs."""
    fine = np.minimum((distance / reach * bins).astype(np.intp), bins - 1)
    count = np.bincount(fine, minlength=bins)
    joined, current, filled = np.zeros(bins, dtype=np.intp), 0, 0
    for b in range(bins):
        if filled >= FEWEST_PAIRS:
            current, filled = current + 1, 0
        joined[b] = current
        filled += int(count[b])
    if filled < FEWEST_PAIRS and current > 0:
        joined[joined == current] = current - 1
    return joined[fine]
