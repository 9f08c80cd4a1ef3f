"""Log density and derivatives against 50-digit arithmetic, and their behaviour far out."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from glmmcore.families.base import Parameters

from .case import Case
from .cases import CASES

# Relative 1e-9 as promised; near zeros of a derivative the rounding of its terms, of size ~ y eps.
RELATIVE = 1e-9
ABSOLUTE = 1e-12


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bulk_against_mpmath(case: Case) -> None:
    family = case.family
    rng = np.random.default_rng(1)
    y, trials, points = case.random_points(rng, 14)
    names = family.predictors
    with mp.workdps(50):
        for i, p in enumerate(points):
            row = slice(i, i + 1)
            got = family.derivatives(y[row], trials[row], p)
            at = tuple(map(mp.mpf, case.predictor_values(p)))

            def density(*predictors: mp.mpf, y_i: float = y[i]) -> mp.mpf:
                return case.reference(y_i, *predictors)

            want = [density(*at)]
            have = [got.loglik[0]]
            for a in range(len(names)):
                for order, block in ((0, got.d1), (1, got.d2), (2, got.d3)):
                    orders = [0] * len(names)
                    orders[0] += order
                    orders[a] += 1
                    want.append(
                        mp.diff(density, at, tuple(orders)) if len(at) > 1 else mp.diff(density, at[0], orders[0])
                    )
                    have.append(block[a, 0])
            scale = ABSOLUTE * (1 + abs(y[i]))
            np.testing.assert_allclose(
                have, [float(w) for w in want], rtol=RELATIVE, atol=scale, err_msg=f"y={y[i]}, {p}"
            )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_newton_terms_agree_with_derivatives(case: Case) -> None:
    family = case.family
    rng = np.random.default_rng(2)
    y, trials, _ = case.random_points(rng, 300)
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    delta = rng.uniform(*case.delta, 300)
    for p in (
        Parameters(rng.uniform(*case.eta, 300), delta, psi),
        Parameters(rng.uniform(*case.eta, 300), delta[:1], psi),
    ):
        l, l1, l2 = family.newton_terms(y, trials, p)
        d = family.derivatives(y, trials, p)
        scale = ABSOLUTE * (1 + np.abs(y).max())
        np.testing.assert_allclose(l1, d.d1[0], rtol=1e-12, atol=scale)
        np.testing.assert_allclose(l2, d.d2[0], rtol=1e-12, atol=scale)
        # l may lack what does not depend on eta
        other = p._replace(eta=rng.uniform(*case.eta, 300))
        difference = l - family.newton_terms(y, trials, other)[0]
        full = d.loglik - family.derivatives(y, trials, other).loglik
        np.testing.assert_allclose(difference, full, rtol=1e-10, atol=10 * scale)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shared_dispersion_equals_one_per_row(case: Case) -> None:
    """Tables over counts, used when all rows share delta, change nothing."""
    family = case.family
    rng = np.random.default_rng(3)
    y, trials, _ = case.random_points(rng, 500)
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    eta, delta = rng.uniform(*case.eta, 500), np.array([0.5 * sum(case.delta)])
    shared = family.derivatives(y, trials, Parameters(eta, delta, psi))
    rows = family.derivatives(y, trials, Parameters(eta, np.repeat(delta, 500), psi))
    for a, b in zip(shared, rows, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_breaks_far_out(case: Case) -> None:
    family = case.family
    far_y = [y for y in case.far_y if not family.takes_trials or y <= case.trials]
    deltas = case.far_delta if family.has_dispersion else (0.0,)
    grid = np.array([(e, d, y) for e in case.far_eta for d in deltas for y in far_y])
    eta, delta, y = (np.ascontiguousarray(c) for c in grid.T)
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    p = Parameters(eta, delta, psi)
    trials = np.full(y.size, float(case.trials))
    d = family.derivatives(y, trials, p)
    l, l1, l2 = family.newton_terms(y, trials, p)
    for values in (d.loglik, l):
        assert not np.isnan(values).any(), grid[np.isnan(values)]
        assert np.all(values < np.inf)
    for name, values in {"d1": d.d1, "d2": d.d2, "d3": d.d3, "l1": l1, "l2": l2}.items():
        bad = ~np.isfinite(np.atleast_2d(values)).all(axis=0)
        assert not bad.any(), (name, grid[bad])


@pytest.mark.parametrize("case", [c for c in CASES if c.link in (None, "logit", "probit")], ids=str)
def test_score_far_out_points_to_the_data(case: Case) -> None:
    """Far below every plausible mean the score is not negative, far above not positive (up to underflow)."""
    family = case.family
    low, high = min(case.far_eta), max(case.far_eta)
    y, trials, _ = case.random_points(np.random.default_rng(4), 20)
    psi = np.array([0.5 * (a + b) for a, b in case.psi])
    for delta in (-3.0, 0.0, 3.0):
        below = family.derivatives(y, trials, Parameters(np.full(20, low), np.array([delta]), psi))
        above = family.derivatives(y, trials, Parameters(np.full(20, high), np.array([delta]), psi))
        assert np.all(below.d1[0] >= -1e-12)
        assert np.all(above.d1[0] <= 1e-12)
