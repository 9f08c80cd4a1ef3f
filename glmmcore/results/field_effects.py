"""Effects of places and times by themselves: at those of the fit, and kriged anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.results.joint_covariance import Combination, JointCovariance, RandomRows
from glmmcore.results.new_places import at_new_places

if TYPE_CHECKING:
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["field_effects"]

# New places that are looked at together: the cost is the cube of these and the places of the fit.
_AT_ONCE = 250


def field_effects(fit: FittedGLMM, newdata: Any, term: str | None) -> pd.DataFrame:
    """See `FittedGLMM.field`."""
    predictor, position, solution = _choose(fit, term)
    if newdata is None:
        levels = solution.term.levels.to_frame(index=False)
        codes = np.arange(len(levels))
        table = levels.assign(estimate=solution.modes[:, 0], se=_errors(fit, solution, codes))
        table.attrs |= {"component": predictor, "group": solution.term.group, "term": solution.term.columns[0]}
        return table
    frame = as_frame(newdata, "the new data")
    missing = {str(name): fit.data[name].iloc[:1].repeat(len(frame)).array for name in fit.data if name not in frame}
    filled = frame.assign(**missing)
    pieces = [
        _of_rows(fit, filled.iloc[lo : lo + _AT_ONCE], predictor, position, solution)
        for lo in range(0, len(frame), _AT_ONCE)
    ]
    estimate, se = np.concatenate(pieces, axis=1) if pieces else np.empty((2, 0))
    return pd.DataFrame({"estimate": estimate, "se": se}, index=frame.index)


def _choose(fit: FittedGLMM, term: str | None) -> tuple[str, int, TermSolution]:
    """Predictor, position and solution of the term that is asked for."""
    found = []
    for name, part in fit.design.predictors.items():
        for position, own in enumerate(part.terms):
            if own.places is not None:
                found.append((own.columns[0], own.structure, (name, position, fit.solution.of_term(own))))
    if not found:
        raise ModelError("field: the model has no effects of places or times, such as mat(x, y | 1) or ou(time | 1)")
    chosen = [each for label, structure, each in found if term is None or term in (label, structure)]
    if len(chosen) != 1:
        names = ", ".join(repr(label) for label, _, _ in found)
        raise ModelError(
            f"field: term={term!r} is none of {names}"
            if term is not None and not chosen
            else f"field: term= is {names}?"
        )
    return chosen[0]


def _of_rows(fit: FittedGLMM, frame: pd.DataFrame, predictor: str, position: int, solution: TermSolution) -> np.ndarray:
    """Estimates and standard errors of some rows, (2, m); NaN where a coordinate is missing."""
    encode: Any = fit.design.encode
    predictors, keep = encode(frame)
    out = np.full((2, len(frame)), np.nan)
    if not keep.any():
        return out
    term = predictors[predictor].terms[position]
    if (term.codes < 0).any():
        label = row_name(frame.index[keep], int(np.argmax(term.codes < 0)))
        raise ModelError(f"field: {label} is in a level of '{term.group}' that the fit has not seen")
    seen_there = at_new_places(fit, predictors)
    own = seen_there.solution.of_term(seen_there.design.predictors[predictor].terms[position])
    out[:, keep] = own.modes[term.codes, 0], _errors(seen_there, own, term.codes)
    return out


def _errors(fit: FittedGLMM, solution: TermSolution, codes: np.ndarray) -> np.ndarray:
    """Standard errors of predicting some effects, (m,)."""
    joint = JointCovariance(fit)
    part = joint.problem.part_of(solution.term)
    rows = RandomRows(part, np.ones((len(codes), 1)), codes)
    fixed = {"cond": np.zeros((len(codes), len(joint.problem.part("cond").columns)))}
    return np.asarray(np.sqrt(joint.variance(Combination(fixed, [rows]))))
