r"""Smooth quantile curves of residuals along a predictor, for display.

Rows are put into up to 100 bins of equal size along the ranks of the predictor and 201 cells along the residual. The
binned distribution functions :math:`F_b(u)` are smoothed along the bins by a penalised cubic B-spline (Eilers & Marx
1996) whose penalty is chosen by generalised cross-validation, made monotone in `u`, smoothed along `u` and inverted
at the quantiles. Without the second smoothing a curve would stay at one residual and leap to the next, which reads as
steps along the predictor; its width is that of a smooth distribution function of as many rows as weigh at one place,
:math:`12^{-1/2} m^{-1/3}` (the order of Bowman, Hall & Prvan 1998), with the density reflected at 0 and 1.
The pointwise 95 % band comes from :math:`\mathrm{var}\,\hat F = \sum_b s_b^2 F(1-F)/m_b` with :math:`s` the
smoother's row, divided by the slope of :math:`\hat F`. Among refits the residuals are the cells of the test
(`simresid.checks.nulls.fitted_data`), each spread over its cell, and :math:`\mathrm{var}\,\hat F(q)` is that of the
refits, smoothed alike. The curve is then where :math:`\hat F` reaches the mean of the refits at `q`, so that what the
fit does to the residuals of a right model is no departure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simresid.checks._mean_cdf import below, mean_cdf
from simresid.checks.basis import ranks
from simresid.checks.inputs import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bins", "quantile_curves"]

N_BINS, N_CELLS = 100, 200


class Bins:
    """Rows put together by the ranks of a predictor.

    Parameters
    ----------
    predictor : ndarray (n,)

    Attributes
    ----------
    size, rank, value : ndarray (n_bins,)
        Number of rows, mean rank (0 to 1) and mean value of every bin.
    """

    def __init__(self, predictor: FloatArray) -> None:
        rank = ranks(np.asarray(predictor, dtype=float))
        n_bins = min(N_BINS, max(2, rank.size // 5))
        bins = np.minimum((rank * n_bins).astype(np.intp), n_bins - 1)
        self._of_rows = np.unique(bins, return_inverse=True)[1]  # ties leave bins empty
        self.size = np.bincount(self._of_rows).astype(float)
        self.rank, self.value = self._means(rank), self._means(predictor)

    def _means(self, values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(self._of_rows, weights=values) / self.size)

    def distribution(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Mean distribution function of the cells of every bin, ``(n_bins, N_CELLS + 1)`` evenly from 0 to 1."""
        inside = np.arange(1, N_CELLS) / N_CELLS
        order = np.argsort(self._of_rows, kind="stable")
        out = np.zeros((self.size.size, N_CELLS + 1))
        for row, members in zip(out, np.split(order, np.cumsum(self.size[:-1]).astype(np.intp)), strict=True):
            row[1:-1] = mean_cdf(lower[members], upper[members], inside)
        out[:, -1] = 1.0
        return out

    def at(self, lower: FloatArray, upper: FloatArray, quantiles: FloatArray) -> FloatArray:
        """The same at some probabilities, ``(n_bins * n_quantiles,)``."""
        return np.ravel([self._means(below(lower, upper, q)) for q in quantiles], order="F")


def quantile_curves(
    u: FloatArray,
    predictor: FloatArray | Bins,
    quantiles: FloatArray,
    *,
    upper: FloatArray | None = None,
    refits: FloatArray | None = None,
) -> pd.DataFrame:
    """Quantiles of the residuals as smooth functions of the predictor.

    Parameters
    ----------
    u : ndarray (n,)
        Residuals in [0, 1], or the lower ends of their cells.
    predictor : ndarray (n,) or Bins
        Values to follow the residuals along.
    quantiles : ndarray (k,)
        Which quantiles to follow, each in (0, 1).
    upper : ndarray (n,), optional
        Upper ends of the cells.
    refits : ndarray (m, n_bins * k), optional
        The same statistics of refits, for the band.

    Returns
    -------
    DataFrame
        Columns ``predictor``, ``rank`` (0 to 1), ``quantile``, ``value``, ``lower``, ``upper``; the points
        of a curve in increasing order of the predictor.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import quantile_curves
    >>> rng = np.random.default_rng(1)
    >>> x = rng.random(2000)
    >>> curves = quantile_curves(rng.random(2000), x, np.array([0.5]))
    >>> bool(np.all(np.abs(curves["value"] - 0.5) < 0.15))
    True
    """
    import pandas as pd

    bins = predictor if isinstance(predictor, Bins) else Bins(predictor)
    empirical = bins.distribution(u, u if upper is None else upper)
    grid = np.linspace(0.0, 1.0, N_CELLS + 1)
    at = np.rint(np.asarray(quantiles) * N_CELLS).astype(np.intp)
    smoother = _smoother(bins.rank, bins.size, empirical[:, at])
    smooth = np.maximum.accumulate(np.clip(smoother @ empirical, 0.0, 1.0), axis=1)
    smooth[:, 0], smooth[:, -1] = 0.0, 1.0
    smooth = _smooth_distribution(smooth, 1.0 / (smoother**2 @ (1 / bins.size)))
    frames = []
    for k, q in enumerate(quantiles):
        of_refits = None if refits is None else refits[:, k :: len(quantiles)] @ smoother.T
        reached = np.full(len(smooth), q) if of_refits is None else of_refits.mean(axis=0)
        curve = np.array(
            [np.interp(p, row + 1e-12 * np.arange(row.size), grid) for p, row in zip(reached, smooth, strict=True)]
        )
        step = 0.05
        rise = np.array(
            [
                np.interp(c + step, grid, row) - np.interp(c - step, grid, row)
                for c, row in zip(curve, smooth, strict=True)
            ]
        )
        reach = np.minimum(curve + step, 1.0) - np.maximum(curve - step, 0.0)
        slope = np.maximum(rise / reach, 0.1)
        variance = q * (1 - q) * (smoother**2 @ (1 / bins.size)) if of_refits is None else np.var(of_refits, axis=0)
        error = np.sqrt(variance) / slope
        frames.append(
            pd.DataFrame(
                {
                    "predictor": bins.value,
                    "rank": bins.rank,
                    "quantile": float(q),
                    "value": curve,
                    "lower": np.clip(curve - 1.96 * error, 0.0, 1.0),
                    "upper": np.clip(curve + 1.96 * error, 0.0, 1.0),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _smooth_distribution(values: FloatArray, n_rows: FloatArray) -> FloatArray:
    """Distribution functions on [0, 1] smoothed by a normal kernel, their densities reflected at both ends.

    Parameters
    ----------
    values : ndarray (n_bins, n_cells + 1)
        Increasing from 0 to 1, evenly spaced.
    n_rows : ndarray (n_bins,)
        Number of rows that each rests on.

    Returns
    -------
    ndarray (n_bins, n_cells + 1)
        What a kernel does to the departure from the diagonal, it does to each of its sines by a factor.
    """
    from scipy.fft import dst, idst

    width = n_rows ** (-1.0 / 3.0) / np.sqrt(12.0)
    diagonal = np.linspace(0.0, 1.0, values.shape[1])
    sines = dst(values[:, 1:-1] - diagonal[1:-1], type=1, axis=1)
    sines *= np.exp(-0.5 * (np.pi * width[:, None] * np.arange(1, sines.shape[1] + 1)) ** 2)
    out = np.array(values)
    out[:, 1:-1] = diagonal[1:-1] + idst(sines, type=1, axis=1)
    return np.maximum.accumulate(out, axis=1)


def _smoother(x: FloatArray, weights: FloatArray, targets: FloatArray) -> FloatArray:
    """Matrix that smooths values at `x`, its penalty chosen by generalised cross-validation on `targets`."""
    from scipy.interpolate import BSpline

    if x.size < 4:
        return np.tile(weights / weights.sum(), (x.size, 1))
    n_functions = int(min(14, max(4, x.size // 2)))
    inner = np.linspace(0.0, 1.0, n_functions - 2)
    knots = np.concatenate([[0.0] * 3, inner, [1.0] * 3])
    basis = BSpline.design_matrix(np.clip(x, 0.0, 1.0), knots, 3).toarray()
    difference = np.diff(np.eye(n_functions), 2, axis=0)
    penalty = difference.T @ difference
    gram = basis.T @ (weights[:, None] * basis)
    best = np.inf
    chosen: FloatArray | None = None
    for strength in weights.sum() * 10.0 ** np.linspace(-4, 4, 25):
        hat = basis @ np.linalg.solve(gram + strength * penalty, basis.T * weights)
        free = 1 - np.trace(hat) / x.size
        loss = float(np.sum(weights[:, None] * (targets - hat @ targets) ** 2)) / free**2
        if loss < best:
            best, chosen = loss, hat
    assert chosen is not None
    return chosen
