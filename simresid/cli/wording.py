"""Sentences of the two packages, which speak to callers from Python, in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["in_options"]

_OPTIONS = "family|link|zi|disp|offset|trials"
_CALL = re.compile(r"glmm\(\.\.\., ([^()]*)\)")
_GIVEN = re.compile(rf"\b({_OPTIONS})='([^']*)'((?:(?:,| or) '\w+')*)")
_NAMED = re.compile(rf"\b({_OPTIONS})=(?![=\w'\"])")
_TICK = "'"
_PLAIN = re.compile(r"[\w.-]+")
_OUTLIERS = "`residuals.outliers()` names them"


def in_options(sentence: str) -> str:
    """The sentence with options in place of arguments.

    Examples
    --------
    >>> in_options("a hurdle is family='truncated_poisson' or 'truncated_nbinom2' with zi='~ 1'")
    'a hurdle is --family truncated_poisson or truncated_nbinom2 with --zi "~ 1"'
    >>> in_options("give the number of trials (trials=), as in glmm(..., disp='~ x')")
    'give the number of trials (--trials), as in --disp "~ x"'
    """
    sentence = _CALL.sub(r"\1", sentence)
    sentence = _GIVEN.sub(lambda found: f"--{found[1]} {_quoted(found[2])}{found[3].replace(_TICK, '')}", sentence)
    sentence = _NAMED.sub(r"--\1", sentence).replace("reml=True", "--reml")
    return sentence.replace(_OUTLIERS, "--report draws them")


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else f'"{value}"'
