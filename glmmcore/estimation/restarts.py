"""Other starts for fits that are known to have several local maxima, or that ended on an edge.

One start is enough for an interior maximum of an ordinary model. Where a covariance is singular, the optimiser did not
converge, or the link or the family is one with many local maxima, a few short descents from elsewhere tell whether
there is a higher point; only a descent that finds one is followed to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from glmmcore.covariance import Field
from glmmcore.estimation.optimize import Objective, Optimum, short_descent
from glmmcore.estimation.problem import LinearPart, Problem, TermPart
from glmmcore.estimation.start import constant_coefficients, weight_of_rows

__all__ = [
    "AS_GOOD_AS_NONE",
    "SIZES_BESIDE_NONE",
    "beside_the_edge",
    "doubtful",
    "either_alone",
    "either_may_explain",
    "may_miss_no_effects",
    "n_starts_of_places",
    "off_the_edge",
    "on_edge",
    "other_starts",
    "search_elsewhere",
    "with_small_effects",
    "with_zero_inflation_elsewhere",
]

Target = TypeVar("Target", bound=Objective)

# Smallest singular value of a relative factor, in units of the rows' spread, with which a term is on the edge.
_EDGE = 1e-3
# Standard deviations below this share of their unit are started at twice that: zero is a point of symmetry.
_SMALL, _OFF = 0.05, 0.1
# Least information about a correlation: a standard error of 1.4 on a scale on which a half is about 1.
_LEAST_INFORMATION = 0.5
# Evaluations of one short descent: these, and so many for each parameter.
_EVALUATIONS, _EVALUATIONS_PER_PARAMETER = 40, 6
# Expected further decrease at which a descent stops; differences of log-likelihoods that count as another value.
_LOOSE_EDM = 1e-3
_HIGHER, _LOWER = 1e-5, 1e-2
_RANDOM_STARTS = 2
# Standard deviation of effects of places at other starts, in units of the rows'.
_NOT_SMALL = 0.7
# Places of a field from which only one other start is tried: there the data say more, and each start takes minutes.
_LARGE_FIELD = 1500
# Places from which none is tried.
_VERY_LARGE_FIELD = 5000
# Sizes of random effects in starts where a likelihood without any has its maximum, in units of the rows', and one that
# is none but for the search.
SIZES_BESIDE_NONE, AS_GOOD_AS_NONE = (0.02, 0.3), 1e-5
# Size of the random effects of other parts than the conditional one in a start that all but leaves them out.
_SMALL_OTHER_EFFECTS = 0.02
# Expected further decrease below which a descent that ran out of evaluations is followed to its end all the same.
_NEAR_END = 0.5
# Descents that may be followed to an end that is no maximum.
_MOST_FAILURES = 2
# Logit below which zero inflation has vanished; at another start, the largest logit of a row and the standard deviation
# of all.
_VANISHED, _MOST_ZEROS, _ZERO_SPREAD = -4.0, -1.5, 1.5
# Rows for each level of a factor up to which its effects or an overdispersion may explain what both are there for.
_FEW_ROWS = 4.0
_SEED = 20261127


def on_edge(problem: Problem, x: np.ndarray, margin: float) -> list[TermPart]:
    """Terms whose factor is singular or no farther than `margin` from it."""
    out = []
    for term in problem.terms:
        smallest = np.linalg.svd(term.structure.factor(x[term.where]), compute_uv=False)[-1]
        if smallest <= margin:
            out.append(term)
    return out


def off_the_edge(problem: Problem, x: np.ndarray, unit: float) -> np.ndarray:
    """Move random terms with a vanishing factor off the edge, where the gradient is zero by symmetry."""
    x = x.copy()
    for term in problem.terms:
        t = term.structure.factor(x[term.where])
        small = np.abs(np.diag(t)) < _SMALL * unit
        if small.any():
            sd = np.where(small, _OFF * unit, np.sqrt(np.square(t).sum(axis=1)))
            x[term.where] = term.structure.start(sd)
    return x


def beside_the_edge(problem: Problem, start: np.ndarray, unit: float) -> list[np.ndarray]:
    """A given start off the edge of singular covariances, and as it is where it may be a maximum there."""
    moved = off_the_edge(problem, start, unit)
    # where standard deviations are logarithms, one that has vanished is no point of symmetry to be left
    if any(not term.structure.linear for term in problem.terms) and not np.array_equal(moved, start):
        return [moved, start]
    return [moved]


def doubtful(problem: Problem, optimum: Optimum, unit: float) -> int:
    """How many other starts an optimum calls for, 0 for an ordinary one."""
    family = problem.family
    most = 2 + _RANDOM_STARTS
    if n_starts_of_places(problem):
        return n_starts_of_places(problem)
    varying = family.has_dispersion and problem.part("disp").size > 1 and bool(problem.terms)
    if not optimum.converged or varying or family.several_maxima or problem.link_with_several_modes:
        return most
    singular = on_edge(problem, optimum.x, _EDGE * unit)
    if not singular:
        return 2 if _vague_correlation(problem, optimum) else 0
    # what the effects explain may have gone into a dispersion or into a zero inflation
    elsewhere = (family.discrete and family.has_dispersion) or "zi" in problem.likelihood.predictors
    return most if elsewhere or any(term.structure.k > 1 for term in singular) else 1


def may_miss_no_effects(problem: Problem, optimum: Optimum) -> bool:
    """Whether a search from moments of the random effects may end lower than the likelihood without any.

    Through effects that reach the end of a link's range it has other maxima, or no peak for Laplace's method.
    """
    return bool(problem.terms) and (problem.link_with_several_modes or not optimum.converged)


def either_may_explain(problem: Problem) -> bool:
    """Whether random effects and an overdispersion may explain the same, each with a maximum of its own.

    So it is with counts where levels have few rows: the likelihood then has a valley between both.
    """
    if problem.family.no_overdispersion is None or problem.layout is None:
        return False
    levels = [problem.layout.n_levels(term.factor) for term in problem.terms if term.predictor == "cond"]
    return weight_of_rows(problem) <= _FEW_ROWS * max(levels, default=0)


def either_alone(
    problem: Problem,
    cold: np.ndarray,
    unit: float,
    limit: np.ndarray,
    objective: Callable[[], Target],
    curvature: Callable[[Problem, np.ndarray, Target], np.ndarray],
) -> list[np.ndarray]:
    """Starts with random effects and no overdispersion, and with overdispersion and hardly any effects.

    None unless `either_may_explain`. The first is where a descent without overdispersion leads: a search from there
    does not end lower than the simpler law.
    """
    none = problem.family.no_overdispersion
    if none is None or not either_may_explain(problem):
        return []
    effects, part = _with_effects(problem, cold, unit, 1.0), problem.part("disp")
    effects[part.where] = constant_coefficients(part, none)
    effects, free = problem.hold(effects), problem.free.copy()
    free[part.where] = False
    trial = objective()
    if np.isfinite(trial(effects)[0]):
        descent, guess = _without_given(trial, curvature(problem, effects, trial), free)
        effects, _, _ = short_descent(descent, effects, guess, limit, _LOOSE_EDM, _most_evaluations(effects))
    return [effects, _with_effects(problem, cold, unit, SIZES_BESIDE_NONE[0])]


def _most_evaluations(x: np.ndarray) -> int:
    return _EVALUATIONS + _EVALUATIONS_PER_PARAMETER * len(x)


def n_starts_of_places(problem: Problem) -> int:
    """Other starts for effects of places or times, whose ranges have several maxima often; fewer for large fields."""
    fields = [t.structure for t in problem.terms if isinstance(t.structure, Field)]
    if not fields:
        return 0
    largest = max((f.places.n for f in fields if not f.on_line), default=0)
    if largest > _VERY_LARGE_FIELD:
        return 0
    return 1 if largest > _LARGE_FIELD else max(len(f.other_starts) for f in fields)


def _ranges_elsewhere(problem: Problem, cold: np.ndarray, unit: float, n_starts: int) -> Iterator[np.ndarray]:
    """The first start with other ranges and effects that are not small; the same change for all terms."""
    for i in range(n_starts):
        out = cold.copy()
        for term in problem.terms:
            if isinstance(term.structure, Field):
                others = term.structure.other_starts
                out[term.where.start] = max(abs(cold[term.where.start]), _NOT_SMALL * unit)
                out[term.where.start + 1 : term.where.stop] = others[i % len(others)]
        yield out


def _vague_correlation(problem: Problem, optimum: Optimum) -> bool:
    """Whether the one correlation of a structure is hardly determined, so that either sign may be a maximum."""
    if optimum.hessian is None:
        return False
    last = [term.where.stop - 1 for term in problem.terms if term.structure.one_correlation]
    return any(not optimum.hessian[j, j] > _LEAST_INFORMATION for j in last)


def search_elsewhere(
    optimum: Optimum,
    starts: Iterable[np.ndarray],
    limit: np.ndarray,
    *,
    objective: Callable[[], Target],
    curvature: Callable[[Target, np.ndarray], np.ndarray],
    optimise: Callable[[Target, np.ndarray, np.ndarray], Optimum],
    free: np.ndarray | None = None,
) -> tuple[Target | None, Optimum]:
    """Descend from other starts and keep the best.

    Parameters
    ----------
    optimum : Optimum
        Where the first start led.
    starts : iterable of ndarray
    limit : ndarray
        Step limits.
    objective, curvature, optimise : callable
        A fresh objective; its guess of the curvature at its last point; a full optimisation from a point with a guess
        of the curvature.
    free : ndarray of bool, optional
        Parameters to search; the others stay where the starts have them.

    Returns
    -------
    objective : callable or None
        That of a better optimum; None when the first one stays.
    optimum : Optimum
        With the counts of other starts and of other maxima, added to those before.
    """
    best = optimum
    best_objective: Target | None = None
    tried, lower, failures = 0, 0, 0
    evaluations = _most_evaluations(limit)
    for start in starts:
        trial = objective()
        if not np.isfinite(trial(start)[0]):
            continue
        tried += 1
        descent, guess = _without_given(trial, curvature(trial, start), free)
        x, value, edm = short_descent(descent, start, guess, limit, _LOOSE_EDM, evaluations)
        promising = value - edm < best.value - _HIGHER or not best.converged
        near = edm < _NEAR_END or (not best.converged and value < best.value - _LOWER)
        if promising and near and failures < _MOST_FAILURES:
            trial(x)
            found = optimise(trial, x, curvature(trial, x))
            failures += not found.converged
            if _better(found, best):
                lower += best.converged and best.value > found.value + _LOWER
                best, best_objective = found, trial
                continue
            value, edm = found.value, found.edm if found.converged else np.inf
        lower += bool(edm < _LOOSE_EDM and value > best.value + _LOWER)
    return best_objective, replace(
        best,
        n_other_starts=optimum.n_other_starts + tried,
        n_other_maxima=optimum.n_other_maxima + lower,
        higher_seen=max(best.value - optimum.value, optimum.higher_seen),
    )


def _without_given(
    objective: Objective, curvature: np.ndarray, free: np.ndarray | None
) -> tuple[Objective, np.ndarray]:
    """Objective and guess of its curvature without slopes along parameters that are given."""
    if free is None or free.all():
        return objective, curvature

    def flat(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(x)
        return value, np.where(free, gradient, 0.0)

    return flat, np.where(np.outer(free, free), curvature, np.diag(np.diag(curvature)))


def _better(new: Optimum, old: Optimum) -> bool:
    """Whether to prefer an optimum: a maximum to a point that is none, and the higher of two."""
    if new.converged != old.converged:
        return new.converged
    return new.value < old.value - _HIGHER


def other_starts(
    problem: Problem, x: np.ndarray, cold: np.ndarray, unit: float, limit: np.ndarray, n_starts: int
) -> Iterator[np.ndarray]:
    """Starts away from the first one, the same for the same model and data."""
    if n_starts_of_places(problem):
        yield from _ranges_elsewhere(problem, cold, unit, n_starts)
        return
    rng = np.random.default_rng(_SEED)
    plain = cold.copy()
    for part in problem.parts:
        if part.name in ("disp", "zi") and part.size > 1 and part.where.stop > part.where.start:
            # only the level: slopes of zero
            plain[part.where] = constant_coefficients(part, float(part.values(cold[part.where]).mean()))
    starts = [_with_effects(problem, x, unit, 1.0), _with_effects(problem, plain, unit, 0.3, flip=x)]
    if not problem.terms:
        starts = [plain]
    elif any(term.predictor != "cond" for term in problem.terms):
        # Laplace's likelihood may rise without bound along such terms, with a maximum where they are next to nothing
        starts.insert(0, _with_effects(problem, plain, unit, 0.3, elsewhere=_SMALL_OTHER_EFFECTS))
    while len(starts) < n_starts:
        size = float(np.exp(rng.uniform(-1.5, 0.7)))
        starts.append(_with_effects(problem, plain + 0.15 * limit * rng.normal(size=len(x)), unit, size))
    yield from starts[:n_starts]


def with_zero_inflation_elsewhere(problem: Problem, x: np.ndarray, cold: np.ndarray) -> list[np.ndarray]:
    """Starts for a mixture whose zero inflation vanished, none where that is an ordinary end.

    A zero inflation that differs between rows may be needed by some of them only, where the way from an equal share in
    all rows leads to none at all; and it may have taken the overdispersion away before it vanished itself.
    """
    parts = {part.name: part for part in problem.parts}
    if "zi" not in parts or problem.family.hurdle:
        return []
    zi = parts["zi"]
    if not zi.size or zi.values(x[zi.where]).max() > _VANISHED:
        return []
    out = []
    if zi.X is not None and (zi.size > 1 or zi.offset is not None):
        start = x.copy()
        start[zi.where] = _where_zeros_are(problem, zi)
        out.append(start)
    if problem.family.has_dispersion:
        start = cold.copy()
        start[zi.where] = x[zi.where]
        out.append(start)
    return out


def _where_zeros_are(problem: Problem, zi: LinearPart) -> np.ndarray:
    """Coefficients of a zero inflation of few rows: along what tells the zeros from other responses."""
    assert zi.X is not None
    zero = (problem.likelihood.y == 0.0).astype(np.float64)
    slopes = np.zeros(zi.size)
    if zi.size > 1:
        slopes = np.linalg.lstsq(zi.X, zero - zero.mean(), rcond=None)[0]
        slopes *= _ZERO_SPREAD / max(float(np.std(zi.X @ slopes)), 1e-300)
    level = np.linalg.lstsq(zi.X, np.ones(len(zi.X)), rcond=None)[0]
    return np.asarray(slopes + (_MOST_ZEROS - zi.values(slopes).max()) * level)


def _with_effects(
    problem: Problem,
    x: np.ndarray,
    unit: float,
    size: float,
    flip: np.ndarray | None = None,
    elsewhere: float | None = None,
) -> np.ndarray:
    """The same fixed part with random effects of this size, uncorrelated, or correlated against `flip`.

    `elsewhere` is the size outside of the conditional part, if another one.
    """
    out = x.copy()
    for term in problem.terms:
        structure = term.structure
        own = size if elsewhere is None or term.predictor == "cond" else elsewhere
        sd = np.full(structure.k, own * unit)
        if flip is None or structure.k == 1:
            out[term.where] = structure.start(sd)
        else:
            old = structure.factor(flip[term.where])
            out[term.where] = structure.opposed(sd, old @ old.T)
    return out


def with_small_effects(problem: Problem, simple: Problem, found: Optimum, unit: float, size: float) -> np.ndarray:
    """Parameters `found` for a simpler model without random effects, and effects of this size, uncorrelated."""
    x = np.zeros(problem.n_params)
    for part in problem.parts:
        if part.where.stop > part.where.start:
            x[part.where] = found.x[simple.part(part.name).where]
    return _with_effects(problem, x, unit, size)
