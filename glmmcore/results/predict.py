"""Predictions for the rows of the fit or for new ones, with standard errors and intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import require_level
from glmmcore.averages import average_over_normal
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.families.base import Parameters
from glmmcore.families.links import LINKS, Link
from glmmcore.results.estimability import dropped_columns, not_estimable
from glmmcore.results.joint_covariance import Combination, JointCovariance, RandomRows

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["fixed_values", "predict", "quantity"]

_KINDS = ("response", "link", "conditional", "zprob", "disp")
_EFFECTS = ("conditional", "none", "average")
_POLICIES = ("error", "zero")
# Linear predictors with log link up to here have a mean that is computed as it is.
_LARGEST_LOG = 690.0
# Relative step of central differences of means: truncation and rounding are both about 1e-10.
_STEP = 1e-5


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


def predict(
    fit: FittedGLMM,
    newdata: Any = None,
    *,
    kind: str = "response",
    random_effects: str = "conditional",
    se: bool = False,
    interval: float | None = None,
    new_levels: str = "error",
) -> pd.Series | pd.DataFrame:
    """See `FittedGLMM.predict`."""
    _check(fit, kind, random_effects, interval, new_levels)
    # the average of a linear function of the random effects is its value at zero
    if kind == "disp" or (random_effects == "average" and (kind == "link" or fit.estimator.linear)):
        random_effects = "none"
    predictors, keep, index = _designs(fit, newdata, random_effects)
    rows = _rows(fit, predictors, random_effects, new_levels, index[keep])
    if kind in ("response", "conditional"):
        _require_range(fit, rows.values["cond"], index[keep])
    function = quantity(fit, kind)
    estimate = _evaluate(function, rows.values, rows.spread) if rows.n else np.zeros(0)
    beyond = _beyond_the_data(function, rows, predictors, index[keep])
    estimate = np.where(beyond, np.nan, estimate)
    if not se and interval is None:
        return _in_place(pd.Series(estimate, index=index[keep], name=kind), keep, index)
    error = np.sqrt(_variance(fit, function, rows)) if rows.n else np.zeros(0)
    error[beyond] = np.nan
    columns = {"estimate": estimate, "se": error}
    if interval is not None:
        columns["lower"], columns["upper"] = _interval(estimate, error, _scale(fit, kind), interval)
    return _in_place(pd.DataFrame(columns, index=index[keep]), keep, index)


def _check(fit: FittedGLMM, kind: str, random_effects: str, interval: float | None, new_levels: str) -> None:
    choices = (
        ("kind", kind, _KINDS),
        ("random_effects", random_effects, _EFFECTS),
        ("new_levels", new_levels, _POLICIES),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            raise ModelError(f"predict: {name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    if interval is not None:
        require_level(interval, "interval")
    if kind == "zprob" and "zi" not in fit.design.predictors:
        raise ModelError("predict: kind='zprob' needs a model with zi=")
    if kind == "disp" and not fit.family.has_dispersion:
        raise ModelError(f"predict: family '{fit.family.name}' has no dispersion parameter")


def _require_range(fit: FittedGLMM, eta: np.ndarray, labels: pd.Index) -> None:
    """Refuse means beyond double precision, which families cut off."""
    if fit.family.link.name == "log" and len(eta) and not eta.max() < _LARGEST_LOG:
        at = int(np.argmax(eta))
        raise ModelError(
            f"predict: the linear predictor of row {labels[at]!r} is {eta[at]:.4g}, its mean exceeds double precision; "
            "predict kind='link'"
        )


def _in_place(table: Any, keep: np.ndarray, index: pd.Index) -> Any:
    """Put NaN where a row was not complete."""
    if keep.all():
        return table
    if isinstance(table, pd.Series):
        values = np.full(len(index), np.nan)
        values[keep] = table.to_numpy()
        return pd.Series(values, index=index, name=table.name)
    return pd.DataFrame({name: _in_place(table[name], keep, index) for name in table}, index=index)


# ---- rows ----------------------------------------------------------------------------------------------
def _designs(
    fit: FittedGLMM, newdata: Any, random_effects: str
) -> tuple[dict[str, PredictorDesign], np.ndarray, pd.Index]:
    """Designs of the complete rows, which rows these are, and the labels of all rows."""
    if newdata is None:
        return fit.design.predictors, np.ones(fit.nobs, dtype=bool), fit.data.index
    from glmmcore.formula.frame import as_frame

    frame = as_frame(newdata, "the new data")
    encode: Any = fit.design.encode
    if random_effects == "average":  # any level will do: only the left-hand sides are used
        only_groups = [g for g in encode.group_columns if g not in encode.fixed_kinds | encode.left_kinds]
        frame = frame.assign(**{g: fit.data[g].iloc[:1].repeat(len(frame)).array for g in only_groups})
    predictors, keep = encode(frame, groups=random_effects != "none")
    return predictors, keep, frame.index


def fixed_values(
    fit: FittedGLMM, predictors: dict[str, PredictorDesign], n: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Design (n, p) and value (n,) of the fixed part of every predictor, constants included."""
    fixed, values = {}, {}
    for part in fit.estimator.problem.parts:
        coefficients = fit.solution.coefficients[part.name]
        if part.name in predictors:
            design = predictors[part.name]
            fixed[part.name] = design.X
            values[part.name] = design.X @ coefficients + design.offset
        else:
            fixed[part.name] = np.ones((n, 1))
            values[part.name] = np.full(n, coefficients[0])
    return fixed, values


def _rows(
    fit: FittedGLMM,
    predictors: dict[str, PredictorDesign],
    random_effects: str,
    new_levels: str,
    labels: pd.Index,
) -> _Rows:
    fixed, values = fixed_values(fit, predictors, len(labels))
    random: dict[str, list[RandomRows]] = {}
    spread: dict[str, Any] = {}
    for name, design in predictors.items() if random_effects != "none" else ():
        for position, term in enumerate(design.terms):
            fitted = fit.design.predictors[name].terms[position]
            solution = next(t for t in fit.solution.terms if t.term is fitted)
            place = next(t for t in fit.estimator.problem.terms if t.term is fitted)
            random.setdefault(name, []).append(RandomRows(place, term.Z, term.codes))
            if random_effects == "average":
                variance = np.einsum("ij,jk,ik->i", term.Z, solution.covariance, term.Z)
                spread[name] = spread.get(name, 0.0) + np.maximum(variance, 0.0)
                continue
            unseen = term.codes < 0
            if unseen.any() and new_levels == "error":
                label = labels[int(np.argmax(unseen))]
                raise ModelError(
                    f"the new data have a level of '{term.group}' that the fit has not seen (row {label!r}); "
                    "predict with new_levels='zero' (its random effect is zero) or random_effects='none'"
                )
            modes = np.where(unseen[:, None], 0.0, solution.modes[term.codes])
            values[name] = values[name] + np.einsum("ij,ij->i", term.Z, modes)
    return _Rows(fixed, values, random, spread)


def _beyond_the_data(
    function: _Quantity, rows: _Rows, predictors: dict[str, PredictorDesign], labels: pd.Index
) -> np.ndarray:
    """Mask (n,) of the rows for which the quantity cannot be estimated, which are told."""
    mask = np.zeros(rows.n, dtype=bool)
    parts = []
    for name, design in predictors.items():
        found = ~design.estimable
        if found.any():
            found &= _slope(function, rows, name) != 0.0
            parts += [design] if found.any() else []
            mask |= found
    if parts:
        dropped = [column for design in parts for column in dropped_columns(design)]
        warn_of_data(not_estimable("predict", "row", [repr(v) for v in labels[mask].tolist()], dropped), stacklevel=4)
    return mask


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
    if kind == "disp":
        return _Quantity({"disp": lambda values: _sigma(family, values["disp"])})
    if kind == "conditional" or "zi" not in fit.design.predictors:
        return _Quantity({"cond": mean})
    return _Quantity({"cond": mean, "zi": lambda values: special.expit(-values["zi"])})


def _sigma(family: Any, delta: np.ndarray) -> np.ndarray:
    distinct, where = np.unique(delta, return_inverse=True)
    return np.array([family.sigma(float(d)) for d in distinct])[where]


def _only(
    function: Callable[[dict[str, np.ndarray]], np.ndarray], values: dict[str, np.ndarray], name: str
) -> Callable[[np.ndarray], np.ndarray]:
    """View a function of all predictors as one of the predictor `name`."""
    return lambda moved: function({**values, name: moved})


def _evaluate(function: _Quantity, values: dict[str, np.ndarray], spread: dict[str, np.ndarray]) -> np.ndarray:
    """Product of the factors, averaged over the random effects of predictors that have a spread."""
    out: Any = 1.0
    for name, factor in function.factors.items():
        if name not in spread:
            out = out * factor(values)
            continue
        out = out * average_over_normal(_only(factor, values, name), values[name], spread[name])
    return np.asarray(out)


# ---- uncertainty ---------------------------------------------------------------------------------------
def _variance(fit: FittedGLMM, function: _Quantity, rows: _Rows) -> np.ndarray:
    """Delta method from the joint covariance of parameters and random effects, (n,)."""
    slopes = {name: _slope(function, rows, name) for name in rows.values}
    slopes = {name: s for name, s in slopes.items() if np.any(s)}
    if not slopes:
        return np.zeros(rows.n)
    fixed = {name: rows.fixed[name] * s[:, None] for name, s in slopes.items()}
    if rows.spread:
        return JointCovariance(fit).variance(Combination(fixed, direct=_spread_slopes(fit, function, rows)))
    random = [
        RandomRows(r.term, r.Z * slopes[name][:, None], r.codes)
        for name, terms in rows.random.items()
        if name in slopes
        for r in terms
    ]
    if not random and (fit.estimator.linear or not fit.reml) and _bounded(fit):
        return _fixed_variance(fit, fixed)
    return JointCovariance(fit).variance(Combination(fixed, random))


def _bounded(fit: FittedGLMM) -> bool:
    """Whether the data bound every coefficient; else only the joint covariance knows which combinations."""
    return all(np.isfinite(np.diag(v)).all() for (a, b), v in fit.solution.covariance.items() if a == b)


def _fixed_variance(fit: FittedGLMM, fixed: dict[str, np.ndarray]) -> np.ndarray:
    """Variance from the covariance of the coefficients that is also behind their standard errors."""
    total: Any = 0.0
    for a, wa in fixed.items():
        for b, wb in fixed.items():
            total = total + np.einsum("ij,jk,ik->i", wa, fit._covariance(a, b), wb)
    return np.maximum(total, 0.0)


def _slope(function: _Quantity, rows: _Rows, name: str) -> np.ndarray:
    """Differentiate by the values of one predictor, by central differences."""
    step = _STEP * np.maximum(1.0, np.abs(rows.values[name]))
    high = _evaluate(function, {**rows.values, name: rows.values[name] + step}, rows.spread)
    low = _evaluate(function, {**rows.values, name: rows.values[name] - step}, rows.spread)
    return (high - low) / (2.0 * step)


def _spread_slopes(fit: FittedGLMM, function: _Quantity, rows: _Rows) -> np.ndarray:
    """Differentiate an average by the optimiser's parameters, as far as they change the variances."""
    x = fit.solution.x
    out = np.zeros((rows.n, len(x)))
    for name, spread in rows.spread.items():
        step = 1e-4 * np.maximum(spread, 1e-4)
        high = _evaluate(function, rows.values, {**rows.spread, name: spread + step})
        low = _evaluate(function, rows.values, {**rows.spread, name: spread - step})
        slope = (high - low) / (2.0 * step)
        for r in rows.random[name]:
            part = r.term
            z = r.Z @ part.back
            for j in range(part.where.start, part.where.stop):
                theta = []
                for sign in (1.0, -1.0):
                    moved = x.copy()
                    moved[j] += sign * 1e-5 * max(1.0, abs(x[j]))
                    theta.append(np.square(z @ part.structure.factor(moved[part.where])).sum(axis=1))
                out[:, j] += slope * (theta[0] - theta[1]) / (2e-5 * max(1.0, abs(x[j])))
    return out


def _scale(fit: FittedGLMM, kind: str) -> Link:
    """Scale on which the estimate is closest to normal and the interval stays in range."""
    return LINKS[{"link": "identity", "zprob": "logit", "disp": "log"}.get(kind, fit.family.link.name)]


def _interval(estimate: np.ndarray, error: np.ndarray, scale: Link, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric on the link's scale and mapped back."""
    half = special.ndtri(0.5 + 0.5 * level)
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
