r"""Test whether the model reproduces the number of zeros.

The number of zeros of the data is ranked among those of the simulations; the reported statistic is observed over
expected.

Compared with refits (`simresid.checks.nulls`), the number of zeros :math:`O` is taken relative to what the fitted law
expects, :math:`z = (O - \sum_i p_i) / \sqrt{\sum_i p_i (1 - p_i)}` with :math:`p_i` the probability of a zero, and
ranked among the same of the refits: a fit of zero-inflated counts puts part of the excess into its dispersion.

If no simulation shows a zero, the expected number of zeros is still only known to be below :math:`3/M` (rule
of three, :math:`M` simulations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.base import Effect, ResponseKind
from simresid.checks.entry import Request, ResidualTest, either
from simresid.checks.inputs import BINARY_NOTE, is_binary, response_kind, simulated_only
from simresid.checks.nulls.choice import NullKind, against_refits, check_null
from simresid.checks.nulls.comparison import compare, normal_limits
from simresid.checks.nulls.fitted_data import FittedData, count_zeros
from simresid.checks.nulls.plan import FEWEST_TO_RANK, Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import check_alternative, continued_pvalue, normal_pvalue
from simresid.checks.statistic import StatisticResult, compare_with_simulations

if TYPE_CHECKING:
    from simresid.checks.inputs import FloatArray
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["ZERO_INFLATION", "ZeroInflationResult", "zero_inflation_test"]

FEWEST_ZEROS = 1e-3
"""Standard deviation of the number of zeros, at least: where none can be expected, one is no excess beyond measure."""

FIXED, FIXED_WITHIN = 0.01, 0.05
"""Of the standard deviation of the number of zeros: where refits vary less, the fit fixes it and ranks are rounding.
The data then lie within the second."""

FIXED_NOTE = "The fit fixes the number of zeros: nothing to test."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ZeroInflationResult(StatisticResult):
    """Number of zeros among the numbers of zeros in simulated data.

    Besides its own it has the attributes of `simresid.checks.results.StatisticResult`.

    Attributes
    ----------
    response : {"counts", "k of n", "continuous"}
        What the advice is for.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> print(res.zero_inflation_test().advice())
    15 zeros where 5.1 are expected: look at dispersion first (nbinom2), then try a zero-inflation formula
    """

    response: ResponseKind = "counts"
    title = "zero inflation"

    @property
    def sharp_pvalue(self) -> float:
        """P-value with the tail continued where the number of zeros lies outside those of all simulations."""
        if self.null != "simulated":
            return self.pvalue
        return continued_pvalue(self.observed, self.null_distribution, self.alternative)

    def _remedy(self) -> str:
        found = f"{self.observed:.0f} zeros where {self.expected:.1f} are expected"
        if self.statistic > 1:
            spread = {"counts": "look at dispersion first (nbinom2), then ", "continuous": ""}.get(
                self.response, "look at dispersion first (betabinomial), then "
            )
            return f"{found}: {spread}try a zero-inflation formula"
        other = "try a zero-truncated or hurdle model, or a family with less dispersion"
        return f"{found}: {'try a family with less dispersion' if self.response == 'k of n' else other}"


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
    >>> from simresid import from_simulations, zero_inflation_test
    >>> rng = np.random.default_rng(1)
    >>> y = rng.poisson(3, 100) * (rng.random(100) < 0.7)
    >>> res = from_simulations(rng.poisson(y.mean(), (250, 100)), y)
    >>> zero_inflation_test(res, "greater").pvalue < 0.01
    True
    """
    simulated_only(res, "zero_inflation_test")
    check_alternative(alternative)
    check_null(null, n_refits)
    if not (res.discrete or np.any(res.observed == 0)):
        null, n_refits = "simulated", None  # no refit has any zeros either
    refitted, notes = against_refits(
        res, null, n_refits, lambda pool, plan: _among_refits(res, pool, plan, alternative)
    )
    if refitted is not None:
        return refitted
    sums = res.replicate_sums
    zeros = sums.zeros if sums is not None else res.simulated_statistics([count_zeros])[0]
    observed = float(np.count_nonzero(res.observed == 0))
    numbers = compare_with_simulations(res, observed, zeros, alternative)
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


def _score(data: FittedData) -> FloatArray:
    """Excess of zeros over what the fitted law expects, in its standard deviations."""
    return np.array([(data.zeros - data.zeros_expected) / max(data.zeros_sd, FEWEST_ZEROS)])


def _among_refits(res: SimulatedResiduals, pool: RefitPool, plan: Plan, alternative: str) -> ZeroInflationResult:
    own = pool.own
    n, scale = own.lower.size, max(own.zeros_sd, FEWEST_ZEROS)
    found = compare(
        pool,
        plan,
        "zeros",
        _score,
        lambda z: z[:, 0],
        lambda z: normal_pvalue(z, alternative),
        alternative=alternative,
        theory_limits=normal_limits(1.0, alternative),
    )
    expected = max(own.zeros_expected + scale * float(found.centre[0]), 0.0)
    excess = scale * found.statistic / n
    low, high = (excess - scale * limit / n for limit in reversed(found.limits))
    usual = scale * np.quantile(found.null, [0.025, 0.975])
    fields, notes = found.fields, found.notes
    varies = found.null.size < FEWEST_TO_RANK or float(found.null.std()) > FIXED
    if own.zeros_sd > FEWEST_ZEROS and not varies and abs(found.statistic) < FIXED_WITHIN:
        fields |= {"pvalue": np.nan, "monte_carlo_error": np.nan}
        notes += (FIXED_NOTE,)
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
        notes=notes,
        **fields,
    )


def _arguments(asked: Request) -> dict[str, Any] | str | None:
    if is_binary(asked.res):
        return BINARY_NOTE
    return {} if asked.res.discrete and _has_zeros(asked.res) else None


def _has_zeros(res: SimulatedResiduals) -> bool:
    if np.any(res.observed == 0):
        return True
    sums = res.replicate_sums
    return any((block == 0).any() for _, block in res.iter_simulations()) if sums is None else bool(sums.zeros.any())


ZERO_INFLATION = ResidualTest(
    name="zero inflation",
    title="Zeros",
    test=zero_inflation_test,
    result=ZeroInflationResult,
    limits={"excess proportion of zeros": (0.01, 0.05)},
    word=either("too many zeros", "too few zeros"),
    size=lambda result: f"{result.observed:,.0f}, {result.expected:,.0f} expected",
    alone=_arguments,
    headline_place=2,
)
