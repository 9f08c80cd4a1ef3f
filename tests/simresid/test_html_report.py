from __future__ import annotations

import re
import subprocess
import sys
from html import escape
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from simresid import diagnose, from_simulations, report


@pytest.fixture(scope="module")
def residuals():
    rng = np.random.default_rng(1)
    n = 200
    mean = rng.uniform(2, 6, n)
    data = pd.DataFrame({"x": rng.random(n), "treatment": np.array(["a & b", "<c>"])[np.arange(n) % 2]})
    y = rng.negative_binomial(2, 2 / (2 + mean))
    return from_simulations(rng.poisson(mean, (250, n)), y, mean, data=data)


@pytest.fixture(scope="module")
def page(residuals, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert report(residuals, path) == path
    return path.read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Tags with their attributes; raises on tags closed out of order."""

    VOID = frozenset({"meta", "img", "link", "source", "br", "circle", "path", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_is_well_formed(page) -> None:
    outline = Outline()
    outline.feed(page)
    assert not outline.open


def test_needs_nothing_from_outside(page) -> None:
    outline = Outline()
    outline.feed(page)
    addresses = [a[k] for _, a in outline.found for k in ("src", "srcset", "href") if k in a]
    assert addresses
    assert all(str(a).startswith("data:") for a in addresses)
    assert not {tag for tag, _ in outline.found} & {"script", "iframe", "object"}
    assert "url(" not in page
    assert "@import" not in page


def test_says_the_verdict_the_numbers_and_the_advice(page, residuals) -> None:
    result = residuals.dispersion_test()
    assert "overdispersed" in re.search("<title>(.*)</title>", page).group(1)
    assert f"ratio {result.statistic:.2f}" in page
    assert "What to look at" in page
    assert result.advice() in page


def test_images_have_a_text(page) -> None:
    outline = Outline()
    outline.feed(page)
    images = [a for tag, a in outline.found if tag == "img"]
    assert len(images) >= 6
    assert all(a.get("alt") for a in images)


def test_names_are_escaped(residuals, tmp_path) -> None:
    rows = residuals.recalculate(select=np.arange(60))
    text = report(rows, tmp_path / "r.html", title="y ~ a<b & <script>").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "y ~ a&lt;b &amp; &lt;script&gt;" in text


def test_leaves_no_figures_and_adds_time_and_space(residuals, tmp_path) -> None:
    n = residuals.n_obs
    open_before = plt.get_fignums()
    path = report(residuals, tmp_path / "r.html", time=np.arange(n), x=np.arange(n) % 20, y=np.arange(n) // 20)
    text = path.read_text(encoding="utf-8")
    assert "Residuals in time" in text
    assert "Residuals in space" in text
    assert plt.get_fignums() == open_before


def test_notebooks_show_verdict_and_table(residuals) -> None:
    shown = residuals._repr_html_()
    assert "Misfit: overdispersed" in shown
    assert f"ratio {residuals.dispersion_test().statistic:.2f}" in shown
    outline = Outline()
    outline.feed(shown)
    assert not outline.open


def test_missing_folder_is_named(residuals, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        report(residuals, tmp_path / "nowhere" / "r.html")
    with pytest.raises(TypeError, match="SimulatedResiduals"):
        report(np.array([0.2, 0.4]), tmp_path / "r.html")


@pytest.mark.slow
def test_works_without_a_display(tmp_path) -> None:
    script = (
        "import numpy as np, simresid, sys; rng = np.random.default_rng(1);"
        "res = simresid.from_simulations(rng.normal(size=(99, 40)), rng.normal(size=40));"
        "simresid.report(res, sys.argv[1]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    path = tmp_path / "r.html"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env={"PATH": "/usr/bin:/bin"})
    assert path.stat().st_size > 10_000


def test_a_diagnosis_shows_in_a_notebook_as_its_residuals_do(residuals):
    found = diagnose(residuals)
    html, page = found._repr_html_(), residuals._repr_html_()
    table = page[page.index("<div class=scroll>") :]
    assert table in html
    assert html.count("<svg") == len(found.results) + 1 == page.count("<svg")
    assert escape(found.verdict) in html
    for name in found.failed:
        assert escape(found.table["advice"][name]) in html
