"""Data flows one way through the folders of both packages; see `tests/import_graph.py` for the order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import import_graph as graph

PACKAGES = sorted(graph.LAYERS)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_goes_up(package):
    assert graph.upward(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package):
    assert graph.cycles(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_private_names_stay_in_their_folder(package):
    assert graph.private_uses(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_private_attributes_are_read_where_they_are_made(package):
    assert graph.private_attributes(package) == []


def test_the_packages_share_leaves_and_public_names_only():
    assert graph.across() == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_top_level_of_a_package_is_small(package):
    assert len(list((graph.ROOT / package).glob("*.py"))) <= 12


@pytest.mark.parametrize("package", PACKAGES)
def test_a_long_module_says_why(package):
    long = {}
    for name, path in graph.modules(package).items():
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 400:
            long[name] = ast.get_docstring(ast.parse(text)) or ""
    assert [name for name, text in long.items() if "Longer than 400 lines: " not in text] == []


def test_an_upward_import_inside_a_function_is_found(tmp_path, monkeypatch):
    for name, text in {
        "errors.py": "def f():\n    from glmmcore.fit import glmm\n    return glmm\n",
        "fit.py": "from glmmcore.errors import f\n",
    }.items():
        Path(tmp_path / "glmmcore").mkdir(exist_ok=True)
        Path(tmp_path / "glmmcore" / name).write_text(text)
    (tmp_path / "simresid").mkdir()
    monkeypatch.setattr(graph, "ROOT", tmp_path)
    assert graph.upward("glmmcore") == ["glmmcore.errors -> glmmcore.fit"]
    assert graph.cycles("glmmcore") == [["glmmcore.errors", "glmmcore.fit"]]
