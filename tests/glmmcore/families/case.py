"""What the tests of a family need to know about it: a 50-digit density and where to try it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np

from glmmcore.families import get_family
from glmmcore.families.base import Family, Parameters

Density = Callable[..., mp.mpf]
Sampler = Callable[[np.random.Generator, int], np.ndarray]
Range = tuple[float, float]

MP_INVERSE_LINKS: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "log": mp.exp,
    "identity": lambda eta: eta,
    "sqrt": lambda eta: eta**2,
    "inverse": lambda eta: 1 / eta,
    "logit": lambda eta: 1 / (1 + mp.exp(-eta)),
    "probit": mp.ncdf,
    "cloglog": lambda eta: -mp.expm1(-mp.exp(eta)),
}


@dataclass(frozen=True)
class Case:
    """A family with one link.

    Attributes
    ----------
    name, link
        As for `get_family`.
    log_density
        ``log_density(y, N, mu, phi, psi)`` in mpmath, independent of the package: mu the inverse link of eta,
        phi = exp(delta), psi the tuple of unconstrained extra parameters.
    y
        Draws responses of the support, ``y(rng, n)``.
    eta, delta, psi
        Ranges of the bulk from which random points are drawn uniformly.
    trials
        Number of trials of every row.
    at
        A few ``(eta, delta, psi)`` at which draws, moments and distribution function are compared.
    far_eta
        Predictors at which nothing may break.
    far_y
        Responses that are combined with them.
    finite_variance
        Whether the variance exists at every point of `at`.
    mean_moment
        Whether mu is compared with the mean of draws (not when the mean does not exist).
    """

    name: str
    log_density: Density
    y: Sampler
    link: str | None = None
    eta: Range = (-1.5, 2.0)
    delta: Range = (-2.0, 2.0)
    psi: tuple[Range, ...] = ()
    trials: int = 1
    at: tuple[tuple[float, float, tuple[float, ...]], ...] = ((0.7, 0.3, ()),)
    far_eta: tuple[float, ...] = (-700.0, -40.0, 40.0, 700.0)
    far_delta: tuple[float, ...] = (-700.0, -30.0, 0.0, 30.0, 700.0)
    far_y: tuple[float, ...] = (0.0, 1.0, 37.0, 1e9)
    finite_variance: bool = True
    mean_moment: bool = True

    @property
    def family(self) -> Family:
        return get_family(self.name, self.link)

    def __str__(self) -> str:
        return f"{self.name}-{self.link}" if self.link else self.name

    def reference(self, y: float, *predictors: mp.mpf) -> mp.mpf:
        """Log density at predictors in the order of ``family.predictors``."""
        family = self.family
        mu = MP_INVERSE_LINKS[family.link.name](predictors[0])
        phi = mp.exp(predictors[1]) if family.has_dispersion else mp.mpf(1)
        psi = predictors[1 + family.has_dispersion :]
        return self.log_density(mp.mpf(y), mp.mpf(self.trials), mu, phi, psi)

    def random_points(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, list[Parameters]]:
        """Responses, their trials, and one `Parameters` (of one row) for each."""
        points = [
            Parameters(
                rng.uniform(*self.eta, 1),
                rng.uniform(*self.delta, 1),
                np.array([rng.uniform(*r) for r in self.psi]),
            )
            for _ in range(n)
        ]
        return self.y(rng, n).astype(float), np.full(n, float(self.trials)), points

    def predictor_values(self, p: Parameters) -> list[float]:
        """The predictors of one row in the order of ``family.predictors``."""
        dispersion = [float(p.delta[0])] if self.family.has_dispersion else []
        return [float(p.eta[0]), *dispersion, *map(float, p.psi)]
