"""Statistics of series in order of time (formulas in `simresid.checks.temporal`)."""

from __future__ import annotations

import numpy as np

from simresid.checks.inputs import FloatArray
from simresid.checks.pvalues import floor_pvalue, normal_pvalue, quadratic_form_sf

__all__ = [
    "autocorrelation_interval",
    "autocorrelations",
    "durbin_watson",
    "durbin_watson_pvalue",
    "durbin_watson_variance",
    "ljung_box",
    "permuted_ljung_box",
    "pooled_durbin_watson",
    "serial_statistic",
    "vary",
]

N_PERMUTATIONS = 999


def vary(series: list[FloatArray]) -> list[FloatArray]:
    """Those of the centred series that can be tested: three times or more, and not all equal."""
    return [e for e in series if e.size >= 3 and np.ptp(e) > 0]


def durbin_watson_pvalue(d: float, n: int, alternative: str = "two-sided", *, exact: bool = True) -> float:
    """P-value of the Durbin-Watson statistic of `n` centred residuals.

    Examples
    --------
    >>> round(durbin_watson_pvalue(2.0, 50), 6)
    1.0
    """
    if exact:
        roots = 2 - 2 * np.cos(np.pi * np.arange(1, n) / n)
        small = alternative == "greater" or (alternative == "two-sided" and d < 2)
        tail = quadratic_form_sf(0.0, d - roots if small else roots - d)
        return floor_pvalue(2 * tail if alternative == "two-sided" else tail)
    return normal_pvalue((2 - d) / np.sqrt(durbin_watson_variance(n)), alternative)


def durbin_watson(e: FloatArray) -> float:
    """Durbin-Watson statistic of a centred series in order of time."""
    return float(np.sum(np.diff(e) ** 2) / np.sum(e**2))


def durbin_watson_variance(n: int) -> float:
    """Variance of the statistic of `n` independent normal residuals."""
    return 4 * (n - 2) / ((n - 1) * (n + 1))


def pooled_durbin_watson(series: list[FloatArray], alternative: str, exact: bool) -> tuple[float, float]:
    """Durbin-Watson statistic over several series and its p-value, exact for a single one."""
    sizes = np.array([e.size for e in series])
    d = float(np.sum(sizes * np.array([durbin_watson(e) for e in series])) / sizes.sum())
    if exact:
        return d, durbin_watson_pvalue(d, int(sizes[0]), alternative)
    variance = np.sum(sizes**2 * np.array([durbin_watson_variance(n) for n in sizes])) / sizes.sum() ** 2
    return d, normal_pvalue((2 - d) / float(np.sqrt(variance)), alternative)


def ljung_box(series: list[FloatArray], lags: int) -> tuple[float, float]:
    """Ljung-Box statistic added over series, and its chi-square p-value.

    Parameters
    ----------
    series : list of ndarray
        Centred, in order of time.
    lags : int

    Examples
    --------
    >>> import numpy as np
    >>> e = np.array([1.0, -1.0, 2.0, -2.0, 0.5, -0.5])
    >>> round(ljung_box([e], 1)[0], 4)
    5.9265
    """
    from scipy.special import chdtrc

    q = sum(float(_ljung_box(e[None, :], lags)[0]) for e in series)
    return q, floor_pvalue(chdtrc(sum(min(lags, e.size - 1) for e in series), q))


def _ljung_box(e: FloatArray, lags: int) -> FloatArray:
    """Ljung-Box statistic of each centred row."""
    n = e.shape[1]
    square = np.sum(e**2, axis=1)
    q = np.zeros(e.shape[0])
    for k in range(1, min(lags, n - 1) + 1):
        q += (np.sum(e[:, k:] * e[:, :-k], axis=1) / square) ** 2 / (n - k)
    return np.asarray(n * (n + 2) * q)


def permuted_ljung_box(series: list[FloatArray], lags: int, rng: np.random.Generator) -> FloatArray:
    """Ljung-Box statistics with the residuals of every series in random order."""
    draws = [_ljung_box(rng.permuted(np.tile(e, (N_PERMUTATIONS, 1)), axis=1), lags) for e in series]
    return np.asarray(np.sum(draws, axis=0))


def autocorrelations(series: list[FloatArray], lags: int) -> FloatArray:
    """Autocorrelations at lags 1 to `lags`, pooled over series."""
    total = sum(float(np.sum(e**2)) for e in series)
    return np.array(
        [sum(float(np.sum(e[k:] * e[:-k])) for e in series if e.size > k) / total for k in range(1, lags + 1)]
    )


def autocorrelation_interval(r: float, n: int) -> tuple[float, float]:
    """95 % interval of a first autocorrelation, within [-1, 1].

    The variance of `r` is about ``(1 - r**2) / n`` in an autoregressive series, that of its arc sine ``1 / n``.
    """
    low, high = np.clip(np.arcsin(np.clip(r, -1, 1)) + np.array([-1.96, 1.96]) / np.sqrt(n), -np.pi / 2, np.pi / 2)
    return float(np.sin(low)), float(np.sin(high))


def serial_statistic(series: list[FloatArray], method: str, lags: int) -> float:
    """Statistic over the series that vary, of either method."""
    used = vary(series)
    if method == "durbin-watson":
        return pooled_durbin_watson(used, "two-sided", exact=False)[0]
    return ljung_box(used, lags)[0]
