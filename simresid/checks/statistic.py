r"""Test whether the model reproduces a statistic of the data: any, or the number of zeros.

For a statistic :math:`t`, the observed :math:`t(y)` is ranked among the simulated :math:`t(S_j)`, :math:`j =
1..M`: ``greater`` :math:`p = (1 + \#\{t(S_j) \ge t(y)\}) / (M + 1)`, ``less`` with :math:`\le`, two-sided
:math:`\min(1, 2 \min)`; ties count in both tails. The reported statistic is the ratio :math:`t(y) / \bar
t(S)`.

If no simulation shows a zero, the expected number of zeros is still only known to be below :math:`3/M` (rule
of three).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from simresid.alignment import real_array
from simresid.checks._inputs import FloatArray, response_kind, simulated_only
from simresid.checks.pvalues import check_alternative, monte_carlo_error, simulation_pvalue
from simresid.checks.results import Effect, StatisticResult, ZeroInflationResult

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["statistic_test", "zero_inflation_test"]

Statistic = Callable[[FloatArray], float]


@overload
def statistic_test(
    res: SimulatedResiduals,
    statistic: Statistic,
    alternative: str = ...,
    *,
    name: str | None = ...,
    vectorized: bool = ...,
) -> StatisticResult: ...
@overload
def statistic_test(
    res: SimulatedResiduals,
    statistic: Mapping[str, Statistic],
    alternative: str = ...,
    *,
    name: str | None = ...,
    vectorized: bool = ...,
) -> dict[str, StatisticResult]: ...
def statistic_test(
    res: SimulatedResiduals,
    statistic: Statistic | Mapping[str, Statistic],
    alternative: str = "two-sided",
    *,
    name: str | None = None,
    vectorized: bool = False,
) -> StatisticResult | dict[str, StatisticResult]:
    """Compare one or several statistics of the observed response with those of simulated responses.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to test.
    statistic : callable or mapping of str to callable
        Takes a response vector ``(n,)`` and returns a number. Several statistics share one pass over the
        simulations.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: larger in the data than the model predicts.
    name : str, optional
        What to call the statistic; the function's name by default.
    vectorized : bool
        Whether the functions take a block ``(b, n)`` and return ``(b,)``, which is faster.

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
    simulated = res.simulated_statistics(blockwise)
    results = {}
    for (key, _), function, null in zip(table.items(), blockwise, simulated, strict=True):
        # through the same function as the simulations, so that equal data give equal numbers
        observed = float(np.asarray(function(res.observed[None, :]))[0])
        results[key] = StatisticResult(method=key, **_compare(res, observed, null, alternative))
    return results if several else next(iter(results.values()))


def zero_inflation_test(res: SimulatedResiduals, alternative: str = "two-sided") -> ZeroInflationResult:
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
    sums = res.replicate_sums
    null = sums.zeros if sums is not None else res.simulated_statistics([_count_zeros])[0]
    observed = float(np.count_nonzero(res.observed == 0))
    numbers = _compare(res, observed, null, alternative)
    if numbers["expected"] == 0.0:
        bound = f"No simulation has a zero, so fewer than {3 / res.n_sims:.2g} are expected in the data."
        numbers["notes"] = (bound,)
    low, high = (float(q) for q in np.quantile(null, [0.025, 0.975]))
    n = res.n_obs
    numbers["effect"] = Effect(
        "excess proportion of zeros",
        (observed - numbers["expected"]) / n,
        0.0,
        ((observed - high) / n, (observed - low) / n),
    )
    return ZeroInflationResult(method="simulated zeros", response=response_kind(res), **numbers)


def _count_zeros(block: FloatArray) -> Any:
    return np.count_nonzero(block == 0, axis=1)


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
        "null_distribution": np.asarray(null, dtype=float),
        "conf_int": (low, high),
    }
