"""What the code never does with what it is given: unpickle, evaluate, run, go online; and pages show text as text."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmmcore
import simresid
from glmmcore import glmm

PACKAGES = [Path(package.__file__).parent for package in (glmmcore, simresid)]
FILES = sorted(file for package in PACKAGES for file in package.rglob("*.py"))
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "subprocess",
    "urllib",
    "requests",
    "ctypes",
    "http",
}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "read_pickle", "to_pickle", "input", "urlopen"}


def names_of(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], "import", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], "import", node.lineno
        elif isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            yield name, "call", node.lineno
            if name in ("load", "loads") and isinstance(function, ast.Attribute):
                yield f"{ast.unparse(function.value)}.{name}", "load", node.lineno


def test_sources_neither_unpickle_nor_evaluate_nor_go_online():
    found = []
    for file in FILES:
        for name, kind, line in names_of(ast.parse(file.read_text(encoding="utf-8"))):
            forbidden = (
                (kind == "import" and name in MODULES)
                or (kind == "call" and name in CALLS)
                or (kind == "load" and name not in ("json.loads", "json.load", "datasets.load", "rdatasets.load"))
            )
            if forbidden and not (name == "compile" and "re.compile" in file.read_text(encoding="utf-8")):
                found.append(f"{file.name}:{line}: {name}")
    assert len(FILES) > 100
    assert found == []


EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(1)
    labels = np.array([f"{EVIL}{k}" for k in range(8)])
    data = pd.DataFrame(
        {
            "y": rng.poisson(3, 80),
            EVIL: rng.normal(size=80),
            "f": labels[np.arange(80) % 4],
            "g": labels[np.arange(80) // 10],
        }
    )
    return glmm(f"y ~ `{EVIL}` + f + (1|g)", data, "poisson")


def test_pages_show_names_and_labels_as_text(fit, tmp_path):
    res = simresid.simulate_residuals(fit, 60)
    page = simresid.report(res, tmp_path / "r.html", title=EVIL).read_text(encoding="utf-8")
    shown = [
        page,
        res._repr_html_(),
        fit._repr_html_(),
        simresid.diagnose(res)._repr_html_(),
        res.uniformity_test()._repr_html_(),
    ]
    for html in shown:
        assert "<script" not in html
    assert "&lt;script&gt;" in page
    # a page of ours has no scripts and loads nothing, so nothing that got past the quoting could phone home either
    assert "http-equiv" not in page
    assert 'src="http' not in page
    assert "src='http" not in page


def test_page_of_a_screen(tmp_path, capsys):
    from simresid.cli import main

    rng = np.random.default_rng(1)
    table = tmp_path / "t.csv"
    data = pd.DataFrame({"y": rng.poisson(3, 90), "x": rng.normal(size=90), "g": np.repeat([EVIL, "b", "c"], 30)})
    data.to_csv(table, index=False)
    page = tmp_path / "p.html"
    arguments = ["screen", str(table), "--formula", "y ~ x", "--by", "g", "--sims", "20", "--report", str(page)]
    assert main(arguments) in (0, 1)
    assert "<script" not in page.read_text(encoding="utf-8")
