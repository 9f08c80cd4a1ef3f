"""Checks of a response against the support of a family; messages name the rows and what would fit."""

from __future__ import annotations

import re

import numpy as np

from glmmcore.errors import ModelError, warn_of_data

__all__ = ["check_counts", "check_trials", "describe_rows", "reject_rows"]

_SHOWN = 5


def describe_rows(bad: np.ndarray) -> str:
    """Name the rows where `bad` is true: at most five positions (from 0), then how many more.

    Parameters
    ----------
    bad : ndarray of bool, shape (n,)

    Examples
    --------
    >>> describe_rows(np.array([False, True, False, True]))
    'rows 1, 3 (counted from 0)'
    """
    rows = np.flatnonzero(bad)
    shown = ", ".join(str(r) for r in rows[:_SHOWN])
    more = f" and {rows.size - _SHOWN} more" if rows.size > _SHOWN else ""
    return f"row{'s' if rows.size > 1 else ''} {shown}{more} (counted from 0)"


def reject_rows(bad: np.ndarray, what: str, name: str, needs: str, advice: str = "") -> None:
    """Raise `ModelError` if any row is bad.

    Parameters
    ----------
    bad : ndarray of bool, shape (n,)
    what : str
        What the rows hold, in the singular ("zero", "negative value").
    name : str
        Name of the family.
    needs : str
        The condition that is broken ("y >= 1").
    advice : str
        What would fit ("use zi= or family='poisson'").

    Raises
    ------
    ModelError
        "3 zeros in rows 4, 7, 9 (counted from 0); truncated_poisson needs y >= 1; use zi= ...".
    """
    if not bad.any():
        return
    raise ModelError(
        f"{_counted(bad, what)} in {describe_rows(bad)}; {name} needs {needs}" + (f"; {advice}" if advice else "")
    )


def _counted(bad: np.ndarray, what: str) -> str:
    """Say how many, with the noun in the plural if need be: "2 values above 1"."""
    count = int(np.count_nonzero(bad))
    noun = re.split(r" above | larger | of ", what)[0]
    return f"{count} {noun}{'s' if count != 1 else ''}{what[len(noun) :]}"


def _warn_of_fractions(name: str, y: np.ndarray) -> None:
    fractional = y != np.floor(y)
    if fractional.any():
        shares = "shares need the number of trials, trials="
        rates = "rates need the counts, with offset(log(exposure))"
        warn_of_data(
            f"{_counted(fractional, 'non-integer count')} in {describe_rows(fractional)}; "
            f"{name} is a law of whole numbers, the likelihood is only formal there; "
            f"{shares if name in ('binomial', 'betabinomial') else rates}"
        )


def check_counts(name: str, y: np.ndarray, *, minimum: int = 0, advice: str = "") -> None:
    """Check counts y >= minimum: raise for rows below, warn of fractions.

    Raises
    ------
    ModelError
        For values that are not finite, negative, or below `minimum`, 0 or 1 (then with `advice`).
    """
    needs = f"counts y >= {minimum}"
    reject_rows(~np.isfinite(y), "non-finite value", name, needs)
    reject_rows(y < 0, "negative value", name, needs, "use family='gaussian' or another law of real values")
    if minimum > 0:
        reject_rows(y == 0, "zero", name, "y >= 1", advice)
    _warn_of_fractions(name, y)


def check_trials(name: str, y: np.ndarray, trials: np.ndarray) -> None:
    """Check successes 0 <= y <= trials: raise for rows outside, warn of fractions.

    Raises
    ------
    ModelError
        For values that are not finite, negative, above the number of trials, or trials below 0.
    """
    reject_rows(~(np.isfinite(y) & np.isfinite(trials)), "non-finite value", name, "successes out of trials")
    reject_rows(trials < 0, "negative number of trials", name, "trials >= 0")
    if not trials.any():
        raise ModelError(f"no row has a trial; {name} needs trials > 0")
    reject_rows(y < 0, "negative value", name, "0 <= successes <= trials")
    many = y > trials
    if many.any() and np.all(trials == 1):
        advice = "give the number of trials (trials=, or cbind(successes, failures) ~ ...), or use family='poisson'"
    else:
        advice = "check the order of successes and trials"
    reject_rows(many, "value larger than the number of trials", name, "0 <= successes <= trials", advice)
    _warn_of_fractions(name, y)
