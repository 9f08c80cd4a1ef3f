"""What the tests found, in the few words that fit on a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simresid.checks.battery import sharp_pvalue
from simresid.checks.pvalues import holm
from simresid.checks.results import (
    AutocorrelationResult,
    CategoricalResult,
    CheckResult,
    DispersionResult,
    Effect,
    QuantileResult,
)
from simresid.plots._style import State, pvalue_text

__all__ = ["Verdict", "headline", "judge", "judge_all"]

ALPHA = 0.05
SMALL = 30
TREND = "trend in residuals"

TITLES = {
    "uniformity": "Distribution",
    "dispersion": "Dispersion",
    "zero inflation": "Zeros",
    "outliers": "Outliers",
    "quantiles": "Quantiles",
    "heteroscedasticity": "Spread",
    "temporal autocorrelation": "Time",
    "spatial autocorrelation": "Space",
}
"""Names of the battery's tests as they appear on a figure; others keep theirs."""


@dataclass(frozen=True)
class Verdict:
    """One check on a figure.

    Attributes
    ----------
    check : str
        Name of the test in `simresid.checks.battery`.
    state : {"ok", "negligible", "weak", "moderate", "severe", "unknown"}
        ``"ok"`` if the p-value is 0.05 or more, otherwise the size of the departure; ``"weak"`` if it is no
        longer significant when adjusted for the number of checks.
    word, effect : str
        The finding, and the size of the departure with its interval.
    pvalue, adjusted : float or None
        As the test gave it, and adjusted for the number of checks (Holm); None if the check was not possible.
    result : CheckResult or None
    """

    check: str
    state: State
    word: str
    effect: str
    pvalue: float | None
    result: CheckResult | None = None
    adjusted: float | None = None

    @property
    def title(self) -> str:
        """Name of the check on the figure."""
        return TITLES.get(self.check, self.check[:1].upper() + self.check[1:])

    @property
    def evidence(self) -> str:
        """The p-value as text."""
        return "" if self.pvalue is None else pvalue_text(self.pvalue)


def judge_all(tests: Mapping[str, Callable[[], CheckResult]]) -> list[Verdict]:
    """Verdicts on several tests, by the rule of `simresid.diagnose`.

    A departure is called one if it is significant after Holm's adjustment and not negligible in size. Without
    the adjustment one right model in five would be called wrong. Nothing is certain where the fit itself made
    the residuals too regular, as in groups that have a fitted random effect.
    """
    verdicts = [judge(check, test) for check, test in tests.items()]
    tested = [k for k, v in enumerate(verdicts) if v.result is not None]
    pvalues = [sharp_pvalue(v.result) for v in verdicts if v.result is not None]
    doubtful = any(_shrunk_by_the_fit(v.result) for v in verdicts)
    for k, adjusted in zip(tested, holm(pvalues), strict=True):
        verdicts[k] = replace(verdicts[k], adjusted=float(adjusted))
        if verdicts[k].state in ("moderate", "severe") and (doubtful or adjusted >= ALPHA):
            verdicts[k] = replace(verdicts[k], state="weak", word=f"{verdicts[k].word}?")
    return verdicts


def _shrunk_by_the_fit(result: CheckResult | None) -> bool:
    """Whether groups lie closer to their expectation than chance and the test could not correct for it."""
    if not isinstance(result, DispersionResult) or result.statistic >= 1:
        return False
    return result.correction == "none" and bool(result.notes)


def judge(check: str, test: Callable[[], CheckResult]) -> Verdict:
    """Run a test and put its finding into words; a test that cannot be done is a finding too."""
    try:
        result = test()
    except ValueError as error:
        return Verdict(check, "unknown", "not testable", str(error), None)
    state: State = "ok"
    if result.pvalue < ALPHA:
        state = "moderate" if result.effect is None else result.effect.severity
    return Verdict(check, state, _word(check, result, state), _size(check, result), result.pvalue, result)


def headline(verdicts: Sequence[Verdict], n_obs: int) -> tuple[State, str]:
    """State and sentence for the whole figure: what departs, the largest first."""
    done = [v for v in verdicts if v.pvalue is not None]
    if not done:
        return "unknown", "Nothing could be tested"
    for state in ("severe", "moderate"):
        if any(v.state == state for v in done):
            return state, "Misfit: " + ", ".join(_leading(done))
    weak = [v for v in done if v.state == "weak"]
    if weak:
        return "weak", f"Borderline: {weak[0].word}"
    if any(v.state == "negligible" for v in done):
        return "negligible", "Only negligible departures"
    if n_obs < SMALL:
        return "ok", f"No misfit found, but {n_obs} rows show gross misfit only"
    return "ok", f"No misfit found in {len(done)} checks"


def _leading(verdicts: Sequence[Verdict]) -> list[str]:
    """Up to three different words, severe before moderate, likely causes before consequences."""
    order = ["trend", "dispersion", "zero inflation", "heteroscedasticity", "outliers", "quantiles"]

    def place(v: Verdict) -> tuple[bool, int]:
        kind = "trend" if v.word == TREND else v.check
        return v.state != "severe", order.index(kind) if kind in order else 0

    found = sorted((v for v in verdicts if v.state in ("moderate", "severe")), key=place)
    # The distribution departs whenever something else does, quantiles whenever the spread does.
    causes = [v for v in found if v.word == TREND or v.check not in ("uniformity", "quantiles")]
    return list(dict.fromkeys(v.word for v in causes or found))[:3]


def _word(check: str, result: CheckResult, state: State) -> str:
    if state == "ok":
        return "as expected"
    over = result.effect is not None and result.effect.value > result.effect.null
    words = {
        "dispersion": "overdispersed" if over else "underdispersed",
        "outliers": "too many outliers" if over else "too few outliers",
        "zero inflation": "too many zeros" if over else "too few zeros",
        "uniformity": "not uniform",
        "heteroscedasticity": "uneven spread",
        "temporal autocorrelation": "correlated in time",
        "spatial autocorrelation": "correlated in space",
    }
    return words.get(check) or _direction(result)


def _direction(result: CheckResult) -> str:
    """Say what goes wrong along a predictor."""
    if isinstance(result, CategoricalResult):
        p = result.homogeneity_pvalue
        return "spread differs" if p is not None and p < result.uniformity_pvalue else "levels differ"
    if not isinstance(result, QuantileResult):
        return "departs"
    leading = str(result.components["pvalue"].idxmin())
    return {"location": TREND, "scale": "wrong spread"}.get(leading, "wrong shape")


def _size(check: str, result: CheckResult) -> str:
    effect = result.effect
    if check == "outliers":
        outliers: Any = result
        return f"{outliers.observed:,}, {outliers.expected:,.1f} expected"
    if check == "zero inflation":
        zeros: Any = result
        return f"{zeros.observed:,.0f}, {zeros.expected:,.0f} expected"
    if effect is None:
        return f"statistic {result.statistic:.3g}"
    labels = {"dispersion": "ratio", "uniformity": "distance", "heteroscedasticity": "ratio"}
    kinds = ((QuantileResult, "shift"), (CategoricalResult, "distance"), (AutocorrelationResult, "r"))
    label = labels.get(check) or next((name for kind, name in kinds if isinstance(result, kind)), "size")
    return f"{label} {with_interval(effect)}"


def with_interval(effect: Effect) -> str:
    """Say ``1.34 [1.19, 1.50]``."""
    text = f"{effect.value:.2f}"
    if effect.interval is not None:
        text += f" [{effect.interval[0]:.2f}, {effect.interval[1]:.2f}]"
    return text
