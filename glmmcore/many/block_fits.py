"""Estimates of a block of responses of one model, as arrays with a row for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glmmcore.many.warm import reported

if TYPE_CHECKING:
    from glmmcore.estimates import Estimates
    from glmmcore.estimation.problem import Problem

__all__ = ["BlockFits"]


@dataclass(slots=True, eq=False)
class BlockFits:
    """Estimates of `b` responses; NaN where `error` is not empty.

    Attributes
    ----------
    llf, sigma : ndarray (b,)
    converged, singular : ndarray of bool (b,)
    coefficients, errors : dict of str to ndarray (b, p)
        Estimates and standard errors by predictor.
    sd : ndarray (b, number of random coefficients)
    values : dict of str to ndarray (b, n) or (b, 1)
        Linear predictors at the modes in the original row order; one column for a constant.
    x : ndarray (b, p)
        Parameters in the optimiser's coordinates; NaN where rows were missing.
    error : list of str
    """

    llf: np.ndarray
    sigma: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    coefficients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    sd: np.ndarray
    values: dict[str, np.ndarray]
    x: np.ndarray
    error: list[str]

    @classmethod
    def empty(cls, problem: Problem, parts: tuple[str, ...], count: int) -> BlockFits:
        """No fit yet."""
        sizes = {p.name: len(p.columns) for p in problem.parts}
        widths = {p.name: 1 if p.X is None and p.name not in problem.inner else problem.n for p in problem.parts}

        def nan(*shape: int) -> np.ndarray:
            return np.full((count, *shape), np.nan)

        n_sd = sum(len(reported(t, t.term.columns)) for t in problem.terms)
        return cls(
            nan(), nan(), np.zeros(count, bool), np.zeros(count, bool),
            {name: nan(sizes[name]) for name in parts}, {name: nan(sizes[name]) for name in parts},
            nan(n_sd), {name: nan(width) for name, width in widths.items()}, nan(problem.n_params),
            [""] * count,
        )  # fmt: skip

    @classmethod
    def concatenate(cls, blocks: list[BlockFits]) -> BlockFits:
        """All blocks one after the other."""
        blocks = [b for b in blocks if b.error] or blocks[:1]
        if len(blocks) == 1:
            return blocks[0]

        def by_part(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
            return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}

        return cls(
            llf=np.concatenate([b.llf for b in blocks]),
            sigma=np.concatenate([b.sigma for b in blocks]),
            converged=np.concatenate([b.converged for b in blocks]),
            singular=np.concatenate([b.singular for b in blocks]),
            coefficients=by_part([b.coefficients for b in blocks]),
            errors=by_part([b.errors for b in blocks]),
            sd=np.concatenate([b.sd for b in blocks]),
            values=by_part([b.values for b in blocks]),
            x=np.concatenate([b.x for b in blocks]),
            error=[text for b in blocks for text in b.error],
        )

    @classmethod
    def scattered(cls, fits: BlockFits, at: np.ndarray, count: int) -> BlockFits:
        """Place the fits as the responses `at` among `count`, of which the others are not fitted yet."""

        def spread(values: np.ndarray) -> np.ndarray:
            fill = False if values.dtype == bool else np.nan
            out = np.full((count, *values.shape[1:]), fill, dtype=values.dtype)
            out[at] = values
            return out

        error = [""] * count
        for i, text in zip(at, fits.error, strict=True):
            error[i] = text
        return cls(
            llf=spread(fits.llf),
            sigma=spread(fits.sigma),
            converged=spread(fits.converged),
            singular=spread(fits.singular),
            coefficients={name: spread(v) for name, v in fits.coefficients.items()},
            errors={name: spread(v) for name, v in fits.errors.items()},
            sd=spread(fits.sd),
            values={name: spread(v) for name, v in fits.values.items()},
            x=spread(fits.x),
            error=error,
        )

    def put(self, i: int, fit: Estimates, present: np.ndarray | None = None) -> None:
        """Take one response's numbers from an ordinary fit, of the rows `present` (n,) or of all."""
        parts = {name: (fit.part_coefficients(name), fit.part_standard_errors(name)) for name in self.coefficients}
        if any(len(estimates) != self.coefficients[name].shape[1] for name, (estimates, _) in parts.items()):
            raise ValueError("with its missing rows left out, columns of the design are not estimable")
        for name, (estimates, errors) in parts.items():
            self.coefficients[name][i], self.errors[name][i] = estimates, errors
        self.llf[i], self.sigma[i] = fit.llf, fit.sigma
        if present is None:
            self.x[i] = fit.solution.x
        self.converged[i], self.singular[i] = fit.converged, fit.singular
        own = zip(fit.estimator.problem.terms, fit.solution.terms, strict=True)
        variances = [reported(t, np.diag(s.covariance)) for t, s in own]
        self.sd[i] = np.sqrt(np.maximum(np.concatenate([np.zeros(0), *variances]), 0.0))
        for name, rows in fit.solution.values.items():
            own = self.values[name][i]
            own[slice(None) if present is None or len(own) == 1 else present] = rows
