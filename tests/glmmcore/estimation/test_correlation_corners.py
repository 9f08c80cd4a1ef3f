"""Gradients of structures of correlations, inside and where these approach -1 and 1, for four kinds of models."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design

from ..differences import check_gradient

# As in test_field_gradients: truncation of 1e-10 and rounding of 1e-11.
TOLERANCE = 1e-7
MODELS = [("gaussian", {}), ("poisson", {}), ("nbinom2", {}), ("poisson", {"zi": "~ x"})]


def data():
    rng = np.random.default_rng(2411)
    n = 70
    d = pd.DataFrame({"x": rng.normal(size=n), "visit": np.tile(np.arange(5), 14), "id": np.repeat(np.arange(14), 5)})
    eta = 0.4 + 0.3 * d["x"] + np.sin(d["visit"])
    d["count"] = rng.poisson(np.exp(eta)) * (rng.random(n) > 0.1)
    return d.assign(real=eta + rng.normal(size=n))


@pytest.mark.parametrize("corner", [None, -8.0, 8.0])
@pytest.mark.parametrize("structure", ["ar1", "hetar1", "toep", "homtoep", "cs", "homcs"])
@pytest.mark.parametrize(("family", "more"), MODELS)
def test_gradient(family, more, structure, corner):
    response = "real" if family == "gaussian" else "count"
    design = build_design(f"{response} ~ x + {structure}(0 + factor(visit) | id)", data(), **more)
    estimator = Estimator.build(design, get_family(family))
    rng = np.random.default_rng(7)
    x = 0.4 * rng.normal(size=estimator.problem.n_params)
    term = estimator.problem.terms[0]
    theta = term.structure.start(np.full(term.structure.k, 0.8)) + rng.normal(0.0, 0.4, term.structure.size)
    if corner is not None:
        theta[-1] = corner  # the only correlation, or that of the longest lag
    x[term.where] = theta
    objective, given = (LinearObjective, [None]) if estimator.linear else (LaplaceObjective, [])
    check_gradient(lambda: objective(estimator.problem, *given), x, TOLERANCE)
