"""Optional arguments of tests and figures with values of wrong types: taken, or refused by an error of ours."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simresid as sr
from glmmcore import glmm
from tests.robustness.zoo.cage import require_ours

WRONG = (
    *(pd.NA, np.array([]), np.array([1, 2]), np.array(2.0), pd.DataFrame(), [[1], [2, 3]], {}, object(), -1, np.nan),
    *(10**400, "nonsense", b"x", 1j, [None], Ellipsis),
)
NEEDED = {
    "temporal_autocorrelation_test": ("day",),
    "spatial_autocorrelation_test": ("e", "w"),
    "categorical_test": ("site",),
    "statistic_test": (np.max,),
    "plot_spatial": ("e", "w"),
    "plot_temporal": ("day",),
    "variogram": ("e", "w"),
    "plot_variogram": ("e", "w"),
}
CALLS = (
    *("uniformity_test", "dispersion_test", "zero_inflation_test", "outlier_test", "quantile_test", "statistic_test"),
    *("heteroscedasticity_test", "categorical_test", "temporal_autocorrelation_test", "spatial_autocorrelation_test"),
    *("diagnose", "variogram", "plot_overview", "plot_qq", "plot_histogram", "plot_rootogram", "plot_residuals"),
    *("plot_spatial", "plot_temporal", "plot_variogram"),
)


@pytest.fixture(scope="module")
def res():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=60), "e": rng.normal(size=60), "w": rng.normal(size=60)})
    data["site"], data["day"] = np.repeat(list("abcdef"), 10), np.tile(np.arange(10), 6)
    data["y"] = rng.poisson(2, 60)
    return sr.simulate_residuals(glmm("y ~ x", data, family="poisson"), 40)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::glmmcore.errors.DataWarning")
def test_wrong_types_are_refused_by_name_or_taken(res, name):
    call, given = getattr(sr, name), NEEDED.get(name, ())
    named = [p for p in inspect.signature(call).parameters.values() if p.kind is not p.VAR_KEYWORD]
    optional = [p.name for p in named[1 + len(given) :]]
    for argument in [a for a in optional if a not in ("test", "tests", "cells", "figure", "ax")]:
        for value in WRONG:
            try:
                call(res, *given, **{argument: value})
            except Exception as error:
                require_ours(error)
            finally:
                plt.close("all")


def test_the_level_of_an_interval_is_no_argument_of_tests(res):
    calls = (lambda: res.diagnose(level=0.9), lambda: sr.diagnose(res, level=0.9), lambda: sr.screen({}, level=0.9))
    for call in calls:
        with pytest.raises(TypeError, match=r"has no argument level=; write alpha=, such as alpha=0.1 for"):
            call()
