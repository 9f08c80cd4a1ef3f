"""Effects of places and times after the fit: kriging against dense matrices, draws, refits, awkward coordinates."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from glmmcore import compare, fit_many, glmm
from glmmcore.errors import DataWarning, ModelError
from glmmcore.estimation.solution import ConditionalSpread


def fields(seed=0, n=60):
    """Two groups of places with an exponential field, gaussian and Poisson responses, whole and irregular times."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(["a", "b"], n // 2)})
    d["u"], d["v"] = rng.uniform(0.0, 10.0, (2, n))
    d["t"] = np.concatenate([np.cumsum(rng.integers(1, 4, n // 2)) for _ in range(2)])
    d["s"] = np.concatenate([np.cumsum(rng.exponential(1.0, n // 2)) for _ in range(2)])
    distance = np.hypot(*(np.subtract.outer(d[c].to_numpy(), d[c].to_numpy()) for c in "uv"))
    covariance = np.exp(-distance / 3.0) * (d["g"].to_numpy()[:, None] == d["g"].to_numpy())
    d["b"] = np.linalg.cholesky(covariance + 1e-9 * np.eye(n)) @ rng.normal(size=n)
    d["y"] = 1.0 + 0.5 * d["x"] + d["b"] + 0.5 * rng.normal(size=n)
    d["count"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + d["b"]))
    return d


def correlation(name, fit, d, a, b):
    """Correlation between the rows of two frames, from its definition and the table of the fit."""
    row = fit.var_corr.iloc[0]
    same = np.asarray(a["g"])[:, None] == np.asarray(b["g"])
    if name in ("ou", "ar1"):
        gap = np.abs(np.subtract.outer(np.asarray(a["t"], float), np.asarray(b["t"], float)))
        return same * (np.exp(-row["rate"] * gap) if name == "ou" else row["rho"] ** gap)
    distance = np.hypot(*(np.subtract.outer(np.asarray(a[c], float), np.asarray(b[c], float)) for c in "uv"))
    z = distance / row["range"]
    return same * np.exp(-z if name == "exp" else -(z**2))


LEFT = {"exp": "exp(u, v | g)", "gau": "gau(u, v | g)", "ou": "ou(t | g)", "ar1": "ar1(t | g)"}
NEW = {"x": [0.0, 1.0, 0.5], "g": ["a", "b", "a"], "u": [2.5, 7.0, 20.0], "v": [4.0, 1.0, 0.0], "t": [7, 200, 1]}


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("beside", ["", " + (1 | w)"])
@pytest.mark.parametrize("name", sorted(LEFT))
def test_effective_parameters_are_the_trace_of_the_dense_smoother(name, beside, reml):
    # y - fitted = sigma^2 P y, with P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1
    d = fields().assign(w=np.arange(60) % 5)
    fit = glmm(f"y ~ x + {LEFT[name]}{beside}", d, reml=reml)
    sd = fit.var_corr["sd"].to_numpy()
    v = sd[0] ** 2 * correlation(name, fit, d, d, d) + fit.sigma**2 * np.eye(len(d))
    if beside:
        v += sd[1] ** 2 * np.equal.outer(d["w"].to_numpy(), d["w"].to_numpy())
    inverse, x = np.linalg.inv(v), np.column_stack([np.ones(len(d)), d["x"]])
    p = inverse - inverse @ x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse)
    assert fit.edf == pytest.approx(len(d) - fit.sigma**2 * np.trace(p), rel=1e-5)
    assert fit.leverage.sum() == pytest.approx(fit.edf, rel=1e-8)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", sorted(LEFT))
def test_kriging_is_the_closed_form(name, reml):
    """Universal kriging with the estimated variance parameters; standard errors add what not knowing these does."""
    d, new = fields(), pd.DataFrame(NEW)
    fit = glmm(f"y ~ x + {LEFT[name]}", d, reml=reml)
    sd = fit.var_corr["sd"].iloc[0]
    v = sd**2 * correlation(name, fit, d, d, d) + fit.sigma**2 * np.eye(len(d))
    k = sd**2 * correlation(name, fit, d, d, new)
    inverse = np.linalg.inv(v)
    x, x_new = (np.column_stack([np.ones(len(t)), t["x"]]) for t in (d, new))
    information = x.T @ inverse @ x
    beta = np.linalg.solve(information, x.T @ inverse @ d["y"])
    mean = x_new @ beta + k.T @ inverse @ (d["y"] - x @ beta)
    gap = x_new - k.T @ inverse @ x
    variance = sd**2 - np.sum(k * (inverse @ k), axis=0) + np.sum(gap * np.linalg.solve(information, gap.T).T, axis=1)
    found = fit.predict(new, se=True)
    np.testing.assert_allclose(found["estimate"], mean, rtol=1e-8)
    np.testing.assert_allclose(fit.predict(new), mean, rtol=1e-8)
    # parameters of the covariance are estimated too: more variance, of lower order
    assert np.all(found["se"] ** 2 > variance * (1.0 - 1e-9))
    assert np.all(found["se"] < 1.3 * np.sqrt(variance))


@pytest.mark.parametrize("name", sorted(LEFT))
def test_places_of_the_fit_keep_their_modes(name):
    d = fields(2)
    fit = glmm(f"count ~ x + {LEFT[name]}", d, family="poisson")
    new = pd.concat([d.iloc[[3, 40]], pd.DataFrame(NEW)], ignore_index=True)
    together, alone = fit.predict(new, kind="link", se=True), fit.predict(d, kind="link", se=True).iloc[[3, 40]]
    np.testing.assert_allclose(together["estimate"][:2], alone["estimate"], rtol=1e-9)
    np.testing.assert_allclose(together["se"][:2], alone["se"], rtol=1e-5)
    np.testing.assert_allclose(fit.predict(d), fit.fittedvalues, rtol=1e-9)


def test_effects_without_and_on_average():
    fit = glmm("count ~ x + exp(u, v | g)", fields(3), family="poisson")
    new = pd.DataFrame({"x": [0.0, 1.0]})  # neither places nor groups
    fixed = fit.predict(new, random_effects="none")
    np.testing.assert_allclose(fixed, np.exp(fit.params["Intercept"] + fit.params["x"] * new["x"]))
    sd = fit.var_corr["sd"].iloc[0]
    average = fit.predict(new, random_effects="average", se=True)
    np.testing.assert_allclose(average["estimate"], fixed * np.exp(0.5 * sd**2), rtol=1e-6)
    assert np.all(average["se"] > 0.0)


def test_groups_that_the_fit_has_not_seen():
    fit = glmm("y ~ x + ou(t | g)", fields(4))
    new = pd.DataFrame(NEW).assign(g="c")
    with pytest.raises(ModelError, match="level of 'g' that the fit has not seen"):
        fit.predict(new)
    zero = fit.predict(new, new_levels="zero", se=True)
    np.testing.assert_allclose(zero["estimate"], fit.predict(new, random_effects="none"))
    sd = fit.var_corr["sd"].iloc[0]
    assert np.all(zero["se"] > sd)


@pytest.mark.parametrize("name", sorted(LEFT))
def test_unconditional_draws_have_the_covariance_of_the_model(name):
    d = fields(5, n=20)
    fit = glmm(f"y ~ 1 + {LEFT[name]}", fields(5))
    sd, n_sims = fit.var_corr["sd"].iloc[0], 20000
    for newdata, rows in (
        (None, fit.data),
        (d.assign(g=np.repeat(["a", "new"], 10)), d.assign(g=np.repeat([0, 1], 10))),
    ):
        draws = fit.simulate(n_sims, rng=1, random_effects="unconditional", newdata=newdata)
        expected = sd**2 * correlation(name, fit, d, rows, rows) + fit.sigma**2 * np.eye(len(rows))
        error = (np.cov(draws.T) - expected) / np.sqrt((np.outer(*[np.diag(expected)] * 2) + expected**2) / n_sims)
        assert np.abs(error).max() < 5.0  # the largest of some thousand standard normals
        assert abs(np.std(error) - 1.0) < 0.35


@pytest.mark.parametrize("bars", ["ou(t | g) + (1 | g)", "(1 | g) + ou(t | g)", "exp(u, v | g) + ou(t | g) + (x | g)"])
def test_effects_of_a_group_and_of_its_places_stand_in_tables_of_their_own(bars):
    fit = glmm(f"y ~ x + {bars}", fields(4))
    modes, sd = fit.random_effects, fit.random_effects_sd
    assert set(modes) == {t.term.key for t in fit.solution.terms}
    spread = ConditionalSpread.of(fit.estimator.linear_objective(), fit.solution.x)
    for t, covariance in zip(fit.solution.terms, spread.mode_covariances, strict=True):
        assert modes[t.term.key].index.equals(t.term.levels)
        np.testing.assert_array_equal(modes[t.term.key], t.modes)
        np.testing.assert_allclose(np.square(sd[t.term.key]), np.diagonal(covariance, axis1=1, axis2=2))
    assert len(fit.random_effects_frame()) == sum(t.modes.size for t in fit.solution.terms)


@pytest.mark.parametrize("left", [*LEFT.values(), "exp(u, v | g, neighbours = 20)"])
def test_conditional_draws_at_new_places(left):
    """Effects of new places are normal given those of the fit: with these as known, not as all that can be said."""
    fit, d = glmm(f"y ~ x + {left}", fields(6)), fields(6)
    new = pd.concat([pd.DataFrame(NEW), d.loc[[3, 40], list(NEW)]], ignore_index=True)
    new.loc[len(new)] = new.loc[0] + pd.Series({"x": 0, "g": "", "u": 0.3, "v": 0.1, "t": 2})
    name, sd, n_sims = left.split("(")[0], fit.var_corr["sd"].iloc[0], 20000
    draws = fit.simulate(n_sims, rng=2, newdata=new)
    own, cross = correlation(name, fit, d, d, d), correlation(name, fit, d, new, d)
    given = correlation(name, fit, d, new, new) - cross @ np.linalg.solve(own, cross.T)
    expected = sd**2 * given + fit.sigma**2 * np.eye(len(new))
    spread = np.sqrt(np.diag(expected))
    assert np.abs((draws.mean(axis=0) - fit.predict(new)) / spread * np.sqrt(n_sims)).max() < 4.5
    error = (np.cov(draws.T) - expected) / np.sqrt((np.outer(spread, spread) ** 2 + expected**2) / n_sims)
    assert np.abs(error).max() < 4.5  # the largest of some twenty standard normals
    # places of the data have the effects of the fit
    np.testing.assert_allclose(spread[3:5], fit.sigma, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(LEFT))
def test_refits_pickles_and_tables(name):
    d = fields(7)
    fit = glmm(f"count ~ x + {LEFT[name]}", d, family="poisson")
    again = fit.refit(d["count"].to_numpy())
    np.testing.assert_allclose(again.llf, fit.llf, atol=1e-6)
    responses = fit.simulate(3, rng=3, random_effects="unconditional")
    many = fit.refit_many(responses)
    singly = [glmm(f"count ~ x + {LEFT[name]}", d.assign(count=y), family="poisson").llf for y in responses]
    # refits start at the fit only, and the likelihood of a range may have several maxima
    assert np.all(many.llf < np.array(singly) + 1e-4) and np.all(many.llf > np.array(singly) - 0.1)
    copy = pickle.loads(pickle.dumps(fit))
    new = pd.DataFrame(NEW)
    pd.testing.assert_frame_equal(copy.predict(new, se=True), fit.predict(new, se=True), rtol=1e-6)
    (table,) = fit.random_effects.values()
    assert len(table) == len(d[["g", "t"] if name in ("ou", "ar1") else ["g", "u", "v"]].drop_duplicates())
    assert LEFT[name].split(" |")[0] in fit.conf_int(parameters="random").index[0]
    assert LEFT[name].split(" |")[0] in str(fit.summary())


def test_rows_left_out():
    d = fields(8)
    fit = glmm("y ~ x + exp(u, v | g)", d)
    part = fit.refit(rows=np.arange(50))
    other = glmm("y ~ x + exp(u, v | g)", d.iloc[:50])
    np.testing.assert_allclose(part.llf, other.llf, atol=1e-5)
    np.testing.assert_allclose(part.predict(d.iloc[50:]), other.predict(d.iloc[50:]), rtol=1e-3)


# ---- awkward input -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        ("y ~ x + exp(u, g | 1)", {}, "column 'g' holds text"),
        ("y ~ x + exp(u, v, t, s | 1)", {}, "one to three coordinates .* here are 4"),
        ("y ~ x + ou(t, s | g)", {}, "takes one time"),
        ("y ~ x + exp(u, u | g)", {}, "the same coordinate twice"),
        ("y ~ x + exp(u, v | 1)", {"u": 1.0, "v": 2.0}, r"no two different places .* leave it out"),
        ("y ~ x + exp(u, v | row)", {"row": range(60)}, r"no two different places in a group.* write \(1 \| row\)"),
        ("y ~ x + exp(u, v | 1)", {"u": 1e200}, "too large for a coordinate"),
        ("y ~ x + exp(u, v | 1)", {"u": np.inf}, "column 'u' is inf in row"),
        ("y ~ x + exp(u, y | 1)", {}, "the response 'y' is also on the right"),
        ("y ~ x + ar1(s | g)", {}, r"whole numbers.*use ou\(s"),
        ("y ~ x + exp(scale(u), v | 1)", {}, "cannot be a coordinate"),
        ("y ~ x + exp(u, | 1)", {}, "a coordinate is missing here"),
        ("y ~ x + exp(u, v | 2)", {}, "grouping factor must be a column"),
        ("y ~ x + cs(0 + factor(t) | 1)", {}, "grouping factor must be a column"),
        ("y ~ x + ar1(0 + factor(t) | 1)", {}, "needs a column of whole numbers"),
        ("y ~ x + exp(u, v || g)", {}, "contradict each other"),
        ("y ~ x + exp(u, v | g) + exp(u, v | g)", {}, "appear twice"),
        ("y ~ x + matern(u, v | g)", {}, "'matern' is not known, use us, .*exp, gau, mat, ou"),
    ],
)
def test_what_is_refused(formula, change, message):
    with pytest.raises(ModelError, match=message):
        glmm(formula, fields().assign(**change))


def test_missing_coordinates_are_missing_rows():
    d = fields()
    gap = d.assign(u=d["u"].where(d.index != 5))
    fit, other = glmm("y ~ x + exp(u, v | g)", gap), glmm("y ~ x + exp(u, v | g)", d.drop(5))
    assert fit.nobs == 59 and fit.llf == pytest.approx(other.llf, abs=1e-8)
    assert np.isnan(fit.predict(gap).iloc[5])


@pytest.mark.parametrize("name", ["exp", "gau", "mat"])
def test_units_shifts_duplicates_and_lines(name):
    """Metres for kilometres, far origins, places on a line, twice the rows at a place."""
    d = fields(9)
    plain = glmm(f"y ~ x + {name}(u, v | g)", d)
    metres = glmm(f"y ~ x + {name}(u, v | g)", d.assign(u=1000 * d["u"] + 5e6, v=1000 * d["v"] - 3e6))
    assert metres.llf == pytest.approx(plain.llf, abs=1e-6)
    np.testing.assert_allclose(metres.var_corr["range"], 1000 * plain.var_corr["range"], rtol=1e-3)
    line = glmm(f"y ~ x + {name}(u, v | g)", d.assign(v=2 * d["u"]))
    one = glmm(f"y ~ x + {name}(u | g)", d)
    assert line.llf == pytest.approx(one.llf, abs=1e-6)
    np.testing.assert_allclose(line.var_corr["range"], np.sqrt(5.0) * one.var_corr["range"], rtol=1e-3)
    twice = pd.concat([d, d.assign(y=d["y"] + 0.1)], ignore_index=True)
    fit = glmm(f"y ~ x + {name}(u, v | g)", twice)
    assert len(next(iter(fit.random_effects.values()))) == 60 and np.isfinite(fit.llf)


def test_degrees_are_told():
    with pytest.warns(DataWarning, match="distances as on a plane"):
        glmm("y ~ x + exp(lon, lat | g)", fields().rename(columns={"u": "lon", "v": "lat"}))


def test_a_field_that_is_none_is_a_singular_fit():
    rng = np.random.default_rng(99)
    d = fields(11).assign(y=rng.normal(size=60))
    for left in LEFT.values():
        fit = glmm(f"y ~ x + {left}", d)
        plain = glmm("y ~ x", d)
        assert plain.llf - 1e-6 < fit.llf < plain.llf + 4.0
        assert np.isfinite(fit.bse).all()


def test_no_residual_variance_beside_a_field():
    """Without a nugget the ratio of the two standard deviations has no bound; the field's own has."""
    fit = glmm("y ~ x + exp(u, v | g)", fields())
    assert fit.sigma < 0.02 * fit.var_corr["sd"].iloc[0]
    pinned = glmm("y ~ x + exp(u, v | g)", fields(), disp="~ 0")
    for column in ("sd", "range", "se_sd", "se_range"):
        np.testing.assert_allclose(fit.var_corr[column], pinned.var_corr[column], rtol=1e-2)
    new = pd.DataFrame(NEW)
    np.testing.assert_allclose(fit.predict(new, se=True), pinned.predict(new, se=True), rtol=5e-3)


def test_ou_of_one_series_is_the_gaussian_process():
    """One group, irregular times: exp over one coordinate is the same model by other algebra."""
    d = fields(12)
    one = d[d["g"] == "a"]
    dense, line = (
        glmm("count ~ x + exp(s | 1)", one, family="poisson"),
        glmm("count ~ x + ou(s | 1)", one, family="poisson"),
    )
    assert dense.llf == pytest.approx(line.llf, abs=1e-6)
    np.testing.assert_allclose(dense.var_corr["range"], 1 / line.var_corr["rate"], rtol=1e-3)
    np.testing.assert_allclose(dense.fittedvalues, line.fittedvalues, rtol=1e-4)


def test_ar1_with_factor_and_with_numbers_agree_without_gaps():
    rng = np.random.default_rng(13)
    d = pd.DataFrame({"t": np.tile(np.arange(12), 6), "g": np.repeat(np.arange(6), 12)})
    d["y"] = rng.normal(size=72).cumsum() * 0.3 + rng.normal(size=72)
    levels, numbers = glmm("y ~ 1 + ar1(0 + factor(t) | g)", d), glmm("y ~ 1 + ar1(t | g)", d)
    assert levels.llf == pytest.approx(numbers.llf, abs=1e-6)
    np.testing.assert_allclose(levels.var_corr["rho"], numbers.var_corr["rho"], atol=1e-4)


@pytest.mark.parametrize("name", sorted(LEFT))
def test_parameters_that_are_given(name):
    d = fields(14)
    free = glmm(f"count ~ x + {LEFT[name]}", d, family="poisson")
    kind = {"ou": "rate", "ar1": "rho"}.get(name, "range")
    value = 0.9 * free.var_corr[kind].iloc[0]
    held = glmm(f"count ~ x + {LEFT[name]}", d, family="poisson", fixed={f"{kind}(g)": value, "sd(g)": 1.0})
    np.testing.assert_allclose(held.var_corr[kind].iloc[0], value, rtol=1e-8)
    np.testing.assert_allclose(held.var_corr["sd"].iloc[0], 1.0, rtol=1e-8)
    assert held.llf < free.llf


def test_comparison_without_the_field_is_approximate():
    d = fields(3)
    larger, smaller = glmm("y ~ x + exp(u, v | g)", d), glmm("y ~ x", d)
    table = compare(smaller, larger)
    assert "range has no meaning" in table["note"].iloc[1] and table["chisq_df"].iloc[1] == 2
    assert table["pvalue"].iloc[1] == table["pvalue_chi2"].iloc[1]


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("left", ["ou(t | g)", "ar1(t | g)", "exp(u, v | g)"])
def test_all_ways_to_fit_a_response_end_in_the_same_maximum(left, family):
    """Of 72 refits of small fields up to 3.4 of log-likelihood were lost in 1 to 11, others alone and in many."""
    d = fields(1, n=40)
    formula = f"{'y' if family == 'gaussian' else 'count'} ~ x + {left}"
    fit = glmm(formula, d, family)
    y = fit.simulate(6, rng=3, random_effects="unconditional")
    many, apart = fit.refit_many(y), fit_many(formula, d, family, responses=y.T)
    assert list(many.error) == [""] * 6
    alone = [fit.refit(each) for each in y]
    # the same search, hence the same point and standard errors
    np.testing.assert_array_equal(many.llf, [each.llf for each in alone])
    np.testing.assert_array_equal(many.bse, [each.bse for each in alone])
    np.testing.assert_allclose(many.llf, apart.llf, rtol=0.0, atol=2e-4)


@pytest.mark.parametrize("left", ["ou(t | g)", "ar1(t | g)"])
def test_refits_from_a_fit_without_noise_find_the_maximum(left):
    """From a residual SD of nearly zero there is no way back, so that such refits start anew: 3.3 were lost."""
    d = fields()
    fit = glmm(f"y ~ x + {left}", d)
    assert fit.sigma < 0.1 * fit.var_corr["sd"].iloc[0]
    for y in fit.simulate(3, rng=1, random_effects="unconditional"):
        assert fit.refit(y).llf == pytest.approx(glmm(f"y ~ x + {left}", d.assign(y=y)).llf, abs=1e-4)


def test_profile_of_a_range_without_limit_is_a_bound():
    """A trend over the whole area: variance and range grow together, and no limit is found above."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"u": rng.uniform(0, 10, 40), "v": rng.uniform(0, 10, 40)})
    d["y"] = 0.2 * d["u"] + 0.1 * d["v"] + 0.3 * rng.normal(size=40)
    fit = glmm("y ~ 1 + exp(u, v | 1)", d)
    with warnings.catch_warnings():  # whether the search comes to an end on the ridge is a matter of rounding
        warnings.simplefilter("ignore", DataWarning)
        table = fit.conf_int(parameters="random", method="profile")
    assert not table.isna().to_numpy().any()
    label = next(name for name in table.index if name.startswith("range"))
    assert table.loc[label, "lower"] < fit.var_corr["range"].iloc[0]
    assert table.loc[label, "upper"] > 100.0  # ten times the extent of the places


@pytest.mark.parametrize("option", ["", ", neighbours = 20"])
@pytest.mark.parametrize("response", ["y", "count"])
def test_smoothness_as_far_as_it_is_followed_is_one_that_is_given(response, option):
    """Differences on both sides of the end made errors infinite, or counted half of a slope."""
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"u": rng.uniform(0, 10, 40), "v": rng.uniform(0, 10, 40)})
    field = np.sin(0.8 * d["u"]) + np.cos(0.7 * d["v"] + 0.3 * d["u"])
    d["y"], d["count"] = 1.0 + field + 0.3 * rng.normal(size=40), rng.poisson(np.exp(1.0 + field))
    formula, family = f"{response} ~ 1 + mat(u, v | 1{option})", "gaussian" if response == "y" else "poisson"
    free = glmm(formula, d, family)
    held = glmm(formula, d, family, fixed={"smoothness(1)": 100.0})
    assert free.var_corr["smoothness"].iloc[0] == pytest.approx(100.0)
    assert np.isnan(free.var_corr["se_smoothness"].iloc[0])
    # both searches end somewhere within some 1e-5 of the maximum; errors are from differences
    columns = ["sd", "range", "se_sd", "se_range"]
    np.testing.assert_allclose(free.var_corr[columns], held.var_corr[columns], rtol=1e-3)
    new = pd.DataFrame({"u": [5.0, 11.0], "v": [5.0, 3.0]})
    np.testing.assert_allclose(free.predict(new, se=True), held.predict(new, se=True), rtol=1e-3)
    if family == "poisson":  # those of gaussian fits with given parameters are from observed information
        np.testing.assert_allclose(free.bse, held.bse, rtol=1e-3)
