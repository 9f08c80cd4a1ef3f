from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import FittedGLMM, glmm
from simresid import datasets, diagnose, from_simulations, plot_dispersion, plot_overview, simulate_residuals
from simresid.checks.battery import applicable_tests, judge_residuals
from simresid.checks.results import CheckResult
from simresid.checks.verdict import judge
from simresid.checks.verdict_html import MARKS


def texts(figure) -> str:
    found = [t.get_text() for t in figure.findobj(plt.Text)]
    return "\n".join(found)


def test_verdict_is_the_headline(overdispersed) -> None:
    figure = plot_overview(overdispersed)
    assert figure.texts[0].get_text().startswith("Misfit: ")
    assert "overdispersed" in figure.texts[0].get_text()


def test_nothing_found_is_said_so(right) -> None:
    assert plot_overview(right).texts[0].get_text() == "No misfit found in 6 checks"


def test_right_models_are_rarely_called_wrong() -> None:
    rng = np.random.default_rng(11)
    called = 0
    for _ in range(40):
        mean = rng.uniform(2, 6, 100)
        res = from_simulations(rng.poisson(mean, (99, 100)), rng.poisson(mean), mean)
        tests = {name: partial(test, res) for name, (test, _) in applicable_tests(res, *[None] * 6)[0].items()}
        called += bool(judge_residuals(res, tests).failed)
    assert called <= 6  # 0.3 % of the time more, if the rate is 5 %


def test_every_check_shows_name_finding_effect_and_pvalue(overdispersed) -> None:
    shown = texts(plot_overview(overdispersed))
    result = overdispersed.dispersion_test()
    low, high = result.conf_int
    assert "Dispersion: overdispersed" in shown
    assert f"ratio {result.statistic:.2f} [{low:.2f}, {high:.2f}], p = {result.pvalue:.3f}" in shown
    outliers = overdispersed.outlier_test()
    assert f"{outliers.observed}, {outliers.expected:.1f} expected" in shown


def test_verdict_agrees_with_diagnose(overdispersed, right) -> None:
    for res in (overdispersed, right):
        failed = diagnose(res, n_monte_carlo=0).failed
        called_misfit = plot_overview(res).texts[0].get_text().startswith("Misfit")
        assert called_misfit == bool(failed)


def grouped_counts(groups: int, rows: int, sd: float) -> FittedGLMM:
    """Fit of the right model to counts in `groups` of so many `rows`."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(groups), rows)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=g.size)})
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + rng.normal(0, sd, groups)[g]))
    return glmm("y ~ x + (1|g)", d, family="poisson")


def test_title_names_model_simulations_and_seed() -> None:
    fit = grouped_counts(10, 8, 0.4)
    for kind in ("conditional", "unconditional"):
        shown = texts(plot_overview(simulate_residuals(fit, 99, random_effects=kind, rng=7)))
        for part in ("poisson(log): y ~ x + (1|g)", "99 simulations", f"{kind}", "seed 7", "80 rows"):
            assert part in shown
        assert "95\N{NO-BREAK SPACE}% band of" in shown
        assert "refits" in shown
    fig = plot_overview(simulate_residuals(fit, 99, random_effects="unconditional", rng=7), null="simulated")
    assert "independent rows" in texts(fig)  # the band of the QQ plot, when rows share new random effects


def test_groups_with_fitted_effects_are_not_called_underdispersed() -> None:
    fit = grouped_counts(25, 10, 0.7)
    figure = plot_overview(simulate_residuals(fit).recalculate(group="g"))
    assert not figure.texts[0].get_text().startswith("Misfit")
    assert "Caution" in texts(figure)
    redrawn = plot_overview(simulate_residuals(fit, random_effects="unconditional").recalculate(group="g"))
    assert "Caution" not in texts(redrawn)


def test_plot_argument_leaves_a_figure_for_pyplot() -> None:
    class Coins:
        observed = np.random.default_rng(1).binomial(10, 0.5, 40).astype(float)
        fitted = np.full(40, 5.0)
        nobs = 40

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.random.default_rng(rng).binomial(10, 0.5, size=(n_sims, 40))

    assert not plt.get_fignums()
    simulate_residuals(Coins(), plot=True)
    assert len(plt.get_fignums()) == 1


def test_outside_points_are_marked_exactly_when_the_band_is_crossed(overdispersed, right) -> None:
    from simresid import plot_qq

    for res in (overdispersed, right):
        ax = plot_qq(res)
        crosses = [line for line in ax.lines if line.get_marker() == "x"]
        band = res.uniformity_test(method="band").band
        crossed = ((band["observed"] < band["lower"]) | (band["observed"] > band["upper"])).any()
        assert bool(crosses) == bool(crossed)


def test_against_a_column_adds_its_check(overdispersed) -> None:
    shown = texts(plot_overview(overdispersed, against="site"))
    assert "Along site" in shown


def test_states_differ_by_shape_and_glyph() -> None:
    looks = [(m.marker, m.glyph) for m in MARKS.values()]
    assert len(set(looks)) == len(looks)


def with_pvalue(p: float) -> CheckResult:
    return CheckResult(statistic=1.0, pvalue=p, alternative="two-sided", method="by hand", n_obs=500)


def test_one_p_of_three_percent_among_six_is_only_borderline() -> None:
    pvalues = {"uniformity": 0.5, "dispersion": 0.4, "a": 0.6, "b": 0.7, "c": 0.8, "spatial": 0.03}
    judgement = judge({name: with_pvalue(p) for name, p in pvalues.items()}, 500)
    assert judgement["spatial"].state == "weak"
    assert judgement["spatial"].adjusted == pytest.approx(6 * 0.03)
    assert judgement.state == "weak"
    assert judgement.headline == "Borderline: departs?"
    assert judgement.sentence == (
        "No clear evidence against the model: spatial is significant, but not after adjustment for 6 tests."
    )


def test_a_test_that_cannot_be_done_is_said_so(all_equal) -> None:
    shown = texts(plot_overview(all_equal))
    assert "Dispersion: not testable" in shown


def test_small_data_are_not_given_a_clean_bill() -> None:
    fine = judge({"uniformity": with_pvalue(0.5)}, 12)
    assert "12 rows" in fine.headline
    assert "12 rows" in fine.sentence


def test_figure_argument_is_drawn_on() -> None:
    figure = plt.figure(figsize=(8, 5.5))
    rng = np.random.default_rng(1)
    res = from_simulations(rng.normal(size=(99, 50)), rng.normal(size=50))
    assert plot_overview(res, figure=figure) is figure


@pytest.mark.parametrize("width", [3.0, 4.5, 6.0, 9.0, 14.0])
def test_any_width_keeps_texts_apart(overdispersed, width, text_problems) -> None:
    assert not text_problems(plot_overview(overdispersed, figsize=(width, 8.5 if width < 5.5 else 5.7)))


def test_a_figure_too_low_for_its_panels_is_made_higher(overdispersed, text_problems) -> None:
    low, wide = plot_overview(overdispersed, figsize=(3.5, 4.2)), plot_overview(overdispersed, figsize=(7.2, 5.0))
    assert low.get_size_inches()[0] == 3.5
    assert low.get_size_inches()[1] > 7.0
    assert wide.get_size_inches().tolist() == [7.2, 5.0]
    for figure in (low, wide):
        assert not text_problems(figure)
        assert not [text for ax in figure.axes for text in ax.texts if "\N{HORIZONTAL ELLIPSIS}" in text.get_text()]
        assert min(ax.get_position().height * figure.get_figheight() for ax in figure.axes) > 0.3


def test_no_finding_is_cut_short() -> None:
    # counts of a negative binomial law with the other growth of the variance, as the README's
    d = datasets.load("salamanders")
    for formula, family in (
        ("count ~ mined + (1|site)", "nbinom2"),
        ("count ~ 1", "poisson"),
        ("np.sqrt(count) ~ mined", "gaussian"),  # its dispersion cannot be tested, and the cell says why
    ):
        residuals = simulate_residuals(glmm(formula, d, family=family))
        figure = plot_overview(residuals)
        assert "\N{HORIZONTAL ELLIPSIS}" not in texts(figure)
        headline = figure.texts[0].get_text()
        assert "\n" not in headline, headline
        if family == "gaussian":
            assert "The fit fixes this ratio\n" in texts(figure) + "\n"
        if family == "nbinom2":
            assert headline == "Evidence of misfit: growth of variance"
            assert "Dispersion: growth of variance" in texts(figure)
            ax = plot_dispersion(residuals)
            assert ax.get_title(loc="left").startswith("Growth of variance, p = ")
            plt.close(ax.figure)
        plt.close(figure)
