"""Whether a file was read as what it means, or refused with a sentence."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from simresid.cli import main
from simresid.cli.cells import MISSING_WORDS
from simresid.cli.tables import InputError, read_table

from .generate import Column, File

SECONDS = 20.0
"""Time that no file may take."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    start = time.process_time()
    yield
    took = time.process_time() - start
    assert took < SECONDS, f"took {took:.1f} s"


def judge_reading(file: File, folder: Path) -> str:
    """Read the file; raise what is no `InputError`, and AssertionError for a silent recoding."""
    path = folder / file.name
    path.write_bytes(file.content)
    try:
        with in_time(), contextlib.redirect_stderr(io.StringIO()):
            table = read_table(str(path), [file.formula], [], **file.options)
    except InputError as error:
        assert str(path) in str(error) or "--" in str(error), error
        return "refused"
    finally:
        path.unlink()
    if file.is_intact:
        for name in table.columns:
            _judge_column(table[str(name)], file.columns[str(name)], file)
    return "read"


def _judge_column(read: pd.Series, column: Column, file: File) -> None:
    assert len(read) == len(column.texts)
    texts = [text.strip() for text in column.texts]
    if column.numbers is not None:
        assert pd.api.types.is_numeric_dtype(read.dtype), f"{read.name} became {read.dtype}: {texts[:5]}"
        expected = column.numbers
        missing = {"-", "n.d."} & set(file.options.get("na", ()))
        expected = np.where([text in missing for text in texts], np.nan, expected)
        if file.options.get("thousands") in (".", ","):  # whoever says that points are between thousands gets them so
            told = [text.replace(file.options["thousands"], "") for text in texts]
            is_so = [
                a != b and b.lstrip("+-").isdigit() and float(b) == r for a, b, r in zip(texts, told, read, strict=True)
            ]
            expected = np.where(is_so, read, expected)
        np.testing.assert_allclose(read.to_numpy(dtype=float), expected, rtol=1e-9, err_msg=str(texts[:5]))
        return
    words = set(file.options.get("na", ())) | (set() if file.options.get("na_only") else MISSING_WORDS)
    gone = [not text or text in words for text in texts]
    assert read.isna().tolist() == gone
    known = pd.DataFrame({"text": texts, "label": read.astype(str)})[~np.array(gone)]
    pairs = known.drop_duplicates()
    assert pairs["text"].is_unique and pairs["label"].is_unique, f"labels merged or split: {pairs}"


def judge_command(file: File, folder: Path) -> str:
    """Run ``simresid check`` on the file; the exit status says what happened, and says it in words."""
    path = folder / file.name
    path.write_bytes(file.content)
    arguments = ["check", str(path), "--formula", file.formula, "--family", "poisson", "--sims", "20", "--json"]
    for name, value in file.options.items():
        option = "--" + name.replace("_", "-")
        for text in value if isinstance(value, list) else [value]:
            arguments += [option] if text is True else [f"{option}={text}"]
    out, err = io.StringIO(), io.StringIO()
    try:
        with in_time(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    finally:
        path.unlink()
    said = err.getvalue()
    assert status in (0, 1, 2), said
    assert (status == 2) == (not out.getvalue())
    assert status != 2 or said.startswith("simresid"), said
    assert "\x1b" not in out.getvalue() + said
    return ("fine", "flagged", "refused")[status]
