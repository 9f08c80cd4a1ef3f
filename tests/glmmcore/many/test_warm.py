"""Refits from the estimates of a fit: every number is that of a fit from scratch, whatever the structure."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.many._batch_crossed import BatchCrossed, crossed_batch_suits
from glmmcore.many._batch_linear import BatchLinear
from glmmcore.many.batch_blocks import BlockTask
from glmmcore.many.warm import WarmStart

# Log-likelihoods stop within 1e-9, hence estimates within 5e-5 standard errors; 1e-7 relative is asked for.
LLF, PARAMS = 1e-7, 1e-4
COUNT = 12


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n, g, h = 120, rng.permutation(np.repeat(np.arange(12), 10)), rng.integers(0, 6, 120)
    x, z = rng.normal(size=n), rng.normal(size=n)
    t = pd.Categorical(rng.integers(0, 4, n))
    eta = 0.6 + 0.3 * x + rng.normal(0, 0.5, 12)[g] + rng.normal(0, 0.3, 6)[h]
    mean = np.exp(eta)
    columns = {
        "count": rng.poisson(mean),
        "zero": np.where(rng.random(n) < 0.25, 0, rng.poisson(mean)),
        "wide": rng.negative_binomial(2, 2 / (2 + mean)),
        "k": rng.binomial(1, 1 / (1 + np.exp(0.5 - eta))),
        "real": eta + rng.normal(0, 0.7, n),
        "share": rng.beta(4 / (1 + np.exp(-eta)), 4 / (1 + np.exp(eta))),
        "heap": np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2, mean)),
        "w": rng.integers(1, 4, n),
    }
    return pd.DataFrame({"x": x, "z": z, "g": g, "h": h, "t": t, **columns})


MODELS = {
    "gaussian": ("real ~ x + (1|g)", "gaussian", {}),
    "gaussian REML": ("real ~ x + z + (1|g)", "gaussian", {"reml": True}),
    "gaussian slopes": ("real ~ x + (x|g)", "gaussian", {}),
    "gaussian slopes REML": ("real ~ x + (x||g)", "gaussian", {"reml": True}),
    "gaussian three coefficients": ("real ~ x + (x + z|g)", "gaussian", {}),
    "gaussian weights": ("real ~ x + (1|g)", "gaussian", {"var_weights": "w", "freq_weights": "w"}),
    "gaussian crossed": ("real ~ x + offset(z) + (1|g) + (1|h)", "gaussian", {}),
    "gaussian crossed REML": ("real ~ x + (1|g) + (1|h)", "gaussian", {"reml": True}),
    "gaussian without effects": ("real ~ x", "gaussian", {"reml": True}),
    "gaussian disp": ("real ~ x + (1|g)", "gaussian", {"disp": "~ z"}),
    "gaussian ar1": ("real ~ x + ar1(0 + t|g)", "gaussian", {}),
    "poisson": ("count ~ x + (1|g)", "poisson", {}),
    "poisson crossed": ("count ~ x + (1|g) + (1|h)", "poisson", {}),
    "poisson slopes": ("count ~ x + (x|g)", "poisson", {}),
    "poisson cs": ("count ~ x + homcs(0 + t|g)", "poisson", {}),
    "poisson REML": ("count ~ x + (1|g)", "poisson", {"reml": True}),
    "zi": ("zero ~ x + (1|g)", "poisson", {"zi": "~ 1"}),
    "zi effects": ("zero ~ x + (1|g)", "poisson", {"zi": "~ 1 + (1|g)"}),
    "binomial quadrature": ("k ~ x + (1|g)", "binomial", {"n_agq": 7}),
    "nbinom2": ("wide ~ x + (1|g)", "nbinom2", {"freq_weights": "w"}),
    "beta": ("share ~ x + (1|g)", "beta", {"disp": "~ z"}),
    "tweedie": ("heap ~ x + (1|g)", "tweedie", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_same_as_fits_from_scratch(name: str, frame: pd.DataFrame) -> None:
    formula, family, options = MODELS[name]
    fit = glmm(formula, frame, family, **options)
    y = fit.simulate(COUNT, rng=4, random_effects="unconditional")
    many = fit.refit_many(y)
    response = formula.split(" ~")[0]
    lower, upper = many.cdf()
    for i in range(COUNT):
        one = glmm(formula, frame.assign(**{response: y[i]}), family, **options)
        if not one.converged:
            continue
        assert many.error[i] == "" and many.converged[i]
        assert many.llf[i] >= one.llf - LLF * abs(one.llf)
        if many.llf[i] > one.llf + 1e-5:  # the fit from scratch ended in another maximum
            continue
        assert many.singular[i] == one.singular
        if not np.isfinite(one.bse).all():
            continue
        np.testing.assert_array_less(np.abs(many.params.loc[i] - one.params), PARAMS * one.bse)
        np.testing.assert_allclose(many.sd.loc[i], one.var_corr["sd"].astype(float), rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(many.sigma[i], one.sigma, rtol=1e-3)
        np.testing.assert_allclose(many.fitted[i], one.fitted, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(lower[i], one.cdf()[0], atol=1e-4)
        np.testing.assert_allclose(upper[i], one.cdf()[1], atol=1e-4)


def test_standard_errors_are_made_when_they_are_read(frame: pd.DataFrame) -> None:
    for formula, family, options in (MODELS[m] for m in ("gaussian", "gaussian REML", "poisson", "tweedie")):
        fit = glmm(formula, frame, family, **options)
        y = fit.simulate(3, rng=1, random_effects="unconditional")
        many = fit.refit_many(y)
        for i in range(3):
            one = fit.refit(y[i])
            np.testing.assert_allclose(many.bse.loc[i], one.bse, rtol=2e-3)
            if one.disp_bse.size:
                np.testing.assert_allclose(many.disp_bse.loc[i], one.disp_bse, rtol=2e-3)


@pytest.mark.parametrize(
    "name", ["gaussian", "gaussian slopes REML", "gaussian three coefficients", "gaussian weights"]
)
def test_cross_products_against_one_response_at_a_time(name: str, frame: pd.DataFrame) -> None:
    """Value and gradient of all responses at any theta, a singular one among them."""
    formula, family, options = MODELS[name]
    fit = glmm(formula, frame, family, **options)
    y, rows = fit.simulate(5, rng=2), fit.estimator.problem.rows
    batch = BatchLinear(fit.estimator.linear_objective(), np.ascontiguousarray(y[:, rows]))
    x = np.random.default_rng(3).normal(0.4, 0.5, (5, batch.n_params))
    x[4] = 0.0
    value, gradient = batch(np.arange(5), x)
    for i in range(5):
        single = fit.estimator.with_response(y[i]).linear_objective()
        want, slope = single(x[i])
        assert value[i] == pytest.approx(want, rel=1e-11)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-8, atol=1e-8)


CROSSED = {
    "two": ("count ~ x + (1|g) + (1|h)", "poisson", {}),
    "slope": ("wide ~ x + (0 + x|g) + (1|h)", "nbinom2", {"disp": "~ z"}),
    "three": ("k ~ x + (1|h) + (1|t) + (1|g)", "binomial", {"freq_weights": "w"}),
    "nested, zi": ("zero ~ x + (1|h/g)", "poisson", {"zi": "~ x"}),
    "smaller first": ("heap ~ x + (1|t) + (1|g)", "gaussian", {"disp": "~ x"}),
}


@pytest.mark.parametrize("name", CROSSED)
def test_several_factors_against_one_response_at_a_time(name: str, frame: pd.DataFrame) -> None:
    """Value and gradient at any point, a vanishing standard deviation among them."""
    formula, family, options = CROSSED[name]
    fit = glmm(formula, frame, family, **options)
    problem = fit.estimator.problem
    if name == "nested, zi":  # more levels inside than the small block takes lead, the others are few
        assert problem.layout.factors[0].order > problem.layout.factors[1].order
    assert crossed_batch_suits(problem)
    y = fit.simulate(4, rng=1, random_effects="unconditional")
    batch = BatchCrossed(problem, np.ascontiguousarray(y[:, problem.rows]))
    x = fit.solution.x + np.random.default_rng(2).normal(0, 0.2, (4, problem.n_params))
    x[3, -1] = 0.0
    value, gradient = batch(np.arange(4), x)
    for i in range(4):
        want, slope = fit.estimator.with_response(y[i]).objective()(x[i])
        assert value[i] == pytest.approx(want, rel=1e-9)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-7 * np.abs(slope).max())


def test_who_is_fitted_as_several_factors(frame: pd.DataFrame) -> None:
    designs = {"count ~ x + (1|g)": False, "count ~ (x|g) + (1|h)": False, "count ~ (1|g) + (1|h)": True}
    for formula, suits in designs.items():
        assert crossed_batch_suits(glmm(formula, frame, "poisson").estimator.problem) == suits


def test_a_response_without_variation_is_told(frame: pd.DataFrame) -> None:
    for formula in ("real ~ x + (1|g)", "real ~ x + (1|g) + (1|h)"):
        fit = glmm(formula, frame)
        y = fit.simulate(3, rng=1)
        y[1] = 2.0 + frame["x"]
        many = fit.refit_many(y)
        assert "perfectly" in many.error[1] and (many.error[[0, 2]] == "").all()


def test_start_of_a_singular_fit_is_off_the_edge(frame: pd.DataFrame) -> None:
    """Zero is a point of symmetry: from there no variance would ever be found."""
    rng = np.random.default_rng(0)
    flat = frame.assign(count=frame.groupby("g").cumcount() % 5)  # the same in every group
    fit = glmm("count ~ x + (1|g)", flat, "poisson")
    assert fit.singular
    start = WarmStart.of(fit)
    assert abs(start.x[-1]) > 0.05
    lively = np.array([rng.poisson(np.exp(rng.normal(0, 0.8, 12)[frame["g"]])) for _ in range(4)], dtype=float)
    np.testing.assert_allclose(
        fit.refit_many(lively).sd["g: Intercept"],
        [glmm("y ~ x + (1|g)", frame.assign(y=y), "poisson").var_corr["sd"][0] for y in lively],
        rtol=1e-3,
    )


def test_results_do_not_depend_on_workers(frame: pd.DataFrame) -> None:
    for name in ("gaussian", "poisson crossed"):
        formula, family, options = MODELS[name]
        fit = glmm(formula, frame, family, **options)
        y = fit.simulate(300, rng=2)
        one, two = fit.refit_many(y, n_jobs=1), fit.refit_many(y, n_jobs=2)
        assert one.llf.equals(two.llf) and one.params.equals(two.params)
    assert BlockTask.of(fit.estimator).block_size < 300


# ---- fits that are at a limit --------------------------------------------------------------------------
AT_A_LIMIT = [
    # Poisson data: the dispersion of the fit is infinite, its zero inflation nothing
    ("poisson", {"family": "nbinom2"}),
    ("poisson", {"family": "nbinom1"}),
    ("poisson", {"family": "nbinom12"}),
    ("poisson", {"family": "poisson", "zi": "~ 1"}),
    # gaussian data: the slant of the fit is next to zero, where every likelihood is stationary
    ("gaussian", {"family": "skewnormal"}),
]


@pytest.mark.parametrize(("truth", "options"), AT_A_LIMIT)
def test_refits_leave_the_limit_of_their_fit(truth, options):
    """They stayed there: up to 2.2 of log-likelihood below a fit to the same response."""
    rng = np.random.default_rng(120)
    d = pd.DataFrame({"x": rng.normal(size=120)})
    eta = 0.5 + 0.3 * d["x"].to_numpy()
    draws = rng.poisson(np.exp(eta), (13, 120)) if truth == "poisson" else eta + rng.normal(size=(13, 120))
    d["y"] = draws[0]
    if options["family"].startswith("nbinom"):  # evenly spread counts, less than Poisson ones
        d["y"] = np.round(np.exp(eta))
    fit = glmm("y ~ x", d, **options)
    expected = [glmm("y ~ x", d.assign(y=y), **options).llf for y in draws[1:]]
    smaller = [glmm("y ~ x", d.assign(y=y), family=truth).llf for y in draws[1:]]
    assert max(np.subtract(expected, smaller)) > 0.3  # some of them are not at the limit
    assert np.allclose(fit.refit_many(draws[1:]).llf, expected, rtol=0.0, atol=2e-4)
    assert np.allclose([fit.refit(y).llf for y in draws[1:]], expected, rtol=0.0, atol=2e-4)


def test_a_single_refit_is_searched_from_elsewhere_where_it_is_doubtful():
    """From the estimates alone this one ended .82 below the maximum, at a correlation of one."""
    rng = np.random.default_rng(17)
    d = pd.DataFrame({"x": rng.normal(size=100), "g": rng.integers(0, 10, 100), "a": rng.choice(list("ab"), 100)})
    effects = rng.normal(0, 0.3, 10)[d["g"]] + rng.normal(0, 0.4, (10, 2))[d["g"], (d["a"] == "b") * 1]
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + effects))
    fit = glmm("y ~ x + cs(0 + a|g)", d, family="poisson")
    y = fit.simulate(25, rng=3, random_effects="unconditional")[14]
    expected = glmm("y ~ x + cs(0 + a|g)", d.assign(y=y), family="poisson").llf
    alone = fit.estimator.with_response(y).fit(fit.solution.x, only=True)
    assert alone.llf < expected - 0.5
    assert fit.refit(y).llf == pytest.approx(expected, abs=1e-5)
