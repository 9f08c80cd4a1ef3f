"""Exit status: 1 means that a model is flagged and nothing else does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import simresid.cli.check
from simresid.cli import FINE, FLAGGED, INPUT, READER_LEFT, STOPPED, UNEXPECTED, main

PROGRAM = [sys.executable, "-c", "import sys; from simresid.cli import main; sys.exit(main())"]
MODEL = ("--formula", "y ~ x + (1|g)", "--family", "poisson", "--sims", "50")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A right Poisson model, with columns that it does not name."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10), 8)
    data = pd.DataFrame(
        {"y": rng.poisson(3, 80), "x": rng.normal(size=80).round(3), "g": g, "day": np.tile(range(8), 10)}
    )
    data["date"] = pd.date_range("2020-01-01", periods=80).strftime("%Y-%m-%d")
    data["effort"] = rng.uniform(1, 3, 80).round(2)
    data["plot"] = [f"größe{i % 3}" for i in range(80)]
    path = tmp_path_factory.mktemp("status") / "t.csv"
    data.to_csv(path, index=False)
    return str(path)


def run(*arguments, capsys):
    status = main(arguments)
    return status, *capsys.readouterr()


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = " ".join(f"'{part}'" for part in PROGRAM)
    full = command.replace("SIMRESID", program)
    return subprocess.run(
        ["bash", "-c", full], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )


def test_columns_outside_the_formula(table, capsys):
    """Was a KeyError with exit status 1."""
    columns = ("--time", "day", "--by", "g", "--x", "effort", "--y", "day")
    status, out, _ = run("check", table, *MODEL, *columns, capsys=capsys)
    assert status in (FINE, FLAGGED)
    assert "autocorr. in time" in out
    assert "autocorr. in space" in out
    plain = json.loads(run("check", table, *MODEL, "--time", "day", "--by", "g", "--json", capsys=capsys)[1])
    dated = json.loads(run("check", table, *MODEL, "--time", "date", "--json", capsys=capsys)[1])
    assert plain["tests"]["temporal autocorrelation"]["pvalue"] != dated["tests"]["temporal autocorrelation"]["pvalue"]
    assert plain["columns"]["day"]["read_as"] == "numbers"
    assert dated["columns"]["date"] == {"read_as": "dates", "levels": None, "missing": 0}
    status, out, err = run("check", table, *MODEL, "--time", "plot", capsys=capsys)
    assert (status, out) == (INPUT, "")
    assert "must hold times" in err


def test_rows_left_out_by_the_fit_are_left_out_of_other_columns(table, tmp_path, capsys):
    data = pd.read_csv(table)
    path = tmp_path / "gaps.csv"
    data.assign(x=data["x"].where(data.index % 9 != 3)).to_csv(path, index=False)
    complete = tmp_path / "complete.csv"
    data[data.index % 9 != 3].to_csv(complete, index=False)
    options = (*MODEL, "--time", "date", "--json")
    results = [json.loads(run("check", str(file), *options, capsys=capsys)[1]) for file in (path, complete)]
    pvalues = [result["tests"]["temporal autocorrelation"]["pvalue"] for result in results]
    assert pvalues[0] == pytest.approx(pvalues[1], abs=1e-12)
    assert results[0]["columns"]["x"]["missing"] == 9


def test_an_unexpected_error_is_one_line_that_says_where_to_report(table, capsys, monkeypatch):
    def broken(*_):
        return {}["no such key"]

    monkeypatch.setattr(simresid.cli.check, "_flagged", broken)
    status, out, err = run("check", table, *MODEL, capsys=capsys)
    assert (status, out) == (UNEXPECTED, "")
    assert err.startswith("simresid check: unexpected KeyError: no such key (test_exit_status.py, line ")
    assert "please report" in err
    assert err.count("\n") == 1


def test_an_error_without_text(table, capsys, monkeypatch):
    def broken(*_):
        raise AssertionError

    monkeypatch.setattr(simresid.cli.check, "_flagged", broken)
    status, _, err = run("check", table, *MODEL, capsys=capsys)
    assert status == UNEXPECTED
    assert "unexpected AssertionError: no message" in err


def test_stopped(table, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(simresid.cli.check, "_flagged", stop)
    assert run("check", table, *MODEL, capsys=capsys)[0] == STOPPED


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("y,x\n1," + "9" * 400 + "\n2,3\n3,4\n", (), ["'x'", "infinite"]),
        ("y,x," + "h" * 140_000 + "\n1,2,3\n", (), ["131072"]),
        ("y,x\n1,2\n2,3\n3,4\n", ("--offset", "log(z)"), ["'z'"]),
        ("y,x\n1,2\n2,3\n3,4\n", ("--offset", "log(x)) + __import__('os').getcwd(("), ["simresid check"]),
        ("y,x\n1,2\n2,3\n3,4\n", ("--thousands", "x"), ["--thousands"]),
        ("y,x\n1,2\n2,3\n3,4\n", ("--thousands", ",", "--decimal", ","), ["both"]),
        ("y,x\n1,2\n2,3\n3,4\n", ("--sims", "999999999999"), ["simulations"]),
    ],
)
def test_input_that_cannot_be_used(content, options, words, tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text(content)
    status, out, err = run("check", str(path), "--formula", "y ~ x", "--family", "poisson", *options, capsys=capsys)
    assert (status, out) == (INPUT, ""), err
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_one_header_does_not_take_a_folder_down(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("y,x\n1,2\n2,3\n")
    (tmp_path / "b.CSV").write_text("y," + "h" * 140_000 + "\n1,2\n")
    status, out, err = run("screen", str(tmp_path), "--formula", "y ~ x", capsys=capsys)
    assert (status, out) == (INPUT, "")
    assert "1 of 2 files cannot be used" in err
    assert "b.CSV" in err


def test_y_without_fixed_effects_and_reml(table, capsys):
    """Was an AssertionError."""
    assert run("check", table, "--formula", "y ~ 0", "--reml", capsys=capsys)[0] in (FINE, FLAGGED)
    out = run("check", table, "--formula", "y ~ x + (1|g)", "--reml", capsys=capsys)[1]
    assert "REML" in out


def test_report_of_counts_that_are_not_whole(table, tmp_path, capsys):
    """The rootogram refused them, and with it the report."""
    data = pd.read_csv(table)
    path = tmp_path / "half.csv"
    data.assign(y=data["y"] + 0.5).to_csv(path, index=False)
    report = tmp_path / "r.html"
    status, _, err = run("check", str(path), *MODEL, "--report", str(report), capsys=capsys)
    assert status in (FINE, FLAGGED)
    assert "non-integer counts" in err
    assert "Rootogram" not in report.read_text(encoding="utf-8")


def test_offset_as_a_function_of_a_column(table, tmp_path, capsys):
    data = pd.read_csv(table)
    path = tmp_path / "log.csv"
    data.assign(known=np.log(data["effort"])).to_csv(path, index=False)
    by_function = json.loads(run("check", table, *MODEL, "--offset", "log(effort)", "--json", capsys=capsys)[1])
    by_column = json.loads(run("check", str(path), *MODEL, "--offset", "known", "--json", capsys=capsys)[1])
    assert by_function["llf"] == pytest.approx(by_column["llf"], rel=1e-9)
    assert by_function["params"]["x"] == pytest.approx(by_column["params"]["x"], rel=1e-6)


def test_messages_speak_of_options_where_the_library_speaks_of_arguments(table, tmp_path, capsys):
    data = pd.read_csv(table)
    path = tmp_path / "spread.csv"
    rng = np.random.default_rng(5)
    data.assign(z=data["x"] * 2 + np.exp(2 * data["effort"]) * rng.normal(size=len(data))).to_csv(path, index=False)
    shown = ""
    for family, formula, option in (
        ("zinb", "y ~ x", '--zi "~ 1"'),
        ("hurdle", "y ~ x", "--family truncated_poisson or truncated_nbinom2 "),
        ("binomial", "y ~ x", "(--trials,"),
        ("gamma", "z ~ x", "--family gaussian, t or skewnormal"),
        ("gaussian", "z ~ x + effort", 'as in --disp "~ predictor"'),
    ):
        _, out, err = run("check", str(path), "--formula", formula, "--family", family, capsys=capsys)
        assert option in out + err, family
        shown += out + err
    assert not re.search(r"\b(family|zi|disp|trials)=|glmm\(|residuals\.", shown)


def test_help_and_version(capsys):
    from glmmcore.families import FAMILIES

    for command in ("check", "screen", "data"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "Example: simresid" in text
        assert "3 unexpected error" in text
        if command != "data":
            assert "on the link scale" in text
            assert f"(default: gaussian): {', '.join(FAMILIES)}" in text.replace("- ", "")
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"simresid {simresid.__version__}\n"


# ---- streams, as a shell has them ------------------------------------------------------------------
pytestmark_posix = pytest.mark.skipif(os.name != "posix", reason="a shell's redirections")


@pytestmark_posix
def test_closed_and_broken_streams(table):
    model = f"check {table} --formula 'y ~ x' --family poisson --sims 50"
    closed = shell(f"SIMRESID {model} >&-; echo $?")
    assert closed.stdout == f"{INPUT}\n"
    assert "standard output is closed" in closed.stderr
    silent = shell(f"SIMRESID {model} 2>&- >/dev/null; echo $?")
    assert silent.stdout == f"{FINE}\n"
    refused = shell("SIMRESID check nowhere.csv --formula 'y ~ x' 2>&-; echo $?")
    assert refused.stdout == f"{INPUT}\n"  # and the error does not go to standard output instead
    for command, status in ((model, FINE), ("check nowhere.csv --formula 'y ~ x'", INPUT), ("check --sims x", INPUT)):
        full = shell(f"SIMRESID {command} 2>/dev/full >/dev/null; echo $?")
        assert full.stdout == f"{status}\n", command  # a message that cannot be written is no model that is flagged
    for command in (model, "data", "check --help"):
        broken = shell(f"(sleep 0.1; SIMRESID {command}; echo $? >&2) | true")
        assert broken.stderr == f"{READER_LEFT}\n", command


@pytestmark_posix
def test_letters_that_a_stream_does_not_know(table):
    done = shell(f"SIMRESID check {table} --formula 'y ~ plot' --family poisson --sims 50", PYTHONIOENCODING="ascii")
    assert done.returncode == FINE
    assert "plot[T.gr\\xf6\\xdfe1]" in done.stdout
