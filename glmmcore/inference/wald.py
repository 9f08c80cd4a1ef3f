"""Joint Wald tests of terms: chi-square, or F with Satterthwaite's or Kenward and Roger's degrees of freedom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import require_word
from glmmcore.errors import ModelError
from glmmcore.inference.precision import fixed_covariance, rule_of_df
from glmmcore.inference.terms import containing, terms_of, type_three, type_two_by_columns
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.degrees_of_freedom import Satterthwaite
    from glmmcore.inference.kenward_roger import KenwardRoger

__all__ = ["wald_tests"]

# Positions of the coefficients of every term, by its factors.
Terms: TypeAlias = dict[tuple[str, ...], list[int]]


def wald_tests(
    fit: FittedGLMM,
    part: str = "cond",
    *,
    kind: str = "II",
    df: str = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
) -> pd.DataFrame:
    """Joint Wald test of every fixed term.

    Type II tests adjust a term for all terms that do not contain it: a main effect is tested in the absence of its
    interactions. Chi-square tests take these out by the covariance of the estimates, as R's car, F tests by the
    columns of the design, as lmerTest; that interactions with a number contain the factor is as in car. Type III tests
    average a main effect over its interactions, each level of the other factors counting the same, whatever the coding
    of the fit; with a number in the interaction it is at zero.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    part : {"cond", "zi", "disp"}
        Part of the model: conditional, zero inflation or dispersion.
    kind : {"II", "III"}
        Which hypotheses about terms that others contain.
    df : {"auto", "chi2", "satterthwaite", "kenward-roger"}
        Chi-square tests, or F tests for linear mixed models; Kenward and Roger's (1997) need ``reml=True``. ``"auto"``
        is Satterthwaite's F for gaussian fits with identity link and ``reml=True``, and otherwise chi-square.
    cov : str, DataFrame or array_like, optional
        Covariance for chi-square tests instead of the model's: ``fit.cov_params("sandwich", cluster="g")`` and its kin
        (of all parameters for other parts than ``"cond"``), or the words ``"HC0"`` ... ``"HC3"``.

    Returns
    -------
    DataFrame
        Columns chisq, df, pvalue; or F, df, df_resid, pvalue. Coefficients that the data do not bound (complete
        separation) are left out of the tests, and a column note says of which; `drop_terms` tests them.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, wald_tests
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
    >>> wald_tests(glmm("y ~ x + (1|g)", d, family="poisson")).round(3)
       chisq  df  pvalue
    x  4.368   1   0.037
    """
    require_word(kind, "wald_tests: kind", ("II", "III"))
    require_word(df, "wald_tests: df", ("auto", "chi2", "satterthwaite", "kenward-roger"))
    terms = terms_of(fit, part)
    rule = "normal" if df == "chi2" or (df == "auto" and part != "cond") else str(rule_of_df(fit, df, cov))
    if rule == "normal":
        covariance = fit.part_covariance(part, part) if cov is None else fixed_covariance(fit, cov, part)
        return _chi_square_tests(fit, part, terms, kind, covariance)
    if part != "cond":
        raise ModelError(f"wald_tests: df={df!r} is for part='cond'")
    return _f_tests(fit, terms, kind, fit.satterthwaite if rule == "satterthwaite" else fit.kenward_roger)


def _f_tests(fit: FittedGLMM, terms: Terms, kind: str, rule: Satterthwaite | KenwardRoger) -> pd.DataFrame:
    """F tests of the terms of the conditional part of a linear mixed model."""
    beta, rows = fit.solution.coefficients["cond"], {}
    for factors in terms:
        contrasts = type_three(fit, "cond", factors) if kind == "III" else type_two_by_columns(fit, "cond", factors)
        statistic, q, residual = rule.joint_test(contrasts, beta)
        pvalue = float(special.fdtrc(q, residual, statistic))
        rows[":".join(factors)] = {"F": statistic, "df": q, "df_resid": residual, "pvalue": pvalue}
    return ResultTable(pd.DataFrame.from_dict(rows, orient="index"))


def _chi_square_tests(fit: FittedGLMM, part: str, terms: Terms, kind: str, covariance: np.ndarray) -> pd.DataFrame:
    """Chi-square tests of the terms of a part, but for coefficients that the data do not bound."""
    beta = fit.solution.coefficients[part]
    unbounded = ~np.isfinite(np.diag(covariance))
    bounded = np.where(unbounded[:, None] | unbounded, 0.0, covariance)
    rows: dict[str, dict[str, Any]] = {}
    for factors, members in terms.items():
        tested = [j for j in members if not unbounded[j]]
        contrasts = np.eye(len(beta))[tested]
        if kind == "III":
            contrasts = type_three(fit, part, factors)
            if np.any(contrasts[:, unbounded]):
                contrasts, tested = contrasts[:0], []
        else:
            others = [j for other in containing(factors, terms) for j in terms[other] if not unbounded[j]]
            within = bounded[np.ix_(others, others)]
            contrasts[:, others] = -np.linalg.solve(within, bounded[np.ix_(others, tested)]).T
        chisq = pvalue = np.nan
        if tested:
            estimate = contrasts @ beta
            spread = contrasts @ bounded @ contrasts.T
            chisq = float(estimate @ np.linalg.lstsq(spread, estimate, rcond=None)[0])
            pvalue = float(special.chdtrc(len(tested), chisq))
        row = rows[":".join(factors)] = {"chisq": chisq, "df": len(tested), "pvalue": pvalue}
        if len(tested) < len(members):
            row["note"] = _note(fit, part, [j for j in members if unbounded[j]], bool(tested))
    table = pd.DataFrame.from_dict(rows, orient="index")
    if "note" in table:
        table["note"] = table["note"].fillna("")
    return ResultTable(table)


def _note(fit: FittedGLMM, part: str, missing: list[int], tested: bool) -> str:
    names = ", ".join(fit.design.predictors[part].columns[j] for j in missing)
    what = f"tested without {names}, which" if tested else f"no Wald test: {names}"
    where = "" if part == "cond" else f", {part!r}"
    return f"{what} the data do not bound; drop_terms(fit{where}) tests the whole term by its likelihood ratio"
