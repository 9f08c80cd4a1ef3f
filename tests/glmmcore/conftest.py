"""Reference data and answers of fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import ROOT, SHARED

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture
def reference_data() -> Callable[..., pd.DataFrame]:
    """Read a table of the tests, of `simresid.datasets` or of ../shared, some columns as text."""

    def read(name: str, *text: str) -> pd.DataFrame:
        folders = (REFERENCE, REFERENCE / "cases", ROOT / "simresid" / "data", SHARED / "reference" / "data")
        found = next((path for folder in folders if (path := folder / f"{name}.csv").is_file()), None)
        if found is None:
            pytest.skip(f"{name}.csv may not be copied and ../shared is absent")
        frame = pd.read_csv(found)
        return frame.assign(**{column: frame[column].astype(str) for column in text})

    return read


@pytest.fixture
def reference_case(reference_data) -> Callable[[str], tuple[dict[str, Any], pd.DataFrame]]:
    """Read what R says of one fit (`reference/README.md`), and the data of the fit."""

    def read(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
        case: dict[str, Any] = json.loads((REFERENCE / "cases" / f"{name}.json").read_text(encoding="utf-8"))
        return case, reference_data(case["data"], *case["factors"])

    return read
