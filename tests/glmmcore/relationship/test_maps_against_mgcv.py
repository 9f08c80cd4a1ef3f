"""Intrinsic autoregressions against R's mgcv 1.8-41, ``gam(y ~ x + s(area, bs = "mrf"), method = "REML")``.

Its Markov random field obeys another constraint, on the rows of the data; restricted likelihoods do not depend on it.
"""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm, relationship

AREA = """
    a20 a13 a15 a05 a13 a17 a19 a19 a21 a02 a17 a10 a15 a06 a00 a01 a21 a19 a06 a09 a05 a03 a18 a14
    a01 a04 a12 a19 a21 a04 a13 a00 a03 a04 a09 a07 a15 a10 a07 a19 a13 a15 a16 a07 a19 a00 a06 a03
    a00 a21 a01 a10 a18 a15 a18 a01 a10 a00 a04 a18
"""
X = """
    -1.332 0.614 0.603 -1.768 0.347 -0.25 0.782 -0.439 -0.018 0.343 -0.876 0.599 -0.105 0.492
    -0.522 1.086 0.605 -0.178 0.632 1.26 1.791 -1.574 0.883 0.465 -0.094 -1.007 1.257 -1.262
    0.567 1.302 -1.6 -0.303 -1.309 0.244 1.514 2.024 -1.778 -0.575 0.704 1.579 0.421 -0.746
    0.297 -0.017 -0.204 -0.734 0.387 0.308 -0.093 -0.222 -1.285 -0.486 1.206 -0.191 -1.44 1.334
    0.53 2.108 0.063 -0.461
"""
Y = """
    -0.314 1.873 3.317 -0.348 0.36 0.557 0.857 0.639 1.203 0.895 0.593 0.58 1.807 1.371
    2.52 1.024 0.744 1.516 1.322 3.096 2.386 0.997 1.985 1.394 1.852 -1.101 1.482 0.075
    0.949 0.16 -0.225 2.576 -0.034 -1.333 2.767 2.495 1.087 0.382 1.227 1.331 2.257 1.373
    1.718 2.807 0.373 2.454 1.933 1.404 2.884 1.487 1.457 -1.03 1.463 0.598 0.344 2.317
    0.963 4.179 0.139 0.966
"""
N = """
    1 2 1 3 2 0 5 0 2 2 1 1 2 2 0 3 2 1 3 6 2 0 0 0 3 0 6 1 2 3
    0 7 1 1 6 3 0 0 6 3 0 1 0 3 1 0 5 0 2 1 3 0 1 1 1 7 5 6 0 1
"""


@pytest.fixture(scope="module")
def d():
    """Simulated; three of the 25 areas have no row."""
    numbers = {name: np.array(text.split(), dtype=float) for name, text in (("x", X), ("y", Y), ("n", N))}
    return pd.DataFrame({"area": AREA.split(), **numbers})


@pytest.fixture(scope="module")
def grid():
    """Five rows of five areas with the neighbours of a rook."""
    chain = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    labels = [f"a{i:02d}" for i in range(25)]
    return relationship.from_adjacency(np.kron(chain, np.eye(5)) + np.kron(np.eye(5), chain), labels)


@pytest.mark.parametrize(
    ("formula", "family", "llf", "slope", "sd", "levels"),
    [
        ("y ~ x + (1|area)", "gaussian", -72.04029186, 0.5384084696, 1.0830742777, [2.7014800, 1.1609277, 0.9092612]),
        ("n ~ x + (1|area)", "poisson", -107.8085481, 0.4713431166, 0.4595608106, [0.8808395, 0.6860915, 0.3167204]),
    ],
)
def test_markov_random_field(d, grid, formula, family, llf, slope, sd, levels):
    fit = glmm(formula, d, family=family, reml=True, known={"area": grid})
    assert fit.llf == pytest.approx(llf, abs=1e-6)
    assert fit.params["x"] == pytest.approx(slope, rel=1e-5)
    assert fit.var_corr["sd"][0] == pytest.approx(sd, rel=1e-4)
    if family == "gaussian":
        assert fit.sigma == pytest.approx(0.6124804349, rel=1e-5)
    new = pd.DataFrame({"x": 0.0, "area": ["a00", "a05", "a24"]})  # the last one has no row
    np.testing.assert_allclose(fit.predict(new, kind="link"), levels, atol=1e-5)
    assert abs(fit.random_effects["area"]["Intercept"].sum()) < 1e-10
