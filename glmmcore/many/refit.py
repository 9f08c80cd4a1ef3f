"""The same model for another response or for some of the rows, without formula work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.design import Design, PredictorDesign, RandomTerm
from glmmcore.errors import ModelError
from glmmcore.estimation.estimator import Estimator
from glmmcore.formula.rank import Aliasing
from glmmcore.memory import require_memory

if TYPE_CHECKING:
    from glmmcore.estimation.solution import Solution
    from glmmcore.fitted import FittedGLMM
    from glmmcore.formula.expressions import Expression

__all__ = ["refit", "refit_from", "start_of_refits", "written_out"]

# Variance of effects of places, in units of the residual one, from which the latter is all but zero.
_NO_NOISE = 100.0


def refit(fit: FittedGLMM, y: np.ndarray | None, rows: Any = None) -> FittedGLMM:
    """See `FittedGLMM.refit`."""
    if y is not None:
        _check_response(fit, y)
    if rows is not None:
        design = fit.design
        if y is not None:
            design = replace(design, response=replace(design.response, y=y))
        design = _subset(design, _positions(rows, fit.nobs))
        estimator = Estimator.build(design, fit.family, reml=fit.reml, n_agq=fit.estimator.n_agq)
        return type(fit)(estimator, estimator.fit())
    if y is None:
        raise ModelError("refit: give a response y, or rows to fit to")
    estimator = fit.estimator.with_response(y)
    return type(fit)(estimator, estimator.fit(start_of_refits(fit)))


def refit_from(fit: FittedGLMM, y: np.ndarray, x: np.ndarray) -> FittedGLMM:
    """Fit to another response y (n,) whose maximum was found at x (p,): no other starts, little but a Hessian."""
    estimator = fit.estimator.with_response(y)
    return type(fit)(estimator, estimator.fit(x, only=True))


def start_of_refits(fit: FittedGLMM) -> np.ndarray | None:
    """Where fits of other responses start: at the estimates, (p,), or as without a fit, None."""
    curvature = fit.solution.curvature
    # from a limit there is no way back: the likelihood is flat there, whatever the response
    at_limit = curvature is not None and curvature.flat.shape[1] > 0
    at_limit = at_limit or any(
        t.term.places is not None and t.covariance[0, 0] > _NO_NOISE * fit.sigma**2
        for t in fit.solution.terms
        if fit.estimator.linear
    )
    return None if at_limit else fit.solution.x


def written_out(fit: FittedGLMM, repeated: np.ndarray) -> tuple[Estimator, Solution]:
    """The model of a fit with frequencies, its rows at the positions `repeated`, and its maximum."""
    require_memory(8.0 * len(repeated) * 20.0, f"writing out {len(repeated):,} rows", "give counts as k of n")
    whole = fit.design
    design = replace(_subset(whole, repeated), freq_weights=None, complete=whole.complete, n_missing=whole.n_missing)
    estimator = Estimator.build(design, fit.family, reml=fit.reml, n_agq=fit.estimator.n_agq)
    return estimator, estimator.fit(fit.solution.x)


def _check_response(fit: FittedGLMM, y: np.ndarray) -> None:
    if not np.all(np.isfinite(y)):
        raise ModelError(f"refit: y is not finite at positions {np.flatnonzero(~np.isfinite(y))[:5].tolist()}")
    trials = np.ones(len(y)) if fit.trials is None else fit.trials
    fit.family.check_support(y, trials, zero_model="zi" in fit.design.predictors)


def _positions(rows: Any, n: int) -> np.ndarray:
    """Positions of the rows to keep, from a mask or from positions."""
    try:
        chosen = np.asarray(rows)
    except ValueError:  # items of unequal lengths
        chosen = np.empty((0, 0))
    if chosen.dtype == bool:
        if chosen.shape != (n,):
            raise ModelError(f"refit: rows has shape {chosen.shape}, the model has {n} rows")
        chosen = np.flatnonzero(chosen)
    elif (
        chosen.ndim != 1
        or chosen.dtype.kind not in "iu"
        or (len(chosen) and not -n <= chosen.min() <= chosen.max() < n)
    ):
        raise ModelError(f"refit: rows must be a mask of length {n} or positions below {n}")
    if not len(chosen):
        raise ModelError("refit: rows keeps no row")
    return chosen % n


def _subset(design: Design, rows: np.ndarray) -> Design:
    """Design of some rows: levels and columns that no longer occur are dropped."""
    predictors, aliasing, levels = {}, {}, {}
    for name, part in design.predictors.items():
        x = part.X[rows]
        aliasing[name] = found = Aliasing.of(x)
        terms = [_subset_term(term, rows) for term in part.terms]
        levels[name] = tuple(used for _, used in terms)
        predictors[name] = replace(
            replace(part, X=x).with_columns(found.kept),
            offset=part.offset[rows],
            terms=tuple(term for term, _ in terms),
            aliased=(*part.aliased, *(part.columns[j] for j in found.dropped)),
        )
    response = design.response
    return design.with_predictors(
        predictors,
        response=replace(
            response, y=response.y[rows], trials=None if response.trials is None else response.trials[rows]
        ),
        frame=design.frame.iloc[rows],
        n_missing=0,
        complete=None,
        freq_weights=None if design.freq_weights is None else design.freq_weights[rows],
        var_weights=None if design.var_weights is None else design.var_weights[rows],
        encode=_SubsetEncoder(design.encode, aliasing, levels, {n: p.aliased for n, p in predictors.items()}),
    )


def _subset_term(term: RandomTerm, rows: np.ndarray) -> tuple[RandomTerm, np.ndarray]:
    """Term of some rows, and which of its levels it keeps."""
    if term.places is not None:  # places without rows are places to predict at
        return replace(term, Z=np.ones((len(rows), 1)), codes=term.codes[rows]), np.arange(len(term.levels))
    used, codes = np.unique(term.codes[rows], return_inverse=True)
    if len(used) < 2:
        raise ModelError(f"refit: the rows hold only one level of grouping factor '{term.group}'")
    if term.relationship is not None:  # its levels stay, observed or not
        used, codes = np.arange(len(term.levels)), term.codes[rows]
    kept = replace(term, Z=np.ascontiguousarray(term.Z[rows]), codes=codes.astype(np.int32), levels=term.levels[used])
    return kept, used


@dataclass(frozen=True, slots=True, eq=False)
class _SubsetEncoder:
    """The encoder of all rows, in terms of the columns and levels that some rows have."""

    encode: Any
    aliasing: dict[str, Aliasing]
    levels: dict[str, tuple[np.ndarray, ...]]
    aliased: dict[str, tuple[str, ...]]

    def __call__(self, newdata: Any, *, groups: bool = True) -> tuple[dict[str, PredictorDesign], np.ndarray]:
        predictors, keep = self.encode(newdata, groups=groups)
        out = {}
        for name, part in predictors.items():
            terms = []
            for term, used in zip(part.terms, self.levels[name], strict=False):
                if term.places is not None:
                    terms.append(term)
                    continue
                place = np.minimum(np.searchsorted(used, term.codes), len(used) - 1)
                codes = np.where(used[place] == term.codes, place, -1).astype(np.int32)
                terms.append(replace(term, codes=codes, levels=term.levels[used]))
            found = self.aliasing[name]
            outside = [] if part.outside is None else [part.outside]
            outside += [found.outside(part.X)] if found.dropped else []
            out[name] = replace(
                part.with_columns(found.kept),
                terms=tuple(terms),
                aliased=self.aliased[name],
                outside=np.hstack(outside) if outside else None,
            )
        return out, keep

    @property
    def states(self) -> dict[Any, dict[str, Any]]:
        """What transforms remember of the data of the fit."""
        return self.encode.states

    @property
    def offsets(self) -> tuple[Expression, ...]:
        """Addends of the offset of the conditional part."""
        return self.encode.offsets

    @property
    def fixed_kinds(self) -> dict[str, str]:
        """Kinds of the columns of fixed parts."""
        return self.encode.fixed_kinds

    @property
    def left_kinds(self) -> dict[str, str]:
        """Kinds of the columns in the left sides of bars."""
        return self.encode.left_kinds

    @property
    def place_kinds(self) -> dict[str, str]:
        """Kinds of the columns in coordinates."""
        return self.encode.place_kinds

    @property
    def factors(self) -> frozenset[str]:
        """Columns that are factors in fixed parts."""
        return self.encode.factors

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Columns of the grouping factors."""
        return self.encode.group_columns
