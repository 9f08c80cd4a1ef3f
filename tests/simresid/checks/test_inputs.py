"""What tests accept as residuals, times and predictors."""

import numpy as np
import pandas as pd
import pytest

import simresid as sr
from simresid.checks.basis import predictor_basis
from simresid.checks.inputs import aligned_numeric, generator, is_simulated, residual_array

U = np.array([0.2, 0.4, 0.9])


def test_dates_and_periods_become_days_since_the_first():
    days = pd.to_datetime(["2024-03-02T00:00", "2024-02-28T00:00", "2024-02-29T12:00"])
    np.testing.assert_allclose(aligned_numeric(days, U, "time"), [3.0, 0.0, 1.5])
    months = pd.Series(pd.PeriodIndex(["2024-03", "2024-01", "2024-02"], freq="M"))
    np.testing.assert_allclose(aligned_numeric(months, U, "time"), [60.0, 0.0, 31.0])
    np.testing.assert_allclose(aligned_numeric([3, 1, 2], U, "time"), [3.0, 1.0, 2.0])


def test_what_is_no_vector_of_residuals_is_refused(known_poisson):
    with pytest.raises(TypeError, match="simulate_residuals"):
        residual_array(known_poisson(np.ones(3), np.ones(3)))
    assert residual_array([0.0, 1.0]).tolist() == [0.0, 1.0]
    assert not is_simulated(U)


def test_streams_of_residuals_depend_on_the_name_and_the_seed_only():
    rng = np.random.default_rng(1)
    simulated, y = rng.normal(size=(30, 5)), rng.normal(size=5)
    one, again, other = (sr.from_simulations(simulated, y, rng=seed) for seed in (1, 1, 2))
    draws = [generator(r, "name").random() for r in (one, again, other, U, U)]
    assert draws[0] == draws[1]
    assert draws[3] == draws[4]
    assert len({draws[0], draws[2], draws[3]}) == 3
    assert generator(U, "name").random() != generator(U, "other").random()


def test_basis_of_each_kind_of_predictor():
    rng = np.random.default_rng(2)
    n = 60
    u = rng.random(n)
    numeric = predictor_basis(rng.random(n), u)
    assert numeric.degree.tolist() == [0, 1, 2, 3, 4, 5]
    assert numeric.share.tolist() == [1.0] * 6
    assert predictor_basis(np.arange(n) % 3, u).degree.tolist() == [0, 1, 2]  # as many as distinct values allow
    for levels, share in ((2, 1.0), (3, 1.0), (5, 0.5)):
        factor = predictor_basis(pd.Series(np.arange(n) % levels).astype(str), u)
        assert factor.degree.tolist() == [0] + [1] * (levels - 1)
        assert factor.share.tolist() == [1.0] + [share] * (levels - 1)
        # the space of the level means
        means = np.eye(levels)[np.arange(n) % levels]
        np.testing.assert_allclose(factor.functions @ (factor.functions.T @ means), means, atol=1e-12)
        assert factor.predictor is None
    with pytest.raises(ValueError, match="32 levels in 60 rows, too many"):
        predictor_basis(pd.Series(np.arange(n) % 32).astype(str), u)
    assert len(predictor_basis(pd.Series(np.arange(n) % 31).astype(str), u).degree) > 2


def test_columns_arrays_and_mappings_give_the_same_basis():
    rng = np.random.default_rng(3)
    n = 80
    frame = pd.DataFrame({"a": rng.random(n), "b": rng.random(n)})
    res = sr.from_simulations(rng.normal(size=(30, n)), rng.normal(size=n), data=frame)
    reference = predictor_basis(frame, res).functions
    for same in (frame.to_numpy(), {"a": frame["a"], "b": frame["b"]}, ["a", "b"], ("a", "b")):
        np.testing.assert_array_equal(predictor_basis(same, res).functions, reference)
    assert predictor_basis("a", res).functions.shape == (n, 6)
    # text that names no column is a category for each row
    words = list(rng.choice(["x", "y", "z"], n))
    assert predictor_basis(words, res).degree.tolist() == [0, 1, 1]


def test_predictors_in_other_units_and_orders_give_the_same_basis():
    # more than 20 rows a column take the Gram matrix, fewer the QR decomposition: the same space
    rng = np.random.default_rng(4)
    x = rng.random(130)
    whole = predictor_basis(x, x).functions
    legendre = np.polynomial.legendre.legvander(2 * (np.argsort(np.argsort(x)) + 0.5) / 130 - 1, 5)
    for functions, design in ((whole, legendre), (predictor_basis(x[:100], x[:100]).functions, None)):
        n = len(functions)
        np.testing.assert_allclose(functions.T @ functions, np.eye(6), atol=1e-10)
        assert np.allclose(functions[:, 0], functions[0, 0]) and abs(functions[0, 0]) == pytest.approx(1 / np.sqrt(n))
        if design is not None:
            np.testing.assert_allclose(functions @ (functions.T @ design), design, atol=1e-10)


def test_predictions_whose_sums_overflow():
    """They say nothing, and another predictor is tested without a warning of numpy about them."""
    rng = np.random.default_rng(4)
    res = sr.from_simulations(rng.poisson(2.0, (30, 20)), rng.poisson(2.0, 20), fitted=np.full(20, 1.6e308))
    grouped = res.recalculate(group=np.arange(20) % 2)
    assert np.isinf(grouped.fitted).all()
    with pytest.raises(ValueError, match="not finite"):
        grouped.heteroscedasticity_test()
    assert 0 < grouped.heteroscedasticity_test([0.0, 1.0]).pvalue <= 1
