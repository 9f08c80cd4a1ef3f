import numpy as np
import pandas as pd
import pytest

import simresid as sr
from simresid.teaching.benchmarking import benchmark_tests


def test_moments_of_the_linear_predictor():
    # log of a gaussian-identity response without noise is the linear predictor itself
    data = sr.create_data(
        60_000, n_groups=3000, family="gaussian", dispersion=1e-9, intercept=2.0, fixed_effects=(1.0, -2.0),
        random_effect_sd=0.7, overdispersion=0.5, rng=1,
    )  # fmt: skip
    rest = data["observed"] - 2 - data["x1"] + 2 * data["x2"]
    assert rest.mean() == pytest.approx(0, abs=0.06)
    assert rest.std() == pytest.approx(np.hypot(0.7, 0.5), rel=0.03)
    assert rest.groupby(data["group"], observed=True).mean().std() == pytest.approx(
        np.hypot(0.7, 0.5 / np.sqrt(20)), rel=0.06
    )


@pytest.mark.parametrize(
    ("family", "dispersion", "variance"),
    [
        ("gaussian", 0.5, lambda m: 0.25),
        ("poisson", 1.0, lambda m: m),
        ("nbinom2", 2.0, lambda m: m + m**2 / 2),
        ("gamma", 0.3, lambda m: 0.3 * m**2),
        ("beta", 5.0, lambda m: m * (1 - m) / 6),
        ("binomial", 1.0, lambda m: m * (1 - m)),
    ],
)
def test_mean_and_variance_by_family(family, dispersion, variance):
    data = sr.create_data(
        40_000,
        family=family,
        dispersion=dispersion,
        intercept=0.3,
        fixed_effects=0.0,
        random_effect_sd=0,
        rng=2,
    )
    mean = data["expected"].iloc[0]
    assert data["observed"].mean() == pytest.approx(mean, rel=0.03)
    assert data["observed"].var() == pytest.approx(variance(mean), rel=0.05)


def test_trials_stay_constant_under_zero_inflation():
    data = sr.create_data(500, family="binomial", trials=12, zero_inflation=0.3, rng=3)
    assert (data["successes"] + data["failures"] == 12).all()
    assert (data["successes"] == 0).mean() > 0.25


@pytest.mark.parametrize(("kind", "column"), [("temporal", "time"), ("spatial", "x")])
def test_correlation_has_the_stated_sd_and_range(kind, column):
    reach = {"temporal": 10.0, "spatial": 0.3}[kind]
    frames = sr.create_data(
        300, family="gaussian", dispersion=1e-9, fixed_effects=0.0, random_effect_sd=0,
        n_replicates=300, rng=4,
        **{f"{kind}_sd": 0.8, f"{kind}_range": reach},
    )  # fmt: skip
    z = np.array([f["observed"] for f in frames])
    assert z.std() == pytest.approx(0.8, rel=0.05)
    first = frames[0]
    place = first[["time"]].to_numpy() if kind == "temporal" else first[["x", "y"]].to_numpy()
    distance = np.sqrt(np.sum((place[:, None] - place[None]) ** 2, axis=2))
    near = (distance > 0.9 * reach) & (distance < 1.1 * reach)
    assert np.mean((z.T @ z / len(z))[near]) / 0.64 == pytest.approx(np.exp(-1), abs=0.08)


def test_other_arguments():
    data = sr.create_data(
        53, n_groups=7, family="binomial", categorical_response=True, missing=True, correlation=0.8,
        fixed_effects=(1, 1), rng=5,
    )  # fmt: skip
    assert list(data["observed"].cat.categories) == ["no", "yes"]
    assert data["group"].nunique() == 7
    assert data["group"].value_counts().between(7, 8).all()
    assert np.isnan(data.loc[0, "x1"])
    under = sr.create_data(400, fixed_effects=0, intercept=2, random_effect_sd=0, rounded_poisson_sd=0.01, rng=6)
    assert under["observed"].var() < 0.1
    wide = sr.create_data(4000, fixed_effects=(1, 1), correlation=0.8, rng=7)
    assert np.corrcoef(wide["x1"], wide["x2"])[0, 1] == pytest.approx(0.8, abs=0.03)
    grows = sr.create_data(2000, family="gaussian", overdispersion=lambda eta: np.abs(eta), rng=8)
    assert isinstance(grows, pd.DataFrame)
    assert sr.create_data(20, rng=9).equals(sr.create_data(20, rng=9))


@pytest.mark.parametrize(
    "arguments",
    [
        {"family": "tweedy"},
        {"link": "probit?"},
        {"fixed_effects": (1, 2), "quadratic_effects": 1},
        {"n_groups": 0},
        {"zero_inflation": 1.0},
        {"random_effect_sd": -1},
        {"dispersion": 0},
        {"trials": 3},
        {"categorical_response": True},
        {"family": "gaussian", "rounded_poisson_sd": 0.1},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError):
        sr.create_data(20, **arguments)


def _pvalues(control, rng):
    if control == 2 and rng.random() < 0.3:
        raise ValueError("cannot fit")
    return {"a": rng.random() ** (1 + control), "b": sr.uniformity_test(rng.random(20))}


def test_benchmark_counts_and_does_not_depend_on_workers():
    result = benchmark_tests(_pvalues, [0, 1, 2], n_replicates=200)
    table = result.summary().set_index(["control", "test"])
    p = result.pvalues.query("control == 1")["a"]
    assert table.loc[(1, "a"), "rate"] == np.mean(p <= 0.05)
    assert table.loc[(0, "a"), "low"] < 0.05 < table.loc[(0, "a"), "high"]
    assert table.loc[(1, "a"), "rate"] > 0.15
    assert 30 < result.failures["ValueError: cannot fit"] < 90
    assert table.loc[(2, "b"), "n"] == 200 - result.failures["ValueError: cannot fit"]
    threads = benchmark_tests(_pvalues, [0, 1, 2], n_replicates=200, n_jobs=1)
    assert threads.pvalues.equals(result.pvalues)
    assert result.plot().get_ylim()[1] > 1


def test_benchmark_says_when_everything_fails():
    with pytest.raises(RuntimeError, match="every replicate failed"):
        benchmark_tests(lambda rng: 1 / 0, n_replicates=3)
