"""Two threads at once, children of every start method, and nothing global left changed by any public call."""

from __future__ import annotations

import locale
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import glmmcore
import simresid
from glmmcore import DataWarning, glmm
from simresid.checks.nulls.refit_pool import FailedRefit, _task
from simresid.cli import main
from simresid.plots.style import style
from simresid.protocol.conformance import check_fitted_model
from simresid.simulations.time_limit import results_within
from simresid.simulations.warning_filters import silence

from .models import Breaking, counts

THREADS, ROUNDS = 4, 3


def table(seed: int, n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h, x = np.repeat(np.arange(24), 10), np.tile(np.arange(12), 20), rng.normal(size=n)
    mean = np.exp(0.5 + 0.3 * x + rng.normal(0, 0.5, 24)[g] + rng.normal(0, 0.3, 12)[h])
    return pd.DataFrame({"y": rng.poisson(mean), "x": x, "g": g, "h": h, "f": np.where(x > 0, "a", "b")})


MODELS = {
    "crossed": ("y ~ x + (1|g) + (1|h)", "poisson"),
    "slopes": ("y ~ x + (x|g)", "nbinom2"),
    "gaussian": ("y ~ scale(x) + f + (1|g)", "gaussian"),
    "glm": ("y ~ bs(x, df=4, extrapolation='clip')", "poisson"),
}


def numbers(name: str, seed: int) -> list[float]:
    """Everything that a fit and its residuals give, to the last bit."""
    formula, family = MODELS[name]
    fit = glmm(formula, table(seed), family)
    res = simresid.simulate_residuals(fit, 50, rng=seed)
    out = [fit.llf, *fit.params, *fit.bse, *fit.var_corr["sd"], *res.residuals]
    out += [test().pvalue for test in (res.uniformity_test, res.dispersion_test, res.outlier_test)]
    out += list(fit.predict(table(seed + 1), random_effects="none"))
    return [float(v) for v in out]


@pytest.fixture
def eager_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(jobs):
    """Results of the jobs, all of which begin at the same moment."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_threads_give_the_numbers_of_one_thread(eager_switching):
    tasks = [(name, 5) for name in MODELS] + [("crossed", 5), ("slopes", 6)]
    serial = {task: numbers(*task) for task in set(tasks)}
    for _ in range(ROUNDS):
        together = at_once([lambda task=task: numbers(*task) for task in tasks])
        for task, values in zip(tasks, together, strict=True):
            np.testing.assert_array_equal(values, serial[task])


def test_threads_share_one_fit_and_one_set_of_residuals(eager_switching):
    fit = glmm("y ~ x + (1|g)", table(3), "poisson")
    fresh = glmm("y ~ x + (1|g)", table(3), "poisson")
    other = np.random.default_rng(1).poisson(2.0, 240)
    jobs = [
        lambda f: f.simulate(20, rng=1),
        lambda f: f.refit(other).params,
        lambda f: f.fittedvalues,
        lambda f: f.cov_params(),
        lambda f: np.concatenate(f.cdf()),
        lambda f: f.resid_pearson,
        lambda f: simresid.simulate_residuals(f, 30, n_jobs=1).residuals,
        lambda f: [f.edf],
    ]
    serial = [np.asarray(job(fresh), dtype=float) for job in jobs]
    for found, expected in zip(at_once([lambda job=job: job(fit) for job in jobs]), serial, strict=True):
        np.testing.assert_array_equal(np.asarray(found, dtype=float), expected)
    lazy = simresid.simulate_residuals(fit, 300, keep_simulations=False)
    held = simresid.simulate_residuals(fit, 300, keep_simulations=False)
    names = ("uniformity_test", "dispersion_test", "zero_inflation_test", "outlier_test")
    expected = [getattr(held, name)().pvalue for name in names]
    assert at_once([lambda name=name: getattr(lazy, name)().pvalue for name in names]) == expected


@pytest.mark.parametrize("what", ["silence", "style"])
def test_blocks_that_overlap_in_two_threads_restore_what_was_there(what):
    """The first one in is the first one out: the order in which catch_warnings and rc_context leave rubbish behind."""
    block = silence if what == "silence" else style
    filters, settings = list(warnings.filters), dict(mpl.rcParams)
    first_in, second_tried = threading.Event(), threading.Event()

    def first():
        with block():
            first_in.set()
            second_tried.wait(0.3)

    def second():
        first_in.wait()
        with block():
            second_tried.set()
            thread.join(5)

    thread = threading.Thread(target=first)
    other = threading.Thread(target=second)
    thread.start()
    other.start()
    thread.join()
    other.join()
    assert warnings.filters == filters
    assert dict(mpl.rcParams) == settings


def test_a_refit_that_draws_while_another_ends_leaves_the_filters_alone():
    fit, filters = glmm("y ~ x + f", table(1), "poisson"), list(warnings.filters)
    inside, drawing, left = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def __getattr__(self, name):
            return getattr(fit, name)

        def simulate(self, *arguments, **options):
            drawing.set()
            left.wait(5)
            return fit.simulate(*arguments, **options)

    def other():
        with silence():
            inside.set()
            drawing.wait(5)
        left.set()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    res = simresid.simulate_residuals(fit, 20)
    (outcome,) = replace(_task(res), model=Slow())(range(1))
    thread.join()
    assert not isinstance(outcome, FailedRefit)
    assert warnings.filters == filters


def test_a_block_silences_one_kind_in_its_own_thread():
    """A refit that was given up leaves its block only when it returns: other threads must not be silent so long."""
    inside, release = threading.Event(), threading.Event()

    def left_behind():
        with silence():
            inside.set()
            release.wait(5)
            warnings.warn("in silence", UserWarning, stacklevel=1)

    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thread = threading.Thread(target=left_behind)
        thread.start()
        inside.wait()
        with pytest.raises(UserWarning, match="said"):
            warnings.warn("said", UserWarning, stacklevel=1)
        with silence(DataWarning):
            warnings.warn("of the kind", DataWarning, stacklevel=1)
            with pytest.raises(RuntimeWarning, match="of another kind"):
                warnings.warn("of another kind", RuntimeWarning, stacklevel=1)
        release.set()
        thread.join()
    assert warnings.filters == filters


def test_a_call_that_was_given_up_in_silence_leaves_the_filters_alone():
    filters, release, ended = list(warnings.filters), threading.Event(), threading.Event()

    def stuck():
        with silence():
            release.wait(20)
        ended.set()
        yield 1

    assert not list(results_within(stuck(), 0.05))
    assert warnings.filters == filters
    with silence():
        release.set()
        ended.wait(5)
        warnings.warn("not seen: an error under the filters of this suite", UserWarning, stacklevel=1)
    assert warnings.filters == filters


def test_a_call_that_was_given_up_and_goes_on_leaves_the_filters_alone():
    """Of several refits in one task each begins a block of its own, also after time is up."""
    filters, releases, begun = list(warnings.filters), [threading.Event() for _ in range(2)], threading.Event()

    def stuck_twice():
        with silence():
            releases[0].wait(20)
        with silence():
            begun.set()
            releases[1].wait(20)
        yield 1

    assert not list(results_within(stuck_twice(), 0.05))
    with silence():
        releases[0].set()
        assert begun.wait(5)
        warnings.warn("not seen: an error under the filters of this suite", UserWarning, stacklevel=1)
    assert warnings.filters == filters
    releases[1].set()


def test_giving_up_a_call_leaves_the_blocks_of_other_threads():
    silent, given_up, heard = threading.Event(), threading.Event(), []

    def other():
        with silence():
            silent.set()
            given_up.wait(5)
            try:
                warnings.warn("not seen: an error under the filters of this suite", UserWarning, stacklevel=1)
            except UserWarning as warning:
                heard.append(warning)

    def stuck():
        with silence():
            given_up.wait(5)
        yield 1

    thread = threading.Thread(target=other)
    thread.start()
    silent.wait()
    assert not list(results_within(stuck(), 0.05))
    given_up.set()
    thread.join()
    assert not heard


def test_refits_in_threads_leave_warnings_alone():
    from joblib import parallel_config

    filters = list(warnings.filters)
    data = table(4).assign(y=lambda d: d["y"] + 0.5)
    with pytest.warns(DataWarning, match="non-integer"):
        fit = glmm("y ~ x + (1|g)", data, "poisson")
    many = np.random.default_rng(1).poisson(2.0, (64, 240)) + 0.5
    at_once([lambda: fit.refit_many(many, n_jobs=1)] * 3)
    with parallel_config(backend="threading", n_jobs=4):
        simresid.simulate_residuals(counts(kind=Breaking), refit=True)
    assert warnings.filters == filters
    with pytest.warns(DataWarning, match="non-integer"):
        glmm("y ~ x + (1|g)", data, "poisson")


CHILDREN = """
import hashlib, multiprocessing, sys, threading
import numpy as np, pandas as pd


def digest(_=None):
    import simresid
    from glmmcore import glmm

    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 10)
    data = pd.DataFrame({"y": rng.poisson(np.exp(rng.normal(1, 0.5, 12)[g])), "x": rng.normal(size=120), "g": g})
    fit = glmm("y ~ x + (1|g)", data, "poisson")
    res = simresid.simulate_residuals(fit, 50)
    return hashlib.sha1(np.r_[fit.llf, fit.params, res.residuals, res.uniformity_test().pvalue].tobytes()).hexdigest()


if __name__ == "__main__":
    found = {digest()}
    for method in ("fork", "forkserver", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found.add(pool.apply_async(digest).get(timeout=240))
    print(len(found))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_children_of_every_start_method(tmp_path):
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    done = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=300)
    assert done.stdout == "1\n", done.stderr


# ---- state -----------------------------------------------------------------------------------------


PANDAS = ("display.max_rows", "display.width", "display.precision", "display.max_columns")


def state() -> dict[str, object]:
    """What belongs to the process and not to us."""
    import matplotlib.pyplot as plt

    handlers = {name: list(getattr(logger, "handlers", [])) for name, logger in logging.root.manager.loggerDict.items()}
    mine = ("simresid", "glmmcore")
    return {
        "numpy's random state": [str(part) for part in np.random.get_state()],  # noqa: NPY002
        "random": random.getstate(),
        "numpy's errors": np.geterr(),
        "numpy's printing": str(np.get_printoptions()),
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "rcParams": dict(mpl.rcParams),
        "backend": mpl.get_backend(),
        "figures": plt.get_fignums(),
        "interactive": mpl.is_interactive(),
        "pandas": {key: pd.get_option(key) for key in PANDAS},
        "environment": dict(os.environ),
        "root logger": (logging.root.level, list(logging.root.handlers)),
        "loggers": {name: value for name, value in handlers.items() if name.startswith(mine)},
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "path": list(sys.path),
        "stdout": (sys.stdout, sys.stderr),
        "excepthook": sys.excepthook,
        "umask": _umask(),
    }  # fmt: skip


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _calls(folder: Path):
    """Public calls by name; those that open a figure for pyplot return it to be closed."""
    data = table(1)
    fit = glmm("y ~ x + (1|g)", data, "poisson")
    res = simresid.simulate_residuals(fit, 60)
    coordinate = np.arange(240.0)
    distances = np.abs(np.subtract.outer(coordinate, coordinate))
    models = {f"m{i}": ("y ~ x + (1|g)", table(i), "poisson") for i in range(4)}
    big = glmm("y ~ x + f + (1|g)", data, "poisson")
    return {
        "fits": lambda: [glmm(f, data, family) for f, family in MODELS.values()],
        "zero inflation": lambda: glmm("y ~ x", data, "poisson", zi="~ 1"),
        "intervals": lambda: (fit.conf_int(), fit.conf_int(method="profile"), fit.summary(), fit._repr_html_()),
        "predict": lambda: fit.predict(data, se=True),
        "compare": lambda: glmmcore.compare(fit, big),
        "means": lambda: glmmcore.marginal_means(big, "f"),
        "refits": lambda: (fit.refit(data["y"]), fit.refit_many(np.tile(data["y"], (3, 1)))),
        "a failing fit": lambda: _quietly(lambda: glmm("y ~ nothing", data)),
        "residuals": lambda: simresid.simulate_residuals(fit, 60, refit=True, n_jobs=1),
        "exact": lambda: simresid.simulate_residuals(fit, 60, method="exact"),
        "rotation": lambda: simresid.simulate_residuals(fit, 60, rotation="estimated", random_effects="unconditional"),
        "timeout": lambda: simresid.simulate_residuals(fit, 60, timeout=60),
        "tests": lambda: (res.summary(), simresid.diagnose(res), res.quantile_test("x"), res.categorical_test("g")),
        "time": lambda: res.temporal_autocorrelation_test(coordinate),
        "space": lambda: res.spatial_autocorrelation_test(coordinate, coordinate**2),
        "phylogeny": lambda: res.phylogenetic_autocorrelation_test(distances),
        "groups": lambda: res.recalculate("g"),
        "overview": lambda: res.plot(),
        "figures": lambda: [
            getattr(simresid, name)(res)
            for name in ("plot_qq", "plot_residuals", "plot_histogram", "plot_dispersion", "plot_zero_inflation")
        ],
        "report": lambda: simresid.report(res, folder / "r.html"),
        "screen": lambda: simresid.screen(models, out=folder / "s.csv"),
        "screen in time": lambda: simresid.screen(models, timeout=60),
        "workers": lambda: simresid.simulate_residuals(fit, 60, n_jobs=2, block_size=10),
        "create_data": lambda: simresid.create_data(50),
        "lrt": lambda: simresid.simulated_lrt(fit, big, n_sims=19, n_jobs=1),
        "check": lambda: check_fitted_model(fit),
        "command line": lambda: main(["data", "--names"]),
        "command line, check": lambda: main(
            ["check", "cbpp", "--formula", "incidence ~ size", "--plot", str(folder / "p.png"), "--force"]
        ),
    }


def _quietly(call):
    with pytest.raises(ValueError, match="nothing"):
        call()


def test_no_public_call_changes_anything_global(tmp_path, capsys):
    import matplotlib.pyplot as plt

    calls = _calls(tmp_path)
    for call in calls.values():  # imports once, since modules of others change things when they are first imported
        call()
        plt.close("all")
    threads = threading.active_count()
    for name, call in calls.items():
        before = state()
        call()
        if name in ("overview", "figures"):  # these are for pyplot to show
            assert plt.get_fignums()
            plt.close("all")
        after = state()
        for what, value in before.items():
            assert after[what] == value, f"{name} changed {what}"
    assert threading.active_count() <= threads + 1
