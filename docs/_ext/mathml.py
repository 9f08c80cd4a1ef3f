"""Formulas as MathML, which browsers draw themselves: the site needs no script from the network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def _tex(node: nodes.math | nodes.math_block) -> str:
    return node.astext().replace(r"\dots", r"\ldots")  # the one common command that docutils does not know


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(tex2mathml(_tex(node)))
    raise nodes.SkipNode


def _display(writer: Any, node: nodes.math_block) -> None:
    tex = _tex(node)
    if r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    writer.body.append(f'<div class="math">{tex2mathml(tex, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
