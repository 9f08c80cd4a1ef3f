"""Quantities of rows (means, predictors, probabilities) as functions of all that was estimated, and their variances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.averages import average_and_slopes, average_over_normal
from glmmcore.errors import ModelError
from glmmcore.estimation.assemble import pinned_dispersion
from glmmcore.families.base import Parameters
from glmmcore.families.links import Link
from glmmcore.formula.frame import row_name
from glmmcore.results.estimability import dropped_columns
from glmmcore.results.joint_covariance import Combination, JointCovariance, RandomRows

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = [
    "RowQuantity",
    "combination_variance",
    "dispersions",
    "fixed_values",
    "limits_on_scale",
    "new_effects",
    "quantity",
    "spread_slopes",
]

# Relative step of central differences of means: truncation and rounding are both about 1e-10.
_STEP = 1e-5
# Variances below which averages' slopes are taken by differences: formulas divide by them.
_LEAST_SPREAD = 1e-4


class RowQuantity:
    """One quantity of some rows.

    Parameters
    ----------
    fit : FittedGLMM
    kind : {"response", "link", "conditional", "zprob", "disp", "zi_link"}
        As in `FittedGLMM.predict`; the last is the linear predictor of zero inflation.
    predictors : dict of str to PredictorDesign
        Designs of the rows, from the fit or its encoder.
    labels : Index, shape (n,)
        Of the rows, for messages.
    random_effects : {"conditional", "none", "average"} or collection of str
        Groups whose effects are at their modes, those of others at zero.
    new_levels : {"error", "zero"}

    Attributes
    ----------
    predictors : dict of str to PredictorDesign
    values : dict of str to ndarray
        Value of every predictor, (n,).
    estimate : ndarray, shape (n,)
    """

    def __init__(
        self,
        fit: FittedGLMM,
        kind: str,
        predictors: dict[str, PredictorDesign],
        labels: pd.Index,
        random_effects: str | Collection[str] = "none",
        new_levels: str = "error",
    ) -> None:
        self._fit = fit
        self._rows = _rows(fit, predictors, random_effects, new_levels, labels)
        self._function = quantity(fit, kind)
        self.predictors = predictors
        self.values = self._rows.values
        self._averages = _averages(self._function, self._rows)
        self.estimate = np.zeros(0)
        if self._rows.n:
            self.estimate = _evaluate(self._function, self.values, self._rows.spread, self._averages)

    def unknown(self) -> tuple[np.ndarray, list[str]]:
        """Mask (n,) of the rows that the data do not determine, and the columns that would have to be known."""
        mask = np.zeros(self._rows.n, dtype=bool)
        dropped: list[str] = []
        for name, design in self.predictors.items():
            found = ~design.estimable
            if found.any():
                found &= _difference_slope(self._function, self._rows, name) != 0.0
                dropped += dropped_columns(design) if found.any() else []
                mask |= found
        return mask, dropped

    def combination(self) -> Combination:
        """First-order weights of all that was estimated in the quantity, one row each."""
        rows = self._rows
        slopes = {name: self._slope(name) for name in rows.values}
        slopes = {name: s for name, s in slopes.items() if np.any(s)}
        fixed = {name: rows.fixed[name] * s[:, None] for name, s in slopes.items()}
        if not fixed:
            return Combination({"cond": np.zeros_like(rows.fixed["cond"])})
        if rows.spread:
            direct = np.zeros((rows.n, len(self._fit.solution.x)))
            for name in rows.spread:
                direct += spread_slopes(self._fit, self._slope_in_spread(name), rows.random[name])
            return Combination(fixed, direct=direct)
        random = [
            RandomRows(r.term, r.Z * slopes[name][:, None], r.codes)
            for name, terms in rows.random.items()
            if name in slopes
            for r in terms
        ]
        return Combination(fixed, random)

    def _slope(self, name: str) -> np.ndarray:
        """Slope in the value of a predictor, (n,)."""
        if name in self._averages:
            return self._averages[name][1] * self._rest(name)
        return _difference_slope(self._function, self._rows, name)

    def _slope_in_spread(self, name: str) -> np.ndarray:
        """Slope in the variance over new random effects of a predictor, (n,)."""
        if name in self._averages:
            return self._averages[name][2] * self._rest(name)
        rows, spread = self._rows, self._rows.spread[name]
        step = 1e-4 * np.maximum(spread, 1e-4)
        high = _evaluate(self._function, rows.values, {**rows.spread, name: spread + step})
        low = _evaluate(self._function, rows.values, {**rows.spread, name: spread - step})
        return (high - low) / (2.0 * step)

    def _rest(self, name: str) -> np.ndarray:
        """Product of the factors of other predictors."""
        others = _Quantity({key: factor for key, factor in self._function.factors.items() if key != name})
        return np.asarray(_evaluate(others, self._rows.values, self._rows.spread, self._averages))


def combination_variance(fit: FittedGLMM, rows: Combination) -> np.ndarray:
    """Variance of every row, (n,); inf where the data do not bound it."""
    plain = not rows.random and rows.direct is None
    if plain and (fit.estimator.linear or not fit.reml or set(rows.fixed) == {"cond"}) and _bounded(fit):
        return _fixed_variance(fit, rows.fixed)
    return JointCovariance(fit).variance(rows)


# ---- rows ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Complete rows to predict for.

    Attributes
    ----------
    fixed : dict of str to ndarray
        Design of every predictor, (n, p).
    values : dict of str to ndarray
        Value of every predictor, (n,).
    random : dict of str to list of RandomRows
        Random terms that enter `values`, or, averaged over, that spread them.
    spread : dict of str to ndarray
        Variance over new random effects of every predictor that has them and is averaged, (n,).
    """

    fixed: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    random: dict[str, list[RandomRows]]
    spread: dict[str, np.ndarray]

    @property
    def n(self) -> int:
        return len(self.values["cond"])


def fixed_values(
    fit: FittedGLMM, predictors: dict[str, PredictorDesign], n: int, coefficients: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Design (n, p) and value (n,) of the fixed part of every predictor, constants included.

    `coefficients`, by predictor, take the place of the estimates.
    """
    fixed, values = {}, {}
    coefficients = fit.solution.coefficients if coefficients is None else coefficients
    for part in fit.estimator.problem.parts:
        own = coefficients[part.name]
        if part.name in predictors:
            design = predictors[part.name]
            fixed[part.name] = design.X
            values[part.name] = design.X @ own + design.offset
            if part.name == "disp":
                values[part.name] += pinned_dispersion(design, fit.family)
        else:
            fixed[part.name] = np.ones((n, 1))
            values[part.name] = np.full(n, own[0])
    return fixed, values


def _rows(
    fit: FittedGLMM,
    predictors: dict[str, PredictorDesign],
    random_effects: str | Collection[str],
    new_levels: str,
    labels: pd.Index,
) -> _Rows:
    fixed, values = fixed_values(fit, predictors, len(labels))
    random: dict[str, list[RandomRows]] = {}
    spread: dict[str, Any] = {}
    kept = None if isinstance(random_effects, str) else set(random_effects)
    for name, design in predictors.items() if random_effects != "none" else ():
        for (solution, rows), term in zip(new_effects(fit, predictors, name), design.terms, strict=True):
            if kept is not None and term.group not in kept:
                continue
            random.setdefault(name, []).append(rows)
            if random_effects == "average":
                spread[name] = spread.get(name, 0.0) + solution.row_variances(term.Z, term.codes)
                continue
            unseen = term.codes < 0
            if unseen.any() and new_levels == "error":
                label = row_name(labels, int(np.argmax(unseen)))
                raise ModelError(
                    f"the new data have a level of '{term.group}' that the fit has not seen ({label}); "
                    "predict with new_levels='zero' (an effect of zero, its variance in standard errors), "
                    "random_effects='none' (a typical level) or random_effects='average' (the mean over levels)"
                )
            modes = np.where(unseen[:, None], 0.0, solution.modes[term.codes])
            values[name] = values[name] + np.einsum("ij,ij->i", term.Z, modes)
    return _Rows(fixed, values, random, spread)


# ---- quantities ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class _Quantity:
    """A product of functions of the predictors' values.

    Attributes
    ----------
    factors : dict of str to callable
        By the predictor over whose random effects the function may be averaged.
    """

    factors: dict[str, Callable[[dict[str, np.ndarray]], np.ndarray]]


def quantity(fit: FittedGLMM, kind: str) -> _Quantity:
    """What `kind` is, as a function of the values of all predictors."""
    family = fit.family

    def mean(values: dict[str, np.ndarray]) -> np.ndarray:
        eta = np.ascontiguousarray(values["cond"])
        delta = np.ascontiguousarray(values.get("disp", np.zeros(1)))
        psi = np.array([values[name][0] for name in family.extra])
        if len(delta) and np.all(delta == delta[0]):
            delta = delta[:1].copy()
        return np.asarray(family.mean(np.ones(len(eta)), Parameters(eta, delta, psi)))

    def structural_zero(values: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(special.expit(values["zi"]))

    if kind == "link":
        return _Quantity({"cond": lambda values: values["cond"]})
    if kind == "zprob":
        return _Quantity({"zi": structural_zero})
    if kind == "zi_link":
        return _Quantity({"zi": lambda values: values["zi"]})
    if kind == "disp":
        return _Quantity({"disp": lambda values: dispersions(fit, values)})
    if kind == "conditional" or "zi" not in fit.design.predictors:
        return _Quantity({"cond": mean})
    return _Quantity({"cond": mean, "zi": lambda values: special.expit(-values["zi"])})


def dispersions(fit: FittedGLMM, values: dict[str, np.ndarray]) -> np.ndarray:
    """Dispersion of every row as `FittedGLMM.sigma`, (n,) or (1,)."""
    distinct, where = np.unique(values["disp"], return_inverse=True)
    return np.array([fit.family.sigma(float(d)) for d in distinct])[where]


def _only(
    function: Callable[[dict[str, np.ndarray]], np.ndarray], values: dict[str, np.ndarray], name: str
) -> Callable[[np.ndarray], np.ndarray]:
    """View a function of all predictors as one of the predictor `name`."""
    return lambda moved: function({**values, name: moved})


def _averages(function: _Quantity, rows: _Rows) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Averages of factors over random effects with their slopes in the own predictor's value and spread."""
    found = {}
    for name, factor in function.factors.items():
        if rows.n and name in rows.spread and np.min(rows.spread[name]) > _LEAST_SPREAD:
            found[name] = average_and_slopes(_only(factor, rows.values, name), rows.values[name], rows.spread[name])
    return found


def _evaluate(
    function: _Quantity,
    values: dict[str, np.ndarray],
    spread: dict[str, np.ndarray],
    known: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = MappingProxyType({}),
) -> np.ndarray:
    """Product of the factors, averaged over the random effects of predictors that have a spread."""
    out: Any = 1.0
    for name, factor in function.factors.items():
        if name in known:
            out = out * known[name][0]
            continue
        if name not in spread:
            out = out * factor(values)
            continue
        out = out * average_over_normal(_only(factor, values, name), values[name], spread[name])
    return np.asarray(out)


# ---- uncertainty ---------------------------------------------------------------------------------------
def _bounded(fit: FittedGLMM) -> bool:
    """Whether the data bound every coefficient; else only the joint covariance knows which combinations."""
    return all(np.isfinite(np.diag(v)).all() for (a, b), v in fit.solution.covariance.items() if a == b)


def _fixed_variance(fit: FittedGLMM, fixed: dict[str, np.ndarray]) -> np.ndarray:
    """Variance from the covariance of the coefficients that is also behind their standard errors."""
    total: Any = 0.0
    for a, wa in fixed.items():
        for b, wb in fixed.items():
            total = total + np.einsum("ij,jk,ik->i", wa, fit.part_covariance(a, b), wb)
    return np.maximum(total, 0.0)


def _difference_slope(function: _Quantity, rows: _Rows, name: str) -> np.ndarray:
    """Differentiate by the values of one predictor, by central differences."""
    step = _STEP * np.maximum(1.0, np.abs(rows.values[name]))
    high = _evaluate(function, {**rows.values, name: rows.values[name] + step}, rows.spread)
    low = _evaluate(function, {**rows.values, name: rows.values[name] - step}, rows.spread)
    return (high - low) / (2.0 * step)


def spread_slopes(fit: FittedGLMM, slope: np.ndarray, random: list[RandomRows]) -> np.ndarray:
    """Slopes (n, n_params) in the optimiser's parameters of what moves with variances over new effects as `slope`.

    Those of linear models are ratios: variances are in units of the residual variance.
    """
    x = fit.solution.x
    out = np.zeros((len(slope), len(x)))
    for r in random:
        part = r.term
        z = r.Z @ part.root_back * np.sqrt(part.term.variances(r.codes))[:, None]
        for j in range(part.where.start, part.where.stop):
            step, squares = _STEP * max(1.0, abs(x[j])), []
            for sign in (1.0, -1.0):
                moved = x.copy()
                moved[j] += sign * step
                squares.append(np.square(z @ part.structure.factor(moved[part.where])).sum(axis=1))
            out[:, j] += slope * (squares[0] - squares[1]) / (2.0 * step)
    return out


def new_effects(
    fit: FittedGLMM, predictors: dict[str, PredictorDesign], name: str
) -> list[tuple[TermSolution, RandomRows]]:
    """Random terms of a predictor at some rows, each with what was estimated of it."""
    found = []
    for own, fitted in zip(predictors[name].terms, fit.design.predictors[name].terms, strict=True):
        part = fit.estimator.problem.part_of(fitted)
        found.append((fit.solution.of_term(fitted), RandomRows(part, own.Z, own.codes)))
    return found


def limits_on_scale(
    estimate: np.ndarray, error: np.ndarray, scale: Link, half: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits `half` standard errors from the estimate, symmetric on a link's scale and mapped back."""
    with np.errstate(all="ignore"):
        centre = scale.link(estimate)
        slope = scale.derivatives(centre)[1]
        width = half * error / np.abs(slope)
        low, high = centre - width, centre + width
        if scale.name == "sqrt":
            low = np.maximum(low, 0.0)
        ends = np.sort(np.stack([scale.inverse(low), scale.inverse(high)]), axis=0)
    # an estimate on the very edge of its range (0 or 1) has no scale to be symmetric on
    fine = np.isfinite(width)
    return np.where(fine, ends[0], np.nan), np.where(fine, ends[1], np.nan)
