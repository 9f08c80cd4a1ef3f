"""Data sets of R packages, from a folder, a cache or the network.

Looked for in this order: a CSV file in the folder named by the environment variable ``SIMRESID_DATA``; the
cache of statsmodels; the Rdatasets collection, through `statsmodels.datasets.get_rdataset`. With the folder
filled, no network is needed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FOLDER_VARIABLE", "DataUnavailable", "load"]

FOLDER_VARIABLE = "SIMRESID_DATA"
"""Environment variable with the folder of CSV files to look into first."""

TIMEOUT = 10.0
"""Seconds to wait for the network."""


class DataUnavailable(OSError):
    """Neither folder nor cache nor network has the data set; the message says where it was looked for."""


def load(name: str, package: str | None = None, *, folder: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    r"""Read data set `name` of an R package.

    Parameters
    ----------
    name : str
        As in R, such as ``"beall.webworms"``.
    package : str, optional
        R package, such as ``"agridat"``. Without it only the folder is looked into.
    folder : path-like, optional
        Folder of CSV files, by default what ``SIMRESID_DATA`` says. Found there are ``package/name.csv``,
        ``name.csv`` and, for agridat's names of the form author.subject, ``subject.csv``.

    Returns
    -------
    DataFrame
        The data set, one row per observation.

    Raises
    ------
    DataUnavailable
        If it is nowhere to be had.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from simresid import rdatasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "webworms.csv").write_text("y,block\n1,B1\n")
    ...     rdatasets.load("beall.webworms", "agridat", folder=folder)
       y block
    0  1    B1
    """
    import pandas as pd

    source = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if source is not None:
        for file in _candidates(Path(source), name, package):
            if file.is_file():
                return pd.read_csv(file)
    looked = f"folder {os.fspath(source)!r}" if source is not None else f"no folder ({FOLDER_VARIABLE} is unset)"
    if package is None:
        raise DataUnavailable(f"data set {name!r} not found: {looked}")
    try:
        return _from_rdatasets(name, package)
    except (OSError, ValueError, ImportError) as error:
        raise DataUnavailable(
            f"data set {name!r} of {package} not found: {looked}; Rdatasets: {type(error).__name__}: {error}"
        ) from error


def _candidates(folder: Path, name: str, package: str | None) -> list[Path]:
    subject = name.rpartition(".")[2]
    files = [folder / f"{name}.csv", folder / f"{subject}.csv"]
    return files if package is None else [folder / package / f"{name}.csv", *files]


def _from_rdatasets(name: str, package: str) -> pd.DataFrame:
    from statsmodels.datasets import get_rdataset

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # statsmodels sets none, and would wait for ever
    try:
        data: pd.DataFrame = get_rdataset(name, package, cache=True).data
    finally:
        socket.setdefaulttimeout(before)
    return data
