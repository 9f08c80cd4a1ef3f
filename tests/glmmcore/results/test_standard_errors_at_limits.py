"""Standard errors, predictions, means, intervals and sentences where a parameter is at its limit.

Data of a simpler model are fitted by a richer one. Where the log-likelihood is the simpler model's, everything else
that is reported must be the simpler model's too. The benchmarks `limits`, `standard_errors` and `separations` do the
same at length.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm, marginal_means, wald_tests

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks import interior_models, limit_kinds, separations, standard_errors

# The richer fit stops short of its limit by so much log-likelihood ...
AT_LIMIT = 5e-4
# ... and by so much of a standard error: the share of one more parameter near its edge.
RELATIVE = 1e-2
GROUPS, EACH = 30, 10


def data(seed):
    rng = np.random.default_rng([618, seed])
    g = np.repeat(np.arange(GROUPS), EACH)
    n = len(g)
    x, f = rng.normal(size=n), rng.integers(0, 3, n)
    eta = 0.7 + 0.3 * x + np.array([0.0, 0.2, -0.2])[f] + rng.normal(0, 0.5, GROUPS)[g]
    k = rng.binomial(6, 1.0 / (1.0 + np.exp(-eta)))
    return pd.DataFrame(
        {
            "x": x,
            "g": g.astype(str),
            "f": np.array(list("abc"))[f],
            "count": rng.poisson(np.exp(eta)),
            "k": k,
            "m": 6 - k,
            "share": np.clip(1.0 / (1.0 + np.exp(-eta - rng.normal(0, 0.4, n))), 0.01, 0.99),
            "positive": np.exp(eta + rng.normal(0, 0.3, n)),
            "real": eta + rng.uniform(-1.0, 1.0, n),
        }
    )


COUNT, TRIALS = "count ~ x + f + (1|g)", "cbind(k, m) ~ x + f + (1|g)"
# name: (formula, richer model, simpler model, what the sentence says of the limit)
CASES = {
    "nbinom2": (COUNT, {"family": "nbinom2"}, {"family": "poisson"}, "where nbinom2 is the Poisson"),
    "nbinom1": (COUNT, {"family": "nbinom1"}, {"family": "poisson"}, "where nbinom1 is the Poisson"),
    "zi": (COUNT, {"family": "poisson", "zi": "~ 1"}, {"family": "poisson"}, "zero inflation is estimated as zero"),
    "both": (COUNT, {"family": "nbinom2", "zi": "~ 1"}, {"family": "poisson"}, "zero inflation is estimated as zero"),
    "betabinomial": (TRIALS, {"family": "betabinomial"}, {"family": "binomial"}, "is the binomial distribution"),
    "no zeros": (
        "positive ~ x + f + (1|g)", {"family": "gamma", "zi": "~ x"}, {"family": "gamma"}, "zero inflation is estimated"
    ),
    "no bounds": ("share ~ x + f + (1|g)", {"family": "ordbeta"}, {"family": "beta"}, "a law without zeros"),
    "t": ("real ~ x + f + (1|g)", {"family": "t"}, {"family": "gaussian"}, "is the normal distribution"),
}  # fmt: skip


def at_limit(name):
    """A data set on which the richer model is the simpler one, with both fits."""
    formula, richer, simpler, _ = CASES[name]
    for seed in range(20):
        d = data(seed)
        big, small = glmm(formula, d, **richer), glmm(formula, d, **simpler)
        if abs(big.llf - small.llf) < AT_LIMIT:
            return d, big, small
    raise AssertionError("none of twenty data sets is at the limit")


@pytest.mark.parametrize("name", CASES)
def test_everything_reported_is_that_of_the_simpler_model(name):
    d, big, small = at_limit(name)
    assert big.converged
    np.testing.assert_allclose(big.bse, small.bse, rtol=RELATIVE)
    np.testing.assert_allclose(big.pvalues, small.pvalues, rtol=0.1, atol=1e-4)
    width = (small.conf_int()["upper"] - small.conf_int()["lower"]).to_numpy()
    np.testing.assert_allclose(big.conf_int(), small.conf_int(), atol=RELATIVE * width.max())
    for kind in ("link", "response"):
        for level in ("none", "conditional"):
            ours, theirs = (m.predict(d.head(7), kind=kind, random_effects=level, se=True) for m in (big, small))
            np.testing.assert_allclose(ours["se"], theirs["se"], rtol=RELATIVE)
    ours, theirs = (marginal_means(m, "f") for m in (big, small))
    np.testing.assert_allclose(ours["se"], theirs["se"], rtol=RELATIVE)
    np.testing.assert_allclose(wald_tests(big)["chisq"], wald_tests(small)["chisq"], rtol=2.0 * RELATIVE)
    spread, plain = (m.conf_int(parameters="random").loc["sd(Intercept|g)"] for m in (big, small))
    np.testing.assert_allclose(spread, plain, rtol=RELATIVE)


@pytest.mark.parametrize("name", CASES)
def test_the_sentence_names_the_parameter_at_its_limit_and_nothing_else(name):
    _, big, small = at_limit(name)
    said = [s for s in big.verdict if s not in small.verdict]
    assert sum(CASES[name][3] in s for s in said) == 1
    assert not any("do not bound" in s for s in said)
    assert len(said) == (2 if name in ("both", "no bounds") else 1)


def test_what_is_at_its_limit_has_no_error_of_its_own():
    _, big, _ = at_limit("both")
    assert np.isinf(big.zi_bse).all()
    assert np.isinf(big.disp_bse).all()


@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (2008.0, 1.0), (0.0, 1e-6), (-1e4, 1e3), (5.0, 1e6)])
def test_no_coefficient_is_called_unbounded_for_its_origin_or_unit(shift, unit):
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(20), 15)
    year = rng.integers(-10, 11, 300).astype(float)
    p = 1.0 / (1.0 + np.exp(-0.1 * year - rng.normal(0.0, 0.5, 20)[g]))
    d = pd.DataFrame({"b": rng.binomial(1, p), "g": g.astype(str), "year": shift + unit * year})
    fit = glmm("b ~ year + (1|g)", d, family="binomial")
    centred = glmm("b ~ year + (1|g)", d.assign(year=year), family="binomial")
    assert fit.verdict == centred.verdict == []
    np.testing.assert_allclose(fit.bse["year"] * unit, centred.bse["year"], rtol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_an_empty_cell_is_named_and_leaves_the_rest_alone(shift):
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(20), 15)
    d = pd.DataFrame({"f": rng.choice(list("abc"), 300), "x": shift + rng.normal(size=300), "g": g.astype(str)})
    d["b"] = np.where(d["f"] == "b", 0, rng.binomial(1, 0.4, 300))
    fit = glmm("b ~ f + x + (1|g)", d, family="binomial")
    rest = glmm("b ~ f + x + (1|g)", d[d["f"] != "b"], family="binomial")
    assert list(fit.bse.index[np.isinf(fit.bse)]) == ["f[T.b]"]
    np.testing.assert_allclose(fit.bse.drop("f[T.b]"), rest.bse, rtol=RELATIVE)
    (said,) = (s for s in fit.verdict if "do not bound" in s)
    assert "do not bound f[T.b] (" in said


@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_a_response_in_tiny_or_huge_units_has_the_same_tests(unit):
    d = data(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [glmm("y ~ x + f", d.assign(y=u * d["real"])) for u in (1.0, unit)]
    np.testing.assert_allclose(fits[1].tvalues, fits[0].tvalues, rtol=1e-4)
    assert fits[1].verdict == []


def test_a_refit_from_a_limit_finds_its_way_back():
    d, big, _ = at_limit("nbinom2")
    rng = np.random.default_rng(3)
    mu = np.exp(1.0 + 0.3 * d["x"])
    y = rng.negative_binomial(1.5, 1.5 / (1.5 + mu)).astype(float)
    again, fresh = big.refit(y), glmm(COUNT, d.assign(count=y), family="nbinom2")
    np.testing.assert_allclose(again.llf, fresh.llf, atol=1e-6)
    np.testing.assert_allclose(again.bse, fresh.bse, rtol=1e-4)
    many = big.refit_many(np.array([y, d["count"]]))
    np.testing.assert_allclose(many.bse.iloc[0], fresh.bse, rtol=1e-4)
    np.testing.assert_allclose(many.bse.iloc[1], big.bse, rtol=1e-4)


# Standard errors inside, relative: differences over 1e-5 of a standard error, at most 5e-5 of one from the maximum.
EXACT = 2e-4


@pytest.mark.parametrize(("shift", "unit"), standard_errors.WRITTEN)
@pytest.mark.parametrize("seed", [2, 3, 7, 9, 10, 11, 14])
def test_interior_errors_are_those_of_the_exact_hessian(seed, shift, unit):
    formula, d, options = interior_models.random_model(np.random.default_rng([77, seed]), shift, unit)
    found = standard_errors.deviations(glmm(formula, d, **options))
    assert found is not None, "the maximum is not inside"
    assert max(found.values()) < EXACT, (formula, options, found)


@pytest.mark.parametrize("seed", range(2))
def test_separation_is_found_and_named(seed):
    outcomes = list(separations.try_found(10, seed))
    assert len(outcomes) == 13
    assert [o.fault for o in outcomes if o.fault] == []


@pytest.mark.parametrize("number", range(12))
def test_verdicts_do_not_depend_on_origins_and_units(number):
    (outcome,) = separations.try_origins(183, number)
    assert not outcome.fault


def test_profile_limits_beside_a_parameter_at_its_limit_are_those_of_the_simpler_model():
    _, big, small = at_limit("nbinom2")
    ours, theirs = (m.conf_int(method="profile") for m in (big, small))
    np.testing.assert_allclose(ours, theirs, atol=RELATIVE * float((theirs["upper"] - theirs["lower"]).max()))
    spread = big.conf_int(method="profile", parameters="random").loc["sigma"]
    assert spread["lower"] < big.sigma
    assert spread["upper"] == np.inf


def test_a_mean_that_moves_a_little_with_a_dispersion_at_its_limit() -> None:
    """Was infinite: a limit that moves the mean of a truncated law by a thousandth of what a coefficient does."""
    d = limit_kinds.plain_data(np.random.default_rng([1, 56]))
    rich = glmm("least ~ x + f + (1|g)", d, family="truncated_nbinom1")
    simple = glmm("least ~ x + f + (1|g)", d, family="truncated_poisson")
    assert any("at its limit" in s for s in rich.verdict)
    errors = [m.predict(d, kind="response", se=True, random_effects="none")["se"] for m in (rich, simple)]
    np.testing.assert_allclose(*errors, rtol=RELATIVE)
    with_dispersion = rich.predict(d, kind="response", se=True)["se"]
    assert np.isfinite(with_dispersion).all()


@pytest.mark.parametrize("structure", ["cs", "homcs"])
def test_effects_tend_to_those_at_the_limit_of_a_correlation(structure):
    """A correlation that is not bounded leaves predictions with effects as certain as their other parameters do."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        g, c = np.repeat(np.arange(24), 10), np.tile(np.arange(12), 20)
        f = np.array(list("abc"))[rng.integers(0, 3, 240)]
        d = pd.DataFrame({"f": f, "g": g, "c": c, "x": rng.normal(size=240)})
        d["y"] = rng.poisson(np.exp(0.6 + rng.normal(0, 0.4, 24)[g]))
        rich = glmm(f"y ~ x + (1|g) + {structure}(0 + f|c)", d.astype({"g": str, "c": str}), "poisson")
        simple = glmm("y ~ x + (1|g)", d.astype({"g": str}), "poisson")
        assert rich.curvature.flat.shape[1] > 0
        share = (
            rich.predict(d.astype({"g": str, "c": str}), se=True)["se"]
            / simple.predict(d.astype({"g": str}), se=True)["se"]
        )
        # effects by c of a standard deviation of some .1 may double the variance at most a few times
        assert share.min() > 0.95 and share.max() < 3.0


@pytest.mark.parametrize("rows", ["all", "some"])
def test_the_sentence_says_whether_all_rows_are_at_the_limit(rows):
    rng = np.random.default_rng(4)
    f, x = np.repeat(list("abc"), 100), rng.normal(size=300)
    overdispersed = (f == "b") & (rows == "some")
    # binomial counts vary less than Poisson ones
    y = np.where(overdispersed, rng.negative_binomial(1.0, 0.3, 300), rng.binomial(20, 0.12, 300))
    fit = glmm("y ~ x", pd.DataFrame({"f": f, "x": x, "y": y}), "nbinom2", disp="~ f")
    (sentence,) = [s for s in fit.verdict if "is at its limit" in s]
    assert np.ptp(fit.solution.values["disp"]) > 1.0  # a limit reached by different amounts
    assert ("in some rows" in sentence) == (rows == "some")
