"""Standard deviations, correlations and the dispersion as functions of the optimiser's parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from glmmcore.covariance import Field
from glmmcore.estimation.curvature import Curvature, informed

if TYPE_CHECKING:
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.linear import LinearObjective
    from glmmcore.estimation.problem import Problem, TermPart
    from glmmcore.estimation.solution import Solution

__all__ = [
    "VarianceParameter",
    "is_given",
    "joint_curvature",
    "linear_curvature",
    "parameter_errors",
    "variance_parameters",
    "without_ratios",
]

# A standard deviation this small, beside the largest of its term or this one, is zero: it has no slope there.
_ZERO, _USUAL = 1e-4, 1e-2
# Share of a gradient that is rounding.
_NO_SLOPE = 1e-10
# Standard deviation of effects of places, in units of the residual one, from which the latter may be none.
_LARGE_RATIO = 5.0
# Step of the differences in units of a parameter's standard error: truncation and noise both far below 1e-6.
_DIFFERENCE = 1e-3
# The same along a standard deviation of effects of places this many times the residual one, relative to itself: what
# the residuals add to the covariance of the rows is next to rounding there, and short differences are noise.
_HUGE_RATIO, _RELATIVE_DIFFERENCE = 50.0, 0.04


@dataclass(frozen=True, slots=True, eq=False)
class VarianceParameter:
    """One standard deviation or correlation of a random term, or the dispersion.

    Attributes
    ----------
    kind : {"sd", "corr", "rho", "range", "smoothness", "rate", "sigma"}
        "rho" is the correlation of neighbours in a chain; see `glmmcore.covariance.FIELDS` for those of places.
    term : TermPart or None
    i, j : int
        Coefficients of the term; equal for a standard deviation.
    where : slice
        The parameters it depends on.
    """

    kind: str
    term: TermPart | None
    i: int
    j: int
    where: slice

    @property
    def label(self) -> str:
        """Name in tables, such as ``sd(Days|Subject)``."""
        if self.term is None:
            return "sigma"
        columns, group = self.term.term.columns, self.term.term.group
        part = "" if self.term.predictor == "cond" else f"{self.term.predictor}: "
        if self.kind == "rho" or self.term.structure.one_row:
            lag = f", lag {self.i}" if self.kind == "corr" and self.i > 1 else ""
            return f"{part}{self.kind}({self.stem}{lag}|{group})"
        if self.kind == "sd":
            return f"{part}sd({columns[self.i]}|{group})"
        return f"{part}corr({columns[self.j]},{columns[self.i]}|{group})"

    @property
    def name(self) -> str:
        """What a row of `var_corr` calls the coefficient; what is common to all is called after their factor."""
        assert self.term is not None
        return self.stem if self.term.structure.one_row else self.term.term.columns[self.row]

    @property
    def row(self) -> int:
        """Coefficient in whose row of `var_corr` it stands."""
        assert self.term is not None
        return 0 if self.term.structure.one_row or self.kind == "rho" else self.i

    @property
    def stem(self) -> str:
        """Name of all coefficients of the term together."""
        assert self.term is not None
        columns = self.term.term.columns
        if len(columns) == 1:
            return columns[0]
        stem = columns[0].split("[")[0]
        return stem if all(c.startswith(f"{stem}[") for c in columns) else f"{columns[0]} to {columns[-1]}"

    @property
    def column(self) -> str:
        """Column of `var_corr`."""
        if self.kind != "corr":
            return self.kind
        assert self.term is not None
        return f"corr_{self.i if self.term.structure.one_row else self.j + 1}"

    @property
    def bounds(self) -> tuple[float, float]:
        """Ends of its range."""
        return (-1.0, 1.0) if self.kind in ("corr", "rho") else (0.0, np.inf)

    @property
    def _of_field(self) -> Field | None:
        """The structure of which it is a parameter other than the standard deviation."""
        structure = None if self.term is None else self.term.structure
        return structure if isinstance(structure, Field) and self.kind != "sd" else None

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """The two rows of the factor, in the user's columns, (2, k)."""
        assert self.term is not None
        return self.term.root_back[[self.i, self.j]] @ self.term.structure.factor(x[self.term.where])

    def value(self, x: np.ndarray, scale: float = 1.0) -> float:
        """Value at x; standard deviations in units of `scale`; NaN for a correlation with a constant.

        The dispersion is log(phi) here: what `Family.sigma` takes.
        """
        if self.term is None:
            return float(x[self.where][0])
        if (field := self._of_field) is not None:
            return float(field.natural(x[self.where])[field.parameters.index(self.kind)])
        one, other = self._rows(x)
        if self.kind == "sd":
            return float(scale * np.sqrt(one @ one))
        sizes = np.sqrt(one @ one), np.sqrt(other @ other)
        return float((one / sizes[0]) @ (other / sizes[1])) if min(sizes) > 0.0 else float("nan")

    def gradient(self, x: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Differentiate by x, (n_params,); where `is_defined`."""
        out = np.zeros(len(x))
        if self.term is None:
            out[self.where] = 1.0
            return out
        if (field := self._of_field) is not None:
            place = field.parameters.index(self.kind)
            out[self.where.start + 1 + place] = field.natural_slopes(x[self.where])[place]
            return out
        one, other = self._rows(x)
        back, sizes = self.term.root_back, (np.sqrt(one @ one), np.sqrt(other @ other))
        if self.kind == "sd":
            d_factor = scale * np.outer(back[self.i], one) / sizes[0]
        else:
            one, other = one / sizes[0], other / sizes[1]
            r = one @ other
            d_factor = np.outer(back[self.i] / sizes[0], other - r * one)
            d_factor += np.outer(back[self.j] / sizes[1], one - r * other)
        out[self.where] = self.term.structure.gradient(x[self.term.where], d_factor)
        return out

    def is_defined(self, x: np.ndarray) -> bool:
        """Whether the value has a derivative: no standard deviation behind it is zero, no correlation is one."""
        if self.term is None:
            return True
        t = self.term.structure.factor(x[self.term.where])
        back = self.term.root_back
        # in units of each coefficient's own, so that none vanishes for the unit of its covariate
        size = np.sqrt(np.square(back @ t).sum(axis=1) / np.square(back).sum(axis=1))
        if not min(size[self.i], size[self.j]) > _ZERO * max(_USUAL, float(size.max())):
            return False
        return self.kind not in ("corr", "rho") or bool(1.0 - self.value(x) ** 2 > _ZERO**2)


def variance_parameters(estimator: Estimator) -> list[VarianceParameter]:
    """List standard deviations and correlations in the order of `var_corr`, then a constant dispersion."""
    problem = estimator.problem
    out = []
    for design in estimator.design.predictors.values():
        for term in design.terms:
            t = problem.part_of(term)
            out += [VarianceParameter(kind, t, i, j, t.where) for kind, i, j in t.structure.reported]
    if estimator.family.has_dispersion and problem.part("disp").size == 1 and estimator.design.has_one_dispersion:
        out.append(VarianceParameter("sigma", None, 0, 0, problem.part("disp").where))
    return out


def is_given(parameter: VarianceParameter, problem: Problem, x: np.ndarray) -> bool:
    """Whether a parameter was given instead of estimated."""
    free = problem.free
    if free[parameter.where].all() or not parameter.is_defined(x):
        return bool(not free[parameter.where].any() and parameter.where.stop > parameter.where.start)
    slope = np.abs(parameter.gradient(x))
    return bool(slope[free].max(initial=0.0) <= _NO_SLOPE * slope.max())


def parameter_errors(estimator: Estimator, solution: Solution, curvature: Curvature) -> dict[str, tuple[float, float]]:
    """Value and standard error (delta method) of every variance parameter by label; NaN on the boundary.

    `curvature` is that of the optimiser's parameters, followed by log sigma for a linear model. The dispersion is
    given as log(phi); its error is infinite at a limit.
    """
    out = {}
    scale, log_sigma = 1.0, 0.0
    if estimator.linear:
        log_sigma = float(solution.coefficients["disp"][0])
        scale = float(np.exp(log_sigma))
    bounded = without_ratios(estimator, solution.x, curvature)
    for parameter in variance_parameters(estimator):
        if parameter.term is None and estimator.linear:
            own = np.zeros((1, len(curvature.units)))
            own[0, -1] = 1.0
            out[parameter.label] = log_sigma, float(np.sqrt(curvature.variance(own)[0]))
            continue
        value = parameter.value(solution.x, scale)
        error = float("nan")
        if parameter.is_defined(solution.x) and not is_given(parameter, estimator.problem, solution.x):
            slope = parameter.gradient(solution.x, scale)
            if estimator.linear:
                slope = np.append(slope, value if parameter.kind == "sd" else 0.0)
            error = float(np.sqrt(bounded.variance(slope[None])[0]))
            if parameter.term is not None and not np.isfinite(error):
                error = float("nan")
        out[parameter.label] = value, error
    return out


def without_ratios(estimator: Estimator, x: np.ndarray, curvature: Curvature) -> Curvature:
    """Curvature without the bound that is missing where the residual variance of a linear model vanishes.

    Beside effects of places it may be none; then the ratio of the two standard deviations has no bound, and fixed and
    random effects, the standard deviation of the effects and their range have limits to which they hardly move.
    """
    if not estimator.linear or not curvature.flat.shape[1]:
        return curvature
    ratios = [t.where.start for t in estimator.problem.terms if isinstance(t.structure, Field)]
    ratios = [j for j in ratios if abs(x[j]) > _LARGE_RATIO]
    along = np.square(curvature.flat[ratios] / curvature.units[ratios, None]).sum(axis=0)
    return replace(curvature, flat=curvature.flat[:, along < 0.5])


def linear_curvature(estimator: Estimator, solution: Solution) -> Curvature:
    """Curvature of the profiled objective of a linear mixed model in theta, by central differences of its gradient."""
    objective = estimator.linear_objective()
    theta, hessian = solution.x, solution.optimum.hessian
    if hessian is None:
        objective(theta)
        information = objective.curvature(theta) if len(theta) else np.empty((0, 0))
        steps = _DIFFERENCE / np.sqrt(np.diag(information))
        hessian = np.array([_central(objective, theta, j, step) for j, step in enumerate(steps)]).reshape(
            information.shape
        )
        hessian = 0.5 * (hessian + hessian.T)
    units = objective.units
    for term in estimator.problem.terms:
        if not isinstance(term.structure, Field):
            continue
        # the residual variance may vanish beside that of the field
        j, ratio = term.where.start, abs(theta[term.where.start])
        units[j] = max(units[j], ratio)
        if ratio > _HUGE_RATIO and estimator.problem.free[j]:
            hessian = hessian.copy()
            # Richardson's extrapolation, since the differences are long
            one, two = (_central(objective, theta, j, k * _RELATIVE_DIFFERENCE * ratio) for k in (1.0, 2.0))
            hessian[j] = hessian[:, j] = (4.0 * one - two) / 3.0
    problem = estimator.problem
    return informed(hessian, solution.optimum.gradient, units, problem.blocks, problem.at_ends(theta))


def _central(objective: LinearObjective, theta: np.ndarray, j: int, step: float) -> np.ndarray:
    """Slope of the gradient along one parameter, (n_params,), by central differences."""
    ends = []
    for sign in (1.0, -1.0):
        moved = theta.copy()
        moved[j] += sign * step
        ends.append(objective(moved)[1])
    return np.asarray((ends[0] - ends[1]) / (2.0 * step))


def joint_curvature(estimator: Estimator, solution: Solution, curvature: Curvature) -> Curvature:
    """Curvature of (theta, log sigma) of a linear mixed model, from that of theta.

    Sigma is profiled out: log sigma^(theta) = log(r^2 / n) / 2, and given theta its variance is 1 / (2 n).
    """
    objective = estimator.linear_objective()
    theta = solution.x
    objective(theta)
    slope = 0.5 * objective.square_gradient(theta) / objective.residual_square
    mixed = curvature.inverse @ slope
    corner = slope @ mixed + 1.0 / (2.0 * objective.n_effective)
    inverse = np.block([[curvature.inverse, mixed[:, None]], [mixed[None], np.array([[corner]])]])
    flat = np.vstack([curvature.flat, slope[None] @ curvature.flat])
    return Curvature(inverse, flat, np.append(curvature.units, 1.0))
