"""A fit seen at more places and times than it has rows at: kriging as one more way to have levels without rows.

The effect of a new place given the data has the mean k'w, k its covariances with the places of the fit and w the
weights of these, and the variance that the linear algebra of the model gives a level without rows. The new places are
therefore made levels of the fit, and everything else (standard errors with the uncertainty of all parameters,
combinations with other effects) is that of any level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from glmmcore.covariance import FIELDS

if TYPE_CHECKING:
    from glmmcore.covariance import Places
    from glmmcore.design import PredictorDesign, RandomTerm
    from glmmcore.engines.roots import LevelRoot
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["at_new_places", "drawn_given_modes", "n_new_places", "root_of_places"]


def n_new_places(predictors: dict[str, PredictorDesign]) -> int:
    """How many places of dense fields the rows of a design have beyond those of the fit, in the largest term."""
    return max(
        (
            term.places.n - len(term.places.known)
            for part in predictors.values()
            for term in part.terms
            if term.places is not None and term.places.known is not None and _is_dense(term, term.places)
        ),
        default=0,
    )


def _is_dense(term: RandomTerm, places: Places) -> bool:
    return FIELDS[term.structure](places).covarying == "dense"


def at_new_places(fit: FittedGLMM, predictors: dict[str, PredictorDesign]) -> FittedGLMM:
    """The same fit with the places of some rows among its levels; the fit itself where there are no new ones.

    Parameters
    ----------
    fit : FittedGLMM
    predictors : dict of str to PredictorDesign
        Of the rows, from the encoder of the fit.
    """
    from glmmcore.estimation.estimator import Estimator

    more: dict[int, TermSolution] = {}
    parts = {}
    for name, part in fit.design.predictors.items():
        own = []
        for fitted, new in zip(part.terms, predictors[name].terms, strict=True):
            extended = fitted
            if new.places is not None and new.places.known is not None:
                codes = new.places.known[fitted.codes].astype(np.int32)
                extended = replace(fitted, codes=codes, levels=new.levels, places=new.places)
                more[id(fitted)] = _extended(fit.solution.of_term(fitted), extended, fit)
            own.append(extended)
        parts[name] = replace(part, terms=tuple(own))
    if not more:
        return fit
    design = replace(fit.design, predictors=parts)
    estimator = Estimator.build(design, fit.family, reml=fit.reml, n_agq=fit.estimator.n_agq)
    solution = replace(fit.solution, terms=tuple(more.get(id(t.term), t) for t in fit.solution.terms))
    out = type(fit)(estimator, solution)
    if fit.estimator.linear:  # no need to make the Hessian again
        out.__dict__["curvature"] = fit.curvature
        out.__dict__["joint_curvature"] = fit.joint_curvature
    return out


def _extended(solution: TermSolution, term: RandomTerm, fit: FittedGLMM) -> TermSolution:
    """Solution of a term with more places: modes by the covariances with those of the fit."""
    places, weights = term.places, solution.weights
    assert places is not None and places.known is not None and weights is not None
    all_weights = np.zeros(places.n)
    all_weights[places.known] = weights
    modes = root_of_places(fit, solution, places).multiply(all_weights)[:, None]
    modes[places.known] = solution.modes
    return replace(
        solution,
        term=term,
        modes=modes,
        node_modes=modes,
        mode_covariance=np.full((places.n, 1, 1), np.nan),
        weights=all_weights,
    )


def drawn_given_modes(
    fit: FittedGLMM, fitted: TermSolution, at_new: FittedGLMM, extended: TermSolution
) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws the effects of all places (q, 1): new ones given the modes of those of the fit, which stay.

    `fitted` is a term of the fit, `extended` the same of the fit `at_new` places.

    A draw of all places is moved by what its values at the places of the fit say about the others (Matheron's way).
    Where places are given neighbours, new ones have theirs among all others for the draw, so that they covary as they
    should, and among those of the fit for their means.
    """
    places = extended.term.places
    assert places is not None and places.known is not None and fitted.term.places is not None
    known, every = places.known, root_of_places(at_new, extended, places)
    own = root_of_places(fit, fitted, fitted.term.places)
    joint = every if places.neighbours is None else root_of_places(at_new, extended, replace(places, known=None))

    def draw(rng: np.random.Generator) -> np.ndarray:
        field = joint.apply(rng.standard_normal(places.n))
        weights = np.zeros(places.n)
        if own.scale > 0.0:
            weights[known] = own.solve(field[known])
        moved = field - every.multiply(weights)
        moved[known] = 0.0
        return np.asarray(extended.modes + moved[:, None])

    return draw


def root_of_places(fit: FittedGLMM, solution: TermSolution, places: Places) -> LevelRoot:
    """Root of the covariance of effects at some places, in the user's units."""
    part = fit.estimator.problem.part_of(solution.term)
    theta = fit.solution.x[part.where].copy()
    theta[0] = np.sqrt(solution.covariance[0, 0])
    return FIELDS[solution.term.structure](places).root(theta)
