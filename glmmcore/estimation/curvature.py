"""Which directions of the parameters the data inform about, and the covariance of the estimates on those.

At a limit of a model (a negative binomial that has become Poisson, a zero inflation of probability 0, a separated
logistic regression, a correlation between effects of which one has no variance) the likelihood does not change along
some directions. They are told within each block of parameters that belong together, by their curvature in natural
units: one unit of a linear predictor, of a logarithm or of a relative standard deviation. Measured by its own size
instead, a curvature of 1e-13 beside the rounding of a gradient looks like any other and like a perfect correlation.

The rest of the parameters then has the covariance it has with those directions held fixed, which is that of the simpler
model at the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Curvature", "informed", "scaled_eigen"]

# Curvature, per natural unit squared, below which a direction is flat: standard errors of more than some thirty units
# of a logarithm or a logit. An estimate so close to its limit gains less than 5e-4 of log-likelihood over the limit.
_FLAT = 1e-3
# The same where the likelihood still falls towards infinity: a Newton step of this many units at this curvature.
_RUNNING, _RUNNING_STEP = 1e-1, 0.3
# The same two for combinations of several blocks, which must not be taken for parameters that are merely correlated.
_RIDGE, _RIDGE_RUNNING = 1e-5, 1e-3
# Eigenvalues of the Hessian scaled to a unit diagonal below which nothing but rounding is left.
_ROUNDING = 1e-7
# Standard errors, in natural units, below which a parameter is given.
_GIVEN = 1e-30
# Share of a combination's length, in natural units, along flat directions from which on it has no bound.
_REACH = 1e-3
# Share of a flat direction that lies in some parameters if it is one of theirs, and share of a combination's length
# below which it moves little along it.
_ALONE, _LITTLE = 0.99, 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Inverse of a Hessian on the directions that the data inform about.

    Attributes
    ----------
    inverse : ndarray, shape (p, p)
        Covariance of the parameters with the flat directions held fixed.
    flat : ndarray, shape (p, f)
        The other directions, one a column, orthogonal and of length 1 in natural units.
    units : ndarray, shape (p,)
        Natural unit of each parameter.
    """

    inverse: np.ndarray
    flat: np.ndarray
    units: np.ndarray

    def reaches(self, rows: np.ndarray) -> np.ndarray:
        """Whether combinations ``rows @ x``, rows (m, p), move along flat directions, (m,)."""
        if not self.flat.shape[1]:
            return np.zeros(len(rows), dtype=bool)
        along = np.sqrt(np.square(rows @ self.flat).sum(axis=1))
        return along > _REACH * np.maximum(np.sqrt(np.square(rows * self.units).sum(axis=1)), 1e-300)

    def short_of_limits(self, rows: np.ndarray, with_limit: np.ndarray) -> np.ndarray:
        """Combinations, (m, p), without what they move along parameters that are at their limits, where it is little.

        `with_limit` (p,) tells the parameters that have a simpler law for their limit. Quantities tend to those of the
        simpler law: all the way there moves them by about as much as one unit of the logarithm does, which is nothing
        beside what the other parameters do.
        """
        shares = np.square(self.flat / self.units[:, None])
        at_limit = self.flat[:, shares[with_limit].sum(axis=0) > _ALONE * shares.sum(axis=0)]
        if not at_limit.shape[1]:
            return rows
        along = rows @ at_limit
        length = np.sqrt(np.square(rows * self.units).sum(axis=1))
        along[np.abs(along) > _LITTLE * length[:, None]] = 0.0
        return rows - along @ (at_limit / np.square(self.units)[:, None]).T

    def variance(self, rows: np.ndarray) -> np.ndarray:
        """Variance of combinations ``rows @ x``, rows (m, p), shape (m,); inf where the data do not bound them."""
        total = np.maximum(np.einsum("ij,jk,ik->i", rows, self.inverse, rows), 0.0)
        total[self.reaches(rows)] = np.inf
        return total

    def positive(self) -> np.ndarray:
        """Positive definite Hessian, (p, p): that of the estimates, and one per squared unit along flat directions."""
        return np.linalg.inv(self.inverse + self.flat @ self.flat.T)

    @property
    def steps(self) -> np.ndarray:
        """Standard errors of the parameters but no more than their units, (p,): the scale of differences.

        Zero for parameters that are given.
        """
        errors = np.sqrt(np.maximum(np.diag(self.inverse), 0.0))
        return np.minimum(np.where(errors > _GIVEN * self.units, errors, 0.0), self.units)


def scaled_eigen(hessian: np.ndarray, units: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale to a unit diagonal, flat parameters to natural units, and decompose.

    Returns
    -------
    scale : ndarray, shape (p,)
        What the Hessian was divided by on both sides.
    eigenvalues : ndarray
        Ascending.
    eigenvectors : ndarray
        One a column.
    """
    scale = np.maximum(np.sqrt(np.abs(np.diag(hessian))), 1.0 / units)
    values, vectors = np.linalg.eigh(hessian / scale[:, None] / scale)
    return scale, values, vectors


def informed(
    hessian: np.ndarray, gradient: np.ndarray, units: np.ndarray, blocks: Sequence[slice], at_ends: np.ndarray
) -> Curvature:
    """Tell flat directions and invert on the others.

    Parameters
    ----------
    hessian : ndarray, shape (p, p)
        At the optimum, from differences of the gradient.
    gradient : ndarray, shape (p,)
    units : ndarray, shape (p,)
        Natural unit of each parameter.
    blocks : sequence of slice
        Parameters that belong together, such as the coefficients of one predictor.
    at_ends : ndarray, shape (p,)
        Which parameters are as far as they are followed. They are flat: differences on both sides of an end are neither
        those of the likelihood nor zero.
    """
    p = len(hessian)
    hessian = np.where(at_ends[:, None] | at_ends, 0.0, hessian)
    gradient = np.where(at_ends, 0.0, gradient)
    scale, values, vectors = scaled_eigen(hessian, units)
    # no direction is flatter, in natural units, than the least eigenvalue
    if not p or (values[0] > _FLAT and np.linalg.norm(gradient * units) < _RUNNING_STEP * values[0]):
        basis = vectors / scale[:, None]
        return Curvature((basis / values) @ basis.T, np.zeros((p, 0)), units)
    flat = np.zeros((p, 0))
    for block in blocks:
        own = _flat_directions(hessian[block, block], gradient[block], units[block], _FLAT, _RUNNING)
        directions = np.zeros((p, own.shape[1]))
        directions[block] = own
        flat = np.hstack([flat, directions])
    kept = _complement(flat)
    basis = units[:, None] * kept
    inner = basis.T @ hessian @ basis
    ridge = _flat_directions(inner, basis.T @ gradient, np.ones(len(inner)), _RIDGE, _RIDGE_RUNNING)
    if ridge.shape[1]:
        flat = np.hstack([flat, kept @ ridge])
        basis = units[:, None] * (kept @ _complement(ridge))
        inner = basis.T @ hessian @ basis
    scale = np.sqrt(np.maximum(np.abs(np.diag(inner)), 1e-300))
    values, vectors = np.linalg.eigh(inner / scale[:, None] / scale)
    basis = basis @ (vectors / scale[:, None])
    inverse = (basis / np.maximum(np.abs(values), _ROUNDING)) @ basis.T
    return Curvature(inverse, units[:, None] * flat, units)


def _flat_directions(
    hessian: np.ndarray, gradient: np.ndarray, units: np.ndarray, flat: float, running: float
) -> np.ndarray:
    """Directions of a curvature below `flat`, or `running` to infinity, in natural units, orthonormal, one a column."""
    scale, values, vectors = scaled_eigen(hessian, units)
    # the same directions with their length, curvature and slope in natural units
    directions = vectors / (scale * units)[:, None]
    length = np.sqrt(np.square(directions).sum(axis=0))
    directions = directions / length
    curvature = values / np.square(length)
    with np.errstate(over="ignore"):  # infinitely far without curvature
        step = np.abs(directions.T @ (gradient * units)) / np.maximum(curvature, 1e-300)
    found = (curvature < flat) | ((curvature < running) & (step > _RUNNING_STEP)) | (values < _ROUNDING)
    return np.asarray(np.linalg.qr(directions[:, found])[0])


def _complement(flat: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what is orthogonal to the columns; unit vectors wherever these are."""
    free = ~np.any(np.abs(flat) > 1e-12, axis=1)
    touched = np.flatnonzero(~free)
    p, f = flat.shape
    basis = np.zeros((p, p - f))
    basis[np.flatnonzero(free), np.arange(free.sum())] = 1.0
    if len(touched) > f:
        full = np.linalg.qr(flat[touched], mode="complete")[0]
        basis[np.ix_(touched, np.arange(int(free.sum()), p - f))] = full[:, f:]
    return basis
