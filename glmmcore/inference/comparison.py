"""Comparison of fits and tests of terms by likelihood ratios, on the boundary too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.errors import ModelError
from glmmcore.estimation.estimator import Estimator
from glmmcore.inference.nested_effects import spans
from glmmcore.inference.nesting import Nesting, nesting, require_fits
from glmmcore.inference.terms import containing, part_of, terms_of
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["compare", "drop_terms"]

# Difference of log |X| below which restricted likelihoods are on one scale.
_SAME_VOLUME = 1e-6


def compare(*fits: FittedGLMM, **named: FittedGLMM) -> pd.DataFrame:
    """Likelihood-ratio table of nested fits to the same response.

    Fits are sorted by their number of parameters, and each is tested against the one before it. Where the smaller
    model has a variance (or an overdispersion, or a zero probability) of zero, on the boundary of what is possible,
    the statistic is a mixture of chi-squares: half of the time the estimate would be zero (Self and Liang 1987,
    Stram and Lee 1994).

    Parameters
    ----------
    *fits : FittedGLMM
        Two or more, together with those in `named`.
    **named : FittedGLMM
        Fits whose rows are called by the argument's name, as in ``compare(poisson=a, zinb=b)``.

    Returns
    -------
    DataFrame
        One row a fit, by its name or description: df (number of parameters), aic, delta_aic (above the smallest),
        aic_weight (Burnham and Anderson 2002, of these models), aicc (for few rows), bic, llf; chisq and chisq_df of
        the test; pvalue, which takes the boundary into account, and pvalue_chi2, which does not (that of R's
        ``anova``); note, which says so, or why there is no test.

    Raises
    ------
    ModelError
        When responses or weights differ, or restricted likelihoods of fixed effects that differ, if only in units.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import compare, glmm
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
    >>> small, large = (glmm(f"y ~ {x} + (1|g)", d, family="poisson") for x in ("1", "x"))
    >>> compare(small=small, large=large)[["df", "llf", "chisq", "pvalue"]].round(3)
           df     llf  chisq  pvalue
    small   2 -18.507    NaN     NaN
    large   3 -16.174  4.667   0.031
    """
    if len(fits) + len(named) < 2:
        raise ModelError("compare needs two fits or more")
    _check_comparable((*fits, *named.values()))
    called = [*((None, fit) for fit in fits), *named.items()]
    called.sort(key=lambda pair: pair[1].df_model)
    ordered = [fit for _, fit in called]
    rows = []
    for position, fit in enumerate(ordered):
        row: dict[str, Any] = {"df": fit.df_model, "aic": fit.aic, "delta_aic": np.nan, "aic_weight": np.nan}
        row |= {"aicc": _aicc(fit), "bic": fit.bic, "llf": fit.llf}
        row |= {"chisq": np.nan, "chisq_df": np.nan, "pvalue": np.nan, "pvalue_chi2": np.nan, "note": ""}
        if position:
            row |= _likelihood_ratio(ordered[position - 1], fit)
        rows.append(row)
    table = pd.DataFrame(rows, index=[fit.description if name is None else name for name, fit in called])
    table["delta_aic"] = table["aic"] - table["aic"].min()
    support = np.exp(-0.5 * table["delta_aic"])
    table["aic_weight"] = support / support.sum()
    return ResultTable(table)


def _aicc(fit: FittedGLMM) -> float:
    """AIC corrected for few rows (Hurvich and Tsai 1989); infinite where there are too few."""
    k, left = fit.df_model, fit.df_resid - 1.0
    return fit.aic + 2.0 * k * (k + 1.0) / left if left > 0.0 else np.inf


def _check_comparable(fits: tuple[FittedGLMM, ...]) -> None:
    require_fits({str(i): fit for i, fit in enumerate(fits, start=1)}, "compare")
    first = fits[0]
    for fit in fits[1:]:
        if fit.nobs != first.nobs:
            raise ModelError(
                f"compare: the fits have {first.nobs} and {fit.nobs} rows; fit all models to the same rows "
                "(rows with a missing value are left out by the models that use that column)"
            )
        same = np.array_equal(fit.observed, first.observed)
        same &= (fit.trials is None) == (first.trials is None)
        if fit.trials is not None and first.trials is not None:
            same &= np.array_equal(fit.trials, first.trials)
        if not same:
            raise ModelError("compare: the fits have different responses")
        for name in ("freq_weights", "var_weights"):
            if not _same_weights(getattr(fit.design, name), getattr(first.design, name)):
                raise ModelError(f"compare: the fits have different {name}; fit all models with the same")
        if fit.reml != first.reml:
            raise ModelError("compare: some fits are by reml=True and some are not; fit all with reml=False")
        if fit.reml and not _same_span(fit.design.predictors["cond"].X, first.design.predictors["cond"].X):
            raise ModelError(
                "compare: restricted likelihoods of models with different fixed effects have no common scale; "
                "fit with reml=False"
            )
        if fit.reml and not _same_volume(fit.design.predictors["cond"].X, first.design.predictors["cond"].X):
            raise ModelError(
                "compare: restricted likelihoods depend on the units and the coding of the fixed effects, which "
                "differ; write them alike, or fit with reml=False"
            )


def _same_weights(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or bool(np.all((1.0 if a is None else a) == (1.0 if b is None else b)))


def _same_span(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape[1] == b.shape[1] and spans(a, b)


def _same_volume(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two bases of one space have equal determinants of X'X, on which restricted likelihoods depend."""
    logs = [np.log(np.abs(np.diag(np.linalg.qr(x, mode="r")))).sum() for x in (a, b)]
    return bool(abs(logs[0] - logs[1]) < _SAME_VOLUME)


def _likelihood_ratio(small: FittedGLMM, large: FittedGLMM) -> dict[str, Any]:
    found: Nesting = nesting(small, large)
    if not found.nested:
        return {"note": f"not nested: {found.reason}"}
    points = [fit.estimator.n_agq for fit in (small, large) if fit.has_random_effects and not fit.estimator.linear]
    if len(set(points)) > 1:
        return {
            "note": f"log-likelihoods by different approximations (n_agq {points[0]} and {points[1]}): no test, "
            "and the AIC differ by more than the models"
        }
    df = large.df_model - small.df_model
    if df == 0:
        return {"note": "as many parameters as the model above: no test"}
    statistic = max(2.0 * (large.llf - small.llf), 0.0)
    plain = float(special.chdtrc(df, statistic))
    pvalue, note = plain, found.reason
    if found.idle:
        their = "its" if found.n_boundary == 1 else "their"
        note = f"{found.reason} on {their} boundary, where {found.idle} has no meaning: the p-value is approximate"
    elif found.n_boundary == 1:
        below = float(special.chdtrc(df - 1, statistic)) if df > 1 else float(statistic <= 0.0)
        pvalue = 0.5 * (plain + below)
        note = f"{found.reason} on its boundary: mixture of chi-squares with {df - 1} and {df} df"
    elif found.n_boundary > 1:
        note = f"{found.reason} on their boundary: the p-value is too large (conservative)"
    return {"chisq": statistic, "chisq_df": df, "pvalue": pvalue, "pvalue_chi2": plain, "note": note}


# ---- terms -------------------------------------------------------------------------------------------
def drop_terms(fit: FittedGLMM, part: str = "cond") -> pd.DataFrame:
    """Likelihood-ratio test of every fixed term that no other term contains, one dropped at a time.

    Parameters
    ----------
    fit : FittedGLMM
        With ``reml=True`` all models are refitted by maximum likelihood.
    part : {"cond", "zi", "disp"}
        Part of the model: conditional, zero inflation or dispersion.

    Returns
    -------
    DataFrame
        Rows ``<none>`` (the whole model) and the terms; columns df (parameters dropped), aic, llf, chisq, pvalue.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import drop_terms, glmm
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
    >>> drop_terms(glmm("y ~ x + (1|g)", d, family="poisson"))[["chisq", "pvalue"]].round(3)
            chisq  pvalue
    <none>    NaN     NaN
    x       4.667   0.031
    """
    before = part_of(fit, part)
    n_agq = fit.estimator.n_agq
    whole = fit.solution.llf
    if fit.reml:
        whole = Estimator.build(fit.design, fit.family, n_agq=n_agq).fit().llf
    n_params = fit.df_model
    terms = terms_of(fit, part)
    index = ["<none>"]
    rows = [{"df": np.nan, "aic": 2.0 * (n_params - whole), "llf": whole, "chisq": np.nan, "pvalue": np.nan}]
    for factors, members in terms.items():
        if containing(factors, terms):
            continue
        reduced = before.with_columns(np.setdiff1d(np.arange(len(before.columns)), members).tolist())
        design = fit.design.with_predictors({**fit.design.predictors, part: reduced})
        llf = Estimator.build(design, fit.family, n_agq=n_agq).fit().llf
        df, statistic = len(members), max(2.0 * (whole - llf), 0.0)
        row = {"df": df, "aic": 2.0 * (n_params - df - llf), "llf": llf, "chisq": statistic}
        rows.append({**row, "pvalue": float(special.chdtrc(df, statistic))})
        index.append(":".join(factors))
    return ResultTable(pd.DataFrame(rows, index=index))
