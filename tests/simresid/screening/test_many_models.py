"""Screening: rows for failures, adjustment, files that are whole at every moment, resuming, and any workers."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

import simresid as sr
from glmmcore import glmm

NUMBERS = ["dispersion", "dispersion adjusted", "uniformity", "dispersion ratio", "llf", "n_failed"]


def tables(count: int, overdispersed: float = 0.5) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(3)
    out = {}
    for i in range(count):
        g = np.repeat(np.arange(12), 5)
        x = rng.normal(size=60)
        mean = np.exp(1 + 0.4 * x + rng.normal(0, 0.5, 12)[g])
        bad = i < overdispersed * count
        y = rng.negative_binomial(1.5, 1.5 / (1.5 + mean)) if bad else rng.poisson(mean)
        out[f"{'bad' if bad else 'good'} {i}"] = pd.DataFrame({"y": y, "x": x, "g": g})
    return out


def specifications(count: int, overdispersed: float = 0.5) -> dict[str, tuple]:
    return {name: ("y ~ x + (1|g)", d, "poisson") for name, d in tables(count, overdispersed).items()}


def test_finds_the_overdispersed_and_spares_the_others():
    table = sr.screen(specifications(120), tests="dispersion")
    good = table.index.str.startswith("good")
    # 60 right models at 5 %: more than 8 have probability .004
    assert (table.loc[good, "dispersion"] < 0.05).sum() <= 8
    assert table.loc[good, "flagged"].mean() < 0.1
    assert table.loc[~good, "flagged"].mean() > 0.9
    assert (table.loc[~good, "dispersion ratio"] > table.loc[~good, "ratio low"]).all()
    assert table.loc[~good, "advice"].str.contains("overdispersed").mean() > 0.9


def test_adjustment_is_benjamini_hochberg_over_the_screen():
    table = sr.screen(specifications(30, overdispersed=0.2), tests=["uniformity"])
    p = np.sort(table["uniformity"].to_numpy())  # not a simulation p-value: nothing to extrapolate
    by_hand = [min(p[j] * len(p) / (j + 1) for j in range(i, len(p))) for i in range(len(p))]
    np.testing.assert_allclose(np.sort(table["uniformity adjusted"]), np.minimum(by_hand, 1.0))
    assert table["n_failed"].equals((table["uniformity adjusted"] < 0.05).astype(int))


def test_a_model_that_fails_is_a_row():
    data = tables(1)["bad 0"]
    models = {
        "negative": ("y ~ x", data.assign(y=-1), "poisson"),
        "no column": ("y ~ nope", data, "poisson"),
        "no model": "text",
        "five": ("y ~ x", data, "poisson", {}, 1),
        "option": ("y ~ x", data, "poisson", {"zi": "~ 1"}),
        "separated": ("b ~ x", data.assign(b=(data["x"] > 0).astype(int)), "binomial"),
    }
    table = sr.screen(models, n_sims=99)
    assert list(table.index) == list(models)
    errors = table["error"] != ""
    assert errors.tolist() == [True, True, True, True, False, False]
    assert table.loc[errors, "flagged"].all()
    assert table.loc[errors, "n_failed"].isna().all()
    assert table.loc["no column", "verdict"].startswith("ModelError: ")
    assert "nope" in table.loc["no column", "error"]
    assert "do not bound" in table.loc["separated", "notes"]
    assert (table["seconds"] > 0).all()


def test_forms_of_models():
    d = tables(2)
    fit = glmm("y ~ x + (1|g)", d["bad 0"], "poisson")
    by_name = sr.screen({"a": fit}, n_sims=99)
    pairs = sr.screen([("a", fit)], n_sims=99)
    pd.testing.assert_frame_equal(by_name.drop(columns="seconds"), pairs.drop(columns="seconds"))
    assert list(sr.screen([fit, fit], n_sims=99).index) == [0, 1]
    lone = sr.screen(iter([("y ~ x + (1|g)", d["bad 0"])]), n_sims=99)
    assert lone.loc[0, "description"].startswith("gaussian")
    with pytest.raises(ValueError, match="two models of the screen are called 'a'"):
        sr.screen([("a", fit), ("a", fit)], n_sims=99)


def test_random_streams_depend_on_the_name_only():
    models = specifications(6)
    whole = sr.screen(models, n_sims=99)
    part = sr.screen(dict(reversed(list(models.items())[2:4])), n_sims=99)
    assert part["dispersion"].equals(whole.loc[part.index, "dispersion"])
    assert not whole["dispersion"].equals(sr.screen(models, n_sims=99, rng=1)["dispersion"])


def test_choice_of_tests():
    fit = glmm("y ~ x + (1|g)", tables(1)["bad 0"], "poisson")
    table = sr.screen([fit], tests={"my own": lambda res: sr.dispersion_test(res, method="pearson")})
    assert table.loc[0, "my own"] < 0.05
    everything = sr.screen([fit], tests="all", predictors="x")
    assert {"quantiles", "heteroscedasticity", "quantiles along x"} <= set(everything.columns)
    some = sr.screen([fit], tests=["outliers"], predictors="x")
    assert {"outliers", "quantiles along x"} <= set(some.columns)
    assert "uniformity" not in some.columns
    with pytest.raises(ValueError, match="unknown test 'dispersal'; choose among uniformity"):
        sr.screen([fit], tests=["dispersal"])
    with pytest.raises(ValueError, match="no test given"):
        sr.screen([fit], tests=[])


def test_workers_change_nothing():
    models = specifications(40)
    one = sr.screen(models)
    two = sr.screen(models, n_jobs=2)
    assert one[NUMBERS].equals(two[NUMBERS])
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert sr.screen(models)[NUMBERS].equals(one[NUMBERS])


def test_a_generator_is_read_as_needed_and_its_error_comes_through(tmp_path):
    def models():
        yield from specifications(20).items()
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        sr.screen(models(), n_sims=99, n_jobs=2, out=tmp_path / "s.csv")
    assert len(pd.read_csv(tmp_path / "s.csv")) == 20


def test_file_resumes_and_notices_changes(tmp_path):
    out, models = tmp_path / "s.csv", specifications(6)
    first = sr.screen(models, n_sims=99, out=out)
    again = sr.screen(models, n_sims=99, out=out)
    assert again["seconds"].equals(first["seconds"])  # taken from the journal
    changed = dict(models)
    changed["bad 0"] = (models["bad 0"][0], models["bad 0"][1].assign(y=1), "poisson")
    third = sr.screen(changed, n_sims=99, out=out)
    assert (third["seconds"] != first["seconds"]).tolist() == [True, *[False] * 5]
    assert (sr.screen(models, n_sims=98, out=out)["seconds"] != first["seconds"]).all()
    assert (sr.screen(models, n_sims=99, out=out, resume=False)["seconds"] != first["seconds"]).all()
    read = pd.read_csv(out, index_col="model")
    np.testing.assert_allclose(read["dispersion"], first["dispersion"])
    assert read["verdict"].tolist() == first["verdict"].tolist()


def test_fitted_models_resume_by_their_content(tmp_path):
    d = tables(1)["bad 0"]
    fits = {"m": glmm("y ~ x + (1|g)", d, "poisson"), "text": "no model"}
    first = sr.screen(fits, n_sims=99, out=tmp_path / "s.csv")
    assert sr.screen(fits, n_sims=99, out=tmp_path / "s.csv")["seconds"].equals(first["seconds"])
    fits["m"] = glmm("y ~ 1 + (1|g)", d, "poisson")
    assert sr.screen(fits, n_sims=99, out=tmp_path / "s.csv").loc["m", "seconds"] != first.loc["m", "seconds"]


def test_half_written_journal_is_cut(tmp_path):
    out, models = tmp_path / "s.csv", specifications(4)
    first = sr.screen(models, n_sims=99, out=out)
    journal = tmp_path / "s.csv.journal"
    text = journal.read_bytes()
    journal.write_bytes(text[:-40])
    again = sr.screen(models, n_sims=99, out=out)
    assert (again["seconds"] == first["seconds"]).tolist() == [True, True, True, False]
    assert len(journal.read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "message"), [("s.txt", "must end in .csv or .parquet"), ("none/s.csv", "does not exist")]
)
def test_file_that_cannot_be_written(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        sr.screen([], out=tmp_path / name)


def test_parquet(tmp_path):
    out = tmp_path / "s.parquet"
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pyarrow"):
            sr.screen([], out=out)
        return
    table = sr.screen(specifications(3), n_sims=99, out=out)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.DataFrame(table))


def test_nothing_to_screen():
    table = sr.screen([])
    assert table.empty
    assert {"verdict", "flagged", "dispersion"} <= set(table.columns)


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from test_many_models import specifications
import simresid as sr
sr.screen(specifications(60), n_sims=999, out={out!r}, progress=False)
"""


@pytest.mark.slow
def test_killed_run_resumes(tmp_path):
    """Killed without warning at two moments: the table is whole each time, and nothing is computed twice."""
    out = tmp_path / "s.csv"
    journal = tmp_path / "s.csv.journal"
    script = SCRIPT.format(here=str(Path(__file__).parent), out=str(out))
    done: list[bytes] = []
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > len(done):
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        lines = journal.read_bytes().splitlines(keepends=True)
        assert lines[: len(done)] == done  # what was there stays
        done = [line for line in lines if line.endswith(b"\n")]
        if out.exists():
            assert pd.read_csv(out)["verdict"].notna().all()
    table = sr.screen(specifications(60), n_sims=999, out=out, progress=False)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert lines[: len(done)] == done
    assert len(lines) == 60
    assert table[NUMBERS].equals(sr.screen(specifications(60), n_sims=999)[NUMBERS])
    assert {path.name for path in tmp_path.iterdir()} == {"s.csv", "s.csv.journal"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the cluster's own libraries warn as they please
def test_a_killed_worker_of_a_cluster_changes_nothing(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask's cluster is optional")
    models = specifications(96)
    reference = sr.screen(models)
    journal = tmp_path / "s.csv.journal"
    killed: list[int] = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        client.run(_load)
        victim = next(iter(client.run(os.getpid).values()))

        def kill_half_way() -> None:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if journal.exists() and journal.read_bytes().count(b"\n") >= 16:
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                    return
                time.sleep(0.01)

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        table = sr.screen(models, out=tmp_path / "s.csv")
        done = journal.read_bytes().count(b"\n")
        killer.join()
    assert killed
    assert done == len(models)
    assert table[NUMBERS].equals(reference[NUMBERS])


def _load() -> None:
    """Import on the workers beforehand, so that the kill comes in the middle of the work."""
    importlib.import_module("glmmcore.fit")
    importlib.import_module("simresid.screening.many_models")


@pytest.mark.parametrize("tests", ["all", "quantiles", {"own": lambda r: r.dispersion_test()}, ("uniformity",)])
def test_a_screen_whose_models_all_fail_keeps_their_errors(tests, tmp_path):
    """An IndexError of the empty table of p-values hid what was wrong."""
    rng = np.random.default_rng(81)
    d = pd.DataFrame({"length": rng.gamma(2, size=30), "site": ["a"] * 30})
    models = {"no such column": ("length ~ depth", d), "one level": ("length ~ site", d, "gamma")}
    out = tmp_path / "screen.csv"
    table = sr.screen(models, tests=tests, progress=False, out=out)
    assert "depth" in table["error"]["no such column"]
    assert "only one level" in table["error"]["one level"]
    assert list(table["verdict"]) == list(table["error"])
    assert table["flagged"].all()
    assert table["n_failed"].isna().all()
    assert len(pd.read_csv(out)) == 2
    assert sr.screen({}, tests=tests, progress=False).empty


@pytest.mark.parametrize("alpha", [-1, 0, 1, 2, np.nan, np.inf, "0.05", None, True])
def test_a_level_out_of_range_is_refused_before_any_work(alpha):
    with pytest.raises(ValueError, match=r"alpha=.*between 0 and 1"):
        sr.screen(specifications(2), alpha=alpha, progress=False)
    rng = np.random.default_rng(82)
    with pytest.raises(ValueError, match=r"alpha=.*between 0 and 1"):
        sr.diagnose(sr.from_simulations(rng.normal(size=(20, 15)), rng.normal(size=15)), alpha=alpha)
