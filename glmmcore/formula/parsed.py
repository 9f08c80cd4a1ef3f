"""The pieces of a formula."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from glmmcore.formula.expressions import Expression
from glmmcore.formula.tokens import Token, render

__all__ = ["Bar", "ParsedFormula", "Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """A sum of terms: the fixed part of a predictor or the left side of a bar.

    Attributes
    ----------
    summands : tuple of (sign, tokens)
        Sign is ``"+"`` or ``"-"``.
    expressions : dict of int to Expression
        Parsed calls by the place of their token.
    """

    summands: tuple[tuple[str, tuple[Token, ...]], ...]
    expressions: dict[int, Expression]

    @property
    def text(self) -> str:
        """Formula text for formulaic, which adds no intercept of its own to parts of a model."""
        return " ".join(["1", *(f"{sign} {render(tokens)}" for sign, tokens in self.summands)])

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are terms or factors of terms as they stand."""
        return tuple(token.text for token in self.tokens if token.kind == "name")

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that the part mentions, and constants such as ``np`` in its expressions."""
        found: dict[str, None] = {}
        for token in self.tokens:
            if token.kind == "name":
                found[token.text] = None
            elif token.kind == "python":
                found.update(dict.fromkeys(self.expressions[token.start].names))
        return tuple(found)

    @property
    def tokens(self) -> Iterator[Token]:
        """All tokens but the signs."""
        for _, tokens in self.summands:
            yield from tokens


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
    """

    left: Part
    group: tuple[str, ...]
    structure: str
    independent: bool


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
        if len(self.response) != 1:
            return None
        name = self.response[0].code.strip("`")
        return name if self.response[0].names == (name,) else None

    @property
    def is_counts(self) -> bool:
        """Whether the response is ``cbind(successes, failures)``."""
        return len(self.response) == 2
