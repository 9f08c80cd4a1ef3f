"""statsmodels MixedLM: conditional on its predicted random effects, or with new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simresid.adapters._laws import Normal
from simresid.adapters._rows import IndependentRows, redraws_random_effects, response_for_refit
from simresid.adapters.statsmodels_rows import describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simresid.protocol import RandomEffects

    FloatArray = NDArray[np.float64]

__all__ = ["MixedLMFit"]


class _Block(NamedTuple):
    """One group: its rows and the root of its random part, ``half @ half.T`` being the covariance it adds."""

    rows: NDArray[np.intp]
    half: FloatArray


class MixedLMFit(IndependentRows):
    """A fitted linear mixed model.

    Conditional: normal around the fixed part plus predicted random effects, variance ``results.scale``.
    Unconditional: fixed part plus new random effects plus noise. Covariances enter through a symmetric root,
    so a variance estimated as zero is no obstacle (statsmodels' own predictions and draws fail then).
    """

    has_random_effects = True

    def __init__(self, results: Any) -> None:
        model = results.model
        self._results = results
        self._blocks = _blocks(results)
        self._fixed = model.exog @ np.asarray(results.fe_params, float)
        self._noise = float(results.scale)
        self._kind = "REML" if model.reml else "ML"
        predicted = _predicted_random_part(self._blocks, model.endog - self._fixed, self._noise)
        edf = _effective_parameters(self._blocks, model.exog, self._noise)
        super().__init__(
            Normal(self._fixed + predicted, np.sqrt(self._noise)),
            model.endog,
            description=describe(model, f"gaussian(identity), {self._kind}"),
            data=used_rows(model),
            llf=results.llf,
            edf=edf,
            df_resid=model.endog.size - edf,
        )

    def simulate(
        self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional"
    ) -> FloatArray:
        """Draw `n_sims` responses, shape ``(n_sims, n)``."""
        generator = np.random.default_rng(rng)
        if not redraws_random_effects(random_effects, True):
            return self.law.draw(n_sims, generator)
        response = generator.normal(self._fixed, np.sqrt(self._noise), size=(n_sims, self.nobs))
        for block in self._blocks:
            response[:, block.rows] += generator.standard_normal((n_sims, block.half.shape[1])) @ block.half.T
        return response

    def population_mean(self) -> FloatArray:
        """Return the fixed part ``(n,)``, the mean over new random effects."""
        return self._fixed

    def refit(self, y: ArrayLike) -> MixedLMFit:
        """Fit the same fixed and random design to `y`, by REML or ML as before."""
        model = self._results.model
        new = type(model)(response_for_refit(y, self.nobs), model.exog, **model._get_init_kwds())
        return type(self)(new.fit(reml=self._kind == "REML"))


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
