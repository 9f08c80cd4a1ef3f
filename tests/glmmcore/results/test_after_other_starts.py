"""What is read off a fit for which several starts were tried belongs to the start that won.

Objectives share the memory of their linear system. Hat matrix and conditional standard deviations are written again
with dense matrices from the estimates alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmmcore import FittedGLMM, glmm

LEVELS, SIZE = 12, 8
# Differences of the estimates from the exact maximum, in weights and variances.
TOLERANCE = 1e-5


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(LEVELS), SIZE)
    x = rng.normal(1.0, 1.0, len(g))
    u = rng.normal(size=LEVELS)[g]
    eta = 0.2 + 0.3 * x + 0.6 * u + 0.2 * u * x
    return pd.DataFrame(
        {"g": g, "x": x, "t": np.tile(list("ab"), len(g) // 2), "k": rng.binomial(5, 1 / (1 + np.exp(-eta))), "n": 5,
         "count": rng.poisson(np.exp(eta)), "y": eta + rng.normal(size=len(g)) * np.exp(0.2 * x)}
    )  # fmt: skip


MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("k ~ x + t + (x|g)", "binomial", {"trials": "n"}),
    ("count ~ x + t + (x|g)", "poisson", {}),
    ("count ~ 1 + (x|g)", "poisson", {}),
    ("y ~ x + (1|g)", "gaussian", {"disp": "~ x"}),
    ("y ~ x + t + (x|g)", "gaussian", {"disp": "~ t"}),
]


def dense(fit: FittedGLMM) -> tuple[float, np.ndarray]:
    """Trace of the hat matrix and conditional standard deviations, (levels, k), from estimates."""
    (term,) = fit.solution.terms
    z, codes, k = np.asarray(term.term.Z), term.term.codes, len(term.covariance)
    columns = np.zeros((fit.nobs, LEVELS * k))
    for j in range(k):
        columns[np.arange(fit.nobs), codes * k + j] = z[:, j]
    values, vectors = np.linalg.eigh(term.covariance)
    root = np.kron(np.eye(LEVELS), vectors * np.sqrt(np.maximum(values, 0.0)))
    fixed = np.asarray(fit.design.predictors["cond"].X)
    weights = 1.0 / fit.variance() if fit.family.name == "gaussian" else fit.variance()
    both = np.hstack([fixed, columns @ root])
    prior = np.diag(np.r_[np.zeros(fixed.shape[1]), np.ones(LEVELS * k)])
    gram = both.T @ (both * weights[:, None])
    given = root @ np.linalg.inv(gram + prior)[fixed.shape[1] :, fixed.shape[1] :] @ root.T
    known = root @ np.linalg.inv((gram + prior)[fixed.shape[1] :, fixed.shape[1] :]) @ root.T
    assert np.all(np.diag(given) >= np.diag(known) - 1e-12)
    return float(np.trace(np.linalg.solve(gram + prior, gram))), np.sqrt(np.diag(known)).reshape(LEVELS, k)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("formula", "family", "options"), MODELS)
def test_edf_and_conditional_deviations(formula: str, family: str, options: dict[str, Any], seed: int) -> None:
    fit = glmm(formula, table(seed), family, **options)
    edf, deviations = dense(fit)
    assert fit.edf == pytest.approx(edf, rel=TOLERANCE)
    assert fit.leverage.sum() == pytest.approx(edf, rel=TOLERANCE)
    np.testing.assert_allclose(fit.random_effects_sd["g"].to_numpy(), deviations, rtol=1e-3, atol=1e-6)
