"""Directive ``run``: show Python, run it, show what it prints and draws. Blocks of a page share their names.

What stands on a page is thus what the library did when the page was built; an error fails the build.
``:hide-code:`` shows the result only, ``:alt:`` describes the figures. `printed` breaks long sentences.
"""

from __future__ import annotations

import ast
import io
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

FIGURES = "_figures"
_namespaces: dict[str, dict[str, Any]] = {}
_counts: dict[str, int] = {}


class Run(SphinxDirective):
    """One block of code with its output."""

    has_content = True
    option_spec = {  # noqa: RUF012
        "hide-code": directives.flag,
        "alt": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Execute the block and return code, text and figures."""
        page = self.env.docname
        number = _counts[page] = _counts[page] + 1
        code = "\n".join(self.content)
        out: list[nodes.Node] = []
        if "hide-code" not in self.options:
            out.append(nodes.literal_block(code, code, language="python"))
        text = io.StringIO()
        try:
            with redirect_stdout(text):
                exec(
                    compile(code, f"{page}, block {number}", "exec"), _namespaces[page]
                )
        except Exception:
            raise self.error(
                f"the block fails:\n{traceback.format_exc(limit=-3)}"
            ) from None
        figures = self._figures(f"{page.replace('/', '-')}-{number}")
        if not figures and not text.getvalue() and _ends_in_value(code):
            raise self.error("the block ends in a value that nobody sees: print it")
        if text.getvalue():
            printed = text.getvalue()
            out.append(
                nodes.literal_block(
                    printed, printed, language="none", classes=["output"]
                )
            )
        return out + figures

    def _figures(self, stem: str) -> list[nodes.Node]:
        import matplotlib.pyplot as plt

        folder = Path(self.env.srcdir) / FIGURES
        folder.mkdir(exist_ok=True)
        images: list[nodes.Node] = []
        for number in plt.get_fignums():
            name = f"{stem}-{number}.png"
            plt.figure(number).savefig(folder / name, dpi=110)
            images.append(
                nodes.image(
                    uri=f"/{FIGURES}/{name}", alt=self.options.get("alt", "figure")
                )
            )
        plt.close("all")
        return images


def _ends_in_value(code: str) -> bool:
    """Whether the last statement is a name, or asks an object for something, and not a call of a function."""
    last = ast.parse(code).body[-1]
    if not isinstance(last, ast.Expr):
        return False
    called = last.value.func if isinstance(last.value, ast.Call) else last.value
    return not (isinstance(last.value, ast.Call) and isinstance(called, ast.Name))


def _start_page(app: Any, page: str, source: list[str]) -> None:
    _namespaces[page] = {"__name__": "__main__"}
    _counts[page] = 0


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("run", Run)
    app.connect("source-read", _start_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
