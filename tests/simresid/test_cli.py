"""The command line: pages, JSON, exit status, and tables as people have them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid import datasets, screen
from simresid.cli import main
from simresid.cli.tables import InputError, read_table

FORMULA = "y ~ x + (1|g)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    parts = []
    for k, name in enumerate(["ant", "bee", "cicada"]):
        g, x = np.repeat(np.arange(12), 8), rng.normal(size=96).round(3)
        mean = np.exp(1 + 0.4 * x + rng.normal(0, 0.4, 12)[g])
        y = rng.negative_binomial(1, 1 / (1 + mean)) if k == 1 else rng.poisson(mean)
        parts.append(pd.DataFrame({"species": name, "g": g, "x": x, "y": y}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table(data, tmp_path):
    path = tmp_path / "counts.csv"
    data.to_csv(path, index=False)
    return str(path)


def run(*arguments: str, capsys) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_check_prints_a_page_of_80_columns(capsys):
    status, out, err = run(
        "check", "salamanders", "--formula", "count ~ mined + (1|site)", "--family", "poisson", capsys=capsys
    )
    assert status == 1
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) < 60
    assert "overdispersed 4.4x" in out
    assert "mined[T.yes]" in out


def test_check_of_a_right_model(table, data, tmp_path, capsys):
    data[data["species"] == "ant"].to_csv(table, index=False)
    plot, report = tmp_path / "p.png", tmp_path / "r.html"
    arguments = ("check", table, "--formula", FORMULA, "--family", "poisson")
    status, out, _ = run(*arguments, "--plot", str(plot), "--report", str(report), capsys=capsys)
    assert status == 0
    assert "No evidence against the model" in out
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert "<html" in report.read_text(encoding="utf-8")


def test_check_json_is_the_fit(table, data, capsys):
    status, out, err = run("check", table, "--formula", FORMULA, "--family", "poisson", "--json", capsys=capsys)
    record = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    fit = glmm(FORMULA, data, "poisson")
    assert record["llf"] == pytest.approx(fit.llf)
    assert record["params"]["x"] == pytest.approx(fit.params["x"])
    assert record["flagged"] is True
    assert status == 1
    assert err == ""
    assert "dispersion" in record["tests"]


@pytest.mark.parametrize(
    ("fail_on", "expected"), [("any", 1), ("dispersion", 1), ("never", 0), ("convergence,error", 0)]
)
def test_fail_on(table, fail_on, expected, capsys):
    common = ("--formula", FORMULA, "--family", "poisson", "--fail-on", fail_on)
    assert run("check", table, *common, capsys=capsys)[0] == expected
    assert run("screen", table, *common, "--by", "species", capsys=capsys)[0] == expected


def test_screen_by_groups(table, data, tmp_path, capsys):
    out_file, report = tmp_path / "s.csv", tmp_path / "s.html"
    status, out, err = run(
        "screen", table, "--formula", FORMULA, "--family", "poisson", "--by", "species", "--out", str(out_file),
        "--report", str(report), capsys=capsys,
    )  # fmt: skip
    assert status == 1
    assert err == ""
    assert out.startswith("3 models, 1 flagged.\n  bee")
    written = pd.read_csv(out_file, index_col="model")
    models = {name: (FORMULA, part, "poisson") for name, part in data.groupby("species")}
    np.testing.assert_allclose(written["dispersion"], screen(models)["dispersion"])
    assert "overdispersed" in report.read_text(encoding="utf-8")


def test_screen_of_responses_as_json(data, tmp_path, capsys):
    wide = pd.DataFrame({name: part["y"].to_numpy() for name, part in data.groupby("species")})
    wide = wide.assign(x=data["x"][:96], g=data["g"][:96]).rename(columns={"ant": "wood ant"})
    wide.to_csv(tmp_path / "w.csv", index=False)
    status, out, _ = run(
        "screen", str(tmp_path / "w.csv"), "--formula", "~ x + (1|g)", "--family", "poisson", "--responses",
        "wood ant,bee", "--json", capsys=capsys,
    )  # fmt: skip
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["wood ant", "bee"]
    fit = glmm("bee ~ x + (1|g)", wide, "poisson")
    assert rows[1]["llf"] == pytest.approx(fit.llf)
    assert status == 1


def test_screen_survives_a_group_that_cannot_be_fitted(table, data, capsys):
    data.assign(y=data["y"].where(data["species"] != "ant", -1)).to_csv(table, index=False)
    common = ("screen", table, "--formula", FORMULA, "--family", "poisson", "--by", "species")
    status, out, _ = run(*common, "--fail-on", "error", capsys=capsys)
    assert status == 1
    assert "1 of them not fitted" in out


@pytest.fixture
def folder(data, tmp_path):
    path = tmp_path / "counts"
    path.mkdir()
    for name, part in data.groupby("species"):
        part.to_csv(path / f"{name}.csv", index=False)
    (path / "readme.md").write_text("no table")
    return path


def test_screen_of_a_folder(folder, data, capsys):
    common = ("screen", str(folder), "--formula", FORMULA, "--family", "poisson", "--out", str(folder / "screen.csv"))
    status, out, err = run(*common, capsys=capsys)
    assert (status, err) == (1, "")
    assert out.startswith("3 models, 1 flagged.\n  bee.csv")
    written = pd.read_csv(folder / "screen.csv", index_col="model")
    models = {f"{name}.csv": (FORMULA, part, "poisson") for name, part in data.groupby("species")}
    np.testing.assert_allclose(written["dispersion"], screen(models)["dispersion"])
    assert run(*common, capsys=capsys)[:2] == (status, out)  # its own table is no input the next time


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cbpp"], "--by or --responses"),
        ([".", "--by", "g"], "of a folder every file is one model"),
        (["{empty}"], "holds no file"),
    ],
)
def test_what_the_models_of_a_screen_are_must_be_clear(arguments, message, tmp_path, capsys):
    file, *rest = (text.format(empty=tmp_path) for text in arguments)
    status, out, err = run("screen", file, "--formula", "y ~ x", *rest, capsys=capsys)
    assert (status, out) == (2, "")
    assert message in err


def test_files_of_a_folder_that_cannot_be_used_are_all_named_first(folder, capsys):
    (folder / "bee.csv").write_text("x,g,y\n1,a,2\n2,b,n/a?\n3,b,4\n")
    (folder / "dragonfly.csv").write_text("a,b\n1,2\n")
    status, out, err = run("screen", str(folder), "--formula", FORMULA, capsys=capsys)
    assert (status, out) == (2, "")
    assert "2 of 4 files cannot be used:" in err
    assert "n/a?" in err
    assert "dragonfly.csv' has no column 'y'" in err


def test_data(tmp_path, capsys):
    status, out, _ = run("data", capsys=capsys)
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert run("data", "cbpp", "--out", str(tmp_path / "c.csv"), capsys=capsys)[0] == 0
    assert len(pd.read_csv(tmp_path / "c.csv")) == len(datasets.load("cbpp"))
    status, _, err = run("data", "nope", capsys=capsys)
    assert status == 2
    assert "salamanders" in err


# ---- tables as people have them ------------------------------------------------------------------------------------
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_is_found(data, tmp_path, delimiter):
    data.to_csv(tmp_path / "d.csv", index=False, sep=delimiter)
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "d.csv"), [FORMULA], ["species"]), data)


def test_wrong_delimiter_says_so(table):
    with pytest.raises(InputError, match=r"has no column 'y'.*delimiter"):
        read_table(table, [FORMULA], [], delimiter=";")


def test_decimal_commas(data, tmp_path):
    path = str(tmp_path / "d.csv")
    data.to_csv(path, index=False, sep=";", decimal=",")
    np.testing.assert_allclose(read_table(path, [FORMULA], [])["x"], data["x"])
    (tmp_path / "t.csv").write_text("y;x\n1;1,250\n2;2,500\n")
    with pytest.raises(InputError, match="decimals or thousands"):
        read_table(str(tmp_path / "t.csv"), ["y ~ x"], [])
    assert read_table(str(tmp_path / "t.csv"), ["y ~ x"], [], decimal=",")["x"].tolist() == [1.25, 2.5]


def test_encodings_and_compression(data, tmp_path, capsys):
    renamed = data.rename(columns={"x": "größe"})
    formula = "y ~ größe + (1|g)"
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        renamed.to_csv(tmp_path / "e.csv", index=False, encoding=encoding)
        read = read_table(str(tmp_path / "e.csv"), [formula], [])
        np.testing.assert_allclose(read["größe"], data["x"])
        assert ("latin-1" in capsys.readouterr().err) == (encoding == "latin-1")
    with gzip.open(tmp_path / "e.csv.gz", "wt", encoding="utf-8") as stream:
        renamed.to_csv(stream, index=False)
    assert len(read_table(str(tmp_path / "e.csv.gz"), [formula], [])) == len(data)


@pytest.mark.parametrize(
    ("text", "formula", "message"),
    [
        ("", "y ~ x", "is empty"),
        ("y,x\n", "y ~ x", "has a header but no rows"),
        ("y,x\n1,2\n", "y ~ z", "no column 'z'; its columns are: y, x"),
        ("y,x\n1,2\n", "y ~ log(z)", "no column 'z'"),
        ("y,x,x\n1,2,3\n", "y ~ x", "has 2 columns called 'x'"),
        ("y,x\n1,2\n2,3\n3,oops\n4,1\n", "y ~ x", "also the text 'oops' in data row 3"),
        ("y,x\n1,2\n1,2,3,4\n", "y ~ x", "line 3 has 4 fields, the header has 2"),
        ("y,x\n1,2\n3\n", "y ~ x", "line 3 has 1 fields, the header has 2"),
    ],
)
def test_what_is_wrong_with_a_table(text, formula, message, tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    status, out, err = run("check", str(path), "--formula", formula, capsys=capsys)
    assert status == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--formula", "y ~ x"], "no file 'nowhere.csv'"),
        ([".", "--formula", "y ~ x"], "is a folder"),
        (["cbpp", "--formula", "y ~"], "no column 'y'"),
        (["cbpp", "--formula", "incidence ~ period + (1|herd)", "--family", "poison"], "poison"),
        (["cbpp", "--formula", "incidence ~ period", "--fail-on", "dispersal"], "no 'dispersal'"),
        (["cbpp", "--formula", "incidence ~ period", "--trials", "nope"], "no column 'nope'"),
        (["cbpp", "--formula", "incidence ~ period", "--plot", "/nowhere/x.png"], "does not exist"),
    ],
)
def test_what_is_wrong_with_a_command(arguments, message, capsys):
    status, out, err = run("check", *arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert message in err


def test_text_that_means_missing(tmp_path):
    path = tmp_path / "na.csv"
    path.write_text("y,x,g\n1,2,a\n2,3,1\n3,below,2\n4,1,3\n")
    assert read_table(str(path), ["y ~ x + (1|g)"], [], na=["below"])["x"].isna().sum() == 1


def test_formulas_with_functions_and_quoted_names(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("y,body mass,x,n\n1,2,3,4\n5,6,7,8\n")
    formula = "y ~ poly(x, degree=2) + np.log(`body mass`) + C(n, levels=['a']) + offset(log(n))"
    assert list(read_table(str(path), [formula], []).columns) == ["y", "body mass", "x", "n"]


@pytest.mark.slow
def test_large_file_reads_only_what_is_needed(tmp_path):
    """Columns that the model does not name cost no memory; 20 MB stand for 200 MB in proportion."""
    path = tmp_path / "big.csv"
    line = ",".join(["word"] * 50)
    with path.open("w") as stream:
        stream.write("y,x," + ",".join(f"c{i}" for i in range(50)) + "\n")
        stream.writelines(f"{i % 7},{i},{line}\n" for i in range(80_000))
    table = read_table(str(path), ["y ~ x"], [])
    assert table.shape == (80_000, 2)
    assert table.memory_usage().sum() < 2e6


def test_the_program_in_a_process(table):
    """Exit status and a clean standard output, as a shell sees them."""
    code = "import sys; from simresid.cli import main; sys.exit(main())"
    arguments = ["check", table, "--formula", FORMULA, "--family", "poisson", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["nobs"] == 288
    assert done.stderr == ""
    usage = subprocess.run([sys.executable, "-c", code, "check"], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
