"""The adapter to marginaleffects, where that package is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, for_marginaleffects, glmm, marginal_means

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
