"""File of a screen: a table that is complete at every moment, and a journal from which a stopped run resumes.

Records are appended to ``<file>.journal``, one line of JSON each, as they come. The table itself is written to a
temporary file and put in place in one step, at most about every second, so that whoever reads it sees a whole table
and a killed process loses none of what it computed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmmcore.arguments import warn_user
from simresid.files import named_errors, remove_leftovers, replacing
from simresid.protocol import HasDescription

if TYPE_CHECKING:
    import pandas as pd

    from simresid.screening.one_model import Record

__all__ = ["ScreenFile", "content_key", "journal_of", "journal_records"]

SECONDS_BETWEEN_TABLES = 1.0
WRITING_SHARE = 20.0
"""Seconds of work per second of writing tables, when these become large."""


class ScreenFile:
    """Journal and table of one screen.

    Parameters
    ----------
    path : path-like
        ``.csv`` or ``.parquet``.
    resume : bool
        Use the records of a former run; otherwise they are deleted.
    table : callable
        Makes the data frame out of what has been computed.
    """

    def __init__(self, path: str | os.PathLike[str], resume: bool, table: Callable[[], pd.DataFrame]) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".csv", ".parquet"):
            raise ValueError(f"out={str(path)!r}: the name must end in .csv or .parquet")
        if self.path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            raise ValueError(f"out={str(path)!r}: Parquet needs the package pyarrow; install it or use .csv")
        if not self.path.parent.is_dir():
            raise ValueError(f"out={str(path)!r}: folder {self.path.parent} does not exist")
        self.journal = journal_of(self.path)
        if not resume:
            self.journal.unlink(missing_ok=True)
        remove_leftovers(self.path)
        self._stream = _opened(self.journal)
        self.known = self._read()
        self._table = table
        self._next = 0.0

    def _read(self) -> dict[str, Record]:
        """Records of a former run by key; what a killed process left half written is cut off."""
        self._stream.seek(0)
        text = self._stream.read()
        known, damaged = _records(text)
        if text and not known and not text.startswith(b'{"key": "'):
            self._stream.close()
            raise ValueError(
                f"'{self.journal}' is not the journal of a screen; rename it, or choose another name for the table"
            )
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            self._stream.truncate(whole)
        if damaged:
            warn_user(
                f"{damaged} damaged lines of '{self.journal}' are left out; their models are computed again",
            )
        return known

    def add(self, records: list[tuple[str, Record]]) -> None:
        """Keep new records by key, and renew the table when it is time."""
        with named_errors(self.journal):
            for key, record in records:
                self._stream.write(json.dumps({"key": key, **record}).encode() + b"\n")
            self._stream.flush()
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Put the table of what there is in place."""
        start = time.monotonic()
        table = self._table()
        with replacing(self.path) as scratch:
            if self.path.suffix == ".csv":
                _without_commands(table).to_csv(scratch, errors="backslashreplace")
            else:
                table.to_parquet(scratch)
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN_TABLES, WRITING_SHARE * (now - start))

    def close(self) -> None:
        """Write the last table."""
        try:
            with named_errors(self.journal):
                self._stream.close()
        finally:
            self.write()


def journal_of(path: str | os.PathLike[str]) -> Path:
    """Where the records of a table are kept."""
    return Path(path).with_name(Path(path).name + ".journal")


def journal_records(path: Path) -> dict[str, Record]:
    """Whole records of a journal by key, none where there is no such file."""
    if not path.is_file():
        return {}
    with _opened(path) as stream:
        stream.seek(0)
        return _records(stream.read())[0]


def _opened(path: Path) -> Any:
    """Journal to read and append to; a link in its place, which somebody else may have put there, is refused."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise ValueError(f"'{path}' is a link; the journal of a screen must be a file of its own: remove the link")
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(f"'{path}' is no ordinary file; the journal of a screen must be one")
    return os.fdopen(handle, "a+b")


def _records(text: bytes) -> tuple[dict[str, Record], int]:
    """Records by key of all whole lines, and how many lines were none."""
    known: dict[str, Record] = {}
    damaged = 0
    for line in text[: text.rfind(b"\n") + 1].splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if _is_record(record):
            known[record["key"]] = record
        else:
            damaged += 1
    return known, damaged


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "key": str, "error": str, "notes": str, "seconds": (int, float), "p": dict, "sharp": dict, "columns": dict,
    "negligible": list, "clear": list, "advice": dict,
}  # fmt: skip
_NUMBERS = ("p", "sharp", "columns")


def _is_record(record: Any) -> bool:
    """Whether a line holds all that the table is made of, each of its type."""
    if not isinstance(record, dict) or not all(isinstance(record.get(n), kind) for n, kind in _FIELDS.items()):
        return False
    numbers = [value for name in _NUMBERS for value in record[name].values()]
    texts = [*record["advice"].values(), *record["negligible"], *record["clear"], record.get("description", "")]
    fine = all(isinstance(value, int | float) for value in numbers) and all(isinstance(text, str) for text in texts)
    known = all(record.get(name) in (None, True, False) for name in ("converged", "singular"))
    about = all(isinstance(record.get(name, 0.0), int | float | None) for name in ("nobs", "llf"))
    return fine and known and about


_NUMBER = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", flags=re.ASCII)


def _without_commands(table: pd.DataFrame) -> pd.DataFrame:
    """Table whose texts no spreadsheet takes for a formula: those that begin like one begin with an apostrophe."""
    from pandas.api.types import is_numeric_dtype

    table = table.rename(index=_plain_text, columns=_plain_text)
    return table.apply(lambda column: column if is_numeric_dtype(column.dtype) else column.map(_plain_text))


def _plain_text(value: Any) -> Any:
    risky = (
        isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(value)
    )
    return f"'{value}" if risky else value


def content_key(settings: str, name: Any, item: Any) -> str:
    """Digest of all that a record depends on: a changed model or setting is computed anew.

    Parameters
    ----------
    settings : str
        What all models of the screen share.
    name : hashable
    item : fitted model or tuple
        A fitted model is known by its class, response and fitted values.
    """
    import numpy as np
    import pandas as pd

    digest = hashlib.sha1(f"{settings}|{name!r}".encode(), usedforsecurity=False)
    if isinstance(item, tuple) and len(item) > 1:
        frame = item[1] if isinstance(item[1], pd.DataFrame) else pd.DataFrame(item[1])
        digest.update(repr((item[0], *item[2:], list(frame.columns), [str(t) for t in frame.dtypes])).encode())
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        return digest.hexdigest()
    from simresid.adapters import as_fitted_model

    model = as_fitted_model(item)
    description = model.description if isinstance(model, HasDescription) else ""
    digest.update(f"{type(item).__qualname__} {description}".encode())
    for values in (model.observed, model.fitted):
        digest.update(np.ascontiguousarray(values, dtype=float).tobytes())
    return digest.hexdigest()
