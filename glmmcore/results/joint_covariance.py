"""Joint uncertainty of everything that was estimated: parameters and random effects together.

A prediction is a linear combination ``d'x + z'b`` of the parameters x and the random effects b. To first
order its error has the variance

    c'Vc + z' cov(b | x) z,    c = d + (d b^ / dx)' z,

V the inverse Hessian of the negative log-likelihood and b^ the modes, which move with x; a level that the fit
has not seen adds ``z' Sigma z``. Fixed effects that are integrated (REML) or profiled (linear models) count
with b.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.results.variance_parameters import without_ratios

if TYPE_CHECKING:
    from glmmcore.estimation.problem import TermPart
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["Combination", "JointCovariance", "RandomRows", "contrast_variance", "stacked"]

# Step of the differences of modes in parameters of fields, in their standard errors or natural units.
_STEP = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class RandomRows:
    """Rows ``z_i' b[codes_i]`` of one random term, in the user's columns.

    Attributes
    ----------
    term : TermPart
    Z : ndarray, shape (n, k)
    codes : ndarray, shape (n,)
        -1 for a level that the fit has not seen.
    """

    term: TermPart
    Z: np.ndarray
    codes: np.ndarray


@dataclass(slots=True, eq=False)
class Combination:
    """Linear combinations, one a row, of fixed and random effects of several predictors.

    Attributes
    ----------
    fixed : dict of str to ndarray
        By predictor, weights of its coefficients, (n, p).
    random : list of RandomRows
    direct : ndarray, shape (n, n_params), or None
        Weights of the optimiser's parameters themselves, added to those of `fixed`.
    """

    fixed: dict[str, np.ndarray]
    random: list[RandomRows] = field(default_factory=list)
    direct: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.fixed.values())))

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Combination:
        """Rows made of these, `change` taking weights of any p columns, (n, p), to those of the new rows, (m, p).

        Not for combinations with random effects at their modes, whose rows belong to levels.
        """
        assert not self.random
        direct = None if self.direct is None else change(self.direct)
        return Combination({name: change(weights) for name, weights in self.fixed.items()}, direct=direct)


def stacked(combinations: Sequence[Combination]) -> Combination:
    """Rows of several combinations, one after the other, so that what they share is solved for once.

    Where random effects at their modes take part, all combinations are of the same n rows.
    """
    m, n = len(combinations), combinations[0].n

    def below_each_other(blocks: list[np.ndarray | None]) -> np.ndarray:
        columns = next(block.shape[1] for block in blocks if block is not None)
        filled = [
            np.zeros((c.n, columns)) if block is None else block for c, block in zip(combinations, blocks, strict=True)
        ]
        return np.concatenate(filled)

    names = dict.fromkeys(name for c in combinations for name in c.fixed)
    fixed = {name: below_each_other([c.fixed.get(name) for c in combinations]) for name in names}
    direct = None
    if any(c.direct is not None for c in combinations):
        direct = below_each_other([c.direct for c in combinations])
    random: dict[int, RandomRows] = {}
    for i, c in enumerate(combinations):
        for r in c.random:
            if id(r.term) not in random:
                random[id(r.term)] = RandomRows(r.term, np.zeros((m * n, r.Z.shape[1])), np.tile(r.codes, m))
            random[id(r.term)].Z[i * n : (i + 1) * n] = r.Z
    return Combination(fixed, list(random.values()), direct)


class JointCovariance:
    """Variances of `Combination` rows of one fit; evaluates the objective again when modes take part.

    Use it at once: fits of one model to several responses share the memory of the linear system behind it.
    """

    def __init__(self, fit: FittedGLMM) -> None:
        self.problem: Any = fit.estimator.problem
        self.linear = fit.estimator.linear
        self.x = fit.solution.x
        self.curvature = without_ratios(fit.estimator, fit.solution.x, fit.curvature)
        self._fit = fit
        self._integrated = [p.name for p in self.problem.parts if p.size and p.where.stop == p.where.start]

    def variance(self, rows: Combination) -> np.ndarray:
        """Variance of every row, (n,); inf where the data do not bound it."""
        slopes = np.zeros((rows.n, len(self.x))) if rows.direct is None else rows.direct.copy()
        total = np.zeros(rows.n)
        fixed_rows = None
        for name, weights in rows.fixed.items():
            part = self.problem.part(name)
            if name not in self._integrated:
                slopes[:, part.where] += weights @ part.back
            elif name == "cond":
                fixed_rows = weights @ part.back
            else:  # log sigma of a linear model does not covary with the rest to first order
                total += self._fit.part_covariance(name, name)[0, 0] * weights[:, 0] ** 2
        if rows.random or fixed_rows is not None:
            blocks, unseen = self._by_factor(rows)
            if blocks or fixed_rows is not None:
                slopes += self._mode_slopes(blocks, fixed_rows)
                total += self._modes.scale**2 * self._quadratic(blocks, fixed_rows, rows.n)
            total += unseen
        return np.maximum(total, 0.0) + self.curvature.variance(
            self.curvature.short_of_limits(slopes, self._with_limit)
        )

    @property
    def _with_limit(self) -> np.ndarray:
        """Which parameters have a simpler law for their limit, (p,): dispersion, shape, and those of random effects."""
        out = np.zeros(len(self.x), dtype=bool)
        family = self.problem.family
        for name in (*(("disp",) if family.has_dispersion else ()), *family.extra):
            out[self.problem.part(name).where] = True
        for term in self.problem.terms:
            out[term.where] = True
        return out

    def of_modes(self, solution: TermSolution) -> np.ndarray:
        """Variances of predicting the coefficients of every level of a term, (L, k)."""
        term = self.problem.part_of(solution.term)
        n_levels, k = solution.modes.shape
        rows = RandomRows(term, np.tile(np.eye(k), (n_levels, 1)), np.repeat(np.arange(n_levels), k))
        fixed = {"cond": np.zeros((n_levels * k, len(self.problem.part("cond").columns)))}
        return self.variance(Combination(fixed, [rows])).reshape(n_levels, k)

    def given_parameters(self, solution: TermSolution) -> np.ndarray:
        """Variances of the coefficients of every level of a term, fixed effects known, (L, k)."""
        term = self.problem.part_of(solution.term)
        modes, factor = self._modes, term.factor
        blocks = modes.system.level_covariances(factor)
        if self.problem.reml and len(modes.fixed_columns):  # the system integrates the fixed effects
            blocks = blocks - modes.owed_to_fixed(factor, blocks.shape)
        own = blocks[:, term.columns, term.columns]
        variances = term.of_levels(np.einsum("ij,ljk,ik->li", term.back, own, term.back))
        return np.maximum(modes.scale**2 * variances, 0.0)

    # ---- random effects --------------------------------------------------------------------------------
    def _by_factor(self, rows: Combination) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """Standardised left-hand sides and codes of the factors in use, and the variance of unseen levels."""
        sizes = self.problem.layout.sizes if self.problem.layout is not None else ()
        blocks: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        unseen = np.zeros(rows.n)
        for r in rows.random:
            new = r.codes < 0
            if new.any():
                unseen[new] += self._fit.solution.of_term(r.term.term).row_variances(r.Z[new], r.codes[new])
            if new.all():
                continue
            if r.term.factor not in blocks:
                levels = r.term.codes(np.maximum(r.codes, 0))
                blocks[r.term.factor] = np.zeros((rows.n, sizes[r.term.factor])), levels
            z = np.where(new[:, None], 0.0, r.term.left_side(r.Z, np.maximum(r.codes, 0)))
            blocks[r.term.factor][0][:, r.term.columns] += z @ r.term.back
        return blocks, unseen

    @cached_property
    def _modes(self) -> _Modes:
        return _Modes(self)

    def _mode_slopes(
        self, blocks: dict[int, tuple[np.ndarray, np.ndarray]], fixed_rows: np.ndarray | None
    ) -> np.ndarray:
        """(d b^ / dx)' z of every row, (n, n_params)."""
        jacobian, offsets = self._modes.jacobian, self.problem.layout.offsets
        out: Any = 0.0
        for f, (z, codes) in blocks.items():
            moved = jacobian[offsets[f] : offsets[f + 1]].reshape(-1, z.shape[1], len(self.x))
            for j in range(z.shape[1]):
                out = out + z[:, j, None] * moved[codes, j]
        if fixed_rows is not None:
            out = out + fixed_rows @ jacobian[len(jacobian) - fixed_rows.shape[1] :]
        return out

    def _quadratic(
        self,
        blocks: dict[int, tuple[np.ndarray, np.ndarray]],
        fixed_rows: np.ndarray | None,
        n: int,
    ) -> np.ndarray:
        """z' Lambda H^-1 Lambda' z of every row, (n,), fixed effects included."""
        modes, offsets = self._modes, self.problem.layout.offsets
        total = np.zeros(n)
        columns = modes.fixed_columns  # (p, q)
        p = len(columns)
        if fixed_rows is not None:
            total += np.einsum("ij,jk,ik->i", fixed_rows, columns[:, columns.shape[1] - p :], fixed_rows)
        # fewest levels first: each pair of factors takes a solve for every level of the first one
        order = sorted(blocks, key=lambda f: len(np.unique(blocks[f][1])))
        for position, f in enumerate(order):
            z, codes = blocks[f]
            k = z.shape[1]
            total += np.einsum("ij,ijk,ik->i", z, modes.level_covariances(f)[codes], z)
            if fixed_rows is not None:
                mixed = columns[:, offsets[f] : offsets[f + 1]].reshape(p, -1, k)
                total += 2.0 * np.einsum("ip,pij,ij->i", fixed_rows, mixed[:, codes], z)
            later = order[position + 1 :]
            if not later:
                continue
            by_level = np.argsort(codes, kind="stable")
            levels, first = np.unique(codes[by_level], return_index=True)
            for level, members in zip(levels, np.split(by_level, first[1:]), strict=True):
                for j in range(k):
                    solved = modes.column(int(offsets[f] + level * k + j))
                    for g in later:
                        zg, codes_g = blocks[g][0][members], blocks[g][1][members]
                        other = solved[offsets[g] : offsets[g + 1]].reshape(-1, zg.shape[1])[codes_g]
                        total[members] += 2.0 * z[members, j] * np.einsum("ij,ij->i", zg, other)
        return total


def contrast_variance(fit: FittedGLMM, rows: np.ndarray) -> np.ndarray:
    """Variance of ``rows @ fit.params``, rows (m, p), shape (m,); inf where the data do not bound it."""
    covariance = fit.solution.covariance["cond", "cond"]
    if np.isfinite(covariance).all():
        return np.maximum(np.einsum("ij,jk,ik->i", rows, covariance, rows), 0.0)
    # coefficients without a bound may cancel: the directions are known only to the joint covariance
    return JointCovariance(fit).variance(Combination({"cond": rows}))


class _Modes:
    """Random effects, and integrated fixed effects, at the optimum: how they move with x, their covariance.

    Attributes
    ----------
    jacobian : ndarray, shape (q, n_params)
        d b^ / dx in standardised coordinates.
    scale : float
        Unit of the covariance: sigma for linear models, else 1.
    fixed_columns : ndarray, shape (p, q)
        Columns of Lambda H^-1 Lambda' that belong to integrated fixed effects; none without them.
    """

    def __init__(self, joint: JointCovariance) -> None:
        self.problem, self.linear = joint.problem, joint.linear
        x = joint.x
        estimator: Any = joint._fit.estimator
        if joint.linear:
            self.objective = estimator.linear_objective()
            self.objective(x)
        else:
            self.objective = estimator.objective_at(joint._fit.solution)
        self.jacobian = self._jacobian(x, joint.curvature.steps)
        self.objective(x)
        self.factors = self.problem.factors(x)
        self.system = self.problem.system
        self.scale = 1.0
        if joint.linear:
            self.scale = self.objective.sigma
            self.system.invert()
            self.system.scale_inverse()
        p = self.problem.part("cond").size if "cond" in joint._integrated else 0
        q = self.problem.layout.order
        self.fixed_columns = np.array([self.column(q - p + j) for j in range(p)]).reshape(p, q)
        self._profiled = joint.linear and not self.problem.reml and p > 0
        self._levels: dict[int, np.ndarray] = {}

    def column(self, position: int) -> np.ndarray:
        """Column of Lambda H^-1 Lambda', (q,)."""
        unit = np.zeros(self.problem.layout.order)
        unit[position] = 1.0
        solved = self.system.solve(self.problem.layout.apply_transposed(self.factors, unit))
        return self.problem.layout.apply_factors(self.factors, solved)

    def level_covariances(self, factor: int) -> np.ndarray:
        """Diagonal blocks of Lambda H^-1 Lambda' of one factor, (L, k, k)."""
        if factor not in self._levels:
            out = self.system.level_covariances(factor)
            if self._profiled:  # the system inverts without the fixed effects, as if they were known
                out = out + self.owed_to_fixed(factor, out.shape)
            self._levels[factor] = out
        return self._levels[factor]

    def owed_to_fixed(self, factor: int, shape: tuple[int, ...]) -> np.ndarray:
        """What the blocks of a factor owe to integrated fixed effects being unknown, of their shape (L, k, k)."""
        offsets, (p, q) = self.problem.layout.offsets, self.fixed_columns.shape
        mixed = self.fixed_columns[:, offsets[factor] : offsets[factor + 1]]
        solved = np.linalg.solve(self.fixed_columns[:, q - p :], mixed)
        by_level = (p, *shape[:2])
        return np.asarray(np.einsum("pij,pik->ijk", mixed.reshape(by_level), solved.reshape(by_level)))

    def _effects(self, x: np.ndarray) -> np.ndarray | None:
        """Modes b^ at x, (q,); None where the likelihood does not exist."""
        value, _ = self.objective(x)
        if not np.isfinite(value):
            return None
        if self.linear:
            return np.asarray(self.objective.effects(x))
        return self.problem.layout.apply_factors(self.problem.factors(x), self.objective.mode)

    def _jacobian(self, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Slopes of the effects; by differences in parameters of fields, whose roots may jump where effects do not."""
        moving, of_fields = steps > 0.0, self.problem.of_fields
        differenced = {j: self._difference(x, j, steps[j]) for j in range(len(x)) if moving[j] and of_fields[j]}
        self.objective(x)
        out = np.asarray(self.objective.effect_slopes(x, moving))
        for j, slope in differenced.items():
            out[:, j] = slope
        return out

    def _difference(self, x: np.ndarray, j: int, step: float) -> np.ndarray:
        centre, ends = self._effects(x), []
        assert centre is not None
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[j] += sign * _STEP * step
            effects = self._effects(moved)
            ends.append((x[j], centre) if effects is None else (moved[j], effects))
        (high, up), (low, down) = ends
        return (up - down) / (high - low) if high > low else np.zeros_like(centre)
