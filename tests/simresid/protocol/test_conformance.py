"""The conformance check passes right models and says what is wrong with wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from simresid.protocol.conformance import check_fitted_model


@pytest.mark.parametrize("sd", [0.0, 0.6])
def test_a_right_model_passes(poisson_fit, sd):
    report = check_fitted_model(poisson_fit(150, sd=sd))
    assert {"cdf", "variance", "population_mean", "refit", "data"} <= set(report.passed)
    assert report.absent == ["trials", "edf", "df_resid", "leverage", "group_leverage", "expected_variance"]
    assert "checks passed" in str(report)


def test_few_false_alarms(poisson_fit):
    for seed in range(25):
        check_fitted_model(poisson_fit(40, seed=seed), n_sims=300, rng=seed)


def variant(**members):
    """Breaks one promise of a right model."""

    def change(model):
        model.__class__ = type("Variant", (type(model),), members)
        return model

    return change


def simulate_shifted(self, n_sims, *, rng=None, random_effects="conditional"):
    return np.random.default_rng(rng).poisson(self.fitted * 1.03, size=(n_sims, self.nobs))


def simulate_global(self, n_sims, *, rng=None, random_effects="conditional"):
    np.random.seed(3)  # noqa: NPY002
    return np.random.poisson(self.fitted, size=(n_sims, self.nobs))  # noqa: NPY002


def simulate_unseeded(self, n_sims, *, rng=None, random_effects="conditional"):
    return np.random.default_rng().poisson(self.fitted, size=(n_sims, self.nobs))


def simulate_one_row(self, n_sims, *, rng=None, random_effects="conditional"):
    row = np.random.default_rng(rng).poisson(self.fitted)
    return np.tile(row, (n_sims, 1))


def simulate_wrong_row(self, n_sims, *, rng=None, random_effects="conditional"):
    mean = self.fitted.copy()
    mean[17] *= 4
    return np.random.default_rng(rng).poisson(mean, size=(n_sims, self.nobs))


def simulate_overdispersed(self, n_sims, *, rng=None, random_effects="conditional"):
    rng = np.random.default_rng(rng)
    return rng.negative_binomial(8, 8 / (8 + self.fitted), size=(n_sims, self.nobs))


def simulate_transposed(self, n_sims, *, rng=None, random_effects="conditional"):
    return np.random.default_rng(rng).poisson(self.fitted[:, None], size=(self.nobs, n_sims))


def cdf_wrong(self, y=None):
    lower, upper = type(self).__mro__[1].cdf(self, y)
    return lower**1.2, upper**1.2


def refit_ignores(self, y):
    return self


BROKEN = {
    "3 % off": (variant(simulate=simulate_shifted), "standard errors off fitted"),
    "global stream": (variant(simulate=simulate_global), "global random stream"),
    "unseeded": (variant(simulate=simulate_unseeded), "other draws for the same rng"),
    "one replicate": (variant(simulate=simulate_one_row), "repeats one replicate"),
    "one row": (variant(simulate=simulate_wrong_row), r"mean of the simulations is not fitted.*\[17\]"),
    "variance": (variant(simulate=simulate_overdispersed, cdf=None), "vary .* times as much as"),
    "transposed": (variant(simulate=simulate_transposed), r"shape \(150, 1\)|shape \(150, 3\)"),
    "cdf": (variant(cdf=cdf_wrong), "not uniform"),
    "pearson": (variant(resid_pearson=property(lambda self: self.fitted - self.observed)), "another sign"),
    "pearson scale": (
        variant(resid_pearson=property(lambda self: 2 * (self.observed - self.fitted))),
        "is not \\(observed - fitted\\)",
    ),
    "population mean": (
        variant(population_mean=lambda self: np.exp(self.linear)),
        r"off population_mean\(\)|is not population_mean\(\)",
    ),
    "refit": (variant(refit=refit_ignores), r"refit\(y\).observed is not y"),
    "data": (variant(data=property(lambda self: self._data[:10], lambda self, d: None)), "data has 10 rows"),
    "trials": (variant(trials=property(lambda self: np.ones(self.nobs))), "responses exceed trials"),
    "nan": (variant(variance=lambda self: self.fitted * np.nan), r"variance\(\) is NaN"),
    "edf": (variant(edf=np.nan, df_resid=3.0), "edf is nan"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_promises_are_named(poisson_fit, what):
    change, message = BROKEN[what]
    model = poisson_fit(150, sd=0.6)
    model._data = model.data
    with pytest.raises(AssertionError, match=message):
        check_fitted_model(change(model))


def test_objects_without_the_attributes_are_named():
    with pytest.raises(AssertionError, match="observed, fitted, nobs and simulate"):
        check_fitted_model(object())


def test_proportions_are_refused(poisson_fit):
    class Proportions:
        observed, fitted, nobs = np.array([0.25, 0.5, 0.75]), np.array([0.5, 0.5, 0.5]), 3
        trials = np.full(3, 4.0)

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.random.default_rng(rng).binomial(4, 0.5, size=(n_sims, 3))

    with pytest.raises(AssertionError, match="simulations"):
        check_fitted_model(Proportions())
