"""Beta-binomial counts, k of n with a success probability that varies."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.count_density import binomial_constant, binomial_core
from glmmcore.families.natural import (
    as_kernel_input,
    compose,
    compose_newton,
    derivatives_from,
    natural_predictor,
    newton_from,
)
from glmmcore.families.proportions import proportion_pair
from glmmcore.families.special import clip_exponent, rising_at, softplus
from glmmcore.families.support import check_trials

__all__ = ["BetaBinomial"]


@kernel
def _chances(t):
    """Return (log p, log q, p, q) at t = logit p."""
    log_p, log_q = -softplus(-t), -softplus(t)
    p, q = math.exp(clip_exponent(log_p)), math.exp(clip_exponent(log_q))
    return log_p, log_q, p, q


@kernel
def _row(y, trials, t, delta):
    """Log density and (l_t, l_tt, l_ttt, l_d, l_td, l_ttd).

    l = binomial + R(y, a) + R(N - y, b) - R(N, phi) in the notation of `special`, a = phi p, b = phi q, which
    enter by their logarithms: d log a/dt = q, d log b/dt = -p, d log a/d delta = d log b/d delta = 1.
    """
    log_p, log_q, p, q = _chances(t)
    ra, s1a, t1a, t2a, t3a = rising_at(y, delta + log_p)
    rb, s1b, t1b, t2b, t3b = rising_at(trials - y, delta + log_q)
    rn, s1n, t1n, _, _ = rising_at(trials, delta)
    v, turn = p * q, q - p
    l = binomial_core(y, trials, log_p, log_q, p, q) + binomial_constant(y, trials) + (ra + rb - rn)
    l1 = s1a * q - s1b * p
    l2 = t2a * q * q + t2b * p * p - (s1a + s1b) * v
    l3 = t3a * q * q * q - t3b * p * p * p + 3.0 * v * (t2b * p - t2a * q) - (s1a + s1b) * v * turn
    # S1 = T1 + y, and the y cancel exactly
    d1 = t1a + t1b - t1n if delta > 0.0 else s1a + s1b - s1n
    d2 = t2a * q - t2b * p
    d3 = t3a * q * q + t3b * p * p - (t2a + t2b) * v
    return l, l1, l2, l3, d1, d2, d3


@kernel
def _newton(y, trials, eta, delta, loglik, l1, l2):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        loglik[i], l1[i], l2[i], _, _, _, _ = _row(y[i], trials[i], eta[i], d)


@kernel
def _derivatives(y, trials, eta, delta, loglik, d1, d2, d3):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        loglik[i], d1[0, i], d2[0, i], d3[0, i], d1[1, i], d2[1, i], d3[1, i] = _row(y[i], trials[i], eta[i], d)


@kernel
def _cdf(y, trials, log_density, a, b, below, up_to):
    """Sum masses from y outwards on the side of the smaller tail, by their ratios."""
    for i in range(y.size):
        n = trials[i]
        if y[i] < 0.0 or y[i] > n:
            below[i] = up_to[i] = 0.0 if y[i] < 0.0 else 1.0
            continue
        mass = math.exp(log_density[i])
        # unimodal laws may stop early
        floor = 1e-18 if a[i] >= 1.0 and b[i] >= 1.0 else 0.0
        tail, term = 0.0, 1.0
        if y[i] * b[i] <= (n - y[i]) * a[i]:
            k = y[i]
            while k > 0.0 and term > floor * tail:
                term *= k / (n - k + 1.0) * ((b[i] + n - k) / (a[i] + k - 1.0))
                tail += term
                k -= 1.0
            below[i] = min(mass * tail, 1.0)
            up_to[i] = min(mass * (tail + 1.0), 1.0)
        else:
            k = y[i]
            while k < n and term > floor * tail:
                term *= (n - k) / (k + 1.0) * ((a[i] + k) / (b[i] + n - k - 1.0))
                tail += term
                k += 1.0
            up_to[i] = max(1.0 - mass * tail, 0.0)
            below[i] = max(1.0 - mass * (tail + 1.0), 0.0)


class BetaBinomial(Family):
    """Binomial with success probability ~ Beta(p phi, (1 - p) phi).

    Variance N p (1 - p) (phi + N) / (phi + 1); binomial as phi grows.

    Examples
    --------
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.zeros(0))
    >>> float(BetaBinomial().variance(np.array([10.0]), p)[0])
    13.75
    """

    name = "betabinomial"
    no_overdispersion = 6.0
    special_cases = MappingProxyType({"binomial": ("overdispersion",)})
    dispersion_words = (
        "{sigma:.4g}: the variance is (N + {sigma:.4g}) / {increased:.4g} times the binomial one, N the trials"
    )
    default_link = "logit"
    links = ("logit", "probit", "cloglog", "log", "identity")
    discrete = True
    has_dispersion = True
    takes_trials = True
    limits = MappingProxyType({("disp", 1): "the binomial distribution"})

    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Refuse what is not a number of successes 0 <= y <= trials."""
        check_trials(self.name, y, trials)

    def newton_terms(
        self, y: np.ndarray, trials: np.ndarray, p: Parameters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Family.newton_terms`."""
        if self.link.name == self.default_link:
            return newton_from(_newton, *map(as_kernel_input, (y, trials, p.eta, p.delta)))
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        return compose_newton(newton_from(_newton, *map(as_kernel_input, (y, trials, x.t, p.delta))), x)

    def derivatives(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> Derivatives:
        """See `Family.derivatives`."""
        if self.link.name == self.default_link:
            return derivatives_from(_derivatives, 2, *map(as_kernel_input, (y, trials, p.eta, p.delta)))
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        return compose(derivatives_from(_derivatives, 2, *map(as_kernel_input, (y, trials, x.t, p.delta))), x)

    def _beta_shapes(self, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        success, failure = proportion_pair(self.link.name, p.eta)
        phi = np.exp(np.clip(p.delta, -600.0, 600.0))
        return np.maximum(phi * success, 1e-290), np.maximum(phi * failure, 1e-290)

    def mean(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """N p."""
        return trials * proportion_pair(self.link.name, p.eta)[0]

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """N p (1 - p) (phi + N) / (phi + 1)."""
        success, failure = proportion_pair(self.link.name, p.eta)
        # (phi + N) / (phi + 1) without overflow
        inflation = 1 + (trials - 1) / (1 + np.exp(np.minimum(p.delta, 700.0)))
        return trials * success * failure * inflation

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """See `Family.simulate`."""
        a, b = self._beta_shapes(p)
        chance = rng.beta(a, b, size=(n_sims, p.eta.size))
        return rng.binomial(trials.astype(np.int64), chance).astype(np.float64)

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`; a sum of up to min(y, N - y) terms when a shape is below 1."""
        at = np.clip(np.floor(y), 0.0, trials)
        a, b = np.broadcast_arrays(*self._beta_shapes(p))
        log_density = self.derivatives(at, trials, p).loglik
        below, up_to = np.empty_like(at), np.empty_like(at)
        _cdf(np.floor(y), trials, log_density, as_kernel_input(a), as_kernel_input(b), below, up_to)
        # a fractional y lies above all of the mass of its whole part
        return np.where(y > np.floor(y), up_to, below), up_to

    def start_mean(self, y: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Shrunken proportion (y + 1/2) / (N + 1)."""
        return (y + 0.5) / (trials + 1)

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Variance of the proportion without overdispersion, mu (1 - mu) / N."""
        return mu * (1 - mu) / np.maximum(trials, 1)

    def start_delta(self, pearson: float) -> float:
        """Guess of phi from the Pearson ratio 1 + (N - 1)/(phi + 1) for a handful of trials."""
        return float(np.clip(np.log(10 / max(pearson - 1, 0.05)), -1.0, 4.0))
