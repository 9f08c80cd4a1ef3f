"""Lists that repeat what is said elsewhere, made anew: ``python -m tests.public_lists`` after adding a public name.

What is said by hand: `_HOME` of each package for its names, `TestMethods` in `simresid.checks.registry` for the tests
of residuals, `_HOME` of `simresid.plots` for figures, `FAMILIES` for families. `tests/test_public_lists.py` compares.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import glmmcore
import simresid
from glmmcore.families import FAMILIES
from simresid import plots
from simresid.checks.registry import ALONE, TESTS

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
# Results that are not of a test in the registry.
OTHER_RESULTS = {
    "simresid.checks.base": ("CheckResult", "Effect", "Severity"),
    "simresid.checks.lrt": ("LikelihoodRatioResult",),
    "simresid.checks.variogram": ("Variogram",),
}
# Modules under the strictest rules of mypy beside those that define public names, and what is exempt.
STRICT_ALSO = ("glmmcore", "simresid", "glmmcore.estimates", "glmmcore.relationship", "glmmcore.relationship.*")
STRICT_ALSO += ("simresid.adapters", "simresid.checks.*", "simresid.datasets", "simresid.plots", "simresid.rdatasets")
NOT_STRICT = ("simresid.plots.*", "simresid.adapters.*")


def written() -> dict[Path, str]:
    """File -> what it should hold, its lists made anew."""
    modules = {*glmmcore._HOME.values(), *(f"simresid.{home}" for home in homes_of_simresid().values())}
    files = {
        "glmmcore/__init__.py": lambda text: package_lists(text, glmmcore._HOME, ""),
        "simresid/__init__.py": lambda text: package_lists(text, homes_of_simresid(), "simresid."),
        "simresid/checks/results.py": results_module,
        "docs/reference.rst": reference,
        "docs/theory.md": theory,
        "simresid/screening/many_models.py": lambda text: sentence(text, "Names among ", ";", ALONE),
        "glmmcore/fit.py": lambda text: sentence(text, "Response distribution: ", ".", FAMILIES),
        "simresid/cli/options.py": help_of_commands,
        "pyproject.toml": lambda text: strict_modules(text, modules),
    }
    return {ROOT / name: make((ROOT / name).read_text(encoding="utf-8")) for name, make in files.items()}


def homes_of_simresid() -> dict[str, str]:
    """Public name -> module within the package, tests and figures as their own lists have them."""
    tests = {entry.test.__name__: entry.test.__module__.removeprefix("simresid.") for entry in TESTS}
    others = {name: home for name, home in simresid._HOME.items() if not home.startswith("plots")}
    return others | tests | {name: f"plots.{home}" for name, home in plots._HOME.items()}


def in_order(names: Iterable[str]) -> list[str]:
    """Constants, classes, functions, each by the alphabet."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))


def package_lists(text: str, homes: dict[str, str], prefix: str) -> str:
    """`_HOME`, ``__all__`` and the imports for type checkers."""
    names_of = defaultdict(list)
    for name, home in homes.items():
        names_of[prefix + home].append(name)
    imports = "".join(import_line(module, names_of[module], "    ") for module in sorted(names_of))
    text = replaced(text, r"(if TYPE_CHECKING:\n)(?:    .*\n)+", imports)
    table = "".join(f'    "{name}": "{homes[name]}",\n' for name in in_order(homes))
    text = replaced(text, r"(\n_HOME = \{\n)(?:    .*\n)+", table)
    public = [*homes, "__version__"] if "__version__" in text else [*homes]
    return replaced(text, r"(__all__ = \[\n)(?:    .*\n)+", "".join(f'    "{name}",\n' for name in in_order(public)))


def import_line(module: str, names: Iterable[str], indent: str) -> str:
    """One import as ruff formats it."""
    line = f"{indent}from {module} import {', '.join(in_order(names))}\n"
    if len(line) <= WIDTH + 1:
        return line
    lines = "".join(f"{indent}    {name},\n" for name in in_order(names))
    return f"{indent}from {module} import (\n{lines}{indent})\n"


def results_module(text: str) -> str:
    """Imports and ``__all__`` of the module that has all results under one address."""
    homes = {module: list(names) for module, names in OTHER_RESULTS.items()}
    for entry in TESTS:
        homes.setdefault(entry.result.__module__, []).append(entry.result.__name__)
    imports = "".join(import_line(module, homes[module], "") for module in sorted(homes))
    text = replaced(text, r"(import THRESHOLDS as THRESHOLDS\n)(?:from .*\n)+", imports)
    public = in_order(name for names in homes.values() for name in names)
    return replaced(text, r"(__all__ = \[\n)(?:    .*\n)+", "".join(f'    "{name}",\n' for name in public))


def reference(text: str) -> str:
    """Tests, their results and figures in the reference."""
    lists = {"tests": [e.test.__name__ for e in TESTS], "results": dict.fromkeys(e.result.__name__ for e in TESTS)}
    lists["figures"] = [*plots._HOME]
    for name, names in lists.items():
        at = rf"(\n\.\. list of {name}\n\n\.\. autosummary::\n(?:   :.*\n)+\n)(?:   .*\n)+"
        text = replaced(text, at, "".join(f"   {name}\n" for name in names))
    return text


def theory(text: str) -> str:
    """Formulas of every test, as its module has them."""
    sections = "".join(
        f"### {entry.name.capitalize()}\n\n```{{eval-rst}}\n.. automodule:: {entry.test.__module__}\n"
        "   :no-members:\n   :no-index:\n```\n\n"
        for entry in TESTS
    )
    return replaced(text, r"(\n## The tests\n\n)(?:.*\n)+?(?=### Likelihood ratio by simulation\n)", sections)


def sentence(text: str, start: str, end: str, names: Iterable[str]) -> str:
    """The paragraph of a docstring that begins with `start`, a list of names up to `end`, and what follows there."""
    found = re.search(rf"^( +){start}[^{end}]*({end}(?:.*\n)(?:\1\S.*\n)*)", text, re.M)
    assert found is not None, start
    indent, rest = found[1], found[2]
    paragraph = f"{start}{', '.join(names)}{rest}"
    filled = textwrap.fill(" ".join(paragraph.split()), WIDTH, initial_indent=indent, subsequent_indent=indent)
    return text[: found.start()] + filled + "\n" + text[found.end() :]


def help_of_commands(text: str) -> str:
    """Families in the help of the commands."""
    lines = textwrap.wrap(", ".join(FAMILIES), WIDTH - 7)
    body = ' "\n    "'.join(lines)
    return replaced(text, r"(\nFAMILIES = \(\n)(?:    .*\n)+", f'    "{body}"\n')


def strict_modules(text: str, modules: Iterable[str]) -> str:
    """Modules with public names under mypy's strictest rules."""
    asked = sorted({*modules} - {m for m in modules if any(fnmatch(m, p) for p in (*STRICT_ALSO, *NOT_STRICT))})
    lines = "".join(f'    "{module}",\n' for module in sorted({*STRICT_ALSO, *asked}))
    return replaced(text, r"(there every rule of --strict holds\.\nmodule = \[\n)(?:    .*\n)+", lines)


def replaced(text: str, pattern: str, body: str) -> str:
    """What follows the first group of the one match of `pattern` replaced by `body`."""
    new, count = re.subn(pattern, lambda match: match[1] + body, text)
    assert count == 1, (pattern, count)
    return new


if __name__ == "__main__":
    for path, text in written().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} written anew")
