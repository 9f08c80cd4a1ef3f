"""Fixtures shared by both packages' tests."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference folder beside the checkout; tests that need it say so and are skipped without it."""
    if not (SHARED / "reference" / "data").is_dir():
        pytest.skip("reference folder ../shared is absent")
    return SHARED
