"""What the text of a cell can mean: missing, a number, a number in disguise, a truth value, or a label.

All patterns are read from left to right once: no two neighbouring repetitions can match the same characters, and texts
beyond `LONGEST_NUMBER` characters are never taken for numbers.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

__all__ = [
    "APOSTROPHES",
    "MISSING_WORDS",
    "SPACES",
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

SPACES = " \u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Blanks that stand between thousands, those of typography among them."""

APOSTROPHES = "'\u2019\u2018\u02bc\u00b4`"
"""What is typed for the apostrophe between thousands."""

LONGEST_NUMBER = 1000

_TRUTH = {"True", "TRUE", "true", "False", "FALSE", "false"}
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?: ?[AaPp]\.?[Mm]\.?)?"
_OTHER_DATE = re.compile(
    rf"(?:\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}})(?:[T ,]{{1,3}}{_CLOCK})?"
    rf"|\d{{4}}-\d{{1,2}}|\d{{1,2}}\.\d{{1,2}}\.|\d{{4}}[ -]?[WwQq]\d{{1,2}}(?:-\d)?|[Qq][1-4][ /-]?\d{{4}}"
    rf"|\d{{4}}年(?:\d{{1,2}}月(?:\d{{1,2}}日)?)?|\d{{1,3}}:\d{{2}}:\d{{2}}(?::\d{{2}}|[.,]\d{{1,9}})|{_CLOCK}"
)
_MONTHS = "jan|feb|mar|apr|may|mai|jun|jul|aug|sep|okt|oct|nov|dec|dez|mär|mrz"
_WORDED_DATE = re.compile(
    rf"(?:\d{{1,4}}[ .,-]{{0,2}})?(?:{_MONTHS})[^\W\d]{{0,7}}[ .,-]{{0,2}}\d{{1,4}}(?:[ ,-]{{1,2}}\d{{2,4}})?",
    re.IGNORECASE,
)
_CODES = (
    *("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "DKK", "AUD", "CAD", "NZD", "CNY", "INR", "BRL", "PLN", "CZK"),
    *("HUF", "RON", "TRY", "RUB", "KRW", "MXN", "ZAR", "HKD", "SGD", "ILS", "THB", "Rs.", "Rs", "kr.", "kr", "Fr."),
)


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
    (
        rf"\d{{1,3}}(?:[{APOSTROPHES}]\d{{3}})+(?:\.\d{{0,400}})?",
        "apostrophes between thousands",
        "--thousands apostrophe reads them",
    ),
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
    if not any(character.isnumeric() for character in text):
        return None
    found = _known_disguise(text)
    if found is None and (plain := _in_plain_signs(text)) != text:
        if _is_numeric(plain):
            return Disguise("digits, signs or blanks other than 0-9 . and -", "write them as 0-9 . and -")
        return _known_disguise(plain)
    return found


_QUOTES = '"\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u201a'
_PLAIN_SIGNS = str.maketrans(
    dict.fromkeys(_QUOTES, '"')
    | dict.fromkeys(APOSTROPHES + "\u2032", "'")
    | {"\u2033": '"', "\u2044": "/"}
    | dict.fromkeys("\u2212\u2013\u2014\u2010\u2011\ufe63\uff0d", "-")
)
_RAISED = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,400}")


def _in_plain_signs(text: str) -> str:
    """Write digits, signs, quotes and blanks of other scripts as ASCII has them; what cannot be seen is left out."""
    text = _RAISED.sub(lambda raised: "^" + raised.group(), text.translate(_PLAIN_SIGNS))
    normal = unicodedata.normalize("NFKC", text).translate(_PLAIN_SIGNS)
    shown = (character for character in normal if unicodedata.category(character) not in ("Cc", "Cf"))
    return "".join(str(unicodedata.decimal(character, character)) for character in shown).strip()


def _known_disguise(text: str) -> Disguise | None:
    for pattern, disguise in _READABLE:
        if pattern.fullmatch(text):
            return disguise
    if len(text) < 50 and (_DATE.fullmatch(text) or _OTHER_DATE.fullmatch(text) or _WORDED_DATE.fullmatch(text)):
        return Disguise("dates or times", "make numbers of them, such as days since the first")
    if "%" in text or "‰" in text:
        core = text.strip("%‰" + SPACES)
        return Disguise("percent signs", "take the signs out") if _is_numeric(core) else None
    if (amount := _without_currency(text)) is not None:
        core = amount.strip("()" + SPACES)
        is_amount = _is_numeric(core) or _is_numeric(core.rstrip("-–—").rstrip(".,"))
        return Disguise("signs of money", "take the signs out") if is_amount else None
    if _BAND.fullmatch(text):
        return None
    return _other_disguise(text)


def _without_currency(text: str) -> str | None:
    """Leave out the sign of a currency, with letters beside it as in US$; None if there is none."""
    for at, character in enumerate(text):
        if unicodedata.category(character) == "Sc":
            return text[:at].rstrip(string.ascii_uppercase) + text[at + 1 :].lstrip(string.ascii_uppercase)
    for code in _CODES:
        if text.startswith((code, "-" + code, "+" + code)) or text.endswith(code):
            return text.replace(code, "", 1)
    return None


_NUMBER = r"[+-]?\d{1,30}(?:[.,]\d{1,30})?"
_OTHERS = [
    (re.compile(pattern, re.ASCII), Disguise(what, cure))
    for pattern, what, cure in (
        (
            r"[+-][ \u00a0]+[\d.,]{1,400}|[\d.,]{1,400} ?[-−–—]|[+-]{2,9}[\d.,]{1,400}",
            "signs apart from their numbers",
            "write -5 instead of - 5 or 5-",
        ),
        (r"0[xX][0-9a-fA-F]{1,400}|0[bB][01]{1,400}|0[oO][0-7]{1,400}", "numbers of another base", "write decimals"),
        (
            r"[+-]?[\d.,]{1,400}[dD][+-]?\d{1,4}|[+-]?[\d.,]{1,30} ?(?:[x×*·] ?10(?:\^|\*\*)?|e ) ?[+-]?\d{1,4}"
            r"|[+-]?\d{1,30}(?:\^|\*\*)[+-]?\d{1,4}|[+-]?[\d.,]{1,30}[eE][+-]",
            "exponents written in another way",
            "write 1.5e3",
        ),
        (r"[+-]?\d{1,400}[·٫]\d{1,400}", "another decimal sign", "write 1.5"),
        (
            r"[+-]?(?:\d{1,30}[ -])?\d{1,30} ?(?:/|of) ?\d{1,30}|[+-]?\d{0,30} ?[½¼¾⅓⅔⅛⅜⅝⅞]",
            "fractions",
            "write them as decimals",
        ),
        (
            rf"{_NUMBER} ?(?:±|\+/?-) ?{_NUMBER}|{_NUMBER} ?[(\[]{_NUMBER}%?(?: ?(?:[;,–-]|to) ?{_NUMBER}%?)?[)\]]",
            "several numbers in one cell",
            "give each a column of its own",
        ),
        (
            r"\d{1,3} ?° ?(?:[\d.,]{1,12} ?['′’] ?)?(?:[\d.,]{1,12} ?[\"″”] ?)?[NSEWO]?",
            "degrees and minutes",
            "write them as decimals",
        ),
        (r"=[\d.,+*/() -]{1,400}", "formulas of a spreadsheet", "write their values"),
    )
]
_VERSION = re.compile(r"\d{1,30}(?:\.\d{1,30}){2,30}")
_LETTERS_AND_POWER = r"[^\W\d_]{1,8}(?:\^?-?\d)?"
_UNIT_WITH_POWERS = re.compile(rf"{_LETTERS_AND_POWER}(?:[ /·*]{_LETTERS_AND_POWER}){{0,3}}")
_SIGNS_AROUND = "'`=()[]{}<>≤≥~≈±*†‡^#:;,!?\\′″’" + _QUOTES + SPACES


def _other_disguise(text: str) -> Disguise | None:
    core = text.strip(_SIGNS_AROUND)
    if core != text and _is_numeric(core):
        return Disguise("other signs around numbers", "take the signs out")
    for pattern, disguise in _OTHERS:
        if pattern.fullmatch(text):
            return disguise
    if re.fullmatch(rf"[+-]?[\d.,;|_'’{SPACES}]{{1,400}}(?:[eE][+-]?[\d.,]{{1,9}})?", text, flags=re.ASCII):
        is_version = _VERSION.fullmatch(text)
        return (
            None
            if is_version
            else Disguise("digits, points, commas or blanks in an order that is no number", "correct them")
        )
    number = re.match(r"[+-]?\d{1,400}(?:[.,]\d{1,400})?(?:[eE][+-]?\d{1,4})?", text, flags=re.ASCII)
    if number is None:
        return None
    rest = text[number.end() :].strip(SPACES)
    is_measure = not number.group().isdigit() or text[number.end()] in SPACES  # 1.5m2, 5 m2, but not labels such as 1a2
    if _UNIT.fullmatch(rest) or (is_measure and len(rest) < 50 and _UNIT_WITH_POWERS.fullmatch(rest)):
        return Disguise("letters behind numbers", "take them out")
    return None


def _is_numeric(text: str) -> bool:
    """Whether the text is a number in any of the ways of writing that are known here."""
    return bool(_PLAIN(text) is not None or any(pattern.fullmatch(text) for pattern, _ in _READABLE))


_PLAIN = number_reader(".")
