r"""Variance of the response averaged over what the data leave open about the random effects.

The variance at the conditional modes is not the mean of the variances at the random effects that there may be. With

.. math:: s_i = z_i' H^{-1} z_i, \quad d = \tfrac12 Z H^{-1} Z' (l''' s)

the variance of the linear predictor `i` given the data and, to second order, how far its mean lies from its mode, its
third cumulant is about :math:`2 s_i d_i` (exact to this order where one random coefficient decides a row), so that

.. math:: \eta_i = \hat\eta_i + d_i + \sqrt{s_i}\, x + \tfrac13 d_i (x^2 - 1), \quad x \sim N(0, 1)

has these three cumulants (Cornish & Fisher 1938). The average of the variance over `x` is by Gauss-Hermite quadrature.
For a Poisson response with a log link the two corrections cancel, and so does the average and the variance at the mode,
but for :math:`V = \mu^2 / \theta` with groups of `m` rows it is larger by a factor of about :math:`1 + 3 / (m \theta)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.estimation.laplace import row_blocks
from glmmcore.results.law import Law

if TYPE_CHECKING:
    from glmmcore.families.base import Family

__all__ = ["averaged_variance", "mode_shifts"]

_N_NODES = 7


def mode_shifts(objective: Any, x: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Posterior means of the linear predictors minus those at the modes ``(n,)``, in the problem's row order.

    Parameters
    ----------
    objective : LaplaceObjective
        Evaluated at `x`, with random effects in the conditional predictor only.
    spread : ndarray, shape (n,)
        Variances of the linear predictors given the data.
    """
    problem, layout = objective.problem, objective.layout
    values, factors = objective.linear_predictors(x), problem.factors(x)
    row = problem.likelihood.predictors.index("cond")
    score = np.zeros(layout.order)
    for lo, hi in row_blocks(problem.n):
        third = problem.likelihood.derivatives(lo, hi, [v if len(v) == 1 else v[lo:hi] for v in values])[3][0, row]
        layout.add_score(lo, hi, np.ascontiguousarray(0.5 * third * spread[lo:hi])[None], score)
    moved = layout.apply_factors(factors, objective.system.solve(layout.apply_transposed(factors, score)))
    shift = np.zeros((1, problem.n))
    layout.add_random_part(0, problem.n, moved, shift)
    return shift[0]


def averaged_variance(
    family: Family,
    values: dict[str, np.ndarray],
    trials: np.ndarray | None,
    spread: np.ndarray,
    shift: np.ndarray,
) -> np.ndarray:
    """Mean of the variance over the random effects given the data ``(n,)``; see the module for the formula."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    weights /= weights.sum()
    sd, total = np.sqrt(np.maximum(spread, 0.0)), np.zeros(len(spread))
    for node, weight in zip(nodes, weights, strict=True):
        moved = values["cond"] + sd * node + shift * (1.0 + (node**2 - 1.0) / 3.0)
        total += weight * Law(family, values | {"cond": moved}, trials).variance()
    return total
