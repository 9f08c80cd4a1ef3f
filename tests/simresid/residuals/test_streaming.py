"""Counting on the fly gives what the full matrix gives, wherever and in whatever portions it is done."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

import simresid as sr
from simresid.residuals.execution import Execution
from simresid.simulations.sources import chunk_bounds

N, SIMS = 20_000, 50  # nine chunks of at most six replicates


@pytest.fixture
def model(poisson_fit):
    return poisson_fit(N)


def test_chunks_cover_all_replicates_once():
    for n_rows, n_sims in ((1, 1000), (100, 250), (20_000, 50), (10**7, 3)):
        bounds = chunk_bounds(n_rows, n_sims)
        assert [b[0] for b in bounds] == [0, *(b[1] for b in bounds[:-1])]
        assert bounds[-1][1] == n_sims
    assert len(chunk_bounds(N, SIMS)) == 9


@pytest.mark.parametrize("method", ["rank", "pit", "traditional"])
def test_streamed_equals_kept(model, method):
    kept = sr.simulate_residuals(model, SIMS, method=method, keep_simulations=True)
    streamed = sr.simulate_residuals(model, SIMS, method=method, keep_simulations=False)
    assert streamed.simulated is None
    assert kept.simulated.shape == (SIMS, N)
    np.testing.assert_array_equal(streamed.residuals, kept.residuals)
    np.testing.assert_array_equal(np.concatenate([b for _, b in streamed.iter_simulations()]), kept.simulated)
    if method != "traditional":
        below = (kept.simulated < kept.observed).sum(axis=0)
        equal = (kept.simulated == kept.observed).sum(axis=0)
        v = kept.child_rng("residuals").random(N)
        u = (below + v * (1 + equal)) / (SIMS + 1) if method == "rank" else (below + v * equal) / SIMS
        np.testing.assert_allclose(kept.residuals, u, rtol=1e-15)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("block_size", [1, 7, 1000])
def test_block_size_changes_nothing(model, block_size, keep):
    reference = sr.simulate_residuals(model, SIMS)
    other = sr.simulate_residuals(model, SIMS, block_size=block_size, n_jobs=2, keep_simulations=keep)
    np.testing.assert_array_equal(other.residuals, reference.residuals)
    np.testing.assert_array_equal(other.replicate_sums.squared, reference.replicate_sums.squared)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_backend_changes_nothing(model, backend):
    reference = sr.simulate_residuals(model, SIMS)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        for keep in (True, False):
            other = sr.simulate_residuals(model, SIMS, block_size=6, keep_simulations=keep)
            np.testing.assert_array_equal(other.residuals, reference.residuals)


def test_replicate_sums(model):
    res = sr.simulate_residuals(model, SIMS, keep_simulations=True)
    sums, deviation = res.replicate_sums, res.simulated - model.fitted
    np.testing.assert_array_equal(sums.zeros, (res.simulated == 0).sum(axis=1))
    # A sum of n terms carries a rounding error of at most n eps times the sum of their sizes.
    np.testing.assert_allclose(sums.deviation, deviation.sum(axis=1), atol=N * 1e-15)
    np.testing.assert_allclose(sums.squared, (deviation**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(sums.pearson, (deviation**2 / model.fitted).sum(axis=1), rtol=1e-12)
    own = model.observed - model.fitted
    expected = [(model.observed == 0).sum(), own.sum(), own @ own, (own**2 / model.fitted).sum()]
    np.testing.assert_allclose(sums.observed, expected, rtol=1e-12, atol=N * 1e-15)


def test_statistics_in_one_pass(model):
    kept = sr.simulate_residuals(model, SIMS, keep_simulations=True)
    streamed = sr.simulate_residuals(model, SIMS, keep_simulations=False, n_jobs=2, block_size=10)
    functions = [lambda block: block.max(axis=1), lambda block: (block == 1).sum(axis=1)]
    expected = np.stack([kept.simulated.max(axis=1), (kept.simulated == 1).sum(axis=1)])
    np.testing.assert_array_equal(streamed.simulated_statistics(functions), expected)
    np.testing.assert_array_equal(kept.simulated_statistics(functions), expected)
    with pytest.raises(ValueError, match="must have shape"):
        kept.simulated_statistics([lambda block: block.max()])


def test_mean_of_the_simulations_does_not_depend_on_workers(poisson_fit):
    model = poisson_fit(N, sd=0.5)
    kinds = ({"keep_simulations": False}, {"n_jobs": 2, "block_size": 7}, {"keep_simulations": True})
    # With some groups redrawn only the simulations know their mean.
    results = [sr.simulate_residuals(model, SIMS, random_effects=["site"], **kind) for kind in kinds]
    for other in results[1:]:
        np.testing.assert_array_equal(other.expected, results[0].expected)
    total = results[2].simulated.sum(axis=0) + model.observed
    np.testing.assert_allclose(results[0].expected, total / (SIMS + 1), rtol=1e-13)


def test_expected_treats_observation_and_simulations_alike():
    simulated, y = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([5.0, 5.0])
    res = sr.from_simulations(simulated, y)
    np.testing.assert_allclose(res.expected, [3.0, 3.0])
    np.testing.assert_allclose(res.fitted, [2.0, 2.0])


def test_non_finite_draws_are_named(poisson_fit):
    model = poisson_fit(100)

    class Broken(type(model)):
        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            draws = super().simulate(n_sims, rng=rng).astype(float)
            draws[-1, [3, 40]] = np.nan, np.inf
            return draws

    model.__class__ = Broken
    for keep in (True, False):
        with pytest.raises(ValueError, match=r"2 simulated value.*position\(s\) 3, 40; first in replicate 29"):
            sr.simulate_residuals(model, 30, keep_simulations=keep)


def test_overflowing_sums_of_finite_draws_pass():
    rng = np.random.default_rng(1)
    res = sr.from_simulations(rng.normal(size=(50, 30)) * 1e200, rng.normal(size=30) * 1e200)
    assert ((res.residuals > 0) & (res.residuals < 1)).all()


def test_memory_stays_proportional_to_rows(poisson_fit):
    """No block larger than a chunk is asked of the model when simulations are not kept."""
    model = poisson_fit(N)
    asked = []

    class Watched(type(model)):
        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            asked.append(n_sims)
            return super().simulate(n_sims, rng=rng)

    model.__class__ = Watched
    sr.simulate_residuals(model, SIMS, keep_simulations=False)
    assert max(asked) * N <= 2**17


def test_tasks_are_whole_chunks(model):
    source = sr.simulate_residuals(model, SIMS, keep_simulations=False).simulations
    for block_size in (None, 1, 13, 500):
        tasks = Execution(block_size=block_size).tasks(source)
        assert [k for task in tasks for k in task] == list(range(len(source.chunks)))


def test_progress_bar_only_on_a_terminal(model, capsys):
    sr.simulate_residuals(model, SIMS, keep_simulations=False, progress=True)
    assert capsys.readouterr().err == ""


def test_seeds(poisson_fit):
    model = poisson_fit(50)
    a = sr.simulate_residuals(model, rng=1)
    np.testing.assert_array_equal(a.residuals, sr.simulate_residuals(model, rng=1).residuals)
    assert (a.residuals != sr.simulate_residuals(model, rng=2).residuals).any()
    rng = np.random.default_rng(3)
    first, second = (sr.simulate_residuals(model, rng=rng) for _ in range(2))
    assert (first.residuals != second.residuals).any()
    again = sr.simulate_residuals(model, rng=first.seed)
    np.testing.assert_array_equal(first.residuals, again.residuals)
    assert (sr.simulate_residuals(model, rng=None).residuals != a.residuals).any()
    before = a.child_rng("outliers").random(3)
    a.child_rng("dispersion").random(100)
    np.testing.assert_array_equal(a.child_rng("outliers").random(3), before)
    for bad in (1.5, "seed", True):
        with pytest.raises(TypeError, match="rng must be"):
            sr.simulate_residuals(model, rng=bad)
    with pytest.raises(ValueError, match="negative"):
        sr.simulate_residuals(model, rng=-1)
