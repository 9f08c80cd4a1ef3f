"""Aliased columns against brute-force ranks."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.formula.rank import aliased_columns


def brute_force(X: np.ndarray) -> np.ndarray:
    """A column is aliased when it does not raise the rank of what stands before it."""
    scaled = X / np.maximum(np.linalg.norm(X, axis=0), 1e-300)
    ranks = [0] + [int(np.linalg.matrix_rank(scaled[:, : j + 1], tol=1e-8)) for j in range(X.shape[1])]
    return np.diff(ranks) == 0


@pytest.mark.parametrize("seed", range(20))
def test_random_dependencies(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 7)) * 10.0 ** rng.integers(-6, 7, 7)
    for j in np.sort(rng.choice(np.arange(1, 7), size=rng.integers(0, 4), replace=False)):
        X[:, j] = X[:, :j] @ rng.normal(size=j)
    np.testing.assert_array_equal(aliased_columns(X), brute_force(X))


def test_later_columns_are_dropped():
    one = np.ones(6)
    a = np.array([1.0, 0, 0, 1, 0, 0])
    b = np.array([0.0, 1, 0, 0, 1, 0])
    c = np.array([0.0, 0, 1, 0, 0, 1])
    assert aliased_columns(np.column_stack([one, a, b, c])).tolist() == [False, False, False, True]
    assert aliased_columns(np.column_stack([a, b, c, one])).tolist() == [False, False, False, True]


def test_zero_columns_and_no_columns():
    assert aliased_columns(np.column_stack([np.ones(3), np.zeros(3)])).tolist() == [False, True]
    assert aliased_columns(np.empty((5, 0))).tolist() == []


@pytest.mark.parametrize(("shift", "aliased"), [(1e3, False), (1e6, False), (1e9, True)])
def test_nearly_constant_columns_as_r_decides(shift, aliased):
    """R's `qr` drops a column with less than 1e-7 of its norm left: x + 1e9 with sd 0.6, not x + 1e6."""
    x = np.linspace(-1, 1, 50)
    assert aliased_columns(np.column_stack([np.ones(50), x + shift])).tolist() == [False, aliased]


def test_scale_does_not_matter():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    X = np.column_stack([X, X @ [1.0, -2.0, 0.5]])
    for scale in (1e-150, 1e-6, 1e6, 1e120):
        assert aliased_columns(X * scale).tolist() == [False, False, False, True]
