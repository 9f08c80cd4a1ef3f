"""Tables of coefficients: tests of them, and their exponentials with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import require_level, require_word
from glmmcore.errors import ModelError
from glmmcore.inference.precision import Precision, fixed_covariance, rule_of_df
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.parameter_covariance import is_of_all_parameters
from glmmcore.results.t_distribution import t_quantile, two_sided
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["coefficient_errors", "coefficient_table", "exp_table", "summary_tables"]

PARTS = ("cond", "zi", "disp")
_RULES_IN_WORDS = {
    "satterthwaite": "t tests with Satterthwaite's degrees of freedom",
    "kenward-roger": "t tests with Kenward and Roger's standard errors and degrees of freedom",
}


def coefficient_errors(fit: FittedGLMM, part: str, df: str | float, cov: Any) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Estimates, standard errors and degrees of freedom of the coefficients of a part."""
    require_word(part, "part", PARTS)
    estimates = fit.part_coefficients(part)
    rule = rule_of_df(fit, df, cov)
    numbers = np.full(len(estimates), np.inf if isinstance(rule, str) else rule)
    errors = fit.part_standard_errors(part)
    if part == "cond" and rule in ("satterthwaite", "kenward-roger"):
        precision = Precision(fit, rule)
        rows = Combination({"cond": np.eye(len(estimates))})
        numbers = precision.df(rows)
        if rule == "kenward-roger":
            errors = pd.Series(np.sqrt(precision.variance(rows)), index=estimates.index)
    elif _is_given(cov) and len(estimates) and rule != "kenward-roger":
        variance = np.diag(fixed_covariance(fit, cov, part))
        errors = pd.Series(np.sqrt(np.maximum(variance, 0.0)), index=estimates.index)
    return estimates, errors, pd.Series(numbers, index=estimates.index)


def _is_given(cov: Any) -> bool:
    return cov is not None and not (isinstance(cov, str) and cov == "model")


def coefficient_table(fit: FittedGLMM, part: str, df: str | float, cov: Any) -> pd.DataFrame:
    """See `FittedGLMM.coefficient_table`."""
    estimates, errors, numbers = coefficient_errors(fit, part, df, cov)
    statistic = estimates / errors
    pvalue = two_sided(statistic.to_numpy(dtype=float), numbers.to_numpy(dtype=float))
    normal = bool(np.isinf(numbers).all())
    columns = {"estimate": estimates, "se": errors} | ({} if normal else {"df": numbers})
    table = pd.DataFrame({**columns, "statistic": statistic, "pvalue": pvalue})
    return ResultTable(table, former={"z" if normal else "t": "statistic", "p": "pvalue"})


def summary_tables(fit: FittedGLMM, df: str | float, cov: Any) -> tuple[dict[str, pd.DataFrame], str]:
    """Tables of the parts that a formula describes, by part, and a line on where their tests come from."""
    rule = rule_of_df(fit, df, cov)
    tables = {}
    for part in PARTS:
        if part not in fit.design.predictors or not fit.design.predictors[part].X.shape[1]:
            continue
        everything = is_of_all_parameters(cov) or (isinstance(cov, str) and not fit.estimator.linear)
        own = cov if part == "cond" or everything else None
        tables[part] = coefficient_table(fit, part, df if part == "cond" or not isinstance(df, str) else "normal", own)
    words = []
    if _is_given(cov) and rule != "kenward-roger":
        words.append(f"standard errors: {cov}" if isinstance(cov, str) else "standard errors: the covariance given")
    if rule in _RULES_IN_WORDS:
        words.append(_RULES_IN_WORDS[str(rule)])
    elif not isinstance(rule, str):
        words.append(f"t tests with {rule:g} degrees of freedom")
    line = "; ".join(words)
    return tables, line[:1].upper() + line[1:]


def exp_table(fit: FittedGLMM, alpha: float, part: str, df: str | float, cov: Any) -> pd.DataFrame:
    """See `FittedGLMM.exp_table`."""
    require_level(alpha, "alpha")
    require_word(part, "part", PARTS)
    link = {"zi": "logit", "disp": "log"}.get(part, fit.family.link.name)
    way = fit.design.response.transformed if link == "identity" else None
    base = way.base if way is not None and not way.shift else 0.0  # of log(y), log10(y), ...
    if link not in ("log", "logit") and not base:
        raise ModelError(f"exp_table: coefficients of link '{link}' are no logarithms of ratios")
    estimates, errors, numbers = coefficient_errors(fit, part, df, cov)
    if not len(estimates):
        raise ModelError(f"exp_table: the model has no part '{part}'")
    if base:
        estimates, errors = np.log(base) * estimates, np.log(base) * errors
    half = t_quantile(numbers.to_numpy(dtype=float), 1.0 - 0.5 * alpha) * errors
    columns = {"ratio": estimates, "lower": estimates - half, "upper": estimates + half}
    with np.errstate(over="ignore"):
        table = pd.DataFrame({name: np.exp(values) for name, values in columns.items()})
    table["pvalue"] = two_sided((estimates / errors).to_numpy(dtype=float), numbers.to_numpy(dtype=float))
    design = fit.design.predictors.get(part)
    shown = table if design is None else table[[bool(factors) for factors in design.column_terms]]
    unbounded = [str(name) for name in shown.index if np.isinf(errors[name])]
    told = f"The data do not bound {', '.join(unbounded)}: only whether the ratio is above or below 1 means something."
    return ResultTable(shown, notes=[told] if unbounded else [])
