"""The pages say what is true: their Python runs, their links lead somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^```(?:python|\{run\})\n(.*?)^```$", flags=re.M | re.S)

ran_in_the_site = pytest.mark.skipif(
    "SIMRESID_SITE_BUILT" in os.environ, reason="the build of the site has just run it"
)


def blocks(page: Path) -> list[str]:
    """Python of a page, without the options of the directive."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return ["\n".join(line for line in block.splitlines() if not re.match(r":[a-z-]+:", line)) for block in found]


@ran_in_the_site
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_python_blocks_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        for number, block in enumerate(blocks(page), start=1):
            if "from distributed import" in block:  # the page says that this takes the extra "cluster"
                pytest.importorskip("distributed", reason="distributed is optional")
            exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
    finally:
        plt.close("all")


def test_code_is_no_wider_than_its_box():
    # 98 characters fit where the page is 1280 pixels wide
    wide = [line for page in PAGES for block in blocks(page) for line in block.splitlines() if len(line) > 98]
    assert wide == []


def test_code_in_tables_breaks_at_joints_of_names(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from breaks import parts

    assert parts('r.dispersion_test(method="pit")') == ["r.dispersion_", "test(", "method=", '"pit")']
    assert parts("testSpatialAutocorrelation") == ["test", "Spatial", "Autocorrelation"]
    assert parts("y ~ x + (1|g), 2.5") == ["y ~ x + (1|g), 2.5"]


def test_printed_sentences_break_and_tables_do_not(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from printed import WIDTH, broken

    sentence = "- dispersion: " + "look for missing predictors, " * 6
    lines = broken(sentence).split("\n")
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(line.strip() for line in lines) == sentence.strip()
    assert "\n" in broken(f"poisson      {sentence}")
    table = "a  b" + "    1.5" * 30
    assert broken(f"short\n{table}") == f"short\n{table}"


def test_every_page_stands_in_a_table_of_contents():
    listed = re.findall(r"^([a-z_/]+)$", (DOCS / "index.md").read_text(encoding="utf-8"), flags=re.M)
    assert sorted({page.stem for page in PAGES} - {"index"} - set(listed)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    built = ("gallery/", "api/")  # made by the build, which checks them
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith(built)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_links_into_the_gallery_have_a_script():
    linked = {name for page in PAGES for name in re.findall(r"gallery/(plot_\w+)", page.read_text(encoding="utf-8"))}
    scripts = {path.stem for path in (DOCS.parent / "gallery").glob("plot_*.py")}
    assert sorted(linked - scripts) == []


def test_every_function_that_draws_stands_on_the_page_of_figures():
    import simresid

    page = (DOCS / "every_figure.md").read_text(encoding="utf-8")
    assert [name for name in simresid.__all__ if name.startswith("plot_") and f"simresid.{name}(" not in page] == []
