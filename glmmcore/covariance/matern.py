"""Matern's correlation function with its derivatives by distance and smoothness.

    M(z; k) = z^k K_k(z) / (2^(k-1) Gamma(k)),   z = d / range,

K_k the modified Bessel function of the second kind. dM/dz = -z^k K_(k-1)(z) / (2^(k-1) Gamma(k)). The derivative by k
comes from the representation (Abramowitz and Stegun 9.6.24)

    K_k(z) = integral over u > 0 of exp(-z cosh u) cosh(k u),

whose derivative by k is the integral of exp(-z cosh u) u sinh(k u). The trapezoidal rule converges geometrically for
both (the integrands are analytic in a strip and fall doubly exponentially), so that a fixed grid gives all digits.
Many distances are interpolated between Chebyshev nodes in log z, to rounding of the largest value nearby.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore.covariance._interpolation_kernels import chebyshev_sums

__all__ = ["matern"]

# Step of the trapezoidal rule: its error is about exp(-pi^2 / step).
_STEP = 0.1
# Logarithm of the share of the largest value at which the integrand ends.
_END = 42.0
# Scaled distances from where the correlation of any smoothness below 200 is zero, and up to which it is taken for one.
_FAR, _NEAR = 1500.0, 1e-200
# As many distances are interpolated, in pieces of log z this wide, by polynomials with so many nodes.
_MANY, _WIDTH, _NODES = 300, 0.125, 10


def matern(z: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M, z dM/dz and k dM/dk at scaled distances z >= 0 of any shape, for a smoothness k > 0.

    Parameters
    ----------
    z : ndarray
    k : float

    Returns
    -------
    value, by_log_distance, by_log_smoothness : ndarray
    """
    flat = np.ascontiguousarray(np.ravel(z), dtype=np.float64)
    out = np.zeros((3, len(flat)))
    out[0, flat <= _NEAR] = 1.0
    inside = (flat > _NEAR) & (flat < _FAR)
    at = slice(None) if inside.all() else np.flatnonzero(inside)
    if np.count_nonzero(inside) > _MANY:
        out[:, at] = _interpolated(np.log(flat[at]), k)
    elif inside.any():
        out[:, at] = _integrated(flat[at], k)
    value, by_distance, by_smoothness = (row.reshape(np.shape(z)) for row in out)
    return value, by_distance, by_smoothness


def _integrated(z: np.ndarray, k: float) -> np.ndarray:
    """The three functions, (3, n), by the trapezoidal rule."""
    end = float(np.arccosh(1.0 + (_END + 60.0 * k) / z.min())) + 2.0 * _STEP
    u = np.arange(0.0, end, _STEP)
    weights = np.full(len(u), _STEP)
    weights[0] *= 0.5
    falling = -2.0 * np.square(np.sinh(0.5 * u)) * z[:, None]  # z - z cosh u
    largest = (falling + k * u).max(axis=1, keepdims=True)
    up, down = np.exp(falling + k * u - largest), np.exp(falling - k * u - largest)
    bessel = 0.5 * (up + down) @ weights
    by_order = 0.5 * (up - down) @ (u * weights)
    one_less = 0.5 * (up * np.exp(-u) + down * np.exp(u)) @ weights
    size = np.exp(k * np.log(z) - (k - 1.0) * np.log(2.0) - special.gammaln(k) + largest[:, 0] - z)
    value = size * bessel
    by_smoothness = k * (value * (np.log(0.5 * z) - special.digamma(k)) + size * by_order)
    return np.stack([value, -z * size * one_less, by_smoothness])


def _interpolated(log_z: np.ndarray, k: float) -> np.ndarray:
    """The same at many points, from polynomials in log z."""
    first = float(log_z.min())
    n_pieces = int((float(log_z.max()) - first) / _WIDTH) + 1
    nodes = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    places = first + _WIDTH * (np.arange(n_pieces)[:, None] + 0.5 * (1.0 + nodes))
    values = np.concatenate([_integrated(np.exp(row), k) for row in places], axis=1).reshape(3, n_pieces, _NODES)
    transform = np.cos(np.pi * np.outer(np.arange(_NODES) + 0.5, np.arange(_NODES)) / _NODES) * (2.0 / _NODES)
    transform[:, 0] *= 0.5
    coefficients = np.ascontiguousarray(values @ transform)
    out = np.empty((3, len(log_z)))
    chebyshev_sums(log_z, first, _WIDTH, coefficients, out)
    return out
