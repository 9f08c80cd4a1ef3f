"""Formulas as MathML, which browsers draw themselves: the site needs no script from the network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

_ACCENT = re.compile(
    r"\\(?:hat|bar|tilde)\s*(?:\{[^{}]*\}|\\[a-zA-Z]+|[a-zA-Z])(?=[_^])"
)
_SHORT_FRACTION = re.compile(r"\\(t?frac)\s*(\d)\s*(\d)")


def _mathml(node: nodes.math | nodes.math_block, *, as_block: bool = False) -> str:
    r"""Convert, around what docutils reads otherwise than TeX: ``\dots``, ``\tfrac12``, ``\hat u_j``, wide bars."""
    tex = node.astext().replace(r"\dots", r"\ldots")
    tex = _ACCENT.sub(r"\g<0>{}", _SHORT_FRACTION.sub(r"\\\1{\2}{\3}", tex))
    if as_block and r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    return tex2mathml(tex, as_block=as_block).replace(
        '<mo accent="true">_</mo>', "<mo>&#x203E;</mo>"
    )


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_mathml(node))
    raise nodes.SkipNode


def _display(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
