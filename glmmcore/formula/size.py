"""Limits on the size of matrices, told before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from glmmcore.errors import ModelError
from glmmcore.memory import require_memory

__all__ = ["require_factor", "require_rows"]

# Columns up to which a matrix is made without asking whether the rows are enough for it: a message can then say how
# many columns there are.
_FEW = 1000


def require_factor(nobs: int, n_levels: int, name: str) -> None:
    """Refuse a factor that would become too large a matrix.

    Raises
    ------
    ModelError
    """
    try:
        require_memory(
            3 * 8.0 * nobs * n_levels,
            f"a matrix of {nobs} rows and a column for each of the {n_levels} levels of '{name}'",
            "make a factor with so many levels a random effect, (1 | name)",
        )
    except MemoryError as error:
        raise ModelError(str(error)) from None


def require_rows(nobs: int, terms: Iterable[Sequence[int]]) -> None:
    """Refuse terms that have many more columns than there are rows.

    Parameters
    ----------
    nobs : int
    terms : iterable of sequences of int
        Columns of each factor of each term.

    Raises
    ------
    ModelError
    """
    least = sum(math.prod(max(n - 1, 1) for n in term) for term in terms)  # with one level of each factor left out
    if least > max(nobs, _FEW):
        raise ModelError(f"{nobs} complete rows are too few for at least {least} coefficients, drop terms")
