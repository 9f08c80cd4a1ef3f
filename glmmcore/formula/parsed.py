"""The pieces of a formula."""

from __future__ import annotations

from dataclasses import dataclass

from glmmcore.formula.algebra import Term
from glmmcore.formula.expressions import Expression
from glmmcore.formula.syntax import Name, show

__all__ = ["Bar", "ParsedFormula", "Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """A sum of terms: the fixed part of a predictor or the left side of a bar.

    Attributes
    ----------
    text : str
        As a formula.
    terms : tuple of tuple of Expression
        Factors of each term, none for the intercept; of low degree first, then as written.
    atoms : tuple of Expression
        Columns and expressions that are written anywhere, also in terms that are taken away again.
    """

    text: str
    terms: tuple[Term, ...]
    atoms: tuple[Expression, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are terms or factors of terms as they stand."""
        return tuple(atom.column for atom in self.atoms if atom.column is not None)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Atoms that are more than a column."""
        return tuple(atom for atom in self.atoms if atom.column is None)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that the part mentions, and constants such as ``pi`` in its expressions."""
        return tuple(dict.fromkeys(name for atom in self.atoms for name in atom.names))


@dataclass(frozen=True, slots=True)
class Bar:
    """``(left | group)``, nesting already expanded.

    Attributes
    ----------
    left : Part
    group : tuple of str
        Columns whose combinations are the levels.
    structure : str
        A key of `glmmcore.covariance.STRUCTURES`.
    independent : bool
        Written ``||``.
    coordinates : tuple of Expression
        Of effects that covary by distance, ``left`` is empty then, `structure` a key of `glmmcore.covariance.FIELDS`,
        and no group is one for all rows.
    neighbours : int or None
        Of how many others each place is given, where the formula says so.
    """

    left: Part
    group: tuple[str, ...]
    structure: str
    independent: bool
    coordinates: tuple[Expression, ...] = ()
    neighbours: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Columns on its left side."""
        own = [name for expression in self.coordinates for name in expression.names]
        return tuple(dict.fromkeys([*self.left.names, *own]))


@dataclass(frozen=True, slots=True)
class ParsedFormula:
    """A formula taken apart.

    Attributes
    ----------
    text : str
        As the user wrote it.
    response : tuple of Expression
        Empty for a one-sided formula; two expressions for ``cbind(successes, failures)``.
    response_name : str
    fixed : Part
    bars : tuple of Bar
    offsets : tuple of Expression
    """

    text: str
    response: tuple[Expression, ...]
    response_name: str
    fixed: Part
    bars: tuple[Bar, ...]
    offsets: tuple[Expression, ...]

    @property
    def response_column(self) -> str | None:
        """Column that is the response as it stands; None for cbind or an expression."""
        return self.response[0].column if len(self.response) == 1 else None

    @property
    def left(self) -> str:
        """The response as a formula has it on its left."""
        name = self.response_column
        return self.response_name if name is None else show(Name(name))

    @property
    def is_counts(self) -> bool:
        """Whether the response is ``cbind(successes, failures)``."""
        return len(self.response) == 2
