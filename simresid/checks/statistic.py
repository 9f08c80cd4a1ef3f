r"""Test whether the model reproduces a statistic of the data.

For a statistic :math:`t`, the observed :math:`t(y)` is ranked among the simulated :math:`t(S_j)`, :math:`j =
1..M`: ``greater`` :math:`p = (1 + \#\{t(S_j) \ge t(y)\}) / (M + 1)`, ``less`` with :math:`\le`, two-sided
:math:`\min(1, 2 \min)`; ties count in both tails. The reported statistic is the ratio :math:`t(y) / \bar
t(S)`.

Among refits (`simresid.checks.nulls`), a statistic :math:`t` of the response is compared by its excess over the
simulations of each fit in their standard deviations, :math:`(t(y) - \bar t(S)) / \mathrm{sd}\, t(S)`; one of the
residuals as it is. Nothing is known about their tails, so that p-values are ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from glmmcore.arguments import require_flag
from simresid.alignment import real_array
from simresid.arguments import check_word
from simresid.checks._null import null_residuals
from simresid.checks._statistic_refits import of_residuals, of_responses
from simresid.checks.base import CheckResult, Effect
from simresid.checks.entry import RATIO_LIMITS, ResidualTest
from simresid.checks.inputs import FloatArray, simulated_only
from simresid.checks.nulls.choice import NullKind, against_refits
from simresid.checks.pvalues import check_alternative, monte_carlo_error, simulation_pvalue

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["STATISTIC", "StatisticResult", "compare_with_simulations", "statistic_test"]

LARGEST_STATISTIC = 1e300
Statistic = Callable[[FloatArray], float]
Of: TypeAlias = Literal["response", "residuals"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StatisticResult(CheckResult):
    """A statistic of the observed data among the same statistic of simulated data.

    Attributes
    ----------
    observed, expected : float
        The statistic of the observed data and the mean of the simulated ones; `statistic` is their ratio.
    null_distribution : ndarray (n_sims,)
        The simulated statistics.
    conf_int : tuple of float
        Central 95 % range of the simulated statistics, on the scale of `observed`.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> largest = res.statistic_test(np.max)
    >>> largest.observed > largest.expected, largest.null_distribution.shape
    (True, (250,))
    """

    observed: float
    expected: float
    null_distribution: FloatArray
    conf_int: tuple[float, float]
    title = "simulated statistic"
    statistic_name = "observed / expected"
    remedy = "the model does not reproduce this feature of the data"


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
    >>> from simresid import from_simulations, statistic_test
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.normal(size=(99, 50)), rng.normal(size=50))
    >>> print(statistic_test(res, np.max).summary())
    simulated statistic (max): observed / expected 0.551, p = 0.040; ratio 0.551 [0.36, 0.806], severe.
    """
    simulated_only(res, "statistic_test")
    check_alternative(alternative)
    if not isinstance(name, str | None):
        raise ValueError(f"name={name!r:.60} is not a text")
    several = isinstance(statistic, Mapping)
    table = dict(statistic) if isinstance(statistic, Mapping) else {name or _name_of(statistic): statistic}
    for key, function in table.items():
        if not callable(function):
            raise TypeError(f"statistic {key!r} is not callable")
    blockwise: list[Callable[[FloatArray], Any]]
    require_flag(vectorized, "vectorized")
    blockwise = [_of_moderate_size(f if vectorized else _by_row(f, key), key) for key, f in table.items()]
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
        results[key] = StatisticResult(**refitted)
    else:
        return results if several else next(iter(results.values()))
    simulated, observed = _without_refits(res, blockwise, of)
    for key, own, others in zip(table, observed, simulated, strict=True):
        results[key] = StatisticResult(
            method=key, notes=notes, **compare_with_simulations(res, own, others, alternative)
        )
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


def _by_row(function: Statistic, name: str) -> Callable[[FloatArray], Any]:
    def over_rows(block: FloatArray) -> Any:
        values = [function(row) for row in block]
        if np.ndim(values[0]) != 0:
            raise ValueError(f"statistic {name!r} must return one number, not shape {np.shape(values[0])}")
        return values

    return over_rows


def _of_moderate_size(function: Callable[[FloatArray], Any], name: str) -> Callable[[FloatArray], Any]:
    """The same function, which refuses values that cannot be averaged."""

    def checked(block: FloatArray) -> Any:
        values = real_array(function(block), f"what the statistic {name!r} returns")
        if np.max(np.abs(values[np.isfinite(values)]), initial=0.0) > LARGEST_STATISTIC:
            raise ValueError(f"statistic {name!r} is beyond {LARGEST_STATISTIC:g}, where there is no mean; divide it")
        return values

    return checked


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", "statistic"))


def compare_with_simulations(
    res: SimulatedResiduals, observed: float, null: FloatArray, alternative: str
) -> dict[str, Any]:
    """Rank a statistic of the data among those of the simulations: fields of the result."""
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


STATISTIC = ResidualTest(
    name="simulated statistic",
    title="Statistic",
    test=statistic_test,
    result=StatisticResult,
    limits={"ratio": RATIO_LIMITS},
    size_name="ratio",
)
