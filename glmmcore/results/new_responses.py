"""Draws of responses for new rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import row_values
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.formula.response import trials_in_response
from glmmcore.results.estimability import dropped_columns, not_estimable
from glmmcore.results.law import Law
from glmmcore.results.new_places import at_new_places, drawn_given_modes, root_of_places
from glmmcore.results.quantities import fixed_values
from glmmcore.results.simulation import (
    NewEffects,
    draw_effects,
    groups_to_redraw,
    require_draws,
    responses,
    square_root,
)
from glmmcore.results.unobserved_levels import deviations_of_unobserved

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import PredictorDesign, RandomTerm
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["column_of_fit", "known_trials", "simulate_new", "trials_of_rows", "weights_of_rows"]


def simulate_new(
    fit: FittedGLMM,
    newdata: Any,
    n_sims: int,
    rng: np.random.Generator,
    random_effects: str | Iterable[str],
    trials: str | ArrayLike | None,
    var_weights: str | ArrayLike | None = None,
) -> np.ndarray:
    """See `FittedGLMM.simulate`."""
    frame = as_frame(newdata, "the new data")
    require_draws(n_sims, len(frame))
    encode: Any = fit.design.encode
    predictors, keep = encode(frame)
    out = np.full((n_sims, len(frame)), np.nan)
    if not keep.any():
        return out
    rows = frame.loc[keep]
    redrawn = groups_to_redraw(fit, random_effects)
    seen, fit = fit, at_new_places(fit, predictors)
    base = fixed_values(fit, predictors, len(rows))[1]
    weights = weights_of_rows(fit, frame, var_weights, "simulate")
    if weights is not None:
        assert fit.family.weight_power is not None
        base["disp"] = base["disp"] + fit.family.weight_power * np.log(weights[keep])
    estimable = _estimable(predictors, rows.index)
    sizes = trials_of_rows(fit, frame, keep, trials, "simulate")
    effects = []
    for name, design in predictors.items():
        for position, term in enumerate(design.terms):
            solution = fit.solution.of_term(fit.design.predictors[name].terms[position])
            if term.group in redrawn:
                effects.append(_new_effects(fit, solution, term, rows))
                continue
            _require_known(term, rows.index)
            if solution.term.places is not None and solution.term.places.known is not None:
                fitted = seen.solution.of_term(seen.design.predictors[name].terms[position])
                draw = drawn_given_modes(seen, fitted, fit, solution)
                effects.append(NewEffects(name, term.Z, term.codes, draw))
            else:
                base[name] = base[name] + np.einsum("ij,ij->i", term.Z, solution.modes[term.codes])
                around = _of_levels_without_rows(solution, term)
                if around is not None:
                    effects.append(NewEffects(name, term.Z, term.codes, around))
    known = np.flatnonzero(keep)[estimable]
    if not effects:
        out[:, known] = Law(fit.family, base, sizes).simulate(n_sims, rng)[:, estimable]
        return out
    for s, response in enumerate(responses(fit.family, base, effects, sizes, n_sims, rng)):
        out[s, known] = response[estimable]
    return out


def _estimable(predictors: dict[str, PredictorDesign], labels: pd.Index) -> np.ndarray:
    """Mask (n,) of the rows that the data determine; the others are named in a warning."""
    estimable = np.logical_and.reduce([design.estimable for design in predictors.values()])
    if not estimable.all():
        named = [repr(v) for v in labels[~estimable].tolist()]
        dropped = [column for design in predictors.values() for column in dropped_columns(design)]
        warn_of_data(not_estimable("simulate", "row", named, dropped))
    return np.asarray(estimable)


def _require_known(term: RandomTerm, labels: pd.Index) -> None:
    """Refuse levels without a mode."""
    if (term.codes < 0).any():
        label = row_name(labels, int(np.argmax(term.codes < 0)))
        raise ModelError(
            f"the new data have a level of '{term.group}' that the fit has not seen ({label}); "
            f"simulate with random_effects=['{term.group}'] to draw its effect"
        )


def _of_levels_without_rows(
    solution: TermSolution, term: RandomTerm
) -> Callable[[np.random.Generator], np.ndarray] | None:
    """What draws the levels of a relationship about their modes, if new rows are of levels that had none in the fit."""
    if term.relationship is None or np.isin(term.codes, solution.term.codes).all():
        return None
    return deviations_of_unobserved(solution)


def _new_effects(fit: FittedGLMM, solution: TermSolution, term: RandomTerm, rows: pd.DataFrame) -> NewEffects:
    """What draws the effects of a term of new rows, whose `solution` is that of the same term of the fit."""
    if term.relationship is None and term.places is not None and term.place_codes is not None:
        # a draw of all places together, of the fit and new ones alike
        at_places = root_of_places(fit, solution, replace(term.places, known=None))
        n_places = term.places.n
        return NewEffects(
            solution.predictor,
            term.Z,
            term.place_codes,
            lambda rng: at_places.apply(rng.standard_normal((n_places, 1))),
        )
    root, codes, n_levels = square_root(solution.covariance), term.codes, None
    if term.relationship is None:
        # rows of one level share their effect, levels that the fit has not seen too
        codes, levels = pd.factorize(pd.MultiIndex.from_frame(rows[term.group.split(":")]))
        n_levels = len(levels)
    return NewEffects(solution.predictor, term.Z, codes, lambda rng: draw_effects(term, root, rng, n_levels))


def column_of_fit(fit: FittedGLMM, frame: pd.DataFrame, given: Any, argument: str) -> Any:
    """What was given; where nothing was, the column that the fit took ``trials`` or ``var_weights`` from, if there."""
    column = fit.design.formulas.get(argument)
    return column if given is None and column in frame else given


def known_trials(fit: FittedGLMM, frame: pd.DataFrame, given: Any) -> Any:
    """What was given as trials; else the column that the fit took them from, or the sums of its ``cbind``, if there."""
    given = column_of_fit(fit, frame, given, "trials")
    return trials_in_response(fit.formula, frame) if given is None else given


def weights_of_rows(fit: FittedGLMM, frame: pd.DataFrame, given: Any, caller: str) -> np.ndarray | None:
    """Variance weights of all new rows, (n,); None, with a warning if the fit had some, where none are given."""
    given = column_of_fit(fit, frame, given, "var_weights")
    if given is None:
        if fit.design.var_weights is not None:
            warn_of_data(f"{caller}: new responses are taken to have a weight of 1; var_weights= gives theirs")
        return None
    if fit.design.var_weights is None:
        raise ModelError(f"{caller}: the fit had no var_weights=")
    weights = _values_of_rows(given, frame, caller, "var_weights")
    if not (np.isfinite(weights).all() and (weights > 0.0).all()):
        row = row_name(frame.index, int(np.argmin(np.isfinite(weights) & (weights > 0.0))))
        raise ModelError(f"{caller}: var_weights must be positive numbers; that of {row} is not")
    return weights


def trials_of_rows(
    fit: FittedGLMM, frame: pd.DataFrame, keep: np.ndarray, given: Any, caller: str
) -> np.ndarray | None:
    """Numbers of trials of the new rows that are kept; None where the response is not k of n."""
    if fit.trials is None:
        if given is not None:
            raise ModelError(f"{caller}: the response of the model is not k of n, it takes no trials")
        return None
    given = known_trials(fit, frame, given)
    if given is None:
        raise ModelError(f"{caller}: give trials=, a column of the new data or an array, for a k-of-n response")
    trials = _values_of_rows(given, frame, caller, "trials")[keep]
    if not np.all(trials >= 0.0):
        row = row_name(frame.index[keep], int(np.argmin(trials >= 0.0)))
        raise ModelError(f"{caller}: trials must be numbers that are not negative; that of {row} is not")
    return trials


def _values_of_rows(given: Any, frame: pd.DataFrame, caller: str, argument: str) -> np.ndarray:
    """An argument that is a column's name, one number for all rows or a number for each, (n,)."""
    if isinstance(given, str):
        if given not in frame:
            raise ModelError(f"{caller}: column '{given}' of {argument}= is not in the new data")
        given = frame[given]
    elif np.ndim(given) == 0:
        given = np.full(len(frame), given)
    return row_values(given, f"{caller}: {argument}", frame.index)
