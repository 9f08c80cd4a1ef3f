"""Inverse prediction: at which value of a column the mean takes a given value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import mapping_of, real_array, require_level, require_name, require_word
from glmmcore.errors import ModelError
from glmmcore.inference.cell_means import CellMeans
from glmmcore.inference.margins import requested_means
from glmmcore.inference.original_scale import has_way_back
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import ReferenceGrid
from glmmcore.results.estimability import zero_sums
from glmmcore.results.t_distribution import t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["InversePrediction", "inverse_prediction"]

# Halvings between a value at which the curve exists and one at which it does not.
_HALVINGS = 45


@dataclass(frozen=True, slots=True)
class InversePrediction:
    """Value of a column at which the mean takes a given value.

    Attributes
    ----------
    variable : str
        The column.
    target : float
        The mean that is reached.
    estimate, se : float
        Value of the column there; standard error by the delta method.
    lower, upper : float
        Limits; infinite where the interval is not bounded.
    method : str
        What the limits are: ``"fieller"`` or ``"delta"``.
    note : str
        What is to be said about the interval, if anything.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, inverse_prediction
    >>> d = pd.DataFrame({"y": [30, 22, 14, 11, 8, 28, 25, 17, 9, 6], "x": [0, 1, 2, 3, 4] * 2})
    >>> found = inverse_prediction(glmm("y ~ x", d, family="poisson"), "x", target=10, method="delta")
    >>> round(found.estimate, 2), round(found.se, 2), found.method
    (3.14, 0.37, 'delta')
    """

    variable: str
    target: float
    estimate: float
    se: float
    lower: float
    upper: float
    method: str
    note: str = ""


def inverse_prediction(
    fit: FittedGLMM,
    variable: str,
    target: float,
    *,
    kind: str = "response",
    method: str = "fieller",
    at: Mapping[str, Any] | None = None,
    limits: tuple[float, float] | None = None,
    level: float = 0.95,
    df: str | float = "auto",
) -> InversePrediction:
    """Find the value of a numeric column at which the mean (random effects at zero) takes a given value.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variable : str
        Numeric column of the fixed effects.
    target : float
        Mean to reach: a probability for k-of-n responses, with all zeros in it for zero-inflated and hurdle models, a
        median of y where the response is ``log(y)`` or the like, as in ``marginal_means(kind="response")``.
    kind : {"response", "link"}
        Scale of `target`; ``"link"`` is that of the conditional predictor.
    method : {"fieller", "delta"}
        All values at which a test does not reject that the mean is `target` (Fieller 1954; exact where the predictor
        is linear in the column), or estimate and standard error.
    at : mapping of str to values, optional
        Values of other columns; numbers are at their mean, categories average otherwise.
    limits : (float, float), optional
        Where to search, for curves; the range in the data, widened by as much on either side, by default, as far as
        the formula has values there: ``log(dose)`` has none below zero.
    level : float
        Confidence level, such as 0.95.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom of the limits, those of the mean at the estimate, as in `marginal_means`.

    Returns
    -------
    InversePrediction
        Estimate with limits.

    Raises
    ------
    ModelError
        When the curve does not reach the target within `limits`, or reaches it more than once.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, inverse_prediction
    >>> d = pd.DataFrame({"y": [30, 22, 14, 11, 8, 28, 25, 17, 9, 6], "x": [0, 1, 2, 3, 4] * 2})
    >>> found = inverse_prediction(glmm("y ~ x", d, family="poisson"), "x", target=10)
    >>> round(found.estimate, 2), round(found.lower, 2), round(found.upper, 2)
    (3.14, 2.56, 4.14)
    """
    require_word(method, "inverse_prediction: method", ("fieller", "delta"))
    require_word(kind, "inverse_prediction: kind", ("response", "link"))
    require_name(variable, "inverse_prediction: variable")
    require_level(level, "level")
    if not isinstance(target, Real) or np.isnan(float(target)):
        raise ModelError(f"inverse_prediction: target must be a number, not {target!r:.200}")
    known: Any = fit.design.encode
    if known.fixed_kinds.get(variable) != "numeric" or variable in known.factors:
        raise ModelError(f"inverse_prediction: '{variable}' is no numeric column of the fixed effects")
    curve = _Curve(fit, variable, mapping_of(at, "inverse_prediction: at"), kind, float(target), Precision(fit, df))
    held = fit.data[variable].astype(float)
    low, high = _searched(curve, held, limits)
    line = _Line.through(curve, low, high)
    if line is not None:
        estimate, slope = line.root, line.slope
    else:
        estimate = _only_root(curve, target, low, high)
        step = 1e-5 * min(high - low, 2.0 * max(estimate - low, high - estimate))
        ends = np.clip([estimate - step, estimate + step], low, high)
        slope = float(np.diff(curve.distances(ends))[0] / np.diff(ends)[0])
    if not np.isfinite(estimate):
        raise ModelError(f"inverse_prediction: the mean does not depend on '{variable}'")
    variance, df_there = curve.precision_at(estimate)
    error = float(np.sqrt(variance) / abs(slope))
    quantile = float(t_quantile(df_there, 0.5 + 0.5 * level)[0])
    notes = []
    if method == "delta" or not np.isfinite(error):
        lower, upper = estimate - quantile * error, estimate + quantile * error
    elif line is not None:
        lower, upper, note = line.fieller(quantile)
        notes.append(note)
    else:
        lower, upper = _around(lambda x: curve.excesses(x, quantile), estimate, low, high)
        if np.isinf(lower) or np.isinf(upper):
            notes.append(f"the interval reaches beyond the values searched, {low:g} to {high:g}")
    if not held.min() <= estimate <= held.max():
        notes.append(f"outside the data, whose {variable} goes from {held.min():g} to {held.max():g}")
    if kind == "response" and has_way_back(fit):
        notes.append(f"target is a median of {fit.design.response.transformed.inner}")
    found = "; ".join(note for note in notes if note)
    return InversePrediction(variable, float(target), float(estimate), error, lower, upper, method, found)


def _searched(curve: _Curve, held: pd.Series, limits: tuple[float, float] | None) -> tuple[float, float]:
    """Ends of the values that are searched, moved inwards to where the terms of the formula have values."""
    least, most = float(held.min()), float(held.max())
    if limits is None:
        low, high = 2.0 * least - most, 2.0 * most - least
    else:
        ends = real_array(limits, "inverse_prediction: limits")
        if ends.shape != (2,) or not np.isfinite(np.diff(ends)).all() or not ends[0] < ends[1]:
            raise ModelError(
                f"inverse_prediction: limits must be two finite numbers, the lower first, not {limits!r:.200}"
            )
        low, high = float(ends[0]), float(ends[1])
    if curve.exists(low) and curve.exists(high):
        return low, high
    inside = float(np.clip(np.median(held), low, high))
    curve.distances([inside])  # says what is wrong where there is no curve at all
    return curve.last_before(low, inside), curve.last_before(high, inside)


def _only_root(curve: _Curve, target: float, low: float, high: float) -> float:
    """Where the curve reaches the target, which must be one place."""
    roots = _roots(curve.distances, low, high)
    if len(roots) != 1:
        found = ", ".join(f"{r:.4g}" for r in roots) or "nowhere"
        raise ModelError(
            f"inverse_prediction: the mean takes the value {target:g} at {found} between {low:g} and {high:g}; "
            "give limits= that hold it once"
        )
    return roots[0]


class _Curve:
    """Mean minus target as a function of one column, on the scale on which limits of the mean are symmetric."""

    def __init__(
        self, fit: FittedGLMM, variable: str, at: dict[str, Any], kind: str, target: float, precision: Precision
    ) -> None:
        self._fit, self._variable, self._at, self._kind = fit, variable, at, kind
        self._target, self._precision = target, precision

    def means(self, points: ArrayLike) -> CellMeans:
        """Means at values of the column, their estimates less the target."""
        values = np.atleast_1d(np.asarray(points, dtype=float))
        grid = ReferenceGrid.build(self._fit, [self._variable], {**self._at, self._variable: values})
        means = requested_means(self._fit, grid, self._kind, None, "none")
        if not zero_sums(np.eye(len(values)), means.outside).all():
            raise ModelError(
                f"inverse_prediction: the data of the fit do not determine {', '.join(means.dropped)}; "
                "give other values in at="
            )
        if self._kind == "response" and means.link.name == "identity":
            means = means.on_scale(means.shape)
        with np.errstate(all="ignore"):
            goal = self._target if self._kind == "link" else float(means.link.link(np.array(self._target)))
        if not np.isfinite(goal):
            raise ModelError(f"inverse_prediction: target {self._target!r} is outside the range of the mean")
        return dataclasses.replace(means, estimate=means.estimate - goal)

    def distances(self, points: ArrayLike) -> np.ndarray:
        """Means less the target."""
        return self.means(points).estimate

    def variances(self, points: ArrayLike) -> np.ndarray:
        """Variances of the means."""
        return np.asarray(self._precision.variance(self.means(points).weights))

    def precision_at(self, x: float) -> tuple[float, np.ndarray]:
        """Variance and degrees of freedom, (1,), of one mean."""
        weights = self.means(x).weights
        return float(self._precision.variance(weights)[0]), self._precision.df(weights)

    def excesses(self, points: ArrayLike, quantile: float) -> np.ndarray:
        """Positive where a test rejects that the mean is the target."""
        means = self.means(points)
        return np.asarray(means.estimate**2 - quantile**2 * self._precision.variance(means.weights))

    def exists(self, x: float) -> bool:
        """Whether the terms of the formula have values at x: no logarithm of a negative number, no spline's outside."""
        try:
            return bool(np.isfinite(self.distances(x)).all())
        except ModelError:
            return False

    def last_before(self, end: float, inside: float) -> float:
        """The value nearest to an end, seen from one inside, at which the curve exists."""
        if self.exists(end):
            return end
        for _ in range(_HALVINGS):
            middle = 0.5 * (end + inside)
            if self.exists(middle):
                inside = middle
            else:
                end = middle
        return inside


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A curve that is straight, by its distances and variances at a middle and at half a width to either side."""

    middle: float
    half: float
    distances: np.ndarray
    variances: np.ndarray

    @classmethod
    def through(cls, curve: _Curve, low: float, high: float) -> _Line | None:
        """None when the design is not linear in the column."""
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        means = curve.means([low, middle, high, 0.3 * low + 0.7 * high])
        if set(means.weights.fixed) != {"cond"} or means.weights.direct is not None:
            return None
        rows = np.column_stack([means.weights.fixed["cond"], means.estimate])
        for row, share in zip(rows[[1, 3]], (0.5, 0.7), strict=True):
            expected = (1.0 - share) * rows[0] + share * rows[2]
            if not np.allclose(row, expected, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(expected).max()))):
                return None
        points = [low, middle, high]
        return cls(middle, half, means.estimate[:3], curve.variances(points))

    @property
    def slope(self) -> float:
        return float(self.distances[2] - self.distances[0]) / (2.0 * self.half)

    @property
    def root(self) -> float:
        return self.middle - float(self.distances[1]) / self.slope if self.slope != 0.0 else np.inf

    def fieller(self, quantile: float) -> tuple[float, float, str]:
        """Roots of (a + b u)^2 = q^2 var(u), var(u) a parabola, u from -1 to 1 where the points are.

        Counted from the middle: far from it the variance of a slope is nothing beside that of the intercept.
        """
        a, b = float(self.distances[1]), self.slope * self.half
        below, at, above = (float(v) for v in self.variances)
        square = b * b - quantile**2 * (0.5 * (above + below) - at)
        linear = a * b - 0.25 * quantile**2 * (above - below)
        constant = a * a - quantile**2 * at
        if square <= 0.0:
            return -np.inf, np.inf, "the slope does not differ from zero at this level: the interval is not bounded"
        root = float(np.sqrt(max(linear**2 - square * constant, 0.0)))
        ends = ((-linear - root) / square, (-linear + root) / square)
        return self.middle + self.half * ends[0], self.middle + self.half * ends[1], ""


def _roots(function: Callable[[ArrayLike], np.ndarray], low: float, high: float) -> list[float]:
    from scipy.optimize import brentq

    points = np.linspace(low, high, 201)
    values = function(points)
    out = [float(points[i]) for i in np.flatnonzero(values == 0.0)]
    for i in np.flatnonzero(values[:-1] * values[1:] < 0.0):
        one = brentq(lambda x: float(function(x)[0]), points[i], points[i + 1], xtol=1e-12 * (high - low))
        out.append(float(one))
    return sorted(out)


def _around(
    excesses: Callable[[ArrayLike], np.ndarray], estimate: float, low: float, high: float
) -> tuple[float, float]:
    """Nearest roots of the excess on both sides of the estimate, infinite when there is none."""
    left = [r for r in _roots(excesses, low, estimate) if r < estimate] if low < estimate else []
    right = [r for r in _roots(excesses, estimate, high) if r > estimate] if estimate < high else []
    return (left[-1] if left else -np.inf), (right[0] if right else np.inf)
