"""Estimates of ill-conditioned designs, up to condition 1e10 of the columns, against extended precision.

Collinearity of a column with earlier ones beyond 1e-7 of its length is aliasing, as in R, and named by a warning; what
is left, together with units and shifts, reaches a condition number of 1e10 and more.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmmcore import glmm

from ..properties.budget import examples
from .dense import cholesky
from .densities import Long

N, LEVELS = 60, 10
# Iterations end when a further rise of the log-likelihood below 1e-9 is expected: sqrt(2e-9) standard errors.
STOPPED = 1e-4


@st.composite
def designs(draw: st.DrawFn) -> tuple[pd.DataFrame, np.random.Generator]:
    """Three covariates with a shift, units and near collinearity."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    base = rng.normal(size=(N, 3))
    distance = 10.0 ** draw(st.floats(-6.0, 0.0))
    shift = 10.0 ** draw(st.floats(0.0, 5.0)) * draw(st.sampled_from([-1.0, 0.0, 1.0]))
    columns = np.column_stack([base[:, 0] + shift, base[:, 1], base[:, 1] + distance * base[:, 2]])
    columns *= 10.0 ** np.array([draw(st.floats(-10.0, 10.0)) for _ in range(3)])
    frame = pd.DataFrame(columns, columns=["a", "b", "c"])
    frame["g"] = np.arange(N) % LEVELS
    frame["eta"] = base @ rng.normal(size=3) * 0.4 + rng.normal(size=LEVELS)[frame["g"]] * 0.7
    return frame, rng


def matrix(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Columns of length one in extended precision, and the lengths."""
    x = np.column_stack([np.ones(N), frame[["a", "b", "c"]]]).astype(Long)
    length = np.sqrt((x**2).sum(axis=0))
    return x / length, length


def orthonormal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and R of x by Gram-Schmidt, each column twice."""
    q, r = x.copy(), np.zeros((x.shape[1], x.shape[1]), dtype=Long)
    for j in range(x.shape[1]):
        for _ in range(2):
            part = q[:, :j].T @ q[:, j]
            r[:j, j] += part
            q[:, j] -= q[:, :j] @ part
        r[j, j] = np.sqrt(q[:, j] @ q[:, j])
        q[:, j] /= r[j, j]
    return q, r


def back_substitution(r: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros_like(b)
    for i in range(len(r) - 1, -1, -1):
        out[i] = (b[i] - r[i, i + 1 :] @ out[i + 1 :]) / r[i, i]
    return out


def assert_estimates(fit, coefficients, covariance, length, r, rtol) -> None:
    """Relative to each standard error, that is, in the only unit that matters, and to what the condition allows."""
    condition = float(np.linalg.cond(r.astype(float)))
    wanted, sd = (coefficients / length).astype(float), (np.sqrt(np.diag(covariance)) / length).astype(float)
    allowed = rtol + 1e-14 * condition
    # differences of gradients make the information
    np.testing.assert_allclose(fit.bse, sd, rtol=10 * rtol + 1e-13 * condition)
    np.testing.assert_array_less(np.abs(fit.params - wanted), allowed * (sd + np.abs(wanted)))


@examples(25)
@given(designs(), st.booleans())
def test_linear_models(design, mixed: bool) -> None:
    """Generalised least squares at the printed variances, in an orthonormal basis in extended precision."""
    frame, rng = design
    frame["y"] = frame["eta"] + rng.normal(size=N)
    fit = glmm("y ~ a + b + c" + (" + (1|g)" if mixed else ""), frame)
    x, length = matrix(frame)
    variance = np.eye(N, dtype=Long) * fit.sigma**2
    if mixed:
        same = (frame["g"].to_numpy()[:, None] == frame["g"].to_numpy()).astype(Long)
        variance += same * fit.var_corr["sd"].iloc[0] ** 2
    lower = cholesky(variance)

    def whiten(v: np.ndarray) -> np.ndarray:
        out = v.astype(Long).copy()
        for i in range(N):
            out[i] = (out[i] - lower[i, :i] @ out[:i]) / lower[i, i]
        return out

    q, r = orthonormal(whiten(x))
    residual = whiten(frame["y"].to_numpy())
    coefficients = back_substitution(r, q.T @ residual)
    inverse = back_substitution(r, np.eye(4, dtype=Long))
    residual = residual - q @ (q.T @ residual)
    llf = -(residual @ residual) / 2 - np.log(np.diag(lower)).sum() - N * np.log(2 * Long(np.pi)) / 2
    assert fit.llf == pytest.approx(float(llf), abs=1e-8)
    assert_estimates(fit, coefficients, inverse @ inverse.T, length, r, 1e-7)


@examples(15)
@given(designs())
def test_poisson_regression(design) -> None:
    """Newton's iteration in an orthonormal basis in extended precision."""
    frame, rng = design
    frame["y"] = rng.poisson(np.exp(frame["eta"]))
    fit = glmm("y ~ a + b + c", frame, family="poisson")
    x, length = matrix(frame)
    q, r = orthonormal(x)
    y, gamma = frame["y"].to_numpy().astype(Long), np.zeros(4, dtype=Long)
    gamma += q.T @ np.full(N, np.log(y.mean()))
    for _ in range(30):
        mu = np.exp(q @ gamma)
        lower = cholesky(q.T @ (q * mu[:, None]))
        step = np.linalg.solve((lower @ lower.T).astype(float), (q.T @ (y - mu)).astype(float))
        gamma = gamma + step
    inverse = back_substitution(r, np.linalg.inv(lower.astype(float)).T.astype(Long))
    assert_estimates(fit, back_substitution(r, gamma), inverse @ inverse.T, length, r, STOPPED)


@examples(6)
@given(designs(), st.sampled_from(["gaussian", "poisson", "binomial"]))
def test_mixed_models_do_not_depend_on_the_basis(design, family: str) -> None:
    """Of the same column space: likelihood, variances and fitted values."""
    frame, rng = design
    eta = frame["eta"]
    frame["y"] = {
        "gaussian": lambda: eta + rng.normal(size=N),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "binomial": lambda: (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float),
    }[family]()
    q, _ = orthonormal(matrix(frame)[0])
    for j, name in enumerate("abc"):
        frame["q" + name] = q[:, j + 1].astype(float) * 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = glmm("y ~ qa + qb + qc + (1|g)", frame, family=family)
        fit = glmm("y ~ a + b + c + (1|g)", frame, family=family)
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)
    np.testing.assert_allclose(fit.fitted, plain.fitted, rtol=1e-3, atol=1e-3)
