"""Every gallery script runs as it stands, prints a number and ends in a figure."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "gallery").glob("plot_*.py"))

ran_in_the_site = pytest.mark.skipif(
    "SIMRESID_SITE_BUILT" in os.environ, reason="the build of the site has just run it"
)


def test_the_gallery_is_there():
    assert len(SCRIPTS) >= 20
    assert [script.name for script in (ROOT / "gallery").glob("*.py") if script not in SCRIPTS] == []


@ran_in_the_site
@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_prints_a_number_and_draws(script, tmp_path, monkeypatch, capsys):
    # Without the offline folder and the network the scripts must do with what is embedded or simulated.
    monkeypatch.setenv("SIMRESID_DATA", str(tmp_path))
    monkeypatch.setenv("STATSMODELS_DATA", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", _no_network)
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    try:
        assert sum(_figures_of_blocks(script)) > 0, "draws no figure"
        printed = capsys.readouterr().out
        assert re.search(r"\d", printed), "prints no number"
        assert not re.search(r"(?<![\d.])0\.000+(?![\d])", printed), "a p-value, or the like, is printed as zero"
    finally:
        plt.close("all")


def _figures_of_blocks(script):
    """Run a script block by block; the page shows the figures as they are at the end of each, and closes them."""
    namespace = {"__name__": "__main__"}
    lines = script.read_text(encoding="utf-8").splitlines(keepends=True)
    starts = [0, *(i for i, line in enumerate(lines) if line.startswith("# %%")), len(lines)]
    for begin, end in itertools.pairwise(starts):
        exec(compile("\n" * begin + "".join(lines[begin:end]), script.name, "exec"), namespace)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        empty = [ax for figure in figures for ax in figure.axes if ax.axison and not ax.has_data()]
        assert not empty, f"empty panels at the end of the block from line {begin + 1}"
        yield len(figures)
        plt.close("all")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_begins_with_a_title_and_a_question(script):
    title, rule, _, question = script.read_text(encoding="utf-8").splitlines()[1:5]
    assert title
    assert rule == "=" * len(title)
    assert question.startswith("*")


def test_scripts_use_public_names_only():
    private = re.compile(r"^\s*(?:from|import) (?:glmmcore|simresid)(?:\.\w+)*\._|^\s*from glmmcore\.", re.M)
    assert [script.name for script in SCRIPTS if private.search(script.read_text(encoding="utf-8"))] == []


def _no_network(*args, **kwargs):
    raise OSError("no network in this test")
