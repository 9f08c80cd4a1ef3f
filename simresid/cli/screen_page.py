"""Table of a screen as a self-contained HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from simresid.files import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: #fff; }
"""


def write_page(table: pd.DataFrame, path: Path, title: str) -> None:
    """Write the flagged models with advice first, then all numbers."""
    flagged = table[table["flagged"]]
    words = [name for name in ("nobs", "dispersion ratio", "verdict", "advice", "notes") if name in table]
    numbers = table.drop(columns=["verdict", "advice", "notes", "error", "description"])
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(table)} model{'s' * (len(table) != 1)}, {len(flagged)} flagged. "
        "P-values are adjusted over the screen by Benjamini and Hochberg in the columns that say so.</p>",
        "<h2>Flagged</h2>" + _html(flagged[words]) if len(flagged) else "<p>No model is flagged.</p>",
        "<h2>All models</h2>" + _html(numbers),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    with replacing(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def _html(table: pd.DataFrame) -> str:
    return str(table.to_html(border=0, float_format=lambda v: f"{v:.3g}", na_rep=""))
