"""What commands write: never over an input, never through a planted link, nothing that a reader would execute."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from simresid import screen
from simresid.cli import main
from simresid.cli.many import _say_notes
from simresid.cli.terminal import harmless
from simresid.files import remove_leftovers, replacing

SCREEN = ("--formula", "y ~ x", "--family", "poisson", "--sims", "20", "--fail-on", "never")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(2)
    path = tmp_path / "counts"
    path.mkdir()
    for name in ("ants.csv", "bees.CSV"):
        pd.DataFrame({"y": rng.poisson(3, 30), "x": rng.normal(size=30).round(3)}).to_csv(path / name, index=False)
    return path


def run(*arguments, capsys):
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


# ---- inputs ----------------------------------------------------------------------------------------
def test_force_never_replaces_the_input(folder, tmp_path, capsys):
    file = folder / "ants.csv"
    content = file.read_bytes()
    link = tmp_path / "link.csv"
    link.symlink_to(file)
    journal = tmp_path / "j.csv.journal"
    journal.write_bytes(content)
    for command in (
        ("check", file, *SCREEN, "--plot", file),
        ("check", file, *SCREEN, "--report", link),
        ("check", link, *SCREEN, "--report", file),
        ("screen", file, *SCREEN, "--by", "x", "--out", file),
        ("screen", folder, *SCREEN, "--out", file),
        ("screen", folder, *SCREEN, "--report", file),
        ("screen", journal, *SCREEN, "--by", "x", "--out", tmp_path / "j.csv"),
    ):
        status, out, err = run(*command, "--force", capsys=capsys)
        assert (status, out) == (2, ""), command
        assert "is the input itself, which is never replaced" in err
    assert file.read_bytes() == journal.read_bytes() == content
    assert run("check", file, *SCREEN, "--plot", "a.png", "--report", "a.png", capsys=capsys)[0] == 2


def test_a_screen_does_not_replace_the_table_of_another(folder, tmp_path, capsys):
    out = tmp_path / "s.csv"
    assert run("screen", folder, *SCREEN, "--out", out, capsys=capsys)[0] == 0
    table = out.read_bytes()
    other = ("--formula", "y ~ 1", *SCREEN[2:])
    for options in (other, (*SCREEN, "--seed", "7"), (*SCREEN, "--tests", "dispersion")):
        status, _, err = run("screen", folder, *options, "--out", out, capsys=capsys)
        assert status == 2
        assert f"'{out}' is the table of another screen (poisson" in err
        assert out.read_bytes() == table
    assert run("screen", folder, *SCREEN, "--out", out, capsys=capsys)[0] == 0  # its own goes on
    (folder / "crickets.csv").write_bytes((folder / "ants.csv").read_bytes())
    assert run("screen", folder, *SCREEN, "--out", out, capsys=capsys)[0] == 0  # and with one more file
    assert len(pd.read_csv(out)) == 3
    assert run("screen", folder, *other, "--out", out, "--force", capsys=capsys)[0] == 0
    assert out.read_bytes() != table


def test_files_of_a_folder(folder, capsys):
    (folder / "more.xlsx").write_bytes(b"")
    status, out, err = run("screen", folder, *SCREEN, capsys=capsys)
    assert status == 0
    assert out.startswith("2 models")  # .CSV as well
    assert out.rstrip().endswith("Columns: y numbers; x numbers.")
    assert "1 files that are neither CSV nor Parquet were left out: more.xlsx" in err
    (folder / "flies.csv").write_text("y,x\n" + "1,low\n2,high\n" * 9)
    status, _, err = run("screen", folder, *SCREEN, capsys=capsys)
    assert status == 2
    assert "column 'x' holds numbers in 'ants.csv', but labels in 'flies.csv'" in err


def test_notes_of_fits_are_said(folder, capsys):
    """An exposure in whole numbers, which `check` warns of, went into a screen without a word."""
    for file in folder.iterdir():
        data = pd.read_csv(file)
        data.assign(years=np.resize([2, 5, 9], len(data))).to_csv(file, index=False)
    status, _, err = run("screen", folder, *SCREEN, "--offset", "years", capsys=capsys)
    assert status == 0
    assert err.count("note: ants.csv and 1 more: the offset goes from 2 to 9 in whole numbers") == 1
    assert "note:" not in run("screen", folder, *SCREEN, capsys=capsys)[2]


def test_notes_of_other_fits_are_not_those_of_the_first(capsys):
    """`huge.csv and 2 more` had the notes of the first, whatever those of the others were."""
    notes = ["", "2 rows were left out.", "19 rows were left out.", "Singular fit."]
    _say_notes(pd.DataFrame({"notes": notes}, index=["a.csv", "b.csv", "c.csv", "d.csv"]))
    err = capsys.readouterr().err
    assert err == "simresid screen: note: b.csv and 1 more: 2 rows were left out. (1 with other notes)\n"


# ---- scratch files ---------------------------------------------------------------------------------
def test_scratch_files_do_not_follow_links(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    target = tmp_path / "s.csv"
    for planted in (f".{os.getpid()}.new.s.csv", ".screen.new.s.csv"):
        (tmp_path / planted).symlink_to(victim)
    names = set()
    for _ in range(2):
        with replacing(target) as scratch:
            assert not scratch.is_symlink()
            assert scratch.exists()  # created exclusively before anybody writes
            names.add(scratch.name)
            scratch.write_text("new")
    assert len(names) == 2
    screen({"a": ("y ~ x", pd.DataFrame({"y": [1.0, 2, 4, 3, 5], "x": range(5)}))}, out=target, n_sims=20)
    assert victim.read_text() == "mine"


def test_a_link_in_place_of_the_journal_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (tmp_path / "s.csv.journal").symlink_to(victim)
    with pytest.raises(ValueError, match="is a link"):
        screen({}, out=tmp_path / "s.csv")
    (tmp_path / "t.csv.journal").write_text("a file of somebody else\nwith lines")
    with pytest.raises(ValueError, match="is not the journal of a screen"):
        screen({}, out=tmp_path / "t.csv")
    assert (tmp_path / "t.csv.journal").read_text() == "a file of somebody else\nwith lines"
    os.mkfifo(tmp_path / "u.csv.journal")
    with pytest.raises(ValueError, match="no ordinary file"):
        screen({}, out=tmp_path / "u.csv")
    assert victim.read_text() == "mine\n"


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    of_dead = tmp_path / f".{dead.pid}-0123456789abcdef.new.s.csv"
    of_living = tmp_path / f".{os.getpid()}-0123456789abcdef.new.s.csv"
    of_other = tmp_path / f".{dead.pid}-0123456789abcdef.new.other.csv"
    for path in (of_dead, of_living, of_other):
        path.write_text("half")
    remove_leftovers(tmp_path / "s.csv")
    assert [path.exists() for path in (of_dead, of_living, of_other)] == [False, True, True]


def test_permissions_of_a_replaced_file_stay(tmp_path):
    target = tmp_path / "private.csv"
    target.write_text("old")
    target.chmod(0o600)
    with replacing(target) as scratch:
        scratch.write_text("new")
    assert target.stat().st_mode & 0o777 == 0o600


def test_damaged_lines_of_a_journal(tmp_path):
    """Was a KeyError or a JSONDecodeError."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.poisson(3, 40), "x": rng.normal(size=40)})
    models = dict.fromkeys("abcdefg", ("y ~ x", frame, "poisson"))
    out = tmp_path / "s.csv"
    first = screen(models, out=out, n_sims=20, progress=False)
    journal = tmp_path / "s.csv.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[1])
    lines[1] = b"not json\n"
    lines[2] = b'{"key": 3}\n'
    lines[3] = json.dumps({**record, "p": {"dispersion": "0.5"}}).encode() + b"\n"
    lines[4] = b"[" * 100_000 + b"\n"
    journal.write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match="4 damaged lines"):
        again = screen(models, out=out, n_sims=20, progress=False)
    computed = again["seconds"] != first["seconds"]
    assert computed.tolist() == [False, True, True, True, True, False, False]
    assert again["dispersion"].equals(first["dispersion"])


# ---- texts that somebody executes ------------------------------------------------------------------
def test_cells_that_a_spreadsheet_would_compute(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.poisson(3, 40), "x": rng.normal(size=40)})
    names = ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(1)", "\tx", "-5", "plain"]
    table = screen(dict.fromkeys(names, ("y ~ x", frame, "poisson")), out=tmp_path / "s.csv", n_sims=20)
    assert list(table.index) == names
    written = pd.read_csv(tmp_path / "s.csv", dtype=str, keep_default_na=False)
    assert written["model"].tolist() == [*("'" + name for name in names[:5]), "-5", "plain"]
    texts = written.drop(columns=["llf", "model"]).to_numpy().ravel()
    assert not [text for text in texts if text.startswith(("=", "+", "@"))]


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    evil = "\x1b]0;title\x07\x1b[2J\u202egnp.exe\x9b"
    rows = "".join(f"{i % 5},{(evil, 'b')[i % 2]}\n" for i in range(40))
    path = tmp_path / "t.csv"
    path.write_text(f"y,x,\x1b[31mred\n{rows}".replace("\n", ",1\n").replace("red,1", "red", 1), encoding="utf-8")
    for options in (["--formula", "y ~ x"], ["--formula", "y ~ nope"], ["--formula", "y ~ x", "--time", "x"]):
        status, out, err = run("check", path, *options, "--family", "poisson", "--sims", "20", capsys=capsys)
        assert status in (0, 1, 2)
        assert not set(out + err) & set("\x1b\x07\x9b\u202e")
    status, out, err = run("screen", path, "--by", "x", "--formula", "y ~ 1", "--sims", "20", capsys=capsys)
    assert not set(out + err) & set("\x1b\x07\x9b\u202e")
    assert harmless("größe\t変数\n") == "größe\t変数\n"
    assert harmless("a\x1b[0m") == "a\\x1b[0m"


def test_descriptions_of_data_sets_have_a_line_for_every_column(capsys):
    out = run("data", capsys=capsys)[1]
    assert "\n      herd       herd\n      incidence  number of new serological cases in the period\n" in out
    continued = [line for line in out.splitlines() if line.strip() == "removed (deprived) before"]
    assert [len(line) - len(line.lstrip()) for line in continued] == [6 + len("SiblingNegotiation") + 2]


# ---- screens of nothing that works -----------------------------------------------------------------
def test_all_models_failed():
    """Was an IndexError that lost the real one."""
    frame = pd.DataFrame({"y": [-1.0, 2, 3, 4], "x": range(4)})
    table = screen({"a": ("y ~ x", frame, "poisson"), "b": ("y ~ nope", frame)}, tests="all", n_sims=20)
    assert table["error"].str.contains("negative|nope").all()
    assert table["flagged"].all()


@pytest.mark.parametrize("alpha", [-1, 0, 1, 2, float("nan")])
def test_alpha(alpha):
    with pytest.raises(ValueError, match=r"alpha=.* between 0 and 1"):
        screen({}, alpha=alpha)


# ---- what tests compare with -----------------------------------------------------------------------
def test_null_and_refits_are_options(folder, tmp_path, capsys):
    file = folder / "ants.csv"
    status, out, _ = run("check", file, *SCREEN, "--json", "--n-refits", 45, capsys=capsys)
    tests = json.loads(out)["tests"]
    assert status == 0
    assert {(row["null"], row["n_refits"]) for row in tests.values()} == {("refits", 45)}
    status, out, _ = run("check", file, *SCREEN, "--json", "--null", "analytic", capsys=capsys)
    assert not any(row["n_refits"] for row in json.loads(out)["tests"].values())
    status, out, _ = run("check", file, *SCREEN, capsys=capsys)
    assert "refits; p-values adjusted" in out
    status, _, err = run("check", file, *SCREEN, "--null", "analytic", "--n-refits", 45, capsys=capsys)
    assert status == 2
    assert "--n-refits goes with --null refits" in err


def test_a_screen_resumes_with_the_same_null_only(folder, tmp_path, capsys):
    out = tmp_path / "t.csv"
    settings = ("screen", folder, *SCREEN, "--out", out)
    assert run(*settings, "--null", "analytic", capsys=capsys)[0] == 0
    assert run(*settings, "--null", "analytic", capsys=capsys)[0] == 0
    status, _, err = run(*settings, "--n-refits", 40, capsys=capsys)
    assert status == 2
    assert "is the table of another screen" in err


def test_names_that_are_no_files(folder, tmp_path, capsys):
    """Links in a circle and null characters ended as unexpected errors."""
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    table = str(next(folder.iterdir()))
    fit = ["--formula", "y ~ x", "--sims", "20", "--null", "analytic"]
    for name in (str(tmp_path / "a.csv"), str(tmp_path / "a\0b.csv")):
        for line in (
            ["check", table, "--report", name],
            ["check", table, "--plot", name],
            ["screen", str(folder), "--out", name],
        ):
            for force in ([], ["--force"]):
                assert main([*line, *force, *fit]) == 2
                assert "unexpected" not in capsys.readouterr().err
    assert main(["check", table, "--encoding", "utf-8\0", *fit]) == 2
    assert "cannot be read" in capsys.readouterr().err
