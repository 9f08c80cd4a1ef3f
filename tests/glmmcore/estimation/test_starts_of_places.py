"""Counts at few places: the maximum with independent places is found as well."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm


def counts(seed: int) -> pd.DataFrame:
    """60 counts at 30 places of the unit square with an exponential field of range .03 and standard deviation one."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(size=(30, 2))
    distance = np.linalg.norm(at[:, None] - at, axis=2)
    field = np.linalg.cholesky(np.exp(-distance / 0.03) + 1e-10 * np.eye(30)) @ rng.normal(size=30)
    place = np.concatenate([np.arange(30), rng.integers(0, 30, 30)])
    x = rng.normal(size=60)
    y = rng.poisson(np.exp(0.5 + 0.3 * x + field[place]))
    return pd.DataFrame({"y": y, "x": x, "east": at[place, 0], "north": at[place, 1]})


# Seeds among the first 150 in which searches from wider ranges alone end lower, by .31, .09 and .04.
@pytest.mark.parametrize("seed", [32, 118, 126])
def test_no_lower_than_independent_places(seed: int) -> None:
    d = counts(seed)
    fit = glmm("y ~ x + exp(east, north | 1)", d, family="poisson")
    d["place"] = d["east"].rank(method="dense").astype(int)
    independent = glmm("y ~ x + (1|place)", d, family="poisson")
    # the field with a range of zero is the independent effects
    assert fit.llf >= independent.llf - 1e-5
