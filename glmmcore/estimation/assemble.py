"""From a design to a `Problem`: columns standardised, random terms laid out for the engines, parameters for x."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glmmcore.covariance import FIELDS, STRUCTURES, AutoRegressiveLevels, Field, OwnScales, Structure
from glmmcore.design import Design, PredictorDesign, RandomTerm
from glmmcore.engines import choose_system
from glmmcore.engines.choice import BORDER, LONG_CHAIN
from glmmcore.engines.contract import System
from glmmcore.engines.covarying import CovaryingSystem
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.errors import ModelError
from glmmcore.estimation.held import check_names, coefficients_by_part, extra_values, needs_own_scales, spread_values
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.problem import LinearPart, Problem, TermPart
from glmmcore.estimation.standardise import orthonormal, rescale
from glmmcore.families.base import Family

__all__ = ["build_problem", "log_weight_shift", "pinned_dispersion"]

# Spreads of a response between which the units of the user are as good as any.
_SMALL, _LARGE = 1e-4, 1e4
# Spread below which, or above whose reciprocal, the gaussian density and those with further parameters, whose kernels
# take logarithms of the dispersion up to 100, leave the range of doubles.
_LEAST_GAUSSIAN, _LEAST = 1e-120, 1e-40

# So many variance parameters of a term are fitted in a second or so, even to fewer rows.
_FEW_PARAMETERS = 200


def build_problem(design: Design, family: Family, *, reml: bool = False, profiled: bool = False) -> Problem:
    """Standardise a design and lay it out for the engines.

    Parameters
    ----------
    design : Design
    family : Family
    reml : bool
        Integrate the conditional fixed effects.
    profiled : bool
        Linear mixed model: the conditional fixed effects enter the system, last, whether integrated or not.
    """
    n = design.nobs
    bars = [(name, term) for name, p in design.predictors.items() for term in p.terms]
    inner = tuple(
        name
        for name in ("cond", "zi")
        if any(source == name for source, _ in bars) or (name == "cond" and (reml or profiled))
    )
    unit = 1.0 if profiled else _unit(design, family)
    known = coefficients_by_part(design, family, design.fixed)
    cond_part = _linear_part("cond", design.predictors["cond"], np.arange(n), None, known.get("cond"))
    assert cond_part.X is not None
    cond, cond_part.back = unit * cond_part.X, unit * cond_part.back
    factors, terms = _random_effects(bars, inner, design, unit)
    n_profiled = 0
    if (reml or profiled) and cond.shape[1]:
        index = np.full(cond.shape[1], inner.index("cond"), dtype=np.int32)
        factors.append(Factor("fixed effects", np.zeros(n, np.int32), 1, cond, index, prior=0.0))
        n_profiled = 0 if reml else cond.shape[1]
    layout = RowLayout(factors) if factors else None
    rows = layout.rows if layout is not None else np.arange(n)
    offset = None if cond_part.offset is None else cond_part.offset[rows]
    parts = _linear_parts(design, family, replace(cond_part, X=cond[rows], offset=offset), rows, known)
    integrated = {part.name for part in parts} if profiled else {"cond"} if reml else set()
    n_params = _place_parameters(parts, terms, integrated)
    return Problem(
        family,
        _likelihood(design, family, rows, inner),
        parts,
        terms,
        layout,
        None if layout is None else _system(layout, terms, n_profiled),
        rows,
        reml,
        n_params,
        inner,
        unit,
        _held(design, family, parts, terms, n_params),
    )


def _place_parameters(parts: list[LinearPart], terms: list[TermPart], integrated: set[str]) -> int:
    """Give every part and term its place in x, none to coefficients that are integrated; length of x."""
    at = 0
    for part in parts:
        part.where = slice(at, at + (0 if part.name in integrated else part.size))
        at = part.where.stop
    for term in terms:
        term.where = slice(at, at + term.structure.size)
        at = term.where.stop
    return at


def _system(layout: RowLayout, terms: list[TermPart], n_profiled: int) -> System:
    """The engine, and whether it takes roots of all effects of a factor: of places, times, and a chain that leads."""
    leading = [term for term in terms if term.factor == 0]
    chained = len(leading) == 1 and leading[0].structure.chained
    system = choose_system(layout, n_profiled, chained=chained)
    for term in terms:
        if isinstance(term.structure, Field):
            term.whole = term.structure
    if chained and isinstance(system, CovaryingSystem):
        leading[0].whole = AutoRegressiveLevels(leading[0].structure.k, layout.factors[0].n_levels)
    return system


def _held(design: Design, family: Family, parts: list[LinearPart], terms: list[TermPart], n_params: int) -> np.ndarray:
    """Values of variance parameters and of further family parameters that are given, (n_params,), else NaN."""
    held = np.full(n_params, np.nan)
    if design.fixed:
        check_names(design, family, terms, design.fixed, "fixed=")
        for place, value in spread_values(terms, design.fixed, "fixed="):
            held[place] = value
        for name, value in extra_values(family, design.fixed, "fixed=").items():
            held[next(part.where.start for part in parts if part.name == name)] = value
    return held


def _unit(design: Design, family: Family) -> float:
    """A power of two near the spread of the response where that is far from one and the link the identity."""
    if family.link.name != "identity":
        return 1.0
    spread = float(np.std(design.response.y))
    least = _LEAST_GAUSSIAN if family.linear else _LEAST
    if not least < spread < 1.0 / least and spread > 0.0:
        raise ModelError(
            f"the response has a standard deviation of {spread:.3g}, too close to the limits of double precision for "
            "this model; measure it in other units"
        )
    return 1.0 if spread == 0.0 or _SMALL < spread < _LARGE else float(2.0 ** np.round(np.log2(spread)))


def _random_effects(
    bars: list[tuple[str, RandomTerm]], inner: tuple[str, ...], design: Design, unit: float
) -> tuple[list[Factor], list[TermPart]]:
    """Factors in the order of the engines, the terms of one grouping factor side by side, and all terms."""
    groups: dict[tuple[str, bool], list[tuple[str, RandomTerm]]] = {}
    for source, term in bars:
        beside = sum(other.Z.shape[1] for _, other in bars if other.group == term.group and other is not term)
        key = term.group if term.places is None else f"{source}: {term.key}"
        groups.setdefault((key, _stands_apart(term, beside)), []).append((source, term))
    factors, terms = [], []
    for position, ((name, _), members) in enumerate(groups.items()):
        factor, own = _factor(name, position, members, inner, design, unit)
        factors.append(factor)
        terms += own
    order = _leading_order(factors)
    for part in terms:
        part.factor = order.index(part.factor)
    return [factors[i] for i in order], terms


def _factor(
    name: str,
    position: int,
    members: list[tuple[str, RandomTerm]],
    inner: tuple[str, ...],
    design: Design,
    unit: float,
) -> tuple[Factor, list[TermPart]]:
    """One grouping factor, its terms side by side."""
    own, blocks, predictor, at = [], [], [], 0
    for source, term in members:
        structure = _structure(term)
        if term.structure == "us" and term.Z.shape[1] > 1 and needs_own_scales(design.fixed, source, term.group):
            structure = OwnScales(term.Z.shape[1])
        z, back = rescale(term.Z, structure.rescaling, design.freq_weights)
        if source == "cond" and unit != 1.0:
            z, back = unit * z, unit * back
        k = z.shape[1]
        _require_rows(term, structure)
        predictor += [inner.index(source)] * k
        part = TermPart(source, term, structure, position, slice(at, at + k), back, level_size=_level_size(term))
        own.append(part)
        blocks.append(part.left_side(z, term.codes))
        at += k
    first = members[0][1]
    z = blocks[0] if len(blocks) == 1 else np.hstack(blocks)
    codes, n_levels, precision = first.codes, len(first.levels), None
    if first.relationship is not None:
        codes = own[0].codes(first.codes).astype(np.int32)
        precision = first.relationship.precision.scaled(_level_size(first) ** 2)
        n_levels = precision.n_levels
    columns = np.array(predictor, dtype=np.int32)
    if isinstance(structure, Field):
        covary = structure.covarying, structure.entries, structure.independent_blocks
        return Factor(name, codes, n_levels, z, columns, 1.0, precision, *covary), own
    return Factor(name, codes, n_levels, z, columns, 1.0, precision), own


def _level_size(term: RandomTerm) -> float:
    """Root of the mean variance of the levels in the data, relative to independent ones."""
    if term.relationship is None:
        return 1.0
    return float(np.sqrt(term.variances(np.unique(term.codes)).mean()))


def _structure(term: RandomTerm) -> Structure:
    """Covariance structure of a term."""
    if term.places is not None:
        return FIELDS[term.structure](term.places)
    return STRUCTURES[term.structure](term.Z.shape[1])


def _require_rows(term: RandomTerm, structure: Structure) -> None:
    """Refuse more variance parameters than rows; a few are fitted whatever the number of rows.

    Raises
    ------
    ModelError
    """
    size, nobs = structure.size, len(term.codes)
    if size > max(nobs, _FEW_PARAMETERS):
        raise ModelError(
            f"the random effects of '{term.group}' have {structure.k} columns and {size} variance parameters, there "
            f"are only {nobs} rows; write diag(... | {term.group}) or (1 | {term.group})"
        )


def _stands_apart(term: RandomTerm, beside: int) -> bool:
    """Whether a chain is a factor of its own for the engine of chains, beside other coefficients of its group."""
    if term.places is not None or not STRUCTURES[term.structure].chained or term.Z.shape[1] < LONG_CHAIN:
        return False
    return 0 < beside * len(term.levels) <= BORDER


def _leading_order(factors: list[Factor]) -> list[int]:
    """Most levels first (most coefficients among equals): what is eliminated block by block should be largest.

    Where levels covary by distance these lead: sparse fields, which may be the largest, then lines, then dense fields.
    """
    rank = {"sparse": 0, "line": 1, "dense": 2, None: 3}
    return sorted(range(len(factors)), key=lambda i: (rank[factors[i].covarying], -factors[i].order, i))


def _linear_parts(
    design: Design, family: Family, cond: LinearPart, rows: np.ndarray, known: dict[str, np.ndarray]
) -> list[LinearPart]:
    parts = [cond]
    if family.has_dispersion:
        log_weights = log_weight_shift(design, family)
        if "disp" in design.predictors:
            pinned = pinned_dispersion(design.predictors["disp"], family)
            extra = pinned if log_weights is None else log_weights + pinned
            parts.append(_linear_part("disp", design.predictors["disp"], rows, extra, known.get("disp")))
        elif "disp" in known:
            offset = known["disp"][0] + (np.zeros(len(rows)) if log_weights is None else log_weights[rows])
            nothing = np.zeros((1, 0))
            part = LinearPart("disp", ("Intercept",), np.zeros((len(rows), 0)), offset, nothing, known=known["disp"])
            parts.append(part)
        elif log_weights is not None:
            constant = np.ones((design.nobs, 1))
            parts.append(LinearPart("disp", ("Intercept",), constant, log_weights[rows], np.eye(1)))
        else:
            parts.append(LinearPart("disp", ("Intercept",), None, None, np.eye(1)))
    parts += [LinearPart(name, (name,), None, None, np.eye(1)) for name in family.extra]
    if "zi" in design.predictors:
        parts.append(_linear_part("zi", design.predictors["zi"], rows, None, known.get("zi")))
    return parts


def log_weight_shift(design: Design, family: Family) -> np.ndarray | None:
    """What `var_weights` add to log(phi) of every row, (n,); None without them."""
    if design.var_weights is None:
        return None
    assert family.weight_power is not None
    return np.asarray(family.weight_power * np.log(design.var_weights))


def pinned_dispersion(source: PredictorDesign, family: Family) -> float:
    """Logarithm of the dispersion under ``disp="~ 0"``, 0 where coefficients or an offset determine it."""
    return family.log_absent_dispersion if not source.X.shape[1] and not np.any(source.offset) else 0.0


def _linear_part(
    name: str,
    source: PredictorDesign,
    rows: np.ndarray,
    extra_offset: np.ndarray | float | None,
    known: np.ndarray | None,
) -> LinearPart:
    """Standardise the columns to estimate; those with known coefficients go into the offset."""
    offset = source.offset if extra_offset is None else source.offset + extra_offset
    if known is None:
        x, back = orthonormal(source.X)
        return LinearPart(name, source.columns, x[rows], _offset(offset, rows), back)
    free = np.isnan(known)
    x, own = orthonormal(source.X[:, free])
    back = np.zeros((len(known), own.shape[1]))
    back[free] = own
    offset = offset + source.X[:, ~free] @ known[~free]
    return LinearPart(name, source.columns, x[rows], _offset(offset, rows), back, known=known)


def _offset(offset: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    return offset[rows] if np.any(offset) else None


def _likelihood(design: Design, family: Family, rows: np.ndarray, inner: tuple[str, ...]) -> Likelihood:
    response = design.response
    return Likelihood(
        family,
        "zi" in design.predictors,
        response.y[rows],
        None if response.trials is None else response.trials[rows],
        None if design.freq_weights is None else design.freq_weights[rows],
        inner,
    )
