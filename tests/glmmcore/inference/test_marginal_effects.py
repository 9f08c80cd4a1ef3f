"""The adapter to marginaleffects, where that package is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, for_marginaleffects, glmm, marginal_means
from glmmcore import avg_comparisons as our_comparisons
from glmmcore import avg_predictions as our_predictions

installed = find_spec("marginaleffects") is not None


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"x": rng.normal(size=200), "t": rng.choice(["a", "b"], 200), "h": np.repeat(np.arange(20), 10)})
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"]))
    return glmm("y ~ x * t + (1|h)", d, family="poisson")


@pytest.mark.skipif(installed, reason="marginaleffects is installed")
def test_the_package_is_asked_for_by_name(fit):
    with pytest.raises(ModelError, match="pip install marginaleffects"):
        for_marginaleffects(fit)


@pytest.mark.skipif(not installed, reason="marginaleffects is not installed")
@pytest.mark.filterwarnings("ignore")
def test_means_and_slopes(fit):
    from marginaleffects import avg_predictions, avg_slopes, datagrid

    model = for_marginaleffects(fit)
    grid = datagrid(model=model, t=["a", "b"], x=float(fit.data["x"].mean()))
    found = avg_predictions(model, by="t", newdata=grid).to_pandas()
    ours = marginal_means(fit, "t", kind="response")
    assert np.allclose(found["estimate"], ours["estimate"], rtol=1e-8)
    assert np.allclose(found["std_error"], ours["se"], rtol=1e-4)
    slope = avg_slopes(model, variables="x", by="t").to_pandas().set_index("t")["estimate"]
    ends = [fit.predict(fit.data.assign(x=fit.data["x"] + s), random_effects="none") for s in (1e-5, -1e-5)]
    expected = ((ends[0] - ends[1]) / 2e-5).groupby(fit.data["t"]).mean()
    assert np.allclose(slope, expected, rtol=1e-4)


@pytest.mark.skipif(not installed, reason="marginaleffects is not installed")
@pytest.mark.filterwarnings("ignore")
def test_zero_inflation_counts():
    from marginaleffects import avg_comparisons, avg_predictions

    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": rng.normal(size=300), "t": rng.choice(["a", "b"], 300), "h": np.repeat(np.arange(30), 10)})
    d["y"] = rng.poisson(np.exp(0.8 + 0.3 * d["x"] + 0.3 * (d["t"] == "b"))) * (rng.random(300) > 0.25)
    zero = glmm("y ~ x + t + (1|h)", d, family="poisson", zi="~ t")
    model = for_marginaleffects(zero)
    ours = our_predictions(zero, "t", random_effects="none")
    found = [avg_predictions(model, newdata=pl_frame(d.assign(t=t))).to_pandas().iloc[0] for t in ("a", "b")]
    assert np.allclose([row["estimate"] for row in found], ours["estimate"], rtol=1e-8)
    assert np.allclose([row["std_error"] for row in found], ours["se"], rtol=1e-4)
    pair = avg_comparisons(model, variables="t").to_pandas().iloc[0]
    own = our_comparisons(zero, "t", random_effects="none").iloc[0]
    assert pair["estimate"] == pytest.approx(own["estimate"], rel=1e-8)
    assert pair["std_error"] == pytest.approx(own["se"], rel=1e-4)


def pl_frame(frame: pd.DataFrame):
    pl = pytest.importorskip("polars")
    columns = {"y": pl.Float64, "x": pl.Float64, "t": pl.Enum(["a", "b"])}
    return pl.DataFrame([pl.Series(n, frame[n].tolist(), dtype=kind) for n, kind in columns.items()])
