"""Names in a formula: which columns it needs, and which of them it takes for labels rather than numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["FormulaNames", "names_in_formulas", "response_name"]

WORDS_OF_FORMULAS = {"pi", "e", "True", "False", "None", "np", "in"}
"""Names in formulas that are not columns unless the file has a column of that name."""

# Every alternative begins with another character, so that the text is read once from left to right.
_TOKEN = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|[^\W\d][\w.]*|[\d.][\w.]*|\s+|.", flags=re.S)


@dataclass
class FormulaNames:
    """What formulas say about columns.

    Attributes
    ----------
    needed : dict with names as keys
        Names that must be columns, in order.
    possible : set of str
        Names that mean a column if there is one, those in `needed` among them.
    labels : set of str
        Names of groups, ``(1|name)``, and of factors, ``C(name)``: their texts are labels even where they look like
        numbers.
    predictors : set of str
        Names used in any other way.
    """

    needed: dict[str, None] = field(default_factory=dict)
    possible: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    predictors: set[str] = field(default_factory=set)


def names_in_formulas(formulas: Iterable[str]) -> FormulaNames:
    """Read the names of all formulas, without judging their grammar."""
    found = FormulaNames()
    for formula in formulas:
        _read(formula, found)
    return found


def response_name(formula: str) -> str | None:
    """Column that is the response as it stands; None for anything else.

    Examples
    --------
    >>> response_name("`a ~ b` ~ x"), response_name("log(y) ~ x"), response_name("~ x")
    ('a ~ b', None, None)
    """
    first, second = ([token for token in _TOKEN.findall(formula) if not token.isspace()] + ["", ""])[:2]
    is_name = first.startswith("`") or first[:1].isalpha() or first.startswith("_")
    return first.strip("`") if is_name and second == "~" else None


def _read(formula: str, found: FormulaNames) -> None:
    tokens = [token for token in _TOKEN.findall(formula) if not token.isspace()]
    # one entry for each bracket that is open: whether what stands here names groups, and the function it belongs to
    open_brackets: list[tuple[bool, str]] = []
    after_bar = False
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else ""
        following = tokens[i + 1] if i + 1 < len(tokens) else ""
        if token == "(":
            open_brackets.append((after_bar, before))
        elif token == ")" and open_brackets:
            after_bar = open_brackets.pop()[0]
        elif token == "|":
            after_bar = True
        elif token[0] in "'\"":
            found.possible.add(token[1:-1])
        elif token[0] == "`" and len(token) > 1:
            _add(token[1:-1], True, _is_label(after_bar, open_brackets, before), found)
        elif token[0].isalpha() or token[0] == "_":
            is_argument = following == "=" and tokens[i + 2 : i + 3] != ["="]
            if following != "(" and not is_argument and before != ".":
                label = _is_label(after_bar, open_brackets, before)
                is_constant = token in WORDS_OF_FORMULAS or token.startswith(("np.", "contr."))
                _add(token, not is_constant, label, found)


def _is_label(after_bar: bool, open_brackets: list[tuple[bool, str]], before: str) -> bool:
    """Whether a name names groups or is the first argument of ``C()``."""
    return after_bar or (before == "(" and bool(open_brackets) and open_brackets[-1][1] == "C")


def _add(name: str, needed: bool, label: bool, found: FormulaNames) -> None:
    if needed:
        found.needed[name] = None
    found.possible.add(name)
    (found.labels if label else found.predictors).add(name)
