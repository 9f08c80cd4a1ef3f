"""Command line: any bytes as a CSV file, with options and formulas from the same bytes."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

from simresid.cli import main

from .reader import Reader

FOLDER = Path(tempfile.mkdtemp(prefix="simresid-fuzz-"))
FORMULAS = ("y ~ x", "y ~ x + (1|g)", "`y` ~ x", "y ~ 1", "k ~ x + (1|g)", "cbind(y, n) ~ x", "a ~ b", "y ~ g", "é ~ x")
FAMILIES = ("gaussian", "poisson", "binomial", "gamma", "nbinom2", "nonsense")


def check(data: bytes) -> str:
    reader = Reader(data)
    file = FOLDER / f"table-{os.getpid()}{reader.choice(('.csv', '.csv', '.csv', '.txt', '.csv.gz', '.parquet'))}"
    what = reader.choice(("check", "check", "screen-by", "screen-responses"))
    arguments = [what.split("-")[0], str(file), "--formula", reader.choice(FORMULAS), "--sims", "20"]
    arguments += ["--family", reader.choice(FAMILIES)]
    if what == "screen-by":
        arguments += ["--by", reader.choice(("g", "x", "y"))]
    if what == "screen-responses":
        arguments += ["--responses", reader.choice(("y", "y,x", "y,y", ",", "g"))]
    flags = reader.byte()
    for bit, option in enumerate(
        (
            ["--delimiter", ";"],
            ["--decimal", ","],
            ["--encoding", "utf-16"],
            ["--na", "x"],
            ["--json"],
            ["--offset", "x"],
        )
    ):
        if flags >> 5 == 0 and flags >> bit & 1:
            arguments += option
    file.write_bytes(reader.rest()[:4000])
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    finally:
        file.unlink()
    assert status in (0, 1, 2), status
    if status == 2:
        assert out.getvalue() == "" and err.getvalue().strip(), (out.getvalue(), err.getvalue())
    return ("fine", "flagged", "refused")[status]
