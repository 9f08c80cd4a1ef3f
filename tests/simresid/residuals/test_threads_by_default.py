"""Large work is spread over the processors where nobody says otherwise, and gives the numbers of one thread."""

import os
import threading

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, cpu_count, delayed, parallel_config

from glmmcore import glmm
from simresid import diagnose, simulate_residuals
from simresid.residuals.execution import Execution
from simresid.simulations.time_limit import results_within


def names(task: range) -> str:
    return threading.current_thread().name


def threads_of(execution: Execution, **how: bool) -> set[str]:
    return set(execution.map(names, [range(1)] * 3, **how))


@pytest.mark.skipif(cpu_count() == 1, reason="one processor")
def test_who_decides_on_threads() -> None:
    here = {threading.current_thread().name}
    assert here.isdisjoint(threads_of(Execution(), thread_safe=True))
    assert threads_of(Execution()) == here
    assert threads_of(Execution(1), thread_safe=True) == here
    assert set(Execution().map(names, [range(3)], thread_safe=True)) == here
    with parallel_config(n_jobs=1):
        assert threads_of(Execution(), thread_safe=True) == here


def process(task: range) -> int:
    return os.getpid()


@pytest.mark.skipif(cpu_count() == 1, reason="one processor")
def test_threads_under_a_time_limit_are_threads() -> None:
    def found(**how: bool) -> set[int]:
        return set(results_within(Execution().map(process, [range(1)] * 3, prefer=None, **how), 60.0))

    assert found(thread_safe=True) == {os.getpid()}
    with parallel_config(backend="loky", n_jobs=2):
        assert os.getpid() not in found()
    with parallel_config(n_jobs=1):
        assert found(thread_safe=True) == {os.getpid()}


def test_workers_start_no_threads_of_their_own() -> None:
    def inside() -> bool:
        return threads_of(Execution(), thread_safe=True) == {threading.current_thread().name}

    assert all(Parallel(n_jobs=2, prefer="threads")(delayed(inside)() for _ in range(2)))
    assert all(Parallel(n_jobs=2)(delayed(inside)() for _ in range(2)))


@pytest.mark.parametrize(("formula", "family"), [("y ~ x + (1|g)", "poisson"), ("y ~ x + (1|g) + (1|h)", "gaussian")])
def test_numbers_are_those_of_one_thread(formula: str, family: str) -> None:
    rng = np.random.default_rng(4)
    n, x = 6000, rng.normal(size=6000)
    g, h = rng.integers(0, 300, n), rng.integers(0, 20, n)
    eta = 0.5 + 0.3 * x + rng.normal(0, 0.5, 300)[g] + rng.normal(0, 0.3, 20)[h]
    y = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(size=n)
    fit = glmm(formula, pd.DataFrame({"y": y, "x": x, "g": g, "h": h}), family)
    tables = []
    for n_jobs in (None, 1):
        res = simulate_residuals(fit, 1000, rng=1, n_jobs=n_jobs)
        pvalues = diagnose(res, n_refits=20).to_frame()["pvalue"].to_numpy(dtype=float)
        tables.append((np.asarray(res.residuals), pvalues))
    np.testing.assert_array_equal(tables[0][0], tables[1][0])
    np.testing.assert_array_equal(tables[0][1], tables[1][1])
