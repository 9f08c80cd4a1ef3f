"""Inverse prediction: at which value of a column the mean takes a given value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import mapping_of, real_array, require_level, require_name, require_word
from glmmcore.errors import ModelError
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import ReferenceGrid
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.t_distribution import t_quantile

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["InversePrediction", "inverse_prediction"]


@dataclass(frozen=True, slots=True)
class InversePrediction:
    """Value of a column at which the mean takes a given value.

    Attributes
    ----------
    variable : str
    target : float
    estimate, se : float
        Standard error by the delta method.
    lower, upper : float
        Limits; infinite where the interval is not bounded.
    method : str
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
        Mean to reach; a probability for k-of-n responses.
    kind : {"response", "link"}
        Scale of `target`.
    method : {"fieller", "delta"}
        All values at which a test does not reject that the mean is `target` (Fieller 1954; exact where the predictor
        is linear in the column), or estimate and standard error.
    at : mapping of str to values, optional
        Values of other columns; numbers are at their mean, categories average otherwise.
    limits : (float, float), optional
        Where to search, for curves; the range in the data, widened by as much on either side, by default.
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
    >>> from glmmcore import glmm
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
    with np.errstate(all="ignore"):
        goal = float(target if kind == "link" else fit.family.link.link(np.array(float(target))))
    if not np.isfinite(goal):
        raise ModelError(f"inverse_prediction: target {target!r} is outside the range of the mean")
    precision = Precision(fit, df)
    curve = _Curve(fit, variable, mapping_of(at, "inverse_prediction: at"), goal, precision)
    low, high = _searched(fit, variable, limits)
    line = curve.straight_line(low, high)
    if line is not None:
        estimate, slope = -line[0] / line[1] if line[1] != 0.0 else np.inf, line[1]
    else:
        estimate = _only_root(curve, target, low, high)
        step = 1e-5 * (high - low)
        slope = (curve.distance(estimate + step) - curve.distance(estimate - step)) / (2.0 * step)
    if not np.isfinite(estimate):
        raise ModelError(f"inverse_prediction: the mean does not depend on '{variable}'")
    error = float(np.sqrt(curve.variance(estimate)) / abs(slope))
    quantile = float(t_quantile(curve.df(estimate), 0.5 + 0.5 * level)[0])
    note = ""
    if method == "delta":
        lower, upper = estimate - quantile * error, estimate + quantile * error
    elif line is not None:
        lower, upper, note = _fieller(curve, line, quantile)
    else:
        lower, upper = _around(lambda x: curve.excess(x, quantile), estimate, low, high)
        if np.isinf(lower) or np.isinf(upper):
            note = f"the interval reaches beyond the values searched, {low:g} to {high:g}"
    return InversePrediction(variable, float(target), float(estimate), error, lower, upper, method, note)


def _searched(fit: FittedGLMM, variable: str, limits: tuple[float, float] | None) -> tuple[float, float]:
    """Ends of the values that are searched."""
    if limits is None:
        values = fit.data[variable].astype(float)
        reach = float(values.max() - values.min())
        return float(values.min()) - reach, float(values.max()) + reach
    ends = real_array(limits, "inverse_prediction: limits")
    if ends.shape != (2,) or not np.isfinite(np.diff(ends)).all() or not ends[0] < ends[1]:
        raise ModelError(f"inverse_prediction: limits must be two finite numbers, the lower first, not {limits!r:.200}")
    return float(ends[0]), float(ends[1])


def _only_root(curve: _Curve, target: float, low: float, high: float) -> float:
    """Where the curve reaches the target, which must be one place."""
    roots = _roots(curve.distance, low, high)
    if len(roots) != 1:
        found = ", ".join(f"{r:.4g}" for r in roots) or "nowhere"
        raise ModelError(
            f"inverse_prediction: the mean takes the value {target:g} at {found} between {low:g} and {high:g}; "
            "give limits= that hold it once"
        )
    return roots[0]


class _Curve:
    """Linear predictor minus target as a function of one column."""

    def __init__(self, fit: FittedGLMM, variable: str, at: dict[str, Any], goal: float, precision: Precision) -> None:
        self.fit, self.variable, self.at, self.goal, self.precision = fit, variable, at, goal, precision
        self.beta = fit.params.to_numpy()

    def row(self, x: float) -> tuple[np.ndarray, float]:
        """Weights of the coefficients at x, (p,), and the offset."""
        grid = ReferenceGrid.build(self.fit, [self.variable], {**self.at, self.variable: [x]})
        rows, offset = grid.row()
        if len(rows) != 1:
            raise ModelError("inverse_prediction: give one value for each column of at=")
        outside, dropped = grid.outside()
        if outside is not None and outside.any():
            raise ModelError(
                f"inverse_prediction: the data of the fit do not determine {', '.join(dropped)}; "
                "give other values in at="
            )
        return rows[0], float(offset[0])

    def distance(self, x: float) -> float:
        """Predictor minus target."""
        row, offset = self.row(x)
        return float(row @ self.beta) + offset - self.goal

    def variance(self, x: float) -> float:
        """Variance of the predictor."""
        return float(self.precision.variance(self._predictor(x))[0])

    def df(self, x: float) -> np.ndarray:
        """Degrees of freedom of the predictor, (1,)."""
        return self.precision.df(self._predictor(x))

    def _predictor(self, x: float) -> Combination:
        return Combination({"cond": self.row(x)[0][None]})

    def excess(self, x: float, quantile: float) -> float:
        """Positive where a test rejects that the predictor is the target."""
        return self.distance(x) ** 2 - quantile**2 * self.variance(x)

    def straight_line(self, low: float, high: float) -> tuple[float, float] | None:
        """Intercept and slope of `distance`, None when the design is not linear in the column."""
        first, last, middle = self.row(low), self.row(high), self.row(0.3 * low + 0.7 * high)
        expected = 0.3 * first[0] + 0.7 * last[0]
        if not np.allclose(middle[0], expected, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(expected).max()))):
            return None
        if not np.isclose(middle[1], 0.3 * first[1] + 0.7 * last[1], rtol=1e-9, atol=1e-9):
            return None
        slope = (self.distance(high) - self.distance(low)) / (high - low)
        return self.distance(low) - slope * low, slope


def _fieller(curve: _Curve, line: tuple[float, float], quantile: float) -> tuple[float, float, str]:
    """Roots of (a + b x)^2 = q^2 var(x), var(x) a parabola through three points."""
    a, b = line
    variance = [curve.variance(x) for x in (-1.0, 0.0, 1.0)]
    v1 = 0.5 * (variance[2] - variance[0])
    v2 = 0.5 * (variance[2] + variance[0]) - variance[1]
    square = b * b - quantile**2 * v2
    linear = a * b - 0.5 * quantile**2 * v1
    constant = a * a - quantile**2 * variance[1]
    inner = linear**2 - square * constant
    if square <= 0.0:
        return -np.inf, np.inf, "the slope does not differ from zero at this level: the interval is not bounded"
    root = float(np.sqrt(max(inner, 0.0)))
    return (-linear - root) / square, (-linear + root) / square, ""


def _roots(function: Any, low: float, high: float) -> list[float]:
    from scipy.optimize import brentq

    points = np.linspace(low, high, 201)
    values = np.array([function(x) for x in points])
    out = [float(points[i]) for i in np.flatnonzero(values == 0.0)]
    for i in np.flatnonzero(values[:-1] * values[1:] < 0.0):
        out.append(float(brentq(function, points[i], points[i + 1], xtol=1e-12 * (high - low))))
    return sorted(out)


def _around(excess: Any, estimate: float, low: float, high: float) -> tuple[float, float]:
    """Nearest roots of `excess` on both sides of the estimate, infinite when there is none."""
    left = [r for r in _roots(excess, low, estimate) if r < estimate] if low < estimate else []
    right = [r for r in _roots(excess, estimate, high) if r > estimate] if estimate < high else []
    return (left[-1] if left else -np.inf), (right[0] if right else np.inf)
