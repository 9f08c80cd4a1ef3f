"""Sentences on what is not as it should be in a fit, and on what stays valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["is_singular", "sentences"]

# Relative size of the smallest standard deviation of a term's coefficients that counts as zero.
EDGE = 1e-3
# Structures whose covariances keep their form when independent noise is added to every coefficient.
_HOLDING_NOISE = ("us", "diag", "homdiag", "homcs")
# Standard error of a coefficient, times the size of its column, that only a likelihood without a maximum gives.
_UNBOUNDED = 30.0


def is_singular(t: TermSolution) -> bool:
    """Whether a term's covariance is on the edge of what is possible."""
    return t.relative_minimum < EDGE


def sentences(fit: FittedGLMM) -> list[str]:
    """One sentence for each finding."""
    out = []
    optimum = fit.solution.optimum
    if not fit.converged:
        reason = f"the log-likelihood may still rise by about {optimum.edm:.2g}"
        if len(optimum.eigenvalues) and optimum.eigenvalues[0] < -1e-3:
            reason = "the point found is not a maximum in every direction"
        elif not fit.solution.mode_found:
            reason = "the random effects' modes were not found to full precision"
        out.append(f"Not converged: {reason}; estimates are approximate and standard errors are not reliable.")
    for t in fit.solution.terms:
        if is_singular(t):
            out.append(_singular_sentence(t))
        if (
            fit.family.linear
            and t.modes.size >= fit.nobs
            and fit.design.var_weights is None
            and t.term.structure in _HOLDING_NOISE
        ):
            out.append(
                f"{t.term.group} has as many coefficients as there are rows: its variance and the residual variance "
                "cannot be told apart, only their sum means something."
            )
    unbounded = _unbounded(fit)
    if unbounded:
        out.append(
            f"The data do not bound {', '.join(unbounded)} (complete separation or an empty cell): its estimate and "
            "Wald test mean nothing beyond its sign; log-likelihood, other coefficients and simulations are valid."
        )
    if fit.design.n_missing:
        rows = (
            "1 row with a missing value was"
            if fit.design.n_missing == 1
            else f"{fit.design.n_missing} rows with missing values were"
        )
        out.append(f"{rows} left out.")
    for name, part in fit.design.predictors.items():
        if part.aliased:
            out.append(
                f"{', '.join(part.aliased)} of the {name} part is a linear combination of earlier columns: dropped."
            )
    return out


def _singular_sentence(t: TermSolution) -> str:
    sd = np.sqrt(np.maximum(np.diag(t.covariance), 0.0))
    columns = np.array(t.term.columns)
    # a standard deviation is zero beside the others, or beside the size it could have in a standardised column
    zero = columns[sd <= max(1e-3 * sd.max(), 1e-8)] if len(sd) > 1 else columns
    what = f"the variance of {', '.join(zero)}" if len(zero) else "a combination of the coefficients' variances"
    return (
        f"Singular fit: {what} by {t.term.group} is estimated as zero"
        f"{' (a correlation of one)' if not len(zero) else ''}. That is the maximum of the likelihood; fixed effects "
        "and log-likelihood are valid, a simpler random part fits as well."
    )


def _unbounded(fit: FittedGLMM) -> list[str]:
    """Columns whose coefficient has no finite estimate."""
    out: list[str] = []
    if fit.family.link.name == "identity":
        return out
    for name in ("cond", "zi"):
        if name not in fit.design.predictors:
            continue
        estimates = fit.params if name == "cond" else fit.zi_params
        errors = fit.bse if name == "cond" else fit.zi_bse
        size = np.sqrt(np.mean(np.square(fit.design.predictors[name].X), axis=0))
        for column, error, scale in zip(estimates.index, errors, size, strict=True):
            if not error * scale < _UNBOUNDED:
                out.append(column if name == "cond" else f"{column} ({name})")
    return out
