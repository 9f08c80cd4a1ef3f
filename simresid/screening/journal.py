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
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simresid.files import named_errors, replacing
from simresid.protocol import HasDescription

if TYPE_CHECKING:
    import pandas as pd

    from simresid.screening.one_model import Record

__all__ = ["ScreenFile", "content_key"]

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
        self.journal = self.path.with_name(self.path.name + ".journal")
        if not resume:
            self.journal.unlink(missing_ok=True)
        self.known = self._read()
        self._table = table
        self._next = 0.0
        self._stream = self.journal.open("ab")

    def _read(self) -> dict[str, Record]:
        """Records of a former run by key; what a killed process left half written is cut off."""
        if not self.journal.exists():
            return {}
        text = self.journal.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            with self.journal.open("r+b") as stream:
                stream.truncate(whole)
        records = (json.loads(line) for line in text[:whole].splitlines())
        return {r["key"]: r for r in records}

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
        with replacing(
            self.path, "screen"
        ) as scratch:  # always the same name: the next run tidies up after a killed one
            if self.path.suffix == ".csv":
                table.to_csv(scratch)
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
