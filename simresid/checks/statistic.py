r"""Test whether the model reproduces a statistic of the data: any, or the number of zeros.

For a statistic :math:`t`, the observed :math:`t(y)` is ranked among the simulated :math:`t(S_j)`, :math:`j =
1..M`: ``greater`` :math:`p = (1 + \#\{t(S_j) \ge t(y)\}) / (M + 1)`, ``less`` with :math:`\le`, two-sided
:math:`\min(1, 2 \min)`; ties count in both tails. The reported statistic is the ratio :math:`t(y) / \bar
t(S)`.

Compared with refits (`simresid.checks.nulls`), the number of zeros :math:`O` is taken relative to what the fitted law
expects, :math:`z = (O - \sum_i p_i) / \sqrt{\sum_i p_i (1 - p_i)}` with :math:`p_i` the probability of a zero, and
ranked among the same of the refits: a fit of zero-inflated counts puts part of the excess into its dispersion.

A user's statistic :math:`t` of the response is compared by its excess over the simulations of each fit in their
standard deviations, :math:`(t(y) - \bar t(S)) / \mathrm{sd}\, t(S)`; one of the residuals as it is. Nothing is known
about their tails, so that p-values are ranks.

If no simulation shows a zero, the expected number of zeros is still only known to be below :math:`3/M` (rule
of three).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from simresid.alignment import real_array
from simresid.arguments import check_word
from simresid.checks._null import null_residuals
from simresid.checks._statistic_refits import of_residuals, of_responses
from simresid.checks.inputs import FloatArray, response_kind, simulated_only
from simresid.checks.nulls.choice import NullKind, against_refits
from simresid.checks.nulls.comparison import compare, normal_limits
from simresid.checks.nulls.fitted_data import FittedData, count_zeros
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import check_alternative, monte_carlo_error, normal_pvalue, simulation_pvalue
from simresid.checks.results import Effect, StatisticResult, ZeroInflationResult

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["statistic_test", "zero_inflation_test"]

FEWEST_ZEROS = 1e-3
"""Standard deviation of the number of zeros, at least: where none can be expected, one is no excess beyond measure."""

Statistic = Callable[[FloatArray], float]
Of: TypeAlias = Literal["response", "residuals"]


@overload
def statistic_test(
    res: SimulatedResiduals,
    statistic: Statistic,
    alternative: str = ...,
    *,
    name: str | None = ...,
    vectorized: bool = ...,
    of: Of = ...,
    null: NullKind = ...,
    n_refits: int | None = ...,
) -> StatisticResult: ...
@overload
def statistic_test(
    res: SimulatedResiduals,
    statistic: Mapping[str, Statistic],
    alternative: str = ...,
    *,
    name: str | None = ...,
    vectorized: bool = ...,
    of: Of = ...,
    null: NullKind = ...,
    n_refits: int | None = ...,
) -> dict[str, StatisticResult]: ...
def statistic_test(
    res: SimulatedResiduals,
    statistic: Statistic | Mapping[str, Statistic],
    alternative: str = "two-sided",
    *,
    name: str | None = None,
    vectorized: bool = False,
    of: Of = "response",
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> StatisticResult | dict[str, StatisticResult]:
    """Compare one or several statistics of the data with those of simulated data.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to test.
    statistic : callable or mapping of str to callable
        Takes a response vector ``(n,)``, or one of residuals, and returns a number. Several statistics share one pass
        over the simulations.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: larger in the data than the model predicts.
    name : str, optional
        What to call the statistic; the function's name by default.
    vectorized : bool
        Whether the functions take a block ``(b, n)`` and return ``(b,)``, which is faster.
    of : {"response", "residuals"}
        What the functions take. Statistics of the residuals have no null distribution but that of refits, or of the
        residuals of the simulated data sets.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`; without refits the statistics of the simulations.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    StatisticResult or dict of StatisticResult
        With the keys of the mapping.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.normal(size=(99, 50)), rng.normal(size=50))
    >>> 0.02 <= statistic_test(res, np.max).pvalue <= 1
    True
    """
    simulated_only(res, "statistic_test")
    check_alternative(alternative)
    several = isinstance(statistic, Mapping)
    table = dict(statistic) if isinstance(statistic, Mapping) else {name or _name_of(statistic): statistic}
    for key, function in table.items():
        if not callable(function):
            raise TypeError(f"statistic {key!r} is not callable")
    blockwise: list[Callable[[FloatArray], Any]]
    blockwise = [f if vectorized else _by_row(f, key) for key, f in table.items()]
    check_word(of, "of", ("response", "residuals"))
    among = of_responses if of == "response" else of_residuals
    results: dict[str, StatisticResult] = {}
    notes: tuple[str, ...] = ()
    for key, function in zip(table, blockwise, strict=True):
        refitted, notes = against_refits(
            res,
            null,
            n_refits,
            partial(among, res, name=key, function=function, alternative=alternative),
            with_simulations=of == "response",
        )
        if refitted is None:
            break
        results[key] = refitted
    else:
        return results if several else next(iter(results.values()))
    simulated, observed = _without_refits(res, blockwise, of)
    for key, own, others in zip(table, observed, simulated, strict=True):
        results[key] = StatisticResult(method=key, notes=notes, **_compare(res, own, others, alternative))
    return results if several else next(iter(results.values()))


def _without_refits(res: SimulatedResiduals, functions: list[Any], of: str) -> tuple[FloatArray, list[float]]:
    """Statistics of the simulated data sets, a row a function, and of the data."""
    own = res.observed
    if of == "residuals":
        pool = null_residuals(res)
        own = pool.comparable(res.residuals)
        simulated = np.array([np.asarray(f(pool.replicates), dtype=float) for f in functions])
    else:
        simulated = res.simulated_statistics(functions)
    # through the same function as the simulations, so that equal data give equal numbers
    return simulated, [float(np.asarray(f(own[None, :]))[0]) for f in functions]


def zero_inflation_test(
    res: SimulatedResiduals,
    alternative: str = "two-sided",
    *,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> ZeroInflationResult:
    """Compare the number of zeros with that in simulated data.

    Too many zeros relative to the model are not proof of zero inflation: overdispersion has the same effect.
    Rows with a zero in data and simulations count exactly, so grouped objects compare the number of all-zero
    groups.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to test.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is zero inflation.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`; without refits the numbers of zeros of the simulations.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    ZeroInflationResult
        `statistic` is observed over expected number of zeros; 1 where both are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> y = rng.poisson(3, 100) * (rng.random(100) < 0.7)
    >>> res = from_simulations(rng.poisson(y.mean(), (250, 100)), y)
    >>> zero_inflation_test(res, "greater").pvalue < 0.01
    True
    """
    simulated_only(res, "zero_inflation_test")
    check_alternative(alternative)
    refitted, notes = against_refits(
        res, null, n_refits, lambda pool, plan: _zeros_among_refits(res, pool, plan, alternative)
    )
    if refitted is not None:
        return refitted
    sums = res.replicate_sums
    zeros = sums.zeros if sums is not None else res.simulated_statistics([count_zeros])[0]
    observed = float(np.count_nonzero(res.observed == 0))
    numbers = _compare(res, observed, zeros, alternative)
    if numbers["expected"] == 0.0:
        notes += (f"No simulation has a zero, so fewer than {3 / res.n_sims:.2g} are expected in the data.",)
    numbers["notes"] = notes
    low, high = (float(q) for q in np.quantile(zeros, [0.025, 0.975]))
    n = res.n_obs
    numbers["effect"] = Effect(
        "excess proportion of zeros",
        (observed - numbers["expected"]) / n,
        0.0,
        ((observed - high) / n, (observed - low) / n),
    )
    return ZeroInflationResult(method="simulated zeros", response=response_kind(res), **numbers)


def _zero_score(data: FittedData) -> FloatArray:
    """Excess of zeros over what the fitted law expects, in its standard deviations."""
    return np.array([(data.zeros - data.zeros_expected) / max(data.zeros_sd, FEWEST_ZEROS)])


def _zeros_among_refits(res: SimulatedResiduals, pool: RefitPool, plan: Plan, alternative: str) -> ZeroInflationResult:
    own = pool.own
    n, scale = own.lower.size, max(own.zeros_sd, FEWEST_ZEROS)
    found = compare(
        pool,
        plan,
        "zeros",
        _zero_score,
        lambda z: z[:, 0],
        lambda z: normal_pvalue(z, alternative),
        alternative=alternative,
        theory_limits=normal_limits(1.0, alternative),
    )
    expected = max(own.zeros_expected + scale * float(found.centre[0]), 0.0)
    excess = scale * found.statistic / n
    low, high = (excess - scale * limit / n for limit in reversed(found.limits))
    usual = scale * np.quantile(found.null, [0.025, 0.975])
    return ZeroInflationResult(
        statistic=1.0 if own.zeros == expected else own.zeros / expected if expected > 0 else np.inf,
        alternative=alternative,
        method="zeros of refits",
        response=response_kind(res),
        n_obs=n,
        effect=Effect("excess proportion of zeros", excess, 0.0, (max(-1.0, low), min(1.0, high))),
        observed=own.zeros,
        expected=expected,
        null_distribution=np.maximum(expected + scale * found.null, 0.0),
        conf_int=(float(max(expected + usual[0], 0.0)), float(expected + usual[1])),
        notes=found.notes,
        **found.fields,
    )


def _by_row(function: Statistic, name: str) -> Callable[[FloatArray], FloatArray]:
    def over_rows(block: FloatArray) -> FloatArray:
        values = [function(row) for row in block]
        if np.ndim(values[0]) != 0:
            raise ValueError(f"statistic {name!r} must return one number, not shape {np.shape(values[0])}")
        return real_array(values, f"what the statistic {name!r} returns")

    return over_rows


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", "statistic"))


def _compare(res: SimulatedResiduals, observed: float, null: FloatArray, alternative: str) -> dict[str, Any]:
    expected = float(np.mean(null))
    pvalue = simulation_pvalue(observed, null, alternative)
    low, high = (float(q) for q in np.quantile(null, [0.025, 0.975]))
    if expected == 0.0:
        ratio = 1.0 if observed == 0.0 else float(np.copysign(np.inf, observed))
    else:
        ratio = observed / expected
    effect = None
    if observed > 0 and low > 0:
        effect = Effect("ratio", ratio, 1.0, (observed / high, observed / low))
    return {
        "statistic": ratio,
        "pvalue": pvalue,
        "alternative": alternative,
        "n_obs": res.n_obs,
        "effect": effect,
        "monte_carlo_error": monte_carlo_error(pvalue, null.size, alternative),
        "observed": observed,
        "expected": expected,
        "null": "simulated",
        "null_distribution": np.asarray(null, dtype=float),
        "conf_int": (low, high),
    }
