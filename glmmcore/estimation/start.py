"""Where the optimiser starts: IRLS for fixed effects, a moment step for variances."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np

from glmmcore.covariance import Field
from glmmcore.errors import ModelError
from glmmcore.estimation.laplace import LaplaceObjective, row_blocks
from glmmcore.estimation.problem import LinearPart, Problem
from glmmcore.tall import cross, times

__all__ = [
    "constant_coefficients",
    "natural_units",
    "response_scale",
    "start_candidates",
    "step_limits",
    "unmixed_coefficients",
    "weight_of_rows",
]

_IRLS_STEPS = 4
# Largest relative change of linear predictors that still counts as moving; the next change is about its square.
_IRLS_TOLERANCE = 1e-2
# Variance of random effects, in units of the predictor squared, up to which corrections to first order are trusted, and
# the share of the residual variance that is left to the rows in any case.
_LARGEST_TRUSTED_VARIANCE = 2.0
_LEAST_NOISE = 0.1
# Links without an edge close to which a first-order correction makes no sense.
_LINKS_WITHOUT_EDGE = ("log", "logit", "probit")
# Links to a scale on which one is much, whatever the unit of the response.
_LOGARITHMIC_LINKS = ("log", "logit", "probit", "cloglog", "cauchit")
# Mean squared residual of a continuous response over its mean square: below, only rounding and the ridge of IRLS.
_ROUNDED_RESIDUALS = 1e-16
# Places or times up to which a search begins with independent ones as well.
_FEW_PLACES = 300


class _Unmixed(NamedTuple):
    """A fit without random effects.

    `coefficients` are those of the standardised conditional part; `pearson` is the mean squared Pearson residual,
    `sensitivity` what a unit of variance in the linear predictor adds to it, to first order, `size` the mean square
    of the response in the same units, what `pearson` is small or large beside, and `power` the power of the mean that
    the variance grows with, on average over a factor of e.
    """

    coefficients: np.ndarray
    pearson: float
    sensitivity: float
    size: float
    power: float


def _irls(problem: Problem) -> _Unmixed:
    """Fit without random effects by a few steps of iteratively reweighted least squares."""
    family, part = problem.family, problem.part("cond")
    x = cast(np.ndarray, part.X)
    offset = np.zeros(1) if part.offset is None else part.offset
    eta = family.link.link(family.start_mean(problem.likelihood.y, _trials(problem, 0, problem.n)))
    if not part.size:  # nothing to estimate: the mean is what the offset says, not what the responses do
        eta = np.broadcast_to(offset, (problem.n,)).astype(np.float64)
    coefficients = np.zeros(part.size)
    for _ in range(_IRLS_STEPS if part.size else 0):
        gram, target = _normal_equations(problem, eta, offset)
        gram.ravel()[:: len(gram) + 1] += 1e-9 * (np.trace(gram) / len(gram) + 1e-300)
        new = np.linalg.solve(gram, target)
        new_eta = offset + times(x, new)
        if not (np.all(np.isfinite(new_eta)) and _inside(problem, new_eta)):
            break
        change = np.max(np.abs(new_eta - eta)) / (1.0 + np.max(np.abs(new_eta)))
        eta, coefficients = new_eta, new
        if change < _IRLS_TOLERANCE:
            break
    if not np.any(coefficients) and part.size:
        # the link of the overall mean is inside the range of the mean wherever there are no offsets
        mu = family.start_mean(problem.likelihood.y, _trials(problem, 0, problem.n))
        coefficients = constant_coefficients(part, float(family.link.link(np.array([mu.mean()]))[0]))
        eta = offset + times(x, coefficients)
    pearson, sensitivity, size, power = 0.0, 0.0, 0.0, 0.0
    for lo, hi in row_blocks(problem.n):
        trials = _trials(problem, lo, hi)
        mu, slope = family.link.derivatives(eta[lo:hi])[:2]
        variance = np.maximum(family.working_variance(mu, trials), 1e-10)
        weights = 1.0 / variance
        if family.has_dispersion and family.link.name == "log":
            power += float(np.sum(np.log(np.maximum(family.working_variance(math.e * mu, trials), 1e-10) / variance)))
        if problem.likelihood.freq_weights is not None:
            weights = weights * problem.likelihood.freq_weights[lo:hi]
        y = problem.likelihood.y[lo:hi]
        pearson += float(np.sum(np.square(_excess(y, trials, mu)) * weights))
        size += float(np.sum(np.square(y) * weights))
        sensitivity += float(np.sum(np.square(slope) * weights))
    n = weight_of_rows(problem)
    return _Unmixed(coefficients, pearson / n, sensitivity / n, size / n, power / problem.n)


def weight_of_rows(problem: Problem) -> float:
    """Number of rows, repeated ones counted as often as they are."""
    weights = problem.likelihood.freq_weights
    return float(problem.n if weights is None else weights.sum())


def _trials(problem: Problem, lo: int, hi: int) -> np.ndarray:
    trials = problem.likelihood.trials
    return np.ones(hi - lo) if trials is None else trials[lo:hi]


def _excess(y: np.ndarray, trials: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Observed minus expected mean, 0 for a row without trials."""
    return np.where(trials > 0.0, y / np.where(trials > 0.0, trials, 1.0) - mu, 0.0)


def _normal_equations(problem: Problem, eta: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X'WX and X'Wz of iteratively reweighted least squares at eta, block by block to save memory."""
    family, part = problem.family, problem.part("cond")
    gram, target = np.zeros((part.size, part.size)), np.zeros(part.size)
    # far from the fit a step on a curved link may be absurd; on the identity it is exact
    longest = np.inf if family.link.name == "identity" else 20.0
    for lo, hi in row_blocks(problem.n):
        trials = _trials(problem, lo, hi)
        mu, slope = family.link.derivatives(eta[lo:hi])[:2]
        variance = np.maximum(family.working_variance(mu, trials), 1e-10)
        w = trials * np.square(slope) / variance
        if problem.likelihood.freq_weights is not None:
            w = w * problem.likelihood.freq_weights[lo:hi]
        if not np.isfinite(w.sum()):
            w = np.where(np.isfinite(w), w, 1e-10)
        w = np.clip(w, 1e-10, 1e10)
        safe = np.where(np.abs(slope) > 1e-10, slope, 1e-10)
        step = np.clip(_excess(problem.likelihood.y[lo:hi], trials, mu) / safe, -longest, longest)
        x = cast(np.ndarray, part.X)[lo:hi]
        weighted = x * w[:, None]
        gram += cross(weighted, x)
        target += cross(weighted, eta[lo:hi] - (offset if len(offset) == 1 else offset[lo:hi]) + step)
    return gram, target


def _inside(problem: Problem, eta: np.ndarray) -> bool:
    """Whether the log density exists there, as it does everywhere on the scale of a default link."""
    likelihood = problem.likelihood
    if problem.family.link.name == problem.family.default_link:
        return True
    for lo, hi in row_blocks(problem.n):
        values = [np.zeros(1) for _ in likelihood.predictors]
        values[0] = eta[lo:hi]
        for i, part in enumerate(problem.parts):
            if i and part.X is not None:
                values[i] = np.zeros(hi - lo)
        with np.errstate(all="ignore"):
            if not np.isfinite(likelihood.newton_terms(lo, hi, values)[0]):
                return False
    return True


def unmixed_coefficients(problem: Problem) -> np.ndarray:
    """Coefficients of a fit without random effects, (p,), standardised."""
    with np.errstate(all="ignore"):  # a step too far, which is not taken
        return _irls(problem)[0]


def start_candidates(problem: Problem) -> list[np.ndarray]:
    """Starting points: for each start of the family's extra parameters, and with effects of places independent."""
    family, cond = problem.family, problem.part("cond")
    with np.errstate(all="ignore"):
        coefficients, pearson, sensitivity, size, power = _irls(problem)
    if not (family.discrete or pearson > _ROUNDED_RESIDUALS * size):
        raise ModelError("the response is fitted perfectly by the fixed effects: there is no variation left to model")
    out = []
    for psi in family.start_psi():
        x = np.zeros(problem.n_params)
        if cond.where.stop > cond.where.start:
            x[cond.where] = coefficients
        _start_dispersion(problem, x, pearson)
        for name, value in zip(family.extra, psi, strict=True):
            x[problem.part(name).where] = value
        if "zi" in problem.likelihood.predictors:
            zi = problem.part("zi")
            x[zi.where] = constant_coefficients(zi, _zero_start(problem))
        sd = _moment_sds(problem, x, coefficients)
        for term, start in zip(problem.terms, sd, strict=True):
            x[term.where] = term.structure.start(start)
        # the fit without random effects took their variance for noise, and averaged over them
        spread = [float(s @ s) for s, t in zip(sd, problem.terms, strict=True) if t.predictor == "cond"]
        between = min(sum(spread), _LARGEST_TRUSTED_VARIANCE * response_scale(problem) ** 2)
        if family.has_dispersion and family.link.name in _LINKS_WITHOUT_EDGE:
            is_log = family.link.name == "log"
            # effects of variance v multiply the mean of exp(b) squared by exp(v), of its power p by exp(p (p - 1) v/2)
            explained = np.expm1(between) if is_log else between
            noise = max(pearson - explained * sensitivity, _LEAST_NOISE * pearson)
            _start_dispersion(problem, x, noise * np.exp(-0.5 * power * (power - 1.0) * between) if is_log else noise)
        if cond.where.stop > cond.where.start:
            x[cond.where] = _given_random_effects(problem, cond, coefficients, between)
        out.append(x)
    return out + _with_independent_places(problem, out[0])


def _with_independent_places(problem: Problem, x: np.ndarray) -> list[np.ndarray]:
    """A start with hardly correlated effects of places or times, where the first one does not have these.

    Likelihoods of few places often have a maximum there, which searches from other ranges do not come to.
    """
    fields = [(t.where, t.structure) for t in problem.terms if isinstance(t.structure, Field)]
    if not fields or sum(structure.places.n for _, structure in fields) > _FEW_PLACES:
        return []
    independent = x.copy()
    for where, structure in fields:
        independent[where.start + 1 : where.stop] = structure.nearly_independent
    return [independent]


def _start_dispersion(problem: Problem, x: np.ndarray, pearson: float) -> None:
    if problem.family.has_dispersion:
        disp = problem.part("disp")
        x[disp.where] = constant_coefficients(disp, problem.family.start_delta(pearson))


def _given_random_effects(problem: Problem, part: LinearPart, coefficients: np.ndarray, between: float) -> np.ndarray:
    """Coefficients at given random effects, of this variance, from those of the mean over them."""
    link = problem.family.link.name
    if link == "log":  # the mean of exp(b) is exp(variance / 2)
        return coefficients - _slopes_of_constant(part, 0.5 * between)
    # the mean of a curve over a normal law is a flatter curve: exact for probit, a known approximation for logit
    flattening = {"logit": 16.0 * np.sqrt(3.0) / (15.0 * np.pi), "probit": 1.0}.get(link, 0.0)
    return coefficients * np.sqrt(1.0 + flattening**2 * between)


def constant_coefficients(part: LinearPart, value: float) -> np.ndarray:
    """Coefficients whose linear predictor is nearest to a constant."""
    if part.X is None:
        return np.array([value])
    offset = 0.0 if part.offset is None else part.offset
    return np.linalg.lstsq(part.X, np.full(len(part.X), value) - offset, rcond=None)[0]


def _slopes_of_constant(part: LinearPart, value: float) -> np.ndarray:
    """Coefficients whose sum of columns is nearest to a constant; the columns are orthonormal."""
    return np.zeros(part.size) if part.X is None else value * part.X.mean(axis=0)


def _zero_start(problem: Problem) -> float:
    """Logit of the share of structural zeros: all zeros for a hurdle, half of them for a mixture."""
    share = float(np.average(problem.likelihood.y == 0.0, weights=problem.likelihood.freq_weights))
    if not problem.family.hurdle:
        share *= 0.5
    share = min(max(share, 0.02), 0.9)
    return float(np.log(share / (1.0 - share)))


def _moment_sds(problem: Problem, x: np.ndarray, coefficients: np.ndarray) -> list[np.ndarray]:
    """One step for each variance at the fit without random effects: sum(s^2 - w) / sum w^2 over levels.

    With a log link that is the variance of exp(b) over its squared mean.
    """
    if problem.layout is None or not problem.terms:
        return []
    layout = problem.layout
    objective = LaplaceObjective(problem)
    values = objective.fixed_values(x)
    cond = problem.part("cond")
    if cond.where.stop == cond.where.start and cond.X is not None:
        values[0] = values[0] + times(cond.X, coefficients)
    m, is_log = len(problem.inner), problem.family.link.name == "log"
    score, information = np.zeros(layout.order), np.zeros(layout.order)
    diagonal = [a * (a + 1) // 2 + a for a in range(m)]
    # levels with large effects have large responses, on which the observed information may depend
    expected = is_log and problem.family.has_dispersion and problem.likelihood.mixture is None
    for lo, hi in row_blocks(problem.n):
        rows = [v if len(v) == 1 else v[lo:hi] for v in values]
        _, first, second = problem.likelihood.newton_terms(lo, hi, rows)
        layout.add_score(lo, hi, np.ascontiguousarray(first), score)
        if expected:
            second = _second_at_means(problem, lo, hi, rows)
        layout.add_information(lo, hi, np.maximum(-second[diagonal], 0.0), information)
    unit = response_scale(problem) ** 2
    out = []
    for term in problem.terms:
        s = layout.by_level(score, term.factor)[:, term.columns]
        w = layout.by_level(information, term.factor)[:, term.columns]
        with np.errstate(all="ignore"):
            variance = (s * s - w).sum(axis=0) / np.square(w).sum(axis=0)
        variance = np.where(np.isfinite(variance), variance, 0.1 * unit)
        if is_log and term.predictor == "cond":
            variance = np.log1p(np.maximum(variance, 0.0))
        # never start on the edge
        out.append(np.sqrt(np.clip(variance, 0.04 * unit, 4.0 * unit)))
    return out


def _second_at_means(problem: Problem, lo: int, hi: int, values: list[np.ndarray]) -> np.ndarray:
    """Second derivatives in the conditional predictor, (1, b), of responses that equal their means."""
    likelihood, trials = problem.likelihood, _trials(problem, lo, hi)
    p = likelihood.parameters(lo, hi, values)
    second = likelihood.family.newton_terms(likelihood.family.mean(trials, p), trials, p)[2]
    return (second if likelihood.freq_weights is None else second * likelihood.freq_weights[lo:hi])[None]


def response_scale(problem: Problem) -> float:
    """Size of the conditional predictor in units of its columns: the spread of y, carried through a link with units."""
    link = problem.family.link.name
    if link not in ("identity", "inverse", "sqrt"):
        return 1.0
    y, weights = problem.likelihood.y, problem.likelihood.freq_weights
    centre = np.average(y, weights=weights)
    spread = float(np.sqrt(np.average(np.square(y - centre), weights=weights)))
    size = max(abs(float(centre)), 0.1 * spread)
    if link == "inverse":
        spread = min(spread / size**2, 1.0 / size) if size > 0.0 else 0.0
    elif link == "sqrt":
        spread = 0.5 * spread / np.sqrt(size) if size > 0.0 else 0.0
    return spread / problem.unit or 1.0


def step_limits(problem: Problem) -> np.ndarray:
    """Largest change of each parameter in one step: a few units of a linear predictor, one of a relative SD."""
    limit = np.full(problem.n_params, 3.0)
    unit = response_scale(problem)
    limit[problem.part("cond").where] = 3.0 * unit
    for term in problem.terms:
        limit[term.where] = 1.5 * term.structure.units(unit)
    return limit


def natural_units(problem: Problem) -> np.ndarray:
    """Change of each parameter that matters if anything does, (n_params,).

    One for logarithms, logits and the like; for other links the size or the spread of the linear predictor.
    """
    family, units = problem.family, np.ones(problem.n_params)
    unit = response_scale(problem)
    if family.link.name not in ("identity", *_LOGARITHMIC_LINKS):
        mean = family.start_mean(problem.likelihood.y, _trials(problem, 0, problem.n)).mean()
        unit = abs(float(family.link.link(np.array([mean]))[0])) or 1.0
    units[problem.part("cond").where] = unit
    for term in problem.terms:
        units[term.where] = term.structure.units(unit if term.predictor == "cond" else 1.0)
    return units
