"""CSV files as people have them and as disks leave them, each with what its cells mean.

A file is made from columns whose values are known. Every column is written in one of many ways, the whole in one of
many formats, and some files have bytes changed afterwards; for those only the manner of the answer can be judged.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MISSING = ("", "NA", "N/A", "NaN", "null", "None", " NA ")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun")


@dataclass
class Column:
    """Texts of a column and what they mean: numbers (NaN for missing), or None for labels, which are the texts."""

    texts: list[str]
    numbers: np.ndarray | None


@dataclass
class File:
    """A table to read.

    Attributes
    ----------
    content : bytes
    name : str
    formula : str
    options : dict
        Arguments of `read_table`.
    columns : dict of str to Column
    is_intact : bool
        Whether no byte was changed.
    """

    content: bytes
    name: str
    formula: str
    options: dict[str, Any]
    columns: dict[str, Column] = field(default_factory=dict)
    is_intact: bool = True


def _grouped(value: float, sign: str, point: str) -> str:
    return f"{value:,.10g}".replace(",", "\0").replace(".", point).replace("\0", sign)


def _plain(value: float) -> str:
    return f"{value:.10g}"


WAYS: dict[str, Callable[[float], str]] = {
    "plain": _plain,
    "three decimals": lambda v: f"{v:.3f}",
    "exponent": lambda v: f"{v:.6e}",
    "plus": lambda v: f"{v:+.10g}",
    "decimal comma": lambda v: _plain(v).replace(".", ","),
    "thousands comma": lambda v: _grouped(v, ",", "."),
    "thousands point": lambda v: _grouped(v, ".", ",") + ("" if v % 1 else ",0"),
    "thousands space": lambda v: _grouped(v, " ", "."),
    "thousands narrow space": lambda v: _grouped(v, "\u202f", ","),
    "thousands underscore": lambda v: _grouped(v, "_", "."),
    "thousands apostrophe": lambda v: _grouped(v, "'", "."),
    "thousands hair space": lambda v: _grouped(v, "\u200a", "."),
    "thousands turned apostrophe": lambda v: _grouped(v, "\u2018", "."),
    "invisible sign": lambda v: "\u200b" + _plain(v),
    "mean and error": lambda v: _plain(v) + " ± 0.5",
    "money of another country": lambda v: "A$" + _plain(v),
    "percent": lambda v: _plain(v) + "%",
    "percent, comma": lambda v: _plain(v).replace(".", ",") + " %",
    "money": lambda v: "$" + _grouped(v, ",", "."),
    "money behind": lambda v: _plain(v) + " €",
    "money by code": lambda v: "CHF " + _grouped(v, "'", "."),
    "unit": lambda v: _plain(v) + " kg",
    "unit close": lambda v: _plain(v) + "mm",
    "minus of typography": lambda v: _plain(v).replace("-", "\u2212"),
    "wide digits": lambda v: "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in _plain(v)),
    "arabic digits": lambda v: "".join(chr(0x660 + int(c)) if c.isdigit() else c for c in _plain(v)),
    "brackets": lambda v: f"({_plain(abs(v))})" if v < 0 else _plain(v),
    "minus behind": lambda v: f"{_plain(abs(v))}-" if v < 0 else _plain(v),
    "minus apart": lambda v: _plain(v).replace("-", "- "),
    "formula": lambda v: f'="{_plain(v)}"',
    "apostrophe": lambda v: "'" + _plain(v),
    "starred": lambda v: _plain(v) + "*",
    "about": lambda v: "~" + _plain(v),
    "below": lambda v: "<" + _plain(v),
    "middle dot": lambda v: _plain(v).replace(".", "\u00b7"),
    "Fortran exponent": lambda v: f"{v:.6e}".replace("e", "D"),
    "exponent in words": lambda v: f"{v:.4e}".replace("e", " x 10^"),
    "hexadecimal": lambda v: hex(int(abs(v)) + 20),
    "date": lambda v: f"20{int(abs(v)) % 90 + 10}-{int(abs(v)) % 12 + 1:02d}-{int(abs(v) * 10) % 28 + 1:02d}",
    "date with points": lambda v: f"{int(abs(v) * 10) % 28 + 1}.{int(abs(v)) % 12 + 1}.20{int(abs(v)) % 90 + 10}",
    "date with slashes": lambda v: f"{int(abs(v)) % 12 + 1}/{int(abs(v) * 10) % 28 + 1}/20{int(abs(v)) % 90 + 10}",
    "date in words": lambda v: f"{int(abs(v) * 10) % 28 + 1} {MONTHS[int(abs(v)) % 6]} 2021",
    "date without signs": lambda v: (
        f"20{int(abs(v)) % 90 + 10}{int(abs(v)) % 12 + 1:02d}{int(abs(v) * 10) % 28 + 1:02d}"
    ),
    "quarter": lambda v: f"20{int(abs(v)) % 90 + 10}Q{int(abs(v)) % 4 + 1}",
    "time": lambda v: f"{int(abs(v)) % 24:02d}:{int(abs(v) * 60) % 60:02d}",
    "fraction": lambda v: f"{int(abs(v) * 8) + 1}/8",
    "huge": lambda v: "9" * 400,
    "word for infinity": lambda v: "inf" if v > 0 else "-Infinity",
}
"""Ways to write a number. Those that change its value, such as dates, must be refused."""

CHANGED = {"hexadecimal", "date", "date with points", "date with slashes", "date in words", "time", "fraction", "huge",
           "word for infinity", "percent", "percent, comma", "date without signs", "quarter",
           "mean and error"}  # fmt: skip

LABELS: dict[str, Callable[[int], str]] = {
    "letters": lambda k: "abcdefghijkl"[k],
    "words": lambda k: ("low", "high", "control", "Größe", "a b", "o'neill", 'say "so"', "x;y", "u,v", "T", "F", "no")[
        k
    ],
    "padded": lambda k: f"{k:03d}",
    "mixed padding": lambda k: ("1", "01", "001", "1.0", "1.00", "1e0", "+1", "2", "02", "2.0", "3", "1,0")[k],
    "plot numbers": lambda k: f"P{k}",
    "whole numbers": str,
    "bands": lambda k: f"{10 * k}-{10 * k + 9}",
    "versions": lambda k: f"1.{k}.3",
    "letter behind": lambda k: f"{k // 4}{'abcd'[k % 4]}",
    "long numbers": lambda k: f"1234567890123456789012{k}",
    "case": lambda k: ("a", "A", "b", "B", "é", "É", "e", "E", "ß", "ss", "i", "I")[k],
    "upper half": lambda k: chr(0x391 + k),
}
NEEDS_TEXT = {"padded", "mixed padding", "whole numbers", "long numbers", "letter behind"}
"""Labels that a predictor would take for numbers or refuse; they are used as groups only."""


def _values(rng: np.random.Generator, n: int) -> np.ndarray:
    kind = rng.integers(6)
    if kind == 0:
        return rng.integers(0, 50, n).astype(float)
    if kind == 1:
        return rng.normal(0, 10, n).round(int(rng.integers(1, 4)))
    if kind == 2:
        return rng.uniform(1000, 90000, n).round(1)
    if kind == 3:
        return rng.integers(100, 5_000_000, n).astype(float)
    if kind == 4:
        return rng.lognormal(0, 5, n).round(5)
    return rng.integers(1, 9, n) + 0.25


def _with_gaps(rng: np.random.Generator, texts: list[str], numbers: np.ndarray) -> None:
    for row in np.flatnonzero(rng.random(len(texts)) < 0.1):
        texts[row], numbers[row] = str(rng.choice(MISSING)), np.nan


def _number_column(rng: np.random.Generator, n: int, way: str) -> Column:
    values = _values(rng, n)
    if way == "three decimals":
        values = values.round(3)
    if way in ("exponent", "Fortran exponent"):
        values = np.array([float(f"{v:.6e}") for v in values])
    if way == "exponent in words":
        values = np.array([float(f"{v:.4e}") for v in values])
    texts = [WAYS[way](float(v)) for v in values]
    if way not in ("plain", "exponent", "date without signs") and rng.random() < 0.25:  # not in all rows
        for row in np.flatnonzero(rng.random(n) < rng.random()):
            texts[row] = _plain(values[row])
    changed = np.array([way in CHANGED and text != _plain(v) for text, v in zip(texts, values, strict=True)])
    numbers = np.where(changed, np.inf, values)  # no number that is read can equal it
    if rng.random() < 0.3:
        _with_gaps(rng, texts, numbers)
    if rng.random() < 0.1:
        for row in rng.choice(n, int(rng.integers(1, max(n // 3, 2))), replace=False):
            texts[row], numbers[row] = str(rng.choice(["oops", "n.d.", "-", "?", "see note", "below"])), np.inf
    return Column(texts, numbers)


def _label_column(rng: np.random.Generator, n: int, group: bool) -> Column:
    names = [name for name in LABELS if group or name not in NEEDS_TEXT]
    make = LABELS[str(rng.choice(names))]
    texts = [make(int(k)) for k in rng.integers(0, int(rng.integers(2, 12)), n)]
    for row in np.flatnonzero(rng.random(n) < 0.05):
        texts[row] = str(rng.choice(["", "NA", "None"]))
    if rng.random() < 0.2:
        texts = [text + " " if rng.random() < 0.3 else text for text in texts]
    return Column(texts, None)


def _quoted(text: str, delimiter: str, always: bool) -> str:
    if always or delimiter in text or '"' in text or text.startswith(" "):
        return '"' + text.replace('"', '""') + '"'
    return text


def generate(seed: int) -> File:
    """Make the file of this number."""
    rng = np.random.default_rng([20261127, seed])
    n = int(rng.integers(12, 60))
    ways = list(WAYS)

    def way() -> str:
        return "plain" if rng.random() < 0.4 else ways[int(rng.integers(len(ways)))]

    counts = rng.poisson(3, n)
    columns = {
        "y": Column([str(v) for v in counts], counts.astype(float)),
        "x": _number_column(rng, n, way()),
        "z": _number_column(rng, n, way()),
        "f": _label_column(rng, n, group=False),
        "g": _label_column(rng, n, group=True),
        "unused": _number_column(rng, n, way()),
    }
    delimiter = str(rng.choice([",", ",", ";", "\t", "|"]))
    always = bool(rng.random() < 0.2)
    names = list(rng.permutation(list(columns)))
    rows = [names, *([columns[name].texts[i] for name in names] for i in range(n))]
    space = " " if rng.random() < 0.1 else ""
    lines = [(delimiter + space).join(_quoted(cell, delimiter, always) for cell in row) for row in rows]
    end = str(rng.choice(["\n", "\n", "\r\n", "\r"]))
    if rng.random() < 0.1:
        lines.insert(int(rng.integers(1, n)), "")
    text = end.join(lines) + (end if rng.random() < 0.8 else "")
    encoding = str(rng.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    content = text.encode(encoding)
    options: dict[str, Any] = {}
    if rng.random() < 0.25:
        options["decimal"] = str(rng.choice([".", ","]))
    if rng.random() < 0.25:
        options["thousands"] = str(rng.choice([",", ".", "space", "_", "apostrophe"]))
        if options["thousands"] == options.get("decimal"):
            del options["decimal"]
    if rng.random() < 0.1:
        options["na"] = ["n.d.", "-"]
    if rng.random() < 0.1:
        options["na_only"] = True
    formula = str(
        rng.choice(["y ~ x + z + f + (1|g)", "y ~ x + (1|g)", "y ~ z + f", "y ~ x + C(g)", "y ~ x*f + (x|g)"])
    )
    intact = bool(rng.random() < 0.7)
    if not intact:
        content = damaged(rng, content)
    name = str(rng.choice(["t.csv", "t.csv", "T.CSV", "t.tsv", "t.txt"]))
    if rng.random() < 0.1:
        content, name = gzip.compress(content, mtime=0), name + str(rng.choice([".gz", ".GZ"]))
        if not intact and rng.random() < 0.5:
            content = damaged(rng, content)
    return File(content, name, formula, options, columns, intact)


PIECES = (
    b'"', b"\x00", b",", b";", b"\n", b"\r", b"\xff", b"\xc3", b"\xe2\x80\xae", b"\x1b[31m", b"'", b"=cmd()",
    b"\t", b"\\", b"9" * 400, b'"' * 9, b"\xef\xbb\xbf", b"1e999", b"\x1a", b"nan", b" " * 50, b"|",
)  # fmt: skip


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Change some bytes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, len(data) + 1))
        kind = rng.integers(6)
        if kind == 0 and at < len(data):
            data[at] = int(rng.integers(256))
        elif kind == 1:
            data[at:at] = PIECES[int(rng.integers(len(PIECES)))]
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 30))]
        elif kind == 3 and rng.random() < 0.3:
            del data[at:]
        elif kind == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 80))]
        else:
            other = int(rng.integers(0, len(data) + 1))
            piece = bytes(data[other : other + 5])
            data[at : at + 5] = piece
    return bytes(data)
