"""All applicable tests at once, adjusted for multiplicity and read by size as well as significance.

A test *fails* if its p-value, adjusted for the number of tests (`simresid.checks.multiplicity`), is below `alpha` and
the departure is not negligible (the rule is in `simresid.checks.verdict`). At a million rows a dispersion ratio of 1.01
is significant and negligible; at twenty rows a ratio of 2 may be neither proven nor small. The limits, negligible below
the first and severe from the second, stand in the entry of each test (`simresid.checks.registry`), of all of them in
`simresid.checks.results.THRESHOLDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import ALPHA, known_elsewhere
from simresid.arguments import whole_number
from simresid.checks._monte_carlo import residual_replicates
from simresid.checks._null import null_residuals
from simresid.checks.base import CheckResult, pvalue_text
from simresid.checks.entry import PlannedTest, Request
from simresid.checks.inputs import FloatArray, simulated_only
from simresid.checks.nulls.choice import NullKind, check_null
from simresid.checks.registry import ALONE, TESTS
from simresid.checks.verdict import Judgement, check_alpha, judge
from simresid.protocol import HasConvergence

if TYPE_CHECKING:
    import pandas as pd

    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["Diagnosis", "applicable_tests", "diagnose", "judge_residuals"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Result of a battery of tests.

    Attributes
    ----------
    results : dict of str to CheckResult
        The single results by name.
    table : DataFrame
        One row per test: ``statistic``, ``effect``, ``effect_size``, ``effect_low``, ``effect_high``,
        ``severity``, ``pvalue``, ``monte_carlo_error`` (NaN where it was not estimated), ``pvalue_adjusted``
        (for the number of tests), ``finding`` (in words), ``state`` (the mark of the figures), ``failed``,
        ``advice``.
    alpha : float
        Level of the verdicts.
    judgement : Judgement
        The verdict on every test and on the whole, the same that figures and pages show.
    notes : tuple of str
        Which tests were left out, and why.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import diagnose, from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> found = diagnose(res)
    >>> "dispersion" in found.failed, found.verdict[:15]
    (True, 'The model fails')
    >>> found.results["dispersion"].pvalue < 0.05
    True
    """

    results: dict[str, CheckResult]
    table: pd.DataFrame
    alpha: float
    judgement: Judgement
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> list[str]:
        """Names of the tests that are significant after adjustment and not negligible in size."""
        return self.judgement.failed

    @property
    def verdict(self) -> str:
        """One sentence on the whole."""
        return self.judgement.sentence

    def summary(self) -> str:
        """Verdict, then one sentence of advice per failed test, then notes.

        Returns
        -------
        str
            Several lines.
        """
        lines = [self.verdict]
        lines += [f"- {name}: {self.table['advice'][name]}." for name in self.failed]
        return "\n".join([*lines, *self.notes])

    def to_frame(self) -> pd.DataFrame:
        """Return the table.

        Returns
        -------
        DataFrame
            One row per test, `table`.
        """
        return self.table

    def __repr__(self) -> str:
        columns = ["finding", "effect", "effect_size", "pvalue", "pvalue_adjusted"]
        table = self.table[columns].assign(
            **{name: [pvalue_text(p, bare=True) for p in self.table[name]] for name in columns[-2:]}
        )
        return self.summary() + "\n\n" + table.to_string(float_format=lambda v: f"{v:.3g}")

    def _repr_html_(self) -> str:
        from simresid.checks.verdict_html import mark_html, verdict_table

        first, *others = self.summary().splitlines()
        lines = "".join(f"<p>{escape(line)}</p>" for line in others)
        return (
            f"<p>{mark_html(self.judgement.state, 20)} <b>{escape(first)}</b></p>"
            f"{verdict_table(self.judgement.findings)}{lines}"
        )


@known_elsewhere(level=ALPHA)
def diagnose(
    res: SimulatedResiduals,
    *,
    predictors: Any = None,
    categories: Any = None,
    time: Any = None,
    by: Any = None,
    x: Any = None,
    y: Any = None,
    alpha: float = 0.05,
    null: NullKind = "auto",
    n_refits: int | None = None,
    n_monte_carlo: int = 20,
) -> Diagnosis:
    """Run every test that applies.

    Always: uniformity, dispersion, outliers, quantiles and spread along the prediction, and zeros if the
    response is discrete and has any. Dispersion and zeros say nothing about single 0/1 responses and are
    left out there.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to test.
    predictors : str, list of str, mapping or DataFrame, optional
        Quantiles are also tested along each of these.
    categories : str, array_like, mapping or list of str, optional
        Categorical tests.
    time, by : optional
        Temporal autocorrelation, see `temporal_autocorrelation_test`.
    x, y : optional
        Spatial autocorrelation, see `spatial_autocorrelation_test`.
    alpha : float
        Level after adjustment for the number of tests.
    null : {"auto", "refits", "simulated", "analytic"}
        Null distribution of every test, see `uniformity_test`.
    n_refits : int, optional
        How many refits, see `uniformity_test`; all tests share them.
    n_monte_carlo : int
        Resampled residual vectors for the Monte Carlo error of residual-based p-values that rest on theory; 0 for
        none. They are skipped where simulations are not in memory.

    Returns
    -------
    Diagnosis
        All results, a table of them and a verdict.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import diagnose, from_simulations
    >>> rng = np.random.default_rng(1)
    >>> mean = rng.uniform(2, 6, 300)
    >>> y = rng.negative_binomial(2, 2 / (2 + mean))
    >>> diagnosis = diagnose(from_simulations(rng.poisson(mean, (250, 300)), y, mean))
    >>> print(diagnosis.verdict)
    The model fails: uniformity, dispersion, zero inflation, outliers, quantiles.
    >>> round(float(diagnosis.table["effect_size"]["dispersion"]), 1)
    3.1
    """
    import pandas as pd

    simulated_only(res, "diagnose")
    alpha = check_alpha(alpha)
    n_monte_carlo = whole_number(n_monte_carlo, "n_monte_carlo", least=0, most=10**6)
    tests, notes = applicable_tests(res, predictors, categories, time, by, x, y, null=null, n_refits=n_refits)
    results = {}
    for name, (test, _) in tests.items():
        try:
            results[name] = test(res)
        except ValueError as error:  # one test that cannot be done is no reason to keep the others back
            if name not in ALONE:  # what the user named should be right
                raise
            notes.append(f"{name} was left out: {error}.")
            continue
        if np.isnan(results[name].pvalue):
            notes.append(f"{name} was left out: {' '.join(results.pop(name).notes)}")
    if not results:
        raise ValueError(f"no test can be done. {' '.join(notes)}")
    errors = {name: result.monte_carlo_error for name, result in results.items()}
    theoretical = [n for n, r in results.items() if tests[n].takes_arrays and r.null == "analytic" and errors[n] == 0.0]
    replicates = residual_replicates(res, n_monte_carlo) if n_monte_carlo > 1 and theoretical else None
    for name in theoretical:
        errors[name] = _error_over(tests[name].test, replicates)
    judgement = judge(
        results,
        res.n_obs,
        alpha=alpha,
        converged=_converged(res),
        again=lambda name, count: tests[name].test(res, n_refits=count),
    )
    if any(result.null == "simulated" for name, result in results.items() if tests[name].takes_arrays):
        n_null = len(null_residuals(res).replicates)
        if len(results) / (n_null + 1) > alpha:
            notes.append(
                f"The null distribution of the residuals has {n_null} replicates, too few for their tests to fail "
                f"after adjustment for {len(results)} tests: read their unadjusted p-values, or draw more simulations."
            )
    rows = []
    for name, result in results.items():
        frame = result.to_frame().iloc[0].to_dict()
        finding = judgement[name]
        rows.append(
            {
                "test": name,
                "statistic": result.statistic,
                **{key: frame.get(key) for key in ("effect", "effect_size", "effect_low", "effect_high", "severity")},
                "pvalue": result.pvalue,
                "monte_carlo_error": errors[name],
                "pvalue_adjusted": finding.adjusted,
                "finding": finding.word,
                "state": finding.state,
                "failed": finding.failed,
                "advice": result.advice() if finding.failed else "",
            }
        )
    return Diagnosis(results, pd.DataFrame(rows).set_index("test"), alpha, judgement, tuple(notes))


def judge_residuals(res: SimulatedResiduals, tests: Mapping[str, Callable[..., CheckResult]]) -> Judgement:
    """Run tests and judge them; a test that cannot be done is a finding too.

    Parameters
    ----------
    res : SimulatedResiduals
        What is judged.
    tests : mapping of str to callable
        By name, such as those of `applicable_tests`, each without arguments, or with a number of refits, `n_refits`.
    """
    results: dict[str, CheckResult | str] = {}
    for name, test in tests.items():
        try:
            results[name] = test()
        except ValueError as error:
            results[name] = str(error)
    return judge(results, res.n_obs, converged=_converged(res), again=lambda name, count: tests[name](n_refits=count))


def _converged(res: SimulatedResiduals) -> bool:
    """Whether the fit does not say that it did not converge."""
    return not isinstance(res.model, HasConvergence) or bool(res.model.converged)


def applicable_tests(
    res: SimulatedResiduals,
    predictors: Any = None,
    categories: Any = None,
    time: Any = None,
    by: Any = None,
    x: Any = None,
    y: Any = None,
    *,
    only: Collection[str] | None = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> tuple[dict[str, PlannedTest], list[str]]:
    """List tests by name, and notes on those left out.

    Of the tests that need nothing but the residuals, `only` those named are listed; those along columns were asked for
    by naming the columns.
    """
    check_null(null, n_refits)
    how: dict[str, Any] = {} if null == "auto" and n_refits is None else {"null": null, "n_refits": n_refits}
    asked = Request(res, predictors, categories, time, by, x, y)
    tests: dict[str, PlannedTest] = {}
    notes: list[str] = []
    for entry in TESTS:
        if entry.alone is None or (only is not None and entry.name not in only):
            continue
        arguments = entry.alone(asked)
        if isinstance(arguments, str):
            notes.append(arguments)
        elif arguments is not None:
            tests[entry.name] = entry.planned(arguments, how)
    for entry in TESTS:
        if entry.along is not None:
            tests |= {name: entry.planned(arguments, how) for name, arguments in entry.along(asked).items()}
    return tests, list(dict.fromkeys(notes))


def _error_over(test: Callable[[Any], CheckResult], replicates: FloatArray | None) -> float:
    if replicates is None:
        return float("nan")
    return float(np.std([test(u).pvalue for u in replicates], ddof=1))
