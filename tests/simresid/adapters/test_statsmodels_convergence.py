"""A fit of statsmodels that did not converge is said so, first."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.discrete.truncated_model import HurdleCountModel
from statsmodels.genmod.bayes_mixed_glm import PoissonBayesMixedGLM
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.othermod.betareg import BetaModel

import simresid
from simresid.adapters import as_fitted_model
from simresid.adapters.statsmodels_table import converged_of


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(61)
    n = 150
    depth = rng.normal(size=n)
    fish = rng.poisson(np.exp(0.6 + 0.8 * depth))
    return pd.DataFrame(
        {
            "depth": depth, "reef": np.repeat(np.arange(15), 10), "fish": fish, "any": (fish > 1).astype(float),
            "cover": np.clip(rng.beta(2, 3, n), 0.01, 0.99), "rank": np.clip(fish, 0, 3),
        }
    )  # fmt: skip


FITS = {
    "glm": lambda d, k: smf.glm("fish ~ depth", d, family=sm.families.Poisson()).fit(maxiter=k),
    "glm by newton": lambda d, k: smf.glm("fish ~ depth", d, family=sm.families.Poisson()).fit(
        method="newton", maxiter=k
    ),
    "poisson": lambda d, k: smf.poisson("fish ~ depth", d).fit(disp=0, maxiter=k),
    "negative binomial": lambda d, k: smf.negativebinomial("fish ~ depth", d).fit(disp=0, maxiter=k),
    "zero-inflated": lambda d, k: sm.ZeroInflatedPoisson(d.fish, sm.add_constant(d[["depth"]])).fit(disp=0, maxiter=k),
    "hurdle": lambda d, k: HurdleCountModel(d.fish, sm.add_constant(d[["depth"]])).fit(disp=0, maxiter=k),
    "logit": lambda d, k: smf.logit("any ~ depth", d).fit(disp=0, maxiter=k),
    "beta": lambda d, k: BetaModel.from_formula("cover ~ depth", d).fit(disp=0, maxiter=k),
    "ordered": lambda d, k: OrderedModel(d["rank"], d[["depth"]], distr="logit").fit(method="bfgs", disp=0, maxiter=k),
    "bayes": lambda d, k: PoissonBayesMixedGLM.from_formula("fish ~ depth", {"reef": "0 + C(reef)"}, d).fit_map(
        minim_opts={"maxiter": k}
    ),
}


@pytest.mark.parametrize("kind", FITS)
def test_convergence_is_read_from_every_class(frame, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what statsmodels says itself
        stopped, finished = FITS[kind](frame, 1), FITS[kind](frame, 400)
    assert converged_of(finished) is True
    assert as_fitted_model(finished).converged
    assert converged_of(stopped) is False
    with pytest.warns(UserWarning, match="did not converge"):
        assert not as_fitted_model(stopped).converged


def test_closed_forms_have_no_convergence(frame):
    model = as_fitted_model(smf.ols("cover ~ depth", frame).fit())
    assert not hasattr(model, "converged")


def test_constraints_are_put_in_place_without_iterations(frame):
    """The flag of that last step says nothing of the search."""
    glm = smf.glm("fish ~ depth", frame, family=sm.families.Poisson())
    assert converged_of(glm.fit_constrained("depth = 0.5")) is None


def test_every_verdict_says_it_first(frame, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stopped = FITS["negative binomial"](frame, 1)
        table = simresid.screen({"reefs": stopped}, progress=False)
        res = simresid.simulate_residuals(stopped, 100)
    assert res.diagnose(n_monte_carlo=0).verdict.startswith("Not converged. ")
    assert "Not converged. " in res.summary()
    assert "Not converged. " in res._repr_html_()
    assert "<title>Not converged. " in simresid.report(res, tmp_path / "page.html").read_text(encoding="utf-8")
    assert table["verdict"].iloc[0].startswith("Not converged. ")
    assert table["flagged"].all()
