"""Sentences on random effects at a limit: without variance, independent of their neighbours, the same at all times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.covariance import Field
from glmmcore.estimation.start import response_scale

if TYPE_CHECKING:
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["residual_sentences", "term_sentences"]

# More coefficients than these are not listed one by one.
_MANY_COLUMNS = 4
# Standard deviation of a coefficient's part of the predictor that is zero, beside that of the whole term; with a
# correlation that is free the other coefficients move it through zero, where it is no limit.
_ZERO, _ZERO_WITH_CORRELATION = 1e-3, 1e-6
_NO_SIZE = 1e-4
# Distance from one of a correlation of neighbours in time that is one to four digits.
_CORRELATION_EDGE = 5e-5
# Correlation of the nearest places or times that is none.
_INDEPENDENT = 1e-4
# Difference of effects of the same group, in units of the rows' spread, that is none.
_SAME_EFFECT = 1e-3
# A standard deviation below this share of its standard error adds less than 2e-5 to the log-likelihood; it is small
# itself, in units of the rows' spread, unless nothing is known about it at all.
_NEXT_TO_NOTHING, _SMALL = 1e-2, 0.05
# Residual standard deviation beside that of the effects of places that explain every row, if the likelihood sees none.
_NO_RESIDUAL = 2e-2
# Residuals, in units of a standard deviation that is held, from which on the data contradict it.
_CONTRADICTED = 3.0


def term_sentences(fit: FittedGLMM, t: TermSolution, singular: bool) -> list[str]:
    """What a term has become, the strongest statement only."""
    part = fit.estimator.problem.part_of(t.term)
    lasting = _lasting_sentences(fit, t)
    if isinstance(part.structure, Field):
        theta = fit.solution.x[part.where]
        if singular:
            return [_singular_sentence(fit, t)]
        return lasting or _field_sentences(fit, t, part.structure, theta)
    if lasting and part.structure.one_row:
        return lasting
    if singular:
        return [_singular_sentence(fit, t), *lasting]
    return lasting or _next_to_nothing(fit, t)


def _lasting_sentences(fit: FittedGLMM, t: TermSolution) -> list[str]:
    """Where effects of successive times do not differ, which a model without times says as well."""
    reported = fit.estimator.problem.part_of(t.term).structure.reported
    if not any(kind == "rho" for kind, _, _ in reported) or "rho" in fit.design.fixed:
        return []
    table = fit.var_corr
    found = table[(table["group"] == t.term.group) & (table["rho"].astype(float) > 1.0 - _CORRELATION_EDGE)]
    return [_lasting(f"correlation of successive times of {term}", "one", t.term.group) for term in found["term"]]


def _lasting(what: str, value: str, group: str) -> str:
    return (
        f"The {what} by {group} is estimated as {value}: the effect of a group is the same at all times, and a random "
        f"intercept, (1 | {group}), fits as well."
    )


def _field_sentences(fit: FittedGLMM, t: TermSolution, structure: Field, theta: np.ndarray) -> list[str]:
    """Effects of places or times that do not resemble each other, or that are all the same."""
    if {"rate", "range", "rho"} & set(fit.design.fixed):
        return []
    nearest, farthest = structure.correlations(theta)
    kind, label, group = structure.parameters[0], t.term.columns[0], t.term.group
    unlike = np.sqrt(2.0 * max(1.0 - farthest, 0.0)) * abs(float(theta[0]))
    if structure.on_line and unlike < _SAME_EFFECT * response_scale(fit.estimator.problem):
        return [_lasting(f"{kind} of {label}", "one" if kind == "rho" else "zero", group)]
    if kind != "rho" and abs(nearest) < _INDEPENDENT:
        value = "zero" if kind == "range" else "infinite"
        return [
            f"The {kind} of {label} by {group} is estimated as {value}: effects next to each other are independent, "
            "and a random intercept of each place or time fits as well."
        ]
    return []


def _next_to_nothing(fit: FittedGLMM, t: TermSolution) -> list[str]:
    """A variance that is no limit and yet as good as none."""
    hessian = fit.solution.optimum.hessian
    part = fit.estimator.problem.part_of(t.term)
    at = part.where.start
    if t.predictor != "cond" or part.structure.k > 1 or hessian is None or not part.structure.linear:
        return []
    if abs(fit.solution.x[at]) > _SMALL * response_scale(fit.estimator.problem):
        return []
    if abs(fit.solution.x[at]) * np.sqrt(max(hessian[at, at], 0.0)) > _NEXT_TO_NOTHING:
        return []
    sd = float(np.sqrt(t.covariance[0, 0]))
    return [
        f"The variance of {t.term.columns[0]} by {t.term.group} is next to nothing (standard deviation {sd:.1g}): a "
        "model without it fits as well."
    ]


def _singular_sentence(fit: FittedGLMM, t: TermSolution) -> str:
    n_other_starts = fit.solution.optimum.n_other_starts
    columns = np.array(t.term.columns)
    zero = columns[_without_variance(fit, t)] if len(columns) > 1 else columns
    times = "One other start" if n_other_starts == 1 else f"{n_other_starts} other starts"
    searched = f"{times} led to no higher log-likelihood. " if n_other_starts else ""
    named = ", ".join(zero) if len(zero) <= _MANY_COLUMNS else f"{zero[0]} to {zero[-1]} ({len(zero)} coefficients)"
    what = f"the variance of {named}" if len(zero) else "a combination of the coefficients' variances"
    return (
        f"Singular fit: {what} by {t.term.group} is estimated as zero"
        f"{' (a correlation of one)' if not len(zero) else ''}. {searched}Fixed effects and log-likelihood are "
        "valid, a simpler random part fits as well."
    )


def _without_variance(fit: FittedGLMM, t: TermSolution) -> np.ndarray:
    """Which coefficients have no variance, (k,): by their share of the rows' variance, whatever a column's unit."""
    sd = np.sqrt(np.maximum(np.diag(t.covariance), 0.0))
    z = t.term.Z
    spread = z.std(axis=0)
    size = sd * np.where(spread > 0.0, spread, np.sqrt(np.square(z).mean(axis=0)))
    whole = float(np.sqrt(t.row_variances(z, t.term.codes).mean()))
    share = _ZERO_WITH_CORRELATION if t.term.structure == "us" else _ZERO
    problem = fit.estimator.problem
    return np.asarray(size <= max(share * whole, _NO_SIZE * response_scale(problem) * problem.unit))


def residual_sentences(fit: FittedGLMM) -> list[str]:
    """Effects of places that leave nothing to the rows of a gaussian model, and rows left to a variance of nothing."""
    if fit.family.linear and "disp" in fit.design.predictors and not len(fit.disp_params) and np.isfinite(fit.sigma):
        mean = fit.family.link.inverse(fit.solution.values["cond"])
        residual = float(np.sqrt(np.mean(np.square(fit.design.response.y - mean))))
        if residual > _CONTRADICTED * fit.sigma:
            return [
                f"The residual standard deviation is held at {fit.sigma:.3g} (disp = {fit.design.formulas['disp']}), "
                f"and residuals are {residual:.3g}: no effect carries what varies between rows, so that standard "
                "errors and log-likelihood mean nothing. Leave disp= out, or add effects of single rows."
            ]
    if not fit.estimator.linear or "sigma" in fit.design.fixed or np.isfinite(fit.disp_bse).all():
        return []
    out = []
    for t in fit.solution.terms:
        part = fit.estimator.problem.part_of(t.term)
        if isinstance(part.structure, Field) and fit.sigma < _NO_RESIDUAL * np.sqrt(t.covariance[0, 0]):
            out.append(
                f"The residual variance is estimated as zero: {t.term.columns[0]} by {t.term.group} explains every "
                "row, and what is reported is that of the model without residuals."
            )
    return out
