"""Where lines may break: not within "10 000" or "95 %"; in tables, code breaks at the joints of names."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

_WITHIN_NUMBER = re.compile(r"(?<=\d) (?=\d{3}(?!\d)|%)")
_JOINT = re.compile(
    r"""(?<=[_=/])(?=[\w"~])|(?<=\w{3}[(.])(?=[\w"])|(?<=..\)\.)(?=\w)|(?<=[a-z]{2})(?=[A-Z][a-z])"""
)
_VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block)


def parts(code: str) -> list[str]:
    """Pieces of a line of code between which it may break."""
    return _JOINT.split(code)


def _keep_numbers_whole(app: Any, document: nodes.document) -> None:
    for text in list(document.findall(nodes.Text)):
        kept = _WITHIN_NUMBER.sub("\u00a0", text.astext())
        if text.parent is None or isinstance(text.parent, _VERBATIM):
            continue
        if kept != text.astext():
            text.parent.replace(text, nodes.Text(kept))


def _break_code_in_tables(app: Any, document: nodes.document, page: str) -> None:
    for entry in document.findall(nodes.entry):
        for literal in list(entry.findall(nodes.literal)):
            if len(literal.children) != 1:
                continue
            pieces: list[nodes.Node] = []
            for part in parts(literal.astext()):
                pieces += [nodes.raw("", "<wbr>", format="html"), nodes.Text(part)]
            literal.children = []
            literal += pieces[1:]


def setup(app: Any) -> dict[str, bool]:
    """Register both steps."""
    app.connect("doctree-read", _keep_numbers_whole)
    app.connect("doctree-resolved", _break_code_in_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
