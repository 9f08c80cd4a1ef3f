"""Fitting to distinct rows: rows that are equal in everything the likelihood sees count as one with a weight.

Yes-no answers and small counts beside categories repeat themselves. The likelihood of n rows is then that of far fewer
with frequency weights, in the same parameters; an optimum found with these is that of all rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmmcore.engines import distinct_in_runs
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.problem import LinearPart, Problem

__all__ = ["distinct_rows"]

# It pays when at most this share of the rows is distinct.
_SHARE = 0.5
# Comparisons of two rows that finding out may cost, for each row, and how many rows are tried first.
_COMPARISONS = 30
_PROBE = 5000


def distinct_rows(problem: Problem) -> Problem | None:
    """The problem with equal rows counted as one, in the same parameters.

    Only rows that stand in one run of the layout are compared, that is with the same random effects.

    Parameters
    ----------
    problem : Problem
        Not one that is fitted through cross-products, which have nothing to gain.

    Returns
    -------
    Problem or None
        With a system of its own; None where it would not pay.
    """
    layout, system, likelihood = problem.layout, problem.system, problem.likelihood
    if layout is None or system is None or layout.n_runs == layout.n:  # small layouts have no runs either
        return None
    some_runs = int(np.searchsorted(layout.first, min(_PROBE, problem.n), side="right"))
    if _distinct(problem, layout.first[:some_runs]) is None:
        return None
    found = _distinct(problem, layout.first)
    if found is None:
        return None
    chosen, total, first = found
    fewer = layout.with_rows(chosen, first)
    return replace(
        problem,
        likelihood=Likelihood(
            problem.family,
            likelihood.mixture is not None,
            likelihood.y[chosen],
            None if likelihood.trials is None else likelihood.trials[chosen],
            total,
            likelihood.inner,
        ),
        parts=[_rows_of(part, chosen) for part in problem.parts],
        layout=fewer,
        system=system.fresh(fewer),
        rows=problem.rows[chosen],
    )


def _distinct(problem: Problem, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The first of each set of equal rows, their weight, and the first of these in each of the runs; None for many."""
    likelihood, n = problem.likelihood, int(runs[-1])
    columns = [likelihood.y[:n]] if likelihood.trials is None else [likelihood.y[:n], likelihood.trials[:n]]
    for part in problem.parts:
        columns += [] if part.X is None else list(part.X[:n].T)
        columns += [] if part.offset is None else [part.offset[:n]]
    weights = np.ones(n) if likelihood.freq_weights is None else likelihood.freq_weights[:n]
    most = int(_SHARE * n)
    chosen, total, first = np.empty(most, dtype=np.int64), np.empty(most), np.empty_like(runs)
    m = distinct_in_runs(runs, np.column_stack(columns), weights, _COMPARISONS * n, chosen, total, first)
    return None if m < 0 else (chosen[:m].copy(), total[:m].copy(), first)


def _rows_of(part: LinearPart, chosen: np.ndarray) -> LinearPart:
    x = None if part.X is None else part.X[chosen]
    return replace(part, X=x, offset=None if part.offset is None else part.offset[chosen])
