"""From formula and data to a `Design`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.design import Design, PredictorDesign
from glmmcore.errors import DataWarning, ModelError
from glmmcore.formula.bars import Bar, ParsedFormula, Part, parse_formula
from glmmcore.formula.columns import Columns
from glmmcore.formula.encode import Encoder
from glmmcore.formula.expressions import ENVIRONMENT, Expression, UnsupportedExpression, evaluate
from glmmcore.formula.fast import plain_matrix
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.formula.groups import make_grouping
from glmmcore.formula.materialize import FormulaicParts, SlowMatrix, dense, is_numeric
from glmmcore.formula.plan import Matrix, OffsetPlan, PredictorPlan, TermPlan, build_matrix, sum_offsets
from glmmcore.formula.rank import aliased_columns
from glmmcore.formula.response import make_response

__all__ = ["build_design"]

Argument = str | Any


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
        A column or an array. With `trials` the response holds numbers of successes; it is read as proportions when
        all values lie in [0, 1], not all are whole, and each times its trials is whole.

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
    parsed = {"cond": parse_formula(formula)}
    for name, text in (("zi", zi), ("disp", disp)):
        if text is not None:
            parsed[name] = parse_formula(text, one_sided=True)
    columns = Columns(as_frame(data))
    if columns.nobs == 0:
        raise ModelError("data has no rows")
    for part in parsed.values():
        _read(part, columns)
    given = {"trials": trials, "offset": offset, "freq_weights": freq_weights, "var_weights": var_weights}
    arguments = {name: _argument(name, value, columns) for name, value in given.items() if value is not None}

    missing = columns.missing()
    for values in arguments.values():
        missing |= np.isnan(values)
    n_missing = int(np.count_nonzero(missing))
    if n_missing == columns.nobs:
        raise ModelError(f"every row has something missing{_emptiest(columns, arguments)}")
    frame = columns.data[columns.names]
    if n_missing:
        keep = ~missing
        columns = columns.take(keep)
        arguments = {name: values[keep] for name, values in arguments.items()}
        frame = frame[keep]
    columns.check_finite()
    for name, values in arguments.items():
        columns.require_finite(values, name)
        if name.endswith("weights") and not (values > 0).all():
            at = int(np.argmin(values > 0))
            label = row_name(columns.index, at)
            raise ModelError(
                f"{name} must be positive, it is {values[at]:g} in {label}; leave the row out instead"
            )

    return _Builder(columns).build(parsed, arguments, frame, n_missing, isinstance(offset, str))


def _read(parsed: ParsedFormula, columns: Columns) -> None:
    expressions = [*parsed.response, *parsed.offsets]
    parts = [parsed.fixed, *(bar.left for bar in parsed.bars)]
    for part in parts:
        expressions += part.expressions.values()
        columns.read(part.names)
    for expression in expressions:
        _check_functions(expression)
        columns.read(expression.names)
    for bar in parsed.bars:
        columns.read((), bar.group)


def _check_functions(expression: Expression) -> None:
    if all(name in ENVIRONMENT for name in expression.functions):
        return
    from formulaic.transforms import TRANSFORMS

    for name in expression.functions:
        if name not in ENVIRONMENT and name not in TRANSFORMS:
            raise ModelError(
                f"function '{name}' in '{expression.code}' is not known, compute a column before the fit or use np.*"
            )


def _argument(name: str, value: Argument, columns: Columns) -> np.ndarray:
    """Float64 values (n,) of an argument that is a column name or an array."""
    if isinstance(value, str):
        columns.read([value])
        return columns.numeric(value)
    if isinstance(value, pd.Series) and not value.index.equals(columns.index):
        raise ModelError(
            f"{name} is a Series with another index than the data, pass a column or {name}.to_numpy()"
        )
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{name} must be a column name or an array of numbers") from None
    if array.ndim == 0:
        return np.full(columns.nobs, float(array))
    if array.shape != (columns.nobs,):
        shape = f"has length {len(array)}" if array.ndim == 1 else f"has shape {array.shape}"
        raise ModelError(f"{name} {shape}, the data have {columns.nobs} rows")
    return array


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

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.parts = FormulaicParts()
        self.recipes: dict[str, Matrix | None] = {}
        self.slow: dict[str, np.ndarray] = {}
        self.built: dict[str, np.ndarray] = {}

    def build(
        self,
        parsed: dict[str, ParsedFormula],
        arguments: dict[str, np.ndarray],
        frame: pd.DataFrame,
        n_missing: int,
        offset_is_column: bool,
    ) -> Design:
        for part in parsed.values():
            self._register(part.fixed)
            for bar in part.bars:
                self._register(bar.left)
        offsets = {
            name: tuple(OffsetPlan(e, self._register_expression(e)) for e in part.offsets)
            for name, part in parsed.items()
        }
        cond = parsed["cond"]
        response_keys = (
            [] if self._is_category(cond) else [self._register_expression(e) for e in cond.response]
        )
        self._run_formulaic()

        values = [
            OffsetPlan(expression, key).build(self.columns, self.slow)
            for expression, key in zip(cond.response, response_keys, strict=False)
        ]
        response = make_response(cond, values, self.columns, arguments.get("trials"))
        plans: dict[str, PredictorPlan] = {}
        predictors: dict[str, PredictorDesign] = {}
        for name, part in parsed.items():
            plans[name], predictors[name] = self._predictor(name, part, offsets[name], arguments)
        return Design(
            formula=cond.text,
            response=response,
            predictors=predictors,
            frame=frame,
            n_missing=n_missing,
            freq_weights=arguments.get("freq_weights"),
            var_weights=arguments.get("var_weights"),
            formulas={name: part.text for name, part in parsed.items()},
            encode=self._encoder(parsed, plans, "offset" in arguments and not offset_is_column),
        )

    def _is_category(self, parsed: ParsedFormula) -> bool:
        expression = parsed.response[0]
        name = expression.code.strip("`")
        return not parsed.is_counts and name in self.columns and self.columns.kind(name) == "categorical"

    def _register(self, part: Part) -> None:
        """Recipe of a sum of terms, or its place in the formulaic call."""
        text = part.text
        if text not in self.recipes:
            recipe = plain_matrix(part, self.columns)
            self.recipes[text] = recipe
            if recipe is None:
                self.parts.add_part(f"part{len(self.parts.formulas)}", text, part)

    def _register_expression(self, expression: Expression) -> str | None:
        try:
            evaluate(expression.code, self.columns.operand)
        except UnsupportedExpression:
            key = f"part{len(self.parts.formulas)}"
            self.parts.add_expression(key, expression)
            return key
        return None

    def _run_formulaic(self) -> None:
        found = self.parts.fit(self.columns)
        by_text = {formula: key for key, formula in self.parts.formulas.items()}
        for key, matrix in found.items():
            names = tuple(self.parts.specs[key].column_names)
            self.slow[key] = dense(matrix, self.columns, list(names))
        for text, recipe in self.recipes.items():
            if recipe is None:
                key = by_text[text]
                spec = self.parts.specs[key]
                self.recipes[text] = SlowMatrix(key, tuple(spec.column_names), is_numeric(spec))

    def _matrix(self, part: Part) -> tuple[Matrix, np.ndarray]:
        text = part.text
        recipe = self.recipes[text]
        assert recipe is not None
        if text not in self.built:
            self.built[text] = build_matrix(recipe, self.columns, self.slow)
        return recipe, self.built[text]

    def _predictor(
        self,
        name: str,
        parsed: ParsedFormula,
        offsets: tuple[OffsetPlan, ...],
        arguments: dict[str, np.ndarray],
    ) -> tuple[PredictorPlan, PredictorDesign]:
        recipe, X = self._matrix(parsed.fixed)
        n, p = X.shape
        if n < p:
            what = {"cond": "", "zi": " of zi", "disp": " of disp"}[name]
            raise ModelError(
                f"{n} complete rows are too few for {p} fixed-effect coefficients{what}, drop terms"
            )
        kept, aliased = self._full_rank(name, X, recipe.columns)
        if aliased:
            X = np.ascontiguousarray(X[:, kept])
        offset = sum_offsets(offsets, self.columns, self.slow)
        if name == "cond" and "offset" in arguments:
            offset += arguments["offset"]
        plans, terms = [], []
        for bar in parsed.bars:
            for plan, matrix, codes in self._terms(bar):
                plans.append(plan)
                terms.append(plan.build(matrix, codes))
        columns = tuple(recipe.columns[j] for j in kept)
        return (
            PredictorPlan(recipe, kept, offsets, tuple(plans)),
            PredictorDesign(X, columns, offset, tuple(terms), aliased),
        )

    def _full_rank(
        self, name: str, X: np.ndarray, columns: tuple[str, ...]
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        dependent = aliased_columns(X)
        aliased = tuple(columns[j] for j in np.flatnonzero(dependent))
        if aliased:
            where = "" if name == "cond" else f" of {name}"
            warnings.warn(
                f"dropped from the fixed effects{where}, being linear combinations of earlier columns: "
                + ", ".join(aliased),
                DataWarning,
                stacklevel=5,
            )
        return tuple(int(j) for j in np.flatnonzero(~dependent)), aliased

    def _terms(self, bar: Bar) -> Iterable[tuple[TermPlan, np.ndarray, np.ndarray]]:
        recipe, matrix = self._matrix(bar.left)
        grouping, codes = make_grouping(bar.group, self.columns)
        if not bar.independent or len(recipe.columns) == 1:
            yield TermPlan(grouping, recipe, None, bar.structure), matrix, codes
        elif recipe.is_numeric:
            for j in range(len(recipe.columns)):
                yield TermPlan(grouping, recipe, j, bar.structure), matrix, codes
        else:
            yield TermPlan(grouping, recipe, None, "diag"), matrix, codes

    def _encoder(
        self, parsed: dict[str, ParsedFormula], plans: dict[str, PredictorPlan], array_offset: bool
    ) -> Encoder:
        fixed: dict[str, str] = {}
        left: dict[str, str] = {}
        groups: dict[str, None] = {}
        for part in parsed.values():
            names = [*part.fixed.names, *(name for offset in part.offsets for name in offset.names)]
            fixed.update({name: self.columns.kind(name) for name in names if name in self.columns})
            for bar in part.bars:
                left.update(
                    {name: self.columns.kind(name) for name in bar.left.names if name in self.columns}
                )
                groups.update(dict.fromkeys(bar.group))
        return Encoder(plans, self.parts, fixed, left, tuple(groups), array_offset)
