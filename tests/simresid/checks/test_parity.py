import subprocess
import sys

import pytest


def test_statistics_agree_with_dharma(shared):
    script = shared / "checks" / "parity_residuals.py"
    if not script.is_file():
        pytest.skip("reference script is absent")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
