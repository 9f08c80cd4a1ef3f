"""Files are whole or not there: full disks, Ctrl-C in the middle, files that exist already, broken input files."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simresid import report, screen, simulate_residuals
from simresid.cli import main
from simresid.files import replacing

from .models import Counts, counts

CHECK = ["check", "cbpp", "--formula", "cbind(incidence, size - incidence) ~ period", "--family", "binomial"]


def limited(code: str, folder: Path, size: int) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot write files above `size` bytes, as on a disk that gets full."""
    start = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); import matplotlib; "
        "matplotlib.use('Agg'); import simresid, glmmcore, numpy as np; from simresid.cli import main\n"
        "rng = np.random.default_rng(1)\n"
        "res = simresid.from_simulations(rng.poisson(3, (99, 60)), rng.poisson(3, 60))\n"
        "res.summary(); figure = res.plot(); figure.savefig('warm.png')\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    )
    return subprocess.run([sys.executable, "-c", start + code], cwd=folder, capture_output=True, text=True)


def test_full_disk(tmp_path):
    old = {name: f"the old {name}" for name in ("r.html", "p.png", "c.csv", "s.csv")}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    code = """
import errno
try:
    simresid.report(res, "r.html")
except OSError as error:
    assert error.errno == errno.EFBIG and error.filename == "r.html", error
else:
    raise SystemExit("no error")
assert main(["data", "grouseticks", "--out", "c.csv", "--force"]) == 2
check = ["check", "cbpp", "--formula", "cbind(incidence, size - incidence) ~ period", "--family", "binomial", "--force"]
assert main([*check, "--plot", "p.png"]) == 2
assert main([*check, "--report", "r.html"]) == 2
models = {f"m{i}": ("y ~ x", {"y": rng.normal(size=30), "x": rng.normal(size=30)}) for i in range(60)}
try:
    simresid.screen(models, out="s.csv", resume=False, progress=False)
except OSError as error:
    assert "s.csv" in str(error.filename), error
else:
    raise SystemExit("no error")
"""
    done = limited(code, tmp_path, 3000)
    assert done.returncode == 0, done.stderr
    for line in done.stderr.splitlines():
        if line.startswith("simresid ") and "note: Numba" not in line:  # a cache that is still empty cannot be filled
            assert "File too large" in line
    assert done.stderr.count("File too large") == 3
    for name, text in old.items():
        assert (tmp_path / name).read_text() == text
    # nothing half-written is left but the journal, whose lines are whole up to the last
    assert {path.name for path in tmp_path.iterdir()} <= {*old, "warm.png", "s.csv.journal"}
    rng = np.random.default_rng(1)
    models = {f"m{i}": ("y ~ x", {"y": rng.normal(size=30), "x": rng.normal(size=30)}) for i in range(3)}
    assert (screen(models, out=tmp_path / "s.csv", progress=False)["error"] == "").all()


def test_output_of_the_command_line_to_a_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    code = "import sys; from simresid.cli import main; sys.exit(main(['data', '--names']))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "simresid data: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), ValueError("x")])
def test_replacing(tmp_path, error):
    target = tmp_path / "table.csv.gz"
    with replacing(target) as scratch:
        assert scratch.suffixes[-2:] == [".csv", ".gz"]
        scratch.write_text("first")
    with pytest.raises(error if isinstance(error, type) else type(error)), replacing(target) as scratch:
        scratch.write_text("second, half")
        raise error
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv.gz"]


def test_replacing_follows_links_and_keeps_devices(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with replacing(link) as scratch:
        scratch.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as direct:
        assert direct == pipe
    os.close(reader)


def test_ctrl_c_in_the_middle_of_a_screen(tmp_path):
    """The table of what was done is whole, the journal goes on from there, no scratch file stays."""
    code = """
import sys, time, numpy as np
sys.path.insert(0, sys.argv[1])
import simresid
rng = np.random.default_rng(1)
def models():
    for i in range(100000):
        yield f"m{i}", ("y ~ x", {"y": rng.normal(size=2000), "x": rng.normal(size=2000)})
        print(i, flush=True)
simresid.screen(models(), n_sims=50, out="s.csv", progress=False)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parents[3])],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if int(line) >= 60:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    table = pd.read_csv(tmp_path / "s.csv")
    lines = (tmp_path / "s.csv.journal").read_text().splitlines()
    assert len(table) == len(lines) >= 30
    assert {path.name for path in tmp_path.iterdir()} == {"s.csv", "s.csv.journal"}


def test_ctrl_c_in_the_middle_of_a_report(tmp_path):
    class Stopped(Counts):
        def summary(self):
            raise KeyboardInterrupt

    res = simulate_residuals(counts(kind=Stopped), 50)
    target = tmp_path / "r.html"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        report(res, target)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


# ---- the command line never replaces a file unasked -------------------------------------------------


def test_functions_replace_what_they_are_told_to_write_and_nothing_else(tmp_path):
    res = simulate_residuals(counts(), 50)
    models = {f"m{i}": ("y ~ x", {"y": [1.0, 2.5, 2.0, 4.0, 6.0, 5.0], "x": range(i, i + 6)}) for i in range(3)}
    for name in ("page.html", "table.csv", "neighbour.csv", "table.csv.bak", "page"):
        (tmp_path / name).write_text("of the user")
    report(res, tmp_path / "page.html")
    screen(models, out=tmp_path / "table.csv", n_refits=10, progress=False)
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert len(pd.read_csv(tmp_path / "table.csv")) == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        "page.html", "table.csv", "table.csv.journal", "neighbour.csv", "table.csv.bak", "page"
    }  # fmt: skip
    for name in ("neighbour.csv", "table.csv.bak", "page"):
        assert (tmp_path / name).read_text() == "of the user"


def test_the_journal_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "table.csv").write_text("of the user")
    (tmp_path / "table.csv.journal").write_text("a diary")
    with pytest.raises(ValueError, match="is not the journal of a screen"):
        screen({"a": ("y ~ x", {"y": [1.0, 2, 4], "x": [1, 2, 3]})}, out=tmp_path / "table.csv", progress=False)
    assert (tmp_path / "table.csv").read_text() == "of the user"
    assert (tmp_path / "table.csv.journal").read_text() == "a diary"


def test_a_report_that_fails_replaces_nothing(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("of the user")
    with pytest.raises(KeyError, match="no such column"):
        report(simulate_residuals(counts(), 50), page, time="no such column")
    assert page.read_text() == "of the user"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_no_file_is_replaced_without_force(tmp_path, capsys):
    for option, name in (("--plot", "p.png"), ("--report", "r.html")):
        target = tmp_path / name
        target.write_text("mine")
        assert main([*CHECK, option, str(target)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"simresid check: {option}: '{target}' exists; use --force to replace it\n"
        assert target.read_text() == "mine"
        assert main([*CHECK, option, str(target), "--force"]) in (0, 1)
        capsys.readouterr()
        assert target.read_bytes()[:4] in (b"\x89PNG", b"<!DO")
    target = tmp_path / "c.csv"
    assert main(["data", "cbpp", "--out", str(target)]) == 0
    assert main(["data", "cbpp", "--out", str(target)]) == 2
    assert main(["data", "cbpp", "--out", str(target), "--force"]) == 0
    assert main(["data", "cbpp", "--out", str(tmp_path)]) == 2
    assert main(["data", "cbpp", "--out", str(tmp_path / "no" / "c.csv")]) == 2
    assert main([*CHECK, "--plot", str(tmp_path / "p.nonsense")]) == 2
    err = capsys.readouterr().err
    assert "is a folder; name a file" in err
    assert "does not exist" in err
    assert "nonsense" in err


def test_a_screen_goes_on_with_its_own_files_only(tmp_path, capsys):
    target = tmp_path / "s.csv"
    arguments = [
        "screen",
        "cbpp",
        "--formula",
        "incidence ~ size",
        "--by",
        "period",
        "--sims",
        "20",
        "--out",
        str(target),
    ]
    target.write_text("mine")
    assert main(arguments) == 2
    assert target.read_text() == "mine"
    target.unlink()
    assert main(arguments) in (0, 1)
    assert main(arguments) in (0, 1)  # its journal lies beside it
    capsys.readouterr()
    assert main([*arguments, "--no-resume"]) == 2
    assert "exists; use --force" in capsys.readouterr().err
    assert main([*arguments, "--no-resume", "--force"]) in (0, 1)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"y,x\n1,2\n" * 500, mtime=0)[:60], b"\x1f\x8b\x08" + b"\0" * 30]
)
def test_broken_gzip_files(content, tmp_path, capsys):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content)
    assert main(["check", str(path), "--formula", "y ~ x"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("simresid check: '")
    assert err.count("\n") == 1


def test_missing_folder_and_wrong_name(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.csv or \.parquet"):
        screen({"a": counts()}, out=tmp_path / "t.txt")
    with pytest.raises(ValueError, match="does not exist"):
        screen({"a": counts()}, out=tmp_path / "no" / "t.csv")


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_without_a_reader_is_refused(tmp_path, capsys):
    """Opening it waited without end, after the work was done."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="from which nobody reads"), replacing(pipe):
        raise AssertionError
    assert main(["data", "cbpp", "--out", str(pipe), "--force"]) == 2
    assert "a pipe from which nobody reads" in capsys.readouterr().err
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_a_pipe_is_written_to_once_somebody_reads(delay, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ends = []
    # opened without waiting, so that nothing hangs where the command gives up before
    timer = threading.Timer(delay, lambda: ends.append(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)))
    timer.start()
    status = main(["data", "cbpp", "--out", str(pipe), "--force"])
    timer.join()
    text = os.read(ends[0], 1 << 16)
    os.close(ends[0])
    assert status == 0
    assert text.startswith(b"herd,incidence,size,period")
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="named pipes and links")
def test_what_a_screen_of_a_folder_leaves_out_is_said(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{i % 5},{i * 7 % 11}\n" for i in range(40)))
    os.mkfifo(tmp_path / "b.csv")
    (tmp_path / "c.csv").symlink_to("/dev/zero")
    (tmp_path / "d.csv").symlink_to("nowhere")
    (tmp_path / "e.CSV").mkdir()
    assert main(["screen", str(tmp_path), "--formula", "y ~ x", "--sims", "20", "--null", "analytic"]) in (0, 1)
    said = capsys.readouterr().err
    assert "4 folders, pipes or broken links were left out: b.csv, c.csv, d.csv, e.CSV" in said
