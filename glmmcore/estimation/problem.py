"""The numerical problem behind a model: standardised columns in engine order, and the layout of the parameters.

Parameters x are laid out as: coefficients of every predictor in turn (cond, disp, extra, zi), then theta of every
random term. With REML the conditional coefficients are integrated and leave x. `assemble` makes it of a design.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glmmcore.covariance import FactorRoot, Field, Structure
from glmmcore.design import RandomTerm
from glmmcore.engines.contract import System
from glmmcore.engines.layout import RelativeFactor, RowLayout, relative_change
from glmmcore.engines.roots import RootChange
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.families.base import Family
from glmmcore.tall import times

__all__ = ["LinearPart", "Problem", "TermPart"]

# Links whose range or curvature makes several modes and several maxima common, but where they are the ordinary link.
_LINKS_WITH_SEVERAL_MODES = ("identity", "inverse", "sqrt")
# Step of the differences of relative factors, in units of their parameters (at least 1): errors are some 1e-10.
_FACTOR_STEP = 1e-5


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
    `whole` makes a root of the covariance of all effects of the factor where the engine takes that in place of T.
    """

    predictor: str
    term: RandomTerm
    structure: Structure
    factor: int
    columns: slice
    back: np.ndarray
    where: slice = field(default_factory=lambda: slice(0, 0))
    level_size: float = 1.0
    whole: FactorRoot | None = None

    @property
    def root_back(self) -> np.ndarray:
        """What maps T to a square root of Sigma, (k, k)."""
        return self.back if self.level_size == 1.0 else self.back / self.level_size

    def slope(self, x: np.ndarray, j: int) -> np.ndarray:
        """d/dx_j of the term's block of T by central differences, x_j one of its parameters."""
        step = _FACTOR_STEP * max(1.0, abs(float(x[j])))
        high, low = x[self.where].copy(), x[self.where].copy()
        high[j - self.where.start] += step
        low[j - self.where.start] -= step
        return (self.structure.factor(high) - self.structure.factor(low)) / (2.0 * step)

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
    def link_with_several_modes(self) -> bool:
        """Whether the link makes several modes of the random effects, and several maxima, common."""
        link = self.family.link.name
        return link in _LINKS_WITH_SEVERAL_MODES and link != self.family.default_link

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
            if term.whole is not None:
                out[term.factor] = term.whole.root(x[term.where])
            else:
                blocks[term.factor][term.columns, term.columns] = term.structure.factor(x[term.where])
        return out

    def part_of(self, term: RandomTerm) -> TermPart:
        """What the problem keeps of a term of the design."""
        return next(part for part in self.terms if part.term is term)

    @property
    def of_fields(self) -> np.ndarray:
        """Which parameters are those of fields, whose roots may jump where effects do not, a mask (n_params,)."""
        out = np.zeros(self.n_params, dtype=bool)
        for term in self.terms:
            out[term.where] = isinstance(term.structure, Field)
        return out

    def at_ends(self, x: np.ndarray) -> np.ndarray:
        """Which parameters are as far as they are followed, so that nothing changes beyond, a mask (n_params,)."""
        out = np.zeros(self.n_params, dtype=bool)
        for term in self.terms:
            if isinstance(term.structure, Field):
                out[term.where] = term.structure.at_ends(x[term.where])
        return out

    def of_factors(self, wanted: np.ndarray) -> list[int]:
        """Wanted parameters, a mask (n_params,), that have a `factor_slope`: those of terms that are no fields."""
        return [
            j
            for term in self.terms
            if not isinstance(term.structure, Field)
            for j in range(term.where.start, term.where.stop)
            if wanted[j]
        ]

    def factor_slope(self, x: np.ndarray, j: int, factors: list[RelativeFactor]) -> list[RelativeFactor]:
        """d/dx_j of every relative factor, x_j one of `of_factors`, by central differences."""
        term = next(t for t in self.terms if t.where.start <= j < t.where.stop)
        out = relative_change(factors, factors)
        if term.whole is not None:
            step = _FACTOR_STEP * max(1.0, abs(x[j]))
            high, low = x.copy(), x.copy()
            high[j] += step
            low[j] -= step
            ends_of_root = [term.whole.root(at[term.where]) for at in (high, low)]
            out[term.factor] = RootChange(ends_of_root[0], ends_of_root[1], 2.0 * step)
            return out
        slope = out[term.factor]
        assert isinstance(slope, np.ndarray)
        slope[term.columns, term.columns] = term.slope(x, j)
        return out

    def effect_slope(
        self, x: np.ndarray, j: int, factors: list[RelativeFactor], mode: np.ndarray, score: np.ndarray
    ) -> np.ndarray:
        """d(Lambda u^)/dx_j, (q,), x_j one of `of_factors`: H du = dLambda' score - Lambda'Z'WZ dLambda u.

        `score` is Z' times the slopes of the log-likelihood at the `mode` u^, where the system was factored.
        """
        layout, system = self.layout, self.system
        assert layout is not None and system is not None
        slope = self.factor_slope(x, j, factors)
        moved = layout.apply_factors(slope, mode)
        rhs = layout.apply_transposed(slope, score)
        rhs -= layout.apply_transposed(factors, system.multiply(moved))
        return moved + layout.apply_factors(factors, system.solve(rhs))

    def no_slopes(self, factors: list[RelativeFactor]) -> list[Any]:
        """Zeros of the form of what an engine's `factor_products` are."""
        return [np.zeros_like(t) if isinstance(t, np.ndarray) else t.no_slope() for t in factors]

    def chain_to_theta(self, d_factors: list[Any], x: np.ndarray, gradient: np.ndarray) -> None:
        """Write d/d theta into `gradient` from d/dT of every grouping factor, or from what its root keeps of G."""
        for term in self.terms:
            slope, theta = d_factors[term.factor], x[term.where]
            if term.whole is not None:
                gradient[term.where] = term.whole.root_gradient(theta, slope)
            else:
                gradient[term.where] = term.structure.gradient(theta, slope[term.columns, term.columns])
