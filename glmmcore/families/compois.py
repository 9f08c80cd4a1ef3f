"""Conway-Maxwell-Poisson counts parameterised by their mean."""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.compois_law import distribution_function, draw
from glmmcore.families.compois_moments import MOMENTS, fill_moments, log_weight
from glmmcore.families.counts import CountFamily
from glmmcore.families.links import Array, Link
from glmmcore.families.natural import as_kernel_input, derivatives_from, newton_from
from glmmcore.families.tabulate import ChebyshevTable

__all__ = ["COMPoisson"]

_LARGEST_PHI = 1e10
_SMALLEST_PHI = 1e-3
_ROWS_PER_TABLE = 300
"""Fewer rows with the same dispersion are not worth a table."""
_LOWEST, _HIGHEST = -600.0, 36.0
"""Bounds of log mu; at the upper one the spacing of floating point numbers nears the standard deviation."""

_TOLERANCE = np.array([3e-14, 3e-14, 3e-14, 3e-14, 3e-14, 1e-13, 1e-12, 1e-13, 1e-12])
"""Of the rows of the table; the higher cumulants, which only enter third derivatives, carry more rounding."""


@kernel
def _newton(y, t, nu, table, l, l1, l2):
    for i in range(y.size):
        v = nu[i] if nu.size > 1 else nu[0]
        mu = math.exp(t[i])
        g, g1 = table[4, i], table[5, i]
        l[i] = -v * log_weight(y[i], table[0, i]) - table[1, i]
        l1[i] = (y[i] - mu) * g
        l2[i] = (y[i] - mu) * g1 - mu * g


@kernel
def _derivatives(y, t, delta, nu, table, l, d1, d2, d3):
    for i in range(y.size):
        k = i if nu.size > 1 else 0
        mu = math.exp(t[i])
        r = y[i] - mu
        g, g1, g2 = table[4, i], table[5, i], table[6, i]
        h1, h2 = table[7, i], table[8, i]
        s = log_weight(y[i], max(table[0, i], 0.0))
        l[i] = -nu[k] * log_weight(y[i], table[0, i]) - table[1, i]
        d1[0, i] = r * g
        d2[0, i] = r * g1 - mu * g
        d3[0, i] = r * g2 - 2.0 * mu * g1 - mu * g
        # dnu/ddelta = -nu, and 0 where nu is held at a bound.
        slope = -nu[k] if abs(delta[k] + math.log(nu[k])) < 1e-9 else 0.0
        d1[1, i] = slope * (table[2, i] - s + r * table[3, i])
        d2[1, i] = slope * r * h1
        d3[1, i] = slope * (r * h2 - mu * h1)


class COMPoisson(CountFamily):
    """Conway-Maxwell-Poisson with mean mu: f(y) = lambda^y / (y!)^nu / Z, nu = 1/phi.

    lambda is such that E y = mu.

    phi < 1 is under-, phi > 1 over-dispersion; the variance is about mu phi. phi is held inside [0.001,
    1e10]: as phi grows the law tends to the geometric, the most dispersed it can be, and data beyond that
    would let phi drift without changing the fit. The printed dispersion is phi.

    Examples
    --------
    >>> p = Parameters(np.log([3.0]), np.log([0.5]), np.zeros(0))
    >>> COMPoisson().variance(np.ones(1), p).round(2)
    array([1.64])
    """

    name = "compois"
    no_overdispersion = 0.0
    special_cases = MappingProxyType({"poisson": ()})
    dispersion_words = "{sigma:.4g}: the variance is about {sigma:.4g} times the mean"
    has_dispersion = True
    limits = MappingProxyType(
        {
            ("disp", -1): "as little dispersed as it can be",
            ("disp", 1): "the geometric distribution",
        }
    )

    def __init__(self, link: str | Link | None = None) -> None:
        super().__init__(link)
        self._tables: dict[float, ChebyshevTable] = {}

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        t, nu = np.clip(t, _LOWEST, _HIGHEST), _rate_power(delta)
        return newton_from(_newton, y, t, nu, self._moments(t, nu))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        t, nu = np.clip(t, _LOWEST, _HIGHEST), _rate_power(delta)
        return derivatives_from(_derivatives, 2, y, t, delta, nu, self._moments(t, nu))

    def _moments(self, t: Array, nu: Array) -> Array:
        """Table of `fill_moments`, shape (9, n); tabulated over t for every nu that many rows share."""
        if t.size < 2:
            return _exact_moments(t, nu)
        if nu.size == 1:
            return self._use_tables([float(nu[0])])[0](t)
        values, group = np.unique(nu, return_inverse=True)
        if values.size * _ROWS_PER_TABLE > t.size:
            return _exact_moments(t, nu)
        out = np.empty((MOMENTS, t.size))
        for k, table in enumerate(self._use_tables(values.tolist())):
            out[:, group == k] = table(as_kernel_input(t[group == k]))
        return out

    def _use_tables(self, values: list[float]) -> list[ChebyshevTable]:
        """Tables for these nu; those of the previous call are kept when asked for again."""
        self._tables = {nu: self._tables.get(nu) or _new_table(nu) for nu in values}
        return list(self._tables.values())

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Exact variance, about mu phi."""
        log_mu = self._log_mean(p)
        return np.exp(log_mu) / self._moments(log_mu, _rate_power(p.delta))[4]

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """Draw from the exact law."""
        log_mu, nu = self._log_mean(p), _rate_power(p.delta)
        return draw(self._moments(log_mu, nu), np.exp(log_mu), nu, n_sims, rng)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Sum the probabilities."""
        log_mu, nu = self._log_mean(p), _rate_power(p.delta)
        return distribution_function(np.floor(y), np.ceil(y), self._moments(log_mu, nu), np.exp(log_mu), nu)

    def _log_mean(self, p: Parameters) -> Array:
        return np.clip(np.log(self._mu(p)), _LOWEST, _HIGHEST)

    def start_delta(self, pearson: float) -> float:
        """Log of the mean squared standardised residual."""
        return float(np.log(np.clip(pearson, 0.02, 50.0)))

    def sigma(self, delta: float) -> float:
        """Return phi, inside its bounds."""
        return float(np.clip(np.exp(np.clip(delta, -700.0, 700.0)), _SMALLEST_PHI, _LARGEST_PHI))


def _rate_power(delta: Array) -> Array:
    """Return nu = 1/phi inside its bounds."""
    return np.exp(-np.clip(delta, math.log(_SMALLEST_PHI), math.log(_LARGEST_PHI)))


def _new_table(nu: float) -> ChebyshevTable:
    return ChebyshevTable(partial(_exact_moments, nu=np.array([nu])), _TOLERANCE)


def _exact_moments(t: Array, nu: Array) -> Array:
    out = np.empty((MOMENTS, t.size))
    fill_moments(as_kernel_input(t), nu, out)
    return out
