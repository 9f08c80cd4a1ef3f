"""What the tests of one residual object share is made once, and leaves with the object."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

import simresid as sr
from glmmcore import glmm
from simresid.residuals.once import Once

THREADS = 6


def test_threads_make_a_value_once_and_wait_for_that_value_only():
    once, made = Once(), []
    barrier = threading.Barrier(THREADS)

    def slow() -> int:
        made.append(1)
        threading.Event().wait(0.05)
        return once.get("inner", lambda: 7)

    def ask(_: int) -> int:
        barrier.wait()
        return once.get("outer", slow)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(ask, range(THREADS))) == [7] * THREADS
    assert len(made) == 1
    blocked = threading.Event()
    thread = threading.Thread(target=lambda: once.get("waiting", lambda: blocked.wait(30)))
    thread.start()
    assert once.get("another", lambda: 1) == 1
    blocked.set()
    thread.join()


def test_a_failure_is_no_value():
    once = Once()

    def fail() -> int:
        raise ValueError("not now")

    for _ in range(2):
        try:
            once.get("x", fail)
        except ValueError:
            continue
        raise AssertionError("the error was swallowed")
    assert once.get("x", lambda: 3) == 3


def test_pickles_hold_what_lasts():
    once = Once()
    once.get("large", lambda: np.zeros(10**6))
    once.get("refits", lambda: [1, 2], lasting=True)
    text = pickle.dumps(once)
    assert len(text) < 1000
    again = pickle.loads(text)
    assert again.get("refits", lambda: None) == [1, 2]
    assert again.get("large", lambda: 5) == 5


def residuals():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(15), 6)
    d = pd.DataFrame({"x": rng.normal(size=90), "g": g})
    d["y"] = rng.poisson(np.exp(0.6 + 0.3 * d["x"] + rng.normal(0, 0.5, 15)[g]))
    return sr.simulate_residuals(glmm("y ~ x + (1|g)", d, "poisson"), 60)


def test_threads_share_one_pool_of_refits_and_one_leverage():
    res, alone = residuals(), residuals()
    barrier = threading.Barrier(THREADS)

    def ask(_: int):
        barrier.wait()
        return res.refit_pool, res.quantile_test(null="analytic").pvalue

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(ask, range(THREADS)))
    assert len({id(refits) for refits, _ in found}) == 1
    assert {p for _, p in found} == {alone.quantile_test(null="analytic").pvalue}


def test_pickled_residuals_keep_their_refits_and_their_p_values():
    res = residuals()
    p = [res.dispersion_test(n_refits=40).pvalue, res.quantile_test(null="analytic").pvalue]
    again = pickle.loads(pickle.dumps(res))
    assert len(again.refit_pool.outcomes) == 40
    assert [again.dispersion_test(n_refits=40).pvalue, again.quantile_test(null="analytic").pvalue] == p
    large = sr.from_simulations(np.random.default_rng(1).normal(size=(250, 2000)), np.zeros(2000))
    before = len(pickle.dumps(large))
    large.uniformity_test(null="simulated")  # as many values again as there are simulations
    assert len(pickle.dumps(large)) < 1.1 * before


def test_what_is_shared_leaves_with_the_residuals():
    res = residuals()
    res.quantile_test(null="simulated")
    basis = weakref.ref(res.remember("basis along the prediction", lambda: None))
    assert basis() is not None
    del res
    gc.collect()
    assert basis() is None
