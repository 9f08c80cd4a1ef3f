"""Variances, covariances and degrees of freedom of linear combinations of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.results.joint_covariance import Combination, contrast_variance
from glmmcore.results.quantities import combination_variance

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["Precision", "given_covariance"]


class Precision:
    """Standard errors by one rule for degrees of freedom.

    Parameters
    ----------
    fit : FittedGLMM
    df : {"normal", "satterthwaite", "kenward-roger"} or float
    cov : array_like, shape (p, p), optional
        Covariance of the conditional fixed effects, instead of the model's.
    """

    def __init__(self, fit: FittedGLMM, df: str | float, cov: Any = None) -> None:
        self._fit = fit
        self._constant = np.inf
        self._rule: Any = None
        self._covariance: np.ndarray | None = None
        if df == "satterthwaite":
            from glmmcore.inference.degrees_of_freedom import Satterthwaite

            self._rule = Satterthwaite(fit)
        elif df == "kenward-roger":
            from glmmcore.inference.kenward_roger import KenwardRoger

            self._rule = KenwardRoger(fit)
            self._covariance = self._rule.covariance
        elif isinstance(df, (int, float)) and not isinstance(df, bool) and df > 0:
            self._constant = float(df)
        elif df != "normal":
            raise ModelError(f"df must be 'normal', 'satterthwaite', 'kenward-roger' or a positive number, not {df!r}")
        if cov is not None:
            self._covariance = given_covariance(fit, cov)

    def variance(self, rows: Combination) -> np.ndarray:
        """Variance of every row, (k,); inf where the data do not bound it."""
        if self._covariance is not None:
            if set(rows.fixed) != {"cond"} or rows.direct is not None:
                raise ModelError(
                    "cov= is for the conditional fixed effects: means of this model depend on other estimates"
                )
            weights = rows.fixed["cond"]
            return np.maximum(np.einsum("ij,jk,ik->i", weights, self._covariance, weights), 0.0)
        if set(rows.fixed) == {"cond"} and rows.direct is None:
            return contrast_variance(self._fit, rows.fixed["cond"])
        return combination_variance(self._fit, rows)

    def df(self, rows: Combination) -> np.ndarray:
        """Degrees of freedom of every row, (k,), inf for the normal distribution."""
        if self._rule is None:
            return np.full(rows.n, self._constant)
        return np.array([self._rule.df(row) for row in rows.fixed["cond"]])

    def correlation(self, rows: Combination) -> np.ndarray:
        """Correlations of the rows, (k, k)."""
        k = rows.n
        i, j = np.triu_indices(k)
        variance = self.variance(_taken(rows, np.eye(k)))
        sums = self.variance(_taken(rows, np.eye(k)[i] + np.eye(k)[j]))
        out = np.eye(k)
        sd = np.sqrt(variance)
        out[i, j] = 0.5 * (sums - variance[i] - variance[j]) / (sd[i] * sd[j])
        out[j, i] = out[i, j]
        np.fill_diagonal(out, 1.0)
        return out


def _taken(rows: Combination, matrix: np.ndarray) -> Combination:
    direct = None if rows.direct is None else matrix @ rows.direct
    return Combination({name: matrix @ w for name, w in rows.fixed.items()}, direct=direct)


def given_covariance(fit: FittedGLMM, cov: Any) -> np.ndarray:
    """Check a covariance of the conditional fixed effects that a user gave, (p, p)."""
    names = fit.params.index
    if isinstance(cov, pd.DataFrame):
        if set(cov.index) != set(names) or set(cov.columns) != set(names):
            raise ModelError(f"cov: rows and columns must be {', '.join(names)}")
        cov = cov.loc[names, names]
    values = np.asarray(cov, dtype=float)
    if values.shape != (len(names), len(names)) or not np.all(np.isfinite(values)):
        raise ModelError(f"cov must be {len(names)} by {len(names)} finite numbers, one for each pair of fixed effects")
    return values
