"""Models whose simulate() or refit() raises, returns rubbish or does not return."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from scipy import stats

from simresid import dispersion_test, screen, simulate_residuals, simulated_lrt

from .models import Breaking, Counts, Killed, Slow, Stuck, counts

# ---- simulate() ------------------------------------------------------------------------------------


class Returning(Counts):
    """Returns what it is told to."""

    what = staticmethod(lambda n_sims, n: None)

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return self.what(n_sims, self.nobs)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda m, n: None, "must be|must hold|shape|NaN"),
        (lambda m, n: np.zeros((n, m)), r"returned shape .* expected \(n_sims, n\) = \(250, 40\)"),
        (lambda m, n: np.zeros(n), "returned shape"),
        (lambda m, n: np.zeros((m, n + 1)), "returned shape"),
        (lambda m, n: np.zeros((m, n, 1)), "returned shape"),
        (lambda m, n: 1.0, "returned shape"),
        (lambda m, n: np.full((m, n), np.nan), "NaN or infinite, at row position"),
        (lambda m, n: np.full((m, n), np.inf), "NaN or infinite"),
        (lambda m, n: np.ma.masked_equal(np.ones((m, n)), 1), "NaN or infinite"),
        (lambda m, n: np.ones((m, n)) * 1j, r"result of Returning.simulate\(250\) must hold numbers that are real"),
        (lambda m, n: np.full((m, n), "a"), "must hold numbers"),
        (lambda m, n: np.full((m, n), "a", dtype=object), "must hold numbers"),
        (lambda m, n: np.zeros((m, n), dtype="datetime64[s]"), "must hold numbers"),
        (lambda m, n: [[1.0] * n] * (m - 1) + [[1.0]], "must hold numbers"),
    ],
)
def test_simulate_returns_rubbish(what, message):
    model = counts(kind=Returning)
    model.what = what
    with pytest.raises(ValueError, match=message):
        simulate_residuals(model)
    assert screen({"bad": model}, progress=False)["error"].str.contains("ValueError").all()


@pytest.mark.parametrize("dtype", ["int8", "uint16", "bool", "float16", ">f8", "float32", "object"])
def test_simulate_returns_another_type(dtype):
    plain = counts()
    model = counts(kind=Returning)
    drawn = np.random.default_rng(3).integers(0, 2, (250, 40))
    model.what = lambda m, n: drawn.astype(dtype)
    other = counts(kind=Returning)
    other.what = lambda m, n: np.asfortranarray(drawn.astype(float))
    np.testing.assert_array_equal(simulate_residuals(model).residuals, simulate_residuals(other).residuals)
    assert plain.nobs == model.nobs


def test_constant_simulations_are_a_result():
    model = counts(kind=Returning)
    model.what = lambda m, n: np.full((m, n), 3.0)
    res = simulate_residuals(model)
    assert ((res.residuals > 0) & (res.residuals < 1)).all()
    assert "dispersion was left out: the simulations do not vary" in " ".join(res.summary().split())


def test_simulate_raises():
    class Raising(Counts):
        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column") as caught:
        simulate_residuals(counts(kind=Raising))
    assert "raised by Raising.simulate(250), replicates 0 to 249" in caught.value.__notes__
    table = screen({"a": counts(), "b": counts(kind=Raising)}, progress=False)
    assert table["error"].to_dict() == {"a": "", "b": "KeyError: 'no such column'"}


# ---- time ------------------------------------------------------------------------------------------


def test_time_limit_uses_what_was_done():
    model = counts(kind=Slow)
    with pytest.warns(UserWarning, match=r"of 250 simulations were done within 0.65 s"):
        res = simulate_residuals(model, timeout=0.65)
    assert 20 <= res.n_sims < 250
    assert ((res.residuals > 0) & (res.residuals < 1)).all()
    # the replicates are the first ones of the run that has the time
    model.seconds = 0.0
    full = simulate_residuals(model, timeout=60)
    assert full.n_sims == 250
    np.testing.assert_array_equal(res.simulated, full.simulated[: res.n_sims])
    assert f"{res.n_sims} of 250 simulations were drawn within 0.65 s: with more time" in " ".join(
        res.summary().split()
    )
    assert "for the time limit: without one the numbers differ" in " ".join(full.summary().split())
    assert "time limit" not in simulate_residuals(model).summary()


def test_time_limit_of_a_call_that_does_not_return():
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0 of 250 simulations were done within 0.2 s, at least 20 are needed"):
        simulate_residuals(counts(kind=Stuck), timeout=0.2)
    models = {"good": counts(), "stuck": counts(kind=Stuck), "fine": counts(seed=2)}
    table = screen(models, timeout=1.5, progress=False)
    assert table["error"].to_dict() == {"good": "", "stuck": "TimeoutError: not done within 1.5 s", "fine": ""}
    assert table["flagged"]["stuck"]
    assert time.monotonic() - start < 10


def test_time_limit_changes_no_number_of_a_screen():
    models = {"a": counts(), "b": counts(seed=2)}
    without = screen(models, progress=False).drop(columns="seconds")
    np.testing.assert_array_equal(
        screen(models, progress=False, timeout=60).drop(columns="seconds").to_numpy(object), without.to_numpy(object)
    )


def test_time_limit_of_refits():
    class SlowRefit(Counts):
        def refit(self, y):
            time.sleep(0.02)
            return Counts(y, float(np.mean(y)))

    res = simulate_residuals(counts(kind=SlowRefit), refit=True, timeout=1.0)
    assert 2 <= res.refits.n_succeeded < 250
    assert f"for {250 - res.refits.n_succeeded} more there was no time" in repr(res)
    with pytest.raises(ValueError, match="must be a positive number of seconds"):
        simulate_residuals(counts(), timeout=0)
    with pytest.raises(ValueError, match="no timeout bounds"):
        simulate_residuals(counts(), timeout=5, rotation="estimated")


# ---- refits ----------------------------------------------------------------------------------------


class OddError(Exception):
    """Some library's own."""


@pytest.mark.parametrize("error", [RuntimeError, KeyError, OddError])
def test_refits_of_which_a_third_fails(error):
    class Failing(Breaking):
        pass

    Failing.error = error
    model = counts(kind=Failing)
    res = simulate_residuals(model, refit=True, n_jobs=1)
    n_failed = len(res.refits.failures)
    assert 50 < n_failed < 100
    assert f"{n_failed} more refits failed, the first because {error.__name__}" in repr(res)
    result = dispersion_test(res, method="refit", n_jobs=1)
    sentence = "refits failed and were left out; whatever they had given, p would lie between"
    assert any(sentence in note for note in result.notes)
    lrt = simulated_lrt(model, model, n_sims=99)
    assert lrt.n_failed > 10
    note = next(n for n in lrt.notes if "refits failed" in n)
    assert note.startswith(f"{lrt.n_failed} of 99 refits failed and were left out")


def test_p_values_of_refits_that_fail_at_random_keep_their_size():
    """Failing by the last digit of a checksum has nothing to do with dispersion: p is uniform on its steps."""
    p = []
    for seed in range(300):
        model = counts(30, seed=1000 + seed, kind=Breaking)
        fit = Breaking(model.observed, float(model.observed.mean()))
        res = simulate_residuals(fit, 20, rng=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            p.append(dispersion_test(res, "greater", method="refit", n_refits=79, n_jobs=1).pvalue)
    # 15 expected; binomial limits at 1e-4
    assert 3 <= np.sum(np.array(p) <= 0.05) <= 34
    # randomised over the last step, p is uniform: Kolmogorov-Smirnov at a level of 1e-3
    spread = np.array(p) - np.random.default_rng(1).random(300) / 56
    assert stats.kstest(np.clip(spread, 0, 1), "uniform").pvalue > 1e-3


def test_most_refits_fail():
    class Hopeless(Counts):
        def refit(self, y):
            raise OddError("never")

    model = counts(kind=Hopeless)
    with pytest.raises(ValueError, match=r"250 of 250 refits failed, the first: OddError: never"):
        simulate_residuals(model, refit=True, n_jobs=1)
    with pytest.raises(ValueError, match="99 of 99 refits failed, so their law is unknown"):
        simulated_lrt(model, model, n_sims=99)


def test_refit_of_another_length():
    class Short(Counts):
        def refit(self, y):
            fit = Counts(y, float(np.mean(y)))
            fit.fitted = fit.fitted[:1]  # numpy would subtract it from every row
            return fit

    with pytest.raises(ValueError, match=r"fitted mean has shape \(1,\), expected \(40,\)"):
        simulate_residuals(counts(kind=Short), refit=True, n_jobs=1)


# ---- workers ---------------------------------------------------------------------------------------


def test_a_killed_worker(tmp_path):
    """What was done before is on disk, the error says what to do, and the next run goes on from there."""
    models = {f"m{i}": counts(seed=i) for i in range(40)}
    out = tmp_path / "screen.csv"
    with pytest.raises(
        RuntimeError, match="a worker process was killed while screening, most likely for want of memory"
    ):
        screen(models | {"killed": counts(kind=Killed)}, n_jobs=2, out=out, progress=False)
    table = screen(models, out=out, progress=False)
    assert (table["error"] == "").all()
    assert len(table) == 40
