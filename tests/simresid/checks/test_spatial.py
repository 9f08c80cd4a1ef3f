import numpy as np
import pandas as pd
import pytest

import simresid as sr
from simresid.checks._combined import combine
from simresid.checks._moran import (
    _moments,
    band_weights,
    inverse_weights,
    moran,
    neighbour_weights,
    permutation_sd,
)
from simresid.checks.spatial import great_circle_distances


def test_equal_r(dharma):
    # ape::Moran.I
    u, want = np.array(dharma["scaled_residuals"]), dharma["spatial"]
    result = sr.spatial_autocorrelation_test(u, np.array(dharma["x"]), np.array(dharma["y"]))
    got = (result.statistic, result.expected, result.sd, result.pvalue)
    assert got == pytest.approx(tuple(want[k] for k in ("observed", "expected", "sd", "pvalue")), rel=1e-8)


def test_moran_by_loops():
    rng = np.random.default_rng(1)
    n = 12
    w, z = inverse_weights(np.abs(np.subtract.outer(rng.random(n), rng.random(n)))), rng.normal(size=n)
    z -= z.mean()
    total = sum(w[i, j] * z[i] * z[j] for i in range(n) for j in range(n))
    assert moran(z[:, None], w)[0] == pytest.approx(n / w.sum() * total / np.sum(z**2))


def test_permutation_moments():
    # mean and standard deviation over 100 000 permutations; 5 standard errors
    rng = np.random.default_rng(2)
    x, y = rng.random((2, 15))
    w = inverse_weights(np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y)))
    z = rng.random(15) ** 3
    z -= z.mean()
    simulated = moran(rng.permuted(np.tile(z, (100_000, 1)), axis=1).T, w)
    sd = permutation_sd(z, _moments(w))
    assert abs(simulated.mean() + 1 / 14) < 5 * sd / np.sqrt(100_000)
    assert simulated.std() == pytest.approx(sd, rel=0.02)


@pytest.mark.parametrize("kwargs", [{}, {"weights": "knn"}, {"weights": "band", "radius": 0.2}])
def test_size(kwargs):
    rng = np.random.default_rng(3)
    p = []
    for _ in range(400):
        x, y = rng.random((2, 60))
        p.append(sr.spatial_autocorrelation_test(rng.random(60), x, y, **kwargs).pvalue)
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.094


def test_neighbours_from_tree_and_from_distances_agree():
    rng = np.random.default_rng(4)
    u, (x, y) = rng.random(50), rng.random((2, 50))
    d = np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y))
    for kwargs in ({"weights": "knn", "k": 5}, {"weights": "band", "radius": 0.3}, {"weights": "inverse"}):
        a = sr.spatial_autocorrelation_test(u, x, y, **kwargs)
        b = sr.spatial_autocorrelation_test(u, distances=d, **kwargs)
        assert (a.statistic, a.sd) == pytest.approx((b.statistic, b.sd), rel=1e-12)


def test_great_circle():
    # the law of cosines, accurate at such distances; across the date line
    lon, lat = np.array([179.5, -179.5, 10.0]), np.array([10.0, 10.0, -40.0])
    d = great_circle_distances(lon, lat)
    a, b = np.radians(lat[0]), np.radians(lat[1])
    angle = np.arccos(np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(np.radians(1.0)))
    assert d[0, 1] == pytest.approx(6371.0088 * angle, rel=1e-9)
    rng = np.random.default_rng(5)
    lon = np.concatenate([rng.uniform(170, 180, 40), rng.uniform(-180, -170, 40)])
    lat = rng.uniform(50, 80, 80)
    u = (np.mod(lon, 360) - 170) / 20
    knn = sr.spatial_autocorrelation_test(u, lon, lat, great_circle=True, weights="knn")
    direct = sr.spatial_autocorrelation_test(u, distances=great_circle_distances(lon, lat), weights="knn")
    assert knn.statistic == pytest.approx(direct.statistic, rel=1e-12)
    for kwargs in ({"weights": "inverse"}, {"weights": "band", "radius": 300.0}):
        globe = sr.spatial_autocorrelation_test(u, lon, lat, great_circle=True, **kwargs)
        matrix = sr.spatial_autocorrelation_test(u, distances=great_circle_distances(lon, lat), **kwargs)
        assert (globe.statistic, globe.sd) == pytest.approx((matrix.statistic, matrix.sd), rel=1e-10)
    with pytest.raises(ValueError, match="latitude"):
        sr.spatial_autocorrelation_test(u, lat, lon, great_circle=True)
    with pytest.raises(ValueError, match="latitude"):
        sr.spatial_autocorrelation_test(u, lon, np.where(np.arange(80) == 7, 90.5, lat), great_circle=True)


def test_rows_at_one_place_are_combined():
    rng = np.random.default_rng(6)
    place = rng.integers(0, 40, 160)
    x, y = rng.random((2, 40))
    p = [sr.spatial_autocorrelation_test(rng.random(160), x[place], y[place]).pvalue for _ in range(300)]
    assert 0.005 < np.mean(np.array(p) <= 0.05) < 0.10
    np.testing.assert_allclose(combine(np.array([0.7, 0.2, 0.9]), np.array([1, 0, 1])), [-0.3, 0.6 / np.sqrt(2)])
    assert "were combined" in sr.spatial_autocorrelation_test(rng.random(160), x[place], y[place]).notes[0]


def test_permutation_null_repeats():
    rng = np.random.default_rng(7)
    x, y = rng.random((2, 80))
    first = sr.spatial_autocorrelation_test(x, x, y, null="permutation")
    assert first.pvalue == sr.spatial_autocorrelation_test(x, x, y, null="permutation").pvalue == 0.002
    assert first.effect.severity == "severe"


def test_new_random_effects_are_not_spatial_structure(known_poisson):
    # neighbours share a group: the model knows, so a right model must not be blamed
    codes = np.repeat(np.arange(12), 10)
    p, naive = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        b = rng.standard_normal(12)
        model = known_poisson(np.full(120, 4.0), rng.poisson(4 * np.exp(b[codes])), codes, 1.0, b)
        res = sr.simulate_residuals(model, 99, random_effects="unconditional", rng=seed)
        x, y = codes + 0.01 * rng.random(120), rng.random(120)
        p.append(sr.spatial_autocorrelation_test(res, x, y).pvalue)
        naive.append(sr.spatial_autocorrelation_test(res, x, y, null="analytic").pvalue)
    assert np.mean(np.array(naive) <= 0.05) > 0.8
    assert np.mean(np.array(p) <= 0.05) < 0.2


def test_phylogeny_goes_by_labels():
    rng = np.random.default_rng(8)
    species = [f"s{i}" for i in range(30)]
    position = np.sort(rng.random(30))
    d = pd.DataFrame(np.abs(np.subtract.outer(position, position)), species, species)
    u = pd.Series(0.1 + 0.8 * position, species)
    shuffled = rng.permutation(30)
    a = sr.phylogenetic_autocorrelation_test(u, d, species)
    b = sr.phylogenetic_autocorrelation_test(u.iloc[shuffled], d, u.index[shuffled])
    assert a.pvalue < 1e-4
    assert a.statistic == pytest.approx(b.statistic, rel=1e-12)
    # species without data and several rows per species
    some = sr.phylogenetic_autocorrelation_test(u[:20], d, species[:20])
    assert some.expected == pytest.approx(-1 / 19)
    twice = sr.phylogenetic_autocorrelation_test(np.tile(u, 2), d, species * 2)
    assert twice.expected == pytest.approx(-1 / 29)
    # a bare matrix is in the order of the residuals; residuals of a model know their rows
    bare = sr.phylogenetic_autocorrelation_test(u.to_numpy(), d.to_numpy())
    assert (bare.statistic, bare.pvalue) == pytest.approx((a.statistic, a.pvalue), rel=1e-12)
    rows = pd.DataFrame({"mass": position[shuffled]}, index=u.index[shuffled])
    res = sr.from_simulations(rng.normal(size=(99, 30)), rng.normal(size=30), data=rows)
    own = sr.phylogenetic_autocorrelation_test(res, d)
    assert own.statistic == sr.phylogenetic_autocorrelation_test(res, d, rows.index).statistic
    assert own.statistic != sr.phylogenetic_autocorrelation_test(res, d, species).statistic
    with pytest.raises(ValueError, match="species without distances: zebra"):
        sr.phylogenetic_autocorrelation_test(u[:4], d, ["s1", "s2", "s3", "zebra"])
    with pytest.raises(ValueError, match="labels="):
        sr.phylogenetic_autocorrelation_test(u, d)
    with pytest.raises(ValueError, match="distances as a DataFrame"):
        sr.phylogenetic_autocorrelation_test(u, d.to_numpy(), species)
    with pytest.raises(ValueError, match="30 x 30 for 20 residuals"):
        sr.phylogenetic_autocorrelation_test(u[:20], d.to_numpy())
    with pytest.raises(ValueError, match="same, unique species"):
        sr.phylogenetic_autocorrelation_test(u, d.rename(columns={"s3": "s4"}), species)
    doubled = d.set_axis(["s0", *species[:-1]], axis=0).set_axis(["s0", *species[:-1]], axis=1)
    with pytest.raises(ValueError, match="same, unique species"):
        sr.phylogenetic_autocorrelation_test(u[:-1], doubled, species[:-1])
    with pytest.raises(ValueError, match="at least 4 distinct species, there are 3"):
        sr.phylogenetic_autocorrelation_test(u[:3], d, species[:3])
    with pytest.raises(ValueError, match="null='exact'"):
        sr.phylogenetic_autocorrelation_test(u, d, species, null="exact")


def test_four_places_are_enough():
    u, x = np.array([0.1, 0.4, 0.6, 0.95]), np.arange(4.0)
    w = inverse_weights(np.abs(np.subtract.outer(x, x)))
    z = u - u.mean()
    expected = 4 / w.sum() * (z @ w @ z) / (z @ z)
    for result in (
        sr.spatial_autocorrelation_test(u, x, x),
        sr.spatial_autocorrelation_test(u, distances=np.abs(np.subtract.outer(x, x))),
        sr.phylogenetic_autocorrelation_test(u, np.abs(np.subtract.outer(x, x))),
    ):
        assert result.statistic == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 7, 48])
def test_nearest_neighbours_by_sorting(k):
    rng = np.random.default_rng(11)
    u, (x, y) = rng.random(50), rng.random((2, 50))
    d = np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y))
    w = np.zeros((50, 50))
    used = min(k, 49)
    for i, row in enumerate(np.argsort(d, axis=1)[:, 1 : used + 1]):
        w[i, row] = 1 / used
    z = u - u.mean()
    expected = float(z @ w @ z / (z @ z))  # the weights of a row add up to one
    for where in ({"x": x, "y": y}, {"distances": d}):
        knn = sr.spatial_autocorrelation_test(u, **where, weights="knn", k=k)
        assert knn.statistic == pytest.approx(expected, rel=1e-9)
        assert knn.method == f"Moran, {used} nearest neighbours"
        # the size of the effect is the correlation with the nearest neighbours, whatever the weights of the test
        inverse = sr.spatial_autocorrelation_test(u, **where, weights="inverse", k=k)
        assert inverse.effect.value == pytest.approx(expected, rel=1e-9)
        assert inverse.effect.null == pytest.approx(-1 / 49)


@pytest.mark.parametrize("n", [4, 7, 20, 60])
@pytest.mark.parametrize("null", ["auto", "permutation"])
def test_where_all_are_equally_near_there_is_nothing_to_find(n, null):
    # a star phylogeny, as many neighbours as places, a radius that holds all: I is -1/(n - 1) for any residuals
    rng = np.random.default_rng(n)
    u, (x, y) = rng.random(n), rng.random((2, n))
    star = 0.37 * (np.ones((n, n)) - np.eye(n))
    for result in (
        sr.phylogenetic_autocorrelation_test(u, star, null=null),
        sr.spatial_autocorrelation_test(u, distances=star, null=null),
        sr.spatial_autocorrelation_test(u, x, y, weights="knn", k=n, null=null),
        sr.spatial_autocorrelation_test(u, x, y, weights="band", radius=9.0, null=null),
    ):
        assert result.statistic == pytest.approx(-1 / (n - 1), rel=1e-9)
        assert result.pvalue == 1.0
        assert "equally near" in result.notes[0]


def test_places_without_neighbours_are_counted():
    u = np.random.default_rng(10).random(6)
    x, y = np.array([0.0, 0.1, 0.2, 5.0, 9.0, 9.1]), np.zeros(6)
    result = sr.spatial_autocorrelation_test(u, x, y, weights="band", radius=0.15)
    assert result.notes == ("1 places have no neighbour within 0.15.",)
    d = np.abs(np.subtract.outer(x, x))
    for where in ({"x": x, "y": y}, {"distances": d}):
        with pytest.raises(ValueError, match=r"no two places lie within radius=0.01"):
            sr.spatial_autocorrelation_test(u, **where, weights="band", radius=0.01)


def test_clear_errors():
    u = np.random.default_rng(9).random(6)
    with pytest.raises(ValueError, match="both coordinates"):
        sr.spatial_autocorrelation_test(u, u)
    with pytest.raises(ValueError, match="not both"):
        sr.spatial_autocorrelation_test(u, u, u, distances=np.eye(6))
    with pytest.raises(ValueError, match="symmetric"):
        sr.spatial_autocorrelation_test(u, distances=np.triu(np.ones((6, 6)), 1))
    with pytest.raises(ValueError, match="at least 4"):
        sr.spatial_autocorrelation_test(u, np.zeros(6), np.zeros(6))
    with pytest.raises(ValueError, match="radius > 0"):
        sr.spatial_autocorrelation_test(u, np.arange(6), u, weights="band")
    with pytest.raises(ValueError, match="3 x 3 for 6 residuals"):
        sr.spatial_autocorrelation_test(u, distances=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="square matrix"):
        sr.spatial_autocorrelation_test(u, distances=np.zeros((6, 3)))
    for bad in (-1.0, np.inf):
        d = np.ones((6, 6)) - np.eye(6)
        d[0, 1] = d[1, 0] = bad
        with pytest.raises(ValueError, match="finite and not negative"):
            sr.spatial_autocorrelation_test(u, distances=d)
    with pytest.raises(ValueError, match="null='exact'"):
        sr.spatial_autocorrelation_test(u, u, u, null="exact")
    with pytest.raises(ValueError, match="weights='rook'"):
        sr.spatial_autocorrelation_test(u, u, u, weights="rook")
    with pytest.raises(ValueError, match="k must be"):
        sr.spatial_autocorrelation_test(u, u, u, weights="knn", k=0)
    with pytest.raises(ValueError, match="do not vary between places"):
        sr.spatial_autocorrelation_test(np.full(6, 0.5), u, u)
    with pytest.raises(ValueError, match="not finite at position 2"):
        sr.spatial_autocorrelation_test(u, [0, 1, np.inf, 3, 4, 5], u)
    with pytest.raises(ValueError, match="y must hold numbers"):
        sr.spatial_autocorrelation_test(u, u, list("abcdef"))
    with pytest.raises(ValueError, match="x is missing"):
        sr.spatial_autocorrelation_test(u, [np.nan, 1, 2, 3, 4, 5], u)


NO_PLACES = [1e151, -1.7976931348623157e308, 9.9e307, -4e200]


@pytest.mark.parametrize("mark", NO_PLACES)
@pytest.mark.parametrize("options", [{}, {"weights": "knn"}, {"weights": "band", "radius": 0.2}])
def test_coordinates_that_cannot_be_squared_are_refused(mark, options):
    """Their squared distances overflow: indices from the tree pointed beyond the matrix, and memory was overwritten."""
    rng = np.random.default_rng(51)
    u, x, y = rng.random((3, 70))
    y[[13, 40]] = mark
    with pytest.raises(ValueError, match=r"y is .* at position 13 \(2 such rows\)"):
        sr.spatial_autocorrelation_test(u, x, y, **options)


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e-12, 1e12, 1e149])
@pytest.mark.parametrize("weights", ["inverse", "knn", "band"])
def test_the_unit_of_coordinates_changes_nothing(unit, weights):
    rng = np.random.default_rng(52)
    u, x, y = rng.random((3, 90))
    radius = {"radius": 0.21} if weights == "band" else {}
    wanted = sr.spatial_autocorrelation_test(u, x, y, weights=weights, **radius)
    scaled = {"radius": 0.21 * unit} if radius else {}
    found = sr.spatial_autocorrelation_test(u, x * unit, y * unit, weights=weights, **scaled)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-9)
    assert found.effect.value == pytest.approx(wanted.effect.value, rel=1e-9)
    assert found.pvalue == pytest.approx(wanted.pvalue, rel=1e-7)


def test_places_too_close_to_be_told_apart_have_neighbours_all_the_same():
    """Distances of 1e-170 beside others of 1 vanish when squared."""
    rng = np.random.default_rng(53)
    x = np.concatenate([1e-170 * np.arange(1, 31), rng.uniform(1, 2, 30)])
    for weights in ("knn", "inverse"):
        result = sr.spatial_autocorrelation_test(rng.random(60), x, np.zeros(60), weights=weights, k=5)
        assert np.isfinite([result.statistic, result.pvalue, result.effect.value]).all()


@pytest.mark.parametrize("weights", ["knn", "band"])
def test_places_far_from_the_origin_and_next_to_each_other(weights):
    rng = np.random.default_rng(4)
    u, y = rng.random(30), rng.integers(0, 40, 30)
    far = sr.spatial_autocorrelation_test(u, np.full(30, 1e15), 5e-324 * y, weights=weights, radius=1.0)
    assert far.pvalue > 0
    if weights == "knn":
        near = sr.spatial_autocorrelation_test(u, np.zeros(30), 1.0 * y, weights=weights)
        assert far.statistic == pytest.approx(near.statistic, rel=1e-12)


def test_indices_of_places_are_checked():
    with pytest.raises(ValueError, match="cannot be ordered"):
        neighbour_weights(np.array([[1], [3], [0]]))
    with pytest.raises(ValueError, match="cannot be ordered"):
        band_weights(np.array([[0, 1], [-1, 2]]), 3)
    with pytest.raises(ValueError, match="exceeds 360"):
        sr.spatial_autocorrelation_test(np.linspace(0.1, 0.9, 6), np.arange(6) * 1e5, np.arange(6), great_circle=True)


def test_species_are_matched_by_value_not_by_their_text():
    """A species 3 beside a species "3" took the distances of the last species of the tree."""
    tips = ["a", "b", "c", 1, 2, "3"]
    d = pd.DataFrame(np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0))), tips, tips)
    u = np.linspace(0.1, 0.9, 6)
    assert 0 < sr.phylogenetic_autocorrelation_test(u, d, tips).pvalue <= 1
    with pytest.raises(ValueError, match="species without distances: 3 "):
        sr.phylogenetic_autocorrelation_test(u, d, ["a", "b", "c", 1, 2, 3])
