"""Rows that stand for several equal ones give what the repeated rows give, in everything that follows a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmmcore import FittedGLMM, collinearity, glmm, marginal_means, slopes, wald_tests

MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("y ~ x + t", "gaussian", {}),
    ("y ~ x + t", "gaussian", {"reml": True}),
    ("y ~ x + t + (1|g)", "gaussian", {}),
    ("y ~ x + t + (x|g)", "gaussian", {"reml": True}),
    ("count ~ x + t + (1|g)", "poisson", {}),
    ("count ~ x * t", "nbinom2", {}),
    ("k ~ x + t + (x|g)", "binomial", {"trials": "n"}),
    ("positive ~ x + t + (1|g)", "gamma", {}),
]
# Two fits of one model: estimates agree to the optimiser's expected decrease of 1e-9 in the log-likelihood.
TOLERANCE = 1e-4


def tables() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Rows with weights, the same rows repeated, and the first copy of each among these."""
    rng = np.random.default_rng(77)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 9), "x": rng.normal(1.0, 1.0, 90), "t": np.tile(list("abc"), 30)})
    eta = 0.4 * d["x"] - 0.5 * (d["t"] == "b") + rng.normal(0, 0.6, 10)[d["g"]] * (1 + 0.5 * d["x"])
    d["y"], d["count"] = eta + rng.normal(size=90), rng.negative_binomial(2.0, 1.0 / (1.0 + 0.5 * np.exp(eta)))
    d["n"] = 5
    d["k"], d["positive"] = rng.binomial(5, 1.0 / (1.0 + np.exp(-eta))), rng.gamma(2.0, np.exp(eta) / 2.0)
    d["w"] = 1 + np.arange(90) % 4
    repeated = d.loc[d.index.repeat(d["w"])].reset_index(drop=True)
    return d, repeated, np.concatenate([[0], np.cumsum(d["w"])[:-1]])


ASKED: dict[str, Callable[[FittedGLMM], Any]] = {
    "leverage": lambda fit: fit.leverage.sum(),
    "deletion": lambda fit: fit.deletion_changes(fit.column("g").to_numpy()),
    "r2": lambda fit: fit.r2(),
    "icc": lambda fit: fit.icc() if fit.has_random_effects else 0.0,
    "means": lambda fit: marginal_means(fit, "t", kind="response")[["estimate", "se"]],
    "slopes": lambda fit: slopes(fit, "x", kind="response")[["estimate", "se"]],
    "tests": lambda fit: wald_tests(fit).iloc[:, 0],
    "collinearity": lambda fit: collinearity(fit).iloc[:, 0],
    "sandwich": lambda fit: fit.cov_params("sandwich", cluster="g") if not fit.reml else 0.0,
}


@pytest.mark.parametrize(("formula", "family", "options"), MODELS)
def test_weighted_rows_are_repeated_rows(formula: str, family: str, options: dict[str, Any]) -> None:
    d, repeated, first = tables()
    weighted = glmm(formula, d, family, freq_weights="w", **options)
    copies = glmm(formula, repeated, family, **options)
    for name, ask in ASKED.items():
        np.testing.assert_allclose(ask(weighted), ask(copies), rtol=TOLERANCE, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(weighted.leverage, copies.leverage[first] * d["w"], rtol=TOLERANCE)
