"""Whether models can be compared: whether they are fits, and one a special case of another at the edge of its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["Nesting", "nesting", "require_fits", "spans"]


@runtime_checkable
class _Fit(Protocol):
    """What tells a `FittedGLMM`, which stands above this module, from anything else."""

    solution: Any


def require_fits(fits: dict[str, Any], caller: str) -> None:
    """Raise ModelError unless all that is given is fits."""
    for name, fit in fits.items():
        if not isinstance(fit, _Fit):
            raise ModelError(f"{caller}: '{name}' is no fit (FittedGLMM) but {type(fit).__name__}")


@dataclass(frozen=True, slots=True)
class Nesting:
    """Answer of `nesting`.

    Attributes
    ----------
    nested : bool
    n_boundary : int
        Parameters of the large model that the small one sets to the edge of their range.
    reason : str
        What is on the edge, or why the models are not nested.
    """

    nested: bool
    n_boundary: int
    reason: str


def nesting(small: FittedGLMM, large: FittedGLMM) -> Nesting:
    """Compare families, column spaces and random terms of two fits to the same rows."""
    edges: list[str] = []
    if small.family.link.name != large.family.link.name:
        return Nesting(False, 0, "the links differ")
    pair = (small.family.name, large.family.name)
    if pair[0] != pair[1]:
        if pair[0] not in large.family.special_cases:
            return Nesting(False, 0, f"{pair[0]} is no special case of {pair[1]}")
        edge = large.family.special_cases[pair[0]]
        edges += [edge] if edge is not None else []
    parts = {**dict.fromkeys(small.design.predictors), **dict.fromkeys(large.design.predictors)}
    for part in parts:
        problem = _part_problem(small, large, part)
        if problem is not None:
            return Nesting(False, 0, problem)
    if not large.design.fixed.items() <= small.design.fixed.items():
        return Nesting(False, 0, "the larger model is given values of parameters that the smaller one estimates")
    if not _same_relationships(small, large):
        return Nesting(False, 0, "levels covary in another way")
    if "zi" in large.design.predictors and "zi" not in small.design.predictors:
        edges += ["zero inflation"] * large.design.predictors["zi"].X.shape[1]
    added = _added_variances(small, large)
    if added is None:
        return Nesting(False, 0, "some random effects are only in the smaller model")
    edges += added
    if len(edges) > 1 and len(set(edges)) == 1:
        return Nesting(True, len(edges), f"{len(edges)} parameters of {edges[0]}")
    return Nesting(True, len(edges), " and ".join(dict.fromkeys(edges)))


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


def _part_problem(small: FittedGLMM, large: FittedGLMM, part: str) -> str | None:
    """Why the fixed effects of a part are not nested; None when they are."""
    a, b = small.design.predictors.get(part), large.design.predictors.get(part)
    if b is None:
        return None if part == "disp" and a is not None and a.X.shape[1] == 1 else f"part '{part}' is missing"
    if a is None:
        constant = np.ones((large.nobs, 1))
        return None if part == "zi" or spans(b.X, constant) else f"part '{part}' has no intercept"
    if not np.allclose(a.offset, b.offset):
        return f"the offsets of part '{part}' differ"
    return None if spans(b.X, a.X) else f"fixed effects of part '{part}' differ"


def _added_variances(small: FittedGLMM, large: FittedGLMM) -> list[str] | None:
    """Variances that only the large model has; None when the small one has some of its own."""
    held, wanted = _variances(small), _variances(large)
    if held - wanted:
        return None
    return [f"the variance of {column} by {group}" for _, group, column in sorted(wanted - held)]


def _same_relationships(small: FittedGLMM, large: FittedGLMM) -> bool:
    """Whether the levels of every grouping factor that both models have covary alike."""
    known = {t.term.group: t.term.relationship for t in large.solution.terms}
    for t in small.solution.terms:
        one, other = t.term.relationship, known.get(t.term.group)
        if t.term.group in known and one is not other and (one is None or other is None or not one.equals(other)):
            return False
    return True


def _variances(fit: FittedGLMM) -> set[tuple[str, str, str]]:
    return {(t.predictor, t.term.group, column) for t in fit.solution.terms for column in t.term.columns}
