"""Lists of public names are those that their sources make."""

from __future__ import annotations

from tests import public_lists


def test_lists_are_those_that_their_sources_make():
    stale = [path.name for path, text in public_lists.written().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run python -m tests.public_lists"
