"""Models with nothing to estimate but the dispersion, ``y ~ 0``, limits, and weights beyond what can be squared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import geom, norm, poisson

from glmmcore import ModelError, glmm

RNG = np.random.default_rng(5)
DATA = pd.DataFrame({"y": RNG.normal(1, 2, 40), "n": RNG.poisson(2, 40), "o": RNG.normal(size=40)})


@pytest.mark.parametrize("reml", [False, True])
def test_gaussian(reml):
    """Was an AssertionError with REML, and said to be fitted perfectly without."""
    fit = glmm("y ~ 0", DATA, reml=reml)
    sigma = np.sqrt(np.mean(DATA["y"] ** 2))  # closed form
    assert fit.sigma == pytest.approx(sigma, rel=1e-6)
    assert fit.llf == pytest.approx(norm.logpdf(DATA["y"], 0, sigma).sum(), rel=1e-9)


def test_poisson_with_offset():
    fit = glmm("n ~ 0 + offset(o)", DATA, "poisson")
    assert fit.llf == pytest.approx(poisson.logpmf(DATA["n"], np.exp(DATA["o"])).sum(), rel=1e-12)


@pytest.mark.parametrize("size", [1e160, 1e-160])
def test_weights_beyond_double_precision(size):
    """Was an AttributeError after overflows."""
    with pytest.raises(ModelError, match=r"var_weights reach from .* divide them by their mean"):
        glmm("y ~ 1 + (1|n)", DATA, var_weights=np.full(40, size))
    scaled = glmm("y ~ 1 + (1|n)", DATA, var_weights=np.full(40, np.sqrt(size)))
    plain = glmm("y ~ 1 + (1|n)", DATA)
    assert scaled.params["Intercept"] == pytest.approx(plain.params["Intercept"], rel=1e-5)


def test_the_limit_of_compois_is_the_geometric_distribution() -> None:
    # beyond the geometric law there is none, and the log-likelihood there is in closed form
    y = np.random.default_rng(4).negative_binomial(0.5, 0.2, size=400)
    fit = glmm("y ~ 1", pd.DataFrame({"y": y}), family="compois")
    exact = geom.logpmf(y + 1, 1.0 / (1.0 + y.mean())).sum()
    # what is left of the exponent, 1e-5, times what log y! differs from its line; a smaller one costs long sums
    assert fit.llf == pytest.approx(exact, abs=0.01)
    assert fit.bse["Intercept"] == pytest.approx(np.sqrt((1.0 + 1.0 / y.mean()) / len(y)), rel=1e-2)
    assert "geometric" in str(fit.summary())
