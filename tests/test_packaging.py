"""What must hold for the whole distribution: import cost, separate packages, one version, hygiene."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest

import glmmcore
import simresid

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

HEAVY = ("numpy", "pandas", "scipy", "numba", "matplotlib", "formulaic", "statsmodels", "joblib", "tqdm")
IMPORT_BUDGET = 0.5
"""Seconds of processor time for both packages together; they import nothing heavy, so most of it is slack."""


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_import_loads_nothing_heavy():
    loaded = in_new_process("import simresid, glmmcore, sys; print(*sys.modules)").split()
    assert sorted(set(HEAVY) & set(loaded)) == []


def test_import_time():
    code = "import time; start = time.process_time(); import simresid, glmmcore; print(time.process_time() - start)"
    assert min(float(in_new_process(code)) for _ in range(3)) < IMPORT_BUDGET


@pytest.mark.parametrize("package", [simresid, glmmcore])
def test_every_public_name_exists_and_is_documented(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert name in dir(package)
        assert name.startswith("__") or (value.__doc__ or "").strip(), name


@pytest.mark.parametrize("package", [simresid, glmmcore])
def test_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = package.nonsense


@pytest.mark.parametrize("package", [simresid, glmmcore])
def test_names_for_type_checkers_are_the_names_at_run_time(package):
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]  # if TYPE_CHECKING
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    home = {name: f"{package.__name__}.{home.removeprefix('glmmcore.')}" for name, home in package._HOME.items()}
    assert typed == home
    assert sorted({*home, "__version__"} & {*package.__all__}) == sorted(package.__all__)


def test_modules_with_public_names_are_checked_in_strict_mode():
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["strict"] is True
    (strict,) = [part["module"] for part in mypy["overrides"] if part.get("warn_return_any")]
    public = {getattr(package, name).__module__ for package in (simresid, glmmcore) for name in package._HOME}
    homes = {f"simresid.{home}" for home in simresid._HOME.values()}
    elsewhere = ("simresid.plots.", "simresid.adapters.")
    asked = [name for name in sorted(public | homes) if not name.startswith(elsewhere)]
    assert [name for name in asked if not any(fnmatch(name, pattern) for pattern in strict)] == []


def imported_modules(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("name", ["__main__.py", "fitting.py", "selfcheck/__init__.py", "selfcheck/fits.py"])
def test_doors_use_public_names_only(name):
    found = imported_modules(ROOT / "simresid" / name)
    assert "glmmcore" in found
    assert not [m for m in found if m.startswith("glmmcore.")]


def test_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert simresid.__version__ == version
    assert metadata.version("simresid") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_is_justified():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = {re.split(r"[<>=\[]", requirement)[0] for group in groups for requirement in group}
    assert [name for name in sorted(wanted) if f"| {name} |" not in guide] == []


@pytest.mark.parametrize("package", ["simresid", "glmmcore"])
def test_the_map_names_every_subpackage(package):
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = sorted(path.parent.name for path in (ROOT / package).glob("*/__init__.py"))
    assert [part for part in parts if f"`{package}/{part}/`" not in guide] == []


# Folders whose files each do another thing; elsewhere a file is one more of its kind.
DESCRIBED = ("formula", "engines", "estimation", "results", "inference", "many", "relationship")
DESCRIBED += ("residuals", "simulations", "screening", "checks/nulls")


def test_the_map_names_every_file_of_folders_with_several_tasks():
    named = set(re.findall(r"`(?:\w+/)*(\w+\.py)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    files = [path for part in DESCRIBED for path in ROOT.glob(f"*/{part}/*.py") if not path.name.startswith("_")]
    assert len(files) > 100
    assert sorted(path.name for path in files if path.name not in named) == [], "describe it in the map of CONTRIBUTING"


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_place_on_somebodys_machine():
    place = re.compile(rb"(?<![\w.*-])/(?:home|root|work|opt|tmp|mnt|Users)/")
    text = [path for path in tracked_files() if path.suffix not in {".png", ".gz"}]
    assert text
    assert [path.name for path in text if place.search(path.read_bytes())] == []


def test_no_tracked_file_is_large_or_generated():
    files = tracked_files()
    assert [path.name for path in files if path.stat().st_size > 500_000] == []
    assert [path.name for path in files if path.suffix in {".pyc", ".nbi", ".nbc"}] == []


@pytest.mark.slow
def test_the_sdist_holds_every_tracked_file(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    tracked = [path.relative_to(ROOT) for path in tracked_files()]
    for path in tracked:
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / "source" / path)
    code = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "source", check=True, capture_output=True)
    with tarfile.open(tmp_path / f"simresid-{PROJECT['version']}.tar.gz") as archive:
        packed = {Path(*Path(name).parts[1:]) for name in archive.getnames()}
    assert sorted(map(str, set(tracked) - packed)) == []
    made = {"PKG-INFO", "setup.cfg", "simresid.egg-info"}
    strange = {path for path in packed - set(tracked) if path.suffix and path.parts[0] not in made}
    assert sorted(map(str, strange)) == []


@pytest.mark.parametrize("name", ["release.yml", "checks.yml"])
def test_workflows_ask_for_no_secret_and_pin_their_actions(name):
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "password" not in text
    assert re.findall(r"uses: \S+$", text, flags=re.M) == re.findall(r"uses: \S+@\S+$", text, flags=re.M)
    assert "\npermissions:" in text  # nothing beyond what is asked for


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    recipe = (ROOT / "packaging" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    assert f'set version = "{PROJECT["version"]}"' in recipe
    run = recipe.split("  run:\n")[1].split("\ntest:")[0]
    wanted = {line.strip("- ").replace(" ", "") for line in run.splitlines() if line.strip()}
    asked = {name.replace("matplotlib>", "matplotlib-base>") for name in PROJECT["dependencies"]}
    assert wanted == asked | {f"python{PROJECT['requires-python']}"}
    scripts = {f"{name} = {target}" for name, target in PROJECT["scripts"].items()}
    assert set(re.findall(r"- (\w+ = \S+)", recipe)) == scripts
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    host = recipe.split("  host:\n")[1].split("  run:")[0].replace(" ", "")
    assert [needed for needed in build if f"-{needed}\n" not in host] == []
    assert f"\n  license: {PROJECT['license']}\n" in recipe
    assert f"\n  summary: {PROJECT['description']}\n" in recipe


def test_the_image_is_built_from_a_supported_python_and_leaves_out_what_is_made():
    folder = ROOT / "packaging"
    recipe = (folder / "Containerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", recipe, re.M)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    left_out = (folder / "Containerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {".git", "**/.venv", "**/__pycache__", "docs/_build"} <= set(left_out)


def test_the_image_keeps_its_kernels_where_every_user_may_write():
    lines = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
    for words in ("NUMBA_CACHE_DIR=/var/cache/numba", "simresid.warmup()", "chmod -R a+rwX /var/cache/numba"):
        assert words in lines
