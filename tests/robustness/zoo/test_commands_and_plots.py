"""Odd files for the command line, and plots of what leaves nothing to draw."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import simresid
from glmmcore import glmm
from simresid import from_simulations
from simresid.cli import main

from .cage import Case, Result, finite, judge, refused, zoo
from .data import N, clean, table


class Answer(NamedTuple):
    """What a command printed."""

    status: int
    out: str
    err: str


def command(
    content: bytes | None, *options: str, name: str = "d.csv", formula: str = "y ~ x + (1|g)"
) -> Callable[[], Any]:
    """``simresid check`` of a file, as JSON."""

    def call() -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            if content is not None:
                path.write_bytes(content)
            arguments = [
                "check",
                str(path),
                "--formula",
                formula,
                "--family",
                "poisson",
                "--json",
                "--sims",
                "20",
                *options,
            ]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    status = main(arguments)
                except SystemExit as stop:  # argparse
                    status = int(stop.code or 0)
        return Answer(status, out.getvalue(), err.getvalue())

    return call


def says(*words: str) -> Result:
    """Status 2, and a sentence with these words on standard error."""

    def check(answer: Answer) -> None:
        assert answer.status == 2 and not answer.out, answer
        assert "Traceback" not in answer.err
        for word in words:
            assert word in answer.err, answer.err

    return Result(check)


def without_fifth() -> float:
    return float(glmm("y ~ x + (1|g)", table().drop(index=4), "poisson").llf)


def fits(rows: int = N, llf: Callable[[], float] = lambda: clean().llf) -> Result:
    """The numbers of the clean fit."""

    def check(answer: Answer) -> None:
        assert answer.status in (0, 1), answer.err
        record = json.loads(answer.out)
        assert record["nobs"] == rows
        np.testing.assert_allclose(record["llf"], llf(), rtol=1e-6)

    return Result(check)


@cache
def text(**options: Any) -> str:
    return table()[["y", "x", "g"]].to_csv(index=False, **options)


def lines(*changes: tuple[int, str]) -> bytes:
    """Clean file with some lines replaced."""
    rows = text().splitlines()
    for at, line in changes:
        rows[at] = line
    return "\n".join(rows).encode()


HEAD = "y,x,g"
FILES = [
    Case("plain", command(text().encode()), fits()),
    *(Case(f"in {code}", command(text().encode(code)), fits()) for code in ("utf-8-sig", "utf-16", "latin-1", "ascii")),
    Case("in utf-16 without a mark", command(text().encode("utf-16-le")), says("not a text file")),
    Case("in utf-16 without a mark, named", command(text().encode("utf-16-le"), "--encoding", "utf-16-le"), fits()),
    Case("unknown encoding", command(text().encode(), "--encoding", "utf-99"), says("utf-99")),
    Case("wrong encoding", command(text().replace("a", "é").encode("latin-1"), "--encoding", "utf-8"), says("utf-8")),
    Case("accents in latin-1", command(text().replace("a", "é").encode("latin-1")), fits()),
    *(Case(f"delimiter {d!r}", command(text(sep=d).encode()), fits()) for d in ";\t|"),
    Case("delimiter named tab", command(text(sep="\t").encode(), "--delimiter", "tab"), fits()),
    Case("delimiter of two letters", command(text().encode(), "--delimiter", "::"), says("--delimiter")),
    Case("wrong delimiter", command(text().encode(), "--delimiter", ";"), says("no column", "--delimiter")),
    Case("decimal commas", command(text().replace(",", ";").replace("2;", "2,0;").encode(), "--decimal", ","), fits()),
    Case("Windows line ends", command(text().replace("\n", "\r\n").encode()), fits()),
    Case("old Macintosh line ends", command(text().replace("\n", "\r").encode()), fits()),
    Case("no line end at the end", command(text().rstrip("\n").encode()), fits()),
    Case("blank lines", command(text().replace("\n", "\n\n").encode()), fits()),
    Case("everything quoted", command(text(quoting=1).encode()), fits()),
    Case("spaces after commas", command(text().replace(",", ", ").encode()), fits()),
    Case("newline in quotes", command(text().replace(",a\n", ',"a\nb"\n').encode()), fits()),
    Case("delimiter in quotes", command(text().replace(",a\n", ',"a,b"\n').encode()), fits()),
    Case("quotes in quotes", command(text().replace(",a\n", ',"a ""b"""\n').encode()), fits()),
    Case("quote never closed", command(lines((5, '1,2,"a'))), says("d.csv")),
    Case("row too long", command(lines((5, "1,2,a,9"))), says("line 6", "4 fields")),
    Case("row too short", command(lines((5, "1,2"))), says("line 6", "2 fields")),
    Case("trailing commas", command(text().replace("\n", ",\n").encode()), fits()),
    Case("no file", command(None), says("no file")),
    Case("empty file", command(b""), says("empty")),
    Case("only a byte-order mark", command(b"\xef\xbb\xbf"), says("empty")),
    Case("only blank lines", command(b"\n\n\n"), says("empty")),
    Case("only a header", command(HEAD.encode()), says("no rows")),
    Case("no header", command(text().split("\n", 1)[1].encode()), says("no column")),
    Case("column missing", command(text().replace("x", "v", 1).encode()), says("'x'")),
    Case("column twice", command(text().replace(HEAD, "y,x,x").encode(), formula="y ~ x"), says("2 columns", "'x'")),
    Case(
        "unused columns twice",
        command(lines((0, "y,x,g")).replace(b"\n", b",1,2\n").replace(b"g,1,2", b"g,q,q", 1) + b",1,2"),
        fits(),
    ),
    Case("names with spaces around", command(text().replace(HEAD, " y , x , g ").encode()), fits()),
    Case("null bytes", command(b"\x00" * 100), says("not a text file")),
    Case("null byte in the middle", command(lines((5, "1,\x002,a"))), says("d.csv")),
    Case("an image", command(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4), says("d.csv")),
    Case("gzip", command(gzip.compress(text().encode(), mtime=0), name="d.csv.gz"), fits()),
    Case(
        "gzip cut off", command(gzip.compress(text().encode(), mtime=0)[:80], name="d.csv.gz"), says("cannot be read")
    ),
    Case("not gzip at all", command(text().encode(), name="d.csv.gz"), says("cannot be read")),
    Case("text called Parquet", command(text().encode(), name="d.parquet"), says("Parquet")),
    Case("stray text in a number", command(lines((5, "1,two,a"))), says("'x'", "'two'", "--na")),
    Case("stray text that is missing", command(lines((5, "1,two,a")), "--na", "two"), fits(N - 1, without_fifth)),
    Case("infinite number", command(lines((5, "1,inf,a"))), says("'x'", "inf")),
    Case("number of 1e400", command(lines((5, "1,1e400,a"))), says("'x'", "inf")),
    Case("response of text", command(text().replace(HEAD, "g,x,y").encode(), formula="y ~ x"), says("'y'")),
    Case("negative counts", command(lines((5, "-1,2,a"))), says("negative")),
    Case("all missing", command("\n".join([HEAD, *[",,"] * 5]).encode()), says("missing")),
    Case("one row", command(b"y,x,g\n1,2,a\n"), says("few")),
    Case("bad formula", command(text().encode(), formula="y ~ (x"), says("not closed")),
    Case("empty formula", command(text().encode(), formula=""), says("formula")),
    Case("code in the formula", command(text().encode(), formula="y ~ __import__('os').getcwd()"), says("__import__")),
    Case("unknown family", command(text().encode(), "--family", "poison"), says("poison")),
    Case("unknown link", command(text().encode(), "--link", "lgo"), says("lgo")),
    Case("unknown offset", command(text().encode(), "--offset", "qq"), says("'qq'")),
    Case("unknown time", command(text().encode(), "--time", "qq"), says("'qq'")),
    Case("x without y", command(text().encode(), "--x", "x"), says("y")),
    Case("folder of a plot missing", command(text().encode(), "--plot", "/no/such/p.png"), says("folder")),
    *(
        Case(f"{o} {v}", command(text().encode(), o, v), says(o))
        for o, v in (
            ("--sims", "0"),
            ("--sims", "x"),
            ("--seed", "-1"),
            ("--alpha", "2"),
            ("--alpha", "nan"),
            ("--fail-on", "rain"),
            ("--fail-on", ""),
            ("--decimal", "x"),
        )
    ),
]

# ---- plots ---------------------------------------------------------------------------------------------------
ROWS = np.arange(N)


@cache
def degenerate(kind: str) -> simresid.SimulatedResiduals:
    rng = np.random.default_rng(4)
    sims, y = rng.poisson(3.0, (50, N)).astype(float), rng.poisson(3.0, N).astype(float)
    match kind:
        case "zeros":
            sims, y = sims * 0, y * 0
        case "all equal and missed":
            sims, y = sims * 0 + 5, y * 0 + 9
        case "huge":
            sims, y = sims * 1e100, y * 1e100
        case "tiny":
            sims, y = sims * 1e-100, y * 1e-100
        case "two rows":
            sims, y = sims[:, :2], y[:2]
        case "counts of 1e12":
            sims, y = sims + 1e12, y + 1e12
        case "outliers only":
            y = np.where(ROWS % 2, 1e6, -1e6)
        case "two simulations":
            sims = sims[:2]
    return from_simulations(sims, y)


def drawn(plot: str, kind: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    def call() -> Any:
        result = getattr(simresid, plot)(degenerate(kind), *arguments, **options)
        figure = result if hasattr(result, "savefig") else np.ravel(result)[0].figure
        try:
            figure.savefig(io.BytesIO(), dpi=40)
        finally:
            plt.close(figure)
        return 0.0

    return call


KINDS = [
    "zeros",
    "all equal and missed",
    "huge",
    "tiny",
    "two rows",
    "counts of 1e12",
    "outliers only",
    "two simulations",
]
SIMPLE = ["plot_qq", "plot_residuals", "plot_histogram", "plot_outliers", "plot_rootogram", "plot_overview"]
EXCUSES = {  # where there is nothing to draw, and what is said
    ("plot_rootogram", "huge"): "2**53",
    ("plot_rootogram", "tiny"): "counts",
    ("plot_rootogram", "outliers only"): "counts",
}
PLOTS = [
    *(
        Case(
            f"{plot} of {kind}",
            drawn(plot, kind),
            refused(EXCUSES[plot, kind]) if (plot, kind) in EXCUSES else finite(),
        )
        for plot in SIMPLE
        for kind in KINDS
    ),
    *(
        Case(f"residuals against {name}", drawn("plot_residuals", "plain", values), finite())
        for name, values in (
            ("a constant", np.ones(N)),
            ("values of 1e300", ROWS * 1e300),
            ("values of 1e-300", ROWS * 1e-300),
            ("dates", pd.date_range("2020", periods=N)),
            ("60 long names", [f"a very long name of a category, number {i}" for i in ROWS]),
            ("one category", ["a"] * N),
            ("unicode", ["größe 変数 😀"[: 1 + i % 3] for i in ROWS]),
            ("dollars and underscores", ["$x_1$", "a_b^{"] * 30),
            ("booleans", ROWS % 2 == 0),
            ("infinity", np.where(ROWS == 3, np.inf, ROWS)),
            ("nullable", pd.array(ROWS, dtype="Int64")),
            ("NaN in places", np.where(ROWS < 5, np.nan, ROWS)),
        )
    ),
    *(
        Case(f"residuals against {name}", drawn("plot_residuals", "plain", values), refused(*words))
        for name, values, words in (
            ("another length", [1, 2], ("60",)),
            ("an unknown column", "qq", ("'qq'",)),
            ("only NaN", np.full(N, np.nan), ("missing",)),
            ("complex numbers", ROWS * 1j, ("number",)),
        )
    ),
    Case("temporal of one time", drawn("plot_temporal", "plain", np.ones(N)), refused("time")),
    Case("spatial of one place", drawn("plot_spatial", "plain", np.ones(N), np.ones(N)), refused("place")),
    Case("a fit instead of residuals", lambda: simresid.plot_qq(clean()), refused("simulate_residuals")),
    Case("a number instead of residuals", lambda: simresid.plot_qq(3), refused("residuals")),
    Case("None instead of residuals", lambda: simresid.plot_overview(None), refused("residual")),
]


@zoo([*FILES, *PLOTS])
def test_commands_and_plots(case: Case) -> None:
    judge(case)
