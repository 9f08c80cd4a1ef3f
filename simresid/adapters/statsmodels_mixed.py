"""statsmodels MixedLM: conditional on its predicted random effects, or with new ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from simresid.adapters._laws import Normal
from simresid.adapters._mixed_rows import MixedRows
from simresid.adapters._rows import response_for_refit
from simresid.adapters.statsmodels_rows import Rebuild, describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["MixedLMFit"]


class _Block(NamedTuple):
    """One group: its rows and the root of its random part, ``half @ half.T`` being the covariance it adds."""

    rows: NDArray[np.intp]
    half: FloatArray


class MixedLMFit(MixedRows):
    """A fitted linear mixed model.

    Conditional: normal around the fixed part plus predicted random effects, variance ``results.scale``.
    Unconditional: fixed part plus new random effects plus noise. Covariances enter through a symmetric root,
    so a variance estimated as zero is no obstacle (statsmodels' own predictions and draws fail then).
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        blocks = _blocks(results)
        fixed = model.exog @ np.asarray(results.fe_params, float)
        noise = float(results.scale)
        kind = "REML" if model.reml else "ML"
        edf = _effective_parameters(blocks, model.exog, noise)
        self._rebuild = Rebuild(type(model), model.exog, model._get_init_kwds(), {"reml": model.reml})
        super().__init__(
            partial(_normal_at, np.sqrt(noise)),
            fixed,
            _predicted_random_part(blocks, model.endog - fixed, noise),
            _stacked_root(blocks, fixed.size),
            model.endog,
            description=describe(model, f"gaussian(identity), {kind}"),
            data=used_rows(model),
            llf=results.llf,
            edf=edf,
            df_resid=fixed.size - edf,
        )

    def refit(self, y: ArrayLike) -> MixedLMFit:
        """Fit the same fixed and random design to `y`, by REML or ML as before."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def _normal_at(sd: float, eta: FloatArray) -> Normal:
    return Normal(eta, np.full(eta.shape, sd))


def _blocks(results: Any) -> list[_Block]:
    """Random effects and variance components of every group, each times the root of its covariance."""
    model = results.model
    covariance = np.asarray(results.cov_re, float).reshape(results.k_re, results.k_re)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    deviations = np.sqrt(np.maximum(np.asarray(results.vcomp, float), 0))
    blocks = []
    for position, label in enumerate(model.group_labels):
        parts = [np.zeros((len(model.row_indices[label]), 0))]
        if results.k_re:
            parts.append(model.exog_re_li[position] @ root)
        for component, deviation in enumerate(deviations):
            parts.append(deviation * np.asarray(model.exog_vc.mats[component][position]))
        blocks.append(_Block(np.asarray(model.row_indices[label]), np.hstack(parts)))
    return blocks


def _stacked_root(blocks: list[_Block], n_rows: int) -> sparse.csr_array:
    """Put the root of every group into its rows and into columns of its own."""
    rows = np.concatenate([np.repeat(block.rows, block.half.shape[1]) for block in blocks])
    starts = np.cumsum([0, *(block.half.shape[1] for block in blocks)])
    columns = np.concatenate(
        [
            np.tile(np.arange(start, start + block.half.shape[1]), block.rows.size)
            for start, block in zip(starts[:-1], blocks, strict=True)
        ]
    )
    values = np.concatenate([block.half.ravel() for block in blocks])
    return sparse.csr_array((values, (rows, columns)), shape=(n_rows, int(starts[-1])))


def _shrink(half: FloatArray, noise: float, right: FloatArray) -> FloatArray:
    """Return ``(noise I + half' half)^-1 right``."""
    system = noise * np.eye(half.shape[1]) + half.T @ half
    return np.asarray(np.linalg.solve(system, right), np.float64)


def _predicted_random_part(blocks: list[_Block], residual: FloatArray, noise: float) -> FloatArray:
    """Best linear unbiased prediction of the random part, given the residual of the fixed part."""
    predicted = np.zeros_like(residual)
    for rows, half in blocks:
        predicted[rows] = half @ _shrink(half, noise, half.T @ residual[rows])
    return predicted


def _effective_parameters(blocks: list[_Block], exog: FloatArray, noise: float) -> float:
    """Trace of the matrix that maps the response to the conditional fitted values.

    That matrix is ``I - noise P`` with ``P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1`` (Hodges & Sargent 2001),
    summed over groups through ``V^-1 = (I - H (noise I + H'H)^-1 H') / noise``.
    """
    trace = 0.0
    inner = np.zeros((exog.shape[1], exog.shape[1]))
    middle = np.zeros_like(inner)
    for rows, half in blocks:
        design = exog[rows]
        trace += (rows.size - np.trace(_shrink(half, noise, half.T @ half))) / noise
        whitened = (design - half @ _shrink(half, noise, half.T @ design)) / noise
        inner = inner + design.T @ whitened
        middle = middle + whitened.T @ whitened
    removed = np.trace(np.linalg.pinv(inner) @ middle)
    return float(exog.shape[0] - noise * (trace - removed))
