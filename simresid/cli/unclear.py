"""Columns that cannot be read without guessing: which ones, and what to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.cli.cells import CellFormat, Disguise, disguise_of, is_grouped, number_reader
from simresid.cli.texts import Known, Texts, rows_of, shortened

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "UnclearColumn",
    "refuse_ambiguous",
    "refuse_dates_without_signs",
    "refuse_disguised",
    "refuse_infinite",
    "refuse_merged_labels",
    "refuse_points",
]

MOST_NUMBERS_AMONG_LABELS = 10
"""Different numbers that may stand among labels, as in 0, 5, 10, control."""

MOST_NUMBERED_LABELS = 6
"""Different texts such as ``1a``, ``1b`` that are taken for labels."""

MOST_LABELS = 50
"""Different labels that a predictor may have where they are more than half as many as rows."""


FIRST_DATE, LAST_DATE = 18000101, 21001231
"""Whole numbers between them may be dates."""


class UnclearColumn(Exception):
    """A column cannot be read without guessing; the message says where and what to do."""


def refuse_points(name: str, text: str) -> None:
    """Refuse a column like 1.250 in a file where decimal commas are to be expected."""
    raise UnclearColumn(
        f"column '{name}' holds values like {text} in a file that may have decimal commas: decimals or thousands? "
        "Use --decimal . for decimals, --thousands . for thousands; decimals need one sign in all columns"
    )


def refuse_merged_labels(column: Texts, values: pd.Series) -> None:
    """Refuse labels such as 01 and 1 in a column that the formula also uses as a number."""
    first: dict[Any, str] = {}
    rows = np.unique(column.codes, return_index=True)[1]
    for position, value in zip(column.codes[rows], values.iloc[rows], strict=True):
        if value != value or value is None:
            continue
        text = column.texts[position]
        other = first.setdefault(value, text)
        if other != text:
            raise UnclearColumn(
                f"column '{column.name}' is used as a number and for groups, where '{shortened(other)}' and "
                f"'{shortened(text)}' are one number but two labels (data row {column.row(int(position))}); "
                "write them alike"
            )


def refuse_ambiguous(column: Texts, known: Known, sign: str, form: CellFormat) -> None:
    """Numbers such as 1,250 that all could have thousands where nobody said that they have decimals."""
    if form.decimal == sign or form.thousands or (sign == "." and form.decimal is None):
        return
    signed = [i for i in known.positions if sign in column.texts[i]]
    if signed and all(is_grouped(column.texts[i], sign) for i in signed):
        raise UnclearColumn(
            f"column '{column.name}' holds values like {column.texts[signed[0]]} (row {column.row(signed[0])}): "
            f"decimals or thousands? Use --decimal {sign} for decimals, --thousands {sign} for thousands"
        )


def refuse_dates_without_signs(name: str, values: np.ndarray[Any, Any]) -> None:
    """Refuse whole numbers most of which are dates such as 20200131, where a month would be seventy days."""
    with np.errstate(invalid="ignore"):  # NaN is missing
        days = values[(values >= FIRST_DATE) & (values <= LAST_DATE) & (values % 1 == 0)].astype(np.int64)
    month, day = days // 100 % 100, days % 100
    dates = days[(month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)]
    known = len(values) - int(np.isnan(values).sum())
    if 2 * len(dates) >= known and len(np.unique(dates)) > 2:
        first = f"{dates[0]:d}"
        raise UnclearColumn(
            f"column '{name}' holds numbers that are dates without signs, such as {first} ({len(dates)} of {known} "
            f"rows): write {first[:4]}-{first[4:6]}-{first[6:]} for times, or make numbers of them, such as days since "
            f"the first; C({name}) in the formula if they are categories"
        )


def refuse_infinite(column: Texts, known: Known, numbers: list[Any]) -> None:
    """Numbers beyond double precision, and the word for infinity."""
    for i, number in zip(known.positions, numbers, strict=True):
        if not np.isfinite(number):
            text = shortened(column.texts[i])
            raise UnclearColumn(
                f"column '{column.name}' holds '{text}' in data row {column.row(i)}, which is infinite in double "
                f"precision (inf); correct it, or use --na '{text}' if it means missing"
            )


def refuse_disguised(column: Texts, known: Known, way: tuple[str, str | None, str]) -> None:
    """Numbers in disguise, numbers among other texts, and too many labels would silently become categories."""
    read = number_reader(*way[:2])
    plain = [i for i in known.positions if read(column.texts[i]) is not None]
    rest = sorted(set(known.positions) - set(plain))
    disguised = {i: found for i in rest if (found := disguise_of(column.texts[i])) is not None}
    numbered = [i for i, found in disguised.items() if found.what.startswith("letters")]
    few = len(numbered) <= MOST_NUMBERED_LABELS and 2 * len(numbered) <= known.rows
    letters = {column.texts[i].lstrip("+-.,0123456789") for i in numbered}  # the same behind all are a unit
    if few and len(letters) > 1 and 2 * rows_of(column, plain) < known.rows:
        for i in numbered:
            del disguised[i]
    n_plain, n_disguised = rows_of(column, plain), rows_of(column, disguised)
    categories = f"; C({column.name}) in the formula if its texts are categories"
    if disguised and 2 * (n_plain + n_disguised) >= known.rows:
        raise UnclearColumn(_disguise_message(column, known, disguised, n_disguised) + categories)
    stray = [i for i in rest if i not in disguised] or rest
    if plain and (2 * n_plain >= known.rows or len(plain) + len(disguised) > MOST_NUMBERS_AMONG_LABELS):
        text = shortened(column.texts[stray[0]])
        raise UnclearColumn(
            f"column '{column.name}' holds numbers, but also the text '{text}' in data row {column.row(stray[0])} "
            f"({known.rows - n_plain} such rows); correct it, or use --na '{text}' if it means missing{categories}"
        )
    if len(known.positions) > MOST_LABELS and 2 * len(known.positions) > known.rows:
        text = shortened(column.texts[known.positions[0]])
        raise UnclearColumn(
            f"column '{column.name}' holds {len(known.positions)} different texts in {known.rows} rows, such as "
            f"'{text}' in data row {column.row(known.positions[0])}, too many for categories of a predictor; if they "
            f"are groups, write (1|{column.name}){categories}"
        )


def _disguise_message(column: Texts, known: Known, disguised: dict[int, Disguise], n_disguised: int) -> str:
    kinds: dict[Disguise, list[int]] = {}
    for i, found in disguised.items():
        kinds.setdefault(found, []).append(i)
    kind, members = max(kinds.items(), key=lambda item: rows_of(column, item[1]))
    text = shortened(column.texts[members[0]])
    na = f"; --na '{text}' if that means missing" if len(members) == 1 else ""
    return (
        f"column '{column.name}' holds numbers that cannot be read: {kind.what}, such as '{text}' in data row "
        f"{column.row(members[0])} ({n_disguised} of {known.rows} rows): {kind.cure}{na}"
    )
