"""What to write instead of functions that users of R and patsy know and formulas here do not have."""

from __future__ import annotations

from glmmcore.formula.syntax import Call, Text, show

__all__ = ["bar_missing", "unknown_argument", "unknown_function"]

_INSTEAD = {
    "ns": "write cr(x, df=4) for a natural cubic spline",
    "s": "write cr(x, df=4) or bs(x, df=5) for a smooth curve",
    "te": "write cr(x, df=4):cr(z, df=4) for a smooth surface",
    "as.numeric": "a column of numbers is used as it is, one of text is turned into numbers in the data first",
    "as.integer": "a column of numbers is used as it is, one of text is turned into numbers in the data first",
    "numeric": "a column of numbers is used as it is, one of text is turned into numbers in the data first",
    "float": "a column of numbers is used as it is, one of text is turned into numbers in the data first",
    "int": "write floor(x), or turn text into numbers in the data first",
    "as.character": "write factor(x) for a category",
    "ordered": "make the column a pandas Categorical with its levels in order",
    "c": "write a list such as [1, 2]",
    "list": "write a list such as [1, 2]",
    "ifelse": "write np.where(condition, yes, no)",
    "cut": "write factor(np.digitize(x, [1, 2, 5]))",
    "pmin": "write minimum(x, z)",
    "pmax": "write maximum(x, z)",
    "ln": "write log(x)",
    "logb": "write log(x)",
    "mean": "write center(x) or scale(x), which remember the mean in new data",
    "interaction": "write a:b",
    "lag": "its value depends on the order of the rows, compute a column first",
    "cbind": "the response must be exactly cbind(successes, failures)",
    "offset": "offset(...) must stand alone and be added",
}
_REFERENCE = frozenset({"ref", "reference", "base"})


def unknown_function(call: Call) -> str:
    """Sentence on a function that is not on the list."""
    name, printed = call.function, show(call)
    printed = printed if len(printed) <= 60 else f"{printed[:57]}..."
    if name == "relevel":
        return f"function 'relevel' is not known, write {_with_reference(call)}"
    if with_bar := bar_missing(call):
        return f"{name}() is a random effect, which needs a bar: {with_bar}"
    if name in _INSTEAD:
        return f"function '{name}' in '{printed}' is not known: {_INSTEAD[name]}"
    if name.startswith("np.") or "." in name:
        return (
            f"'{name}' in '{printed}' is not known to work row by row, use center(), scale() or compute a column first"
        )
    return f"function '{name}' in '{printed}' is not known, use np.* or compute a column first"


def bar_missing(call: Call) -> str:
    """How a covariance structure written without its groups is written; empty for what is none."""
    from glmmcore.covariance import FIELDS, STRUCTURES

    if call.keywords or not call.arguments:
        return ""
    inside = ", ".join(show(argument) for argument in call.arguments)
    if call.function in FIELDS:
        one = f"write {call.function}({inside} | 1)"
        return f"{one}, or a grouping column instead of 1 for one such effect in each group"
    if call.function in STRUCTURES:
        return f"write {call.function}({inside.replace(', ', ' + ')} | group)"
    return ""


def unknown_argument(call: Call, name: str, known: list[str]) -> str:
    """Sentence on an argument that a function does not have in a formula."""
    if call.function == "C" and name in _REFERENCE:
        return f"C() has no argument '{name}', write {_with_reference(call)}"
    knows = f"it knows {', '.join(known)}" if known else "it takes none by name"
    return f"{call.function}() has no argument '{name}', {knows}"


def _with_reference(call: Call) -> str:
    """Spelling of a factor with another first level."""
    column = show(call.arguments[0]) if call.arguments else "f"
    levels = [*call.arguments[1:2], *(value for name, value in call.keywords if name in _REFERENCE)]
    level = show(levels[0]) if levels and isinstance(levels[0], Text) else "'level'"
    return f"C({column}, Treatment({level}))"
