"""Whether models can be compared: whether they are fits, and one a special case of another at the edge of its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.inference.nested_effects import added_effects, spans

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


# Families' edges that are a dispersion, of which a model of the dispersion has one a coefficient.
_DISPERSION_EDGES = ("overdispersion", "linear overdispersion")


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
    idle : str
        What has no meaning in the small model (ranges, correlations of vanished effects), so that no mixture of
        chi-squares holds; empty for none.
    """

    nested: bool
    n_boundary: int
    reason: str
    idle: str = ""


def nesting(small: FittedGLMM, large: FittedGLMM) -> Nesting:
    """Compare families, column spaces and random terms of two fits to the same rows."""
    edges: list[str] = []
    if small.family.link.name != large.family.link.name:
        return Nesting(False, 0, "the links differ")
    pair = (small.family.name, large.family.name)
    if pair[0] != pair[1]:
        if pair[0] not in large.family.special_cases:
            return Nesting(False, 0, f"{pair[0]} is no special case of {pair[1]}")
        dispersion = large.design.predictors.get("disp")
        for edge in large.family.special_cases[pair[0]]:
            many = edge in _DISPERSION_EDGES and dispersion is not None
            edges += [edge] * (dispersion.X.shape[1] if many and dispersion is not None else 1)
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
    effects = added_effects(small.solution.terms, large.solution.terms)
    if isinstance(effects, str):
        return Nesting(False, 0, effects)
    edges += effects.edges
    if len(edges) > 1 and len(set(edges)) == 1:
        return Nesting(True, len(edges), f"{len(edges)} parameters of {edges[0]}", effects.idle)
    return Nesting(True, len(edges), " and ".join(dict.fromkeys(edges)), effects.idle)


def _part_problem(small: FittedGLMM, large: FittedGLMM, part: str) -> str | None:
    """Why the fixed effects of a part are not nested; None when they are."""
    a, b = small.design.predictors.get(part), large.design.predictors.get(part)
    if b is None:
        return None if part == "disp" and a is not None and a.X.shape[1] == 1 else f"part '{part}' is missing"
    if a is None:
        constant = np.ones((large.nobs, 1))
        return None if part == "zi" or spans(b.X, constant) else f"part '{part}' has no intercept"
    if not spans(b.X, (a.offset - b.offset)[:, None]):
        return f"the offsets of part '{part}' differ"
    return None if spans(b.X, a.X) else f"fixed effects of part '{part}' differ"


def _same_relationships(small: FittedGLMM, large: FittedGLMM) -> bool:
    """Whether the levels of every grouping factor that both models have covary alike."""
    known = {t.term.group: t.term.relationship for t in large.solution.terms}
    for t in small.solution.terms:
        one, other = t.term.relationship, known.get(t.term.group)
        if t.term.group in known and one is not other and (one is None or other is None or not one.equals(other)):
            return False
    return True
