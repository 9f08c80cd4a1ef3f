"""Command line: any bytes as a CSV file, with options and formulas from the same bytes."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

from simresid.cli import main

from .reader import Reader

CELLS = (
    "0", "1", "2", "3", "4.5", "-1", "1e3", "1e308", "a", "b", "", "NA", "nan", "inf", "1,5", '"a"', '"', "'", " ", "é",
    "2020-01-01", "True", "1;2", "\x00", "0x10", "1_000", "10", "7", "0.25", "x",
)  # fmt: skip

FOLDER = Path(tempfile.mkdtemp(prefix="simresid-fuzz-"))
FORMULAS = ("y ~ x", "y ~ x + (1|g)", "`y` ~ x", "y ~ 1", "k ~ x + (1|g)", "cbind(y, n) ~ x", "a ~ b", "y ~ g", "é ~ x")
FAMILIES = ("gaussian", "poisson", "binomial", "gamma", "nbinom2", "nonsense")


def _table(reader: Reader) -> bytes:
    """Rectangular mostly, with plain numbers mostly."""
    sign = reader.choice((",", ",", ";", "\t"))
    lines = [sign.join(("y", "x", "g", "n", "k"))]
    for byte in reader.rest()[:60]:
        cells = [str(byte % 7), str(byte / 8), "abcd"[byte % 4], str(byte % 5 + 1), str(byte % 3)]
        if byte % 16 == 0:
            cells[byte // 16 % 5] = CELLS[byte // 16 % len(CELLS)]
        if byte % 32 == 1:
            cells[byte // 32 % 5] = CELLS[(byte // 8) % len(CELLS)]
        lines.append(sign.join(cells))
    return "\n".join(lines).encode()


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
            ["--encoding", reader.choice(("utf-16", "hex", "idna", "nonsense", "cp037"))],
            ["--na", "x"],
            ["--json"],
            ["--offset", "x"],
        )
    ):
        if flags >> 5 == 0 and flags >> bit & 1:
            arguments += option
    file.write_bytes(_table(reader) if reader.chance(0.5) else reader.rest()[:4000])
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
