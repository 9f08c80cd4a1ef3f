"""What the commands do beside computing, as the interpreter's own audit sees it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd

CODE = """
import json, sys
import matplotlib
matplotlib.use("Agg")
import simresid, glmmcore
from simresid import warmup
from simresid.cli import main
warmup()  # compiled kernels are unpickled from their cache by Numba, which is the user's own folder
import matplotlib.font_manager
seen = []
PREFIXES = ("pickle.", "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn",
            "urllib.", "http.", "ftplib.", "marshal.loads", "ctypes.dlopen")
def watch(event, arguments):
    if event.startswith(PREFIXES):
        import traceback
        frames = [f.filename for f in traceback.extract_stack()]
        # a kernel that this model needs for the first time, and modules that are imported late
        if not any("numba" in f or "importlib" in f for f in frames):
            seen.append([event, repr(arguments)[:200], frames[-3:]])
sys.addaudithook(watch)
statuses = [main(line) for line in json.loads(sys.argv[1])]
print("AUDIT " + json.dumps([statuses, seen]))
"""


def test_commands_start_load_and_call_nothing(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.poisson(3, 60), "x": rng.normal(size=60), "g": np.tile(["a", "b", "c"], 20)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    files = [str(tmp_path / "t.csv")]
    try:
        frame.to_parquet(tmp_path / "t.parquet")
        files.append(str(tmp_path / "t.parquet"))
    except ImportError:
        pass
    model = ["--formula", "y ~ x + (1|g)", "--family", "poisson", "--sims", "50"]
    lines = [["check", file, *model, "--report", f"{file}.html", "--plot", f"{file}.png"] for file in files]
    screen = ["screen", files[0], "--formula", "y ~ x", "--by", "g", "--sims", "50", "--out", str(tmp_path / "s.csv")]
    lines += [screen, screen, ["data", "cbpp", "--out", str(tmp_path / "c.csv")]]  # the second one resumes
    done = subprocess.run([sys.executable, "-c", CODE, json.dumps(lines)], capture_output=True, text=True, check=False)
    report = [line for line in done.stdout.splitlines() if line.startswith("AUDIT ")]
    assert report, done.stderr
    statuses, seen = json.loads(report[0].removeprefix("AUDIT "))
    assert set(statuses) <= {0, 1}, done.stderr
    assert seen == []


def test_the_audit_would_see_it():
    """The test above can fail: a report with a pickle in it is noticed."""
    code = CODE.replace("statuses = [", "import pickle; pickle.loads(pickle.dumps(json.JSONDecoder)); statuses = [")
    done = subprocess.run([sys.executable, "-c", code, "[]"], capture_output=True, text=True, check=False)
    _, seen = json.loads(done.stdout.removeprefix("AUDIT "))
    assert [event for event, *_ in seen] == ["pickle.find_class"]
