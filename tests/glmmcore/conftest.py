"""Reference data of fits."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest


@pytest.fixture
def reference_data(shared) -> Callable[..., pd.DataFrame]:
    """Read a table of ../shared, some columns as text."""

    def read(name: str, *text: str) -> pd.DataFrame:
        path = shared / "reference" / "data" / f"{name}.csv"
        if not path.exists():
            path = path.with_name(path.name + ".gz")
        frame = pd.read_csv(path)
        return frame.assign(**{column: frame[column].astype(str) for column in text})

    return read
