"""Test residuals for spatial autocorrelation with Moran's I (formulas in `simresid.checks._moran`).

Inverse distances are the classical weights and cost O(n^2). Weights of the nearest neighbours or of all
neighbours within a radius come from a k-d tree and scale to a hundred thousand points. Great-circle
distances use the haversine formula for inverse distances, and chords of the unit sphere, which order points
alike, in the tree.

The normal approximation uses the permutation moments. With inverse distances a few close pairs can make I
skewed; ``null="permutation"`` is then exact. Where simulations redraw random effects that are shared by
neighbours, the null distribution is that of the simulated residuals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from glmmcore.arguments import require_flag
from glmmcore.memory import require_memory
from simresid.arguments import check_word, positive_number, whole_number
from simresid.checks._combined import combine, shown
from simresid.checks._moran import (
    MoranNull,
    band_weights,
    check_moran_null,
    inverse_weights,
    moran_test,
    neighbour_weights,
    places_from_distances,
)
from simresid.checks.base import CheckResult
from simresid.checks.entry import AUTOCORRELATION_LIMITS, Request, ResidualTest
from simresid.checks.inputs import FloatArray, Residuals, aligned_numeric, residual_array
from simresid.checks.pvalues import check_alternative

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SPATIAL", "MoranResult", "spatial_autocorrelation_test"]

Weights = Literal["auto", "inverse", "knn", "band"]
EARTH_RADIUS = 6371.0088  # km, mean
LARGEST_COORDINATE = 1e150
"""Squares of larger ones overflow; what is found in data is a mark for missing values."""
INVERSE_UP_TO, INVERSE_LIMIT = 2000, 8000


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MoranResult(CheckResult):
    """Moran's I of the residuals.

    Attributes
    ----------
    expected, sd : float
        Mean and standard deviation of I for exchangeable residuals.
    null_distribution : ndarray or None
        Permuted or simulated values of I.
    places : DataFrame or None
        What was tested where there are coordinates: ``x``, ``y``, ``n`` (rows at the place), ``residual`` (those rows
        combined, uniform under the model).

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import spatial_autocorrelation_test
    >>> x, y = np.random.default_rng(1).random((2, 100))
    >>> result = spatial_autocorrelation_test(0.1 + 0.8 * x, x, y)
    >>> round(result.expected, 4), result.statistic > 5 * result.sd
    (-0.0101, True)
    """

    expected: float
    sd: float
    null_distribution: NDArray[np.float64] | None = None
    places: pd.DataFrame | None = None
    title = "spatial autocorrelation"
    remedy = "neighbours resemble each other: add spatial predictors, a smooth of space or a spatial effect"


def spatial_autocorrelation_test(
    res: Residuals,
    x: Any = None,
    y: Any = None,
    *,
    distances: Any = None,
    alternative: str = "two-sided",
    weights: Weights = "auto",
    k: int = 8,
    radius: float | None = None,
    great_circle: bool = False,
    null: MoranNull = "auto",
    n_refits: int | None = None,
) -> MoranResult:
    """Test for spatial autocorrelation of residuals.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    x, y : array_like (n,) or str
        Coordinates; longitude and latitude in degrees with ``great_circle=True``. Rows at the same place are
        combined.
    distances : array_like (n, n), optional
        Distances in place of coordinates, in residual order.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is positive autocorrelation.
    weights : {"auto", "inverse", "knn", "band"}
        Inverse distance (up to 2000 places by default), `k` nearest neighbours (above), or neighbours within
        `radius`.
    k : int
        Number of neighbours.
    radius : float
        For ``weights="band"``, in units of the coordinates, or km on the globe.
    great_circle : bool
        Measure distance on the globe.
    null : {"auto", "refits", "simulated", "analytic", "permutation"}
        As in `uniformity_test`; ``"analytic"`` is normal with permutation moments, ``"permutation"`` 999 permutations.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    MoranResult
        `statistic` is Moran's I, `expected` and `sd` its moments without autocorrelation.

    Raises
    ------
    ValueError
        If coordinates are missing or not finite, or the weights cannot be made.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import spatial_autocorrelation_test
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.random((2, 100))
    >>> result = spatial_autocorrelation_test(0.1 + 0.8 * x, x, y)
    >>> print(result.effect)
    autocorrelation 0.919 [0.83, 1]
    >>> result.pvalue < 1e-6
    True
    """
    check_alternative(alternative)
    check_moran_null(null, n_refits)
    check_word(weights, "weights", ("auto", "inverse", "knn", "band"))
    k = whole_number(k, "k", least=1)
    u = residual_array(res)
    notes: list[str] = []
    if distances is not None:
        if x is not None or y is not None:
            raise ValueError("pass either coordinates or distances, not both")
        d, place = places_from_distances(distances)
        if place.size != u.size:
            raise ValueError(f"distances is {place.size} x {place.size} for {u.size} residuals")
        matrix, near, label = _from_distances(d, weights, k, radius)
        return moran_test(
            res, u, place, matrix, near, alternative, null, n_refits, f"Moran, {label}", notes, MoranResult
        )
    if x is None or y is None:
        raise ValueError("pass both coordinates, x and y, or distances")
    require_flag(great_circle, "great_circle")
    points = np.column_stack([_coordinate(x, res, "x"), _coordinate(y, res, "y")])
    places, place = np.unique(points, axis=0, return_inverse=True)
    place = np.ravel(place)
    matrix, near, label = _from_coordinates(places, weights, k, radius, great_circle, notes)
    result = moran_test(res, u, place, matrix, near, alternative, null, n_refits, f"Moran, {label}", notes, MoranResult)
    return replace(result, places=_table(places, u, place))


def _coordinate(values: Any, res: Residuals, name: str) -> FloatArray:
    """One coordinate of every row, of a size that can be squared."""
    numbers = aligned_numeric(values, res, name)
    if (large := np.flatnonzero(np.abs(numbers) > LARGEST_COORDINATE)).size:
        raise ValueError(
            f"{name} is {numbers[large[0]]:.4g} at position {large[0]} ({large.size} such rows), which is no place but "
            "a mark for a missing value; leave these rows out with recalculate(select=)"
        )
    return numbers


def _table(places: FloatArray, u: FloatArray, place: NDArray[np.intp]) -> pd.DataFrame:
    """What is tested: the combined residual of every place."""
    import pandas as pd

    size = np.bincount(place)
    return pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "n": size, "residual": shown(combine(u, place), size)})


def great_circle_distances(longitude: FloatArray, latitude: FloatArray) -> FloatArray:
    """Distances on the globe in km ``(n, n)``, by the haversine formula.

    Examples
    --------
    >>> import numpy as np
    >>> d = great_circle_distances(np.array([0.0, 90.0]), np.array([0.0, 0.0]))
    >>> round(float(d[0, 1]), 1)  # a quarter of the way round
    10007.6
    """
    lon, lat = np.radians(longitude), np.radians(latitude)
    half = np.sin((lat[:, None] - lat) / 2) ** 2
    half = half + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def _in_units(places: FloatArray, unit: float) -> FloatArray:
    """Coordinates in other units; from their corner where they are beyond all numbers, which rounds distances."""
    with np.errstate(over="ignore"):
        scaled = places / unit
    return scaled if np.isfinite(scaled).all() else (places - places.min(axis=0)) / unit


def _from_coordinates(
    places: FloatArray, weights: Weights, k: int, radius: float | None, great_circle: bool, notes: list[str]
) -> tuple[Any, Any, str]:
    from scipy.spatial import cKDTree

    n = places.shape[0]
    _enough(n)
    if great_circle and (np.abs(places) > [360, 90]).any():
        raise ValueError(
            "great_circle=True takes x as longitude and y as latitude in degrees; |x| exceeds 360 or |y| exceeds 90"
        )
    # Squared distances of tiny coordinates would vanish. Powers of two change no digit.
    unit = 1.0 if great_circle else 2.0 ** np.floor(np.log2(float(np.ptp(places, axis=0).max())))
    tree = cKDTree(_on_sphere(places) if great_circle else _in_units(places, unit))
    near = neighbour_weights(_nearest(tree, min(k, n - 1)))
    kind = ("inverse" if n <= INVERSE_UP_TO else "knn") if weights == "auto" else weights
    if kind == "knn":
        return near, near, f"{min(k, n - 1)} nearest neighbours"
    if kind == "band":
        reach = _positive(radius)
        # in these units no two places are further apart than the root of 8
        chord = 2 * np.sin(min(reach / EARTH_RADIUS, np.pi) / 2) if great_circle else min(reach, 3 * unit) / unit
        matrix, lonely = band_weights(tree.query_pairs(chord, output_type="ndarray"), n)
        if lonely == n:
            raise ValueError(f"no two places lie within radius={radius}")
        if lonely:
            notes.append(f"{lonely} places have no neighbour within {radius:g}.")
        return matrix, near, f"neighbours within {radius:g}"
    if n > INVERSE_LIMIT:
        raise ValueError(f"inverse-distance weights of {n} places need a {n} x {n} matrix; use weights='knn' or 'band'")
    require_memory(6 * 8.0 * n * n, f"inverse-distance weights of {n} places", "use weights='knn' or 'band'")
    if great_circle:
        d = great_circle_distances(places[:, 0], places[:, 1])
    else:
        d = np.hypot(places[:, 0, None] - places[:, 0], places[:, 1, None] - places[:, 1])
    return inverse_weights(d), near, "inverse distance"


def _from_distances(d: FloatArray, weights: Weights, k: int, radius: float | None) -> tuple[Any, Any, str]:
    n = d.shape[0]
    _enough(n)
    masked = d + np.diag(np.full(n, np.inf))
    k = min(k, n - 1)
    near = neighbour_weights(np.argpartition(masked, k - 1, axis=1)[:, :k])
    if weights == "knn":
        return near, near, f"{k} nearest neighbours"
    if weights == "band":
        matrix, lonely = band_weights(np.argwhere(np.triu(d <= _positive(radius), 1)), n)
        if lonely == n:
            raise ValueError(f"no two places lie within radius={radius}")
        return matrix, near, f"neighbours within {radius:g}"
    return inverse_weights(d), near, "inverse distance"


def _enough(n: int) -> None:
    if n < 4:
        raise ValueError(f"Moran's I needs at least 4 distinct places, there are {n}")


def _positive(radius: float | None) -> float:
    reach = positive_number(radius)
    if reach is None:
        raise ValueError("weights='band' needs radius > 0")
    return reach


def _nearest(tree: Any, k: int) -> NDArray[np.intp]:
    """Find the `k` nearest other points.

    A point is its own nearest neighbour, but for others that are so close that their distance squared is zero: these
    may stand before it or crowd it out.
    """
    found = np.asarray(tree.query(tree.data, k=k + 1)[1], dtype=np.intp)
    own = found == np.arange(len(found))[:, None]
    own[~own.any(axis=1), -1] = True
    return np.ascontiguousarray(found[~own].reshape(len(found), k))


def _on_sphere(places: FloatArray) -> FloatArray:
    lon, lat = np.radians(places).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _in_space(asked: Request) -> dict[str, dict[str, Any]]:
    if (asked.x is None) != (asked.y is None):
        raise ValueError("spatial autocorrelation needs both x and y")
    if asked.x is None:
        return {}
    return {"spatial autocorrelation": {"x": asked.column(asked.x, "x"), "y": asked.column(asked.y, "y")}}


SPATIAL = ResidualTest(
    name="spatial autocorrelation",
    title="Space",
    test=spatial_autocorrelation_test,
    result=MoranResult,
    takes_arrays=True,
    limits={"autocorrelation": AUTOCORRELATION_LIMITS},
    word=lambda result: "correlated in space",
    along=_in_space,
    short_name="autocorr. in space",
)
