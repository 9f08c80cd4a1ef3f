"""Weights of contrasts of means: pairs, comparisons with the first, steps, trends, deviations, products of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array
from glmmcore.errors import ModelError

__all__ = ["CONTRASTS", "Contrasts", "contrast_weights"]

Contrasts = str | Mapping[str, Any]
_DEGREES = ("linear", "quadratic", "cubic", "quartic")
# Polynomial contrasts are printed as the smallest whole numbers, tried up to this multiple, and otherwise normed.
_LARGEST_MULTIPLE = 1000
# Higher trends are left out.
_HIGHEST_DEGREE = 6


def contrast_weights(
    given: Contrasts, cells: pd.DataFrame, sign: str, reference: Mapping[str, Any] | None = None
) -> tuple[list[str], np.ndarray]:
    """Names and weights (k, m) of contrasts of m means.

    Parameters
    ----------
    given : str or mapping
        A key of `CONTRASTS`; names with weights of the means in their order; or columns of `cells` with a key of
        `CONTRASTS` each, whose products are contrasts of contrasts.
    cells : DataFrame, shape (m, columns)
        Values that tell the means apart.
    sign : str
        Between the names of means, ``"-"`` or ``"/"``.
    reference : mapping of str to object, optional
        Levels of columns with which ``"dunnett"`` compares; the first in columns without.
    """
    first = dict(reference or {})
    labels = [" ".join(str(value) for value in row) for row in cells.itertuples(index=False)]
    if isinstance(given, str):
        numbers = cells.iloc[:, 0] if cells.shape[1] == 1 else None
        return _made(given, labels, sign, numbers, _place(cells, first))
    if not isinstance(given, Mapping):
        raise ModelError(f"contrasts must be {_choices()}, or a mapping of names to weights, not {given!r:.200}")
    if given and all(isinstance(kind, str) for kind in given.values()):
        return _products(given, cells, sign, first)
    names, rows = [], []
    for name, weights in given.items():
        row = real_array(weights, f"contrast '{name}'")
        if not np.isfinite(row).all():
            raise ModelError(f"contrast '{name}' has weights that are no finite numbers")
        if row.shape != (len(labels),):
            raise ModelError(f"contrast '{name}' has {row.size} weights for {len(labels)} means ({', '.join(labels)})")
        names.append(str(name))
        rows.append(row)
    return names, np.array(rows).reshape(len(rows), len(labels))


def _place(cells: pd.DataFrame, reference: Mapping[str, Any]) -> int:
    """Position of the mean that others are compared with."""
    wanted = [reference.get(str(name), cells[name].iloc[0]) for name in cells] if len(cells) else []
    found = np.flatnonzero([list(row) == wanted for row in cells.itertuples(index=False)])
    return int(found[0]) if len(found) else 0


def _products(
    given: Mapping[str, str], cells: pd.DataFrame, sign: str, reference: Mapping[str, Any]
) -> tuple[list[str], np.ndarray]:
    """Contrasts of each column's levels, multiplied over the columns."""
    if set(given) != set(cells.columns):
        raise ModelError(f"contrasts of contrasts need one kind for each of {', '.join(map(str, cells.columns))}")
    names, rows = [""], np.ones((1, len(cells)))
    for column in cells.columns:
        levels = list(dict.fromkeys(cells[column]))
        at = levels.index(reference[column]) if reference.get(column) in levels else 0
        own, weights = _made(given[column], [str(v) for v in levels], sign, pd.Series(levels), at)
        place = cells[column].map({level: j for j, level in enumerate(levels)}).to_numpy(dtype=int)
        rows = (rows[:, None, :] * weights[None, :, place]).reshape(-1, len(cells))
        names = [f"{a} : {b}" if a else b for a in names for b in own]
    return names, rows


def _made(
    kind: str, labels: list[str], sign: str, numbers: pd.Series | None, reference: int
) -> tuple[list[str], np.ndarray]:
    if kind not in CONTRASTS:
        hint = f"; emmeans' {kind!r} is {ELSEWHERE[kind]}" if kind in ELSEWHERE else ""
        raise ModelError(f"contrasts must be {_choices()}, or a mapping of names to weights, not {kind!r}{hint}")
    names, rows = CONTRASTS[kind](_Means(labels, numbers, reference), sign)
    return names, np.array(rows).reshape(len(names), len(labels))


def _choices() -> str:
    return ", ".join(map(repr, CONTRASTS))


Made = tuple[list[str], Sequence[np.ndarray]]


class _Means(NamedTuple):
    """What contrasts know of the means: their names, their values if these are numbers, and the one to compare with."""

    labels: list[str]
    numbers: pd.Series | None
    reference: int


def _pairwise(means: _Means, sign: str) -> Made:
    labels = means.labels
    unit, m = np.eye(len(labels)), len(labels)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    return [f"{labels[i]} {sign} {labels[j]}" for i, j in pairs], [unit[i] - unit[j] for i, j in pairs]


def _dunnett(means: _Means, sign: str) -> Made:
    labels, reference = means.labels, means.reference
    unit, rest = np.eye(len(labels)), [i for i in range(len(labels)) if i != reference]
    return [f"{labels[i]} {sign} {labels[reference]}" for i in rest], [unit[i] - unit[reference] for i in rest]


def _sequential(means: _Means, sign: str) -> Made:
    labels = means.labels
    unit, rest = np.eye(len(labels)), range(1, len(labels))
    return [f"{labels[i]} {sign} {labels[i - 1]}" for i in rest], [unit[i] - unit[i - 1] for i in rest]


def _effect(means: _Means, _: str) -> Made:
    m = len(means.labels)
    return [f"{label} effect" for label in means.labels], list(np.eye(m) - 1.0 / m)


def _polynomial(means: _Means, _: str) -> Made:
    """Orthogonal trends over levels at equal distances, or over the levels themselves if they are numbers."""
    m, numbers = len(means.labels), means.numbers
    at = np.arange(m, dtype=float)
    if numbers is not None and pd.api.types.is_numeric_dtype(numbers) and not pd.api.types.is_bool_dtype(numbers):
        at = numbers.to_numpy(dtype=float)
    degree = min(m - 1, _HIGHEST_DEGREE)
    if degree < 1:
        return [], []
    centred = (at - at.mean()) / np.ptp(at)
    basis, root = np.linalg.qr(np.vander(centred, degree + 1, increasing=True))
    trends = (basis * np.sign(np.diag(root)))[:, 1:].T
    names = [_DEGREES[j] if j < len(_DEGREES) else f"degree {j + 1}" for j in range(degree)]
    return names, [_whole_numbers(trend) for trend in trends]


def _whole_numbers(weights: np.ndarray) -> np.ndarray:
    weights = np.where(np.abs(weights) < 1e-10, 0.0, weights)
    weights = weights / np.abs(weights[weights != 0.0]).min()
    for multiple in range(1, _LARGEST_MULTIPLE):
        rounded = np.round(multiple * weights)
        if np.allclose(multiple * weights, rounded, rtol=0.0, atol=1e-8 * multiple):
            return np.asarray(rounded)
    return np.asarray(weights / np.sqrt(np.square(weights).sum()))


CONTRASTS: dict[str, Callable[[_Means, str], Made]] = {
    "pairwise": _pairwise,
    "dunnett": _dunnett,
    "sequential": _sequential,
    "polynomial": _polynomial,
    "effect": _effect,
}
"""By name, functions of the means and the sign between their names."""

ELSEWHERE = {
    "tukey": "contrasts='pairwise' (Tukey's adjustment is its default)",
    "revpairwise": "contrasts='pairwise'",
    "trt.vs.ctrl": "contrasts='dunnett'",
    "consec": "contrasts='sequential'",
    "poly": "contrasts='polynomial'",
    "eff": "contrasts='effect'",
}
"""Names of emmeans for these."""
