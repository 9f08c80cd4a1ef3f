"""The README says what is true: its Python runs, its picture is there, its commands do what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.image import imread

from simresid.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = blocks("python")
    assert source
    namespace: dict[str, object] = {}
    for block in source:
        exec(compile(block, "README.md", "exec"), namespace)
    plt.close("all")


def test_first_code_is_four_lines():
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) == 4


def test_local_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README) + re.findall(r'src="([^"]+)"', README)
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_shell_blocks_are_one_command_each():
    # .ci/run executes the first two as printed.
    install, tests = blocks("sh")[:2]
    assert install.strip().endswith("-m simresid")
    assert tests.split("-m ")[1].startswith("pytest ")
    assert len(install.strip().splitlines()) == len(tests.strip().splitlines()) == 1


def test_main_job_prints_verdicts_and_writes_the_picture(tmp_path, capsys):
    picture = tmp_path / "demo.png"
    assert main(["--out", str(picture)]) == 0
    plt.close("all")
    poisson, nbinom2 = capsys.readouterr().out.split("---- nbinom2")
    # glmmTMB 1.1.5 on the same data: -1104.84931 and -869.166148.
    assert "-1104.8 " in poisson
    assert "-869.2 " in nbinom2
    assert "The model fails: " in poisson
    assert "- dispersion: overdispersed 4.4x" in poisson
    # nbinom1, which the advice names, has a log-likelihood 6.9 higher
    assert "Evidence against the model: dispersion." in nbinom2
    assert "compare nbinom1" in nbinom2
    assert str(picture) in nbinom2
    height, width = imread(picture).shape[:2]
    assert min(height, width) > 600


@pytest.mark.parametrize(("out", "message"), [("missing/demo.png", "does not exist"), (".", "is a folder")])
def test_bad_target_is_refused_before_the_work_begins(tmp_path, capsys, out, message):
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(tmp_path / out)])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_runs_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "simresid", "--out", "demo.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "demo.png").stat().st_size > 10_000
