"""One verdict: every place that speaks of the same residuals says the same."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simresid as sr
from glmmcore import glmm
from simresid.checks.results import CheckResult, DispersionResult, Effect
from simresid.checks.verdict import FAILED, judge, state_of, verdict_sentence


def result(p: float, effect: Effect | None = None) -> CheckResult:
    return CheckResult(statistic=1.0, pvalue=p, alternative="two-sided", method="by hand", n_obs=500, effect=effect)


RATIO = "dispersion ratio"


@pytest.mark.parametrize(
    ("p", "adjusted", "severity", "doubtful", "state"),
    [
        (0.2, 0.8, "severe", False, "ok"),
        (0.02, 0.12, "severe", False, "weak"),
        (0.001, 0.006, "moderate", False, "moderate"),
        (0.001, 0.006, "moderate", True, "weak"),
        (0.001, 0.006, "negligible", True, "negligible"),
        (0.02, 0.12, "negligible", False, "ok"),  # no departure that is significant
        (0.001, 0.006, None, False, "moderate"),
        (0.095, 1e-5, "severe", False, "severe"),  # 20 simulations, the statistic far outside all of them
    ],
)
def test_state_of_one_test(p, adjusted, severity, doubtful, state) -> None:
    assert state_of(p, adjusted, severity, doubtful=doubtful) == state


def test_a_failure_whose_size_is_uncertain_is_evidence_only() -> None:
    wide, narrow = Effect(RATIO, 1.9, 1.0, (1.02, 3.4)), Effect(RATIO, 1.9, 1.0, (1.6, 2.3))
    assert not wide.clear
    assert narrow.clear
    assert Effect(RATIO, 0.5, 1.0, (0.4, 0.7)).clear
    assert not Effect(RATIO, 0.9, 1.0, (0.5, 1.6)).clear
    uncertain = judge({"dispersion": result(0.01, wide)}, 80)
    assert uncertain.failed == ["dispersion"]
    assert uncertain.sentence == "Evidence against the model: dispersion."
    assert uncertain.headline == "Evidence of misfit: overdispersed"
    certain = judge({"dispersion": result(0.01, narrow)}, 80)
    assert (certain.sentence, certain.headline) == ("The model fails: dispersion.", "Misfit: overdispersed")


def test_a_fit_that_did_not_converge_is_said_first() -> None:
    fine = judge({"uniformity": result(0.5)}, 200, converged=False)
    assert fine.state == "unknown"
    assert fine.sentence.startswith("Not converged. No evidence")
    assert fine.headline.startswith("Not converged. ")
    bad = judge({"uniformity": result(1e-6)}, 200, converged=False)
    assert bad.state == "moderate"
    assert bad.sentence == "Not converged. The model fails: uniformity."


def test_sentences_name_what_departs() -> None:
    assert verdict_sentence({}, clear=False) == "Nothing could be tested."
    assert verdict_sentence({"a": "ok"}, clear=False) == "No evidence against the model in 1 test."
    assert "negligible in size: b." in verdict_sentence({"a": "ok", "b": "negligible"}, clear=False)
    assert verdict_sentence({"a": "weak"}, clear=False, among="40 models").endswith("adjustment for 40 models.")
    assert verdict_sentence({"a": "weak"}, clear=False, doubtful=True).startswith("Uncertain: a depart")


def headline_of(figure) -> str:
    text = figure.texts[0].get_text().replace("\n", " ")
    plt.close(figure)
    return text


def said_everywhere(res, tmp_path) -> tuple[list[str], dict[str, str]]:
    """Failed tests by `diagnose`, and the headline of figure, page and notebook, which must agree with them."""
    found = sr.diagnose(res, n_monte_carlo=0)
    headlines = {"figure": headline_of(res.plot()), "notebook": res._repr_html_()}
    page = sr.report(res, tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("figure", "notebook"):
        assert found.judgement.headline in headlines[name], name
    assert f"<title>{found.judgement.headline}" in page
    assert found.verdict in res.summary()
    assert bool(found.failed) == ("isfit:" in headlines["figure"])
    assert found.failed == list(found.table.index[found.table["failed"]])
    return found.failed, headlines


@pytest.mark.parametrize("seed", range(6))
def test_one_verdict_on_random_models(seed, tmp_path) -> None:
    """Right and wrong models of several kinds, few and many simulations, small and middling data."""
    rng = np.random.default_rng(700 + seed)
    n = int(rng.integers(25, 220))
    mean = rng.uniform(0.6, 7, n)
    shape = float(rng.choice([0.8, 3.0, 12.0, np.inf]))
    rate = mean if np.isinf(shape) else mean * rng.gamma(shape, 1 / shape, n)
    n_sims = int(rng.choice([25, 60, 250]))
    res = sr.from_simulations(rng.poisson(mean, (n_sims, n)), rng.poisson(rate), mean)
    said_everywhere(res, tmp_path)


def test_groups_that_the_fit_follows_are_doubted_everywhere(tmp_path, monkeypatch) -> None:
    """`diagnose` said "The model fails" where the overview said "Borderline"."""
    rng = np.random.default_rng(711)
    nest = np.repeat(np.arange(60), 6)
    d = pd.DataFrame({"nest": nest, "w": rng.normal(size=nest.size)})
    d["eggs"] = rng.poisson(np.exp(1.0 + 0.2 * d["w"] + rng.normal(0, 0.8, 60)[nest]))
    fit = glmm("eggs ~ w + (1|nest)", d, family="poisson")

    class WithoutLeverages:
        """The same fit as another library would offer it: no leverage of groups."""

        has_random_effects = True

        def __init__(self) -> None:
            self.observed, self.fitted, self.nobs, self.data = fit.observed, fit.fitted, fit.nobs, fit.data

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return fit.simulate(n_sims, rng=rng, random_effects=random_effects)

    grouped = sr.simulate_residuals(WithoutLeverages(), 250).recalculate(group="nest")
    assert grouped.uniformity_test().pvalue < 1e-4  # sums follow the data
    failed, headlines = said_everywhere(grouped, tmp_path)
    assert failed == []
    assert "Borderline" in headlines["figure"]
    assert sr.diagnose(grouped, n_monte_carlo=0).verdict.startswith("Uncertain: ")


def test_screen_uses_the_same_rule() -> None:
    """With one model there is nothing to adjust for: states are those of single tests."""
    rng = np.random.default_rng(712)
    x = rng.normal(size=150)
    for k in (0.7, 4.0, 1e6):
        d = pd.DataFrame({"x": x, "y": rng.negative_binomial(k, k / (k + 3), 150)})
        row = sr.screen({"only": ("y ~ x", d, "poisson")}, progress=False, rng=5).iloc[0]
        tests = [t for t in ("uniformity", "dispersion", "zero inflation", "outliers") if t in row.index]
        res = sr.simulate_residuals(glmm("y ~ x", d, "poisson"), 250)
        severe = {t: getattr(res, t.replace(" ", "_").removesuffix("s") + "_test")().effect.severity for t in tests}
        states = {
            t: state_of(row[t], row[f"{t} adjusted"], "negligible" if severe[t] == "negligible" else None)
            for t in tests
        }
        assert row["failed"] == ", ".join(t for t in tests if states[t] in FAILED)
        assert row["n_failed"] == sum(s in FAILED for s in states.values())
        start = ("The model fails", "Evidence against") if row["n_failed"] else ("No ", "Departures")
        assert row["verdict"].startswith(start)


def test_judgement_needs_dispersion_below_one_to_doubt() -> None:
    def dispersion(ratio: float) -> DispersionResult:
        return DispersionResult(
            statistic=ratio, pvalue=0.001, alternative="two-sided", method="by hand", n_obs=90,
            effect=Effect(RATIO, ratio, 1.0, (0.9 * ratio, 1.1 * ratio)), null_distribution=None,
            conf_int=(0.9 * ratio, 1.1 * ratio), correction="none", notes=("not corrected",),
        )  # fmt: skip

    assert judge({"dispersion": dispersion(2.0)}, 90).failed == ["dispersion"]
    quiet = judge({"dispersion": dispersion(0.4), "uniformity": result(1e-8)}, 90)
    assert quiet.failed == []
    assert quiet.doubtful


@pytest.mark.parametrize(
    ("response", "kind", "named", "unfit"),
    [("k of n", "k of n", "betabinomial", "nbinom2"), ("counts", "counts", "nbinom2", "betabinomial"),
     ("continuous", "continuous", "dispersion formula", "nbinom2")],
)  # fmt: skip
def test_advice_on_spread_suits_the_response(response, kind, named, unfit) -> None:
    rng = np.random.default_rng(713)
    n, x = 200, rng.normal(size=200)
    d = pd.DataFrame({"x": x, "n": rng.integers(8, 30, n)})
    if response == "k of n":
        p = rng.beta(1.2, 1.6, n)
        d["y"] = rng.binomial(d["n"], p)
        fit = glmm("y ~ x", d, family="binomial", trials="n")
        res = sr.simulate_residuals(fit)
    elif response == "counts":
        d["y"] = rng.negative_binomial(0.8, 0.2, n)
        res = sr.simulate_residuals(glmm("y ~ x", d, family="poisson"))
    else:
        res = sr.from_simulations(rng.normal(size=(250, n)), rng.normal(size=n) * 2)
    found = res.dispersion_test()
    assert found.response == kind
    assert found.statistic > 1.5
    assert named in found.advice()
    assert unfit not in found.advice()
    narrow = sr.from_simulations(rng.normal(size=(250, n)), rng.normal(size=n) * 0.5).dispersion_test()
    assert "compois" not in narrow.advice()
    if response == "k of n":
        zeros = res.zero_inflation_test()
        assert zeros.statistic > 1
        assert "betabinomial" in zeros.advice()
        assert "nbinom2" not in zeros.advice()
