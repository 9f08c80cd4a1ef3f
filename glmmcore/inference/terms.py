"""Terms of fixed parts, which of them others contain, and hypotheses about those."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["Term", "containing", "part_of", "terms_of", "type_three", "type_two_by_columns"]

Term = tuple[str, ...]

# Weights below this share of the largest are zero.
_ROUNDING = 1e-12


def part_of(fit: FittedGLMM, part: str) -> PredictorDesign:
    """Design of a part."""
    if not isinstance(part, str) or part not in fit.design.predictors:
        raise ModelError(f"the model has no part {part!r:.200}; it has {', '.join(fit.design.predictors)}")
    return fit.design.predictors[part]


def terms_of(fit: FittedGLMM, part: str) -> dict[Term, list[int]]:
    """Positions of the estimated columns of every term, by its factors; the intercept is no term."""
    out: dict[Term, list[int]] = {}
    design = part_of(fit, part)
    free = fit.estimator.problem.part(part).free
    for position, factors in enumerate(design.column_terms):
        if factors and free[position]:
            out.setdefault(factors, []).append(position)
    return out


def containing(factors: Term, terms: Iterable[Term]) -> list[Term]:
    """Terms that contain the term of these factors, as an interaction contains its main effects."""
    return [other for other in terms if set(factors) < set(other)]


def type_two_by_columns(fit: FittedGLMM, part: str, factors: Term) -> np.ndarray:
    """Weights (q, p) of the coefficients in the type II hypothesis about a term, as of SAS and lmerTest.

    With X1 and X2 the columns of the term and of those that contain it, less what all other columns explain of them,
    the hypothesis is b1 + (X1'X1)^-1 X1'X2 b2 = 0.
    """
    design = part_of(fit, part)
    terms = terms_of(fit, part)
    own = terms[factors]
    above = [j for other in containing(factors, terms) for j in terms[other]]
    out = np.eye(design.X.shape[1])[own]
    if not above:
        return out
    frequency = fit.design.freq_weights
    x = design.X if frequency is None else design.X * np.sqrt(frequency)[:, None]
    rest = np.setdiff1d(np.arange(x.shape[1]), own + above)
    left = x[:, own + above] - x[:, rest] @ np.linalg.lstsq(x[:, rest], x[:, own + above], rcond=None)[0]
    out[:, above] = np.linalg.lstsq(left[:, : len(own)], left[:, len(own) :], rcond=None)[0]
    return out


def type_three(fit: FittedGLMM, part: str, factors: Term) -> np.ndarray:
    """Weights (q, p) of the coefficients in the type III hypothesis about a term.

    Differences between the levels of its factors, and slopes of its numbers, averaged over all levels of the factors
    that interact with it, each counting the same; numbers that do so are at zero.
    """
    design = part_of(fit, part)
    terms = terms_of(fit, part)
    own, above = terms[factors], containing(factors, terms)
    if not above:
        return np.eye(design.X.shape[1])[own]
    encode: Any = fit.design.encode
    kinds, involved = encode.fixed_kinds, dict.fromkeys(name for term in above for name in term)
    strange = [name for name in involved if name not in kinds]
    if strange:
        raise ModelError(
            f"wald_tests: type III tests of terms that interact are of plain columns, and '{strange[0]}' is none; make "
            "a column of it, or use kind='II'"
        )
    if design.aliased:
        raise ModelError(
            f"wald_tests: combinations without rows ({', '.join(design.aliased[:5])}) leave type III hypotheses "
            "undetermined; use kind='II'"
        )
    values, weights = [], np.ones((1, 1))
    for name in involved:
        is_factor = name in encode.factors or kinds[name] == "categorical"
        levels = pd.Series(fit.data[name].unique()).sort_values(ignore_index=True) if is_factor else None
        own_values, own_weights = _marginal_hypothesis(levels, tested=name in factors)
        values.append(own_values)
        weights = np.kron(weights, own_weights)
    cells = np.array(list(product(*(range(len(own)) for own in values))))
    rows = fit.data.iloc[[0] * len(cells)].reset_index(drop=True)
    for j, name in enumerate(involved):
        rows[name] = values[j].array.take(cells[:, j])
    out = weights @ encode(rows, groups=False)[0][part].X
    out[np.abs(out) < _ROUNDING * np.abs(out).max()] = 0.0
    return np.asarray(out)


def _marginal_hypothesis(levels: pd.Series | None, *, tested: bool) -> tuple[pd.Series, np.ndarray]:
    """Values of one column and weights (q, m) of the means there.

    Differences from the first level, or the slope of a number, if the column is tested; else the mean over its levels,
    or the number at zero.
    """
    if levels is None:
        return (pd.Series([0.0, 1.0]), np.array([[-1.0, 1.0]])) if tested else (pd.Series([0.0]), np.ones((1, 1)))
    m = len(levels)
    return levels, np.eye(m)[1:] - np.eye(m)[0] if tested else np.full((1, m), 1.0 / m)
