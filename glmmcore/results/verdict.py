"""Sentences on what is not as it should be in a fit, and on what stays valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.results.verdict_of_terms import residual_sentences, term_sentences

if TYPE_CHECKING:
    from glmmcore.estimation.optimize import Optimum
    from glmmcore.estimation.problem import LinearPart
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["is_singular", "sentences"]

# Relative size of the smallest standard deviation of a term's coefficients that counts as zero.
EDGE = 1e-3
# Share of evaluations without a log-likelihood that tells of an edge which the optimiser runs against.
_MANY_REFUSED = 0.05
# Share of rows whose mean random effects can bring to the end of its range that is worth a sentence.
_MANY_ROWS = 0.02
# Logarithms between the least dispersion of all rows and the usual one from which on it is on its way to zero, and
# what a coefficient adds to that if it is one of the reasons.
_RUNNING_AWAY, _REASON = 10.0, 5.0
# Logit of a zero inflation that is none.
_NO_ZERO_INFLATION = -4.0
# Share of a direction without bound that lies in a parameter if it is the parameter's own.
_SHARE_OF_OWN = 0.5
# Share of rows that counts as most of them.
_MOST_ROWS = 0.5
# Mean of a response in its standard deviations from which taking it out makes numbers so much smaller.
_FAR_FROM_ZERO = 3.0
# Mean before truncation that is on its way to zero, and probability of more than the least count that is none.
_LITTLE_MEAN, _NO_VARIATION = 0.05, 1e-3
# Difference of a sum of probabilities from one that matters.
_NO_DISTRIBUTION = 1e-3


def is_singular(t: TermSolution) -> bool:
    """Whether a term's covariance is on the edge of what is possible."""
    return t.relative_minimum < EDGE


def sentences(fit: FittedGLMM) -> list[str]:
    """One sentence for each finding."""
    out = _search_sentences(fit)
    for t in fit.solution.terms:
        if not _is_given(fit, t):
            out += term_sentences(fit, t, is_singular(t))
        if _as_many_coefficients_as_rows(fit, t):
            out.append(
                f"{t.term.group} has as many coefficients as there are rows: its variance and the residual variance "
                "cannot be told apart, only their sum means something."
            )
    out += residual_sentences(fit) if fit.converged else _running_dispersion(fit)
    limits = _limit_sentences(fit)
    peaks = [] if limits else _separate_peaks(fit)  # a law at its limit has a sentence of its own
    return [*out, *limits, *peaks, *_improper_law(fit), *_sentences_on_data(fit)]


def _search_sentences(fit: FittedGLMM) -> list[str]:
    """How the search for the maximum ended, if not at the one maximum."""
    out, optimum = [], fit.solution.optimum
    if not fit.converged:
        out.append(_not_converged_sentence(fit, optimum))
    elif optimum.n_other_maxima or optimum.higher_seen:
        out.append(_several_maxima_sentence(optimum))
    if fit.converged and _means_reach_the_end(fit):
        out.append(
            f"With the {fit.family.link.name} link random effects of this size reach linear predictors of 0: Laplace's "
            "method sees one of several modes there, and the log-likelihood found may not be the highest."
        )
    return out


def _not_converged_sentence(fit: FittedGLMM, optimum: Optimum) -> str:
    reason = f"the log-likelihood may still rise by about {optimum.edm:.2g}"
    if optimum.is_saddle:
        reason = "the point found is not a maximum in every direction"
    elif not fit.solution.mode_found:
        reason = "the random effects' modes were not found to full precision"
    if optimum.n_refused > _MANY_REFUSED * optimum.n_evaluations:
        reason += "; next to it the log-likelihood does not exist"
        if _range_ends_at_zero(fit):
            reason += (
                f" (with the {fit.family.link.name} link random effects can bring means to the end of their range)"
            )
        else:
            reason += " (the random effects have no peak there that Laplace's method could use)"
    sentence = f"Not converged: {reason}; estimates are approximate and standard errors are not reliable."
    return sentence + _advice_on_mean(fit)


def _advice_on_mean(fit: FittedGLMM) -> str:
    """What to do about a response that is large beside a residual variance that is held at next to nothing."""
    y, held = fit.design.response.y, "disp" in fit.design.predictors and not len(fit.disp_params)
    if not (fit.family.linear and held and np.isfinite(fit.sigma) and abs(np.mean(y)) > _FAR_FROM_ZERO * np.std(y)):
        return ""
    name = fit.design.response.name
    return (
        f" Take the mean out of the response, as in center({name}) ~ ...: beside a residual standard deviation of "
        f"{fit.sigma:.3g} counts what rounding leaves of numbers around {np.mean(y):.3g}."
    )


def _as_many_coefficients_as_rows(fit: FittedGLMM, t: TermSolution) -> bool:
    """Whether a term of a gaussian model is independent noise of every row, as the residuals are."""
    return bool(
        fit.family.linear
        and t.modes.size >= fit.nobs
        and fit.design.var_weights is None
        and fit.estimator.problem.part_of(t.term).structure.absorbs_noise
        and t.term.relationship is None
        and not fit.design.fixed
        and np.isnan(fit.sigma) == ("disp" in fit.design.predictors)
    )


def _sentences_on_data(fit: FittedGLMM) -> list[str]:
    """Rows and columns that were left out."""
    out, n_missing = [], fit.design.n_missing
    if n_missing:
        rows = "1 row with a missing value was" if n_missing == 1 else f"{n_missing} rows with missing values were"
        out.append(f"{rows} left out.")
    for name, part in fit.design.predictors.items():
        if part.aliased:
            out.append(
                f"{', '.join(part.aliased)} of the {name} part is a linear combination of earlier columns: dropped."
            )
    return out


def _is_given(fit: FittedGLMM, t: TermSolution) -> bool:
    """Whether the covariance of a term was given instead of estimated."""
    problem = fit.estimator.problem
    where = problem.part_of(t.term).where
    return not problem.free[where].any()


def _range_ends_at_zero(fit: FittedGLMM) -> bool:
    """Whether the mean of the response has no value beyond a linear predictor of 0."""
    link = fit.family.link.name
    return link in ("sqrt", "inverse") or (link == "identity" and fit.family.default_link != "identity")


def _means_reach_the_end(fit: FittedGLMM) -> bool:
    """Whether the linear predictor of many rows is within two standard deviations of where the mean ends."""
    if not _range_ends_at_zero(fit):
        return False
    variance = np.zeros(fit.nobs)
    for t in fit.solution.terms:
        if t.predictor == "cond":
            variance += t.row_variances(t.term.Z, t.term.codes)
    reached = np.abs(fit.solution.values["cond"]) < 2.0 * np.sqrt(np.maximum(variance, 0.0))
    return bool(np.mean(reached) > _MANY_ROWS)


def _several_maxima_sentence(optimum: Optimum) -> str:
    """What other starts found besides the maximum that is reported."""
    found = f"{optimum.n_other_maxima} of {optimum.n_other_starts} other starts ended at lower maxima"
    if optimum.higher_seen:
        found = f"a point {optimum.higher_seen:.3g} higher was seen that is no maximum" + (
            f", {found}" if optimum.n_other_maxima else ""
        )
    return (
        f"Several maxima: {found}. What is reported is the highest maximum found, but it may not be the highest there "
        "is; a model with fewer parameters or the default link has fewer of them."
    )


def _running_dispersion(fit: FittedGLMM) -> list[str]:
    """Where a search did not end because the mean fits some rows exactly and their dispersion vanishes."""
    part = next((p for p in fit.estimator.problem.parts if p.name == "disp" and p.size > 1), None)
    if part is None or fit.family.discrete:
        return []
    values = np.abs(fit.solution.values["disp"] - np.median(fit.solution.values["disp"]))
    rows = values > _RUNNING_AWAY
    if not rows.any():
        return []
    moved = np.abs(fit.design.predictors["disp"].X * fit.solution.coefficients["disp"])
    away = moved[rows].mean(axis=0) - (moved[~rows].mean(axis=0) if not rows.all() else 0.0)
    named = [name for name, by in zip(part.columns, away, strict=True) if by > _REASON]
    if not named:
        return []
    count = "1 row" if rows.sum() == 1 else f"{rows.sum()} rows"
    return [
        f"The log-likelihood has no maximum along {', '.join(named)} (disp): the mean can fit {count} exactly, and "
        "their dispersion vanishes. Give disp= fewer levels or leave these rows out."
    ]


def _improper_law(fit: FittedGLMM) -> list[str]:
    """Where the probabilities of a row's responses do not sum to one, and log-likelihoods cannot be compared."""
    total = fit.family.total_probability(fit.law.parameters)
    low, high = float(total.min()), float(total.max())
    if max(high - 1.0, 1.0 - low) < _NO_DISTRIBUTION:
        return []
    sums = f"{low:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{low:.3f} to {high:.3f}"
    return [
        f"{fit.family.name} with less variance than Poisson counts is only nearly a distribution: the probabilities of "
        f"a row sum to {sums}. Its log-likelihood cannot be compared with that of other families; "
        "compois is a distribution for such counts."
    ]


def _separate_peaks(fit: FittedGLMM) -> list[str]:
    """Where a log-likelihood has a maximum for each way in which responses can stand on peaks of their densities."""
    if not np.mean(fit.family.has_separate_peaks(fit.law.parameters)) > _MOST_ROWS:
        return []
    (name,) = fit.family.extra
    value = fit.extra_params[name]
    return [
        f"With a {name} of {value:.4g} the density of most rows has a peak for each number of events, and the "
        "log-likelihood many maxima: estimates, standard errors and log-likelihood are those of one of them. Hold it "
        f"away from 1, as in fixed={{'{name}': 1.5}}, or take another family."
    ]


def _limit_sentences(fit: FittedGLMM) -> list[str]:
    """What the data do not bound, one sentence a part: told by the likelihood, not by origin or unit of a column."""
    if not fit.converged and fit.solution.optimum.is_saddle:
        return []  # nothing is known about limits there
    out = []
    for part in fit.estimator.problem.parts:
        if part.where.stop - part.where.start != part.size:
            continue
        names = [name for name, moves in zip(part.columns, _without_bound(fit, part, part.back), strict=True) if moves]
        if names and not (part.name in fit.family.extra and _follows_another(fit, part)):
            out.append(_limit_sentence(fit, part.name, names))
    return out


def _follows_another(fit: FittedGLMM, part: LinearPart) -> bool:
    """Whether a parameter of the law is without bound for what another does, as a difference of two cutpoints is."""
    own = fit.curvature.flat[part.where] / fit.curvature.units[part.where, None]
    return bool(np.square(own).sum() < _SHARE_OF_OWN)


def _rows_without_bound(fit: FittedGLMM, name: str) -> np.ndarray:
    """Whether the data leave a linear predictor without a bound, for each different row of its design."""
    part = fit.estimator.problem.part(name)
    return _without_bound(fit, part, np.ones((1, 1)) if part.X is None else np.unique(part.X, axis=0))


def _without_bound(fit: FittedGLMM, part: LinearPart, combinations: np.ndarray) -> np.ndarray:
    """Whether the data leave combinations (m, size) of a part's parameters without a bound, (m,)."""
    rows = np.zeros((len(combinations), len(fit.curvature.units)))
    rows[:, part.where] = combinations
    return fit.curvature.reaches(rows)


def _reason_of_means(fit: FittedGLMM) -> str:
    """Why coefficients of the mean have no bound.

    A negative binomial without zeros stays a law of varying counts as its mean before truncation tends to zero. Counts
    above the least one in such rows tell that nothing is separated there.
    """
    separation = "complete separation or an empty cell"
    if not fit.family.hurdle:
        return separation
    y, law, ones = fit.design.response.y, fit.law.parameters, np.ones(fit.nobs)
    part, counted = fit.estimator.problem.part("cond"), y > 0.0
    reached = counted & _without_bound(fit, part, fit.design.predictors["cond"].X @ part.back)
    varies = 1.0 - fit.family.cdf(ones, ones, law)[1] > _NO_VARIATION
    series = reached & varies & (fit.family.link.inverse(law.eta) < _LITTLE_MEAN)
    if not (series & (y > 1.0)).any():
        return separation
    where = "all" if series[counted].all() else "some"
    reason = (
        f"in {where} rows the mean before truncation tends to zero, where {fit.family.name} is the logarithmic series "
        "distribution"
    )
    return f"{reason}; {separation} in others" if (reached & ~varies).any() else reason


def _limit_sentence(fit: FittedGLMM, part: str, names: list[str]) -> str:
    listed = ", ".join(names)
    if part == "cond":
        return (
            f"The data do not bound {listed} ({_reason_of_means(fit)}): its estimate and Wald test mean "
            "nothing beyond its sign; log-likelihood, other coefficients and simulations are valid."
        )
    values = fit.solution.values[part]
    if part == "zi":
        if values.max() < _NO_ZERO_INFLATION:
            return (
                f"The zero inflation is estimated as zero: {listed} (zi) has no finite estimate. The fit is that of "
                "the model without zi=, whose standard errors, predictions and simulations these are."
            )
        which = "all" if _rows_without_bound(fit, part).all() else "some"
        return (
            f"The data do not bound {listed} (zi), a probability of zero or one in {which} rows: its estimate and Wald "
            "test mean nothing beyond its sign; everything else is valid."
        )
    extreme = float(values[np.argmax(np.abs(values))])
    limit = fit.family.limits.get((part, 1 if extreme > 0.0 else -1), "no longer changed by it")
    everywhere = _rows_without_bound(fit, part).all() and (values.min() > 0.0) == (values.max() > 0.0)
    where = "" if everywhere else " in some rows"
    named = f"{listed} ({part})" if part == "disp" else part
    return (
        f"{named} is at its limit, where {fit.family.name} is {limit}{where}: its own estimate and standard error mean "
        "nothing. Everything else is that of the model at the limit, and valid."
    )
