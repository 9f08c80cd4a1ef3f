"""Data and models of the benchmarks, the same numbers in every tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True)
class Model:
    """One model of one data set.

    Attributes
    ----------
    make : callable
        Returns the data; text columns are grouping factors.
    formula, family : str
        As `glmmcore.glmm` takes them.
    about : str
        One line for tables.
    groups : tuple of str
        Columns of random intercepts, where the model has nothing else: what GPBoost can fit.
    """

    make: Callable[[], pd.DataFrame]
    formula: str
    family: str
    about: str
    groups: tuple[str, ...] = ()


def _text(codes: np.ndarray) -> np.ndarray:
    return np.array([f"l{k}" for k in range(int(codes.max()) + 1)])[codes]


def _embedded(name: str) -> pd.DataFrame:
    from simresid import datasets

    data = datasets.load(name)
    # with a letter, so that a CSV file does not turn levels into numbers
    return data.assign(**{c: "l" + data[c].astype(str) for c in data.columns if data[c].dtype == "category"})


def crossed(n: int, q1: int = 200, q2: int = 50) -> pd.DataFrame:
    """Poisson counts with two crossed factors."""
    rng = np.random.default_rng(1)
    a, b, x = rng.integers(0, q1, n), rng.integers(0, q2, n), rng.standard_normal(n)
    eta = 0.5 + 0.3 * x + rng.normal(0, 0.5, q1)[a] + rng.normal(0, 0.3, q2)[b]
    return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "a": _text(a), "b": _text(b)})


def slopes(n: int = 20_000, q: int = 500) -> pd.DataFrame:
    """0/1 responses with correlated random intercepts and slopes."""
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, q, n), rng.standard_normal(n)
    b = rng.multivariate_normal([0, 0], [[1, 0.15], [0.15, 0.25]], q)
    chance = 1 / (1 + np.exp(-(-0.5 + 0.8 * x + b[g, 0] + b[g, 1] * x)))
    return pd.DataFrame({"y": (rng.random(n) < chance).astype(int), "x": x, "g": _text(g)})


def overdispersed(n: int = 10_000, q: int = 500) -> pd.DataFrame:
    """Negative binomial counts of size 1.5."""
    rng = np.random.default_rng(3)
    g, x = rng.integers(0, q, n), rng.standard_normal(n)
    mean = np.exp(1 + 0.5 * x + rng.normal(0, 0.6, q)[g])
    return pd.DataFrame({"y": rng.negative_binomial(1.5, 1.5 / (1.5 + mean)), "x": x, "g": _text(g)})


def ratings(n: int = 73_421, students: int = 2972, lecturers: int = 1128) -> pd.DataFrame:
    """Of the size and structure of lme4's InstEval."""
    rng = np.random.default_rng(4)
    s, d, x = rng.integers(0, students, n), rng.integers(0, lecturers, n), rng.integers(0, 2, n)
    y = 3.3 - 0.1 * x + rng.normal(0, 0.33, students)[s] + rng.normal(0, 0.52, lecturers)[d] + rng.normal(0, 1.18, n)
    return pd.DataFrame({"y": y, "x": x.astype(float), "s": _text(s), "d": _text(d)})


def grouped_counts(n: int, q: int) -> pd.DataFrame:
    """Poisson counts in `q` groups."""
    rng = np.random.default_rng(5)
    g, x = rng.integers(0, q, n), rng.standard_normal(n)
    return pd.DataFrame({"y": rng.poisson(np.exp(0.5 + 0.3 * x + rng.normal(0, 0.5, q)[g])), "x": x, "g": _text(g)})


MODELS: dict[str, Model] = {
    "cbpp": Model(
        lambda: _embedded("cbpp"),
        "cbind(incidence, size - incidence) ~ period + (1|herd)",
        "binomial",
        "cbpp, binomial, (1|herd)",
    ),
    "sleep": Model(
        lambda: _embedded("sleepstudy"),
        "Reaction ~ Days + (Days|Subject)",
        "gaussian",
        "sleepstudy, (Days|Subject)",
    ),
    "slopes": Model(slopes, "y ~ x + (x|g)", "binomial", "20 000 Bernoulli rows, (x|g), 500 levels"),
    "nb2": Model(overdispersed, "y ~ x + (1|g)", "nbinom2", "10 000 nbinom2 rows, (1|g), 500 levels", ("g",)),
    "crossed4": Model(
        lambda: crossed(10**4),
        "y ~ x + (1|a) + (1|b)",
        "poisson",
        "10 000 Poisson rows, 200 x 50 crossed",
        ("a", "b"),
    ),
    "crossed5": Model(
        lambda: crossed(10**5),
        "y ~ x + (1|a) + (1|b)",
        "poisson",
        "100 000 Poisson rows, 200 x 50 crossed",
        ("a", "b"),
    ),
    "insteval": Model(
        ratings,
        "y ~ x + (1|s) + (1|d)",
        "gaussian",
        "73 421 gaussian rows, 2972 x 1128 crossed",
        ("s", "d"),
    ),
    "small": Model(
        lambda: grouped_counts(1000, 50), "y ~ x + (1|g)", "poisson", "1000 Poisson rows, (1|g), 50 levels", ("g",)
    ),
    "counts4": Model(
        lambda: grouped_counts(10**4, 500),
        "y ~ x + (1|g)",
        "poisson",
        "10 000 Poisson rows, (1|g), 500 levels",
        ("g",),
    ),
    "counts6": Model(
        lambda: grouped_counts(10**6, 50_000),
        "y ~ x + (1|g)",
        "poisson",
        "1 000 000 Poisson rows, (1|g), 50 000 levels",
        ("g",),
    ),
}
