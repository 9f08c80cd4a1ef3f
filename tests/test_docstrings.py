"""Every public name has a page in the reference and a docstring that numpydoc finds nothing to object to."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import re
from functools import cached_property
from pathlib import Path

import pytest

import glmmcore
import simresid
from glmmcore.covariance import STRUCTURES
from glmmcore.families import FAMILIES
from simresid.cli import options

DOCS = Path(__file__).resolve().parents[1] / "docs"
REFERENCE = (DOCS / "reference.rst").read_text(encoding="utf-8")

NOT_ASKED = {
    "SA01": "no See Also: the page of each name lists its gallery scripts and the reference groups what goes together",
    "ES01": "no extended summary: a first line that says it all needs no second paragraph",
    "SS05": "takes a plural noun for a verb in the third person ('Residuals of ...')",
}
NOT_ASKED_OF_MEMBERS = {"EX01": "the example of the class, or of the function behind a method, shows it"}
NOT_ASKED_OF_RECORDS = {"PR01": "made by the library only: documented are its attributes, not its constructor"}
RECORDS = {"FittedGLMM", "ManyFits", "InversePrediction", "FittedModel", "Effect", "Diagnosis", "BenchmarkResult"}


def listed_in_the_reference() -> list[str]:
    """Full names in the autosummary tables, in the order of the page."""
    names, module = [], ""
    for line in REFERENCE.splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.match(r"   ([\w.]+)$", line):
            names.append(f"{module}.{found[1]}")
    return names


def resolve(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def members(cls: type) -> list[str]:
    """Methods and properties, those inherited from our own classes included."""
    kinds = (property, cached_property, staticmethod, classmethod)
    return sorted(
        name
        for base in cls.__mro__
        if base.__module__.split(".")[0] in ("glmmcore", "simresid")
        for name, value in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    )


NAMES = listed_in_the_reference()


@pytest.mark.parametrize("package", [simresid, glmmcore], ids=lambda package: package.__name__)
def test_the_reference_lists_every_public_name(package):
    listed = {name.removeprefix(f"{package.__name__}.") for name in NAMES}
    assert [name for name in package.__all__ if not name.startswith("__") and name not in listed] == []


def test_the_reference_lists_every_result_of_a_test():
    results = importlib.import_module("simresid.checks.results").__all__
    assert {f"simresid.checks.results.{name}" for name in results} - set(NAMES) == {"simresid.checks.results.Severity"}


@pytest.mark.parametrize("name", NAMES)
def test_numpydoc_finds_nothing_to_object_to(name):
    validate = pytest.importorskip("numpydoc.validate", reason="needs the extra docs").validate
    value = resolve(name)
    full = f"{value.__module__}.{value.__qualname__}"
    is_record = value.__name__ in RECORDS or value.__name__.endswith("Result")
    allowed = {*NOT_ASKED, *(NOT_ASKED_OF_RECORDS if is_record else ())}
    found = [f"{full}: {code} {text}" for code, text in validate(full)["errors"] if code not in allowed]
    if inspect.isclass(value):
        allowed = {*NOT_ASKED, *NOT_ASKED_OF_MEMBERS}
        for member in members(value):
            errors = validate(f"{full}.{member}")["errors"]
            found += [f"{full}.{member}: {code} {message}" for code, message in errors if code not in allowed]
    assert found == []


def names_without_origin(code: str) -> set[str]:
    """Names that code reads and nothing in it defines."""
    known, read = set(dir(builtins)), set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                known.add(name)
            case ast.ExceptHandler(name=str(name)):
                known.add(name)
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                known |= {(alias.asname or alias.name).split(".")[0] for alias in imported}
    return read - known


@pytest.mark.parametrize("name", NAMES)
def test_examples_run_where_they_are_pasted(name):
    # doctest lends an example the names of its module, a reader has only what the page shows
    value = resolve(name)
    documented = (
        [value, *(inspect.getattr_static(value, m) for m in members(value))] if inspect.isclass(value) else [value]
    )
    parser = doctest.DocTestParser()
    codes = [
        "".join(example.source for example in parser.get_examples(inspect.getdoc(item) or "")) for item in documented
    ]
    assert [names for code in codes if (names := names_without_origin(code))] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_and_attribute_has_a_description(name):
    lines = (inspect.getdoc(resolve(name)) or "").splitlines()
    entries = [i for i, line in enumerate(lines) if re.match(r"\*{0,2}\w+(, \w+)* : \S", line)]
    assert [lines[i] for i in entries if not "".join(lines[i + 1 : i + 2]).startswith("    ")] == []


def test_names_without_origin_are_found():
    code = "import numpy as np\ntry:\n    a = np.f(lambda b: b + c)\nexcept E as e:\n    print(a, e)"
    assert names_without_origin(code) == {"c", "E"}


def test_the_attributes_of_records_are_documented():
    records = [value for value in map(resolve, NAMES) if hasattr(value, "__dataclass_fields__")]
    assert records
    missing = [
        f"{cls.__name__}.{field}"
        for cls in records
        for field in cls.__dataclass_fields__
        if not any(re.search(rf"^    (?:\w+, )*{field}(?:, \w+)* :", base.__doc__ or "", re.M) for base in cls.__mro__)
    ]
    assert missing == []


def test_every_family_and_structure_is_named_where_users_look():
    choosing = (DOCS / "choosing_a_family.md").read_text(encoding="utf-8")
    for text in (glmmcore.glmm.__doc__, options.FAMILIES, choosing):
        words = re.split(r"[^\w]+", str(text))
        assert [name for name in FAMILIES if name not in words] == []
    structures = (DOCS / "from_r.md").read_text(encoding="utf-8")
    assert [name for name in STRUCTURES if f"`{name}`" not in structures] == []
