"""Distributions of a response vector, one row each: mean, variance, draws and distribution function.

Adapters translate a fitted model into one of these laws and get every capability of the protocol from it. A
law is a frozen record of equally long float arrays; it knows nothing of models, links or weights. Draws come
from the `numpy.random.Generator` handed in and distribution functions from `scipy.special`: importing
`scipy.stats` would cost more than drawing. Counts are in `simresid.adapters._count_laws`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = [
    "Beta",
    "Gamma",
    "InverseGaussian",
    "Law",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "Tweedie",
]


@dataclass(frozen=True, eq=False)
class Law:
    """A distribution per row; the parameters are broadcast to one common length."""

    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self)]
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(getattr(self, a), float)) for a in names))
        for name, array in zip(names, arrays, strict=True):
            object.__setattr__(self, name, array)

    def rows(self, index: NDArray[Any]) -> Self:
        """Return the law of the rows `index`, in that order and as often as they are named."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def mean(self) -> FloatArray:
        """Mean of every row ``(n,)``."""
        raise NotImplementedError

    def variance(self) -> FloatArray:
        """Variance of every row ``(n,)``."""
        raise NotImplementedError

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw `n_sims` responses, shape ``(n_sims, n)``."""
        raise NotImplementedError

    def cdf(self, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """``(P(Y < y), P(Y <= y))`` of every row, each ``(n,)``."""
        raise NotImplementedError


class ContinuousLaw(Law):
    """A law without atoms, so that both limits of the distribution function agree."""

    def at_most(self, y: FloatArray) -> FloatArray:
        """``P(Y <= y)`` of every row ``(n,)``."""
        raise NotImplementedError

    def cdf(self, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """``(P(Y < y), P(Y <= y))``, equal here."""
        probability = self.at_most(np.asarray(y, float))
        return probability, probability.copy()


@dataclass(frozen=True, eq=False)
class Normal(ContinuousLaw):
    """Normal with mean `mu` and standard deviation `sd`."""

    mu: FloatArray
    sd: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.sd**2

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        return rng.normal(self.mu, self.sd, size=(n_sims, self.mu.size))

    def at_most(self, y: FloatArray) -> FloatArray:
        return special.ndtr((y - self.mu) / self.sd)


@dataclass(frozen=True, eq=False)
class MultivariateNormal(ContinuousLaw):
    """Normal with mean `mu` ``(n,)`` and covariance ``root @ root.T``; `cdf` is row by row."""

    mu: FloatArray
    root: FloatArray

    def __post_init__(self) -> None:
        if self.root.shape[0] != self.mu.size:
            raise ValueError(f"root has {self.root.shape[0]} rows for {self.mu.size} means")

    def rows(self, index: NDArray[Any]) -> Self:
        return type(self)(self.mu[index], self.root[index])

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return np.einsum("ij,ij->i", self.root, self.root)

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        return self.mu + rng.standard_normal((n_sims, self.root.shape[1])) @ self.root.T

    def at_most(self, y: FloatArray) -> FloatArray:
        return special.ndtr((y - self.mu) / np.sqrt(self.variance()))


@dataclass(frozen=True, eq=False)
class LogNormal(ContinuousLaw):
    """Log-normal with mean `mu` (of the response itself) and variance `log_variance` of its logarithm."""

    mu: FloatArray
    log_variance: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.mu**2 * np.expm1(self.log_variance)

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        location = np.log(self.mu) - self.log_variance / 2
        return rng.lognormal(location, np.sqrt(self.log_variance), size=(n_sims, self.mu.size))

    def at_most(self, y: FloatArray) -> FloatArray:
        location = np.log(self.mu) - self.log_variance / 2
        log_y = np.log(np.where(y > 0, y, 1.0))
        return np.where(y > 0, special.ndtr((log_y - location) / np.sqrt(self.log_variance)), 0.0)


@dataclass(frozen=True, eq=False)
class Gamma(ContinuousLaw):
    """Gamma with mean `mu` and variance ``dispersion * mu**2``."""

    mu: FloatArray
    dispersion: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.dispersion * self.mu**2

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        return rng.gamma(1 / self.dispersion, self.mu * self.dispersion, size=(n_sims, self.mu.size))

    def at_most(self, y: FloatArray) -> FloatArray:
        return special.gammainc(1 / self.dispersion, np.maximum(y, 0) / (self.mu * self.dispersion))


@dataclass(frozen=True, eq=False)
class InverseGaussian(ContinuousLaw):
    """Inverse Gaussian with mean `mu` and variance ``dispersion * mu**3``."""

    mu: FloatArray
    dispersion: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.dispersion * self.mu**3

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        return rng.wald(self.mu, 1 / self.dispersion, size=(n_sims, self.mu.size))

    def at_most(self, y: FloatArray) -> FloatArray:
        """Two normal tails; the factor of the second overflows unless taken in logarithms."""
        positive = np.where(y > 0, y, 1.0)
        root = np.sqrt(1 / (self.dispersion * positive))
        ratio = positive / self.mu
        second = np.exp(2 / (self.dispersion * self.mu) + special.log_ndtr(-root * (ratio + 1)))
        return np.where(y > 0, np.minimum(special.ndtr(root * (ratio - 1)) + second, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class Beta(ContinuousLaw):
    """Beta with mean `mu` and variance ``mu * (1 - mu) / (1 + precision)``."""

    mu: FloatArray
    precision: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.mu * (1 - self.mu) / (1 + self.precision)

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        first, second = self.mu * self.precision, (1 - self.mu) * self.precision
        return rng.beta(first, second, size=(n_sims, self.mu.size))

    def at_most(self, y: FloatArray) -> FloatArray:
        first, second = self.mu * self.precision, (1 - self.mu) * self.precision
        return special.betainc(first, second, np.clip(y, 0, 1))


@dataclass(frozen=True, eq=False)
class Tweedie(Law):
    """Compound Poisson-gamma with mean `mu`, variance ``dispersion * mu**power`` and ``1 < power < 2``.

    A Poisson number of gamma amounts (Jørgensen 1997, section 4.2): rate ``mu**(2-p) / (phi (2-p))``, shape
    ``(2-p) / (p-1)`` and scale ``phi (p-1) mu**(p-1)`` per amount. The only atom is at zero.
    """

    mu: FloatArray
    dispersion: FloatArray
    power: FloatArray

    @property
    def rate(self) -> FloatArray:
        """Expected number of amounts."""
        return self.mu ** (2 - self.power) / (self.dispersion * (2 - self.power))

    @property
    def shape(self) -> FloatArray:
        """Gamma shape of one amount."""
        return (2 - self.power) / (self.power - 1)

    @property
    def scale(self) -> FloatArray:
        """Gamma scale of one amount."""
        return self.dispersion * (self.power - 1) * self.mu ** (self.power - 1)

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.dispersion * self.mu**self.power

    def draw(self, n_sims: int, rng: np.random.Generator) -> FloatArray:
        amounts = rng.poisson(self.rate, size=(n_sims, self.mu.size))
        return rng.standard_gamma(amounts * self.shape) * self.scale

    def cdf(self, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Sum over the number of amounts, as far as the Poisson weights exceed 1e-17."""
        y = np.asarray(y, float)
        rate, shape, scaled = self.rate, self.shape, np.maximum(y, 0) / self.scale
        reach = 9 * np.sqrt(rate) + 20
        total = np.exp(-rate)
        for count in range(max(1, int(np.min(rate - reach))), int(np.max(rate + reach)) + 1):
            near = np.abs(rate - count) <= reach
            weight = np.exp(special.xlogy(count, rate[near]) - rate[near] - special.gammaln(count + 1))
            total[near] += weight * special.gammainc(count * shape[near], scaled[near])
        upper = np.where(y >= 0, np.minimum(total, 1.0), 0.0)
        return np.where(y > 0, upper, 0.0), upper
