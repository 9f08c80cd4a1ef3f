"""Residuals of models: which mean goes with which simulation, whose rows they are, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import simresid as sr


def test_means_match_the_simulations(poisson_fit):
    model = poisson_fit(200, sd=0.8)
    conditional = sr.simulate_residuals(model)
    np.testing.assert_array_equal(conditional.expected, model.fitted)
    np.testing.assert_array_equal(conditional.pearson_variance, model.variance())
    new = sr.simulate_residuals(model, random_effects="unconditional")
    np.testing.assert_array_equal(new.expected, model.population_mean())
    assert new.pearson_variance is None
    assert "new random effects" in repr(new)
    named = sr.simulate_residuals(model, random_effects=["site"])
    pooled = (named.simulated.sum(axis=0) + model.observed) / 251
    np.testing.assert_allclose(named.expected, pooled, rtol=1e-14)
    assert named.replicate_sums is None
    assert "new random effects of site" in repr(named)


def test_without_random_effects_both_kinds_are_the_same(poisson_fit):
    model = poisson_fit(100)
    a, b = (sr.simulate_residuals(model, random_effects=kind) for kind in ("conditional", "unconditional"))
    np.testing.assert_array_equal(a.residuals, b.residuals)
    np.testing.assert_array_equal(b.expected, model.fitted)
    assert "random effects" not in repr(a)


def test_rows_keep_their_labels(poisson_fit):
    labels = [f"row{k}" for k in range(100)]
    res = sr.simulate_residuals(poisson_fit(100, index=labels))
    assert list(res.index) == labels
    frame = res.to_frame()
    assert list(frame.index) == labels
    assert list(frame.columns) == ["observed", "fitted", "residual", "outlier"]
    shuffled = pd.Series(np.arange(100), index=labels).sample(frac=1, random_state=1)
    np.testing.assert_array_equal(res.align(shuffled), np.arange(100))
    # A Series of the full data, of which the fit used a part.
    full = pd.concat([pd.Series([-1], index=["dropped"]), shuffled])
    np.testing.assert_array_equal(res.align(full), np.arange(100))
    np.testing.assert_array_equal(res.align("x"), res.data["x"])


def test_lengths_that_differ_are_both_named(poisson_fit):
    res = sr.simulate_residuals(poisson_fit(100))
    with pytest.raises(ValueError, match=r"predictor has 120 values but there are 100 residuals; 120 rows"):
        res.align(np.zeros(120), "predictor")
    with pytest.raises(ValueError, match="predictor has 7 values but there are 100 residuals"):
        res.align(pd.Series(np.zeros(7)), "predictor")
    with pytest.raises(ValueError, match="other row labels"):
        res.align(pd.Series(np.zeros(100), index=np.arange(100) + 500), "predictor")
    with pytest.raises(KeyError, match="not a column"):
        res.align("z", "predictor")
    with pytest.raises(ValueError, match="shape"):
        res.align(np.zeros((100, 2)), "predictor")


def test_outliers_are_listed(poisson_fit):
    model = poisson_fit(100)
    model.observed = model.observed.copy()
    model.observed[[7, 30]] = 500.0
    out = sr.simulate_residuals(model).outliers()
    assert set(out.position) >= {7, 30}
    assert (out.loc[[7, 30], "side"] == "high").all()
    assert out.loc[7, "observed"] == 500
    assert sr.simulate_residuals(model).to_frame().loc[7, "outlier"] == "high"


def test_normal_residuals(poisson_fit):
    res = sr.simulate_residuals(poisson_fit(200), method="pit")
    res.residuals[:3] = 0.0, 0.5, 1.0
    z = res.normal_residuals()
    assert z[0] == -np.inf and z[1] == 0 and z[2] == np.inf
    assert np.abs(res.normal_residuals(clip=7)).max() == 7


def test_exact_draws_simulations_only_on_demand(poisson_fit):
    model = poisson_fit(300)
    res = sr.simulate_residuals(model, method="exact")
    lower, upper = model.cdf()
    assert ((res.residuals >= lower) & (res.residuals <= upper)).all()
    reference = sr.simulate_residuals(model, method="rank")
    np.testing.assert_array_equal(res.simulated, reference.simulated)
    # The ends of a rank residual's cell estimate those of the exact one with standard error at most 1/(2 sqrt(M)).
    for ends, exact in zip(reference.cells, (lower, upper), strict=True):
        assert np.abs(ends - exact).max() < 5 * 0.5 / np.sqrt(250)


def test_what_is_refused(poisson_fit):
    model = poisson_fit(50, sd=0.5)
    with pytest.raises(ValueError, match="choose 'rank'"):
        sr.simulate_residuals(model, method="quantile")
    with pytest.raises(ValueError, match="use 'auto', True or False"):
        sr.simulate_residuals(model, keep_simulations="yes")
    with pytest.raises(ValueError, match="at least 2 simulations"):
        sr.simulate_residuals(model, 1)
    with pytest.raises(ValueError, match="use 'conditional', 'unconditional' or a list"):
        sr.simulate_residuals(model, random_effects="site")
    with pytest.raises(ValueError, match="conditional on the random effects"):
        sr.simulate_residuals(model, method="exact", random_effects="unconditional")
    with pytest.raises(TypeError):
        sr.simulate_residuals("a model")
    model.nobs = 49
    with pytest.raises(ValueError, match="nobs=49 but holds 50"):
        sr.simulate_residuals(model)
    model.nobs = 50
    model.observed = model.observed.copy()
    model.observed[4] = np.nan
    with pytest.raises(ValueError, match=r"observed response is NaN or infinite at row position\(s\) 4"):
        sr.simulate_residuals(model)


def test_kernels_have_one_signature():
    """Whatever memory layout comes in, nothing is compiled twice."""
    from simresid.residuals import grouping, scaled

    rng = np.random.default_rng(1)
    simulated, y = rng.poisson(3, (40, 30)), rng.poisson(3, 30)
    frozen = simulated.astype(float)
    frozen.flags.writeable = False
    frame = pd.DataFrame(simulated)
    for matrix in (simulated, frozen, np.asfortranarray(simulated), simulated.astype(np.float32), frame):
        for observed in (y, pd.Series(y), frozen[0]):
            res = sr.from_simulations(matrix, observed, method="traditional")
            res = sr.from_simulations(matrix, observed, frozen.mean(axis=0))
            res.recalculate(np.arange(30) % 7).recalculate(select=[2, 1, 0])
            res.recalculate(np.arange(30) % 7, select=np.arange(20))
    for kernel in (scaled.count_block, scaled.moment_block, scaled.neighbour_block, grouping.add_groups):
        assert len(kernel.signatures) <= 1, kernel


def test_a_model_with_the_wrong_shape_is_refused(poisson_fit):
    model = poisson_fit(50)

    class Transposed(type(model)):
        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return super().simulate(n_sims, rng=rng).T

    model.__class__ = Transposed
    with pytest.raises(ValueError, match=r"returned shape \(50, 250\), expected"):
        sr.simulate_residuals(model)


def test_import_is_light():
    """No heavy library comes with the package, and it takes a fraction of a second."""
    code = (
        "import sys, time; t = time.perf_counter(); import simresid; t = time.perf_counter() - t;"
        "heavy = {'numpy', 'scipy', 'pandas', 'numba', 'matplotlib', 'joblib'} & set(sys.modules);"
        "assert not heavy, heavy; print(t)"
    )
    start = time.perf_counter()
    took = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert float(took) < 0.5 and time.perf_counter() - start < 30


def test_summary_says_what_was_done_and_found(poisson_fit):
    text = sr.simulate_residuals(poisson_fit(200, sd=0.5)).summary()
    for part in ("200 scaled residuals (rank)", "y ~ x", "given the fitted random effects", "uniformity"):
        assert part in text


def test_methods_are_the_functions(poisson_fit):
    res = sr.simulate_residuals(poisson_fit(200))
    for name in ("dispersion_test", "uniformity_test", "outlier_test", "zero_inflation_test"):
        assert getattr(res, name)().pvalue == getattr(sr, name)(res).pvalue
    assert res.statistic_test(np.max).pvalue == sr.statistic_test(res, np.max).pvalue
    assert res.categorical_test("site").pvalue == sr.categorical_test(res, "site").pvalue


def test_every_public_name_exists():
    for name in sr.__all__:
        assert getattr(sr, name) is not None


def test_public_names_are_listed_and_others_refused():
    assert {"simulate_residuals", "from_simulations", "dispersion_test", "screen"} <= set(dir(sr))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sr.nonsense  # noqa: B018
