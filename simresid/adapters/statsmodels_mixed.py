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

    from simresid.alignment import FloatArray


__all__ = ["MixedLMFit"]


LEAST_START = 0.02
"""What random effects add to the variance of a row where a refit starts, in units of the residual variance."""


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

    refit_effort = 40.0

    def __init__(self, results: Any) -> None:
        model = results.model
        blocks = _blocks(results)
        fixed = model.exog @ np.asarray(results.fe_params, float)
        noise = float(results.scale)
        kind = "REML" if model.reml else "ML"
        self._hat = _HatMatrix(blocks, np.asarray(model.exog, float), noise)
        self.leverage = self._hat.diagonal()
        edf = float(self.leverage.sum())
        options = {"reml": model.reml, "start_params": _start(results)}
        self._rebuild = Rebuild(type(model), model.exog, model._get_init_kwds(), options)
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

    def group_leverage(self, codes: NDArray[np.intp]) -> FloatArray:
        """How much the fitted sum of each group follows its observed sum ``(n_groups,)``, variances as fitted."""
        return self._hat.of_groups(np.asarray(codes))

    def refit(self, y: ArrayLike) -> MixedLMFit:
        """Fit the same fixed and random design to `y`, by REML or ML as before."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def _normal_at(sd: float, eta: FloatArray) -> Normal:
    return Normal(eta, np.full(eta.shape, sd))


def _start(results: Any) -> Any:
    """Parameters of the fit in units of the residual variance, moved inside where a variance is zero.

    There the gradient by its root is zero, and the optimiser would stay. From statsmodels' own start it often gives up:
    for groups of 10 of SD .2 one refit in three ended up to 1.7 of log-likelihood below, after ten times as long.
    """
    from statsmodels.regression.mixed_linear_model import MixedLMParams

    scale, model = float(results.scale), results.model
    covariance = np.asarray(results.cov_re, float).reshape(results.k_re, results.k_re) / scale
    if results.k_re:
        columns = np.concatenate(model.exog_re_li)
        covariance += np.diag(LEAST_START / np.maximum(np.mean(np.square(columns), axis=0), 1e-12))
    components = np.maximum(np.asarray(results.vcomp, float) / scale, LEAST_START)
    return MixedLMParams.from_components(np.asarray(results.fe_params, float), cov_re=covariance, vcomp=components)


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


class _HatMatrix:
    """The matrix `H` that maps the response to the conditional fitted values at the fitted variances.

    ``H = I - noise P`` with ``P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1`` (Hodges & Sargent 2001); of every group
    ``V^-1 = (I - half (noise I + half' half)^-1 half') / noise``. Residuals have covariance ``noise (I - H)``, so that
    sums of residuals over the rows of an indicator vector `e` have the share ``1 - e'He / e'e`` of the variance that
    sums of simulations have.
    """

    def __init__(self, blocks: list[_Block], exog: FloatArray, noise: float) -> None:
        self._blocks, self._exog, self._noise = blocks, exog, noise
        inner = np.zeros((exog.shape[1], exog.shape[1]))
        for rows, half in blocks:
            design = exog[rows]
            inner = inner + design.T @ (design - half @ _shrink(half, noise, half.T @ design)) / noise
        self._inverse = np.linalg.pinv(inner)

    def diagonal(self) -> FloatArray:
        """Leverage of every row ``(n,)``."""
        leverage = np.empty(self._exog.shape[0])
        for rows, half in self._blocks:
            design = self._exog[rows]
            shrunken = _shrink(half, self._noise, np.hstack([half.T, half.T @ design]))
            kept = 1.0 - np.sum(half * shrunken[:, : rows.size].T, axis=1)
            whitened = (design - half @ shrunken[:, rows.size :]) / self._noise
            fixed = self._noise * np.einsum("ij,jk,ik->i", whitened, self._inverse, whitened)
            leverage[rows] = 1.0 - kept + fixed
        return leverage

    def of_groups(self, codes: NDArray[np.intp]) -> FloatArray:
        """``e'He / e'e`` for the rows of every group ``(n_groups,)``; `codes` ``(n,)`` are -1 for rows in none."""
        n_groups = int(codes.max()) + 1
        if codes.shape != self._exog.shape[:1] or n_groups > codes.size or codes.min() < -1:
            raise ValueError(f"codes must number the groups of {self._exog.shape[0]} rows from 0, -1 for rows in none")
        kept, fixed = np.zeros(n_groups), np.zeros((n_groups, self._exog.shape[1]))
        for rows, half in self._blocks:
            inside = codes[rows] >= 0
            names, member = np.unique(codes[rows][inside], return_inverse=True)
            sums = sparse.csr_array((np.ones(member.size), (member, np.arange(member.size))))
            random, design = sums @ half[inside], sums @ self._exog[rows[inside]]
            shrunken = _shrink(half, self._noise, random.T)
            kept[names] += np.bincount(member) - np.sum(random * shrunken.T, axis=1)
            fixed[names] += (design - shrunken.T @ (half.T @ self._exog[rows])) / self._noise
        kept -= self._noise * np.einsum("gj,jk,gk->g", fixed, self._inverse, fixed)
        return np.asarray(1.0 - kept / np.bincount(codes[codes >= 0], minlength=n_groups))
