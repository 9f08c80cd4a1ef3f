"""Fixtures shared by both packages' tests."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parents[1]
# worker processes that tests start must find what tests define, however the tests themselves were started
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """Give up after a second process that a test has hung or crashed; pytest-xdist would go on to the ninth."""
    if getattr(config.option, "maxworkerrestart", "given") is None:
        config.option.maxworkerrestart = "1"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference folder beside the checkout; tests that need it say so and are skipped without it."""
    if not (SHARED / "reference" / "data").is_dir():
        pytest.skip("reference folder ../shared is absent")
    return SHARED
