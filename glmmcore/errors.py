"""The one exception and the one warning a user of glmmcore has to know."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["DataWarning", "ModelError", "no_data_warnings", "warn_of_data", "warn_user"]

_OWN = ("glmmcore", "simresid")
_SILENT: ContextVar[bool] = ContextVar("no data warnings", default=False)


class ModelError(ValueError):
    """The model or its data cannot be fitted as asked; the message names the culprit and what to do.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import ModelError, glmm
    >>> try:
    ...     glmm("y ~ x", pd.DataFrame({"y": [1, 2, -3], "x": [0, 1, 2]}), family="poisson")
    ... except ModelError as error:
    ...     print(error)
    1 negative value in row 2 (counted from 0); poisson needs counts y >= 0; use family='gaussian' or ...
    """


class DataWarning(UserWarning):
    """Something in the data was set right or looks wrong; the fit goes on.

    Examples
    --------
    >>> import warnings
    >>> import pandas as pd
    >>> from glmmcore import DataWarning, glmm
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6], "x": [0, 1, 2, 3], "twice": [0, 2, 4, 6]})
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", DataWarning)
    ...     fit = glmm("y ~ x + twice", d, family="poisson")
    >>> print(caught[0].message)
    fixed effects: linear combinations of earlier columns, dropped: twice
    """


@contextmanager
def no_data_warnings() -> Iterator[None]:
    """Keep `DataWarning` quiet within, in this thread only: filters of `warnings` belong to the whole process."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def warn_of_data(message: str) -> None:
    """Give a `DataWarning` at the user's line."""
    if not _SILENT.get():
        warn_user(message, DataWarning)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside both packages from which they were called, however deep the call has gone."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OWN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
