"""Equal rows counted as one: the same likelihood from fewer rows."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.estimation.distinct_rows import distinct_rows
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.quadrature import QuadratureObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design

# The same sums in another order.
ROUNDING = 1e-10
N, LEVELS = 6000, 12


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    g, treated, year = rng.integers(0, LEVELS, N), rng.integers(0, 2, N), rng.integers(0, 3, N)
    eta = -0.4 + 0.6 * treated + 0.2 * year + rng.normal(0.0, 0.7, LEVELS)[g]
    return pd.DataFrame(
        {
            "g": g.astype(str),
            "h": rng.integers(0, 4, N).astype(str),
            "treated": treated,
            "year": year,
            "effort": 1.0 + rng.integers(0, 2, N),
            "yes": rng.binomial(1, 1.0 / (1.0 + np.exp(-eta))),
            "of_three": rng.binomial(3, 1.0 / (1.0 + np.exp(-eta))),
            "count": rng.poisson(np.exp(eta)),
            "twice": 1.0 + rng.integers(0, 2, N),
            "x": rng.normal(size=N),
        }
    )


CASES = {
    "intercept": ("yes ~ treated + year + (1|g)", "binomial", {}),
    "trials": ("cbind(of_three, 3 - of_three) ~ treated + (1|g)", "binomial", {}),
    "slopes": ("count ~ treated + (treated|g)", "poisson", {}),
    "crossed": ("count ~ treated + (1|g) + (1|h)", "poisson", {}),
    "offset": ("count ~ treated + offset(log(effort)) + (1|g)", "nbinom2", {}),
    "zero inflation": ("count ~ treated + (1|g)", "poisson", {"zi": "~ treated + (1|g)"}),
    "dispersion": ("count ~ treated + (1|g)", "nbinom2", {"disp": "~ treated"}),
    "weights": ("yes ~ treated + (1|g)", "binomial", {"freq_weights": "twice"}),
    "quadrature": ("yes ~ treated + (1|g)", "binomial", {"n_agq": 5}),
}


def estimator(data, formula, family, *, n_agq=1, freq_weights=None, **parts):
    weights = None if freq_weights is None else data[freq_weights]
    design = build_design(formula, data, freq_weights=weights, **parts)
    return Estimator.build(design, get_family(family, None), n_agq=n_agq)


@pytest.mark.parametrize("case", CASES)
def test_likelihood_and_gradient_are_those_of_all_rows(data, case):
    formula, family, options = CASES[case]
    model = estimator(data, formula, family, **options)
    fewer = distinct_rows(model.problem)
    assert fewer is not None
    assert fewer.n < 0.5 * N
    all_rows, distinct = model.objective(), type(model.objective())
    objective = distinct(fewer, model.n_agq) if distinct is QuadratureObjective else distinct(fewer)
    rng = np.random.default_rng(2)
    for _ in range(3):
        x = rng.normal(0.0, 0.3, model.problem.n_params)
        value, gradient = all_rows(x)
        found, slope = objective(x)
        np.testing.assert_allclose(found, value, rtol=ROUNDING)
        np.testing.assert_allclose(slope, gradient, rtol=0.0, atol=ROUNDING * abs(value))
        np.testing.assert_allclose(objective.mode, all_rows.mode, rtol=0.0, atol=1e-8)


def test_distinct_rows_and_their_weights_are_those_of_a_table(data):
    model = estimator(data, "yes ~ treated + year + (1|g)", "binomial")
    fewer = distinct_rows(model.problem)
    columns = ["g", "treated", "year", "yes"]
    table = data.groupby(columns).size()
    found = data.loc[fewer.rows, columns].assign(weight=fewer.likelihood.freq_weights).set_index(columns).weight
    assert not found.index.duplicated().any()
    pd.testing.assert_series_equal(found.sort_index().astype(int), table, check_names=False)


def test_fit_reports_all_rows(data):
    fit = glmm("yes ~ treated + year + (1|g)", data, family="binomial")
    weighted = data.groupby(["g", "treated", "year", "yes"]).size().reset_index(name="times")
    table = glmm("yes ~ treated + year + (1|g)", weighted, family="binomial", freq_weights=weighted.times)
    assert fit.nobs == N
    assert fit.fittedvalues.shape == (N,)
    # two optima of one function, each to an expected decrease of 1e-9
    np.testing.assert_allclose(fit.llf, table.llf, atol=2e-9 + ROUNDING * abs(fit.llf))
    np.testing.assert_allclose(fit.params, table.params, atol=1e-4 * table.bse.min())
    np.testing.assert_allclose(fit.bse, table.bse, rtol=1e-4)
    at = fit.fittedvalues[((data.g == "3") & (data.treated == 1) & (data.year == 2)).to_numpy()]
    assert np.ptp(at) < 1e-12


@pytest.mark.parametrize(
    ("formula", "rows"),
    [
        ("yes ~ x + (1|g)", N),  # all rows differ
        ("yes ~ treated + (1|g)", 1500),  # too few to matter
        ("yes ~ treated", N),  # no random effects, nothing to gain
    ],
)
def test_nothing_is_done_where_it_does_not_pay(data, formula, rows):
    assert distinct_rows(estimator(data.iloc[:rows], formula, "binomial").problem) is None


def test_rows_are_sorted_by_a_treatment_inside_levels(data):
    model = estimator(data, "count ~ treated + (treated|g)", "poisson")
    assert model.problem.layout.n_runs == 2 * LEVELS
