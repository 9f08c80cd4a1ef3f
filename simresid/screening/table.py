"""The table of a screen, which prints what one looks at first."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

__all__ = ["ScreenTable"]

SHOWN = ("nobs", "dispersion ratio", "n_failed", "verdict")
"""Columns that are printed, if they are there."""
WIDTH = 60
"""Characters of a verdict that are printed."""


class ScreenTable(pd.DataFrame):
    """A data frame that prints few of its columns and names the others.

    What is computed from it is a plain data frame.

    Examples
    --------
    >>> ScreenTable(pd.DataFrame({"nobs": [40], "verdict": ["No evidence."], "llf": [-80.1]}, ["a"]))
       nobs       verdict
    a    40  No evidence.
    Other columns: llf.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        super().__init__(table)  # type: ignore[call-arg]  # the stubs have __new__ only

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        shown, others = self._parts()
        if "verdict" in shown:
            shown["verdict"] = [_short(text) for text in shown["verdict"]]
        text = shown.to_string(float_format=lambda v: f"{v:.3g}", max_rows=40, min_rows=20)
        return "\n".join([text, *others])

    def _repr_html_(self) -> str:
        shown, others = self._parts()
        return shown.to_html(max_rows=40) + "".join(f"<p>{escape(line)}</p>" for line in others)

    def _parts(self) -> tuple[pd.DataFrame, list[str]]:
        """Columns that are shown, and a line with the names of the others."""
        plain = pd.DataFrame(self)
        shown = [name for name in SHOWN if name in plain]
        others = ", ".join(str(name) for name in plain if name not in shown)
        return plain[shown].copy() if shown else plain, [f"Other columns: {others}."] if shown and others else []


def _short(text: Any) -> str:
    text = str(text)
    return text if len(text) <= WIDTH else text[: WIDTH - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
