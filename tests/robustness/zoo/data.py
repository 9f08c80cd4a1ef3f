"""Clean data that the cases spoil, and the fits to compare with."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import FittedGLMM, glmm

N = 60
FORMULA = "y ~ x + (1|g)"


@cache
def _table() -> pd.DataFrame:
    rng = np.random.default_rng(20)
    x = rng.integers(0, 5, N)
    g = np.repeat(np.arange(6), 10)
    level = np.array([-0.9, 0.6, 0.1, -0.4, 0.8, -0.2])[g]
    trials = rng.integers(3, 9, N)
    return pd.DataFrame(
        {
            "y": rng.poisson(np.exp(0.8 + 0.2 * x + level)),
            "x": x,
            "g": np.array(list("abcdef"))[g].astype(object),
            "z": 1.0 + 0.5 * x + level + rng.normal(size=N),
            "b": rng.integers(0, 2, N),
            "k": rng.binomial(trials, 1 / (1 + np.exp(0.5 - 0.3 * x))),
            "m": trials,
            "p": rng.beta(2, 3, N),
            "w": rng.integers(1, 4, N),
            "e": rng.uniform(0.5, 2.0, N),
            "t": np.tile(np.arange(10), 6),
        }
    )


def table(**columns: Any) -> pd.DataFrame:
    """Fresh copy with some columns replaced."""
    return _table().copy().assign(**columns)


def put(column: str, row: int, value: Any) -> pd.DataFrame:
    """Fresh copy with one value replaced."""
    d = table()
    values = d[column].to_numpy(dtype=object if isinstance(value, str) else float, copy=True)
    values[row] = value
    return d.assign(**{column: values})


@cache
def clean(formula: str = FORMULA, family: str = "poisson", **options: Any) -> FittedGLMM:
    """Fit of the clean data."""
    return glmm(formula, table(), family, **options)
