import math

import mpmath
import numpy as np
import pytest
from scipy.stats import chi2, norm
from statsmodels.stats.multitest import multipletests

from simresid.checks.pvalues import (
    cauchy_combination,
    continued_pvalue,
    holm,
    monte_carlo_error,
    normal_pvalue,
    quadratic_form_sf,
    simulation_pvalue,
)


@pytest.mark.parametrize(
    ("observed", "alternative", "expected"),
    [
        (5, "greater", 6 / 11),
        (5, "less", 7 / 11),
        (5, "two-sided", 1.0),
        (99, "greater", 1 / 11),
        (99, "less", 1.0),
        (99, "two-sided", 2 / 11),
        (-1, "less", 1 / 11),
    ],
)
def test_simulation_pvalue_counts(observed, alternative, expected):
    assert simulation_pvalue(observed, range(10), alternative) == pytest.approx(expected, abs=1e-15)


def test_ties_count_in_both_tails_also_through_rounding():
    exact, rounded = 0.3, 0.1 + 0.2
    assert exact != rounded
    assert simulation_pvalue(exact, [rounded] * 9, "greater") == 1.0
    assert simulation_pvalue(exact, [rounded] * 9, "less") == 1.0


def test_simulation_pvalue_is_valid_for_exchangeable_statistics():
    # (1 + k)/(1 + M) <= alpha has probability exactly alpha at alpha = .05, M = 99; 5 standard errors
    rng = np.random.default_rng(1)
    p = np.array([simulation_pvalue(v[0], v[1:], "greater") for v in rng.normal(size=(4000, 100))])
    assert abs(np.mean(p <= 0.05) - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_statistics_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        simulation_pvalue(bad, [1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        simulation_pvalue(1.0, [bad, 2.0])
    with pytest.raises(ValueError, match="a vector"):
        simulation_pvalue(1.0, [])
    with pytest.raises(ValueError, match="a vector"):
        simulation_pvalue(1.0, [[1.0, 2.0]])
    with pytest.raises(ValueError, match="alternative='both'"):
        simulation_pvalue(1.0, [1.0], "both")


def test_holm_equals_statsmodels():
    p = np.random.default_rng(2).random(12) ** 3
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-14)


def test_monte_carlo_error_is_that_of_a_binomial_tail():
    rng = np.random.default_rng(3)
    tails = rng.binomial(199, 0.03, 20000) / 199
    assert monte_carlo_error(0.06, 199) == pytest.approx(2 * tails.std(), rel=0.03)
    for alternative in ("greater", "less"):
        assert monte_carlo_error(0.03, 199, alternative) == pytest.approx(tails.std(), rel=0.03)
    assert monte_carlo_error(1.0, 199, "greater") == 0.0


def test_normal_pvalue_has_no_zero():
    assert normal_pvalue(1.5, "greater") == pytest.approx(norm.sf(1.5))
    assert normal_pvalue(1.5, "less") == pytest.approx(norm.cdf(1.5))
    assert normal_pvalue(1.5) == normal_pvalue(-1.5) == pytest.approx(2 * norm.sf(1.5))
    assert normal_pvalue(-100.0) == 1e-300


@pytest.mark.parametrize("df", [1, 2, 5, 30])
@pytest.mark.parametrize("p", [0.999, 0.5, 0.05, 1e-6, 1e-20])
def test_quadratic_form_reduces_to_chi_square(df, p):
    # almost equal weights take the inversion, equal ones the closed form
    x = chi2.isf(p, df)
    nudge = 1 + 1e-13 * np.arange(df)
    assert quadratic_form_sf(x, np.ones(df)) == pytest.approx(p, rel=1e-10)
    if df > 1:
        assert quadratic_form_sf(x, nudge) == pytest.approx(p, rel=1e-9)  # 1e-13 times x / 2 and the degrees


@pytest.mark.parametrize(("x", "weights"), [(2.0, [1, 0.3]), (9.0, [1, 0.5, 0.5, 0.1]), (60.0, [2, 1, 0.2])])
def test_quadratic_form_equals_the_inversion_integral(x, weights):
    # Gil-Pelaez through the characteristic function, in 30 digits
    mpmath.mp.dps = 30

    def integrand(t):
        phi = mpmath.mpf(1)
        for w in weights:
            phi /= mpmath.sqrt(1 - 2j * w * t)
        return mpmath.im(mpmath.exp(-1j * t * x) * phi) / t

    period = mpmath.pi / x
    expected = mpmath.mpf(1) / 2 + mpmath.quadosc(integrand, [0, mpmath.inf], period=2 * period) / mpmath.pi
    # quadosc leaves about 1e-11 of the one half
    assert quadratic_form_sf(x, weights) == pytest.approx(float(expected), rel=1e-5, abs=1e-10)


def test_quadratic_form_of_both_signs():
    # P(a z1^2 > b z2^2) = P(F > b/a), an arctangent
    for a, b in [(1.0, 1.0), (3.0, 0.5), (0.1, 7.0)]:
        expected = 2 / math.pi * math.atan(math.sqrt(a / b))
        assert quadratic_form_sf(0.0, [a, -b]) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match="x = 0"):
        quadratic_form_sf(1.0, [1.0, -1.0])


def doubled(x, weights):
    """Closed form where every weight occurs twice: a sum of exponentials, by partial fractions in 40 digits."""
    with mpmath.workdps(40):
        w = [mpmath.mpf(a) for a in weights]
        total = mpmath.mpf(0)
        for j, a in enumerate(w):
            if a > 0:
                share = mpmath.mpf(1)
                for k, b in enumerate(w):
                    if k != j:
                        share *= a / (a - b)
                total += share * mpmath.exp(-mpmath.mpf(x) / (2 * a))
        return float(total)


@pytest.mark.parametrize("x", [0.05, 0.5, 2.0, 20.0, 100.0, 1000.0])
@pytest.mark.parametrize("weights", [[1, 0.3], [1, 0.5, 0.25, 0.1], [2, 1.9, 0.02], [30.0, 7.0], [0.02, 0.001]])
def test_quadratic_form_keeps_its_digits_in_the_tails(x, weights):
    want = doubled(x, weights)
    assert quadratic_form_sf(x, np.repeat(weights, 2)) == pytest.approx(max(want, 1e-300), rel=1e-10)


@pytest.mark.parametrize("weights", [[1, 0.5, -0.3], [1, -0.3, -2, -5], [0.01, -1, -2], [3, 2, 1, -0.01]])
def test_ratios_of_quadratic_forms_keep_their_digits(weights):
    assert quadratic_form_sf(0.0, np.repeat(weights, 2)) == pytest.approx(doubled(0.0, weights), rel=1e-10)


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_equal_weights_are_a_scaled_chi_square(scale):
    assert quadratic_form_sf(4.0, np.full(3, scale)) == pytest.approx(chi2.sf(4.0 / scale, 3), rel=1e-12)


def test_quadratic_form_at_its_ends():
    assert quadratic_form_sf(0.0, [1.0, 2.0]) == quadratic_form_sf(-1.0, [1.0, 2.0]) == 1.0
    assert quadratic_form_sf(0.0, [-1.0, -2.0]) == 1e-300
    assert quadratic_form_sf(3.0, [0.0, 0.0]) == 1.0
    # weights of nothing beside the others change nothing
    assert quadratic_form_sf(3.0, [1.0, 1e-14]) == pytest.approx(chi2.sf(3.0, 1), rel=1e-12)


def test_cauchy_combination():
    assert cauchy_combination([0.3]) == pytest.approx(0.3)
    assert cauchy_combination([1.0, 1.0]) == pytest.approx(1.0)
    # the mean of tangents, with its arctangent
    mean = (math.tan(0.4 * math.pi) + math.tan(-0.3 * math.pi)) / 2
    assert cauchy_combination([0.1, 0.8]) == pytest.approx(0.5 - math.atan(mean) / math.pi)
    assert cauchy_combination([1e-30, 0.9]) == pytest.approx(2e-30, rel=1e-6)
    rng = np.random.default_rng(4)
    p = norm.sf(np.sqrt(0.8) * rng.normal(size=(4000, 1)) + np.sqrt(0.2) * rng.normal(size=(4000, 10)))
    rate = np.mean([cauchy_combination(row) <= 0.01 for row in p])
    assert rate < 0.01 + 4 * math.sqrt(0.01 * 0.99 / 4000)


@pytest.mark.parametrize("function", [normal_pvalue, lambda x, a: continued_pvalue(x, [1.0, 2.0, 4.0], a)])
def test_unknown_alternatives_are_refused(function):
    with pytest.raises(ValueError, match="alternative='both'; choose 'two-sided', 'greater' or 'less'"):
        function(1.0, "both")


def test_continued_pvalue_is_uniform_for_exponential_tails():
    # P(p <= alpha) = alpha far below 1 / (M + 1); binomial errors of 200 000 draws at a count of 20 to 200
    rng = np.random.default_rng(1)
    p = np.array([continued_pvalue(x, t, "greater") for *t, x in rng.exponential(size=(200_000, 41))])
    for alpha in (1e-3, 1e-4):
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=4 * np.sqrt(alpha / p.size))


def test_continued_pvalue_is_cautious_for_lighter_tails():
    rng = np.random.default_rng(2)
    p = np.array([continued_pvalue(x, t) for *t, x in rng.normal(size=(50_000, 101))])
    assert np.mean(p <= 1e-3) <= 1e-3 + 3 * np.sqrt(1e-3 / p.size)
    assert p.min() >= 1e-6
    t = rng.normal(size=300)
    assert continued_pvalue(50.0, t) == 1e-6
    assert 1e-6 < continued_pvalue(4.5, t) < 1e-3 < continued_pvalue(2.5, t)


def test_continued_pvalue_is_the_rank_among_the_statistics():
    t = np.arange(99.0)
    assert continued_pvalue(95.5, t, "greater") == simulation_pvalue(95.5, t, "greater") == 0.04
    assert continued_pvalue(3.0, [3.0] * 50, "greater") == 1.0
    assert continued_pvalue(-9.0, t, "less") == pytest.approx(continued_pvalue(107.0, t, "greater"), rel=1e-12)
