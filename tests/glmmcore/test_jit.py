"""Compiled kernels must not outlive the code they call."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_changed_callee_in_another_file_is_compiled_anew(tmp_path):
    """A copy of `_jit` in a two-file package: the caller's file stays, the callee's changes."""
    from glmmcore import _jit

    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_jit.py").write_text(Path(_jit.__file__).read_text())
    (package / "caller.py").write_text(
        "from pack._jit import kernel\nfrom pack.callee import value\n\n\n@kernel\ndef call():\n    return value()\n"
    )
    callee = package / "callee.py"

    def result(number):
        callee.write_text(f"from pack._jit import kernel\n\n\n@kernel\ndef value():\n    return {number}\n")
        run = subprocess.run(
            [sys.executable, "-c", "from pack.caller import call; print(call())"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            check=True,
        )
        return int(run.stdout)

    assert result(1) == 1
    assert result(22) == 22


def test_the_stamp_is_of_contents_not_of_times(tmp_path):
    """An image or a wheel gives files new times; compiled code stays good as long as the sources do."""
    from glmmcore import _jit

    def stamp():
        code = "from pathlib import Path; from pack import _jit; print(_jit._package_stamp(Path(_jit.__file__).parent))"
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_jit.py").write_text(Path(_jit.__file__).read_text())
    kernels = package / "kernels.py"
    kernels.write_text("from pack._jit import kernel\n")
    first = stamp()
    os.utime(kernels, (1, 1))
    assert stamp() == first
    (package / "other.py").write_text("nothing = 1\n")
    assert stamp() == first
    kernels.write_text("from pack._jit import kernel #\n")
    os.utime(kernels, (1, 1))
    assert stamp() != first


def test_the_collector_is_paused_while_a_kernel_is_compiled_and_left_as_it_was():
    import gc

    import pytest

    from glmmcore._jit import _without_collector

    def compiling(fails):
        assert not gc.isenabled()
        if fails:
            raise ValueError("no such type")
        return 3

    call = _without_collector(compiling)
    try:
        for set_state, state in ((gc.enable, True), (gc.disable, False)):
            set_state()
            assert call(False) == 3
            with pytest.raises(ValueError, match="no such type"):
                call(True)
            assert gc.isenabled() is state
    finally:
        gc.enable()


def test_a_model_with_one_intercept_compiles_no_loop_over_a_trailing_block():
    """Half of the time of a first fit went into kernels that were called with nothing to do."""
    code = """
import sys
import numpy as np, pandas as pd
from glmmcore import glmm

rng = np.random.default_rng(1)
data = pd.DataFrame({"y": rng.poisson(3.0, 60), "x": rng.normal(size=60), "g": np.arange(60) % 6})
glmm("y ~ x + (1|g)", data, family="poisson").summary()
for name, module in sys.modules.items():
    if name.startswith("glmmcore.engines._"):
        for key, kernel in vars(module).items():
            if getattr(kernel, "signatures", None):
                print(name.rsplit(".", 1)[1], key, len(kernel.signatures))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    compiled = [line.split() for line in run.stdout.splitlines()]
    names = {name for _, name, _ in compiled}
    assert {name for module, name, _ in compiled if module == "_blocked_kernels"} == {"accumulate_leads"}
    assert not [name for module, name, _ in compiled if module == "_blocked_inverse_kernels"]
    assert names >= {"eliminate_leading", "factor_products_of_one", "add_score_of_intercepts"}
    assert not {"factor_products", "scale_inverse", "trailing_products"} & names
    assert {count for *_, count in compiled} == {"1"}
