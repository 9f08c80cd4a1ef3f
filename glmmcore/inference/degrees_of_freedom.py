"""Satterthwaite's degrees of freedom for tests of fixed effects in linear mixed models.

For a contrast l the variance f = l'C l of its estimate is itself estimated; with A the covariance of the variance
parameters and g the gradient of f in them, f is treated as chi-square with 2 f^2 / (g'A g) degrees of freedom
(Giesbrecht and Burns 1985); for several contrasts at once, Fai and Cornelius (1996).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array
from glmmcore.errors import ModelError
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["Satterthwaite", "satterthwaite"]

# Step of the differences of the coefficients' covariance in parameters of fields, in their standard errors.
_STEP = 1e-3


class Satterthwaite:
    """Degrees of freedom of contrasts of the fixed effects of one gaussian fit with identity link.

    Parameters
    ----------
    fit : FittedGLMM
        With random effects or ``reml=True``, constant dispersion.
    """

    def __init__(self, fit: FittedGLMM) -> None:
        estimator = fit.estimator
        if not estimator.linear:
            raise ModelError(
                "Satterthwaite's degrees of freedom are for family='gaussian' with identity link, random effects "
                f"(or reml=True) and without disp= or zi=; this model is {fit.description}"
            )
        problem: Any = estimator.problem
        objective = estimator.linear_objective()
        back, theta = problem.part("cond").back, fit.solution.x

        def relative(at: np.ndarray) -> np.ndarray:
            objective(at)
            return np.asarray(back @ objective.coefficient_covariance() @ back.T / objective.sigma**2)

        self._variance = fit.joint_curvature.inverse
        self._covariance = fit.cov_params().to_numpy()
        square = fit.sigma**2
        objective(theta)
        found = objective.coefficient_slopes(theta, np.ones(len(theta), dtype=bool))
        slopes = [square * (back @ slope @ back.T) for slope in found]
        errors = np.sqrt(np.maximum(np.diag(self._variance)[:-1], 0.0))
        for j in np.flatnonzero(problem.of_fields):
            step = _STEP * max(errors[j], 1e-3)
            ends = []
            for sign in (1.0, -1.0):
                moved = theta.copy()
                moved[j] += sign * step
                ends.append(relative(moved))
            slopes[j] = square * (ends[0] - ends[1]) / (2.0 * step)
        self._slopes = np.array([*slopes, 2.0 * self._covariance])

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Degrees of freedom of ``contrasts @ params``, contrasts (m, p), shape (m,)."""
        variance = np.einsum("mi,ij,mj->m", contrasts, self._covariance, contrasts)
        gradient = self.variance_slopes(contrasts)
        spread = np.einsum("mk,kl,ml->m", gradient, self._variance, gradient)
        # a combination without any weight is known
        out = np.full(len(contrasts), np.inf)
        np.divide(2.0 * variance**2, spread, out=out, where=spread > 0.0)
        return out

    def variance_slopes(self, contrasts: np.ndarray) -> np.ndarray:
        """Slopes of the variances of contrasts (m, p) in theta and log sigma, (m, n_theta + 1)."""
        return np.stack([np.einsum("mi,ij,mj->m", contrasts, slope, contrasts) for slope in self._slopes], axis=1)

    def joint_test(self, contrasts: np.ndarray, estimates: np.ndarray) -> tuple[float, int, float]:
        """F statistic of ``contrasts @ params = 0``, contrasts (q, p), and its two degrees of freedom."""
        values, vectors = np.linalg.eigh(contrasts @ self._covariance @ contrasts.T)
        used = values > 1e-10 * values.max()
        rotated = vectors[:, used].T @ contrasts
        q = int(used.sum())
        statistic = float(np.mean((rotated @ estimates) ** 2 / values[used]))
        df = self.df(rotated)
        if q == 1:
            return statistic, 1, float(df[0])
        if np.ptp(df) < 1e-8 * df.max():
            return statistic, q, float(df.mean())
        excess = float(np.sum(df[df > 2.0] / (df[df > 2.0] - 2.0)))
        return statistic, q, 2.0 * excess / (excess - q) if excess > q else 0.0


def satterthwaite(fit: FittedGLMM, contrasts: ArrayLike | None = None) -> pd.DataFrame:
    """T-tests of fixed effects of a linear mixed model with Satterthwaite's degrees of freedom.

    Parameters
    ----------
    fit : FittedGLMM
        Gaussian with identity link; ``reml=True`` is usual.
    contrasts : array_like, shape (m, p), optional
        Rows of weights of `fit.params`; every coefficient by default.

    Returns
    -------
    DataFrame
        Columns estimate, se, df, statistic (t), pvalue.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, satterthwaite
    >>> d = pd.DataFrame({"y": [1.2, 3.1, 2.2, 3.3, 4.7, 5.2, 6.0, 8.1], "g": list("aabbccdd"), "x": [0, 1] * 4})
    >>> satterthwaite(glmm("y ~ x + (1|g)", d, reml=True)).round(3)
               estimate     se     df  statistic  pvalue
    Intercept     3.525  1.133  3.164      3.112   0.049
    x             1.400  0.370  3.000      3.787   0.032
    """
    from scipy import stats

    rule = fit.satterthwaite
    names = list(fit.params.index)
    if contrasts is None:
        rows, index = np.eye(len(names)), names
    else:
        rows = np.atleast_2d(real_array(contrasts, "contrasts"))
        if rows.ndim > 2 or not np.isfinite(rows).all():
            raise ModelError("contrasts must be rows of finite numbers, one for each coefficient")
        if rows.shape[1] != len(names):
            raise ModelError(f"contrasts have {rows.shape[1]} columns, the model has {len(names)} coefficients")
        index = [str(i) for i in range(len(rows))]
    estimate = rows @ fit.params.to_numpy()
    error = np.sqrt(np.einsum("ij,jk,ik->i", rows, fit.cov_params().to_numpy(), rows))
    df = rule.df(rows)
    t = estimate / error
    columns = {"estimate": estimate, "se": error, "df": df, "statistic": t, "pvalue": 2.0 * stats.t.sf(np.abs(t), df)}
    return ResultTable(pd.DataFrame(columns, index=index), former={"t": "statistic", "p": "pvalue"})
