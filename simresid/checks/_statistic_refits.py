r"""A user's statistic among refits: fields of its result (formulas in `simresid.checks.statistic`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.base import Effect
from simresid.checks.inputs import FloatArray
from simresid.checks.nulls.comparison import Comparison, compare, limits_of
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool, replicate_generator
from simresid.checks.pvalues import simulation_pvalue

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["of_residuals", "of_responses"]

Block = Callable[[FloatArray], Any]

FIXED = 0.1
"""Spread of refits by that of simulations below which the fit determines the statistic, as it does a mean."""

FIXED_WITHIN = 5.0
"""Such spreads within which the data lie where the fit determines the statistic; beyond, the model is wrong."""

SAME_NOTE = "This statistic is the same in all simulations and in the data, so there is nothing to test."
FIXED_NOTE = "The fit reproduces this statistic by itself, so there is nothing to test."


def of_responses(
    res: SimulatedResiduals, pool: RefitPool, plan: Plan, name: str, function: Block, alternative: str
) -> dict[str, Any]:
    """Excess of a statistic over the simulations of each fit, in their standard deviations."""

    def excess(data: FittedData) -> FloatArray:
        assert data.residuals is not None
        own = float(np.asarray(function(data.residuals.observed[None, :]))[0])
        simulated = data.residuals.simulated_statistics([function])[0]
        return np.array([(own - float(simulated.mean())) / _unit(own, simulated)])

    simulated = res.simulated_statistics([function])[0]
    observed = float(np.asarray(function(res.observed[None, :]))[0])
    mean, sd = float(simulated.mean()), _unit(observed, simulated)
    scores = (simulated - mean) / sd
    found = _among_refits(pool, plan, excess, scores, alternative)
    expected = mean + sd * float(found.centre[0])
    null = expected + sd * found.null
    fields, notes = found.fields, found.notes
    if found.null.size > 1 and float(found.null.std()) < FIXED and abs(found.statistic) < FIXED_WITHIN * FIXED:
        fields |= {"pvalue": np.nan, "monte_carlo_error": np.nan}
        notes += (FIXED_NOTE if np.ptp(simulated) > 0 else SAME_NOTE,)
    low, high = (expected + sd * limit for limit in found.limits)
    return _fields(res, name, observed, expected, null, (low, high), alternative, fields, notes)


def _unit(own: float, simulated: FloatArray) -> float:
    """Standard deviation of the simulations; where they are all the same, that of them and the data set's `own`."""
    if np.ptp(simulated) > 0:
        return float(simulated.std())
    return abs(own - float(simulated[0])) * float(np.sqrt(simulated.size)) / (simulated.size + 1) or 1.0


def of_residuals(
    res: SimulatedResiduals, pool: RefitPool, plan: Plan, name: str, function: Block, alternative: str
) -> dict[str, Any]:
    """Compare a statistic of the residuals with that of the refits' residuals, ties broken at random."""
    own = float(np.asarray(function(res.residuals[None, :]))[0])
    drawn = iter(range(10**9))

    def value(data: FittedData) -> FloatArray:
        if data is pool.own:
            return np.array([own])
        v = replicate_generator(res.seed, next(drawn), 2).random(data.lower.size)
        return np.array([np.asarray(function((data.lower + v * (data.upper - data.lower))[None, :]))[0]], dtype=float)

    uniform = np.array(
        [np.asarray(function(replicate_generator(res.seed, j, 3).random((1, res.n_obs))))[0] for j in range(99)]
    )
    found = _among_refits(pool, plan, value, uniform - uniform.mean(), alternative)
    expected = float(found.centre[0])
    low, high = (expected + limit for limit in found.limits)
    return _fields(res, name, own, expected, expected + found.null, (low, high), alternative, found.fields, found.notes)


def _among_refits(
    pool: RefitPool, plan: Plan, value: Callable[[FittedData], FloatArray], known: FloatArray, alternative: str
) -> Comparison:
    """Compare one number of every data set with that of refits; `known` is its distribution where the law is known."""
    return compare(
        pool,
        plan,
        object(),  # a statistic of the user's: nothing of it is shared between tests
        value,
        lambda x: x[:, 0],
        lambda x: simulation_pvalue(x, known, alternative),
        alternative=alternative,
        theory_limits=limits_of(lambda share: np.quantile(known, share), alternative),
        continued=False,
    )


def _fields(
    res: SimulatedResiduals,
    name: str,
    observed: float,
    expected: float,
    null: FloatArray,
    limits: tuple[float, float],
    alternative: str,
    fields: dict[str, Any],
    notes: tuple[str, ...],
) -> dict[str, Any]:
    ratio = observed / expected if expected != 0.0 else 1.0 if observed == 0.0 else float(np.copysign(np.inf, observed))
    effect = None
    if observed > 0 and min(limits) > 0:
        effect = Effect("ratio", ratio, 1.0, (observed / limits[1], observed / limits[0]))
    low, high = (float(q) for q in np.quantile(null, [0.025, 0.975]))
    return {
        "statistic": ratio,
        "alternative": alternative,
        "method": name,
        "n_obs": res.n_obs,
        "effect": effect,
        "observed": observed,
        "expected": expected,
        "null_distribution": null,
        "conf_int": (low, high),
        "notes": notes,
        **fields,
    }
