"""Long sentences that blocks and scripts print, broken into lines that fit the page; tables stay as they are.

A line is a sentence if no column is apart from its neighbours by two spaces, or one is longer than any cell of a table.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

from docutils import nodes

WIDTH = 92
LONGEST_CELL = 100
_PRINTED = {"output", "sphx-glr-script-out"}


def broken(text: str) -> str:
    """The text with long sentences in several lines, continued two spaces further in."""
    lines = []
    for line in text.split("\n"):
        cells = re.split(" {2,}", line.strip())
        is_row = len(cells) > 1 and max(map(len, cells)) <= LONGEST_CELL
        if len(line) <= WIDTH or is_row:
            lines.append(line)
            continue
        margin = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line, WIDTH, subsequent_indent=f"{margin}  ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _break_sentences(app: Any, document: nodes.document) -> None:
    for block in document.findall(nodes.literal_block):
        above: Any = block
        classes: set[str] = set()
        while above is not None:
            classes |= set(getattr(above, "attributes", {}).get("classes", ()))
            above = above.parent
        if classes & _PRINTED:
            text = broken(block.astext())
            block.rawsource = text
            block.children = []
            block += nodes.Text(text)


def setup(app: Any) -> dict[str, bool]:
    """Register the step."""
    app.connect("doctree-read", _break_sentences)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
