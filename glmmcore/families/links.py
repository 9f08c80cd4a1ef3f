"""Links g with mu = g^-1(eta) and its first three derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from glmmcore.errors import ModelError

__all__ = ["LINKS", "Array", "Link"]

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Link:
    """A link function.

    Attributes
    ----------
    name : str
    link : callable
        eta = g(mu).
    inverse : callable
        mu = g^-1(eta).
    derivatives : callable
        eta -> (mu, mu', mu'', mu''').
    """

    name: str
    link: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    derivatives: Callable[[Array], tuple[Array, Array, Array, Array]]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a link of the table by its name: its functions need not have one."""
        if LINKS.get(self.name) is self:
            return Link.get, (self.name,)
        return Link, (self.name, self.link, self.inverse, self.derivatives)

    @staticmethod
    def get(link: str | Link) -> Link:
        """Look a link up by name."""
        if isinstance(link, Link):
            return link
        try:
            return LINKS[link]
        except KeyError:
            raise ModelError(f"unknown link '{link}'; choose one of {', '.join(LINKS)}") from None


def _log(eta: Array) -> tuple[Array, Array, Array, Array]:
    mu = np.exp(eta)
    return mu, mu, mu, mu


def _identity(eta: Array) -> tuple[Array, Array, Array, Array]:
    one, zero = np.ones_like(eta), np.zeros_like(eta)
    return eta, one, zero, zero


def _logit(eta: Array) -> tuple[Array, Array, Array, Array]:
    mu = special.expit(eta)
    v = mu * special.expit(-eta)
    return mu, v, v * (1 - 2 * mu), v * (1 - 6 * v)


def _probit(eta: Array) -> tuple[Array, Array, Array, Array]:
    density = np.exp(-0.5 * eta * eta) / np.sqrt(2 * np.pi)
    return special.ndtr(eta), density, -eta * density, (eta * eta - 1) * density


def _cloglog(eta: Array) -> tuple[Array, Array, Array, Array]:
    e = np.exp(np.minimum(eta, 700.0))
    first = np.exp(eta - e)
    return -np.expm1(-e), first, first * (1 - e), first * (1 - 3 * e + e * e)


def _inverse(eta: Array) -> tuple[Array, Array, Array, Array]:
    mu = 1 / eta
    return mu, -(mu**2), 2 * mu**3, -6 * mu**4


def _sqrt(eta: Array) -> tuple[Array, Array, Array, Array]:
    return eta * eta, 2 * eta, np.full_like(eta, 2.0), np.zeros_like(eta)


LINKS: dict[str, Link] = {
    "log": Link("log", np.log, np.exp, _log),
    "logit": Link("logit", special.logit, special.expit, _logit),
    "probit": Link("probit", special.ndtri, special.ndtr, _probit),
    "cloglog": Link(
        "cloglog",
        lambda mu: np.log(-np.log1p(-mu)),
        lambda eta: -np.expm1(-np.exp(np.minimum(eta, 700.0))),
        _cloglog,
    ),
    "identity": Link("identity", lambda mu: mu, lambda eta: eta, _identity),
    "inverse": Link("inverse", lambda mu: 1 / mu, lambda eta: 1 / eta, _inverse),
    "sqrt": Link("sqrt", np.sqrt, np.square, _sqrt),
}
