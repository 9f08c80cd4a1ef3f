r"""Test residuals within categories and between them.

Within each level the residuals are tested for uniformity (Kolmogorov-Smirnov, see
`simresid.checks.uniformity`) and the p-values adjusted by Holm's method. Between levels, Levene's test with
medians (Brown & Forsythe 1974) is a one-way analysis of variance of :math:`|u - \tilde u_{level}|`. Levels with
fewer than ten rows measure from 1/2, the median that a right model gives: the two deviations of a pair from its own
median are equal, so that the variance within pairs would be rounding error, and of three or five rows one
deviation is always zero, so that the test would never reject. The overall p-value is twice the smaller of the
smallest adjusted p-value and Levene's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks._inputs import (
    FloatArray,
    Null,
    Residuals,
    aligned,
    residual_array,
)
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.pvalues import floor_pvalue, holm, monte_carlo_error, simulation_pvalue
from simresid.checks.results import CategoricalResult, Effect
from simresid.checks.uniformity import ks_distances, ks_pvalues, ks_statistic

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["categorical_test", "levene"]

#: Values of the replicates that are worked on at a time.
BLOCK_VALUES = 1_000_000
#: Rows from which on a level's own median is the centre of its deviations.
MEDIAN_FROM = 10
#: Variance of deviations, which lie in [0, 1], below which there is rounding error only.
NO_VARIANCE = 1e-20


def categorical_test(res: Residuals, categories: Any, *, null: Null = "auto") -> CategoricalResult:
    """Test uniformity within each category and equal spread between categories.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    categories : array_like (n,) or str
        Level of each row, or a column of the model's data. Unused levels are ignored.
    null : {"auto", "analytic", "simulated"}
        As in `uniformity_test`.

    Returns
    -------
    CategoricalResult
        `levels` has one row per level; `homogeneity_pvalue` is None if no two levels can be compared.

    Raises
    ------
    ValueError
        If a category is missing or the length differs.

    Examples
    --------
    >>> import numpy as np
    >>> u = (np.arange(60) + 0.5) / 60
    >>> result = categorical_test(u, np.tile(["a", "b"], 30))
    >>> [str(level) for level in result.levels.index], bool(result.uniformity_pvalue > 0.9)
    (['a', 'b'], True)
    """
    u = residual_array(res)
    pool = None if analytic_null_holds(res, null) else null_residuals(res)
    if pool is not None:
        u = pool.comparable(u)
    series = aligned(categories, res, "categories")
    try:
        series = series.astype("category").cat.remove_unused_categories()
    except TypeError:
        raise ValueError(f"categories holds {series.iloc[0]!r}, which cannot be a level; use text") from None
    codes, names = series.cat.codes.to_numpy(), series.cat.categories
    members = [np.flatnonzero(codes == k) for k in range(names.size)]
    statistic = np.array([ks_statistic(u[rows], "two-sided") for rows in members])
    homogeneity = levene(u, codes)
    notes: list[str] = []
    error = 0.0
    if pool is not None:
        replicates = pool.replicates
        simulated = [ks_distances(replicates[:, rows]) for rows in members]
        pvalue = np.array([simulation_pvalue(d, s, "greater") for d, s in zip(statistic, simulated, strict=True)])
        if homogeneity is not None:
            null_f = levene_statistics(replicates, codes)
            homogeneity = homogeneity[0], simulation_pvalue(homogeneity[0], null_f[np.isfinite(null_f)], "greater")
        error = monte_carlo_error(float(pvalue.min()), replicates.shape[0], "greater")
        notes.append(pool.note)
    else:
        size = np.array([rows.size for rows in members])
        exact = np.array([np.unique(u[rows]).size == rows.size for rows in members])
        pvalue = ks_pvalues(statistic, size, exact)
    if homogeneity is None:
        notes.append("Spread cannot be compared: that needs two levels and more rows than levels.")
    adjusted = holm(pvalue)
    smallest = float(adjusted.min())
    overall = smallest if homogeneity is None else min(1.0, 2 * min(smallest, homogeneity[1]))
    return CategoricalResult(
        statistic=float(statistic.max()),
        pvalue=overall,
        alternative="two-sided",
        method="Kolmogorov-Smirnov per level, Levene between",
        n_obs=u.size,
        effect=_effect(members, statistic, pvalue),
        monte_carlo_error=error,
        notes=tuple(notes),
        levels=_levels(names, members, statistic, pvalue, adjusted),
        uniformity_pvalue=smallest,
        homogeneity_statistic=None if homogeneity is None else homogeneity[0],
        homogeneity_pvalue=None if homogeneity is None else homogeneity[1],
    )


def levene(u: FloatArray, codes: Any) -> tuple[float, float] | None:
    """Compute Levene's statistic and its p-value, around medians or, in levels of few rows, around 1/2.

    None with fewer than two levels, no degrees of freedom or no spread within levels.

    Parameters
    ----------
    u : ndarray (n,)
    codes : ndarray of int (n,)
        Level of each row, 0 to number of levels minus 1.

    Examples
    --------
    >>> import numpy as np
    >>> statistic, pvalue = levene(np.array([0.1, 0.7, 0.9, 0.4, 0.5, 0.6]), np.array([0, 0, 0, 1, 1, 1]))
    >>> round(statistic, 4)  # deviations .4, .2, .4 and .1, 0, .1 from 1/2
    12.8
    """
    from scipy.special import fdtrc

    n_levels = int(codes.max()) + 1
    f = float(levene_statistics(u[None, :], codes)[0])
    if not np.isfinite(f):
        return None
    return f, floor_pvalue(fdtrc(n_levels - 1, u.size - n_levels, f))


def levene_statistics(u: FloatArray, codes: Any) -> FloatArray:
    """Levene's statistics of the rows of `u` ``(m, n)``, NaN where `levene` gives None."""
    n_levels = int(codes.max()) + 1
    out = np.full(len(u), np.nan)
    if n_levels < 2 or codes.size <= n_levels:
        return out
    size = np.bincount(codes, minlength=n_levels)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(size)[:-1])
    centre = np.stack([_centre(u[:, rows]) for rows in members], axis=1)
    step = max(1, BLOCK_VALUES // codes.size)
    for first in range(0, len(u), step):
        block = u[first : first + step]
        cell = (np.arange(len(block))[:, None] * n_levels + codes).ravel()
        z = np.abs(block - centre[first : first + step][:, codes])
        mean = np.bincount(cell, weights=z.ravel(), minlength=len(block) * n_levels).reshape(-1, n_levels) / size
        between = np.sum(size * (mean - z.mean(axis=1, keepdims=True)) ** 2, axis=1) / (n_levels - 1)
        within = np.sum((z - mean[:, codes]) ** 2, axis=1) / (codes.size - n_levels)
        np.divide(between, within, out=out[first : first + step], where=within > NO_VARIANCE)
    return out


def _centre(u: FloatArray) -> FloatArray:
    """What the deviations of a level's residuals ``(m, rows)`` are taken from ``(m,)``."""
    return np.asarray(np.median(u, axis=1)) if u.shape[1] >= MEDIAN_FROM else np.full(len(u), 0.5)


def _effect(members: list[Any], statistic: FloatArray, pvalue: FloatArray) -> Effect:
    worst = int(np.argmin(pvalue))
    d, slack = float(statistic[worst]), 1.3581 / np.sqrt(members[worst].size)
    return Effect("largest distance within a level", d, 0.0, (max(0.0, d - slack), min(1.0, d + slack)))


def _levels(
    names: Any, members: list[Any], statistic: FloatArray, pvalue: FloatArray, adjusted: FloatArray
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "n": [rows.size for rows in members],
            "statistic": statistic,
            "pvalue": pvalue,
            "pvalue_adjusted": adjusted,
        },
        index=pd.Index(names, name="level"),
    )
