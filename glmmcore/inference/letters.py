"""Compact letters: means that share one do not differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import renamed, require_level
from glmmcore.errors import ModelError, no_data_warnings
from glmmcore.inference.margins import chosen_columns, marginal_means

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["compact_letters", "letters_of"]


def compact_letters(
    fit: FittedGLMM,
    variables: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    kind: str = "link",
    component: str | None = None,
    adjust: str = "tukey",
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    random_effects: str = "none",
    df: str | float = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
    alpha: float | None = None,
    level: float | None = None,
) -> pd.Series:
    """Letters for means such that two share one if, and only if, they do not differ at level `alpha`.

    The lowest mean has an a. Found by insertion and absorption (Piepho 2004). That two means share a letter is no
    evidence that they are the same.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variables : str or sequence of str
        Columns of the fixed effects.
    by : str or sequence of str, optional
        Means are compared within each level of these columns.
    kind : {"link", "response"}
        As in `marginal_means`.
    component : {"conditional", "zi"}, optional
        As in `marginal_means`.
    adjust : {"tukey", "mvt", "holm", "sidak", "bonferroni", "none"}
        Of the pairwise contrasts' p-values.
    at : mapping of str to values, optional
        Values of columns.
    weights : {"equal", "proportional"}
        Of the levels averaged over.
    random_effects : {"none", "average"}
        As in `marginal_means`.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom of the t distribution. ``"auto"`` is Satterthwaite's for gaussian fits with identity link and
        ``reml=True``, and otherwise the normal distribution. Kenward and Roger's standard errors go with theirs.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's: ``fit.cov_params("sandwich", cluster="g")`` and its kin, or
        the words ``"kenward-roger"``, ``"HC0"`` ... ``"HC3"``. Means that depend on more than the conditional fixed
        effects need that of all parameters: ``cov_params(..., parameters="all")``.
    alpha : float, optional
        Two means differ when their p-value is below it; 0.05 by default.
    level : float, optional
        Former name of `alpha`, deprecated.

    Returns
    -------
    Series of str
        Indexed as the means of `marginal_means`; NaN for a mean that the data do not determine.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import compact_letters, glmm
    >>> d = pd.DataFrame({"y": [7, 9, 5, 8, 21, 15, 24, 18, 9, 8, 7, 6], "f": list("aaaabbbbcccc")})
    >>> compact_letters(glmm("y ~ f", d, reml=True), "f").rename_axis(None)
    a    a
    b    b
    c    a
    Name: letters, dtype: object
    """
    if isinstance(level, float) and 0.5 < level < 1.0:  # a level of confidence, as elsewhere
        raise ModelError(f"compact_letters: level= is the former name of alpha=; write alpha={1.0 - level:.4g}")
    limit = renamed("compact_letters", "level", level, "alpha", alpha)
    limit = 0.05 if limit is None else limit
    require_level(limit, "alpha")
    options: dict[str, Any] = {"kind": kind, "component": component, "by": by, "at": at, "weights": weights}
    options |= {"random_effects": random_effects, "df": df, "cov": cov}
    _, within = chosen_columns("compact_letters", variables, by)
    means = marginal_means(fit, variables, **options)
    with no_data_warnings():  # what the means are not, their contrasts are not
        pairs = marginal_means(fit, variables, contrasts="pairwise", adjust=adjust, **options)
    cells = means.index.to_frame(index=False)
    out = np.full(len(means), np.nan, dtype=object)
    families = [np.arange(len(cells))]
    if within:
        families = [np.sort(at) for at in cells.groupby(within, sort=False, observed=True).indices.values()]
    start = 0
    for members in families:
        m = len(members)
        pvalue = pairs["pvalue"].to_numpy()[start : start + m * (m - 1) // 2]
        start += len(pvalue)
        differ = np.zeros((m, m), dtype=bool)
        differ[np.triu_indices(m, 1)] = pvalue < limit
        estimate = means["estimate"].to_numpy()[members]
        known = np.flatnonzero(np.isfinite(estimate))
        order = known[np.argsort(estimate[known], kind="stable")]
        letters = letters_of((differ | differ.T)[np.ix_(order, order)])
        out[members[order]] = letters
    return pd.Series(out, index=means.index, name="letters", dtype=object)


def letters_of(differ: np.ndarray) -> list[str]:
    """Letters of sorted means, differ (m, m) which pairs do.

    Examples
    --------
    >>> letters_of(np.array([[False, False, True], [False, False, False], [True, False, False]]))
    ['a', 'ab', 'b']
    """
    m = len(differ)
    columns = [frozenset(range(m))] if m else []
    for i in range(m):
        for j in range(i + 1, m):
            if differ[i, j]:
                split = [column - {k} if {i, j} <= column else column for column in columns for k in (i, j)]
                columns = _absorbed(split)
    columns = _without_need(columns)
    columns.sort(key=lambda column: sorted(column))
    return ["".join(_letter(place) for place, column in enumerate(columns) if i in column) for i in range(m)]


def _absorbed(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Drop columns that are part of others."""
    distinct = list(dict.fromkeys(columns))
    return [c for c in distinct if not any(c < other for other in distinct)]


def _without_need(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Drop columns whose every pair shares another one, shortest first."""
    kept = sorted(columns, key=len)
    for column in list(kept):
        rest = [c for c in kept if c is not column]
        if all(any({i, j} <= c for c in rest) for i in column for j in column):
            kept = rest
    return kept


def _letter(place: int) -> str:
    """a to z, then A to Z, then numbered."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    turn, at = divmod(place, len(alphabet))
    return alphabet[at] + (str(turn) if turn else "")
