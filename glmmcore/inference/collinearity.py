"""Variance inflation of terms: what their correlation with the other terms costs in precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.inference.terms import part_of, terms_of
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["collinearity"]


def collinearity(fit: FittedGLMM, part: str = "cond") -> pd.DataFrame:
    """Generalised variance inflation factors of the fixed terms (Fox and Monette 1992).

    By how much the confidence region of a term's coefficients is larger than it would be were the term uncorrelated
    with the others, from the correlations of the estimates, so that weights, links and random effects count. Of a term
    with one coefficient it is the usual factor.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    part : {"cond", "zi", "disp"}
        Part of the model: conditional, zero inflation or dispersion.

    Returns
    -------
    DataFrame
        By term: vif, df (coefficients of the term) and se_factor, vif to the power 1 / (2 df): by how much standard
        errors are larger, comparable between terms.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import collinearity, glmm
    >>> d = pd.DataFrame({"y": [1.0, 3, 2, 5, 4, 7, 6, 8], "x": [0.0, 1, 2, 3, 4, 5, 6, 7], "f": list("aababbcc")})
    >>> collinearity(glmm("y ~ x + f", d)).round(3)
         vif  df  se_factor
    x  4.271   1      2.067
    f  4.271   2      1.438
    """
    design = part_of(fit, part)
    terms = terms_of(fit, part)
    kept = [j for members in terms.values() for j in members]
    covariance = fit.part_covariance(part, part)[np.ix_(kept, kept)]
    if not np.all(np.isfinite(covariance)):
        lost = [design.columns[j] for j, v in zip(kept, np.diag(covariance), strict=True) if not np.isfinite(v)]
        raise ModelError(f"collinearity: the data do not bound {', '.join(lost)}; drop it first")
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    whole = np.linalg.slogdet(correlation)[1]
    rows = {}
    for factors, members in terms.items():
        own = np.isin(kept, members)
        logs = [np.linalg.slogdet(correlation[np.ix_(mask, mask)])[1] for mask in (own, ~own)]
        vif = float(np.exp(sum(logs) - whole))
        rows[":".join(factors)] = {"vif": vif, "df": len(members), "se_factor": vif ** (0.5 / len(members))}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["vif", "df", "se_factor"])
    return ResultTable(table.astype({"df": int}))
