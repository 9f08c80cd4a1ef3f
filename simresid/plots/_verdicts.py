"""What the tests found, in the few words that fit on a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simresid.plots._style import State, pvalue_text
from simresid.pvalues import holm
from simresid.results import CategoricalResult, CheckResult, Effect, QuantileResult

__all__ = ["Verdict", "basic_verdicts", "headline", "judge"]

ALPHA = 0.05
SMALL = 30


@dataclass(frozen=True)
class Verdict:
    """One check on a figure.

    Attributes
    ----------
    check : str
        What was looked at.
    state : {"ok", "negligible", "weak", "moderate", "severe", "unknown"}
        ``"ok"`` if the p-value is 0.05 or more, otherwise the size of the departure; ``"weak"`` if it is no
        longer significant when adjusted for the number of checks.
    word : str
        The finding.
    effect : str
        Size of the departure with its interval.
    pvalue : float or None
        None if the check was not possible.
    result : CheckResult or None
    """

    check: str
    state: State
    word: str
    effect: str
    pvalue: float | None
    result: CheckResult | None = None

    @property
    def evidence(self) -> str:
        """The p-value as text."""
        return "" if self.pvalue is None else pvalue_text(self.pvalue)

    @property
    def failed(self) -> bool:
        """Whether the p-value is below 0.05, whatever the size of the departure."""
        return self.state not in ("ok", "unknown")


def basic_verdicts(res: Any, along_predictor: tuple[str, Callable[[], CheckResult]]) -> list[Verdict]:
    """Uniformity, dispersion, outliers, the given check along a predictor and, for counts, zeros.

    Departures that Holm's adjustment for the number of checks makes insignificant become "weak": without it
    one right model in five would be called wrong.
    """
    checks: list[tuple[str, Callable[[], CheckResult]]] = [
        ("Distribution", res.uniformity_test),
        ("Dispersion", res.dispersion_test),
        ("Outliers", res.outlier_test),
        along_predictor,
    ]
    if has_zeros_to_test(res):
        checks.append(("Zeros", res.zero_inflation_test))
    verdicts = [judge(check, test) for check, test in checks]
    tested = [k for k, v in enumerate(verdicts) if v.pvalue is not None]
    pvalues = [v.pvalue for v in verdicts if v.pvalue is not None]
    for k, adjusted in zip(tested, holm(pvalues), strict=True):
        if verdicts[k].state in ("moderate", "severe") and adjusted >= ALPHA:
            verdicts[k] = replace(verdicts[k], state="weak", word=f"{verdicts[k].word}?")
    return verdicts


def has_zeros_to_test(res: Any) -> bool:
    """Whether the response is a count with enough zeros for their number to mean something (not 0/1 data)."""
    y = res.observed
    binary = y.max(initial=0.0) <= 1 and y.min(initial=0.0) >= 0
    return bool(res.discrete and not binary and np.count_nonzero(y == 0) >= 5)


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
    """Up to three words, severe before moderate, likely causes before consequences."""
    order = ["By level", "Quantile curves", "Dispersion", "Zeros", "Outliers", "Distribution"]
    found = [v for v in verdicts if v.state in ("moderate", "severe")]
    found.sort(key=lambda v: (v.state != "severe", order.index(v.check) if v.check in order else 0))
    # The distribution departs whenever something else does.
    words = [v.word for v in found if v.check != "Distribution" or len(found) == 1]
    return words[:3]


def _word(check: str, result: CheckResult, state: State) -> str:
    if state == "ok":
        return "as expected"
    over = result.effect is not None and result.effect.value > result.effect.null
    words = {
        "Dispersion": "overdispersed" if over else "underdispersed",
        "Outliers": "too many outliers" if over else "too few outliers",
        "Zeros": "too many zeros" if over else "too few zeros",
        "Distribution": "not uniform",
    }
    return words.get(check) or _direction(result)


def _direction(result: CheckResult) -> str:
    """Say what goes wrong along a predictor."""
    if isinstance(result, CategoricalResult):
        p = result.homogeneity_pvalue
        return "spread differs" if p is not None and p < result.uniformity_pvalue else "levels differ"
    assert isinstance(result, QuantileResult)
    leading = str(result.components["pvalue"].idxmin())
    return {"location": "trend in residuals", "scale": "uneven spread"}.get(leading, "uneven shape")


def _size(check: str, result: CheckResult) -> str:
    effect = result.effect
    if check == "Outliers":
        observed: Any = result
        return f"{observed.observed} rows, {observed.expected:.1f} expected"
    if check == "Zeros":
        zeros: Any = result
        return f"{zeros.observed:.0f}, {zeros.expected:.0f} expected"
    if effect is None:
        return f"statistic {result.statistic:.3g}"
    label = {"Dispersion": "ratio", "Distribution": "distance"}.get(check)
    label = label or ("shift" if isinstance(result, QuantileResult) else "distance")
    return f"{label} {_with_interval(effect)}"


def _with_interval(effect: Effect) -> str:
    text = f"{effect.value:.2f}"
    if effect.interval is not None:
        text += f" [{effect.interval[0]:.2f}, {effect.interval[1]:.2f}]"
    return text
