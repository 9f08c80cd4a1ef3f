"""Zero inflation: a mixture of a point mass at 0 and a family; a hurdle when the family cannot give 0.

With pi = expit(zeta), a = log f(0) and q = P(not structural | y = 0) = expit(a - zeta), the log density at 0
is log(pi + (1 - pi) f(0)) = log(e^zeta + e^a) - log(1 + e^zeta); its derivatives follow from those of a and

    dq/da = w = q (1 - q),    dw/da = v = w (1 - 2q),    d/d zeta = -d/da  for both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.errors import ModelError
from glmmcore.families.base import Family, Parameters
from glmmcore.families.links import Array
from glmmcore.families.natural import as_kernel_input
from glmmcore.families.special import expit, softplus

__all__ = ["ZeroInflated", "ZeroInflatedDerivatives"]


class ZeroInflatedDerivatives(NamedTuple):
    """Log density and derivatives, P predictors of which ``zi`` is the last.

    Attributes
    ----------
    loglik : ndarray, shape (n,)
    d1 : ndarray, shape (P, n)
        d/d a.
    d2 : ndarray, shape (2, P, n)
        d2/(d r d a) for r in (cond, zi).
    d3 : ndarray, shape (3, P, n)
        d3/(d r d s d a) for (r, s) in (cond, cond), (cond, zi), (zi, zi).
    """

    loglik: Array
    d1: Array
    d2: Array
    d3: Array


@kernel
def _log_sum(x, y):
    """log(e^x + e^y)."""
    high, low = max(x, y), min(x, y)
    return high + softplus(low - high)


@kernel
def _zero(zeta, a, hurdle):
    """(log density at 0, q, its first three derivatives in zeta).

    Where the law does not exist, as a count's with a negative mean, neither does the mixture: log(pi) would tell a fit
    that rows of zeros may have any mean.
    """
    pi, rest = expit(zeta), expit(-zeta)
    if a == -np.inf and not hurdle:
        return -np.inf, 0.0, rest, -pi * rest, -pi * rest * (rest - pi)
    if hurdle:
        q, l, first = 0.0, -softplus(-zeta), rest
    else:
        q = expit(a - zeta)
        l = _log_sum(zeta, a) - softplus(zeta)
        # (1 - q) - pi without cancellation when f(0) is near 1
        first = -expit(zeta - a) * np.expm1(a) * rest
    second = first * (q - pi)
    third = second * (q - pi) - first * (q * (1.0 - q) + pi * rest)
    return l, q, first, second, third


@kernel
def _newton(y, zeta, hurdle, l, l1, l2, first, second):
    for i in range(y.size):
        if y[i] == 0.0:
            l[i], q, z1, z2, _ = _zero(zeta[i], l[i], hurdle)
            w = q * (1.0 - q)
            first[0, i], first[1, i] = q * l1[i], z1
            second[0, i] = q * l2[i] + w * l1[i] * l1[i]
            second[1, i], second[2, i] = -w * l1[i], z2
        else:
            pi = expit(zeta[i])
            l[i] -= softplus(zeta[i])
            first[0, i], first[1, i] = l1[i], -pi
            second[0, i], second[1, i], second[2, i] = l2[i], 0.0, -pi * expit(-zeta[i])


@kernel
def _derivatives(y, zeta, hurdle, l, b1, b2, b3, d1, d2, d3):
    z = b1.shape[0]
    for i in range(y.size):
        if y[i] != 0.0:
            pi, rest = expit(zeta[i]), expit(-zeta[i])
            l[i] -= softplus(zeta[i])
            d1[z, i], d2[1, z, i], d3[2, z, i] = -pi, -pi * rest, -pi * rest * (rest - pi)
            for a in range(z):
                d1[a, i], d2[0, a, i], d3[0, a, i] = b1[a, i], b2[a, i], b3[a, i]
            continue
        l[i], q, z1, z2, z3 = _zero(zeta[i], l[i], hurdle)
        w = q * (1.0 - q)
        v = w * (1.0 - 2.0 * q)
        c1, c2 = b1[0, i], b2[0, i]
        d1[z, i], d2[1, z, i], d3[2, z, i] = z1, z2, z3
        d2[0, z, i] = -w * c1
        d3[0, z, i] = -w * c2 - v * c1 * c1
        d3[1, z, i] = v * c1
        for a in range(z):
            # products start from w and v, which vanish before the others overflow
            d1[a, i] = q * b1[a, i]
            d2[0, a, i] = q * b2[a, i] + w * c1 * b1[a, i]
            d2[1, a, i] = -w * b1[a, i]
            d3[0, a, i] = q * b3[a, i] + w * c2 * b1[a, i] + 2.0 * (w * c1 * b2[a, i]) + v * c1 * c1 * b1[a, i]
            d3[1, a, i] = -w * b2[a, i] - v * c1 * b1[a, i]
            d3[2, a, i] = v * b1[a, i]


class ZeroInflated:
    """A family with extra zeros of probability pi = expit(zeta).

    Parameters
    ----------
    base : Family
        Law of the rest. If it cannot give 0 (``base.hurdle``), pi is the probability of a zero.

    Attributes
    ----------
    base : Family
    predictors : tuple of str
        Those of `base`, then ``"zi"``.

    Raises
    ------
    ModelError
        If the family is continuous at 0, where extra zeros have no likelihood.

    Notes
    -----
    E y = (1 - pi) E0 and Var y = (1 - pi) V0 + pi (1 - pi) E0^2 with E0, V0 those of `base`.

    Examples
    --------
    >>> from glmmcore.families import get_family
    >>> model = ZeroInflated(get_family("poisson"))
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.zeros(0))
    >>> float(model.zero_probability(np.ones(1), p, np.zeros(1))[0].round(6))
    0.68394
    """

    def __init__(self, base: Family) -> None:
        if not (base.hurdle or base.discrete or base.mass_at_zero):
            raise ModelError(
                f"zero inflation needs a law of counts or of positive values; '{base.name}' is continuous "
                "at 0: drop zi= or use a family such as 'tweedie', 'gamma' or 'lognormal'"
            )
        self.base = base
        self.predictors: tuple[str, ...] = (*base.predictors, "zi")

    def __repr__(self) -> str:
        return f"{'hurdle' if self.base.hurdle else 'zero-inflated'} {self.base!r}"

    def check_support(self, y: Array, trials: Array) -> None:
        """Check against the support of the base family and 0."""
        self.base.check_support(y, trials, zero_model=True)

    def _off_zero(self, y: Array) -> Array:
        """Return a harmless response in place of zeros that the base family cannot take."""
        if not self.base.hurdle:
            return y
        return np.where(y == 0, 1.0 if self.base.discrete else 0.5, y)

    def newton_terms(self, y: Array, trials: Array, p: Parameters, zeta: Array) -> tuple[Array, Array, Array]:
        """Log density and derivatives in (cond, zi).

        Returns
        -------
        l : ndarray, shape (n,)
            May lack terms that depend neither on eta nor on zeta.
        first : ndarray, shape (2, n)
        second : ndarray, shape (3, n)
            cc, cz, zz.
        """
        l, l1, l2 = self.base.newton_terms(self._off_zero(y), trials, p)
        first, second = np.empty((2, y.size)), np.empty((3, y.size))
        _newton(as_kernel_input(y), as_kernel_input(zeta), self.base.hurdle, l, l1, l2, first, second)
        return l, first, second

    def derivatives(self, y: Array, trials: Array, p: Parameters, zeta: Array) -> ZeroInflatedDerivatives:
        """Log density with every constant and all derivatives the exact Laplace gradient needs."""
        b = self.base.derivatives(self._off_zero(y), trials, p)
        count, n = len(self.predictors), y.size
        d1, d2, d3 = np.zeros((count, n)), np.zeros((2, count, n)), np.zeros((3, count, n))
        _derivatives(
            as_kernel_input(y),
            as_kernel_input(zeta),
            self.base.hurdle,
            b.loglik,
            b.d1,
            b.d2,
            b.d3,
            d1,
            d2,
            d3,
        )
        return ZeroInflatedDerivatives(b.loglik, d1, d2, d3)

    def zero_probability(self, trials: Array, p: Parameters, zeta: Array) -> Array:
        """P(Y = 0), shape (n,)."""
        pi = special.expit(zeta)
        if self.base.hurdle:
            return pi
        at_zero = self.base.derivatives(np.zeros_like(zeta), trials, p).loglik
        return pi + special.expit(-zeta) * np.exp(at_zero)

    def mean(self, trials: Array, p: Parameters, zeta: Array) -> Array:
        """Mean of y, zeros included."""
        return special.expit(-zeta) * self.base.mean(trials, p)

    def variance(self, trials: Array, p: Parameters, zeta: Array) -> Array:
        """Return the variance of y, zeros included."""
        rest = special.expit(-zeta)
        return rest * (self.base.variance(trials, p) + special.expit(zeta) * self.base.mean(trials, p) ** 2)

    def simulate(self, trials: Array, p: Parameters, zeta: Array, n_sims: int, rng: np.random.Generator) -> Array:
        """Draw an (n_sims, n) float64 array."""
        draws = self.base.simulate(trials, p, n_sims, rng)
        draws[rng.random(draws.shape) < special.expit(zeta)] = 0.0
        return draws

    def cdf(self, y: Array, trials: Array, p: Parameters, zeta: Array) -> tuple[Array, Array]:
        """Return (P(Y < y), P(Y <= y)), each (n,)."""
        below, up_to = self.base.cdf(y, trials, p)
        pi, rest = special.expit(zeta), special.expit(-zeta)
        return rest * below + np.where(y > 0, pi, 0.0), rest * up_to + np.where(y >= 0, pi, 0.0)
