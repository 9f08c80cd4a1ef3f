r"""Change of the fixed effects when groups of rows are left out, by one Newton step.

With :math:`A = (X, Z)`, `K` the penalised information of fixed and random effects together, `W` the information and
:math:`l_1` the score of each row on its conditional predictor, the first Newton step after leaving out the rows `J` is

.. math:: \delta = -(K - A_J' W_J A_J)^{-1} A_J' l_{1,J},

exact for a linear model with known variances (Cook & Weisberg 1982). Only the columns that the rows `J` touch matter:
with `C` such columns, :math:`S = (K^{-1})_{CC}` and :math:`B = A_{JC}' W_J A_{JC}`,

.. math:: \delta_\beta = -(K^{-1})_{\beta C} (I - B S)^{-1} A_{JC}' l_{1,J}.

Variances and dispersion are held at their estimates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.inference.leverage import explained_columns, row_weights

if TYPE_CHECKING:
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.solution import Solution

__all__ = ["deletion_changes"]

# Pivots of I - BS, which lie in (0, 1], below which the other rows do not determine the fixed effects.
_UNDETERMINED = 1e-9


def deletion_changes(estimator: Estimator, solution: Solution, codes: np.ndarray) -> np.ndarray:
    """Estimates without each group minus those with it ``(n_groups, p)``, in the user's coefficients.

    Parameters
    ----------
    estimator, solution
        A fit.
    codes : ndarray of int, shape (n,)
        Group of each row, 0 to number of groups minus 1; rows with -1 are always kept.

    Returns
    -------
    ndarray, shape (n_groups, p)
        NaN for a group without which the fixed effects are not determined.

    Raises
    ------
    ModelError
        If predictors other than the conditional one have random effects.
    """
    problem: Any = estimator.problem
    if problem.inner not in ((), ("cond",)):
        raise ModelError("deletion: only for random effects in the conditional predictor; use refit(rows=...)")
    objective, weights, score, fixed, inverse = _at_the_fit(estimator, solution)
    codes = codes[problem.rows]
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    back = problem.part("cond").back
    out = np.empty((len(edges) - 1, len(back)))
    random = None if problem.layout is None else _Columns(objective, problem.factors(solution.x))
    p, joint = back.shape[1], estimator.linear or problem.reml
    for g in range(len(out)):
        rows = order[edges[g] : edges[g + 1]]
        touched, covariance = np.zeros((len(rows), 0)), np.zeros((0, 0))
        if random is not None:
            touched, covariance, at = random.touched(rows)
        if joint:  # the fixed effects are among the columns, the last ones
            to_beta = covariance[np.searchsorted(at, problem.layout.order - p + np.arange(p))]
        else:
            touched = np.hstack([fixed[rows], touched])
            covariance = _block_diagonal(inverse, covariance)
            to_beta = covariance[:p]
        information = touched.T @ (touched * weights[rows, None])
        left = np.eye(len(covariance)) - information @ covariance
        if np.linalg.svd(left, compute_uv=False)[-1] < _UNDETERMINED:
            out[g] = np.nan
            continue
        out[g] = -back @ (to_beta @ np.linalg.solve(left, touched.T @ score[rows]))
    return out


def _at_the_fit(estimator: Estimator, solution: Solution) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Objective, weights and scores of the rows, columns of the fixed effects and inverse of their information.

    The columns have what the random effects explain of them taken out; they are empty where the fixed effects are part
    of the system.
    """
    problem: Any = estimator.problem
    n, x = problem.n, solution.x
    empty = np.zeros((n, 0)), np.zeros((0, 0))
    if estimator.linear:
        given = row_weights(estimator)
        linear = estimator.linear_objective()
        linear(x)
        weights = np.ones(n) if given is None else given
        residual = problem.likelihood.y - solution.values["cond"][problem.rows]
        return linear, weights, weights * residual, *empty
    objective: Any = estimator.objective_at(solution)
    values = objective.linear_predictors(x)
    weights = problem.likelihood.conditional_information(0, n, values)
    score = problem.likelihood.derivatives(0, n, values)[1][problem.likelihood.predictors.index("cond")]
    if problem.reml:
        return objective, weights, score, *empty
    information, _ = objective.fixed_information(x)
    fixed = problem.part("cond").X
    if problem.inner:
        fixed = fixed - explained_columns(objective, x, weights)
    return objective, weights, score, fixed, np.linalg.pinv(information, hermitian=True)


class _Columns:
    """Columns of Z that rows touch, and their block of the inverse of the system."""

    def __init__(self, objective: Any, factors: list[np.ndarray]) -> None:
        self.layout, self.system, self.factors = objective.layout, objective.system, factors
        self.run = self.layout.of_rows(np.arange(self.layout.n_runs))
        self.place = self.layout.start[:, self.layout.factor].astype(np.intp) + self.layout.within

    def touched(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values ``(m, c)``, covariance ``(c, c)`` and positions ``(c,)``."""
        runs = self.run[rows]
        at, where = np.unique(self.place[runs], return_inverse=True)
        values = np.zeros((len(rows), len(at)))
        np.add.at(values, (np.arange(len(rows))[:, None], where.reshape(len(rows), -1)), self.layout.z[runs])
        covariance = np.empty((len(at), len(at)))
        for j, position in enumerate(at):
            unit = np.zeros(self.layout.order)
            unit[position] = 1.0
            solved = self.system.solve(self.layout.apply_transposed(self.factors, unit))
            covariance[j] = self.layout.apply_factors(self.factors, solved)[at]
        return values, covariance, at


def _block_diagonal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((len(a) + len(b), len(a) + len(b)))
    out[: len(a), : len(a)], out[len(a) :, len(a) :] = a, b
    return out
