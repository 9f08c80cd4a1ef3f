"""The benchmarks measure what they say; their numbers are not tested."""

import json
import math
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import compare, machine, report  # noqa: E402
from benchmarks.__main__ import main  # noqa: E402
from benchmarks.cases import CASES, R_TOOLS  # noqa: E402
from benchmarks.contestants import Contestant  # noqa: E402
from benchmarks.measure import Measured, measure  # noqa: E402
from benchmarks.models import MODELS  # noqa: E402
from benchmarks.tools import TASKS, Absent, prepare  # noqa: E402
from benchmarks.workers import Run, RWorker  # noqa: E402

in_repository = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a git repository")


def test_cases_name_models_and_tools_that_exist():
    for case in CASES.values():
        assert case.model in MODELS
        assert case.kind in report.HEADINGS
        for tool in case.tools:
            in_new_process = case.kind in ("cold", "memory")
            assert in_new_process or tool in R_TOOLS or (case.kind, tool) in TASKS, (case.name, tool)


def test_every_run_makes_the_same_data():
    for name in ("cbpp", "sleep", "small", "nb2"):
        assert MODELS[name].make().equals(MODELS[name].make())


@pytest.mark.parametrize(
    ("kind", "parts"), [("pipeline", {"fit", "residuals", "battery", "figure"}), ("residuals", set())]
)
def test_our_own_pipelines_run(kind, parts):
    result = prepare(kind, "simresid", "small")()
    assert set(result.parts) == parts
    assert all(seconds > 0 for seconds in result.parts.values())


def test_numpy_by_hand_gives_the_same_kind_of_residuals():
    result = prepare("residuals", "numpy by hand", "small")()
    assert result.parts == {}
    assert np.isnan(result.value)


def test_tools_that_are_absent_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "mixedlm", None)
    with pytest.raises(Absent, match="mixedlm is not installed"):
        prepare("fit", "mixedlm", "cbpp")


class Constant(Contestant):
    """Writes down when it ran and takes the times it is told."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def run(self):
        self.log.append(self.name)
        return Run(self.seconds, cpu=self.seconds, value=-1.0)

    def stop(self):
        self.log.append(f"stop {self.name}")


class Failing(Contestant):
    def start(self):
        raise Absent("no such tool")


def test_tools_take_turns_until_their_time_is_used():
    log = []
    makers = {
        "quick": lambda: Constant("quick", 0.1, log),
        "slow": lambda: Constant("slow", 2.0, log),
        "once": lambda: Constant("once", 50.0, log),
        "absent": Failing,
    }
    found = measure(makers, repeats=5, budget=6.0)
    assert {name: len(m.runs) for name, m in found.items()} == {"quick": 5, "slow": 3, "once": 1, "absent": 0}
    assert found["absent"].note == "no such tool"
    # warm-up, three turns together with the order changing, two of the quick one alone
    turns = ["quick", "slow", "slow", "quick", "quick", "slow", "quick", "quick"]
    assert log == ["quick", "slow", "once", *turns, "stop quick", "stop slow", "stop once"]


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ([1.2, 1.3, 1.1, 1.25], "slower"),
        ([0.8, 0.7, 0.9, 0.85], "faster"),
        ([1.02, 1.03, 1.04, 1.02], "same"),  # always a little slower: within the tolerance
        ([1.4, 0.9, 0.8, 1.3], "same"),  # the median is off, but not most turns
    ],
)
def test_verdicts(factors, verdict):
    base = [1.0, 2.0, 1.5, 1.0]
    found = compare.judge("case", base, [b * f for b, f in zip(base, factors, strict=True)])
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(np.median(factors))


def test_one_turn_is_no_verdict():
    assert compare.judge("case", [1.0], [2.0]).verdict == "one turn, no verdict"


def test_memory_needs_a_difference_that_matters():
    assert compare.judge("case", [10.0, 10.0], [15.0, 15.0], slack=20.0).verdict == "same"
    assert compare.judge("case", [100.0, 100.0], [150.0, 150.0], slack=20.0).verdict == "slower"


@in_repository
def test_a_checkout_is_what_gets_imported():
    listed = subprocess.run(["git", "-C", str(ROOT), "worktree", "list"], capture_output=True, text=True).stdout
    code = "import glmmcore, simresid, benchmarks; print(*(m.__file__ for m in (glmmcore, simresid, benchmarks)))"
    with compare._checkout("HEAD") as env, compare._stage() as stage:
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=stage, capture_output=True, text=True, check=True
        )
        *ours, cases = run.stdout.split()
        assert all(place.startswith(env["PYTHONPATH"]) for place in ours)
        assert cases.startswith(str(stage))
    assert subprocess.run(["git", "-C", str(ROOT), "worktree", "list"], capture_output=True, text=True).stdout == listed


def test_table_marks_fits_that_do_not_count(tmp_path):
    runs = {"glmmcore": (0.5, -10.0), "gpboost": (0.1, -10.5), "glmmTMB": (5.0, -10.001)}
    results = {"nb2": {tool: Measured([Run(s, value=v)] * 3) for tool, (s, v) in runs.items()}}
    results["nb2"]["mixedlm"] = Measured(note="mixedlm has no comparable nbinom2")
    about = {"date": "d", "processor": "p", "cores": 2, "system": "s", "load": 0.1, "commit": "c", "threads": {}}
    text = report.write(results, about | {"versions": ["R 4"]}, tmp_path / "new" / "table")
    assert "| .5 | *.1 (0.2), short 0.5* | 5 (10) | [a] |" in text
    assert "[a] mixedlm has no comparable nbinom2." in text
    assert r"(1\|g)" in text  # a bar would end the cell
    stored = json.loads((tmp_path / "new" / "table.json").read_text())
    assert stored["cases"]["nb2"]["glmmTMB"]["runs"][0]["seconds"] == 5.0


def test_machine_is_described_without_its_name():
    about = json.dumps(machine.describe())
    assert platform.python_version() in about
    assert platform.node() not in about


def test_command_line(tmp_path, capsys):
    assert main(["list"]) == 0
    assert "crossed5" in capsys.readouterr().out
    assert main(["run", "nonsense"]) == 2
    assert main(["run", "cbpp", "--no-peers", "--repeats", "2", "--output", str(tmp_path / "out")]) == 0
    stored = json.loads((tmp_path / "out.json").read_text())["cases"]["cbpp"]["glmmcore"]
    assert [run["value"] for run in stored["runs"]] == [prepare("fit", "glmmcore", "cbpp")().value] * 2


@pytest.fixture(scope="module")
def r():
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    worker = RWorker()
    yield worker
    worker.close()


@pytest.mark.parametrize("tool", ["glmmTMB", "lme4"])
def test_r_fits_the_same_model_to_the_same_data(r, tool):
    try:
        r.prepare("fit", tool, "sleep")
    except Absent as reason:
        pytest.skip(str(reason))
    run = r.run()
    assert run.value == pytest.approx(prepare("fit", "glmmcore", "sleep")().value, abs=1e-3)
    assert run.seconds > 0
    assert not math.isnan(run.value)


def test_r_says_what_it_cannot_do(r):
    with pytest.raises(Absent, match=r"glmer\.nb|is not installed"):
        r.prepare("fit", "lme4", "nb2")
