"""Families whose kernels work on the scale of their default link, and the chain rule for their other links.

A kernel differentiates in t = h(mu), where h is the default link (log for positive means, logit for
proportions, identity for the real line): there the formulas neither overflow nor cancel. With the default
link t is eta. With any other link g, t = h(g^-1(eta)) and its derivatives come from `natural_predictor`,
written in closed form for each pair so that tails stay exact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.links import LINKS, Array
from glmmcore.families.proportions import proportion_sides

__all__ = [
    "NaturalFamily",
    "Predictor",
    "as_kernel_input",
    "compose",
    "compose_newton",
    "derivatives_from",
    "natural_predictor",
    "newton_from",
]

_LARGEST = 1e300
"""Magnitude at which derivatives saturate, so that they stay finite however far eta is."""


class Predictor(NamedTuple):
    """t = h(g^-1(eta)), three derivatives in eta, rows whose eta gives a mean in range."""

    t: Array
    t1: Array
    t2: Array
    t3: Array
    inside: Array


def natural_predictor(natural: str, link: str, eta: Array) -> Predictor:
    """Return t = h(g^-1(eta)) for `natural` scale h and `link` g, with derivatives.

    Rows outside the range of the mean get an arbitrary inner t.
    """
    if natural == "log":
        return _log_of(link, eta)
    if natural == "logit":
        sides, inside = proportion_sides(link, eta)
        t, t1, t2, t3 = sides[:4] - sides[4:]
        return Predictor(t, t1, t2, t3, inside)
    with np.errstate(all="ignore"):
        mu, mu1, mu2, mu3 = LINKS[link].derivatives(eta)
    inside = np.isfinite(mu)
    return Predictor(np.where(inside, mu, 0.0), mu1, mu2, mu3, inside)


def _log_of(link: str, eta: Array) -> Predictor:
    """Log mu: each of these links is a power of eta, mu = eta^k."""
    power = {"identity": 1.0, "sqrt": 2.0, "inverse": -1.0}[link]
    inside = eta != 0 if link == "sqrt" else eta > 0
    x = np.where(inside, eta, 1.0)
    with np.errstate(all="ignore"):  # derivatives at an eta next to 0 are saturated later
        return Predictor(power * np.log(np.abs(x)), power / x, -power / x**2, 2 * power / x**3, inside)


def as_kernel_input(x: Array) -> Array:
    """Return `x` as the one array type kernels are compiled for (copies only if it is not already)."""
    flags = x.flags
    if x.dtype == np.float64 and flags.c_contiguous and flags.writeable and x.dtype.isnative:
        return x
    return np.require(x, dtype=np.float64, requirements=["C", "W"])


def newton_from(kernel: Callable[..., None], y: Array, *arguments: Any) -> tuple[Array, Array, Array]:
    """Return (l, dl/dt, d2l/dt2) of a kernel that takes y, `arguments` and these three arrays to write to."""
    out = np.empty_like(y), np.empty_like(y), np.empty_like(y)
    kernel(y, *arguments, *out)
    return out


def derivatives_from(kernel: Callable[..., None], n_parameters: int, y: Array, *arguments: Any) -> Derivatives:
    """All derivatives from a kernel that takes y, `arguments` and the arrays of `Derivatives` to write to."""
    out = Derivatives.empty(n_parameters, y.size)
    kernel(y, *arguments, *out)
    return out


class NaturalFamily(Family):
    """A family given by its derivatives in t = h(mu), h its default link."""

    @abstractmethod
    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        """Return (l, dl/dt, d2l/dt2)."""

    @abstractmethod
    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        """All derivatives with t in the place of eta."""

    def newton_terms(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array, Array]:
        """See `Family.newton_terms`."""
        y, delta = _checked(y, p)
        if self.link.name == self.default_link:
            return self._natural_newton(y, as_kernel_input(p.eta), delta, p.psi)
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        return compose_newton(self._natural_newton(y, x.t, delta, p.psi), x)

    def derivatives(self, y: Array, trials: Array, p: Parameters) -> Derivatives:
        """See `Family.derivatives`."""
        y, delta = _checked(y, p)
        if self.link.name == self.default_link:
            return self._natural_derivatives(y, as_kernel_input(p.eta), delta, p.psi)
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        return compose(self._natural_derivatives(y, x.t, delta, p.psi), x)

    def mean(self, trials: Array, p: Parameters) -> Array:
        """See `Family.mean`."""
        return self.link.inverse(p.eta)


def _checked(y: Array, p: Parameters) -> tuple[Array, Array]:
    """Return y and delta for the kernels, which do not look at lengths themselves."""
    if p.eta.size != y.size or p.delta.size not in (1, y.size):
        raise ValueError(f"{y.size} responses, but {p.eta.size} values of eta and {p.delta.size} of delta")
    return as_kernel_input(y), as_kernel_input(p.delta)


def compose_newton(terms: tuple[Array, Array, Array], x: Predictor) -> tuple[Array, Array, Array]:
    """(l, l', l'') in eta from those in t."""
    l, l1, l2 = terms
    with np.errstate(all="ignore"):
        second = l2 * x.t1 * x.t1 + l1 * x.t2
        return np.where(x.inside, l, -np.inf), _finite(l1 * x.t1, x.inside), _finite(second, x.inside)


def compose(d: Derivatives, x: Predictor) -> Derivatives:
    """All derivatives in eta from those in t; -inf and zeros outside the range of the mean."""
    l1, l2, l3 = d.d1[0], d.d2[0], d.d3[0]
    d1, d2, d3 = d.d1.copy(), np.empty_like(d.d2), np.empty_like(d.d3)
    with np.errstate(all="ignore"):
        d1[0] = l1 * x.t1
        d2[0] = l2 * x.t1 * x.t1 + l1 * x.t2
        d3[0] = l3 * x.t1 * x.t1 * x.t1 + 3 * (l2 * x.t1 * x.t2) + l1 * x.t3
        d2[1:] = d.d2[1:] * x.t1
        d3[1:] = d.d3[1:] * x.t1 * x.t1 + d.d2[1:] * x.t2
    return Derivatives(
        np.where(x.inside, d.loglik, -np.inf),
        _finite(d1, x.inside),
        _finite(d2, x.inside),
        _finite(d3, x.inside),
    )


def _finite(x: Array, inside: Array) -> Array:
    """Saturate at +-1e300; zero outside the range of the mean."""
    return np.where(inside, np.nan_to_num(x, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST), 0.0)
