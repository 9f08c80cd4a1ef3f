"""Maps of fitted fields and variograms: what is drawn where."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.errors import ModelError
from simresid import plot_field, plot_variogram, simulate_residuals


@pytest.fixture(autouse=True)
def closed():
    """No figure stays open."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit():
    """A smooth surface at 40 places, metres."""
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"east": rng.uniform(0, 900, 40), "north": rng.uniform(0, 600, 40), "x": rng.normal(size=40)})
    d["y"] = np.sin(d["east"] / 200) + 0.3 * d["x"] + 0.1 * rng.normal(size=40)
    return glmm("y ~ x + exp(east, north | 1)", d)


def test_the_field_is_the_random_effect_and_kriging(fit):
    """At places of the fit the modes and their errors; elsewhere what predictions differ by from those without it."""
    table = fit.field()
    np.testing.assert_allclose(table["estimate"], fit.random_effects["1"].iloc[:, 0], rtol=1e-10)
    np.testing.assert_allclose(table["se"], fit.random_effects_se["1"].iloc[:, 0], rtol=1e-6)
    new = pd.DataFrame({"east": [100.0, 444.0, 800.0], "north": [50.0, 300.0, 555.0]})
    whole = new.assign(x=0.0)
    difference = fit.predict(whole) - fit.predict(whole, random_effects="none")
    found = fit.field(new)
    np.testing.assert_allclose(found["estimate"], difference, atol=1e-8)
    assert found["se"].max() < 1.5 * fit.var_corr["sd"].iloc[0]
    many = fit.field(pd.DataFrame({"east": np.linspace(0, 900, 300), "north": 200.0}))
    np.testing.assert_allclose(
        many.iloc[150], fit.field({"east": [900 * 150 / 299], "north": [200.0]}).iloc[0], rtol=1e-6
    )


def test_two_maps_within_the_hull(fit):
    """Effect and standard error at the same points, equal units, one dot a place, nothing outside the hull."""
    axes = plot_field(fit, cells=15)
    effect, error = (ax.collections[0].get_array() for ax in axes)
    assert effect.shape == error.shape
    assert np.array_equal(np.ma.getmaskarray(effect), np.ma.getmaskarray(error))
    assert 0 < np.ma.getmaskarray(effect).sum() < effect.size / 2
    for ax in axes:
        assert ax.get_aspect() == 1.0
        assert len(ax.lines[0].get_xdata()) == 40
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("east", "north")
    assert axes[0].get_title(loc="left").startswith("exp(east, north)")
    low, high = axes[0].collections[0].norm.vmin, axes[0].collections[0].norm.vmax
    assert low == -high  # no effect is the middle of the scale
    alone, ax = plt.subplots()
    assert plot_field(fit, ax=ax, cells=8) is ax
    assert alone.axes[0] is ax


def test_a_field_beside_slopes_of_a_function():
    """The term is told by what it is, not by parentheses in its name."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"u": rng.random(80), "v": rng.random(80), "x": rng.uniform(1, 5, 80), "g": np.arange(80) % 8})
    d["y"] = np.sin(4 * d["u"]) + rng.normal(0, 0.6, 8)[d["g"]] * np.log(d["x"]) + 0.2 * rng.normal(size=80)
    fit = glmm("y ~ x + (0 + np.log(x)|g) + exp(u, v|1)", d, fixed={"sigma": 0.2})
    axes = plot_field(fit, cells=6)
    assert axes[0].get_title(loc="left").startswith("exp(u, v)")
    assert fit.field().attrs["term"] == "exp(u, v)"


def test_groups_times_and_several_terms():
    """A field in groups has a level, times a curve, several terms a name."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"u": rng.uniform(0, 5, 60), "v": rng.uniform(0, 5, 60), "t": np.arange(60.0), "g": ["a", "b"] * 30}
    )
    d["y"] = np.sin(d["u"]) + np.cos(d["t"] / 5) + 0.2 * rng.normal(size=60)
    fit = glmm("y ~ 1 + exp(u, v | g) + ou(t | 1)", d, fixed={"sigma": 0.2})
    with pytest.raises(ModelError, match="term="):
        plot_field(fit)
    axes = plot_field(fit, "exp", level="b", cells=6)
    assert "g b" in axes[0].get_title(loc="left").replace("\n", " ")
    curve = plot_field(fit, "ou")
    assert curve.get_xlabel() == "t"
    line = curve.lines[0]
    at = np.searchsorted(line.get_xdata(), 30.0)
    assert line.get_ydata()[at] == pytest.approx(fit.field(term="ou")["estimate"].iloc[30], rel=1e-6)
    with pytest.raises(ValueError, match="no level of g"):
        plot_field(fit, "exp", level="c")
    with pytest.raises(ModelError, match="none of"):
        fit.field(term="mat")
    with pytest.raises(ModelError, match="has not seen"):
        fit.field({"u": [1.0], "v": [1.0], "g": ["c"]}, term="exp")


def test_models_without_a_map_are_refused(fit):
    """No field, no columns, a wrong number of cells, not a model."""
    d = fit.data
    with pytest.raises(ModelError, match="no effects of places"):
        plot_field(glmm("y ~ x", d))
    with pytest.raises(ValueError, match="no column of the data and not arithmetic of one"):
        plot_field(glmm("y ~ x + exp(east + north, north | 1)", d))
    with pytest.raises(ValueError, match="cells"):
        plot_field(fit, cells=2)
    with pytest.raises(TypeError, match="glmmcore"):
        plot_field(d)


def test_variogram_shows_curve_band_and_finding(fit):
    """Points outside are squares, the title has the p-value of the numbers."""
    res = simulate_residuals(glmm("y ~ x", fit.data), method="exact")
    ax = plot_variogram(res, "east", "north", n_refits=39)
    assert "Near residuals are alike" in ax.get_title(loc="left")
    assert len(ax.collections[2].get_offsets()) >= 1
    assert any("39 refits" in text.get_text() for text in ax.get_legend().get_texts())
    rng = np.random.default_rng(4)
    flat = plot_variogram(rng.random(60), np.arange(60.0))
    assert flat.get_xlabel() == "Distance in time"
    assert "No pattern" in flat.get_title(loc="left")


def test_coordinates_may_be_arithmetic_of_a_column(fit):
    """Kilometres in the formula, metres on the map: the surface of the fit in metres."""
    far = glmm("y ~ x + exp(east / 1000, north / 1000 | 1)", fit.data)
    ours, theirs = plot_field(far, cells=12), plot_field(fit, cells=12)
    assert [ours[0].get_xlabel(), ours[0].get_ylabel()] == ["east", "north"]
    surfaces = [panels[0].collections[0].get_array() for panels in (ours, theirs)]
    np.testing.assert_allclose(*surfaces, atol=1e-4)
