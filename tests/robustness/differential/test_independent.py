"""Our log-likelihoods at our own estimates beside those of an evaluation that shares no code with them."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from glmmcore import FittedGLMM, glmm

from .independent import Estimates, integral, laplace
from .models import draw_model

# The independent evaluation takes its derivatives by differences of step 1e-3, of fourth order.
TOLERANCE = 2e-5
LAWS = (
    *("poisson", "nbinom1", "nbinom2", "genpois", "truncated_nbinom2", "binomial", "betabinomial", "beta"),
    *("gaussian", "t", "gamma", "tweedie", "ordbeta"),
)


def in_r(name: str) -> str:
    """R's name of a coefficient of ours."""
    return re.sub(r"\[(?:T\.)?(\w+)\]", r"\1", name).replace("Intercept", "(Intercept)")


def own_estimates(fit: FittedGLMM) -> Estimates:
    """What a fit says, in the words of the independent evaluation."""
    out = Estimates({"cond": {in_r(name): float(value) for name, value in fit.params.items()}})
    if len(fit.disp_params):
        out.coefficients["disp"] = {in_r(name): float(value) for name, value in fit.disp_params.items()}
    if len(fit.zi_params):
        out.coefficients["zi"] = {in_r(name): float(value) for name, value in fit.zi_params.items()}
    psi = [
        float(fit.solution.x[part.where][0]) for part in fit.estimator.problem.parts if part.name in fit.family.extra
    ]
    own = {"t": np.exp, "tweedie": lambda power: 1.0 + special.expit(power), "ordbeta": lambda low: low}
    if psi:
        out.coefficients["family"] = {"first": float(own[fit.family.name](psi[0]))}
    if fit.family.name == "ordbeta":
        out.coefficients["family"]["second"] = psi[0] + float(np.exp(psi[1]))
    for solved in fit.solution.terms:
        names = [in_r(name) for name in solved.term.columns]
        out.covariances.append((solved.predictor, solved.term.group, names, np.asarray(solved.covariance)))
    return out


@pytest.mark.parametrize("law", LAWS)
def test_log_likelihood(law: str) -> None:
    compared = 0
    for index in range(12):
        model = draw_model(20, index, law)
        if model.link in ("sqrt", "identity") and law not in ("gaussian", "t"):
            continue  # several modes: which one is found is not what is asked here
        if (law, model.link) == ("gaussian", "inverse"):
            continue  # too curved for differences of this step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = glmm(model.formula, model.data, law, link=model.link, zi=model.zi, disp=model.disp)
        if not fit.converged:
            continue
        estimates = own_estimates(fit)
        assert fit.llf == pytest.approx(laplace(model, estimates), abs=TOLERANCE), str(model)
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize(("effects", "tolerance"), [("(1|g/k)", 1e-6), ("(0 + f|g)", 0.05), ("(1|g) + (1|h)", 0.05)])
def test_the_integral_of_several_effects_a_group_is_laplaces_for_normal_responses(
    effects: str, tolerance: float
) -> None:
    """On a grid of 121 points a dimension, and from 6000 draws."""
    model = replace(draw_model(22, 0, "gaussian"), formula=f"y ~ x + {effects}", link="identity", zi=None, disp=None)
    fit = glmm(model.formula, model.data, "gaussian")
    assert max(solved.covariance[0, 0] for solved in fit.solution.terms) > 0.01
    assert fit.llf == pytest.approx(integral(model, own_estimates(fit))[0], abs=tolerance)


def test_the_integral_of_one_effect_a_group_is_that_of_quadrature() -> None:
    model = next(
        m
        for m in (draw_model(21, i, "poisson") for i in range(200))
        if re.fullmatch(r"y ~ [^(]+\+ \(1\|g\)", m.formula) and m.link == "log" and not m.zi
    )
    fit = glmm(model.formula, model.data, "poisson", link=model.link, n_agq=25)
    # 25 nodes of adaptive quadrature and a grid of 611 points are both exact far below this
    assert fit.llf == pytest.approx(integral(model, own_estimates(fit))[0], abs=1e-6)
