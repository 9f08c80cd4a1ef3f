"""Dispersion as DHARMa, Pearson and the parametric bootstrap measure it (formulas in `simresid.checks.dispersion`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks._dispersion_simulated import simulated_fields
from simresid.checks._leverage import effective_parameters
from simresid.checks._refits import failed_refits, refit_statistics
from simresid.checks._row_moments import unit_of_deviations
from simresid.checks.base import Effect
from simresid.checks.inputs import response_kind
from simresid.checks.pvalues import floor_pvalue, simulation_pvalue
from simresid.protocol import CanRefit, HasLeverage, HasPearson, HasVariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["dharma", "pearson", "refit"]


def dharma(res: SimulatedResiduals, alternative: str) -> dict[str, Any]:
    """Variance of the deviations from the fitted values among that of simulations, DHARMa's statistic."""
    centre = res.fitted
    unit = unit_of_deviations(res, centre)
    null = res.simulated_statistics([lambda block: np.var((block - centre) / unit, axis=1, ddof=1)])[0]
    mean = float(null.mean())
    if mean == 0.0:
        raise ValueError("the simulations do not vary around the fitted values")
    statistic = float(np.var((res.observed - centre) / unit, ddof=1)) / mean
    return simulated_fields(res, statistic, null / mean, alternative, "DHARMa", 0.0, "none", [])


def pearson(res: SimulatedResiduals, alternative: str) -> dict[str, Any]:
    """Pearson's chi-square over its degrees of freedom."""
    from scipy.special import chdtr, chdtrc, chdtri

    model: Any = res.model
    if res.is_grouped or not isinstance(res.model, HasPearson):
        raise ValueError("method='pearson' needs ungrouped residuals of a model with Pearson residuals")
    edf = effective_parameters(model)
    if edf is None:
        raise ValueError("method='pearson' needs the model's edf or df_resid")
    squared = np.asarray(model.resid_pearson, dtype=float) ** 2
    if res.positions is not None:
        squared, edf = squared[res.positions], edf * _share_of_parameters(model, res.positions)
    df, total = squared.size - edf, float(np.sum(squared))
    if df <= 0:
        raise ValueError(f"no residual degrees of freedom are left (n = {squared.size}, edf = {edf:.4g})")
    greater, less = chdtrc(df, total), chdtr(df, total)
    p = {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[alternative]
    interval = (total / chdtri(df, 0.025), total / chdtri(df, 0.975))
    ratio = total / df
    return {
        "statistic": ratio,
        "pvalue": floor_pvalue(p),
        "alternative": alternative,
        "method": "Pearson chi-square",
        "n_obs": res.n_obs,
        "effect": Effect("dispersion ratio", ratio, 1.0, interval),
        "null_distribution": None,
        "conf_int": interval,
        "correction": "effective degrees of freedom",
        "response": response_kind(res),
    }


def _share_of_parameters(model: Any, rows: NDArray[np.intp]) -> float:
    """Share of the effective parameters that some rows take, by their leverage; without one the same for each."""
    if not isinstance(model, HasLeverage):
        return rows.size / int(model.nobs)
    leverage = np.asarray(model.leverage, dtype=float)
    return float(leverage[rows].sum() / leverage.sum())


def refit(res: SimulatedResiduals, alternative: str, n_refits: int, n_jobs: int | None) -> dict[str, Any]:
    """Pearson's chi-square among that of refits."""
    if res.is_grouped or not isinstance(res.model, CanRefit):
        raise ValueError("method='refit' needs ungrouped residuals of a model with a refit method")
    if res.positions is not None:
        raise ValueError(
            "method='refit' is about all rows of the model, not a selection; method='conditional' compares one with "
            "refits"
        )
    observed = _pearson_sum(res.model)
    null, n_failed = refit_statistics(
        res.model,
        "pearson",
        _pearson_sum,
        n_refits,
        res.child_rng("dispersion, refit"),
        n_jobs,
    )
    mean = float(null.mean())
    pvalue = simulation_pvalue(observed / mean, null / mean, alternative)
    notes = failed_refits(n_failed, null.size, pvalue, alternative)
    return simulated_fields(res, observed / mean, null / mean, alternative, "refit", 0.0, "refit", notes)


def _pearson_sum(model: Any) -> float:
    """Sum of squared Pearson residuals of a fit."""
    if isinstance(model, HasPearson):
        return float(np.sum(np.asarray(model.resid_pearson, dtype=float) ** 2))
    squared = (model.observed - model.fitted) ** 2
    if isinstance(model, HasVariance):
        return float(np.sum(squared / model.variance()))
    raise ValueError("method='refit' needs the model's Pearson residuals or its variance")
