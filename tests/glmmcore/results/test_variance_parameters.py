"""Standard errors of standard deviations against the closed form of a balanced one-way layout."""

import pickle

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm

# Central differences of 1e-3 standard errors, and estimates to an expected decrease of 1e-9.
RELATIVE = 1e-4
GROUPS, EACH = 12, 5


@pytest.fixture(scope="module")
def balanced():
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(GROUPS), EACH)
    y = 3.0 + rng.normal(0.0, 0.9, GROUPS)[g] + rng.normal(0.0, 0.6, GROUPS * EACH)
    return pd.DataFrame({"y": y, "g": g.astype(str)})


def closed_form(data):
    """(sd between, its error, error of log sigma): mean squares within and between are independent, each with its own
    variance, so the likelihood factors."""
    means = data.groupby("g").y.transform("mean")
    within = float(np.square(data.y - means).sum()) / (GROUPS * (EACH - 1))
    between = float(np.square(means - data.y.mean()).sum()) / GROUPS
    variance = (between - within) / EACH
    error = np.sqrt(2.0 * between**2 / GROUPS + 2.0 * within**2 / (GROUPS * (EACH - 1))) / EACH
    sd = np.sqrt(variance)
    return sd, error / (2.0 * sd), np.sqrt(0.5 / (GROUPS * (EACH - 1)))


@pytest.mark.parametrize("stored", [False, True])
def test_errors_of_variances_of_a_linear_model(balanced, stored):
    fit = glmm("y ~ 1 + (1|g)", balanced)
    if stored:
        fit = pickle.loads(pickle.dumps(fit))
    sd, error, log_sigma_error = closed_form(balanced)
    row = fit.var_corr.iloc[0]
    np.testing.assert_allclose([row.sd, row.se_sd], [sd, error], rtol=RELATIVE)
    np.testing.assert_allclose(fit.disp_bse.to_numpy(), [log_sigma_error], rtol=RELATIVE)
    assert fit.curvature.inverse.shape == (1, 1)


def test_a_singular_linear_model_is_told_by_its_hessian(balanced):
    """On the edge the gradient is zero by symmetry: only the curvature tells a maximum from a saddle."""
    noise = balanced.assign(y=balanced.y - balanced.groupby("g").y.transform("mean"))
    fit = glmm("y ~ 1 + (1|g)", noise)
    assert fit.singular
    assert fit.converged
    assert fit.solution.optimum.hessian is not None


def test_errors_of_a_linear_model_whose_fit_made_no_hessian():
    """Against second differences of the normal density of all rows."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(30), rng.integers(2, 12, 30))
    y = 3.0 + rng.normal(0.0, 0.9, 30)[g] + rng.normal(0.0, 0.6, g.size)
    fit = glmm("y ~ 1 + (1|g)", pd.DataFrame({"y": y, "g": g.astype(str)}))
    assert fit.solution.optimum.hessian is None
    same, ones = (g[:, None] == g).astype(float), np.ones(g.size)

    def minus_llf(at):
        v = at[0] ** 2 * same + np.exp(2.0 * at[1]) * np.eye(g.size)
        whole, white = np.linalg.slogdet(v)[1], np.linalg.solve(v, np.column_stack([y, ones]))
        centre = (ones @ white[:, 0]) / (ones @ white[:, 1])
        return 0.5 * (whole + (y - centre) @ (white[:, 0] - centre * white[:, 1]))

    at, h = np.array([fit.var_corr["sd"].iloc[0], np.log(fit.sigma)]), 1e-3
    step = h * np.eye(2)
    hessian = [
        [
            (minus_llf(at + a + b) - minus_llf(at + a - b) - minus_llf(at - a + b) + minus_llf(at - a - b))
            / (4 * h * h)
            for b in step
        ]
        for a in step
    ]
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    # second differences with this step are good to 1e-5
    np.testing.assert_allclose([fit.var_corr["se_sd"].iloc[0], fit.disp_bse.iloc[0]], errors, rtol=1e-4)


@pytest.mark.parametrize(
    ("disp", "given"),
    [("~ 0 + x", {}), ("~ 1 + offset(x)", {}), ("~ x", {"disp: x": 0.5}), ("~ x", {}), ("~ 0 + offset(x)", {})],
)
def test_a_dispersion_that_varies_is_no_sigma(disp, given):
    """The coefficient of a covariate, or an intercept beside an offset, was given out as the dispersion of all rows."""
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"x": rng.uniform(0.5, 1.5, 90), "g": np.repeat(np.arange(15), 6)})
    d["y"] = rng.normal(0.0, np.exp(0.7 * d["x"])) + rng.normal(size=15)[d["g"]]
    fit = glmm("y ~ 1 + (1|g)", d, disp=disp, fixed=given)
    assert np.isnan(fit.sigma)
    assert [name for _, name in fit.conf_int(parameters="all").index if name.startswith("sigma")] == []
    assert np.isnan(fit.refit_many(fit.simulate(3, rng=1)).sigma).all()
    rows = fit.predict(kind="disp")
    eta = fit.design.predictors["disp"].X @ fit.disp_params + fit.design.predictors["disp"].offset
    assert np.allclose(rows, np.exp(eta)) and np.ptp(rows) > 0.1
    assert "Dispersion (gaussian):" not in fit.summary() or "held by its offset" in fit.summary()


def test_a_constant_dispersion_written_as_a_formula_is_sigma():
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"y": rng.normal(size=60), "g": np.repeat(np.arange(15), 4)})
    written, plain = glmm("y ~ 1 + (1|g)", d, disp="~ 1"), glmm("y ~ 1 + (1|g)", d)
    assert written.sigma == pytest.approx(plain.sigma, rel=1e-5)
    assert "sigma" in written.conf_int(parameters="random").index
