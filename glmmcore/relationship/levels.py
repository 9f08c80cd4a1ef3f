"""Relationships in a design: levels coded as labels of a relationship, for the rows of the fit and for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.design import Design, PredictorDesign, RandomTerm
from glmmcore.errors import ModelError
from glmmcore.formula.expressions import Expression
from glmmcore.relationship.base import Relationship, as_text, some
from glmmcore.relationship.matrices import covariance

__all__ = ["with_relationships"]


def with_relationships(design: Design, known: Mapping[str, Any] | None) -> Design:
    """The same design with the levels of some grouping factors coded as labels of their relationships.

    Parameters
    ----------
    design : Design
    known : mapping of str to Relationship or DataFrame, optional
        By grouping factor; a DataFrame is a covariance matrix.

    Raises
    ------
    ModelError
        For what is no relationship, a group that the model lacks, and levels that a relationship lacks.
    """
    if known is None:
        return design
    if not isinstance(known, Mapping):
        raise ModelError("known= takes a dict such as {'species': R}, by grouping factor")
    if not known:
        return design
    found = {str(group): _relationship(str(group), value) for group, value in known.items()}
    groups = dict.fromkeys(term.group for part in design.predictors.values() for term in part.terms)
    for group in found:
        if group not in groups:
            raise ModelError(
                f"known=: the model has no random effects by '{group}'; its grouping factors are "
                f"{', '.join(map(repr, groups)) or 'none'}"
            )
    recode: dict[str, np.ndarray] = {}
    predictors = {}
    for name, part in design.predictors.items():
        terms = []
        for term in part.terms:
            if term.group in found:
                if term.group not in recode:
                    recode[term.group] = _places(term, found[term.group])
                terms.append(_recoded(term, found[term.group], recode[term.group][term.codes]))
            else:
                terms.append(term)
        predictors[name] = replace(part, terms=tuple(terms))
    return replace(design, predictors=predictors, encode=_Encoder(design.encode, found))


def _relationship(group: str, value: Any) -> Relationship:
    if isinstance(value, Relationship):
        return value
    if isinstance(value, pd.DataFrame):
        return covariance(value)
    raise ModelError(
        f"known=: for '{group}' give a DataFrame with labels on both sides, or an object of glmmcore.relationship, not "
        f"{type(value).__name__}"
    )


def _places(term: RandomTerm, relationship: Relationship) -> np.ndarray:
    """Label of each level of a term."""
    place = relationship.positions(term.levels)
    lacking = term.levels[place < 0]
    if len(lacking):
        raise ModelError(
            f"known=: the relationship of '{term.group}' lacks {len(lacking)} of the {len(term.levels)} levels in the "
            f"data: {some(lacking)}; its own labels begin with {some(relationship.labels[:3])}"
        )
    if not np.any(relationship.node[place] >= 0):
        raise ModelError(f"known=: all levels of '{term.group}' have a variance of zero in their relationship")
    return place


def _recoded(term: RandomTerm, relationship: Relationship, codes: np.ndarray) -> RandomTerm:
    levels = relationship.labels
    return replace(term, codes=np.asarray(codes, dtype=np.int32), levels=levels, relationship=relationship)


@dataclass(frozen=True, slots=True, eq=False)
class _Encoder:
    """The encoder of a design, in terms of the labels of relationships."""

    encode: Any
    relationships: dict[str, Relationship]

    def __call__(self, newdata: Any, *, groups: bool = True) -> tuple[dict[str, PredictorDesign], np.ndarray]:
        predictors, keep = self.encode(newdata, groups=groups)
        if not groups:
            return predictors, keep
        out, codes = {}, {}
        for name, part in predictors.items():
            terms = []
            for term in part.terms:
                relationship = self.relationships.get(term.group)
                if relationship is not None and term.group not in codes:
                    codes[term.group] = self._codes(newdata, keep, term.group, relationship)
                terms.append(term if relationship is None else _recoded(term, relationship, codes[term.group]))
            out[name] = replace(part, terms=tuple(terms))
        return out, keep

    def _codes(self, newdata: Any, keep: np.ndarray, group: str, relationship: Relationship) -> np.ndarray:
        from glmmcore.formula.frame import as_frame

        rows = as_frame(newdata, "the new data").loc[keep]
        parts = [as_text(rows[column]) for column in group.split(":")]
        labels = parts[0] if len(parts) == 1 else pd.Index([":".join(values) for values in zip(*parts, strict=True)])
        codes = relationship.positions(labels)
        if (codes < 0).any():
            lacking = labels[codes < 0].unique()
            raise ModelError(f"the relationship of '{group}' lacks levels of the new data: {some(lacking)}")
        return codes

    @property
    def states(self) -> dict[Any, dict[str, Any]]:
        """What transforms remember of the data of the fit."""
        states: dict[Any, dict[str, Any]] = self.encode.states
        return states

    @property
    def offsets(self) -> tuple[Expression, ...]:
        """Addends of the offset of the conditional part."""
        addends: tuple[Expression, ...] = self.encode.offsets
        return addends

    @property
    def fixed_kinds(self) -> dict[str, str]:
        """Kinds of the columns of fixed parts."""
        kinds: dict[str, str] = self.encode.fixed_kinds
        return kinds

    @property
    def left_kinds(self) -> dict[str, str]:
        """Kinds of the columns in the left sides of bars."""
        kinds: dict[str, str] = self.encode.left_kinds
        return kinds

    @property
    def place_kinds(self) -> dict[str, str]:
        """Kinds of the columns in coordinates."""
        kinds: dict[str, str] = self.encode.place_kinds
        return kinds

    @property
    def factors(self) -> frozenset[str]:
        """Columns that are factors in fixed parts."""
        names: frozenset[str] = self.encode.factors
        return names

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Columns of the grouping factors."""
        columns: tuple[str, ...] = self.encode.group_columns
        return columns

    @property
    def known_columns(self) -> frozenset[str]:
        """Columns of the grouping factors with a relationship."""
        return frozenset(column for group in self.relationships for column in group.split(":"))
