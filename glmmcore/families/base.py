"""The contract of a family: arrays of predictors in, arrays of log densities and their derivatives out.

A family is a law f(y; eta, delta, psi) with the conditional predictor eta = g(mu), the dispersion predictor
delta = log(phi) when it has a dispersion, and a few further unconstrained parameters psi (such as a tweedie power).
All three are treated alike by the fitter, as *predictors*, in this order: ``cond``, ``disp``, then `extra` names.
The fitter asks for nothing else than the methods of `Family`; it never looks at the name of a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np

from glmmcore.families.links import Link

__all__ = ["Derivatives", "Family", "Parameters"]


class Parameters(NamedTuple):
    """The predictors of some rows.

    Attributes
    ----------
    eta : ndarray, shape (n,)
        Conditional linear predictor.
    delta : ndarray, shape (1,) or (n,)
        log(phi); one element when the dispersion is the same for all rows, which lets a family tabulate special
        functions once. Ignored by families without dispersion.
    psi : ndarray, shape (len(extra),)
        Further parameters, unconstrained.
    """

    eta: np.ndarray
    delta: np.ndarray
    psi: np.ndarray


class Derivatives(NamedTuple):
    """Log density of some rows and its derivatives, P predictors.

    Attributes
    ----------
    loglik : ndarray, shape (n,)
        Log density with every constant.
    d1 : ndarray, shape (P, n)
        d/d a for each predictor a (row 0 is eta).
    d2 : ndarray, shape (P, n)
        d2/(d eta d a).
    d3 : ndarray, shape (P, n)
        d3/(d eta d eta d a).
    """

    loglik: np.ndarray
    d1: np.ndarray
    d2: np.ndarray
    d3: np.ndarray

    @classmethod
    def empty(cls, n_predictors: int, n: int) -> Derivatives:
        """Uninitialised arrays for a kernel to fill."""
        return cls(np.empty(n), *(np.empty((n_predictors, n)) for _ in range(3)))


class Family(ABC):
    """A response distribution with a link.

    Class attributes state what the law is; methods take ``(y, trials, parameters)`` where `y` is float64 of shape
    (n,), `trials` is float64 of shape (n,) (ones when the response is not k of n).
    """

    name: ClassVar[str]
    default_link: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    discrete: ClassVar[bool] = False
    has_dispersion: ClassVar[bool] = False
    takes_trials: ClassVar[bool] = False
    extra: ClassVar[tuple[str, ...]] = ()
    hurdle: ClassVar[bool] = False
    """Whether f(0) := 0, so that zero inflation makes a hurdle model."""
    several_maxima: ClassVar[bool] = False
    """Whether its likelihood is known for several local maxima, so that one start is not enough."""
    stationary_at_zero: ClassVar[bool] = False
    """Whether extra parameters of zero are a stationary point of every likelihood, so that searches start on both
    sides, as `start_psi` does."""
    mass_at_zero: ClassVar[bool] = False
    """Whether a law that is not discrete puts mass on 0."""
    weight_power: ClassVar[float | None] = None
    """Power of a row's weight that its dispersion parameter phi is multiplied by, so that the variance of the row is
    divided by the weight; None where no such parameter is in front of the variance."""
    special_cases: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """Families that this one contains: name -> its parameters that are on the edge of their range there, none where it
    is an inner point."""
    dispersion_words: ClassVar[str] = "{sigma:.4g}"
    """What `sigma` says about the variance; may use sigma, variance (sigma^2) and increased (1 + sigma)."""
    no_overdispersion: ClassVar[float | None] = None
    """Predictor of the dispersion with which a law of counts is, or all but is, the one that has none; None where no
    such law is known."""
    limits: ClassVar[Mapping[tuple[str, int], str]] = MappingProxyType({})
    """What the law becomes as a further predictor goes to minus or plus infinity, by name and sign."""

    def __init__(self, link: str | Link | None = None) -> None:
        self.link = Link.get(link or self.default_link)
        if self.link.name not in self.links:
            from glmmcore.errors import ModelError

            raise ModelError(
                f"family '{self.name}' has no link '{self.link.name}'; choose one of {', '.join(self.links)}"
            )

    def __repr__(self) -> str:
        return f"{self.name}({self.link.name})"

    @property
    def linear(self) -> bool:
        """Whether the law is normal around its linear predictor, so that random effects integrate in closed form."""
        return False

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names of the predictors, in the order of the rows of `Derivatives`."""
        return ("cond", *(("disp",) if self.has_dispersion else ()), *self.extra)

    # ---- data -------------------------------------------------------------------------------------------------
    @abstractmethod
    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Raise `ModelError` naming rows outside the support; warn (`DataWarning`) of non-integer counts.

        With `zero_model`, zeros are allowed where a hurdle can take them.
        """

    # ---- likelihood -------------------------------------------------------------------------------------------
    @abstractmethod
    def newton_terms(
        self, y: np.ndarray, trials: np.ndarray, p: Parameters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (l, dl/d eta, d2l/d eta2), each (n,).

        `l` may lack terms that do not depend on eta, except at y = 0 where a zero model needs all of log f(0).
        """

    @abstractmethod
    def derivatives(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> Derivatives:
        """Log density and all derivatives the exact Laplace gradient needs."""

    # ---- moments, draws, distribution function ----------------------------------------------------------------
    @abstractmethod
    def mean(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Mean of y (of the count for k of n)."""

    @abstractmethod
    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return the variance of y given all predictors."""

    @abstractmethod
    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """Draw an (n_sims, n) float64 array."""

    @abstractmethod
    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """Return (P(Y < y), P(Y <= y)), each (n,); the two are equal for continuous laws."""

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray | None:
        """Twice the log-likelihood lost by `mean` (n,) against y, without the dispersion; None where not defined."""
        return None

    def total_probability(self, p: Parameters) -> np.ndarray:
        """Sum of the probabilities of all responses, (n,) or (1,): 1 but where a law is only nearly one."""
        return np.ones(1)

    def has_separate_peaks(self, p: Parameters) -> np.ndarray:
        """Whether the density of a continuous response has peaks with next to nothing between them, (n,) or (1,)."""
        return np.zeros(1, dtype=bool)

    def latent_variance(self) -> float | None:
        """Variance of the continuous variable of which a binary response is the sign; None without one."""
        return None

    # ---- starting values --------------------------------------------------------------------------------------
    @abstractmethod
    def start_mean(self, y: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Return a mean on the scale of the link, inside its range, from which IRLS starts."""

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Variance of y / trials up to a constant, as a function of the mean, for the IRLS start."""
        return np.ones_like(mu)

    @property
    def log_absent_dispersion(self) -> float:
        """log(phi) of a dispersion part without coefficients, ``disp="~ 0"``."""
        return 0.0

    def start_delta(self, pearson: float) -> float:
        """Return log(phi) from the mean of (y/trials - mu)^2 / working_variance at the IRLS fit."""
        return 0.0

    def start_psi(self) -> tuple[np.ndarray, ...]:
        """Return starting points for psi; each is tried and the best kept."""
        return (np.zeros(len(self.extra)),)

    # ---- reporting --------------------------------------------------------------------------------------------
    def sigma(self, delta: float) -> float:
        """Return the dispersion as printed (glmmTMB's ``sigma()``)."""
        return float(np.exp(delta)) if self.has_dispersion else 1.0

    def describe_extra(self, psi: np.ndarray) -> dict[str, float]:
        """Further parameters on their natural scale, by printed name."""
        return {}
