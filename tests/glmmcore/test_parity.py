"""Fifty reference fits of glmmTMB and lme4, when the reference folder is there."""

import subprocess
import sys

import pytest


@pytest.mark.shared
def test_reference_fits(shared):
    run = subprocess.run(
        [sys.executable, str(shared / "checks" / "parity_fits.py")], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
