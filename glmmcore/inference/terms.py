"""Which columns of a fixed part belong to which term of the formula."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["fixed_terms", "relatives"]


def fixed_terms(columns: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the columns of every term, by the term's label; the intercept is no term.

    Examples
    --------
    >>> fixed_terms(["Intercept", "a[T.2]", "a[T.3]", "x", "a[T.2]:x", "a[T.3]:x"])
    {'a': [1, 2], 'x': [3], 'a:x': [4, 5]}
    """
    out: dict[str, list[int]] = {}
    for position, column in enumerate(columns):
        if column != "Intercept":
            out.setdefault(":".join(_factors(column)), []).append(position)
    return out


def relatives(label: str, labels: Sequence[str]) -> list[str]:
    """Terms that contain the term `label`, as an interaction contains its main effects."""
    own = set(_factors(label))
    return [other for other in labels if own < set(_factors(other))]


def _factors(column: str) -> list[str]:
    """Factors of an interaction without the level or the number of the basis function."""
    depth, start, out = 0, 0, []
    for i, character in enumerate(column):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == ":" and depth == 0:
            out.append(column[start:i])
            start = i + 1
    out.append(column[start:])
    return [_without_level(factor) for factor in out]


def _without_level(factor: str) -> str:
    """Cut a closing ``[...]``."""
    if not factor.endswith("]"):
        return factor
    depth = 0
    for i in range(len(factor) - 1, -1, -1):
        depth += (factor[i] == "]") - (factor[i] == "[")
        if depth == 0:
            return factor[:i] or factor
    return factor
