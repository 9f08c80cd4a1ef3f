"""Whether the random effects of one model are a special case of those of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmmcore.design import RandomTerm
    from glmmcore.estimation.solution import TermSolution

__all__ = ["AddedEffects", "added_effects", "spans"]

# Structures of the same columns of which each is a special case.
_ABOVE = {
    "homdiag": ("diag", "homcs", "cs", "ar1", "hetar1", "homtoep", "toep", "us"),
    "diag": ("cs", "hetar1", "toep", "us"),
    "homcs": ("cs", "homtoep", "toep", "us"),
    "cs": ("toep", "us"),
    "ar1": ("hetar1", "homtoep", "toep", "us"),
    "hetar1": ("toep", "us"),
    "homtoep": ("toep", "us"),
    "toep": ("us",),
    "us": (),
}
# What a structure of two columns is.
_OF_TWO = {"cs": "us", "toep": "us", "hetar1": "us", "ar1": "homcs", "homtoep": "homcs"}
# Structures of one standard deviation for all columns.
_COMMON = ("homdiag", "homcs", "ar1", "homtoep")
# Structures whose covariances, all variances vanishing, form no convex cone: no bound by a chi-square is known.
_NOT_CONVEX = ("cs", "ar1", "hetar1", "toep")


@dataclass(frozen=True, slots=True)
class AddedEffects:
    """Variances that only the large model has, in words, and what has no meaning without them."""

    edges: list[str]
    idle: str


def added_effects(small: Sequence[TermSolution], large: Sequence[TermSolution]) -> AddedEffects | str:
    """What the large model has besides; or why its random effects do not hold those of the small one."""
    held: list[list[RandomTerm]] = [[] for _ in large]
    for one in small:
        same_group = [i for i, t in enumerate(large) if _place(t) == _place(one)]
        if not _within(one.term, [large[i].term for i in same_group]):
            return "some random effects are only in the smaller model"
        # the narrowest that holds it, so that wider ones are left for others
        fitting = [i for i in same_group if _holds(large[i].term, held[i], one.term)]
        if not fitting:
            return f"the covariance of the effects by {one.term.group} is no special case of the larger model's"
        held[min(fitting, key=lambda i: len(large[i].term.columns))].append(one.term)
    edges: list[str] = []
    idle: list[str] = []
    for t, inner in zip(large, held, strict=True):
        new = _new_variances(t.term, inner)
        edges += new
        if new and t.term.places is not None:
            idle.append("its range")
        elif new and _kind(t.term) in _NOT_CONVEX:
            idle.append("its correlation")
    return AddedEffects(sorted(edges), " and ".join(dict.fromkeys(idle)))


def spans(large: np.ndarray, small: np.ndarray) -> bool:
    """Whether the columns of `small` are linear combinations of those of `large`."""
    if small.shape[1] == 0:
        return True
    if large.shape[1] == 0:
        return False
    size = np.sqrt(np.square(large).sum(axis=0))
    scaled = large / np.where(size > 0.0, size, 1.0)
    rest = small - scaled @ np.linalg.lstsq(scaled, small, rcond=None)[0]
    return bool(np.all(np.linalg.norm(rest, axis=0) <= 1e-7 * np.linalg.norm(small, axis=0)))


def _place(t: TermSolution) -> tuple[str, str]:
    return t.predictor, t.term.group


def _kind(term: RandomTerm) -> str:
    if term.places is not None:
        return term.structure
    if len(term.columns) == 1:
        return "us"
    return _OF_TWO.get(term.structure, term.structure) if len(term.columns) == 2 else term.structure


def _within(one: RandomTerm, others: list[RandomTerm]) -> bool:
    """Whether the columns of a term are among those of others, by name or as linear combinations."""
    if one.places is not None:
        return any(one.columns == other.columns for other in others)
    plain = [other for other in others if other.places is None]
    if not plain:
        return False
    return {*one.columns} <= {c for t in plain for c in t.columns} or spans(np.hstack([t.Z for t in plain]), one.Z)


def _holds(large: RandomTerm, already: list[RandomTerm], small: RandomTerm) -> bool:
    """Whether the large term has the covariances of the small one, beside those that it holds already."""
    if not _within(small, [large]):
        return False
    if small.places is not None or large.places is not None:
        return small.structure == large.structure and not already
    kind, below = _kind(large), _kind(small)
    if kind == "us":
        return True
    if not set(small.columns) <= set(large.columns):
        return False
    independent = len(small.columns) == 1 or below in ("diag", "homdiag")
    if already:
        taken = {c for term in already for c in term.columns}
        every = all(len(t.columns) == 1 or _kind(t) in ("diag", "homdiag") for t in already)
        return kind == "diag" and independent and every and not taken & set(small.columns)
    if set(small.columns) == set(large.columns):
        in_order = small.columns == large.columns or below in ("homdiag", "diag", "homcs", "cs")
        return in_order and (below == kind or kind in _ABOVE[below])
    if kind == "diag":
        return independent
    if kind == "cs":
        return below in ("homdiag", "diag", "homcs", "cs") or len(small.columns) <= 2
    return kind in ("hetar1", "toep") and len(small.columns) == 1


def _new_variances(large: RandomTerm, held: list[RandomTerm]) -> list[str]:
    """Variances of a term that are zero where it is no more than the terms that it holds."""
    if _kind(large) in _COMMON and len(large.columns) > 1:
        return [] if held else [f"the variance by {large.group}"]
    names = {c for term in held for c in term.columns}
    if names <= set(large.columns):
        return [f"the variance of {c} by {large.group}" for c in large.columns if c not in names]
    n_held = np.linalg.matrix_rank(np.hstack([term.Z for term in held]))
    return [f"the further variances by {large.group}"] * (len(large.columns) - int(n_held))
