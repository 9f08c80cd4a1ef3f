"""The numerical problem behind a model: standardised columns in engine order, and the layout of the parameters.

Parameters x are laid out as: coefficients of every predictor in turn (cond, disp, extra, zi), then theta of every
random term. With REML the conditional coefficients are integrated and leave x.

Longer than 400 lines: columns, random terms and parameters are laid out for one another in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmmcore.covariance import FIELDS, STRUCTURES, Field, OwnScales, Structure
from glmmcore.design import Design, PredictorDesign, RandomTerm
from glmmcore.engines import choose_system
from glmmcore.engines.choice import BORDER, LONG_CHAIN
from glmmcore.engines.contract import System
from glmmcore.engines.layout import Factor, RelativeFactor, RowLayout
from glmmcore.errors import ModelError
from glmmcore.estimation.held import check_names, coefficients_by_part, extra_values, needs_own_scales, spread_values
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.standardise import orthonormal, rescale
from glmmcore.families.base import Family
from glmmcore.tall import times

__all__ = ["LinearPart", "Problem", "TermPart", "build_problem", "pinned_dispersion"]

# Spreads of a response between which the units of the user are as good as any.
_SMALL, _LARGE = 1e-4, 1e4
# Spread below which, or above whose reciprocal, the gaussian density and those with further parameters, whose kernels
# take logarithms of the dispersion up to 100, leave the range of doubles.
_LEAST_GAUSSIAN, _LEAST = 1e-120, 1e-40

# So many variance parameters of a term are fitted in a second or so, even to fewer rows.
_FEW_PARAMETERS = 200


@dataclass(slots=True, eq=False)
class LinearPart:
    """Fixed part of one predictor, ``offset + X @ coefficients``.

    `X` is None for a constant; `back` maps the standardised coefficients to the user's columns. `where` is the place of
    the coefficients in x, empty when they are integrated (REML). Coefficients that are given, `known` (NaN for the
    others), have zero rows in `back` and are part of the offset.
    """

    name: str
    columns: tuple[str, ...]
    X: np.ndarray | None
    offset: np.ndarray | None
    back: np.ndarray
    where: slice = field(default_factory=lambda: slice(0, 0))
    known: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of coefficients to estimate."""
        return self.back.shape[1]

    @property
    def free(self) -> np.ndarray:
        """Which of the user's coefficients are estimated, a mask."""
        return np.ones(len(self.back), dtype=bool) if self.known is None else np.isnan(self.known)

    @property
    def log_volume(self) -> float:
        """Log determinant of the map from standardised coefficients to the user's."""
        return float(np.log(np.abs(np.diag(self.back[self.free]))).sum())

    def user(self, coefficients: np.ndarray) -> np.ndarray:
        """The user's coefficients, those that are given among them."""
        out = self.back @ coefficients
        return out if self.known is None else np.where(self.free, out, self.known)

    def standardised(self, coefficients: np.ndarray) -> np.ndarray:
        """The inverse of `user`."""
        free = self.free
        return np.linalg.solve(self.back[free], coefficients[free])

    def values(self, coefficients: np.ndarray) -> np.ndarray:
        """Fixed part of the rows, (n,), or (1,) for a constant."""
        if self.X is None:
            return coefficients.copy()
        out = times(self.X, coefficients)
        return out if self.offset is None else out + self.offset


@dataclass(slots=True, eq=False)
class TermPart:
    """One random term: where its block of T and its parameters live.

    ``b = back @ b_standardised`` for one level, and Sigma = root_back T T' root_back'. Both are the same but where
    levels covary: there `root_back` allows for the average variance of the levels, so that T is of ordinary size.
    """

    predictor: str
    term: RandomTerm
    structure: Structure
    factor: int
    columns: slice
    back: np.ndarray
    where: slice = field(default_factory=lambda: slice(0, 0))
    level_size: float = 1.0

    @property
    def root_back(self) -> np.ndarray:
        """What maps T to a square root of Sigma, (k, k)."""
        return self.back if self.level_size == 1.0 else self.back / self.level_size

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """Levels of the engine's factor of rows with these codes of the term."""
        relationship = self.term.relationship
        return codes if relationship is None else np.maximum(relationship.node[codes], 0)

    def left_side(self, z: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Left-hand side (n, k) of rows with these codes, zero where a label has no effect."""
        relationship = self.term.relationship
        return z if relationship is None else z * relationship.weight[codes][:, None]

    def of_levels(self, values: np.ndarray) -> np.ndarray:
        """What belongs to the levels of the engine's factor, (N, ...), for those of the term, (L, ...)."""
        relationship = self.term.relationship
        return values if relationship is None else relationship.of_labels(values)


@dataclass(slots=True, eq=False)
class Problem:
    """Everything the objective functions need, in engine row order.

    Attributes
    ----------
    family : Family
    likelihood : Likelihood
    parts : list of LinearPart
        In the order of ``likelihood.predictors``.
    terms : list of TermPart
    layout : RowLayout or None
        None without random effects (and without integrated fixed effects).
    system : engine or None
    rows : ndarray of int64, shape (n,)
        Original position of every row.
    reml : bool
    n_params : int
    inner : tuple of str
        Predictors with random effects.
    held : ndarray, shape (n_params,)
        Values of the parameters that are given, NaN for those to estimate.
    unit : float
        Size of the columns of the conditional part and its random effects: 1, but for responses in very small or large
        units under the identity link, so that the optimiser's parameters are of ordinary size.
    """

    family: Family
    likelihood: Likelihood
    parts: list[LinearPart]
    terms: list[TermPart]
    layout: RowLayout | None
    system: System | None
    rows: np.ndarray
    reml: bool
    n_params: int
    inner: tuple[str, ...]
    unit: float = 1.0
    held: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def free(self) -> np.ndarray:
        """Which parameters are estimated, a mask (n_params,)."""
        return np.isnan(self.held)

    def hold(self, x: np.ndarray) -> np.ndarray:
        """x with the parameters that are given at their values."""
        return np.where(self.free, x, self.held)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def part(self, name: str) -> LinearPart:
        """Linear part of one predictor."""
        return next(p for p in self.parts if p.name == name)

    @property
    def blocks(self) -> list[slice]:
        """Places in x of the parameters that belong together: coefficients of a predictor, theta of a term."""
        places = [p.where for p in self.parts] + [t.where for t in self.terms]
        return [w for w in places if w.stop > w.start]

    def with_response(self, y: np.ndarray) -> Problem:
        """The same model of another response (n,), given in the original row order, with a system of its own."""
        likelihood = self.likelihood.with_response(np.ascontiguousarray(y[self.rows]))
        return replace(self, likelihood=likelihood, system=None if self.system is None else self.system.fresh())

    def factors(self, x: np.ndarray) -> list[RelativeFactor]:
        """Relative factor of every grouping factor (identity for integrated fixed effects)."""
        assert self.layout is not None
        blocks = [np.eye(f.k) if f.prior == 0.0 else np.zeros((f.k, f.k)) for f in self.layout.factors]
        out: list[RelativeFactor] = list(blocks)
        for term in self.terms:
            if isinstance(term.structure, Field):
                out[term.factor] = term.structure.root(x[term.where])
            else:
                blocks[term.factor][term.columns, term.columns] = term.structure.factor(x[term.where])
        return out

    def no_slopes(self, factors: list[RelativeFactor]) -> list[Any]:
        """Zeros of the form of what an engine's `factor_products` are."""
        return [np.zeros_like(t) if isinstance(t, np.ndarray) else t.no_slope() for t in factors]

    def chain_to_theta(self, d_factors: list[Any], x: np.ndarray, gradient: np.ndarray) -> None:
        """Write d/d theta into `gradient` from d/dT of every grouping factor, or from what its root keeps of G."""
        for term in self.terms:
            slope, theta = d_factors[term.factor], x[term.where]
            if isinstance(slope, np.ndarray):
                gradient[term.where] = term.structure.gradient(theta, slope[term.columns, term.columns])
            else:
                assert isinstance(term.structure, Field)
                gradient[term.where] = term.structure.root_gradient(theta, slope)


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
    fixed = None
    if (reml or profiled) and cond.shape[1]:
        index = np.full(cond.shape[1], inner.index("cond"), dtype=np.int32)
        fixed = Factor("fixed effects", np.zeros(n, np.int32), 1, cond, index, prior=0.0)
    factors, terms = _merge(bars, inner, design, unit)
    if factors:
        order = _leading_order(factors)
        factors = [factors[i] for i in order]
        for term in terms:
            term.factor = order.index(term.factor)
    if fixed is not None:
        factors.append(fixed)
    layout = RowLayout(factors) if factors else None
    rows = layout.rows if layout is not None else np.arange(n)
    offset = None if cond_part.offset is None else cond_part.offset[rows]
    parts = _linear_parts(design, family, replace(cond_part, X=cond[rows], offset=offset), rows, known)
    likelihood = _likelihood(design, family, rows, inner)
    at = 0
    for part in parts:
        integrated = profiled or (part.name == "cond" and reml)
        part.where = slice(at, at + (0 if integrated else part.size))
        at = part.where.stop
    for term in terms:
        term.where = slice(at, at + term.structure.size)
        at = term.where.stop
    n_profiled = fixed.k if fixed is not None and not reml else 0
    leading = [term.structure for term in terms if term.factor == 0]
    chained = len(leading) == 1 and leading[0].chained
    system = choose_system(layout, n_profiled, chained=chained) if layout is not None else None
    held = np.full(at, np.nan)
    if design.fixed:
        check_names(design, family, terms, design.fixed, "fixed=")
        for place, value in spread_values(terms, design.fixed, "fixed="):
            held[place] = value
        for name, value in extra_values(family, design.fixed, "fixed=").items():
            held[next(part.where.start for part in parts if part.name == name)] = value
    return Problem(family, likelihood, parts, terms, layout, system, rows, reml, at, inner, unit, held)


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


def _merge(
    bars: list[tuple[str, RandomTerm]], inner: tuple[str, ...], design: Design, unit: float
) -> tuple[list[Factor], list[TermPart]]:
    """Put the terms of one grouping factor side by side."""
    groups: dict[tuple[str, bool], list[tuple[str, RandomTerm]]] = {}
    for source, term in bars:
        beside = sum(other.Z.shape[1] for _, other in bars if other.group == term.group and other is not term)
        key = term.group if term.places is None else f"{source}: {term.key}"
        groups.setdefault((key, _stands_apart(term, beside)), []).append((source, term))
    factors, terms = [], []
    for position, ((group, _), members) in enumerate(groups.items()):
        blocks, predictor, at = [], [], 0
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
            terms.append(part)
            blocks.append(part.left_side(z, term.codes))
            at += k
        first = members[0][1]
        z = blocks[0] if len(blocks) == 1 else np.hstack(blocks)
        codes, n_levels, precision = first.codes, len(first.levels), None
        if first.relationship is not None:
            codes = part.codes(first.codes).astype(np.int32)
            precision = first.relationship.precision.scaled(_level_size(first) ** 2)
            n_levels = precision.n_levels
        covarying, entries = (None, 0) if not isinstance(structure, Field) else (structure.covarying, structure.entries)
        columns = np.array(predictor, dtype=np.int32)
        factors.append(Factor(group, codes, n_levels, z, columns, 1.0, precision, covarying, entries))
    return factors, terms


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
