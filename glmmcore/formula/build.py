"""From formula and data to a `Design`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array
from glmmcore.covariance import STRUCTURES
from glmmcore.design import Design, PredictorDesign, RandomTerm
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.columns import Columns
from glmmcore.formula.coordinates import FieldPlan, plan_field
from glmmcore.formula.encode import Encoder
from glmmcore.formula.expressions import Expression, column
from glmmcore.formula.fast import plain_matrix
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.formula.groups import make_grouping
from glmmcore.formula.materialize import FormulaicParts
from glmmcore.formula.parsed import Bar, ParsedFormula, Part
from glmmcore.formula.plan import Matrix, OffsetPlan, PredictorPlan, TermPlan, build_matrix, sum_offsets
from glmmcore.formula.rank import Aliasing, require_offset, require_scale
from glmmcore.formula.response import make_response
from glmmcore.formula.serial import check_times, numeric_times
from glmmcore.memory import available_memory

__all__ = ["build_design"]

Argument = str | Any


_LEAST_WEIGHT = 1e-100
"""Variance weights from here to its inverse have squares that double precision can hold with room for sums."""


def build_design(
    formula: str,
    data: Any,
    *,
    zi: str | None = None,
    disp: str | None = None,
    trials: Argument = None,
    offset: Argument = None,
    freq_weights: Argument = None,
    var_weights: Argument = None,
    like: Design | None = None,
    proportions: bool | None = None,
) -> Design:
    """Turn a mixed-model formula and a table into dense matrices and group codes.

    Parameters
    ----------
    formula : str
        lme4's grammar: ``y ~ x + (1 | g)``, ``(x || g)``, ``(1 | a/b)``, ``(1 | a:b)``, ``offset(z)``,
        ``cbind(successes, failures) ~ ...``; a structure word may stand before a bar, as in ``cs(f | g)``.
    data : DataFrame, mapping of columns, or a table with ``to_pandas``
    zi, disp : str, optional
        One-sided formulas of the zero-inflation and the dispersion predictor.
    trials, offset, freq_weights, var_weights : str or array_like of shape (n,), optional
        A column or an array; `offset` also a function of columns, ``"np.log(effort)"``. With `trials` the response
        holds numbers of successes; it is read as proportions when it is written over its trials, ``k / n``, or when all
        values lie in [0, 1], not all are whole, and each times its trials is whole.
    like : Design, optional
        Of a fit to other rows: its transforms, such as ``scale(y)``, know the data of the fit, and a response that
        holds proportions there does so here.
    proportions : bool, optional
        Whether the response with `trials` holds proportions, where that is known.

    Returns
    -------
    Design

    Raises
    ------
    ModelError
        One line that names the column, row, argument or the place in the formula.

    Examples
    --------
    >>> design = build_design("y ~ x + (1 | g)", {"y": [1, 3, 2, 5], "x": [0, 1, 0, 1], "g": list("aabb")})
    >>> design.predictors["cond"].columns, design.predictors["cond"].terms[0].codes.tolist()
    (('Intercept', 'x'), [0, 0, 1, 1])
    """
    parsed = _parsed(formula, zi, disp)
    columns = Columns(as_frame(data))
    if columns.nobs == 0:
        raise ModelError("data has no rows")
    for part in parsed.values():
        _read(part, columns)
        _check_twice(part, parsed["cond"].response_column)
    known = {} if offset is None else {"offset": offset if isinstance(offset, str) else "an array"}
    # columns that new data may have too
    known |= {name: w for name, w in (("trials", trials), ("var_weights", var_weights)) if isinstance(w, str)}
    if isinstance(offset, str):
        parsed["cond"] = _with_offset(parsed["cond"], offset, columns)
        offset = None
    given = {"trials": trials, "offset": offset, "freq_weights": freq_weights, "var_weights": var_weights}
    arguments = {name: _argument(name, value, columns) for name, value in given.items() if value is not None}
    missing = columns.missing()
    for values in arguments.values():
        missing |= np.isnan(values)
    if missing.all():
        raise ModelError(f"every row has something missing{_emptiest(columns, arguments)}")
    frame, complete = columns.source(), None
    if missing.any():
        complete = ~missing
        columns = columns.take(complete)
        arguments = {name: values[complete] for name, values in arguments.items()}
        frame = frame[complete]
    columns.check_finite()
    for name, values in arguments.items():
        _check_argument(name, values, columns)
    proportions = like.response.proportions if like is not None else proportions
    builder = _Builder(columns, parsed, arguments, like, proportions)
    design = builder.build(frame, complete)
    design = replace(design, formulas=design.formulas | known)
    for note in builder.notes:
        warn_of_data(note)  # the line that called the fit
    return design


def _parsed(formula: str, zi: str | None, disp: str | None) -> dict[str, ParsedFormula]:
    """Formulas by predictor."""
    parsed = {"cond": parse_formula(formula)}
    for name, text in (("zi", zi), ("disp", disp)):
        if text is not None:
            part = parse_formula(text, one_sided=True)
            if name == "disp" or part.fixed.terms or part.bars or part.offsets:  # zi="~ 0" is none, as in R
                parsed[name] = part
    return parsed


def _with_offset(parsed: ParsedFormula, offset: str, columns: Columns) -> ParsedFormula:
    """The formula with an offset given as text: an addend like those in it, so that new data can have it too."""
    addend = column(offset)
    if "(" in offset and offset not in columns.data:
        addend = parse_formula(f"~ offset({offset})", one_sided=True).offsets[0]
    columns.read_operands(addend)
    return replace(parsed, offsets=(*parsed.offsets, addend))


def _check_argument(name: str, values: np.ndarray, columns: Columns) -> None:
    """Refuse values that are not finite, and weights that are not positive or out of all proportion."""
    columns.require_finite(values, name)
    if name.endswith("weights") and not (values > 0).all():
        at = int(np.argmin(values > 0))
        label = row_name(columns.index, at)
        raise ModelError(f"{name} must be positive, it is {values[at]:g} in {label}; leave the row out instead")
    if name == "var_weights" and len(values) and not _LEAST_WEIGHT < values.min() <= values.max() < 1 / _LEAST_WEIGHT:
        raise ModelError(
            f"var_weights reach from {values.min():g} to {values.max():g}, and their squares are beyond double "
            "precision; only their ratios matter for estimates other than sigma: divide them by their mean"
        )


def _read(parsed: ParsedFormula, columns: Columns) -> None:
    expressions = [*parsed.response, *parsed.offsets]
    expressions += [expression for bar in parsed.bars for expression in bar.coordinates]
    parts = [parsed.fixed, *(bar.left for bar in parsed.bars)]
    for part in parts:
        expressions += part.expressions
        columns.read(part.columns)
    for expression in expressions:
        columns.read_operands(expression)
    for bar in parsed.bars:
        columns.read((), bar.group)


def _check_twice(parsed: ParsedFormula, response: str | None) -> None:
    """Refuse a response that is also a predictor, and the same random effects written twice."""
    placed = [name for bar in parsed.bars for expression in bar.coordinates for name in expression.names]
    for columns in [parsed.fixed.columns, *(bar.left.columns for bar in parsed.bars), placed]:
        if response in columns:
            raise ModelError(f"the response '{response}' is also on the right-hand side, remove it there")
    seen = set()
    for bar in parsed.bars:
        key = (bar.left.text, frozenset(bar.group), bar.structure, bar.coordinates)
        if key in seen:
            raise ModelError(f"the same random effects of '{':'.join(bar.group)}' appear twice, remove one")
        seen.add(key)


def _argument(name: str, value: Argument, columns: Columns) -> np.ndarray:
    """Float64 values (n,) of an argument that is a column name or an array."""
    if isinstance(value, str):
        columns.read([value])
        return columns.numeric(value).copy()
    if isinstance(value, pd.Series) and not value.index.equals(columns.index):
        raise ModelError(f"{name} is a Series with another index than the data, pass a column or {name}.to_numpy()")
    array = real_array(value, name)
    if array.ndim == 0:
        return np.full(columns.nobs, float(array))
    if array.shape != (columns.nobs,):
        shape = f"has length {len(array)}" if array.ndim == 1 else f"has shape {array.shape}"
        raise ModelError(f"{name} {shape}, the data have {columns.nobs} rows")
    return array


def _require_memory(n: int, p: int) -> None:
    """Refuse a dense matrix (n, p) which, with the copies that standardising it takes, exceeds the memory."""
    size = 8.0 * n * p
    if size < 1e9:
        return
    memory = available_memory()
    if memory is not None and 3.0 * size > memory:
        raise ModelError(
            f"{p} columns of {n} rows need {3e-9 * size:.0f} GB, {1e-9 * memory:.0f} GB are free; make a factor "
            "with many levels a random effect, (1 | name)"
        )


def _emptiest(columns: Columns, arguments: dict[str, np.ndarray]) -> str:
    """Hint at the column without any value."""
    for name in columns.names:
        if columns.data[name].isna().all():
            return f", column '{name}' is empty"
    for name, values in arguments.items():
        if np.isnan(values).all():
            return f", {name} is empty"
    return ""


class _Builder:
    """Makes recipes first, then one formulaic call for those that need it, then the matrices."""

    def __init__(
        self,
        columns: Columns,
        parsed: dict[str, ParsedFormula],
        arguments: dict[str, np.ndarray],
        like: Design | None,
        proportions: bool | None,
    ) -> None:
        self.columns = columns
        self.parsed = {
            name: replace(part, bars=tuple(numeric_times(bar, columns) for bar in part.bars))
            for name, part in parsed.items()
        }
        self.arguments = arguments
        self.proportions = proportions
        encode: Any = None if like is None else like.encode
        self.parts = FormulaicParts(states={} if encode is None else dict(encode.states))
        self.recipes: dict[str, Matrix] = {}
        self.keys: dict[str, str] = {}  # formulaic parts by their text
        self.slow: dict[str, np.ndarray] = {}
        self.built: dict[str, np.ndarray] = {}
        self.notes: list[str] = []

    def build(self, frame: pd.DataFrame, complete: np.ndarray | None) -> Design:
        """Design of the complete rows; `frame` is for the user."""
        cond = self.parsed["cond"]
        for part in self.parsed.values():
            for sum_of_terms in (part.fixed, *(bar.left for bar in part.bars if not bar.coordinates)):
                self._register(sum_of_terms)
        offsets = {name: tuple(map(self._addend, part.offsets)) for name, part in self.parsed.items()}
        outcome = [] if self._has_category() else [self._addend(e) for e in cond.response]
        self.slow = self.parts.fit(self.columns)
        self.recipes.update({text: self.parts.matrix(key) for text, key in self.keys.items()})

        values = [addend.build(self.columns, self.slow) for addend in outcome]
        response = make_response(cond, values, self.columns, self.arguments.get("trials"), self.proportions)
        made = {name: self._predictor(name, offsets[name]) for name in self.parsed}
        return Design(
            formula=cond.text,
            response=response,
            predictors={name: predictor for name, (_, predictor) in made.items()},
            frame=frame,
            n_missing=0 if complete is None else int(np.count_nonzero(~complete)),
            complete=complete,
            freq_weights=self.arguments.get("freq_weights"),
            var_weights=self.arguments.get("var_weights"),
            formulas={name: part.text for name, part in self.parsed.items()},
            encode=self._encoder({name: plan for name, (plan, _) in made.items()}),
        )

    def _has_category(self) -> bool:
        """Whether the response is a column of text or categories."""
        name = self.parsed["cond"].response_column
        return name is not None and self.columns.kind(name) == "categorical"

    def _register(self, part: Part) -> None:
        """Recipe of a sum of terms, or its place in the formulaic call."""
        text = part.text
        if text in self.recipes or text in self.keys:
            return
        coded = {expression.coded_column for expression in part.expressions}
        for name in part.names:
            if name in self.columns and (self.columns.is_text(name) or name in coded):
                levels = self.columns.factor(name)[1]
                if len(levels) < 2:
                    raise ModelError(f"column '{name}' has only one level ('{levels[0]}'), leave it out")
        recipe = plain_matrix(part, self.columns)
        if recipe is None:
            self.keys[text] = self.parts.add_part(part)
        else:
            self.recipes[text] = recipe

    def _addend(self, expression: Expression) -> OffsetPlan:
        if not expression.is_arithmetic:
            return OffsetPlan(expression, self.parts.add_expression(expression))
        self.columns.evaluate(expression)
        return OffsetPlan(expression, None)

    def _matrix(self, part: Part) -> tuple[Matrix, np.ndarray]:
        text = part.text
        if text not in self.built:
            _require_memory(self.columns.nobs, len(self.recipes[text].columns))
            self.built[text] = build_matrix(self.recipes[text], self.columns, self.slow)
        return self.recipes[text], self.built[text]

    def _predictor(self, name: str, offsets: tuple[OffsetPlan, ...]) -> tuple[PredictorPlan, PredictorDesign]:
        parsed = self.parsed[name]
        recipe, X = self._matrix(parsed.fixed)
        require_scale(X, recipe.columns)
        n, p = X.shape
        if n < p:
            where = "" if name == "cond" else f" of {name}"
            raise ModelError(f"{n} complete rows are too few for {p} fixed-effect coefficients{where}, drop terms")
        aliasing = Aliasing.of(X)
        if aliasing.dropped:
            where = "" if name == "cond" else f" of {name}"
            dropped = ", ".join(recipe.columns[j] for j in aliasing.dropped)
            self.notes.append(f"fixed effects{where}: linear combinations of earlier columns, dropped: {dropped}")
        offset = sum_offsets(offsets, self.columns, self.slow)
        if name == "cond" and "offset" in self.arguments:
            offset += self.arguments["offset"]
        require_offset(offset)
        terms = [term for bar in parsed.bars for term in self._terms(bar)]
        plan = PredictorPlan(recipe, aliasing, offsets, tuple(plan for plan, _ in terms))
        built = tuple(term for _, term in terms)
        return plan, plan.design(X, offset, built, new=False)

    def _terms(self, bar: Bar) -> Iterator[tuple[TermPlan | FieldPlan, RandomTerm]]:
        """One term per bar; ``||`` makes one per numeric column, or one with a diagonal structure."""
        if bar.coordinates:
            field, term, notes = plan_field(bar, self.columns)
            self.notes += notes
            yield field, term
            return
        recipe, matrix = self._matrix(bar.left)
        require_scale(matrix, recipe.columns)
        grouping, codes = make_grouping(bar.group, self.columns)
        if not recipe.columns:
            raise ModelError(f"the random effects of '{grouping.name}' have no column, write for example (1 | g)")
        if STRUCTURES[bar.structure].ordered:
            self.notes += check_times(bar.structure, recipe, grouping.name)
        plans = [TermPlan(grouping, recipe, None, bar.structure)]
        if bar.independent and len(recipe.columns) > 1:
            if recipe.is_numeric:
                plans = [TermPlan(grouping, recipe, j, bar.structure) for j in range(len(recipe.columns))]
            else:
                plans = [TermPlan(grouping, recipe, None, "diag")]
        for plan in plans:
            yield plan, plan.build(matrix, codes)

    def _encoder(self, plans: dict[str, PredictorPlan]) -> Encoder:
        fixed: dict[str, None] = {}
        left: dict[str, None] = {}
        placed: dict[str, None] = {}
        groups: dict[str, None] = {}
        for part in self.parsed.values():
            fixed.update(dict.fromkeys(part.fixed.names))
            for expression in part.offsets:
                fixed.update(dict.fromkeys(expression.names))
            for bar in part.bars:
                left.update(dict.fromkeys(bar.left.names))
                placed.update(dict.fromkeys(name for e in bar.coordinates for name in e.names))
                groups.update(dict.fromkeys(bar.group))
        return Encoder(
            plans,
            self.parts,
            {name: self.columns.kind(name) for name in fixed if name in self.columns},
            {name: self.columns.kind(name) for name in left if name in self.columns},
            {name: self.columns.kind(name) for name in placed if name in self.columns},
            tuple(groups),
            frozenset(name for name in fixed if self._is_factor(name)),
            "offset" in self.arguments,
        )

    def _is_factor(self, name: str) -> bool:
        """Whether a column of a fixed part is a factor there, by its values or by ``C(...)`` around it."""
        if name in self.columns and self.columns.is_factor(name):
            return True
        expressions = [e for part in self.parsed.values() for e in part.fixed.expressions]
        return any(e.coded_column == name for e in expressions)
