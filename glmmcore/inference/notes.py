"""Sentences below tables of means: on which scale and at which exposure they are, and what averages may hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.formula.expressions import parse_expression
from glmmcore.formula.lexer import read_lexemes
from glmmcore.formula.syntax import Call, Name
from glmmcore.results.row_designs import designs_of_rows

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.reference_grid import ReferenceGrid

__all__ = ["interaction_notes", "offset_notes", "scale_notes", "units_of_offset"]

# Share of a column's values below which a difference of differences is rounding.
_ROUNDING = 1e-10


def interaction_notes(fit: FittedGLMM, grid: ReferenceGrid, parts: tuple[str, ...]) -> list[str]:
    """Say which columns are averaged over, or at their mean, although cells differ by more at some of their values."""
    if len(grid.cells) < 2:
        return []
    return [*_notes_on_averages(fit, grid, parts), *_notes_on_means(fit, grid, parts)]


def _notes_on_averages(fit: FittedGLMM, grid: ReferenceGrid, parts: tuple[str, ...]) -> list[str]:
    """Of categories."""
    if not grid.averaged:
        return []
    found: dict[tuple[str, ...], None] = {}
    for part in parts:
        design = grid.predictors[part]
        values = design.X.reshape(len(grid.cells), len(grid.weights), -1)
        apart = values - values[:1] - values[:, :1] + values[:1, :1]
        size = np.abs(values).max(axis=(0, 1), initial=0.0)
        found |= _terms_apart(design, apart, size)
    if not found:
        return []
    columns = {name for term in found for name in _columns(fit, term)}
    over = [name for name in grid.averaged if name in columns] or list(grid.averaged)
    names, terms = ", ".join(over), ", ".join(map(":".join, found))
    return [
        f"Averaged over {names} although the model has {terms}: what differs between levels of {names} is not seen "
        f"here; by={over[0] if len(over) == 1 else over!r} shows it."
    ]


def _notes_on_means(fit: FittedGLMM, grid: ReferenceGrid, parts: tuple[str, ...]) -> list[str]:
    """Of numbers: whether cells move apart when one goes from its mean to its largest value."""
    together = [c for p in parts for t in grid.predictors[p].column_terms if len(c := _columns(fit, t)) > 1]
    notes = []
    for name in [name for name in grid.at_means if any(name in columns for columns in together)]:
        moved = designs_of_rows(fit, grid.frame.assign(**{name: fit.data[name].astype(float).max()}), "none")[0]
        found: dict[tuple[str, ...], None] = {}
        for part in parts:
            design = grid.predictors[part]
            shape = (len(grid.cells), len(grid.weights), -1)
            change = (moved[part].X - design.X).reshape(shape)
            size = np.abs(design.X).max(axis=0, initial=0.0) + np.abs(moved[part].X).max(axis=0, initial=0.0)
            found |= _terms_apart(design, change - change[:1], size)
        if found:
            notes.append(
                f"At the mean of {name} although the model has {', '.join(map(':'.join, found))}: differences are "
                f"others at other values of {name}; at={{{name!r}: ...}} chooses one."
            )
    return notes


def _terms_apart(design: PredictorDesign, apart: np.ndarray, size: np.ndarray) -> dict[tuple[str, ...], None]:
    """Terms with a column, of `size` (p,), in which cells are apart, (cells, rows, p), by more than rounding."""
    moves = np.abs(apart).max(axis=(0, 1), initial=0.0) > _ROUNDING * size
    return dict.fromkeys(design.column_terms[j] for j in np.flatnonzero(moves))


def _columns(fit: FittedGLMM, term: tuple[str, ...]) -> set[str]:
    """Columns of the data in a term of a formula, whose names stand there without back-ticks where they are factors."""
    plain = {factor for factor in term if factor in fit.data}
    read = [parse_expression(tuple(read_lexemes(factor))) for factor in term if factor not in plain]
    return plain | {name for expression in read for name in expression.names}


def units_of_offset(fit: FittedGLMM) -> dict[str, int | None]:
    """Columns in the offset of the conditional part, each with the value at which a log link is about one unit.

    That is 1 in ``log(years)`` and 0 of a column of logarithms; None where it cannot be told, and for other links.
    """
    encode: Any = fit.design.encode
    out: dict[str, int | None] = {}
    for addend in encode.offsets:
        unit = None
        match addend.node:
            case Name():
                unit = 0
            case Call(function="log" | "np.log", arguments=(Name(),)):
                unit = 1
        out |= {name: unit for name in addend.names if name in fit.data}
    return out if fit.family.link.name == "log" else dict.fromkeys(out)


def offset_notes(fit: FittedGLMM, grid: ReferenceGrid, parts: tuple[str, ...]) -> list[str]:
    """Say at which values of the columns in an offset means are, where nobody chose these."""
    notes = []
    for name, unit in units_of_offset(fit).items() if "cond" in parts else ():
        if name in grid.at_means:
            mean = fit.data[name].astype(float).mean()
            chosen = "...} chooses another value" if unit is None else f"{unit}}} gives means per unit"
            notes.append(f"The offset is that of {name} at its mean, {mean:.4g}; at={{{name!r}: {chosen}.")
    return notes


def scale_notes(
    fit: FittedGLMM,
    kind: str,
    component: str | None,
    random_effects: str,
    compared: str | None,
    original: str = "kind='response'",
) -> list[str]:
    """Say on which scale numbers are that are not means of the response.

    Parameters
    ----------
    fit : FittedGLMM
    kind, component, random_effects : str
        As in `marginal_means`.
    compared : {"-", "/", "means"}, optional
        Of contrasts: differences on the scale of the link, ratios, or differences of means.
    original : str
        What is about the response before it was transformed.
    """
    response = fit.design.response
    link = "logit" if component == "zi" else fit.family.link.name
    way = response.transformed
    if component is None and link == "identity" and kind == "response" and way is not None:
        what = {None: "Medians", "/": "Ratios of medians", "means": "Differences of medians"}.get(compared)
        if compared == "-":
            return [f"Differences on the scale of {response.name}; scale='difference' compares {way.inner}."]
        if random_effects == "average":
            return [f"Of means of {way.inner}: averaged over what is random in {response.name}, residuals too."]
        more = "; random_effects='average' is about means" if way.has_mean and fit.family.linear else ""
        return [f"{what} of {way.inner}, mapped back from {response.name}{more}."]
    if link == "identity" and component != "zi":
        if response.trials is not None or response.name in fit.data or response.levels is not None:
            return []
        back = f"; {original} maps back to {way.inner}" if way is not None else ""
        return [f"On the scale of {response.name}, the response of the model{back}."]
    if kind == "link":
        return [f"On the scale of the {link} link."]
    if compared == "-" and link not in ("log", "logit"):
        return [f"Differences on the scale of the {link} link; scale='difference' compares means."]
    return []
