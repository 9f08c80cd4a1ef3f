"""Variances, covariances and degrees of freedom of linear combinations of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array
from glmmcore.errors import ModelError
from glmmcore.results.joint_covariance import Combination, contrast_variance
from glmmcore.results.parameter_covariance import in_all_parameters, is_of_all_parameters
from glmmcore.results.quantities import combination_variance

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["COVARIANCE_WORDS", "Precision", "fixed_covariance", "given_covariance", "rule_of_df"]

# Covariances that need nothing but their name.
COVARIANCE_WORDS = ("model", "kenward-roger", "HC0", "HC1", "HC2", "HC3")
_RULES = ("normal", "satterthwaite", "kenward-roger")


class Precision:
    """Standard errors by one rule for degrees of freedom.

    Parameters
    ----------
    fit : FittedGLMM
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        See `rule_of_df`.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's, see `given_covariance`.
    """

    def __init__(self, fit: FittedGLMM, df: str | float = "auto", cov: Any = None) -> None:
        self._fit = fit
        self.df_rule = rule_of_df(fit, df, cov)
        self._rule: Any = None
        self._covariance: np.ndarray | None = None
        self._of_all: pd.DataFrame | None = None
        self._is_kenward_roger = self.df_rule == "kenward-roger" or (isinstance(cov, str) and cov == "kenward-roger")
        self._word = cov if isinstance(cov, str) and cov not in ("model", "kenward-roger") else None
        if self.df_rule == "satterthwaite":
            self._rule = fit.satterthwaite
        elif self.df_rule == "kenward-roger":
            self._rule = fit.kenward_roger
            self._covariance = self._rule.covariance
        elif cov is not None:
            self._of_all = cov if is_of_all_parameters(cov) else None
            self._covariance = fixed_covariance(fit, cov)

    def variance(self, rows: Combination) -> np.ndarray:
        """Variance of every row, (k,); inf where the data do not bound it."""
        only_fixed = set(rows.fixed) == {"cond"} and rows.direct is None and not rows.random
        if self._covariance is not None and only_fixed:
            return _quadratic(rows.fixed["cond"], self._covariance)
        if self._is_kenward_roger and not rows.random and self._covariance is not None:
            # what else was estimated does not covary with the fixed effects of a linear model
            own = _quadratic(rows.fixed["cond"], self._covariance)
            return own + np.maximum(combination_variance(self._fit, rows) - self._of_fixed(rows), 0.0)
        if self._covariance is not None:
            if rows.random:
                raise ModelError(
                    "cov= has nothing about the random effects of single groups; predict with random_effects='none' or "
                    "'average'"
                )
            return self._from_all(rows)
        return self._of_fixed(rows) if only_fixed else combination_variance(self._fit, rows)

    def _of_fixed(self, rows: Combination) -> np.ndarray:
        """Variances that the conditional fixed effects alone would give, by the model."""
        return contrast_variance(self._fit, rows.fixed["cond"])

    def _from_all(self, rows: Combination) -> np.ndarray:
        """Variances of what moves with more than the conditional fixed effects."""
        if self._of_all is None and self._word is not None:
            self._of_all = self._fit.cov_params(self._word, parameters="all")
        if self._of_all is None:
            raise ModelError(
                "cov= is for the conditional fixed effects, and these means depend on other estimates too; give the "
                "covariance of all: cov_params(..., parameters='all')"
            )
        weights = in_all_parameters(self._fit, rows)
        moving = np.any(weights != 0.0, axis=0)  # what is at a limit has no covariance
        return _quadratic(weights[:, moving], self._of_all.to_numpy(dtype=float)[np.ix_(moving, moving)])

    def df(self, rows: Combination) -> np.ndarray:
        """Degrees of freedom of every row, (k,), inf for the normal distribution.

        They are 2 V^2 / var(V). Where the variance V of a row has further parts, of estimated variances in means of y
        of a model of ``log(y)``, var(V) is that of the part of the fixed effects.
        """
        if self._rule is None or "cond" not in rows.fixed or rows.random:
            return np.full(rows.n, np.inf if isinstance(self.df_rule, str) else self.df_rule)
        of_fixed = np.asarray(self._rule.df(rows.fixed["cond"]))
        if set(rows.fixed) == {"cond"} and rows.direct is None:
            return of_fixed
        fixed = Combination({"cond": rows.fixed["cond"]})
        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.variance(rows) / self.variance(fixed)
        return np.where(np.isfinite(share), of_fixed * share**2, of_fixed)

    def correlation(self, rows: Combination) -> np.ndarray:
        """Correlations of the rows, (k, k)."""
        k = rows.n
        i, j = np.triu_indices(k)
        variance = self.variance(rows)
        sums = self.variance(rows.mapped(lambda w: w[i] + w[j]))
        out = np.eye(k)
        sd = np.sqrt(variance)
        out[i, j] = 0.5 * (sums - variance[i] - variance[j]) / (sd[i] * sd[j])
        out[j, i] = out[i, j]
        np.fill_diagonal(out, 1.0)
        return out


def rule_of_df(fit: FittedGLMM, df: str | float, cov: Any = None) -> str | float:
    """Which degrees of freedom: a word other than ``"auto"``, or a number.

    ``"auto"`` is Satterthwaite's for gaussian fits with identity link and ``reml=True``, Kenward and Roger's if theirs
    is the covariance, and otherwise the normal distribution.
    """
    is_model = cov is None or (isinstance(cov, str) and cov == "model")
    is_kenward_roger = isinstance(cov, str) and cov == "kenward-roger"
    if isinstance(df, str):
        if df not in ("auto", *_RULES):
            raise ModelError(
                f"df must be 'auto', 'normal', 'satterthwaite', 'kenward-roger' or a positive number, not {df!r}"
            )
        if df == "auto":
            if is_kenward_roger:
                return "kenward-roger"
            return "satterthwaite" if is_model and fit.reml and fit.estimator.linear else "normal"
        if (df == "satterthwaite" and not is_model) or (df == "kenward-roger" and not (is_model or is_kenward_roger)):
            raise ModelError(
                f"df={df!r} belongs to the model's own covariance; with cov= give a number, such as that of clusters "
                "less one, or 'normal'"
            )
        return df
    if isinstance(df, (bool, np.bool_)) or not isinstance(df, (int, float, np.integer, np.floating)) or not df > 0:
        raise ModelError(
            f"df must be 'auto', 'normal', 'satterthwaite', 'kenward-roger' or a positive number, not {df!r}"
        )
    return float(df)


def _quadratic(weights: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.maximum(np.einsum("ij,jk,ik->i", weights, covariance, weights), 0.0)


def fixed_covariance(fit: FittedGLMM, cov: Any, part: str = "cond") -> np.ndarray:
    """Covariance of the fixed effects of a part that a user asked for, (p, p).

    Parameters
    ----------
    fit : FittedGLMM
    cov : str, DataFrame or array_like
        A word of `COVARIANCE_WORDS`; the covariance of the conditional fixed effects; or that of all parameters.
    part : {"cond", "zi", "disp"}
        Others than ``"cond"`` need the covariance of all parameters, or a word.
    """
    if isinstance(cov, str):
        if cov not in COVARIANCE_WORDS:
            words = ", ".join(map(repr, COVARIANCE_WORDS))
            raise ModelError(
                f"cov must be a covariance such as fit.cov_params('sandwich', cluster='g'), or one of {words}, not "
                f"{cov!r}"
            )
        if part == "cond":
            return fit.cov_params(cov).to_numpy()
        cov = fit.cov_params(cov, parameters="all")
    if is_of_all_parameters(cov):
        names = [(part, name) for name in fit.part_columns(part)]
        absent = [name for name in names if name not in cov.index]
        if absent:
            raise ModelError(f"cov: there is no {absent[0]}; its rows are {', '.join(map(str, cov.index))}")
        return np.asarray(cov.loc[names, names], dtype=float)
    if part != "cond":
        raise ModelError(
            f"cov= is for the conditional fixed effects; for part='{part}' give that of all parameters: "
            "cov_params(..., parameters='all')"
        )
    return given_covariance(fit, cov)


def given_covariance(fit: FittedGLMM, cov: Any) -> np.ndarray:
    """Check a covariance of the conditional fixed effects that a user gave, (p, p)."""
    names = fit.params.index
    if isinstance(cov, pd.DataFrame):
        if set(cov.index) != set(names) or set(cov.columns) != set(names):
            raise ModelError(f"cov: rows and columns must be {', '.join(names)}")
        cov = cov.loc[names, names]
    values = real_array(cov, "cov")
    if values.shape != (len(names), len(names)) or not np.all(np.isfinite(values)):
        raise ModelError(f"cov must be {len(names)} by {len(names)} finite numbers, one for each pair of fixed effects")
    return values
