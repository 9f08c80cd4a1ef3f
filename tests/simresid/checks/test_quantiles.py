import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

import simresid as sr
from simresid.checks.basis import default_predictor, predictor_basis, ranks
from simresid.checks.curves import _smooth_distribution, _smoother, quantile_curves
from simresid.checks.quantiles import _Scores


def test_ranks_average_ties():
    from scipy.stats import rankdata

    x = np.random.default_rng(1).integers(0, 6, 50)
    np.testing.assert_allclose(ranks(x), (rankdata(x) - 0.5) / 50, rtol=1e-14)


@pytest.mark.parametrize("n", [30, 400])
def test_scores_are_uncorrelated_with_variance_one(n):
    rng = np.random.default_rng(2)
    x = rng.random(n)
    q = np.array([0.1, 0.25, 0.5, 0.9])
    basis = predictor_basis(x, np.full(n, 0.5))
    np.testing.assert_allclose(basis.functions.T @ basis.functions, np.eye(6), atol=1e-10)
    score = _Scores(basis, q)
    # covariance of the scores of uniform residuals by the rule C = min(q, q') - qq'
    covariance = np.minimum.outer(q, q) - np.outer(q, q)
    np.testing.assert_allclose(score.rotation.T @ covariance @ score.rotation, np.eye(4), atol=1e-10)
    # all directions and degrees at weight one: the ordinary score test
    scores = score.scores(rng.random((1, n)))
    plain = np.einsum("qk,qr,rk->", scores[0], np.linalg.inv(covariance), scores[0])
    rotated = np.einsum("qd,qk->dk", score.rotation, scores[0]) ** 2
    assert rotated.sum() == pytest.approx(plain)


def test_statistics_and_combination_by_hand():
    # weighted sums of squared scores, their tails, and the Cauchy rule with weights 1, 1, .2
    from simresid.checks.pvalues import quadratic_form_sf
    from simresid.checks.quantiles import LOCATION_WEIGHTS, OTHER_WEIGHTS

    rng = np.random.default_rng(12)
    n, q = 200, np.array([0.25, 0.5, 0.75])
    x, u = rng.random(n), rng.random(n) ** 1.2
    basis = np.linalg.qr(np.polynomial.legendre.legvander(2 * ranks(x) - 1, 5))[0]
    result = sr.quantile_test(u, x)
    below = (u[:, None] <= q) - q
    values, vectors = np.linalg.eigh(np.minimum.outer(q, q) - np.outer(q, q))
    tails = []
    for row in range(3):
        turned = below @ vectors[:, 2 - row] / np.sqrt(values[2 - row])
        weights = LOCATION_WEIGHTS if row == 0 else OTHER_WEIGHTS
        statistic = weights @ (basis.T @ turned) ** 2
        tails.append(quadratic_form_sf(statistic, weights))
        assert result.components["statistic"].iloc[row] == pytest.approx(statistic, rel=1e-9)
        assert result.components["pvalue"].iloc[row] == pytest.approx(tails[row], rel=1e-9)
    mean = np.average(1 / np.tan(np.pi * np.array(tails)), weights=[1.0, 1.0, 0.2])
    assert result.pvalue == pytest.approx(0.5 - np.arctan(mean) / np.pi, rel=1e-9)
    assert result.statistic == pytest.approx(-np.log10(result.pvalue), rel=1e-9)
    for k in range(3):
        statistic = LOCATION_WEIGHTS @ (basis.T @ below[:, k]) ** 2 / (q[k] * (1 - q[k]))
        assert result.quantiles["statistic"].iloc[k] == pytest.approx(statistic, rel=1e-9)
        assert result.quantiles["pvalue"].iloc[k] == pytest.approx(quadratic_form_sf(statistic, LOCATION_WEIGHTS))
    # how far a quantile is from level in the quadratic part
    shift = -basis[:, :3] @ (basis[:, :3].T @ below)
    worst = shift.ravel()[np.argmax(np.abs(shift))]
    assert result.effect.value == pytest.approx(worst, rel=1e-9)
    assert result.effect.null == 0.0
    row, column = np.unravel_index(np.argmax(np.abs(shift)), shift.shape)
    half = 1.96 * np.sqrt(q[column] * (1 - q[column]) * np.sum(basis[row, :3] ** 2))
    assert result.effect.interval == pytest.approx((worst - half, worst + half), rel=1e-9)


def test_location_is_the_same_sign_and_scale_the_opposite():
    score = _Scores(predictor_basis(np.arange(30.0), np.full(30, 0.5)), np.array([0.25, 0.5, 0.75]))
    location, scale, _ = score.rotation.T
    assert abs(np.sign(location).sum()) == 3
    assert scale[1] == pytest.approx(0, abs=1e-12)
    assert scale[0] == pytest.approx(-scale[2])


@pytest.mark.parametrize("n", [30, 60, 200, 1000])
def test_size_under_uniform_residuals(n):
    # 1000 replicates (300 for the simulated null): 4 standard errors
    rng = np.random.default_rng(n)
    x = rng.random(n)
    if n < 150:
        m = 300
        p = np.array([sr.quantile_test(rng.random(n), x).pvalue for _ in range(m)])
    else:
        m = 2000
        score = _Scores(predictor_basis(x, np.full(n, 0.5)), np.array([0.25, 0.5, 0.75]))
        p = score.pvalues(*score.statistics(score.scores(rng.random((m, n)))))[0]
    limit = 4 * np.sqrt(0.05 * 0.95 / m)
    assert max(0.01, 0.05 - limit) < np.mean(p <= 0.05) < 0.05 + limit


def fixed_degree(u, x):
    """Unweighted score test of degree 2."""
    q = np.array([0.25, 0.5, 0.75])
    basis = np.linalg.qr(np.polynomial.legendre.legvander(2 * ranks(x) - 1, 2))[0]
    s = basis.T @ ((u[:, None] <= q) - q)
    return chi2.sf(np.sum(s @ np.linalg.inv(np.minimum.outer(q, q) - np.outer(q, q)) * s), 9)


@pytest.mark.parametrize(
    "defect",
    [lambda z, x: z + 0.6 * np.cos(2 * np.pi * x), lambda z, x: z * (0.6 + 0.8 * x)],
    ids=["shift", "scale"],
)
def test_more_power_than_a_fixed_degree(defect):
    rng = np.random.default_rng(4)
    x = rng.random(100)
    u = norm.cdf(defect(rng.normal(size=(1500, 100)), x))
    score = _Scores(predictor_basis(x, np.full(100, 0.5)), np.array([0.25, 0.5, 0.75]))
    own = score.pvalues(*score.statistics(score.scores(u)))[0]
    fixed = np.array([fixed_degree(row, x) for row in u])
    # .85 against .72, .31 against .23
    assert np.mean(own <= 0.05) > np.mean(fixed <= 0.05) + 0.05


def test_invariant_to_monotone_transformation_and_row_order():
    rng = np.random.default_rng(5)
    u, x = rng.random(300), rng.random(300)
    order = rng.permutation(300)
    reference = sr.quantile_test(u, x).pvalue
    assert sr.quantile_test(u, np.exp(5 * x)).pvalue == pytest.approx(reference, rel=1e-9)
    assert sr.quantile_test(u[order], x[order]).pvalue == pytest.approx(reference, rel=1e-9)


def test_several_and_categorical_predictors():
    rng = np.random.default_rng(6)
    n = 400
    frame = pd.DataFrame({"a": rng.random(n), "b": rng.normal(size=n), "c": rng.choice(list("uvw"), n)})
    shifted = norm.cdf(rng.normal(size=n) + 0.8 * (frame["c"] == "v"))
    assert sr.quantile_test(shifted, frame).pvalue < 1e-3
    assert sr.quantile_test(shifted, frame[["a", "b"]]).pvalue > 0.01
    assert sr.quantile_test(shifted, frame["c"]).pvalue < 1e-6
    twice = pd.DataFrame({"a": frame["a"], "again": frame["a"]})
    assert sr.quantile_test(shifted, twice).pvalue == pytest.approx(
        sr.quantile_test(shifted, frame["a"]).pvalue, rel=1e-6
    )


def test_few_distinct_values():
    u = np.random.default_rng(7).random(200)
    assert 0 < sr.quantile_test(u, np.tile([0, 1], 100)).pvalue <= 1
    assert 0 < sr.quantile_test(u, np.zeros(200)).pvalue <= 1


def test_direction_is_found_and_advised():
    rng = np.random.default_rng(8)
    x = rng.random(500)
    mean_off = sr.quantile_test(norm.cdf(rng.normal(size=500) + (2 * x - 1) ** 2), x)
    assert mean_off.components["pvalue"].idxmin() == "location"
    assert "quadratic" in mean_off.advice()
    fan = sr.quantile_test(norm.cdf(rng.normal(size=500) * (0.3 + 1.4 * x)), x)
    assert fan.components["pvalue"].idxmin() == "scale"
    assert "spread" in fan.advice()


def test_default_predictor_has_no_random_effects(known_poisson):
    codes = np.repeat(np.arange(5), 6)
    model = known_poisson(np.linspace(1, 3, 30), np.ones(30), codes, 0.5, np.linspace(-1, 1, 5))
    res = sr.simulate_residuals(model, 50)
    np.testing.assert_allclose(default_predictor(res), model.population_mean(), rtol=1e-8)


def test_curves_follow_the_truth():
    # u given x has quantiles q ** (1 / a(x)); 20 000 rows
    rng = np.random.default_rng(9)
    x = rng.random(20_000)
    power = 0.5 + x
    curves = quantile_curves(rng.random(x.size) ** power, x, np.array([0.25, 0.75]))
    for q, part in curves.groupby("quantile"):
        truth = q ** (0.5 + part["predictor"])
        assert np.max(np.abs(part["value"] - truth)) < 0.03
        assert np.mean((part["lower"] <= truth) & (truth <= part["upper"])) > 0.8


def test_smoothed_distributions_are_those_of_a_normal_kernel_reflected_at_both_ends():
    from scipy.stats import norm

    grid, atoms = np.linspace(0.0, 1.0, 201), np.array([0.1, 0.12, 0.5, 0.985])
    for n_rows in (8.0, 60.0):
        width = n_rows ** (-1 / 3) / np.sqrt(12)
        images = np.concatenate([[2.0 * k + a, 2.0 * k - a] for k in range(-4, 5) for a in atoms])
        by_hand = sum(norm.cdf(grid, image, width) - norm.cdf(0.0, image, width) for image in images) / atoms.size
        # an atom between two points of the grid is spread over the cell
        steps = np.clip((grid[:, None] - atoms) / 0.005 + 0.5, 0.0, 1.0).mean(axis=1)
        smooth = _smooth_distribution(steps[None], np.array([n_rows]))[0]
        np.testing.assert_allclose(smooth, by_hand, atol=2e-4)


def test_curves_rise_evenly_where_the_truth_does():
    # without smoothing along u a curve stays at one residual and leaps to the next: by 2.8 times its mean rise
    leaps = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.random(250)
        u = np.clip(0.2 + 0.5 * x + 0.15 * rng.normal(size=250), 0.001, 0.999)
        part = quantile_curves(u, x, np.array([0.5]))
        rises = np.diff(part["value"]) / np.diff(part["rank"])
        leaps.append(np.max(rises[2:-2]) / np.mean(rises))
    assert np.median(leaps) < 2.0


@pytest.mark.parametrize("values", [2, 3])
def test_curves_of_few_places_are_the_pooled_quantile(values):
    # residuals at (i - 1/2)/n have a distribution function of slope one: the band is that of a fraction
    n, q = 1200, np.array([0.1, 0.5, 0.9])
    u = (np.arange(n) + 0.5) / n
    curves = quantile_curves(u, np.arange(n) % values * 7.0, q)
    assert curves.index.tolist() == list(range(3 * values))
    assert curves["quantile"].tolist() == list(np.repeat(q, values))
    assert curves["predictor"].tolist() == [7.0 * v for v in range(values)] * 3
    np.testing.assert_allclose(curves["value"], curves["quantile"], atol=1e-9)
    half = 1.96 * np.sqrt(curves["quantile"] * (1 - curves["quantile"]) / n)
    np.testing.assert_allclose(curves["upper"] - curves["value"], half, rtol=1e-3)
    np.testing.assert_allclose(curves["value"] - curves["lower"], half, rtol=1e-3)
    np.testing.assert_allclose(curves["rank"], np.tile((np.arange(values) + 0.5) / values, 3), rtol=1e-12)


def test_band_of_a_curve_covers():
    # share of 200 data sets in which the band at the middle covers the truth 1/2; smoothing makes it a little wide
    hits = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        part = quantile_curves(rng.random(400), rng.random(400), np.array([0.5]))
        middle = part.iloc[len(part) // 2]
        hits.append(middle["lower"] <= 0.5 <= middle["upper"])
    assert 0.88 < np.mean(hits) < 0.995


def test_smoother_keeps_constants_and_follows_steep_steps():
    rng = np.random.default_rng(11)
    x, weights = np.sort(rng.random(40)), rng.uniform(1, 5, 40)
    smoother = _smoother(x, weights, (x > 0.5)[:, None].astype(float))
    np.testing.assert_allclose(smoother.sum(axis=1), 1.0, atol=1e-8)
    # weights are counts: W S is symmetric
    np.testing.assert_allclose(weights[:, None] * smoother, (weights[:, None] * smoother).T, atol=1e-6)
    step = smoother @ (x > 0.5)
    assert step[x < 0.3].max() < 0.2 and step[x > 0.7].min() > 0.8
    flat = _smoother(x, weights, rng.normal(size=(40, 1)) / np.sqrt(weights)[:, None])
    assert np.trace(flat) < 0.6 * np.trace(smoother)  # noise is smoothed away


def test_curves_with_ties_and_few_rows():
    rng = np.random.default_rng(10)
    assert quantile_curves(rng.random(12), np.repeat([1.0, 2.0], 6), np.array([0.5])).notna().all().all()
    result = sr.quantile_test(rng.random(40), rng.random(40), curves=True)
    assert set(result.curves["quantile"]) == {0.25, 0.5, 0.75}


@pytest.mark.parametrize(
    ("predictor", "message"),
    [([1.0, np.nan, 2.0, 3.0], "missing"), ([1.0, np.inf, 2.0, 3.0], "not finite"), ([1.0, 2.0], "2 values")],
)
def test_bad_predictors_are_named(predictor, message):
    with pytest.raises(ValueError, match=message):
        sr.quantile_test([0.1, 0.2, 0.3, 0.4], predictor)
    with pytest.raises(ValueError, match="predictor="):
        sr.quantile_test([0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match="strictly between"):
        sr.quantile_test([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], quantiles=[0.0, 0.5])


def test_tiny_samples_keep_ties_with_the_simulated_null() -> None:
    rng = np.random.default_rng(0)
    pvalues = [sr.quantile_test(rng.random(3), np.arange(3)).pvalue for _ in range(60)]
    # three residuals fall into few patterns, none of which is rarer than 1 in 64
    assert min(pvalues) > 1 / 64


def test_any_number_of_quantiles_has_named_directions():
    rng = np.random.default_rng(13)
    u, x = rng.random(160), rng.random(160)
    names = ["location", "scale", "shape", "shape 2", "shape 3"]
    for count in (1, 2, 3, 5):
        q = np.arange(1, count + 1) / (count + 1)
        result = sr.quantile_test(u, x, quantiles=q[::-1])
        assert result.components.index.tolist() == names[:count]
        np.testing.assert_allclose(result.quantiles["quantile"], q)
        assert result.method == "weighted score test"
    alone = sr.quantile_test(u, x, quantiles=[0.5])
    assert alone.pvalue == pytest.approx(alone.components["pvalue"].iloc[0], rel=1e-9)
    assert sr.quantile_test(u[:100], x[:100]).method == "weighted score test, simulated null"


def test_small_samples_are_ranked_among_uniform_ones():
    # the simulated p-value of 100 rows against the asymptotic one: 4 Monte Carlo errors and the difference of the laws
    rng = np.random.default_rng(14)
    for _ in range(5):
        u, x = rng.random(140), rng.random(140)
        result = sr.quantile_test(u, x)
        asymptotic = 10.0**-result.statistic
        assert abs(result.pvalue - asymptotic) < 4 * np.sqrt(asymptotic * (1 - asymptotic) / 1999) + 0.03
        assert result.pvalue * 2000 == pytest.approx(round(result.pvalue * 2000))


def test_a_prediction_that_does_not_vary_has_no_trend():
    """Values of one mean that are too low as a whole are off in shape; along what they follow they are a trend."""
    rng = np.random.default_rng(11)
    y = rng.negative_binomial(0.4, 0.1, 120)
    res = sr.from_simulations(rng.poisson(y.mean(), (199, 120)), y, np.full(120, y.mean()))
    result = sr.quantile_test(res)
    assert result.components["pvalue"].idxmin() == "location"
    assert "the shape of the distribution is off" in result.advice()
    assert sr.diagnose(res).table["finding"]["quantiles"] == "wrong shape"
    assert "the mean is off along the predictor" in sr.quantile_test(res, y + rng.normal(size=120)).advice()
    assert not result.predictor_varies
