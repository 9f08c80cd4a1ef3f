"""Where two modes of the random effects merge, Laplace's likelihood rises to infinity: no such point is a maximum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

from glmmcore import glmm

# Laplace's log-likelihood of 40 groups of two rows lies below the integral; beside a merger it was 6 and more above.
ABOVE = 1.0


def heavy_tails(seed: int) -> pd.DataFrame:
    """Forty groups of two rows with t residuals, in which many groups have two modes."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(40), 2)
    x = rng.normal(size=80)
    y = 1.0 + 0.5 * x + rng.normal(0.0, 3.0, 40)[g] + rng.standard_t(2, size=80)
    return pd.DataFrame({"x": x, "g": g, "y": y})


def poisson_groups(seed: int) -> pd.DataFrame:
    """Counts without zero inflation."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(30), 10)
    x = rng.normal(size=300)
    return pd.DataFrame({"x": x, "g": g, "y": rng.poisson(np.exp(1.0 + 0.3 * x + rng.normal(0.0, 0.5, 30)[g]))})


def integrated(fit, data: pd.DataFrame) -> float:
    """The marginal log-likelihood of a t model at its estimates, one integral a group."""
    sd = np.sqrt(fit.solution.terms[0].covariance[0, 0])
    law = stats.t(fit.extra_params["df"], scale=fit.sigma)
    centred = data["y"].to_numpy() - fit.params.to_numpy() @ np.vstack([np.ones(len(data)), data["x"]])
    total = 0.0
    for rows in data.groupby("g").indices.values():
        e = centred[rows]
        value = quad(
            lambda b, e=e: np.prod(law.pdf(e - b)) * stats.norm.pdf(b, 0.0, sd),
            -10.0 * sd,
            10.0 * sd,
            points=[0.0, *e],
            limit=400,
        )
        total += np.log(value[0])
    return total


@pytest.mark.parametrize("seed", [20, 0, 2, 4])
def test_the_likelihood_of_a_t_model_is_not_above_its_integral(seed: int) -> None:
    data = heavy_tails(seed)
    fit = glmm("y ~ x + (1|g)", data, family="t")
    assert fit.llf < integrated(fit, data) + ABOVE
    assert fit.converged or "Not converged" in str(fit.summary())


def test_zero_inflation_with_groups_where_there_is_none_is_that_without_groups() -> None:
    data = poisson_groups(208)
    simple = glmm("y ~ x + (1|g)", data, family="poisson", zi="~x")
    fit = glmm("y ~ x + (1|g)", data, family="poisson", zi="~x + (1|g)")
    assert fit.converged
    assert fit.llf == pytest.approx(simple.llf, abs=1e-5)
    np.testing.assert_allclose(fit.bse, simple.bse, rtol=1e-4)
    assert "separation" not in str(fit.summary())


def test_what_is_no_maximum_names_the_cause() -> None:
    # the likelihood rises from a standard deviation of zero in the zi part to where modes merge
    fit = glmm("y ~ x + (1|g)", poisson_groups(103), family="poisson", zi="~(1|g)")
    assert not fit.converged
    text = str(fit.summary())
    assert "no peak" in text
    assert "end of their range" not in text
