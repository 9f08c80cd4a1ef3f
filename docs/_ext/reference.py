"""Pages of the reference: no constructor that nobody calls, and no page twice.

What a function returns is documented by its attributes; the arguments that the library makes it of are not shown. The
tests are methods of residuals too: the same functions, whose pages are linked instead of printed again.
"""

from __future__ import annotations

import inspect
from typing import Any


def _signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: Any, returns: Any
) -> Any:
    made_by_the_library = what == "class" and "Parameters\n" not in (
        inspect.getdoc(obj) or ""
    )
    return ("", None) if made_by_the_library else None


def _docstring(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    import simresid

    function = getattr(obj, "__name__", "")
    if (
        what == "method"
        and function in simresid.__all__
        and getattr(simresid, function) is obj
    ):
        lines[1:] = [
            "",
            f"The function `simresid.{function}` with these residuals as ``res``; its page says the rest.",
        ]


def setup(app: Any) -> dict[str, bool]:
    """Register both steps, the second before numpydoc's."""
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
