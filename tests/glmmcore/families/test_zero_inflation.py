"""Zero-inflated and hurdle versions of every family that can have them."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import glmm
from glmmcore.errors import ModelError
from glmmcore.families import get_family
from glmmcore.families.base import Parameters
from glmmcore.families.zero_inflation import ZeroInflated

from .case import Case
from .cases import CASES
from .test_draws_and_moments import KOLMOGOROV, N_DRAWS, STANDARD_ERRORS, row, rows


def takes_zeros(case: Case) -> bool:
    family = case.family
    return family.hurdle or family.discrete or family.mass_at_zero


ZERO_CASES = [c for c in CASES if takes_zeros(c)]
MAIN_CASES = [c for c in ZERO_CASES if c.link in (None, "logit") and c.at]


def reference(case: Case, y: float, *predictors: mp.mpf) -> mp.mpf:
    *base, zeta = predictors
    pi = 1 / (1 + mp.exp(-zeta))
    hurdle = case.family.hurdle
    if y == 0:
        return mp.log(pi + (0 if hurdle else (1 - pi) * mp.exp(case.reference(0, *base))))
    return mp.log(1 - pi) + case.reference(y, *base)


@pytest.mark.parametrize("case", ZERO_CASES, ids=str)
def test_every_derivative_against_mpmath(case: Case) -> None:
    model = ZeroInflated(case.family)
    rng = np.random.default_rng(11)
    y, trials, points = case.random_points(rng, 4)
    y[:3] = 0.0
    count = len(model.predictors)
    last = count - 1
    with mp.workdps(50):
        for i, p in enumerate(points):
            zeta = rng.uniform(-3, 3, 1)
            got = model.derivatives(y[i : i + 1], trials[i : i + 1], p, zeta)
            at = tuple(map(mp.mpf, [*case.predictor_values(p), zeta[0]]))

            def density(*predictors: mp.mpf, y_i: float = y[i]) -> mp.mpf:
                return reference(case, y_i, *predictors)

            def partial(*which: int, f=density, x=at) -> float:
                return float(mp.diff(f, x, tuple(which.count(k) for k in range(count))))

            every = range(count)
            want = np.array(
                [density(*at)]
                + [partial(a) for a in every]
                + [partial(r, a) for r in (0, last) for a in every]
                + [partial(r, s, a) for r, s in ((0, 0), (0, last), (last, last)) for a in every],
                dtype=float,
            )
            have = np.concatenate([got.loglik, got.d1.ravel(), got.d2.ravel(), got.d3.ravel()])
            np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-12 * (1 + y[i]))


@pytest.mark.parametrize("case", ZERO_CASES, ids=str)
def test_newton_terms_agree_with_derivatives(case: Case) -> None:
    """Also that the base family's newton_terms hold all of log f(0)."""
    model = ZeroInflated(case.family)
    rng = np.random.default_rng(12)
    y, trials, _ = case.random_points(rng, 200)
    y[::2] = 0.0
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    p = Parameters(rng.uniform(*case.eta, 200), rng.uniform(*case.delta, 200), psi)
    zeta = rng.uniform(-3, 3, 200)
    l, first, second = model.newton_terms(y, trials, p, zeta)
    d = model.derivatives(y, trials, p, zeta)
    np.testing.assert_allclose(l[::2], d.loglik[::2], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(first, d.d1[[0, -1]], rtol=1e-11, atol=1e-11)
    packed = np.stack([d.d2[0, 0], d.d2[0, -1], d.d2[1, -1]])
    np.testing.assert_allclose(second, packed, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(d.d2[0, -1], d.d2[1, 0], rtol=1e-12)


@pytest.mark.parametrize("case", MAIN_CASES, ids=str)
def test_nothing_breaks_far_out(case: Case) -> None:
    model = ZeroInflated(case.family)
    deltas = case.far_delta if case.family.has_dispersion else (0.0,)
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    grid = np.array(
        [
            (e, d, z, y)
            for e in case.far_eta
            for d in deltas
            for z in (-700.0, -30.0, 0.0, 30.0, 700.0)
            for y in (0.0, *case.far_y)
            if not case.family.takes_trials or y <= case.trials
        ]
    )
    eta, delta, zeta, y = (np.ascontiguousarray(c) for c in grid.T)
    p, trials = Parameters(eta, delta, psi), np.full(y.size, float(case.trials))
    d = model.derivatives(y, trials, p, zeta)
    l, first, second = model.newton_terms(y, trials, p, zeta)
    assert not np.isnan(d.loglik).any()
    assert not np.isnan(l).any()
    for values in (d.d1, d.d2.reshape(-1, y.size), d.d3.reshape(-1, y.size), first, second):
        bad = ~np.isfinite(values).all(axis=0)
        assert not bad.any(), grid[bad]


@pytest.mark.parametrize("case", MAIN_CASES, ids=str)
def test_draws_moments_and_distribution_function(case: Case) -> None:
    model = ZeroInflated(case.family)
    p, trials, zeta = row(case.at[0]), np.array([float(case.trials)]), np.array([-0.6])
    draws = model.simulate(trials, p, zeta, N_DRAWS, np.random.default_rng(13))[:, 0]
    values, counts = np.unique(draws, return_counts=True)
    many = np.repeat(trials, values.size), rows(p, values.size), np.repeat(zeta, values.size)
    below, up_to = model.cdf(values, *many)
    reached = np.cumsum(counts) / N_DRAWS
    assert np.max(np.abs(up_to - reached)) < KOLMOGOROV
    assert np.max(np.abs(below - (reached - counts / N_DRAWS))) < KOLMOGOROV
    zero = model.zero_probability(trials, p, zeta)[0]
    assert zero == pytest.approx(up_to[0] - below[0], rel=1e-9)
    mean = model.mean(trials, p, zeta)[0]
    assert abs(draws.mean() - mean) < STANDARD_ERRORS * draws.std() / np.sqrt(N_DRAWS)
    squares = (draws - mean) ** 2
    variance = model.variance(trials, p, zeta)[0]
    assert abs(squares.mean() - variance) < STANDARD_ERRORS * squares.std() / np.sqrt(N_DRAWS)


def test_a_law_without_mass_at_zero_is_refused() -> None:
    with pytest.raises(ModelError, match="'gaussian' is continuous at 0"):
        ZeroInflated(get_family("gaussian"))


@pytest.mark.parametrize("zi", ["~ 0", "~0", "~ -1", "~ 0 + x - x"])
def test_a_zero_inflation_of_nothing_is_none(zi):
    """R's glmmTMB: ``ziformula = ~0`` is its default. Here it fixed the probability at one half."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"y": rng.poisson(2.0, 60), "x": rng.normal(size=60), "g": np.arange(60) % 6})
    plain, found = (glmm("y ~ x", d, family="poisson", zi=part) for part in (None, zi))
    assert found.llf == plain.llf and found.params.equals(plain.params)
    assert found.zi_params.empty and "Zero inflation" not in str(found.summary())
    given = glmm("y ~ x", d.assign(half=0.0), family="poisson", zi="~ 0 + offset(half)")
    mean = np.exp(given.params["Intercept"] + given.params["x"] * d["x"])
    law = stats.poisson(mean)
    assert given.llf == pytest.approx(np.log(0.5 * (d["y"] == 0) + 0.5 * law.pmf(d["y"])).sum(), rel=1e-9)
    assert len(glmm("y ~ x", d, family="poisson", zi="~ 0 + (1|g)").random_effects) == 1


@pytest.mark.parametrize("name", ["poisson", "nbinom1", "nbinom2"])
def test_rows_of_zeros_have_no_negative_mean(name: str) -> None:
    """Where the counts' law does not exist the mixture does not either; it was given the log of its zero inflation."""
    model = ZeroInflated(get_family(name, link="identity"))
    p = Parameters(np.array([-0.5, 0.5]), np.zeros(1), np.zeros(0))
    y, zeta = np.zeros(2), np.zeros(2)
    for found in (model.newton_terms(y, np.ones(2), p, zeta)[0], model.derivatives(y, np.ones(2), p, zeta).loglik):
        assert found[0] == -np.inf and np.isfinite(found[1])


def test_a_fit_keeps_the_means_of_rows_of_zeros_positive() -> None:
    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(-1, 1, 200))
    y = np.where((x < -0.3) | (rng.random(200) < 0.2), 0, rng.poisson(np.maximum(0.0, 0.9 + 3.0 * x)))
    fit = glmm("y ~ x", {"x": x, "y": y}, family="poisson", link="identity", zi="~ 1")
    mean = fit.params["Intercept"] + fit.params["x"] * x
    assert mean.min() >= 0.0  # -.09 with log-likelihood of rows that have none
    pi = 1.0 / (1.0 + np.exp(-fit.zi_params["Intercept"]))
    assert fit.llf == pytest.approx(np.log(pi * (y == 0) + (1.0 - pi) * stats.poisson.pmf(y, mean)).sum(), rel=1e-9)
    assert any("log-likelihood does not exist" in s for s in fit.verdict)
