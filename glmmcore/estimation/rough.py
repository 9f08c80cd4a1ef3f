"""A search for the neighbourhood of a maximum in a cheaper model.

Fields of many places are given a few neighbours each. What they depend on is given a third or a quarter of that first:
an evaluation then costs a tenth, and the maximum is close to the other one.
"""

from __future__ import annotations

from dataclasses import replace

from glmmcore.design import Design, RandomTerm

__all__ = ["rougher"]

# Neighbours of a first search, where twice as many are asked for, and places from which it pays.
_FEW_NEIGHBOURS, _MANY_PLACES = 12, 1000


def rougher(design: Design) -> Design | None:
    """The design with fewer neighbours; None where it has no field of so many places and neighbours."""
    if not any(_is_costly(term) for part in design.predictors.values() for term in part.terms):
        return None
    return design.with_predictors(
        {
            name: replace(part, terms=tuple(_with_few(term) if _is_costly(term) else term for term in part.terms))
            for name, part in design.predictors.items()
        }
    )


def _is_costly(term: RandomTerm) -> bool:
    places = term.places
    if places is None or places.neighbours is None:
        return False
    return places.neighbours >= 2 * _FEW_NEIGHBOURS and places.n >= _MANY_PLACES


def _with_few(term: RandomTerm) -> RandomTerm:
    assert term.places is not None
    return replace(term, places=replace(term.places, neighbours=_FEW_NEIGHBOURS))
