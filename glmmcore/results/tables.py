"""Tables of results that print whole, and know the former names of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from glmmcore.errors import warn_user

__all__ = ["ResultTable", "pvalue_text"]

_SMALLEST = 1e-16
"""p-values below are differences of rounding, and printed as smaller than this."""

_PROBABILITIES = ("pvalue", "aic_weight")
"""How the names of columns begin whose numbers are printed so."""


class ResultTable(pd.DataFrame):
    """A data frame that prints all its columns, and below them texts of a column `note` and notes on the whole.

    What is computed from it is a plain data frame; notes on the whole stay in its ``attrs["notes"]``.

    Parameters
    ----------
    table : DataFrame
        The numbers.
    former : mapping of str to str, optional
        Former names of columns and what they are called now; the former ones work, with a warning.
    notes : sequence of str
        Sentences on the whole table.
    missing : str
        What is printed for NaN.

    Examples
    --------
    >>> table = ResultTable(pd.DataFrame({"pvalue": [0.5], "note": ["a long sentence"]}, ["b"]), {"p": "pvalue"})
    >>> table
       pvalue
    b     0.5
    b: a long sentence.
    """

    _metadata = ["_former", "_missing"]  # noqa: RUF012  (pandas reads it)

    def __init__(
        self,
        table: pd.DataFrame,
        former: Mapping[str, str] | None = None,
        *,
        notes: Sequence[str] = (),
        missing: str = "",
    ) -> None:
        super().__init__(table)  # type: ignore[call-arg]  # the stubs have __new__ only
        self._former = dict(former or {})
        self._missing = missing
        if notes:
            self.attrs["notes"] = list(notes)

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._present(key))

    @property
    def loc(self) -> Any:
        """Rows and columns by label."""
        plain = super().loc
        return _Loc(plain, self._present) if self._former else plain

    def __repr__(self) -> str:
        numbers, notes = self._parts()
        text = numbers.to_string(float_format=_short, na_rep=self._missing, formatters=_formatters(numbers))
        return "\n".join([text, *notes])

    def _repr_html_(self) -> str:
        numbers, notes = self._parts()
        table = numbers.to_html(float_format=_short, na_rep=self._missing, formatters=_formatters(numbers))
        return table + "".join(f"<p>{escape(note)}</p>" for note in notes)

    def _parts(self) -> tuple[pd.DataFrame, list[str]]:
        """The numbers, and a line for each note."""
        plain = pd.DataFrame(self)
        notes = list(self.attrs.get("notes", ()))
        if "note" not in plain:
            return plain, notes
        said = [(label, note) for label, note in plain["note"].items() if note]
        return plain.drop(columns="note"), [*(f"{label}: {note}." for label, note in said), *notes]

    def _present(self, key: Any) -> Any:
        """What a label, or the column of a pair of labels, is called now."""
        name = key[1] if isinstance(key, tuple) and len(key) == 2 else key
        if not isinstance(name, str) or name not in self._former:
            return key
        warn_user(f"column {name!r} is now called {self._former[name]!r}", FutureWarning)
        return self._former[name] if key is name else (key[0], self._former[name])


def _short(value: float) -> str:
    """Four digits, and one decimal of what is larger."""
    return f"{value:.1f}" if abs(value) >= 1000.0 else f"{value:.4g}"


def _formatters(numbers: pd.DataFrame) -> dict[Any, Callable[[Any], str]]:
    """How the columns of probabilities are printed."""
    return {
        name: pvalue_text
        for name, kind in numbers.dtypes.items()
        if isinstance(name, str) and name.startswith(_PROBABILITIES) and kind.kind == "f"
    }


def pvalue_text(p: float) -> str:
    """A p-value in three digits, or as smaller than what doubles tell from zero.

    Examples
    --------
    >>> pvalue_text(0.04321), pvalue_text(1e-36)
    ('0.0432', '<1e-16')
    """
    if p != p:
        return "NaN"
    return f"<{_SMALLEST:.0e}" if p < _SMALLEST else f"{p:.3g}"


class _Loc:
    """`DataFrame.loc` that knows former names."""

    def __init__(self, loc: Any, present: Callable[[Any], Any]) -> None:
        self._loc, self._present = loc, present

    def __getitem__(self, key: Any) -> Any:
        return self._loc[self._present(key)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loc, name)  # pandas asks it for more

    def __setitem__(self, key: Any, value: Any) -> None:
        self._loc[self._present(key)] = value
