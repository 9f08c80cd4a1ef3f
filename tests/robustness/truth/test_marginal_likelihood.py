"""Marginal log-likelihoods of random small models against integrals on a dense grid and dense Laplace formulas.

The references are in `dense.py`: densities in extended precision from their definitions, all random effects in one
dense matrix, derivatives by differences, the integral by a trapezoidal rule that checks that nothing lies beyond its
grid.
SIMRESID_HYPOTHESIS=long tries many more models.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from glmmcore import glmm

from ..properties.budget import FACTOR
from .dense import Model, Term, random_model

# Sums of at most 60 terms of size 1 to 100 in double precision; the reference has three digits more.
ROUNDING = 2e-9
# Quadrature converges geometrically in the number of nodes; laws with nearly two modes (t, lognormal) need the most.
QUADRATURE = 2e-8
NODES = {"1": (61,), "x": (81, 161)}

MODELS = [(structure, seed) for structure in ("1", "x", "crossed", "zi") for seed in range(15 * FACTOR)]


@pytest.mark.parametrize(("structure", "seed"), MODELS)
def test_laplace_is_the_formula(structure: str, seed: int) -> None:
    model = random_model(seed, structure)
    assert model.log_likelihood() == pytest.approx(model.laplace(), rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize(("structure", "seed"), [m for m in MODELS if m[0] in ("1", "x")])
def test_quadrature_is_the_integral(structure: str, seed: int) -> None:
    model = random_model(seed, structure)
    expected = pytest.approx(model.integral(), rel=QUADRATURE, abs=QUADRATURE)
    *few, most = NODES[structure]
    if not any(model.log_likelihood(nodes) == expected for nodes in few):
        assert model.log_likelihood(most) == expected


def at_estimates(model: Model, fit) -> Model:
    """The model at what a fit prints."""
    terms = []
    for term in model.terms:
        table = fit.var_corr.query("group == @term.group and component == @term.predictor")
        sd = table["sd"].to_numpy()
        correlation = np.eye(len(sd))
        if len(sd) == 2:
            correlation[0, 1] = correlation[1, 0] = table["corr_1"].to_numpy()[1]
        terms.append(Term(term.group, term.slope, np.outer(sd, sd) * correlation, term.predictor))
    phi = float(np.exp(fit.disp_params["Intercept"])) if model.kind.phi else 1.0
    zeta = float(fit.zi_params["Intercept"]) if model.kind.zi else 0.0
    return Model(
        model.kind, model.frame, terms, fit.params.to_numpy(), phi, zeta, model.trials, model.formula, model.zi_formula
    )


# The t law's degrees of freedom are estimated and not printed among the coefficients; one seed each of nbinom1 and of
# zero-inflated nbinom2 runs to the Poisson limit, where the reference's differences of log gammas have no digits left.
FITTED = [(s, n) for s in range(15 * FACTOR) for n in (1, 25) if s % 15 not in (5, 12, 14) and (n == 1 or s % 2)]


@pytest.mark.parametrize(("seed", "n_agq"), FITTED)
def test_printed_estimates_have_the_printed_likelihood(seed: int, n_agq: int) -> None:
    """From formula to `llf`, at the numbers a user reads."""
    model = random_model(seed, "1" if seed % 2 else "x", n_levels=12)
    options = {"link": model.kind.link, "zi": model.zi_formula, "trials": model.trials}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = glmm(model.formula, model.frame, model.kind.name, n_agq=n_agq, **options)
    there = at_estimates(model, fit)
    expected = there.laplace() if n_agq == 1 else there.integral()
    assert fit.llf == pytest.approx(expected, rel=1e-6, abs=1e-6)
