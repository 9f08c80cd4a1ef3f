"""Every test of residuals is one file with one entry, which everything else reads."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import simresid
from simresid.checks import results
from simresid.checks.base import THRESHOLDS, CheckResult, Effect
from simresid.checks.registry import ALONE, TESTS, TestMethods, entry_of

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "simresid" / "checks").glob("*.py"))


def entries_in(path: Path) -> list[str]:
    """Names that a file binds to a `ResidualTest`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "ResidualTest"
    ]


def test_every_entry_is_in_the_registry_and_alone_in_its_file():
    found = {path.stem: entries_in(path) for path in FILES}
    assert {name: len(names) for name, names in found.items() if len(names) > 1} == {}
    homes = {entry.test.__module__.rpartition(".")[2] for entry in TESTS}
    missing = sorted({name for name, names in found.items() if names} - homes)
    assert missing == [], "add the entry and the method to simresid/checks/registry.py"


@pytest.mark.parametrize("entry", TESTS, ids=lambda entry: entry.name)
def test_an_entry_is_known_everywhere(entry):
    name = entry.test.__name__
    assert getattr(simresid, name) is entry.test
    assert getattr(TestMethods, name) is entry.test  # the function itself, with its signature
    assert next(iter(inspect.signature(entry.test).parameters)) == "res"
    assert {"null", "n_refits"} <= set(inspect.signature(entry.test).parameters)
    assert getattr(results, entry.result.__name__) is entry.result
    assert entry.result.__module__ == entry.test.__module__
    assert issubclass(entry.result, CheckResult)
    reference = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8").split()
    assert {name, entry.result.__name__} <= set(reference)
    assert f"automodule:: {entry.test.__module__}\n" in (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    assert len(entry.short_name or entry.name) <= 19  # the column of `simresid check`
    assert entry.limits
    for effect, (moderate, severe) in entry.limits.items():
        assert THRESHOLDS[effect] == (moderate, severe)
        assert 0 < moderate < severe
        assert Effect(effect, 1.0, 1.0).severity == "negligible"


def test_methods_are_the_tests_of_the_registry():
    methods = {name for name in vars(TestMethods) if not name.startswith("_")}
    assert methods == {entry.test.__name__ for entry in TESTS}


def test_names_are_found_by_test_and_by_result():
    assert len({entry.name for entry in TESTS}) == len(TESTS)
    assert entry_of("dispersion").name == "dispersion"
    u = [0.1, 0.4, 0.45, 0.6, 0.7, 0.9, 0.2, 0.3]
    along = simresid.quantile_test(u, range(8))
    assert entry_of("along x", along).name == "quantiles"
    assert entry_of("my own") is None
    assert entry_of("my own", "not testable") is None


def test_the_screen_names_the_tests_that_need_nothing_but_residuals():
    assert ", ".join(ALONE) in " ".join(simresid.screen.__doc__.split())
