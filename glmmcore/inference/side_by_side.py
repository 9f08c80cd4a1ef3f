"""Estimates of several fits beside each other, as text to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.arguments import require_flag, require_level, require_whole, require_word
from glmmcore.errors import ModelError
from glmmcore.inference.nesting import require_fits
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["side_by_side"]

_PARTS = {"cond": "", "zi": "zi: ", "disp": "disp: "}
_CELLS = ("se", "interval", "pvalue")
_MOST_DIGITS = 17  # of a double


def side_by_side(
    *fits: FittedGLMM, cell: str = "se", digits: int = 3, level: float = 0.95, ratios: bool = False, **named: FittedGLMM
) -> pd.DataFrame:
    """Coefficients, standard deviations and fit statistics of several models, a column each.

    Parameters
    ----------
    *fits : FittedGLMM
        Models, numbered from 1.
    cell : {"se", "interval", "pvalue"}
        What stands in brackets beside an estimate.
    digits : int
        Decimals.
    level : float
        Of the intervals.
    ratios : bool
        Exponentiate the coefficients of log and logit links, with ``cell="interval"``.
    **named : FittedGLMM
        Models whose columns are called by the argument's name, as in ``side_by_side(poisson=a, zinb=b)``.

    Returns
    -------
    DataFrame of str
        Rows: coefficients (those of other parts begin with ``zi:`` and ``disp:``), standard deviations of random
        effects, dispersion, rows, log-likelihood, AIC; empty where a model lacks one. ``to_markdown()`` and
        ``to_latex()`` of pandas make tables to paste.

    Examples
    --------
    >>> from glmmcore import glmm, side_by_side
    >>> d = {"y": [1, 3, 2, 6, 4, 7, 5, 9], "x": [0, 1] * 4}
    >>> side_by_side(null=glmm("y ~ 1", d, family="poisson"), x=glmm("y ~ x", d, family="poisson"), digits=2)
                           null            x
    Intercept       1.53 (0.16)  1.10 (0.29)
    x                            0.73 (0.35)
    rows                      8            8
    log-likelihood       -18.69       -16.36
    AIC                   39.38        36.72
    """
    models = {str(i): fit for i, fit in enumerate(fits, start=1)} | named
    if not models:
        raise ModelError("side_by_side: give fits")
    require_fits(models, "side_by_side")
    require_word(cell, "side_by_side: cell", _CELLS)
    require_level(level, "level")
    require_flag(ratios, "side_by_side: ratios")
    require_whole(digits, "side_by_side: digits", least=0, most=_MOST_DIGITS)
    if ratios and cell != "interval":
        raise ModelError(
            "side_by_side: ratios=True goes with cell='interval': ratios have no standard error of their own"
        )
    columns = {name: _column(fit, cell, digits, level, ratios) for name, fit in models.items()}
    coefficients, spreads, statistics = ([part[i] for part in columns.values()] for i in range(3))
    rows = [*_union(coefficients), *_union(spreads), *_union(statistics)]
    values = {name: a | b | c for name, (a, b, c) in columns.items()}
    cells = {name: [own.get(row, "") for row in rows] for name, own in values.items()}
    return ResultTable(pd.DataFrame(cells, index=rows))


def _union(parts: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def _column(
    fit: FittedGLMM, cell: str, digits: int, level: float, ratios: bool
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    coefficients = {}
    for part, prefix in _PARTS.items():
        if part not in fit.design.predictors:
            continue
        table, limits = fit.coefficient_table(part), fit.conf_int(1.0 - level, parameters=part)
        link = {"zi": "logit", "disp": "log"}.get(part, fit.family.link.name)
        rows = zip(table.index, table["estimate"], table["se"], table["pvalue"], limits.to_numpy(), strict=True)
        for name, estimate, error, pvalue, ends in rows:
            if ratios and link in ("log", "logit"):
                estimate, ends = np.exp(estimate), np.exp(ends)
            inner = f"{error:.{digits}f}"
            if cell == "interval":
                inner = f"{ends[0]:.{digits}f}, {ends[1]:.{digits}f}"
            elif cell == "pvalue":
                inner = "<0.001" if pvalue < 0.001 else f"{pvalue:.3f}"
            coefficients[f"{prefix}{name}"] = f"{estimate:.{digits}f} ({inner})"
    values = {name: value for name, (value, _) in fit.variance_errors.items()}
    spreads = {name: f"{v:.{digits}f}" for name, v in values.items() if name.partition("(")[0].endswith("sd")}
    if fit.family.has_dispersion and np.isfinite(fit.sigma):
        spreads["sigma"] = f"{fit.sigma:.{digits}f}"
    statistics = {"rows": str(fit.nobs), "log-likelihood": f"{fit.llf:.2f}", "AIC": f"{fit.aic:.2f}"}
    return coefficients, spreads, statistics
