"""New responses and population means of a fitted model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from glmmcore.arguments import names_of, require_whole
from glmmcore.averages import average_over_normal
from glmmcore.errors import ModelError
from glmmcore.families.base import Family, Parameters
from glmmcore.memory import require_memory
from glmmcore.results.law import Law
from glmmcore.results.new_places import root_of_places

if TYPE_CHECKING:
    from glmmcore.design import RandomTerm
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = [
    "NewEffects",
    "draw_effects",
    "drawing",
    "groups_to_redraw",
    "population_mean",
    "require_draws",
    "responses",
    "simulate",
    "square_root",
]


def simulate(fit: FittedGLMM, n_sims: int, rng: np.random.Generator, random_effects: str | Iterable[str]) -> np.ndarray:
    """See `FittedGLMM.simulate`."""
    require_draws(n_sims, fit.nobs)
    wanted = groups_to_redraw(fit, random_effects)
    redrawn = [t for t in fit.solution.terms if t.term.group in wanted]
    if not redrawn:
        return fit.law.simulate(n_sims, rng)
    base = {name: np.array(v) for name, v in fit.solution.values.items()}
    for t in redrawn:
        base[t.predictor] = base[t.predictor] - _random_part(t, t.modes)
    effects = [NewEffects(t.predictor, t.term.Z, t.term.codes, drawing(fit, t)) for t in redrawn]
    out = np.empty((n_sims, fit.nobs))
    for s, response in enumerate(responses(fit.family, base, effects, fit.trials, n_sims, rng)):
        out[s] = response
    return out


@dataclass(frozen=True, slots=True, eq=False)
class NewEffects:
    """Random effects of one term, drawn anew for each response.

    Attributes
    ----------
    predictor : str
    Z : ndarray, shape (n, k)
    codes : ndarray of int, shape (n,)
        Level of each row among those drawn.
    draw : callable
        From a generator, effects of all levels, (L, k).
    """

    predictor: str
    Z: np.ndarray
    codes: np.ndarray
    draw: Callable[[np.random.Generator], np.ndarray]


def responses(
    family: Family,
    base: dict[str, np.ndarray],
    effects: Sequence[NewEffects],
    trials: np.ndarray | None,
    n_sims: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Responses (n,), one after the other, each with random effects of its own added to the predictors' values."""
    for _ in range(n_sims):
        values = dict(base)
        for own in effects:
            b = own.draw(rng)[own.codes]
            values[own.predictor] = values[own.predictor] + np.einsum("ij,ij->i", own.Z, b)
        yield Law(family, values, trials).simulate(1, rng)[0]


def require_draws(n_sims: Any, n_rows: int) -> None:
    """Refuse a number of responses that is none, or more than fit into the memory."""
    require_whole(n_sims, "n_sims", least=1)
    require_memory(8.0 * float(n_sims) * n_rows, f"simulate: {n_sims} responses of {n_rows} rows", "draw fewer at once")


def groups_to_redraw(fit: FittedGLMM, random_effects: str | Iterable[str]) -> set[str]:
    """Names of the groups to draw anew; the columns of a combination may come in any order."""
    known = {t.term.group for t in fit.solution.terms}
    if isinstance(random_effects, str):
        if random_effects == "conditional":
            return set()
        if random_effects == "unconditional":
            return known
        random_effects = [random_effects]
    if not isinstance(random_effects, Iterable):
        raise ModelError(f"random_effects: {random_effects!r} is no name of a group nor a list of such")
    by_columns = {frozenset(name.split(":")): name for name in known}
    wanted = {
        by_columns.get(frozenset(str(name).split(":")), name) for name in names_of(random_effects, "random_effects")
    }
    if wanted - known:
        raise ModelError(
            f"random_effects: no group {', '.join(sorted(map(repr, wanted - known)))}; choose 'conditional', "
            f"'unconditional' or among {', '.join(sorted(map(repr, known))) or 'no groups (the model has none)'}"
        )
    return wanted


def _random_part(t: TermSolution, coefficients: np.ndarray) -> np.ndarray:
    """Z b of one term, (n,)."""
    return np.einsum("ij,ij->i", t.term.Z, coefficients[t.term.codes])


def draw_effects(
    term: RandomTerm, root: np.ndarray, rng: np.random.Generator, n_levels: int | None = None
) -> np.ndarray:
    """New effects of all levels of a term, or of so many, (L, k); `root` is a square root of their covariance."""
    if term.relationship is None:
        return rng.standard_normal((len(term.levels) if n_levels is None else n_levels, len(root))) @ root.T
    return term.relationship.draw(len(root), rng) @ root.T


def drawing(fit: FittedGLMM, t: TermSolution) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws new effects of all levels of a term of a fit, (L, k)."""
    n_levels, term = len(t.term.levels), t.term
    if term.places is not None:
        of_places = root_of_places(fit, t, term.places)
        return lambda rng: of_places.apply(rng.standard_normal((n_levels, 1)))
    root = square_root(t.covariance)
    return lambda rng: draw_effects(term, root, rng)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """A square root that exists for singular matrices too."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def population_mean(fit: FittedGLMM) -> np.ndarray:
    """Mean of the response over new random effects, by quadrature in each predictor.

    Terms are independent, so the random part of a row's predictor is normal with variance sum z' Sigma z, times the
    variance of its level where levels covary; the mean of a zero-inflated response is the product of two such means,
    since the parts share no random effect.
    """
    values = {name: np.array(v) for name, v in fit.solution.values.items()}
    spread: dict[str, np.ndarray] = {}
    for t in fit.solution.terms:
        values[t.predictor] = values[t.predictor] - _random_part(t, t.modes)
        spread[t.predictor] = spread.get(t.predictor, 0.0) + t.row_variances(t.term.Z, t.term.codes)
    law = Law(fit.family, values, fit.trials)
    none = np.zeros(fit.nobs)
    mean = average_over_normal(
        lambda eta: fit.family.mean(law.trials, Parameters(eta, law.parameters.delta, law.parameters.psi)),
        law.eta,
        spread.get("cond", none),
    )
    if "zi" in values:
        mean = mean * average_over_normal(lambda zeta: special.expit(-zeta), law.zeta, spread.get("zi", none))
    return mean
