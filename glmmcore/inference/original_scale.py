"""Means of what a response is a function of: of y where the model is about log(y).

Mapped back from the scale of the model, means are medians of y. Means of y average over all that is normal on that
scale, random effects and residuals: E h(eta + u), u with the sum of their variances (Duan 1983 for residuals alone).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.averages import average_over_normal
from glmmcore.errors import ModelError
from glmmcore.families.links import LINKS, Link
from glmmcore.inference.cell_means import CellMeans, unknown_columns
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.quantities import dispersions, fixed_values, new_effects, spread_slopes

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.reference_grid import ReferenceGrid

__all__ = ["averaged_originals", "has_way_back", "mapped_back"]

# Relative step of central differences.
_STEP = 1e-5


def has_way_back(fit: FittedGLMM) -> bool:
    """Whether the model is about a function of what can be told from it, and on the scale of that function."""
    return fit.design.response.transformed is not None and fit.family.link.name == "identity"


def mapped_back(fit: FittedGLMM, means: CellMeans) -> CellMeans:
    """Means on the scale of the model, with the way back as their link."""
    way = fit.design.response.transformed
    assert way is not None
    if not way.base or way.shift or way.factor <= 0.0:
        link = _link(fit)
        return CellMeans(means.cells, means.estimate, means.weights, link, link, means.outside, means.dropped)
    # natural logarithms, whose differences are those of ratios
    unit = float(np.log(way.base))
    fixed = {name: unit * w for name, w in means.weights.fixed.items()}
    estimate = unit * means.estimate - np.log(way.factor)
    return CellMeans(
        means.cells, estimate, Combination(fixed), LINKS["log"], LINKS["log"], means.outside, means.dropped
    )


def averaged_originals(fit: FittedGLMM, grid: ReferenceGrid) -> CellMeans:
    """Means of what the response is a function of, over random effects and residuals; averaged on that scale."""
    way, link = fit.design.response.transformed, _link(fit)
    assert way is not None
    if not fit.family.linear:
        raise ModelError(
            f"marginal_means: means of {way.inner} are known where {fit.design.response.name} is gaussian; "
            f"random_effects='none' maps means back from a {fit.family.name} model"
        )
    if not way.has_mean:
        raise ModelError(
            f"marginal_means: where {fit.design.response.name} is normal {way.inner} has no mean; "
            "random_effects='none' gives medians"
        )
    fixed, values = fixed_values(fit, grid.predictors, len(grid.frame))
    eta, sd = values["cond"], np.broadcast_to(dispersions(fit, values), len(grid.frame))
    random = new_effects(fit, grid.predictors, "cond")
    total = sd**2 + sum(solution.row_variances(rows.Z, rows.codes) for solution, rows in random)

    def mean(eta: np.ndarray, variance: np.ndarray) -> np.ndarray:
        return average_over_normal(way.original, eta, variance)

    step, width = _STEP * np.maximum(1.0, np.abs(eta)), 1e-4 * total
    slope = (mean(eta + step, total) - mean(eta - step, total)) / (2.0 * step)
    in_variance = (mean(eta, total + width) - mean(eta, total - width)) / (2.0 * np.maximum(width, 1e-300))
    moves: dict[str, np.ndarray] = {"cond": slope[:, None] * fixed["cond"]}
    direct = spread_slopes(fit, in_variance, [rows for _, rows in random])
    if fit.estimator.linear:
        direct, moves["disp"] = _of_linear(fit, fit.sigma**2 * direct, 2.0 * in_variance * total)
    else:
        moves["disp"] = fixed["disp"] * (2.0 * in_variance * sd**2)[:, None]
    averaged = Combination(moves, direct=direct).mapped(grid.average)
    lost = unknown_columns(grid.average(1.0 - grid.predictors["cond"].estimable) > 0.0)
    dropped = tuple(grid.outside()[1])
    return CellMeans(grid.cells, grid.average(mean(eta, total)), averaged, LINKS["identity"], link, lost, dropped)


def _of_linear(fit: FittedGLMM, in_theta: np.ndarray, in_log_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes in theta, and in what of log sigma does not covary with it, a column.

    The joint covariance takes the optimiser's parameters theta and log sigma for independent: with log sigma = r'theta
    + rest, the rest is told as a share of log sigma's own standard error.
    """
    joint = fit.joint_curvature.inverse
    own = float(joint[-1, -1])
    regression = np.linalg.pinv(joint[:-1, :-1]) @ joint[:-1, -1]
    rest = max(own - float(joint[-1, :-1] @ regression), 0.0)
    share = np.sqrt(rest / own) if own > 0.0 else 0.0
    return in_theta + in_log_sd[:, None] * regression, (share * in_log_sd)[:, None]


def _link(fit: FittedGLMM) -> Link:
    """Link from what the response is a function of to the response."""
    way = fit.design.response.transformed
    assert way is not None
    # beyond, an interval ends where the function does
    least = 0.0 if not way.base and np.min(fit.observed) >= 0.0 else -np.inf

    def inverse(eta: np.ndarray) -> np.ndarray:
        return way.original(np.maximum(eta, least))

    def forth(mu: np.ndarray) -> np.ndarray:
        z = way.factor * mu + way.shift
        return np.log(z) / np.log(way.base) if way.base else np.sign(z) * np.abs(z) ** way.power

    def derivatives(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        orders, size = [], way.outer(eta) / way.factor
        for k in range(3):
            turn = np.divide(1.0 / way.power - k, eta, out=np.zeros_like(eta), where=eta != 0.0)
            size = size * (np.log(way.base) if way.base else turn)
            orders.append(size)
        return inverse(eta), orders[0], orders[1], orders[2]

    return Link(fit.design.response.name, forth, inverse, derivatives)
