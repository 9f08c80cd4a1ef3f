"""Every link within the built site leads somewhere: ``python check_links.py _build/html``."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what points and what is pointed at."""
        for name, value in attrs:
            if value is None:
                continue
            if name in ("href", "src"):
                self.links.add(value)
            elif name in ("id", "name"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """List ``page: link`` for every local link without a target.

    Parameters
    ----------
    site : Path
        Folder of the built pages.
    """
    files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in files}
    broken = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                (path.parent / unquote(parts.path)).resolve() if parts.path else path
            )
            anchor = unquote(parts.fragment)
            found = target.exists()
            if found and anchor and target in pages:
                found = anchor in pages[target].anchors
            if not found:
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    dead = broken_links(folder)
    print("\n".join(dead) or f"all local links of {folder.name} resolve")
    sys.exit(bool(dead))
