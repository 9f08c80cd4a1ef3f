r"""Dispersion of a fitted model among refits.

Of every fit three ratios are looked at, on the log scale and from their median over data and refits:

* the unweighted ratio :math:`\sum (y_i-\mu_i)^2 / \sum V_i`, the score for an observation-level random effect;
* the same over its relative spread :math:`\sqrt{\sum V_i^2} / \sum V_i`, since data sets with a few large means vary
  more: power against nbinom1 in a nbinom2 model rises from .44 to .58 (20 groups of 10);
* Pearson's :math:`n^{-1} \sum (y_i-\mu_i)^2 / V_i`.

The second decides. Where the fit estimates the dispersion, so that Pearson's ratio varies clearly less among refits
than that of independent rows, the third counts as well, since the unweighted sum is blind to what such a family cannot
follow: 25 % extra zeros in a nbinom2 model (.28 -> .80) or lognormal data in a gamma model (.10 -> .90, 30 groups of
10). Both are taken in root mean squares of the data sets on their side of the median. One-sided tests take the larger.
Two-sided ones take the length of the pair with its correlation among data sets undone (Mahalanobis), which also sees a
ratio above one beside one below: the sign of a variance that grows with the mean otherwise than the model's (nbinom1 in
a nbinom2 model: .53 -> .68 in the 300 data sets on which this combination was chosen, .61 in 80 others and .54 in 250
more; .73 -> .71 for extra zeros and .95 -> .94 for lognormal data). The ratio that is reported is the larger of the
two in these units. A ratio that hardly varies among refits, since the fit fixes it, does not count; where this is the
unweighted one (rare counts), Pearson's counts alone; where it is both, there is nothing to test. Nor is there for all
rows of a continuous response of one variance that the fit estimates: the ratio says how many parameters it has used.

Two-sided tests of single counts add a fourth number: how much likelier the counts are where the variance grows with the
mean in the other way, linearly instead of quadratically or the reverse (`_row_moments.other_growth`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simresid.checks._leverage import effective_parameters
from simresid.checks._row_moments import kurtosis_of_shares, mean_and_variance
from simresid.checks.base import Effect
from simresid.checks.inputs import FloatArray, response_kind, shares_random_effects
from simresid.checks.nulls.comparison import LEVEL, compare
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.fitted_law import VARIANCE
from simresid.checks.nulls.plan import FEWEST_TO_RANK, Plan
from simresid.checks.nulls.refit_pool import RefitPool, RefitsFailed
from simresid.checks.pvalues import normal_pvalue

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["dispersion_among_refits"]

UNWEIGHTED, RELATIVE, PEARSON, GROWTH = range(4)
"""Places of the components."""

FIXED = 0.1
"""Spread of refits by that of independent rows below which a ratio is a property of the fit, not of the data."""

NORMAL_LIMIT, ONE_SIDED_LIMIT = 1.96, 1.645
"""Standard errors on a side of the interval."""

ESTIMATED = 0.8
"""Spread of Pearson's ratio by that of independent rows below which the fit estimates the dispersion."""

SAME = 1e-9
"""Spread of refits that is rounding."""

LEAST_LEFT = 0.1
"""Share of rows that the fit leaves, at least, in the width of intervals: with an effect of each row hardly any."""

MOST_CORRELATED = 0.98
"""Correlation of the two ratios above which their difference is noise."""

GROWTH_WEIGHT = 1.4
"""Of the squared evidence for another growth of the variance, beside the squared length of the pair of ratios."""

FIXED_NOTE = "The fit fixes this ratio: nothing to test ({})."
METHODS = {UNWEIGHTED: "squared deviations of refits", PEARSON: "Pearson residuals of refits"}


def dispersion_among_refits(res: SimulatedResiduals, pool: RefitPool, plan: Plan, alternative: str) -> dict[str, Any]:
    """Fields of the result of comparing squared deviations from the fitted means with those of refits.

    Parameters
    ----------
    res : SimulatedResiduals
    pool : RefitPool
    plan : Plan
    alternative : {"two-sided", "greater", "less"}
    """
    own = pool.own.spread
    if not own.allowed > 0:
        raise RefitsFailed("the model's variance is not known")
    errors = np.maximum([own.ratio_error, 1.0, own.pearson_error], 1e-12)
    # of the refits, since the observed deviations may themselves be overdispersed
    independent = pool.values("standard errors of ratios", _independent_errors, plan.rounds[0])
    growth = alternative == "two-sided" and response_kind(res) == "counts" and not res.is_grouped
    usual = np.median(independent, axis=0) if independent.size else np.zeros(2)
    evidence = _Evidence(errors, usual, alternative, growth)
    found = compare(
        pool,
        plan,
        "dispersion",
        _components,
        evidence,
        evidence.theory,
        theory_limits=(-np.inf, evidence.theory_limit),
        centre_by="median",
    )
    null = found.components - found.centre
    fields, notes = found.fields, list(found.notes)
    if shares_random_effects(res) and not res.is_grouped:
        notes.append("Deviations are taken given the fitted random effects.")
    estimated = not res.is_grouped and own.is_constant and _scale_is_estimated(res, pool, plan)
    if estimated or not evidence.is_free(null).any():
        fields |= {"pvalue": np.nan, "monte_carlo_error": np.nan}
        why = "its scale is estimated from the same deviations" if estimated else "it hardly differs among refits"
        notes.append(FIXED_NOTE.format(why))
    shown = evidence.leading(found.own - found.centre, null)
    log_ratio, spread = float(found.own[shown] - found.centre[shown]), float(np.std(null[:, shown]))
    if not evidence.is_estimated(null):
        error = _sampling_error(res, shown, float(np.exp(log_ratio)), errors)
        spread = error / float(np.sqrt(_share_left(res, shown)))
    half = (NORMAL_LIMIT if alternative == "two-sided" else ONE_SIDED_LIMIT) * spread
    ends, inverted = (log_ratio - half, log_ratio + half), found.around(log_ratio, 0.0, half)
    significant = fields["pvalue"] < LEVEL
    if log_ratio > 0 and (ends[0] > 0) != significant:
        ends = (inverted[0], ends[1])
    elif log_ratio <= 0 and (ends[1] < 0) != significant:
        ends = (ends[0], inverted[1])
    ends = (-np.inf if alternative == "less" else ends[0], np.inf if alternative == "greater" else ends[1])
    with np.errstate(over="ignore"):
        interval = float(np.exp(ends[0])), float(np.exp(ends[1]))
    ratio = float(np.exp(log_ratio))
    return dict(
        statistic=ratio,
        alternative=alternative,
        method=METHODS[shown],
        response=response_kind(res),
        n_obs=res.n_obs,
        effect=Effect("dispersion ratio", ratio, 1.0, interval),
        null_distribution=np.exp(null[:, shown]),
        conf_int=interval,
        correction="refits",
        other_growth=evidence.is_growth(found.own - found.centre, null),
        notes=tuple(notes),
        **fields,
    )


def _scale_is_estimated(res: SimulatedResiduals, pool: RefitPool, plan: Plan) -> bool:
    """Whether the one scale of a continuous response is estimated from just these deviations.

    Those of a selection of rows may differ from it, and a scale that was given is the same in every refit.
    """
    if res.discrete or res.model is None or res.n_obs < int(res.model.nobs):
        return False
    logs = pool.laws("dispersion", plan.rounds[0])[:, VARIANCE]
    return bool(np.ptp(logs) > SAME)


def _sampling_error(res: SimulatedResiduals, shown: int, ratio: float, errors: FloatArray) -> float:
    """Standard error of the logarithm of a ratio where the data vary so much more than the model.

    Squares of overdispersed counts vary more than a data set of them shows, whose largest values are those of few rows.
    So their fourth moments are those of a negative binomial law of the same variance, ``V**2 (2 + 6 k + 1/V)`` with
    ``V = mu + k mu**2``, and of a beta-binomial law for k of n.
    """
    kind = response_kind(res)
    if shown == PEARSON or kind == "continuous":
        return float(errors[shown])
    mean, variance = mean_and_variance(res)
    if kind == "counts":
        squared = np.maximum(np.square(mean), 1e-300)
        more = max(ratio - 1.0, 0.0) * float(variance.sum() / squared.sum())
        variance = variance * min(ratio, 1.0) + more * squared
        quadratic = np.maximum(variance - mean, 0.0) / squared
        of_squares = np.square(variance) * (2.0 + 6.0 * quadratic) + variance
    else:
        assert res.trials is not None
        of_squares = np.square(variance) * (kurtosis_of_shares(mean, variance * max(ratio, 1.0), res.trials) - 1.0)
    return float(np.sqrt(of_squares.sum())) / float(variance.sum())


def _share_left(res: SimulatedResiduals, shown: int) -> float:
    """Share of the squares that the fit leaves: it takes up its effective parameters of as many as there are rows."""
    if shown == PEARSON or response_kind(res) == "continuous" or res.is_grouped:
        return 1.0
    used = effective_parameters(res.model)
    return 1.0 if used is None else max(1.0 - used / float(res.model.nobs), LEAST_LEFT)  # type: ignore[union-attr]


def _components(data: FittedData) -> FloatArray:
    spread = data.spread
    log_ratio = np.log(max(spread.squares, 1e-300) / spread.allowed)
    growth = 0.0 if np.isnan(spread.other_growth) else spread.other_growth
    return np.array([log_ratio, log_ratio / spread.relative, np.log(max(spread.pearson, 1e-300)), growth])


def _independent_errors(data: FittedData) -> FloatArray:
    return np.array([data.spread.ratio_error, data.spread.pearson_error])


class _Evidence:
    """Distance of data sets from the centre: the larger of the parts that count, each in units of its spread.

    `independent` has the standard errors of the logarithms of the unweighted and of Pearson's ratio for independent
    rows of a right model, `growth` says whether it counts how the variance grows with the mean.
    """

    def __init__(self, errors: FloatArray, independent: FloatArray, alternative: str, growth: bool) -> None:
        self.errors, self.independent, self.alternative, self.growth = errors, independent, alternative, growth

    def __call__(self, x: FloatArray) -> FloatArray:
        """Evidence of the centred components of data and refits ``(m, 4)``, of few from theory."""
        parts = self._parts(x, x)
        if self.alternative == "two-sided" and parts.shape[1] > 1 and len(x) > FEWEST_TO_RANK:
            length = _length(parts)
            return np.sqrt(np.square(length) + GROWTH_WEIGHT * np.square(_growth(x, x))) if self.growth else length
        return np.asarray(self._one_sided(parts).max(axis=1))

    def is_growth(self, own: FloatArray, null: FloatArray) -> bool:
        """Whether the growth of the variance departs by itself, or more than the ratios."""
        everything = np.vstack([own[None, :], null])
        if not (self.growth and len(self.counted(everything)) == 2):
            return False
        length = _length(self._parts(everything, everything))[0]
        return bool(_growth(everything[:1], everything)[0] > min(length, NORMAL_LIMIT))

    def leading(self, own: FloatArray, null: FloatArray) -> int:
        """Ratio that is reported: of the part that decides."""
        everything = np.vstack([own[None, :], null])
        reference = everything if len(null) >= FEWEST_TO_RANK else null[:1]
        parts = self._one_sided(self._parts(everything[:1], reference))
        return PEARSON if self.counted(reference)[int(np.argmax(parts[0]))] == PEARSON else UNWEIGHTED

    def is_estimated(self, reference: FloatArray) -> bool:
        """Whether the fit estimates the dispersion, judged by data sets ``(m, 4)``; no if there are few of these."""
        spread = float(reference[:, PEARSON].std())
        return len(reference) >= FEWEST_TO_RANK and spread < ESTIMATED * self.independent[1]

    def is_free(self, reference: FloatArray) -> NDArray[np.bool_]:
        """Whether the unweighted and Pearson's ratio vary among data sets ``(m, 4)``, so that the fit fixes neither."""
        spread = reference[:, [UNWEIGHTED, PEARSON]].std(axis=0)
        return np.asarray(spread > np.maximum(FIXED * self.independent, SAME))

    def counted(self, reference: FloatArray) -> list[int]:
        """Components that count, judged by data sets ``(m, 4)``."""
        if len(reference) <= FEWEST_TO_RANK:
            return [UNWEIGHTED, PEARSON]
        unweighted, pearson = self.is_free(reference)
        if pearson and (not unweighted or self.is_estimated(reference)):
            return [RELATIVE, PEARSON] if unweighted else [PEARSON]
        return [RELATIVE]

    def theory(self, distance: float) -> float:
        """P-value of the larger of two."""
        return min(1.0, 2 * normal_pvalue(distance, self._tail))

    @property
    def theory_limit(self) -> float:
        """Distance at which it is .05."""
        from scipy.special import ndtri

        return float(-ndtri(LEVEL / 2 / (2 if self.alternative == "two-sided" else 1)))

    @property
    def _tail(self) -> str:
        return "two-sided" if self.alternative == "two-sided" else "greater"

    def _parts(self, x: FloatArray, reference: FloatArray) -> FloatArray:
        """Parts of `x` in units of the spread of `reference`, of theory where that holds few data sets."""
        counted = self.counted(reference)
        if len(reference) <= FEWEST_TO_RANK:
            return x[:, counted] / self.errors[counted]
        below, above = (_root_mean_square(side * reference[:, counted]) for side in (-1, 1))
        return np.where(x[:, counted] > 0, x[:, counted] / above, x[:, counted] / below)

    def _one_sided(self, parts: FloatArray) -> FloatArray:
        return np.abs(parts) if self.alternative == "two-sided" else parts if self.alternative == "greater" else -parts


def _growth(x: FloatArray, reference: FloatArray) -> FloatArray:
    """Evidence for another growth of the variance in units of its spread over `reference`, 0 where there is none."""
    return np.asarray(np.maximum(x[:, GROWTH], 0.0) / _root_mean_square(reference[:, [GROWTH]]))


def _length(pairs: FloatArray) -> FloatArray:
    """Mahalanobis length of pairs ``(m, 2)`` in units of their spread, from their correlation."""
    x, y = pairs.T
    r = float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -MOST_CORRELATED, MOST_CORRELATED))
    return np.asarray(np.sqrt(np.maximum((x * x - 2 * r * x * y + y * y) / (1 - r * r), 0.0)))


def _root_mean_square(x: FloatArray) -> FloatArray:
    """Of the positive values of every column."""
    positive = x > 0
    total = np.sum(np.where(positive, np.square(x), 0.0), axis=0)
    out = np.sqrt(total / np.maximum(positive.sum(axis=0), 1))
    return np.asarray(np.where(out > 0, out, 1.0))
