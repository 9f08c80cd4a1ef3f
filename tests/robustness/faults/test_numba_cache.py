"""Numba's cache on disk may be read-only, full or broken: results are the same, and one sentence says what is off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from glmmcore import _jit

PACKAGE = {
    "_jit.py": Path(_jit.__file__).read_text(),
    "__init__.py": "",
    "kernels.py": """
from pack._jit import kernel


@kernel
def twice(x):
    return 2.0 * x


@kernel
def thrice(x):
    return twice(x) + x
""",
}
CALL = "import warnings; from pack.kernels import thrice; print(thrice(2.0))"


def run(folder, code=CALL, **environment):
    for name, text in PACKAGE.items():
        (folder / "pack").mkdir(exist_ok=True)
        if not (folder / "pack" / name).exists():
            (folder / "pack" / name).write_text(text)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), **environment},
    )


def test_no_folder_can_be_written_to(tmp_path):
    # a locator that never finds a place is what Numba sees when package and home are read-only, for root as well
    done = run(tmp_path, NUMBA_CACHE_LOCATOR_CLASSES="ZipCacheLocator")
    assert done.stdout == "6.0\n"
    assert done.stderr.count("RuntimeWarning") == 1
    assert "set NUMBA_CACHE_DIR to a folder that can be written to" in done.stderr


def test_it_is_said_once_in_a_process():
    code = "import glmmcore._jit as a; a._warn_once(); a._warn_once()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.count("RuntimeWarning") == 1


def test_folder_turns_read_only_or_the_disk_is_full_while_compiling(tmp_path):
    # the folder of the cache becomes a file between import and first call: every write fails, for root as well
    code = (
        "from pack.kernels import thrice; import os, shutil, pathlib; folder = thrice._cache.cache_path; "
        "shutil.rmtree(folder, ignore_errors=True); pathlib.Path(folder).write_text(''); print(thrice(2.0))"
    )
    done = run(tmp_path, code)
    assert done.stdout == "6.0\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1

    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); {CALL}"
    )
    done = run(tmp_path, limited, NUMBA_CACHE_DIR=str(tmp_path / "other"))
    assert done.stdout == "6.0\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert not list((tmp_path / "other").rglob("*.tmp.*"))


def test_broken_files_are_replaced(tmp_path):
    assert run(tmp_path).stdout == "6.0\n"
    files = [*(tmp_path / "cache").rglob("*.nbi"), *(tmp_path / "cache").rglob("*.nbc")]
    assert len(files) >= 4
    for file in files:
        if not ("thrice" in file.name and file.suffix == ".nbi"):  # so that a whole index leads to broken data as well
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    done = run(tmp_path)
    assert done.stdout == "6.0\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert run(tmp_path).stderr == ""  # healed
