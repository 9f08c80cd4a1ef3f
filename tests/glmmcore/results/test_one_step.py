"""Rows given the rows before: gaussian ones against dense conditional distributions, others by integration."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from glmmcore import glmm
from glmmcore.errors import ModelError
from glmmcore.relationship import random_walk


def series(n=48, seed=3):
    """Rows in random order: irregular times t, whole times k with gaps, visits, groups, a covariate."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"t": np.sort(rng.uniform(0.0, 25.0, n)), "x": rng.normal(size=n), "g": rng.integers(0, 3, n)})
    d["k"] = d["t"].round().astype(int)
    d["visit"] = d["k"] % 4
    latent = np.zeros(n)
    for i in range(1, n):
        keep = np.exp(-0.5 * (d["t"][i] - d["t"][i - 1]))
        latent[i] = keep * latent[i - 1] + np.sqrt(1 - keep**2) * rng.normal()
    d["y"] = 0.5 * d["x"] + latent + 0.3 * d["g"] + 0.6 * rng.normal(size=n)
    d["count"] = rng.poisson(np.exp(0.5 + latent))
    d["positive"] = rng.gamma(3.0, np.exp(latent) / 3.0)
    d["success"] = rng.binomial(1, special.expit(1.5 * latent))
    d["hits"] = rng.binomial(6, special.expit(latent))
    d["many_zeros"] = np.where(rng.random(n) < 0.3, 0, rng.poisson(np.exp(1.0 + latent)))
    d["heavy"] = latent + 0.5 * rng.standard_t(3, n)
    return d.sample(frac=1.0, random_state=1).reset_index(drop=True)


def dense(fit, d):
    """Mean without random effects and covariance of the response, from the tables of the fit."""
    covariance, mean = np.diag(fit.variance()), fit.predict(random_effects="none").to_numpy()
    table = fit.var_corr.set_index("group")
    if "ou(" in fit.formula or " ar1(" in fit.formula:
        name = "t" if "ou(" in fit.formula else "k"
        row = fit.var_corr.iloc[0]
        gap = np.abs(np.subtract.outer(d[name].to_numpy(float), d[name].to_numpy(float)))
        same = np.ones(gap.shape) if row["group"] == "1" else np.equal.outer(d["g"].to_numpy(), d["g"].to_numpy())
        correlation = np.exp(-row["rate"] * gap) if name == "t" else row["rho"] ** gap
        covariance = covariance + row["sd"] ** 2 * correlation * same
    if "hetar1" in fit.formula:
        sd, rho = table["sd"].to_numpy(), float(fit.var_corr["rho"].dropna().iloc[0])
        visit = d["visit"].to_numpy()
        lag = np.abs(np.subtract.outer(visit, visit))
        same = np.equal.outer(d["g"].to_numpy(), d["g"].to_numpy())
        covariance = covariance + np.outer(sd[visit], sd[visit]) * rho**lag * same
    if "| k)" in fit.formula:
        walk = random_walk(1, range(26)).matrix().to_numpy()[np.ix_(d["k"], d["k"])]
        covariance = covariance + table.loc["k", "sd"] ** 2 * walk
    if "(1 | g)" in fit.formula:
        same = np.equal.outer(d["g"].to_numpy(), d["g"].to_numpy())
        covariance = covariance + table.loc["g", "sd"] ** 2 * same
    return mean, covariance


@pytest.mark.parametrize(
    ("formula", "order", "options"),
    [
        ("y ~ x + ou(t | 1)", "t", {}),
        ("y ~ x + ou(t | g)", "t", {"reml": True}),
        ("y ~ x + ou(t | 1) + (1 | g)", "t", {"fixed": {"sd(g)": 0.7}}),
        ("y ~ x + ar1(k | g)", "k", {}),
        ("y ~ x + ou(t | 1)", "t", {"disp": "~ x"}),
        ("y ~ x + hetar1(0 + factor(visit) | g)", "visit", {}),
        ("y ~ x + (1 | k)", "k", {"known": {"k": random_walk(1, range(26))}}),
        ("y ~ x + (1 | k) + (1 | g)", "k", {"known": {"k": random_walk(1, range(26))}, "fixed": {"sd(g)": 0.5}}),
    ],
)
def test_gaussian_rows_are_the_conditional_normal_distribution(formula, order, options):
    """Each row given the rows before it by dense normal algebra; 1e-8 allows for its own rounding."""
    d = series()
    fit = glmm(formula, d, **options)
    assert fit.var_corr["sd"].min() > 0.05  # otherwise nothing is tested
    mean, covariance = dense(fit, d)
    ahead = fit.one_step()
    rank = np.lexsort((np.arange(len(d)), d[order].to_numpy()))
    expected = np.empty((2, len(d)))
    for j, i in enumerate(rank):
        past = rank[:j]
        weights = np.linalg.solve(covariance[np.ix_(past, past)], covariance[past, i])
        expected[:, i] = (
            mean[i] + weights @ (d["y"].to_numpy()[past] - mean[past]),
            covariance[i, i] - weights @ (covariance[past, i]),
        )
    np.testing.assert_allclose(ahead.fitted, expected[0], atol=1e-8)
    np.testing.assert_allclose(ahead.variance(), expected[1], rtol=1e-8)
    lower, upper = ahead.cdf()
    np.testing.assert_allclose(lower, stats.norm.cdf(d["y"], expected[0], np.sqrt(expected[1])), atol=1e-8)
    np.testing.assert_array_equal(lower, upper)


def log_density(fit, i, eta):
    """Log density of one row at predictors eta, by scipy."""
    y = fit.observed[i]
    name, sigma = fit.family.name, fit.sigma
    if name == "poisson":
        plain = stats.poisson.logpmf(y, np.exp(eta))
        if "zi" not in fit.design.predictors:
            return plain
        extra = special.expit(fit.zi_params.iloc[0])
        return np.log(extra * (y == 0) + (1.0 - extra) * np.exp(plain))
    if name == "binomial":
        return stats.binom.logpmf(y, 1 if fit.trials is None else fit.trials[i], special.expit(eta))
    assert name == "gamma"
    return stats.gamma.logpdf(y, 1.0 / sigma**2, scale=np.exp(eta) * sigma**2)


def below(fit, i, eta):
    """Distribution function of one row at predictors eta, by scipy."""
    y = fit.observed[i]
    if fit.family.name == "poisson":
        plain = stats.poisson.cdf(y, np.exp(eta))
        if "zi" not in fit.design.predictors:
            return plain
        extra = special.expit(fit.zi_params.iloc[0])
        return extra + (1.0 - extra) * plain
    if fit.family.name == "binomial":
        return stats.binom.cdf(y, 1 if fit.trials is None else fit.trials[i], special.expit(eta))
    return stats.gamma.cdf(y, 1.0 / fit.sigma**2, scale=np.exp(eta) * fit.sigma**2)


CASES = [
    ("count", "poisson", {}),
    ("many_zeros", "poisson", {"zi": "~ 1"}),
    ("positive", ("gamma", "log"), {}),
    ("success", "binomial", {"fixed": {"sd(1)": 1.5}}),
    ("hits", "binomial", {"trials": 6}),
]


def fitted(response, family, options, d):
    """Fit with one chain."""
    if isinstance(family, tuple):
        options, family = {**options, "link": family[1]}, family[0]
    return glmm(f"{response} ~ x + ou(t | 1)", d, family=family, **options)


@pytest.mark.parametrize(("response", "family", "options"), CASES)
def test_other_laws_agree_with_a_fine_grid(response, family, options):
    """The density of the chain followed on 301 points; the filter keeps it normal, which is what 0.025 allows for."""
    d = series()
    fit = fitted(response, family, options, d)
    row, fixed = fit.var_corr.iloc[0], fit.predict(kind="link", random_effects="none").to_numpy()
    grid = np.linspace(-7.0, 7.0, 301) * row["sd"]
    density = stats.norm.pdf(grid, 0.0, row["sd"])
    expected, last = np.empty(len(d)), None
    for i in np.argsort(d["t"].to_numpy()):
        if last is not None:
            keep = np.exp(-row["rate"] * (d["t"][i] - d["t"][last]))
            move = np.exp(-0.5 * ((grid[:, None] - keep * grid) / row["sd"]) ** 2 / (1.0 - keep**2))
            density = (move / move.sum(axis=0)) @ density
        density /= density.sum()
        expected[i] = below(fit, i, fixed[i] + grid) @ density
        density = density * np.exp(log_density(fit, i, fixed[i] + grid))
        last = i
    error = fit.one_step().cdf()[1] - expected
    assert np.abs(error).max() < 0.025
    assert np.sqrt(np.mean(error**2)) < 0.005


@pytest.mark.parametrize(("response", "family", "options"), CASES)
def test_the_first_two_rows_are_integrals(response, family, options):
    """Nothing is approximated in the first row but the integral; in the second one the normal law given the first."""
    d = series()
    fit = fitted(response, family, options, d)
    row, fixed = fit.var_corr.iloc[0], fit.predict(kind="link", random_effects="none").to_numpy()
    one, two = np.argsort(d["t"].to_numpy())[:2]
    keep = np.exp(-row["rate"] * (d["t"][two] - d["t"][one]))
    rest = row["sd"] * np.sqrt(1.0 - keep**2)

    # the trapezoid rule is exact to 1e-10 for smooth functions that vanish at the ends
    b = np.linspace(-8.0, 8.0, 501) * row["sd"]
    prior = stats.norm.pdf(b, 0.0, row["sd"])
    prior /= prior.sum()
    alone = prior @ below(fit, one, fixed[one] + b)
    posterior = prior * np.exp(log_density(fit, one, fixed[one] + b))
    posterior /= posterior.sum()
    z = np.linspace(-8.0, 8.0, 301)
    steps = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    both = posterior @ (below(fit, two, fixed[two] + keep * b[:, None] + rest * z) @ steps)
    upper = fit.one_step().cdf()[1]
    assert upper[one] == pytest.approx(alone, abs=1e-7)
    assert upper[two] == pytest.approx(both, abs=0.01)


def test_a_normal_law_by_either_way():
    """A gaussian response taken as any other law has the exact answer."""
    d = series()
    fit = glmm("y ~ x + ou(t | 1) + (1 | g)", d, fixed={"sd(g)": 0.5})
    ahead = fit.one_step()
    from glmmcore.results.predictive import NormalMixture
    from glmmcore.results.state_space import StateSpace

    values = dict(fit.solution.values)
    random = sum(np.einsum("ij,ij->i", t.term.Z, t.modes[t.term.codes]) for t in fit.solution.terms)
    values["cond"] = values["cond"] - random
    laws, space = NormalMixture(fit.family, values, None), StateSpace(fit)
    mean, variance = ahead.predictor["mean"].to_numpy(), ahead.predictor["sd"].to_numpy() ** 2
    natural, precision = laws.sites(np.arange(len(d)), fit.observed, mean, variance)
    np.testing.assert_allclose(precision, fit.sigma**-2, rtol=1e-6)
    again = space.filter(natural, precision)
    np.testing.assert_allclose(values["cond"] + again[0], mean, atol=1e-7)
    np.testing.assert_allclose(again[1], variance, rtol=1e-6)


def test_draws_and_moments_agree_and_copies_are_the_same():
    """4000 draws given the rows before, within four standard errors; pickled; refitted to its own response."""
    d = series()
    ahead = glmm("count ~ x + ou(t | g)", d, family="poisson").one_step()
    draws = ahead.simulate(4000, rng=1)
    error = np.sqrt(ahead.variance() / 4000)
    assert np.all(np.abs(draws.mean(axis=0) - ahead.fitted) < 4.5 * error)
    assert np.median(draws.var(axis=0) / ahead.variance()) == pytest.approx(1.0, abs=0.05)
    copy = pickle.loads(pickle.dumps(ahead))
    np.testing.assert_array_equal(copy.cdf()[0], ahead.cdf()[0])
    again = ahead.refit(ahead.observed)
    np.testing.assert_allclose(again.fitted, ahead.fitted, rtol=2e-3)


def test_time_turned_round_and_rows_shuffled():
    """The first row has the marginal law; the order of the rows in the frame does not matter."""
    d = series()
    fit = glmm("count ~ x + ou(t | 1)", d, family="poisson", fixed={"sd(1)": 0.9, "rate(1)": 0.5})
    first = int(np.argmin(d["t"]))
    assert fit.one_step().predictor["sd"].iloc[first] == pytest.approx(0.9, rel=1e-9)
    back = d.iloc[::-1]
    other = glmm("count ~ x + ou(t | 1)", back, family="poisson", fixed={"sd(1)": 0.9, "rate(1)": 0.5})
    np.testing.assert_allclose(other.one_step().fitted[::-1], fit.one_step().fitted, rtol=1e-5)


def test_without_variance_rows_are_independent():
    """A standard deviation of zero leaves the law of the fit."""
    d = series()
    fit = glmm("count ~ x + ou(t | 1)", d, family="poisson", fixed={"sd(1)": 0.0, "rate(1)": 0.5})
    ahead = fit.one_step()
    np.testing.assert_allclose(ahead.cdf()[0], fit.cdf()[0], atol=1e-9)
    np.testing.assert_allclose(ahead.fitted, fit.fitted, rtol=1e-9)


def test_cost_is_linear_in_rows():
    """Twenty thousand rows of one series: one state, not a matrix."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame(
        {"t": np.arange(20_000.0), "y": np.cumsum(rng.normal(size=20_000)) * 0.05 + rng.normal(size=20_000)}
    )
    ahead = glmm("y ~ 1 + ou(t | 1)", d).one_step()
    u = ahead.cdf()[0]
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 4.0 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("count ~ x", {}, "no serial term"),
        ("count ~ x + (1 | g)", {}, "no serial term"),
        ("count ~ x + exp(t, x | 1)", {}, "no serial term"),
        ("count ~ x + ou(t | 1)", {"zi": "~ (1 | g)"}, "zero inflation"),
        ("count ~ x + ou(t | 1)", {"freq_weights": "weight"}, "freq_weights"),
    ],
)
def test_what_has_no_order_is_refused(formula, options, words):
    """With a sentence that names the reason."""
    d = series().assign(weight=2)
    with pytest.raises(ModelError, match=words):
        glmm(formula, d, family="poisson", **options).one_step()
