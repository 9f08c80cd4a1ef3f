r"""Test whether data scatter around the model's mean as much as the model says.

Conditional method (default). With :math:`\mu_i` the mean and :math:`V_i` the variance of the law that the
simulations are drawn from, the statistic is

.. math:: r = \frac{\sum_i (y_i-\mu_i)^2}{\sum_i \bar V_i (1-h_i)},

compared with :math:`r_j = \sum_i (S_{ji}-\mu_i)^2 / \sum_i V_i`. The squared deviations enter unweighted:
for canonical links the numerator minus its expectation is the score statistic for an observation-level
random effect, and for a log link it is the one for nbinom2's :math:`\mu^2` variance. Weighting by
:math:`1/V_i` (Pearson) loses half of the power against these when means vary.

Simulations are drawn at the fitted random effects and not refitted, the data were drawn at the true ones and
fitted. Four corrections make the two comparable.

* :math:`h_i`, the leverage of row `i` in the working least-squares problem of the fit, random effects
  included: the fit shrinks residuals, :math:`E(y_i-\hat\mu_i)^2 \approx E V_i\,(1-h_i)`. Without leverages
  :math:`h_i = \mathrm{edf}/n`.
* :math:`\bar V_i = E(V_i \mid y)`, the variance averaged over the random effects given the data, if the model
  offers it (`expected_variance`): not :math:`V_i` at the fitted ones, as :math:`V` is curved. In 100 groups of
  10 the sum changes by 18 % for nbinom2 (:math:`\theta` = 1.5), by 27 % for gamma in groups of 5, by -1 % for
  10 trials, and for Poisson counts by nothing, where the effects of curvature and of the skew of the random
  effects cancel.
* The data have fewer degrees of freedom, so that `r` varies more than :math:`r_j`. Sums of squares of normal
  variables have relative variances :math:`2 \sum V^2 / (\sum V)^2` without and :math:`2 \sum \bar V^2
  (1-h) / \{\sum \bar V (1-h)\}^2` with a fit. What the simulations vary more than this is due to fourth
  cumulants, which the fit multiplies by :math:`(1-h)^4`. :math:`\log r_j` is stretched by the root of the
  ratio of the two sums if that is above 1 (1.05 for 10 trials in groups of 10, 1.2 in groups of 3).
* A fit reproduces the total, the simulations do not: a replicate with many events has larger squares as well
  as a larger mean. So the linear regression of :math:`r_j` on :math:`d_j = \sum_i (S_{ji} - \mu_i)` is taken
  out, multiplied by :math:`1 - |d|/\mathrm{sd}(d_j)` where that is positive, as far as the fit does reproduce
  it. For a Poisson GLM this leaves :math:`2 \sum \mu^2` of a variance of :math:`\sum (2\mu^2 + \mu)`, the
  variance of the score test with estimated coefficients (Dean 1992). Selected rows have no such total.

If the residual object redraws random effects, the variance between groups would drown the variance within.
The model then simulates once more, conditionally.

Compared with refits (`simresid.checks.nulls`), none of the corrections is needed: the same ratio is compared with
that of every refit, where the fit estimates the dispersion together with Pearson's ratio and, for counts, with how the
variance grows with the mean (`simresid.checks._dispersion_refits`). The reported ratio is that of the data over the
median of the refits. Where a continuous response has one variance for all rows, which is estimated from the same
deviations (a gaussian model), or the refits hardly vary, the fit has fixed the statistic, and the result says so.

DHARMa's statistic is :math:`\mathrm{var}(y-\hat y)/\mathrm{mean}_j \mathrm{var}(S_j-\hat y)` with
:math:`\hat y` the prediction shown in plots. Pearson's is :math:`X^2/\nu` with :math:`X^2 = \sum_i
r_{P,i}^2` and :math:`\nu = n - \mathrm{edf}`, referred to a chi-square. The refit method compares
:math:`X^2` with that of fits to data simulated with new random effects, a parametric bootstrap.

The interval is :math:`r \exp(\pm 1.96 s)`, :math:`s` the larger of the standard error of :math:`\log r` over
rows and the standard deviation of :math:`\log r_j`; with refits that of data with so much more variance
(`simresid.checks._dispersion_refits`). It excludes 1 where p < .05.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simresid.arguments import check_word, whole_number
from simresid.checks._dispersion_classical import dharma, pearson, refit
from simresid.checks._dispersion_refits import dispersion_among_refits
from simresid.checks._dispersion_simulated import conditional
from simresid.checks.base import CheckResult, ResponseKind
from simresid.checks.entry import RATIO_LIMITS, ResidualTest, either
from simresid.checks.inputs import (
    BINARY_NOTE,
    FloatArray,
    is_binary,
    simulated_only,
)
from simresid.checks.nulls.choice import NullKind, against_refits
from simresid.checks.pvalues import (
    check_alternative,
    continued_pvalue,
)

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["DISPERSION", "DispersionResult", "dispersion_test"]

Method = Literal["conditional", "dharma", "pearson", "refit"]

MORE_SPREAD = {
    "counts": "nbinom2 or nbinom1, an observation-level random effect",
    "k of n": "betabinomial, an observation-level random effect",
    "continuous": "a dispersion formula, a family with heavier tails",
}
LESS_SPREAD = {
    "counts": "try compois or genpois, or drop an observation-level random effect or a dispersion term",
    "k of n": "drop an observation-level random effect, or use binomial in place of betabinomial",
    "continuous": "drop a dispersion term or random effects that the data do not need",
}
"""Where to look for more or less spread, by the kind of response."""

OTHER_GROWTH = "growth of variance"
"""The finding in the cell of a figure and in a headline; the advice says the whole."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DispersionResult(CheckResult):
    """Spread of the observed data around the model's mean, relative to simulated data.

    Attributes
    ----------
    null_distribution : ndarray (n_sims,) or None
        Simulated ratios (mean 1 for a right model).
    conf_int : tuple of float
        95 % interval of the ratio.
    correction : str
        How the shrinkage of residuals towards zero by the fit was corrected.
    response : {"counts", "k of n", "continuous"}
        What the advice is for.
    other_growth : bool
        Whether it is not so much the ratio that departs as how the variance grows with the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> result = res.dispersion_test()
    >>> print(result.advice())
    overdispersed 4.5x [3, 6.9]: look for missing predictors, unknown groups or zero ...
    """

    null_distribution: FloatArray | None
    conf_int: tuple[float, float]
    correction: str
    response: ResponseKind = "counts"
    other_growth: bool = False
    title = "dispersion"
    statistic_name = "ratio"

    @property
    def sharp_pvalue(self) -> float:
        """P-value with the tail continued where the ratio lies outside all simulations."""
        if self.null != "simulated" or self.null_distribution is None:
            return self.pvalue
        logs = np.log(np.maximum([self.statistic, *self.null_distribution], 1e-300))
        return continued_pvalue(float(logs[0]), logs[1:], self.alternative)

    @property
    def follows_the_fit(self) -> bool:
        """Whether groups lie closer to their expectation than chance allows and no correction for the fit is known."""
        return self.statistic < 1 and self.correction == "none" and bool(self.notes)

    def _remedy(self) -> str:
        size = f"{self.statistic:.2g}x [{self.conf_int[0]:.2g}, {self.conf_int[1]:.2g}]"
        if self.other_growth:
            return (
                f"the variance grows with the mean otherwise than the model's (ratio {size}): compare nbinom1, where "
                "it is a multiple of the mean, with nbinom2"
            )
        if self.statistic > 1:
            return (
                f"overdispersed {size}: look for missing predictors, unknown groups or zero inflation, then try more "
                f"spread: {MORE_SPREAD[self.response]}"
            )
        return f"underdispersed {size}: the model has too much noise; {LESS_SPREAD[self.response]}"


def dispersion_test(
    res: SimulatedResiduals,
    alternative: str = "two-sided",
    method: Method = "conditional",
    *,
    null: NullKind = "auto",
    n_refits: int | None = None,
    n_jobs: int | None = None,
) -> DispersionResult:
    """Test for over- and underdispersion.

    Parameters
    ----------
    res : SimulatedResiduals
        Of single observations or of groups; k-of-n responses are compared as counts.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is overdispersion.
    method : {"conditional", "dharma", "pearson", "refit"}
        The page *Theory* has the formulas. ``"pearson"`` is quick and needs the model's Pearson
        residuals and degrees of freedom; ``"refit"`` fits the model to every simulated data set.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`, for ``method="conditional"``; without refits the ratios of the simulations.
    n_refits : int, optional
        Number of refits; by default as in `uniformity_test`, for ``method="refit"`` as many as there are simulations.
    n_jobs : int, optional
        Workers for the refits, as in joblib.

    Returns
    -------
    DispersionResult
        `statistic` is the dispersion ratio, 1 for a right model.

    Raises
    ------
    TypeError
        If `res` is a plain array.
    ValueError
        If the method needs something that the model does not offer.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import dispersion_test, from_simulations
    >>> rng = np.random.default_rng(1)
    >>> mean = np.full(100, 4.0)
    >>> res = from_simulations(rng.poisson(mean, (250, 100)), rng.negative_binomial(4, 0.5, 100), mean)
    >>> print(dispersion_test(res).summary())
    dispersion (conditional simulations): ratio 2.508, p = 0.008; dispersion ratio 2.51 [1.72, 3.65], severe.
    """
    simulated_only(res, "dispersion_test")
    check_alternative(alternative)
    check_word(method, "method", ("conditional", "dharma", "pearson", "refit"))
    with np.errstate(over="ignore", invalid="ignore"):  # squares that overflow are refused as not finite
        if method == "conditional":
            refitted, notes = against_refits(
                res, null, n_refits, lambda pool, plan: dispersion_among_refits(res, pool, plan, alternative)
            )
            return DispersionResult(**(refitted or conditional(res, alternative, notes)))
        if method == "dharma":
            return DispersionResult(**dharma(res, alternative))
        if method == "pearson":
            return DispersionResult(**pearson(res, alternative))
        count = res.n_sims if n_refits is None else whole_number(n_refits, "n_refits", least=1, most=10**6)
        return DispersionResult(**refit(res, alternative, count, n_jobs))


def _word(result: CheckResult) -> str:
    if isinstance(result, DispersionResult) and result.other_growth:
        return OTHER_GROWTH
    return either("overdispersed", "underdispersed")(result)


DISPERSION = ResidualTest(
    name="dispersion",
    title="Dispersion",
    test=dispersion_test,
    result=DispersionResult,
    limits={"dispersion ratio": RATIO_LIMITS},
    word=_word,
    size_name="ratio",
    alone=lambda asked: BINARY_NOTE if is_binary(asked.res) else {},
    headline_place=1,
    screen_columns={
        "dispersion ratio": lambda result: result.statistic,
        "ratio low": lambda result: result.conf_int[0],
        "ratio high": lambda result: result.conf_int[1],
    },
)
