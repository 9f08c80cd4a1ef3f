"""What the text of a cell can mean: missing, a number, a number in disguise, a truth value, or a label.

All patterns are read from left to right once: no two neighbouring repetitions can match the same characters, and texts
beyond `LONGEST_NUMBER` characters are never taken for numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

__all__ = [
    "MISSING_WORDS",
    "CellFormat",
    "Disguise",
    "disguise_of",
    "is_date",
    "is_grouped",
    "is_truth_value",
    "number_reader",
]

MISSING_WORDS = frozenset(
    (
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    )
)
"""Texts that mean missing beside the empty one, those of pandas; ``--na-only`` makes them texts like any other."""

SPACES = " \u00a0\u2007\u2009\u202f"
"""Blanks that stand between thousands."""

LONGEST_NUMBER = 1000

_TRUTH = {"True", "TRUE", "true", "False", "FALSE", "false"}
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?"
_OTHER_DATE = re.compile(
    rf"(?:\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}})(?:[T ,]{{1,3}}{_CLOCK})?"
    rf"|\d{{4}}-\d{{2}}|{_CLOCK}"
)
_MONTHS = "jan|feb|mar|apr|may|mai|jun|jul|aug|sep|okt|oct|nov|dec|dez|mär|mrz"
_WORDED_DATE = re.compile(
    rf"(?:\d{{1,4}}[ .,-]{{0,2}})?(?:{_MONTHS})[^\W\d]{{0,7}}[ .,-]{{0,2}}\d{{1,4}}(?:[ ,-]{{1,2}}\d{{2,4}})?",
    re.IGNORECASE,
)
_MONEY = "$€£¥₹₩₽¢"
_CODES = ("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "DKK", "AUD", "CAD", "CNY", "INR", "BRL", "PLN", "Rs", "kr")


@dataclass(frozen=True)
class CellFormat:
    """How the user says that numbers are written.

    Attributes
    ----------
    decimal : {".", ",", None}
        Decimal sign; None where it is to be found out.
    thousands : str or None
        Characters any of which may stand between groups of three digits.
    missing : frozenset of str
        Texts that mean missing, beside the empty one.
    """

    decimal: str | None = None
    thousands: str | None = None
    missing: frozenset[str] = MISSING_WORDS

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """Numbers that mean missing however they are written, such as -999."""
        read = number_reader(".")
        found = {read(text) for text in self.missing}
        return frozenset(value for value in found if value is not None)


def number_reader(decimal: str, thousands: str | None = None) -> Callable[[str], float | None]:
    """Make a function from text without blanks around it to a number, or None where the text is none."""
    point = re.escape(decimal)
    whole = r"\d+"
    if thousands:
        sign = f"[{re.escape(thousands)}]"
        # groups of three, all with the same sign between them
        whole = rf"(?:[1-9]\d{{0,2}}(?:(?P<sign>{sign})\d{{3}}(?:(?P=sign)\d{{3}})*)(?!\d)|\d+)"
    number = re.compile(
        rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:e[+-]?\d{{1,4}})?|[+-]?(?:inf|infinity)",
        re.ASCII | re.IGNORECASE,
    )
    removed = str.maketrans({decimal: "."} | dict.fromkeys(thousands or "", ""))
    plain = decimal == "." and not thousands

    def read(text: str) -> float | None:
        if len(text) > LONGEST_NUMBER or not number.fullmatch(text):
            return None
        return float(text if plain else text.translate(removed))

    return read


def is_truth_value(text: str) -> bool:
    """Whether the text is true or false as pandas and R write it."""
    return text in _TRUTH


def is_date(text: str) -> bool:
    """Whether the text is a date, or a date and a time, in the order year, month, day."""
    return len(text) < 50 and bool(_DATE.fullmatch(text))


def is_grouped(text: str, sign: str) -> bool:
    """Whether a number could be one with `sign` between its thousands as well as one with `sign` for the decimals."""
    return bool(re.fullmatch(rf"[+-]?[1-9]\d{{0,2}}{re.escape(sign)}\d{{3}}", text, flags=re.ASCII))


class Disguise(NamedTuple):
    """What makes a number unreadable, and what to do about it."""

    what: str
    cure: str


_GROUPS = (
    (r"[1-9]\d{0,2},\d{3}", "a comma for decimals or for thousands", "--decimal , or --thousands , says which"),
    (r"\d{0,400},\d{1,400}", "decimal commas", "--decimal , reads them"),
    (r"\d{1,3}(?:,\d{3})+(?:\.\d{0,400})?", "commas between thousands", "--thousands , reads them"),
    (
        r"\d{1,3}(?:\.\d{3})+,\d{0,400}",
        "points between thousands and decimal commas",
        "--thousands . --decimal , reads them",
    ),
    (r"\d{1,3}(?:\.\d{3}){2,400}", "points between thousands", "--thousands . --decimal , reads them"),
    (rf"\d{{1,3}}(?:[{SPACES}]\d{{3}})+", "blanks between thousands", "--thousands space reads them"),
    (rf"\d{{1,3}}(?:[{SPACES}]\d{{3}})+\.\d{{0,400}}", "blanks between thousands", "--thousands space reads them"),
    (
        rf"\d{{1,3}}(?:[{SPACES}]\d{{3}})+,\d{{0,400}}",
        "blanks between thousands and decimal commas",
        "--thousands space --decimal , reads them",
    ),
    (r"\d{1,3}(?:_\d{3})+(?:\.\d{0,400})?", "underscores between thousands", "--thousands _ reads them"),
    (r"\d{1,3}(?:['’]\d{3})+(?:\.\d{0,400})?", "apostrophes between thousands", "--thousands apostrophe reads them"),
    (r"\d{1,400}\.\d{0,400}", "decimal points", "write all numbers with one decimal sign"),
)
_READABLE = [(re.compile(rf"[+-]?(?:{pattern})(?:[eE][+-]?\d{{1,4}})?"), Disguise(w, c)) for pattern, w, c in _GROUPS]
_BAND = re.compile(r"(?:[<>]=?|≤|≥)?[+-]?[\d.,]{1,30}(?: ?(?:-|–|to|bis|\.\.) ?[\d.,]{1,30}|\+)")
_UNIT = re.compile(r"[^\W\d_µ%°]{1,8}[²³]?(?:/[^\W\d_]{1,8}[²³]?)?|[µ°%‰ ]{0,3}[^\W\d_]{0,8}")


def disguise_of(text: str) -> Disguise | None:
    """Say in which way a text that is no number seems to be meant as one; None for labels.

    Bands such as ``10-19`` and ``65+`` and versions such as ``1.2.3`` are labels. `Disguise.what` of numbers with
    letters behind them begins with "letters": few such as ``1a``, ``1b`` are labels.
    """
    if len(text) > LONGEST_NUMBER:
        is_number = text.lstrip("+-.")[:1].isdigit()
        return Disguise(f"numbers of more than {LONGEST_NUMBER} characters", "correct them") if is_number else None
    if not any(c.isdigit() or c in "½¼¾⅓⅔⅛⅜⅝⅞" for c in text):
        return None
    for pattern, disguise in _READABLE:
        if pattern.fullmatch(text):
            return disguise
    if len(text) < 50 and (_DATE.fullmatch(text) or _OTHER_DATE.fullmatch(text) or _WORDED_DATE.fullmatch(text)):
        return Disguise("dates or times", "make numbers of them, such as days since the first")
    if "%" in text or "‰" in text:
        core = text.strip("%‰ ")
        return Disguise("percent signs", "take the signs out") if _is_numeric(core) else None
    for sign in (*_MONEY, *_CODES):
        if text.startswith(sign) or text.endswith(sign) or text.startswith(("-" + sign, "+" + sign)):
            core = text.replace(sign, "", 1).strip(SPACES)
            return Disguise("signs of money", "take the signs out") if _is_numeric(core) else None
    if _BAND.fullmatch(text):
        return None
    return _other_disguise(text)


_EXPONENT = re.compile(
    r"[+-]?[\d.,]{1,400}[dD][+-]?\d{1,4}|[+-]?[\d.,]{1,30} ?(?:[x×*·] ?10(?:\^|\*\*)?|e ) ?[+-]?\d{1,4}"
)
_FRACTION = re.compile(r"[+-]?\d{1,30} ?/ ?\d{1,30}|[+-]?\d{0,30} ?[½¼¾⅓⅔⅛⅜⅝⅞]")


def _other_disguise(text: str) -> Disguise | None:
    ascii_text = "".join(_ascii_digit(character) for character in text)
    if ascii_text != text and _is_numeric(ascii_text):
        return Disguise("digits or signs other than 0-9 . and -", "write them as 0-9 . and -")
    core = text.strip("\"'`=()[]{}<>≤≥~≈±*†‡^#:;,!?" + SPACES)
    if core != text and _is_numeric(core):
        return Disguise("other signs around numbers", "take the signs out")
    if re.fullmatch(r"[+-][ \u00a0]+[\d.,]{1,400}|[\d.,]{1,400} ?[-−]", text, flags=re.ASCII):
        return Disguise("signs apart from their numbers", "write -5 instead of - 5 or 5-")
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,400}|0[bB][01]{1,400}|0[oO][0-7]{1,400}", text):
        return Disguise("numbers of another base", "write them in decimals")
    if _EXPONENT.fullmatch(text):
        return Disguise("exponents written in another way", "write 1.5e3")
    if re.fullmatch(r"[+-]?\d{1,400}[·٫]\d{1,400}", text):
        return Disguise("another decimal sign", "write 1.5")
    if _FRACTION.fullmatch(text):
        return Disguise("fractions", "write them as decimals")
    if re.fullmatch(r"[+-]?[\d.,;|_'’ \u00a0\u2007\u2009\u202f]{1,400}(?:[eE][+-]?[\d.,]{1,9})?", text, flags=re.ASCII):
        return (
            None
            if text.count(".") > 1 and text.replace(".", "").isdigit()
            else Disguise("digits, points, commas or blanks in an order that is no number", "correct them")
        )
    number = re.match(r"[+-]?\d{1,400}(?:[.,]\d{1,400})?(?:[eE][+-]?\d{1,4})?", text, flags=re.ASCII)
    if number and _UNIT.fullmatch(text[number.end() :].strip(SPACES)):
        return Disguise("letters behind numbers", "take them out")
    return None


def _ascii_digit(character: str) -> str:
    if character in "−–—‐‑﹣－":
        return "-"
    if character in "．":
        return "."
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _is_numeric(text: str) -> bool:
    """Whether the text is a number in any of the ways of writing that are known here."""
    return bool(_PLAIN(text) is not None or any(pattern.fullmatch(text) for pattern, _ in _READABLE))


_PLAIN = number_reader(".")
