"""Designs of the same model with other numbers of rows and of groups, made of the rows of a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.design import Design, PredictorDesign, RandomTerm

__all__ = ["resized"]


def resized(design: Design, n: int | None, groups: dict[str, int]) -> Design:
    """Design with other numbers of levels of grouping factors, then with `n` rows; one without frequencies.

    Levels are copied with all their rows, the copies being levels of their own, and with them the levels of factors
    nested in them; rows are copied within their groups. What is not a whole number of copies is made up of levels, or
    of rows of every group, at equal distances in the order of the fixed effects' columns, so that shares of treatments
    stay.
    """
    rows = np.arange(design.nobs)
    codes = {id(t): t.codes.astype(np.int64) for part in design.predictors.values() for t in part.terms}
    for name, number in groups.items():
        rows, codes = _with_levels(design, name, number, rows, codes)
    if n is not None and n != len(rows):
        whole, rest = divmod(n, len(rows))
        taken = np.concatenate([*[np.arange(len(rows))] * whole, _thinned(design, rows, codes, rest)]).astype(int)
        rows, codes = rows[taken], {key: own[taken] for key, own in codes.items()}
    return _of_rows(design, rows, codes)


def _with_levels(
    design: Design, name: str, number: int, rows: np.ndarray, codes: dict[int, np.ndarray]
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    terms = [t for part in design.predictors.values() for t in part.terms]
    own = next((codes[id(t)] for t in terms if t.group == name), None)
    if own is None:
        known = ", ".join(dict.fromkeys(t.group for t in terms)) or "none"
        raise ModelError(f"power: there is no grouping factor '{name}'; the model has {known}")
    n_levels = int(own.max()) + 1
    x = design.predictors["cond"].X[rows]
    means = np.stack([np.bincount(own, column, n_levels) for column in x.T]) / np.bincount(own, minlength=n_levels)
    levels = _spread(np.lexsort(means), number)
    copies = np.array([int(np.sum(levels[:i] == level)) for i, level in enumerate(levels)])
    members = [np.flatnonzero(own == level) for level in range(n_levels)]
    taken = np.concatenate([members[level] for level in levels])
    copy = np.repeat(copies, [len(members[level]) for level in levels])
    related = {id(t): t.group for t in terms if t.relationship is not None}
    out = {}
    for key, old in codes.items():
        nested = len(np.unique(np.column_stack([old, own]), axis=0)) == len(np.unique(old))
        if nested and key in related:
            raise ModelError(f"power: levels of '{related[key]}' have known relationships, which copies would not have")
        out[key] = _numbered(old[taken], copy) if nested else old[taken]
    return rows[taken], out


def _spread(order: np.ndarray, number: int) -> np.ndarray:
    """`number` of the things in `order`: as many whole copies as fit, and some at equal distances."""
    whole, rest = divmod(number, len(order))
    between = order[np.floor((np.arange(rest) + 0.5) * len(order) / max(rest, 1)).astype(int)]
    return np.concatenate([*[np.sort(order)] * whole, np.sort(between)]).astype(int)


def _thinned(design: Design, rows: np.ndarray, codes: dict[int, np.ndarray], number: int) -> np.ndarray:
    """Positions of `number` of the rows: of every group one, if there are as many, and a share of its others.

    Within a group they are at equal distances in the order of the fixed effects' columns, those with few values first.
    They begin elsewhere in each, by multiples of the golden ratio, so that groups of one row of each treatment do not
    all keep the same one.
    """
    x = design.predictors["cond"].X[rows]
    x = x[:, np.argsort([len(np.unique(column)) for column in x.T], kind="stable")]
    finest = max(codes.values(), key=lambda own: int(own.max()), default=np.zeros(len(rows), dtype=np.int64))
    order = np.lexsort([*x.T[::-1], finest])
    sizes = np.unique(finest, return_counts=True)[1]
    kept = _shares(sizes, number)
    starts = np.cumsum(sizes) - sizes
    phases = np.arange(1, len(sizes) + 1) * (np.sqrt(5.0) - 1.0) / 2.0 % 1.0
    taken = [
        order[start + np.floor((np.arange(k) + phase) * size / max(k, 1)).astype(int)]
        for start, size, k, phase in zip(starts, sizes, kept, phases, strict=True)
    ]
    return np.sort(np.concatenate(taken))


def _shares(sizes: np.ndarray, number: int) -> np.ndarray:
    """Split `number` over groups of these sizes: one for each, if that is enough, and the rest by their sizes."""
    least = 1 if number >= len(sizes) else 0
    ends = np.cumsum(sizes - least) / max(float(np.sum(sizes - least)), 1.0)
    return least + np.diff(np.rint(ends * (number - least * len(sizes))), prepend=0.0).astype(int)


def _numbered(*keys: np.ndarray) -> np.ndarray:
    """Number the distinct combinations."""
    if len(keys) == 1:
        return np.unique(keys[0], return_inverse=True)[1]
    return np.unique(np.column_stack(keys), axis=0, return_inverse=True)[1].ravel()


def _of_rows(design: Design, rows: np.ndarray, codes: dict[int, np.ndarray]) -> Design:
    def taken(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.ascontiguousarray(values[rows])

    predictors = {name: _part(part, rows, codes) for name, part in design.predictors.items()}
    return replace(
        design,
        response=replace(design.response, y=design.response.y[rows], trials=taken(design.response.trials)),
        predictors=predictors,
        frame=design.frame.iloc[rows].reset_index(drop=True),
        n_missing=0,
        complete=None,
        var_weights=taken(design.var_weights),
    )


def _part(part: PredictorDesign, rows: np.ndarray, codes: dict[int, np.ndarray]) -> PredictorDesign:
    x = np.ascontiguousarray(part.X[rows])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise ModelError(
            f"power: {len(rows)} rows do not determine the {x.shape[1]} coefficients; take more rows or groups"
        )
    return replace(part, X=x, offset=part.offset[rows], terms=tuple(_term(t, rows, codes[id(t)]) for t in part.terms))


def _term(term: RandomTerm, rows: np.ndarray, codes: np.ndarray) -> RandomTerm:
    z = np.ascontiguousarray(term.Z[rows])
    if term.relationship is not None:  # levels without rows count
        return replace(term, Z=z, codes=codes.astype(np.int32))
    numbers = _numbered(codes)
    n_levels = int(numbers.max()) + 1
    if n_levels < 2:
        raise ModelError(f"power: the design has only one level of grouping factor '{term.group}'; take more")
    return replace(term, Z=z, codes=numbers.astype(np.int32), levels=pd.RangeIndex(n_levels))
