"""Tables replace costly functions without loss: against the function itself, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.families import get_family
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.tabulate import ChebyshevTable


class Counted:
    """A function that counts the points it is asked for."""

    def __init__(self, function):
        self.function, self.points = function, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.points += x.size
        return self.function(x)


def test_smooth_function_costs_few_evaluations() -> None:
    function = Counted(lambda x: np.stack([np.exp(x), np.sin(3 * x), 1 / (1 + x**2)]))
    x = np.random.default_rng(1).uniform(-4, 3, 20_000)
    table = ChebyshevTable(function)
    np.testing.assert_allclose(table(x), function.function(x), rtol=2e-13, atol=2e-13)
    assert function.points < 1000
    before = function.points
    np.testing.assert_allclose(table(x[:5000]), function.function(x[:5000]), rtol=2e-13, atol=2e-13)
    assert function.points == before


def test_kinks_are_computed_row_by_row() -> None:
    function = Counted(lambda x: np.abs(np.sin(np.pi * (x - 0.3)))[None])
    x = np.random.default_rng(2).uniform(-2, 2, 20_000)
    np.testing.assert_allclose(ChebyshevTable(function)(x), function.function(x), rtol=0, atol=2e-13)
    assert function.points < 2.1 * x.size


def test_few_rows_are_not_tabulated() -> None:
    function = Counted(lambda x: x[None])
    ChebyshevTable(function)(np.linspace(0, 1, 50))
    assert function.points == 50


def pieces(name: str, y: np.ndarray, p: Parameters) -> Derivatives:
    """Derivatives computed in pieces too small for a table."""
    family, parts = get_family(name), []
    for rows in np.array_split(np.arange(y.size), y.size // 100):
        delta = p.delta if p.delta.size == 1 else p.delta[rows]
        parts.append(family.derivatives(y[rows], np.ones(rows.size), Parameters(p.eta[rows], delta, p.psi)))
    return Derivatives(*(np.concatenate(block, axis=-1) for block in zip(*parts, strict=True)))


@pytest.mark.parametrize(
    ("name", "delta", "psi"),
    [
        ("tweedie", 0.3, [0.2]),
        ("tweedie", -6.0, [-1.0]),
        ("tweedie", 1.0, [-3.0]),
        ("compois", 0.5, []),
        ("compois", -1.0, []),
        ("compois", -3.0, []),
        ("compois", 2.5, []),
    ],
)
def test_tabulated_families(name: str, delta: float, psi: list[float]) -> None:
    rng = np.random.default_rng(3)
    eta = rng.normal(0.8, 1, 3000)
    y = np.floor(np.exp(eta) + 0.5) if name == "compois" else rng.exponential(np.exp(eta)) * (rng.random(3000) < 0.8)
    p = Parameters(eta, np.array([delta]), np.array(psi))
    got = get_family(name).derivatives(y, np.ones(3000), p)
    want = pieces(name, y, p)
    np.testing.assert_allclose(got.loglik, want.loglik, rtol=1e-11, atol=1e-11)
    for a, b in zip(got[1:], want[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max())


def test_com_poisson_shares_a_table_per_dispersion() -> None:
    """A dispersion model on a factor has a few dispersions only."""
    rng = np.random.default_rng(4)
    eta, delta = rng.normal(1, 0.7, 3000), rng.choice([-0.7, 0.1, 0.9], 3000)
    y, family = rng.poisson(np.exp(eta)).astype(float), get_family("compois")
    p = Parameters(eta, delta, np.zeros(0))
    got, want = family.derivatives(y, np.ones(3000), p), pieces("compois", y, p)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max())
