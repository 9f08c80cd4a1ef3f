"""One verdict on test results, for tables, figures, pages and commands alike.

A test *fails* if it is significant after adjustment for the number of tests and its departure is more than negligible
in size (`simresid.checks.results.THRESHOLDS`). Significant before adjustment only, it is borderline. Nothing is certain
where the fit itself made sums over groups too regular and no correction is known. Where not even the smallest size
within the intervals of the failing tests is beyond negligible, there is evidence against the model, but "the model
fails" is not said. A fit that did not converge is said before anything else: its residuals are those of other
estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from simresid.checks.base import CheckResult, Severity, pvalue_text
from simresid.checks.entry import described_size
from simresid.checks.multiplicity import adjusted_pvalues
from simresid.checks.quantiles import TREND
from simresid.checks.registry import entry_of

__all__ = [
    "Finding",
    "Judgement",
    "State",
    "check_alpha",
    "judge",
    "state_of",
    "verdict_sentence",
]

State: TypeAlias = Literal["ok", "negligible", "weak", "moderate", "severe", "unknown"]
"""Not significant, or before adjustment only and negligible in size; significant and negligible; significant before
adjustment only, or in doubt; the size of a failure; not testable."""

ALPHA = 0.05
SMALL = 30
FAILED: tuple[State, ...] = ("severe", "moderate")


@dataclass(frozen=True, eq=False)
class Finding:
    """The verdict on one test.

    Attributes
    ----------
    check : str
        Name of the test in `simresid.checks.battery`.
    state : str
        See `State`.
    word, effect : str
        The finding, and the size of the departure with its interval.
    pvalue, adjusted : float or None
        As the test gave it, and adjusted for the number of tests (`simresid.checks.multiplicity`), never below the
        former; None if the test was not possible.
    result : CheckResult or None
    """

    check: str
    state: State
    word: str
    effect: str
    pvalue: float | None = None
    result: CheckResult | None = None
    adjusted: float | None = None

    @property
    def title(self) -> str:
        """Name of the check on a figure."""
        entry = entry_of(self.check)
        return self.check[:1].upper() + self.check[1:] if entry is None else entry.title

    @property
    def evidence(self) -> str:
        """The p-value as text."""
        return "" if self.pvalue is None else pvalue_text(self.pvalue)

    @property
    def failed(self) -> bool:
        """Whether the test is significant after adjustment and not negligible in size."""
        return self.state in FAILED

    @property
    def clear(self) -> bool:
        """Whether every size within the interval is beyond negligible."""
        return self.result is None or self.result.effect is None or self.result.effect.clear


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdict on all tests of one object.

    Attributes
    ----------
    findings : tuple of Finding
        In the order of the tests.
    n_obs : int
        Number of residuals.
    converged : bool
        False if the fit says that it did not converge.
    doubtful : bool
        Whether the fit made sums over groups too regular, so that nothing is certain.
    """

    findings: tuple[Finding, ...]
    n_obs: int
    converged: bool = True
    doubtful: bool = False

    def __getitem__(self, check: str) -> Finding:
        return next(f for f in self.findings if f.check == check)

    @property
    def failed(self) -> list[str]:
        """Names of the tests that failed."""
        return [f.check for f in self.findings if f.failed]

    @property
    def state(self) -> State:
        """State of the whole: the worst of the tests, and never better than unknown if the fit did not converge."""
        states = [f.state for f in self.findings if f.result is not None]
        order: tuple[State, ...] = ("severe", "moderate", "weak", "negligible", "ok")
        worst: State = next((s for s in order if s in states), "unknown")
        return worst if self.converged or worst in FAILED else "unknown"

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, by the names of the tests."""
        done = {f.check: f.state for f in self.findings if f.result is not None}
        clear = any(f.clear for f in self.findings if f.failed)
        text = verdict_sentence(done, clear=clear, doubtful=self.doubtful)
        if not any(f.state != "ok" for f in self.findings) and self.n_obs < SMALL:
            text = f"{text[:-1]}; {self.n_obs} rows would show gross misfit only."
        return self._said_first + text

    @property
    def headline(self) -> str:
        """The verdict in a few words for a figure: what departs, the largest first."""
        return self._said_first + self._headline()

    def _headline(self) -> str:
        done = [f for f in self.findings if f.result is not None]
        if not done:
            return "Nothing could be tested"
        failed = [f for f in done if f.failed]
        if failed:
            start = "Misfit" if any(f.clear for f in failed) else "Evidence of misfit"
            return f"{start}: {', '.join(_leading(failed))}"
        weak = next((f for f in done if f.state == "weak"), None)
        if weak is not None:
            return f"Borderline: {weak.word}"
        if any(f.state == "negligible" for f in done):
            return "Only negligible departures"
        if self.n_obs < SMALL:
            return f"No misfit found; {self.n_obs} rows would show gross misfit only"
        return f"No misfit found in {len(done)} checks"

    @property
    def _said_first(self) -> str:
        return "" if self.converged else "Not converged. "


def judge(
    results: Mapping[str, CheckResult | str],
    n_obs: int,
    *,
    alpha: float = ALPHA,
    converged: bool = True,
    again: Callable[[str, int], CheckResult] | None = None,
) -> Judgement:
    """Judge results of tests together.

    Parameters
    ----------
    results : mapping of str to CheckResult or str
        Results by the name of the test, or why a test was not possible.
    n_obs : int
        Number of residuals.
    alpha : float
        Level after adjustment for the number of tests (`simresid.checks.multiplicity`).
    converged : bool
        Whether the fit converged.
    again : callable, optional
        Does the test of a name once more, with so many refits.

    Returns
    -------
    Judgement
        A finding per test, and the verdict on the whole.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import uniformity_test
    >>> u = (np.arange(100) + 0.5) / 100
    >>> found = judge({"uniformity": uniformity_test(u**3)}, 100)
    >>> found.state, found.sentence, found.headline
    ('severe', 'The model fails: uniformity.', 'Misfit: not uniform')
    >>> judge({"uniformity": uniformity_test(u)}, 100, converged=False).sentence
    'Not converged. No evidence against the model in 1 test.'
    """
    results = {name: _unless_fixed(result) for name, result in results.items()}
    done = {name: result for name, result in results.items() if isinstance(result, CheckResult)}
    doubtful = any(result.follows_the_fit for result in done.values())
    adjusted = adjusted_pvalues(done, again, alpha) if done else {}
    findings = []
    for name, result in results.items():
        if not isinstance(result, CheckResult):
            findings.append(Finding(name, "unknown", "not testable", result))
            continue
        p = adjusted[name]
        severity = None if result.effect is None else result.effect.severity
        state = state_of(result.pvalue, p, severity, alpha=alpha, doubtful=doubtful)
        word, size = _words(name, result, state)
        findings.append(Finding(name, state, word, size, float(result.pvalue), result, p))
    return Judgement(tuple(findings), n_obs, converged, doubtful)


def _unless_fixed(result: CheckResult | str) -> CheckResult | str:
    """The result, or the sentence on why there is nothing to test."""
    return " ".join(result.notes) if isinstance(result, CheckResult) and math.isnan(result.pvalue) else result


def state_of(
    pvalue: float, adjusted: float, severity: Severity | None, *, alpha: float = ALPHA, doubtful: bool = False
) -> State:
    """State of one test from its p-value, alone and adjusted, and the severity of its departure (None: unknown).

    Examples
    --------
    >>> state_of(0.03, 0.2, "severe"), state_of(0.001, 0.006, "severe"), state_of(0.001, 0.006, "negligible")
    ('weak', 'severe', 'negligible')
    >>> state_of(0.03, 0.2, "negligible")
    'ok'
    """
    if min(pvalue, adjusted) >= alpha:
        return "ok"
    if severity == "negligible":
        return "negligible" if adjusted < alpha else "ok"
    if doubtful or adjusted >= alpha:
        return "weak"
    return severity or "moderate"


def verdict_sentence(
    states: Mapping[str, State], *, clear: bool, among: str | None = None, doubtful: bool = False
) -> str:
    """Say what failed, what is borderline, what is negligible, or that nothing was found.

    Parameters
    ----------
    states : mapping of str to State
        By the name of the test.
    clear : bool
        Whether some test that failed departs more than negligibly at every size within its interval.
    among : str, optional
        What the p-values are adjusted for; the number of tests by default.
    doubtful : bool
        Whether the fit made sums over groups too regular.
    """
    failed, weak, negligible = (
        [name for name, state in states.items() if state in group] for group in (FAILED, ("weak",), ("negligible",))
    )
    if not states:
        return "Nothing could be tested."
    tests = f"{len(states)} test{'s' if len(states) > 1 else ''}"
    if failed:
        return f"{'The model fails' if clear else 'Evidence against the model'}: {', '.join(failed)}."
    if weak and doubtful:
        return (
            f"Uncertain: {', '.join(weak)} depart, but the fit follows the groups' sums; judge them with "
            "random_effects='unconditional'."
        )
    if weak:
        only = f"{'is' if len(weak) == 1 else 'are'} significant, but not after adjustment for {among or tests}"
        return f"No clear evidence against the model: {_listed(weak)} {only}."
    if negligible:
        return f"Departures are significant but negligible in size: {', '.join(negligible)}."
    return f"No evidence against the model in {tests}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def check_alpha(alpha: Any) -> float:
    """Return the level of verdicts, or raise ValueError where it is none."""
    if isinstance(alpha, (int, float, np.number)) and not isinstance(alpha, bool) and 0.0 < alpha < 1.0:
        return float(alpha)
    raise ValueError(f"alpha={alpha!r} must be a number between 0 and 1, such as 0.05")


def _leading(findings: Sequence[Finding]) -> list[str]:
    """Up to three different words, severe before moderate, likely causes before consequences."""

    def place(f: Finding) -> tuple[bool, int]:
        entry = entry_of(f.check)
        return f.state != "severe", 0 if entry is None or f.word == TREND else entry.headline_place

    def is_cause(f: Finding) -> bool:
        entry = entry_of(f.check)
        return f.word == TREND or entry is None or not entry.is_consequence

    found = sorted(findings, key=place)
    return list(dict.fromkeys(f.word for f in [f for f in found if is_cause(f)] or found))[:3]


def _words(check: str, result: CheckResult, state: State) -> tuple[str, str]:
    """What was found, and how large the departure is."""
    entry = entry_of(check, result)
    size = described_size(result, "size") if entry is None else entry.size_text(result)
    if state == "ok":
        return "as expected", size
    word = "departs" if entry is None else entry.word(result)
    return word + ("?" if state == "weak" else ""), size
