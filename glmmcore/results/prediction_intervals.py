"""Intervals for new responses: quantiles of the law of a row, averaged over what is not known of its predictors.

With u normal, its variance that of the estimated predictor and of new random effects, a new response is distributed as
F(y) = E P(Y <= y | eta + u), by Gauss and Hermite's rule; of zero inflation the same average, taken apart. Limits are
the smallest y with F(y) >= a and F(y) >= 1 - a, 2 a = 1 - level: of whole numbers at least `level` is covered. A
normal response has its limits in closed form, with t quantiles where the residual variance is estimated by REML:
Satterthwaite's degrees of freedom of the sum of all variances. Dispersion and shape are taken as known otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.results.joint_covariance import Combination, stacked
from glmmcore.results.law import Law
from glmmcore.results.quantities import RowQuantity, dispersions, new_effects, spread_slopes
from glmmcore.results.t_distribution import t_quantile

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["NewRows", "new_response_limits"]

# Rows at a time, so that rows times nodes stay in memory.
_ROWS = 20_000
# Nodes for a spread of zero, more of them per unit of the largest standard deviation, and their largest number.
_NODES, _PER_UNIT, _MOST = 11, 10.0, 101
# Error of a quantile's normal score, and steps after which the bracket is taken.
_SCORE, _STEPS = 1e-7, 80
# Moves along scores of whole numbers before brackets are halved, and moves in all: doublings up to 1e300 among them.
_STRAIGHT, _TURNS = 8, 2200


@dataclass(frozen=True, slots=True, eq=False)
class NewRows:
    """Rows of new responses.

    Attributes
    ----------
    predictors, labels, random_effects, new_levels
        As in `RowQuantity`.
    trials, var_weights : ndarray, shape (n,), or None
    """

    predictors: dict[str, PredictorDesign]
    labels: pd.Index
    random_effects: str | Collection[str]
    new_levels: str
    trials: np.ndarray | None
    var_weights: np.ndarray | None


def new_response_limits(
    fit: FittedGLMM, rows: NewRows, level: float, precise: Any, of_means: Combination
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limits (n,) of new responses at some rows, counts for k of n; NaN where the data do not determine the predictors.

    The third array are the variances (n,) of `of_means`, for the same rows: random effects are solved for once.

    Parameters
    ----------
    fit : FittedGLMM
    rows : NewRows
    level : float
    precise : Precision
        ``variance`` and ``df`` of combinations of estimates.
    of_means : Combination
    """
    predictors, variance_of_means = _uncertain_predictors(fit, rows, precise, of_means)
    ends = np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
    if fit.family.linear and "zi" not in rows.predictors:
        lower, upper = _normal_limits(fit, rows, predictors, precise, ends[1])
    else:
        lower, upper = _quantiles(fit, predictors, rows.trials, ends)
    lower[predictors.unknown], upper[predictors.unknown] = np.nan, np.nan
    return lower, upper, variance_of_means


@dataclass(frozen=True, slots=True, eq=False)
class _Predictors:
    """Linear predictors of n rows and what is not known of them.

    Attributes
    ----------
    values : dict of str to ndarray
        Of every part, (n,) or (1,).
    variance : dict of str to ndarray
        Of the estimated predictors "cond" and "zi" and of new random effects, (n,).
    of_cond : Combination
        How the conditional predictor moves with what was estimated.
    unknown : ndarray of bool, shape (n,)
        Rows that the data do not determine.
    """

    values: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]
    of_cond: Combination
    unknown: np.ndarray

    def block(self, at: slice) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Values and variances of some of the rows."""
        values = {name: value[at] if len(value) > 1 else value for name, value in self.values.items()}
        return values, {name: value[at] for name, value in self.variance.items()}


def _uncertain_predictors(
    fit: FittedGLMM, rows: NewRows, precise: Any, of_means: Combination
) -> tuple[_Predictors, np.ndarray]:
    """The predictors of the rows, and the variances (n,) of `of_means`, which are solved for together."""
    effects = "none" if rows.random_effects == "average" else rows.random_effects
    values: dict[str, np.ndarray] = {}
    unknown = np.zeros(len(rows.labels), dtype=bool)
    estimated: dict[str, Combination] = {}
    for name, kind in (("cond", "link"), ("zi", "zi_link")):
        if name == "zi" and "zi" not in rows.predictors:
            continue
        own = RowQuantity(fit, kind, rows.predictors, rows.labels, effects, rows.new_levels)
        values |= {key: value for key, value in own.values.items() if key not in values or key == name}
        estimated[name] = own.combination()
        unknown |= own.unknown()[0]
    if rows.var_weights is not None and fit.family.weight_power is not None:
        values["disp"] = values["disp"] + fit.family.weight_power * np.log(rows.var_weights)
    variances = np.split(precise.variance(stacked([of_means, *estimated.values()])), 1 + len(estimated))
    variance = {
        name: own + _spread(fit, rows.predictors, name, rows.random_effects)
        for name, own in zip(estimated, variances[1:], strict=True)
    }
    return _Predictors(values, variance, estimated["cond"], unknown), variances[0]


def _normal_limits(
    fit: FittedGLMM, rows: NewRows, predictors: _Predictors, precise: Any, end: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of normal responses, from below 1 - `end` to `end` of their law."""
    total = predictors.variance["cond"] + np.square(dispersions(fit, predictors.values))
    df = _df_of_total(fit, predictors.of_cond, rows, total, precise)
    half = t_quantile(df, end) * np.sqrt(total)
    return predictors.values["cond"] - half, predictors.values["cond"] + half


def _quantiles(
    fit: FittedGLMM, predictors: _Predictors, trials: np.ndarray | None, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two quantiles of the law of every row."""
    n = len(predictors.unknown)
    lower, upper = np.empty((2, n))
    for start in range(0, n, _ROWS):
        at = slice(start, start + _ROWS)
        new = _NewResponses(fit, *predictors.block(at), None if trials is None else trials[at])
        lower[at], upper[at] = (new.quantile(p) for p in ends)
    return lower, upper


def _spread(
    fit: FittedGLMM, predictors: dict[str, PredictorDesign], name: str, random_effects: str | Collection[str]
) -> np.ndarray:
    """Variance over new random effects, where these are averaged over, (n,)."""
    out = np.zeros(len(predictors[name].X))
    if random_effects == "average":
        for solution, rows in new_effects(fit, predictors, name):
            out += solution.row_variances(rows.Z, rows.codes)
    return out


def _df_of_total(fit: FittedGLMM, of_cond: Combination, rows: NewRows, total: np.ndarray, precise: Any) -> np.ndarray:
    """Degrees of freedom of the variance of a new normal response, (n,).

    Where random effects of single groups take part all of it is taken to be in proportion to the residual variance.
    """
    if not isinstance(precise.df_rule, str):
        return np.full(len(total), float(precise.df_rule))
    if precise.df_rule == "normal" or not fit.reml or not fit.estimator.linear:
        return np.full(len(total), np.inf)
    covariance = fit.joint_curvature.inverse
    slopes = np.zeros((len(total), len(covariance)))
    slopes[:, -1] = 2.0 * total
    if not of_cond.random:
        slopes[:, :-1] = fit.satterthwaite.variance_slopes(of_cond.fixed["cond"])[:, :-1]
        if rows.random_effects == "average":
            random = [effects for _, effects in new_effects(fit, rows.predictors, "cond")]
            slopes[:, :-1] += spread_slopes(fit, np.full(len(total), fit.sigma**2), random)
    spread = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    return np.divide(2.0 * total**2, spread, out=np.full(len(total), np.inf), where=spread > 0.0)


class _NewResponses:
    """Distribution of new responses at some rows.

    Parameters
    ----------
    fit : FittedGLMM
    values : dict of str to ndarray
        Predictors, (n,) or (1,).
    variance : dict of str to ndarray
        Of what is not known of the predictors "cond" and "zi", (n,).
    trials : ndarray, shape (n,), or None
    """

    def __init__(
        self,
        fit: FittedGLMM,
        values: dict[str, np.ndarray],
        variance: dict[str, np.ndarray],
        trials: np.ndarray | None,
    ) -> None:
        sd = {name: np.sqrt(np.minimum(v, 1e4)) for name, v in variance.items()}
        largest = max(float(s.max(initial=0.0)) for s in sd.values())
        size = min(_NODES + int(_PER_UNIT * largest), _MOST) if largest > 0.0 else 1
        nodes, weights = np.polynomial.hermite_e.hermegauss(size)
        self._weights, self._n = weights / weights.sum(), len(values["cond"])
        self._discrete = fit.family.discrete

        def spread_out(value: np.ndarray) -> np.ndarray:
            return value if len(value) == 1 else np.tile(value, size)

        self._own = {name: spread_out(value) for name, value in values.items() if name not in ("cond", "zi")}
        self._own["cond"] = (values["cond"] + nodes[:, None] * sd["cond"]).ravel()
        self._fit, self._trials = fit, trials
        self._zeros = np.zeros(self._n)
        if "zi" in values:
            self._zeros = self._weights @ special.expit(values["zi"] + nodes[:, None] * sd["zi"])
        law = self._law_of(np.arange(self._n))
        with np.errstate(over="ignore", invalid="ignore"):
            mean, own_variance = (m.reshape(size, -1) for m in (law.mean(), law.variance()))
            centre = self._weights @ mean
            spread = np.sqrt(self._weights @ own_variance + self._weights @ np.square(mean - centre))
        self._centre = np.where(np.isfinite(centre), centre, 1e300)
        self._spread = np.where(np.isfinite(spread), spread, 1e300)

    def _law_of(self, rows: np.ndarray) -> Law:
        """Law of some rows at all nodes, one node after the other."""
        size, all_rows = len(self._weights), len(rows) == self._n

        def of(value: np.ndarray) -> np.ndarray:
            return value if all_rows or len(value) == 1 else value.reshape(size, -1)[:, rows].ravel()

        trials = None if self._trials is None else np.tile(self._trials[rows], size)
        return Law(self._fit.family, {name: of(value) for name, value in self._own.items()}, trials)

    def cdf(self, y: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(P(Y < y), P(Y <= y)) of some rows, all by default, each of their shape."""
        rows = np.arange(self._n) if rows is None else rows
        ends = self._law_of(rows).cdf(np.tile(y, len(self._weights)))
        below, to = (self._weights @ end.reshape(len(self._weights), -1) for end in ends)
        zeros, rest = self._zeros[rows], 1.0 - self._zeros[rows]
        return zeros * (y > 0.0) + rest * below, zeros * (y >= 0.0) + rest * to

    def quantile(self, p: float) -> np.ndarray:
        """Smallest y with P(Y <= y) >= p, (n,)."""
        if self._discrete:
            return self._whole(p)
        low, high = self._bracket(p)
        out = self._root(p, low, high)
        for atom in (0.0, 1.0):  # masses of laws that are continuous elsewhere
            below, to = self.cdf(np.full(self._n, atom))
            out = np.where((below < p) & (p <= to), atom, out)
        return out

    def _bracket(self, p: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends with P(Y <= low) < p <= P(Y <= high)."""
        low = np.full(self._n, -1.0)
        step = 4.0 * self._spread + 1.0
        out = self.cdf(low)[1] >= p
        while out.any():
            low = np.where(out, np.minimum(low, self._centre) - step, low)
            step = 2.0 * step
            out = self.cdf(low)[1] >= p
        high, step = np.maximum(self._centre, 0.0) + 4.0 * self._spread + 1.0, 4.0 * self._spread + 1.0
        out = self.cdf(high)[1] < p
        while out.any() and np.all(np.isfinite(step)):
            high, step = np.where(out, high + step, high), 2.0 * step
            out = self.cdf(high)[1] < p
        return low, np.where(out, np.inf, high)

    def _whole(self, p: float) -> np.ndarray:
        """Whole numbers: a guess from moments, moved along straight normal scores until P(Y < y) < p <= P(Y <= y).

        After some moves brackets are halved.
        """
        goal, out = special.ndtri(p), np.full(self._n, np.inf)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # skewness of binomial and negative binomial laws from their first two moments
            skewness = (2.0 * np.square(self._spread) / self._centre - 1.0) / self._spread
            guess = np.rint(self._centre + self._spread * (goal + skewness * (goal**2 - 1.0) / 6.0))
        rows, low, high = np.arange(self._n), np.full(self._n, -1.0), np.full(self._n, np.inf)
        y, step = np.where(guess > 0.0, np.minimum(guess, 1e300), 0.0), np.ones(self._n)
        for turn in range(_TURNS):
            below, to = self.cdf(y, rows)
            reached, found = to >= p, (below < p) & (to >= p)
            out[rows[found]] = y[found]
            low, high = np.where(reached, low, y), np.where(reached, np.minimum(high, y - 1.0), high)
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                scores = special.ndtri(below), special.ndtri(to)
                slope = scores[1] - scores[0]
                moved = np.where(
                    reached, y - 1.0 - np.floor((scores[0] - goal) / slope), y + np.ceil((goal - scores[1]) / slope)
                )
                step = 2.0 * step
                halves = np.where(np.isfinite(high), np.floor(0.5 * (low + high)), low + step)
            # beyond 2^53 there may be no number between
            solved = ~found & ((high - low <= 1.0) | (halves <= low) | (halves >= high))
            out[rows[solved]] = high[solved]
            y = np.where(np.isfinite(moved) & (turn < _STRAIGHT), np.clip(moved, low + 1.0, high), halves)
            keep = ~found & ~solved & (y < 1e300)
            rows, low, high, y, step = rows[keep], low[keep], high[keep], y[keep], step[keep]
            if not len(rows):
                break
        return out

    def _root(self, p: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Secants between normal scores, which are nearly straight, and halves where these do not get ahead."""
        goal = special.ndtri(p)
        scores = [special.ndtri(self.cdf(end)[1]) - goal for end in (low, high)]
        out, halve = high, np.zeros(self._n, dtype=bool)
        open_rows = np.isfinite(high)
        for _ in range(_STEPS):
            width = high - low
            with np.errstate(invalid="ignore", divide="ignore"):
                share = -scores[0] / (scores[1] - scores[0])
            share = np.where(halve | ~np.isfinite(share), 0.5, np.clip(share, 1e-3, 1.0 - 1e-3))
            middle = np.where(open_rows, low + share * width, out)
            score = special.ndtri(self.cdf(middle)[1]) - goal
            out = middle
            open_rows &= (np.abs(score) > _SCORE) & (width > 1e-12 * np.maximum(np.abs(low), np.abs(high)))
            if not open_rows.any():
                break
            reached = score >= 0.0
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
            scores = [np.where(reached, scores[0], score), np.where(reached, score, scores[1])]
            halve = high - low > 0.5 * width
        return out
