"""What users hand to `fit_many`, as names and matrices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import from_proportions, read_together, real_array, row_values, tables_in_counts
from glmmcore.errors import ModelError, no_data_warnings
from glmmcore.formula import build_design
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.syntax import Name, show

if TYPE_CHECKING:
    from glmmcore.design import Design

__all__ = [
    "checked_rows",
    "first_complete",
    "in_counts",
    "own_design",
    "placeholder",
    "proportions",
    "renamed",
    "response_matrix",
    "right_side",
    "row_subset",
    "template",
    "with_counts",
]

ROW_ARGUMENTS = ("trials", "offset", "freq_weights", "var_weights")


def right_side(formula: str) -> str:
    """Right-hand side of a formula whose left side is empty or a placeholder."""
    if not isinstance(formula, str) or formula.count("~") != 1:
        raise ModelError("fit_many: formula must be text with one '~', such as '~ x + (1 | g)'")
    left, right = formula.split("~")
    if left.strip() and not re.fullmatch(r"\s*(\w[\w.]*|`[^`]+`)\s*", left):
        raise ModelError(
            f"fit_many: the left side '{left.strip()}' must be a plain name or empty, it stands for each "
            "response in turn; transform the responses before, and give numbers of trials by trials="
        )
    return right.strip()


def placeholder(frame: pd.DataFrame) -> str:
    """Name for the response that no column of the data has."""
    name = "response"
    while name in frame.columns:
        name += "_"
    return name


def response_matrix(responses: Any, frame: pd.DataFrame) -> tuple[pd.Index, np.ndarray]:
    """Names and values (n, B)."""
    if isinstance(responses, str):
        responses = [responses]
    if isinstance(responses, Iterable) and not isinstance(responses, np.ndarray | pd.DataFrame):
        responses = list(responses)
        if responses and all(isinstance(name, str) for name in responses):
            unknown = [name for name in responses if name not in frame.columns]
            if unknown:
                raise ModelError(f"fit_many: no column {', '.join(map(repr, unknown[:5]))} in data")
            responses = frame[responses]
    names: pd.Index
    if isinstance(responses, pd.DataFrame):
        if len(responses) == len(frame) and not responses.index.equals(frame.index):
            raise ModelError("fit_many: the row labels of responses are not those of data; bring them into one order")
        text = [name for name, kind in responses.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
        if text:
            raise ModelError(f"fit_many: response column '{text[0]}' does not hold numbers")
        if not responses.columns.is_unique:
            twice = responses.columns[responses.columns.duplicated()][0]
            raise ModelError(f"fit_many: two responses are called '{twice}'")
        names, matrix = responses.columns, responses.to_numpy(dtype=float, na_value=np.nan)
    else:
        matrix = real_array(responses, "responses")
        names = pd.Index(np.arange(matrix.shape[1] if matrix.ndim == 2 else 0))
    if matrix.ndim != 2 or len(matrix) != len(frame) or not matrix.shape[1]:
        raise ModelError(
            f"fit_many: responses have shape {matrix.shape}, they must be ({len(frame)}, number of "
            "responses), one column a response"
        )
    return names, matrix


def first_complete(matrix: np.ndarray) -> int:
    """Column with the fewest missing values."""
    return int(np.argmin(np.isnan(matrix).sum(axis=0)))


def own_design(formula: str, frame: pd.DataFrame, options: dict[str, Any]) -> Design:
    """Design without warnings on the data: they are the same for every response."""
    with no_data_warnings():
        return build_design(formula, frame, **options)


def template(
    frame: pd.DataFrame, label: str, formula: str, y: np.ndarray, options: dict[str, Any]
) -> tuple[Design, np.ndarray]:
    """Design of all rows whose predictors are complete, and the positions of these rows.

    `y` is one of the responses, for what a formula wants to know about the left side; its missing values are
    filled with one that is there.
    """
    if np.isnan(y).all():
        raise ModelError("fit_many: every response is missing in every row")
    filled = np.where(np.isnan(y), y[~np.isnan(y)][0], y)
    design = build_design(formula, frame.reset_index(drop=True).assign(**{label: filled}), **options)
    kept = design.frame.index.to_numpy()
    return replace(design, frame=design.frame.set_axis(frame.index[kept])), kept


def proportions(matrix: np.ndarray, trials: np.ndarray | None) -> list[bool] | None:
    """Whether each column (n, B) holds proportions of the trials (n,), as all together say; None without trials."""
    return None if trials is None else read_together(list(matrix.T), [trials] * matrix.shape[1])


def in_counts(matrix: np.ndarray, trials: np.ndarray | None, shares: list[bool] | None) -> np.ndarray:
    """Numbers of successes (n, B) where a column holds proportions."""
    if trials is None or shares is None:
        return matrix
    return np.where(shares, from_proportions(matrix, trials[:, None]), matrix)


def with_counts(formula: str, frame: pd.DataFrame, trials: Any) -> pd.DataFrame:
    """The table with numbers of successes where the response holds proportions.

    All rows together say whether it does: those of a small group may all be 0 or 1.
    """
    if trials is None:
        return frame
    return tables_in_counts([(frame, parse_formula(formula).response_column)], trials)[0]


def renamed(design: Design, label: str, right: str, name: str) -> Design:
    """Call the response of a design as the user calls it; `right` is the other side of its formula."""
    formula = f"{show(Name(name))} ~ {right}"
    frame = design.frame if name in design.frame else design.frame.rename(columns={label: name})
    response = replace(design.response, name=name)
    return replace(
        design, formula=formula, response=response, frame=frame, formulas={**design.formulas, "cond": formula}
    )


def checked_rows(arguments: dict[str, Any], index: pd.Index) -> dict[str, np.ndarray]:
    """Arrays among the arguments of rows, checked while their order and length can still be seen."""
    arrays = {k: v for k, v in arguments.items() if k in ROW_ARGUMENTS and not isinstance(v, str | None)}
    return {k: row_values(v, k, index) for k, v in arrays.items() if np.ndim(v)}


def row_subset(arguments: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Cut arrays to some rows; column names and other arguments stay as they are."""
    cut = {k: v[rows] for k, v in arguments.items() if k in ROW_ARGUMENTS and isinstance(v, np.ndarray)}
    return {**arguments, **cut}
