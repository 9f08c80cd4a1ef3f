"""Printed summary of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

if TYPE_CHECKING:
    from glmmcore.result import FittedGLMM

__all__ = ["coefficient_table", "text"]

_PARTS = {"cond": "Conditional model", "zi": "Zero-inflation model (logit)", "disp": "Dispersion model (log)"}


def coefficient_table(fit: FittedGLMM, part: str = "cond") -> pd.DataFrame:
    """Estimates, standard errors, z statistics and two-sided p-values of one part.

    Parameters
    ----------
    fit : FittedGLMM
    part : {"cond", "zi", "disp"}
    """
    estimates, errors = {
        "cond": lambda: (fit.params, fit.bse),
        "zi": lambda: (fit.zi_params, fit.zi_bse),
        "disp": lambda: (fit.disp_params, fit.disp_bse),
    }[part]()
    z = estimates / errors
    return pd.DataFrame(
        {"estimate": estimates, "se": errors, "z": z, "p": 2.0 * special.ndtr(-np.abs(z.to_numpy(dtype=float)))}
    )


def text(fit: FittedGLMM) -> str:
    """Whole summary as printed by ``print(fit.summary())``."""
    blocks = [_heading(fit)]
    if fit.has_random_effects:
        blocks.append(_random_block(fit))
    if fit.family.has_dispersion and "disp" not in fit.design.predictors:
        blocks.append(f"Dispersion ({fit.family.name}): sigma = {fit.sigma:.4g}")
    if fit.extra_params:
        blocks.append(", ".join(f"{name} = {value:.4g}" for name, value in fit.extra_params.items()))
    for part, title in _PARTS.items():
        if part in fit.design.predictors:
            blocks.append(f"{title}:\n{_table(coefficient_table(fit, part))}")
    blocks += fit.verdict
    return "\n\n".join(blocks)


def _heading(fit: FittedGLMM) -> str:
    criterion = "restricted log-likelihood" if fit.reml else "log-likelihood"
    return (
        f"{fit.family.name} ({fit.family.link.name} link), {criterion} {fit.llf:.2f}\n"
        f"Formula: {fit.formula}\n"
        + "".join(f"{k}: {v}\n" for k, v in fit.design.formulas.items() if k in ("zi", "disp"))
        + f"AIC {fit.aic:.1f}   BIC {fit.bic:.1f}   logLik {fit.llf:.2f}   rows {fit.nobs}   df.resid {fit.df_resid:g}"
    )


def _random_block(fit: FittedGLMM) -> str:
    table = fit.var_corr.copy()
    table.insert(3, "variance", table["sd"] ** 2)
    shown = table.drop(columns="component") if (table["component"] == "cond").all() else table
    lines = shown.to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")
    levels = ", ".join(
        dict.fromkeys(f"{t.term.group} {len(t.term.levels)}" for t in fit._solution.terms)
    )
    return f"Random effects:\n{lines}\nLevels: {levels}"


def _table(frame: pd.DataFrame) -> str:
    formats = {
        "estimate": lambda v: f"{v:.5f}",
        "se": lambda v: f"{v:.5f}",
        "z": lambda v: f"{v:.2f}",
        "p": lambda v: "<1e-16" if v < 1e-16 else f"{v:.3g}",
    }
    return frame.to_string(formatters=formats)
