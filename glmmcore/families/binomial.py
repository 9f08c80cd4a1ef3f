"""Binomial counts, k of n."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.count_density import LARGE_COUNT, binomial_constant, binomial_core
from glmmcore.families.draws import FEW_TERMS, LEAST_LOG, count_cdf
from glmmcore.families.natural import as_kernel_input
from glmmcore.families.proportions import proportion_pair, proportion_sides
from glmmcore.families.support import check_trials
from glmmcore.families.vector import exp_and_log1p

__all__ = ["Binomial"]


@kernel
def _logit_newton(y, trials, eta, tail, log1p_tail, loglik, l1, l2):
    """`tail` is exp(-|eta|)."""
    for i in range(y.size):
        x, e, s = eta[i], tail[i], log1p_tail[i]
        large = 1.0 / (1.0 + e)
        small = e * large
        p, q = (large, small) if x >= 0 else (small, large)
        log_p, log_q = min(x, 0.0) - s, -max(x, 0.0) - s
        if trials[i] < LARGE_COUNT:
            loglik[i] = y[i] * log_p + (trials[i] - y[i]) * log_q
        else:
            loglik[i] = binomial_core(y[i], trials[i], log_p, log_q, p, q)
        l1[i] = y[i] * q - (trials[i] - y[i]) * p
        l2[i] = -trials[i] * p * q


@kernel
def _logit_third(y, trials, eta, tail, l2, constant, third):
    for i in range(y.size):
        e = tail[i]
        excess = (1.0 - e) / (1.0 + e)
        third[i] = -l2[i] * (excess if eta[i] >= 0 else -excess)
        constant[i] = binomial_constant(y[i], trials[i])


@kernel
def _sides_newton(y, trials, sides, loglik, l1, l2):
    for i in range(y.size):
        k, f = y[i], trials[i] - y[i]
        p, q = np.exp(sides[0, i]), np.exp(sides[4, i])
        loglik[i] = binomial_core(k, trials[i], sides[0, i], sides[4, i], p, q)
        l1[i] = k * sides[1, i] + f * sides[5, i]
        l2[i] = k * sides[2, i] + f * sides[6, i]


@kernel
def _sides_third(y, trials, sides, constant, third):
    for i in range(y.size):
        third[i] = y[i] * sides[3, i] + (trials[i] - y[i]) * sides[7, i]
        constant[i] = binomial_constant(y[i], trials[i])


@kernel
def _sum_from_zero(k, trials, success, failure, out):
    """P(Y <= k) as a sum of probabilities from 0 on; NaN where that is long or begins with too small a number."""
    for i in range(k.size):
        if k[i] >= trials[i]:
            out[i] = 1.0
            continue
        log_first = trials[i] * np.log(failure[i]) if failure[i] > 0.0 else -np.inf
        if not (k[i] <= FEW_TERMS and log_first > LEAST_LOG):
            out[i] = np.nan
            continue
        term = np.exp(log_first)
        total, odds = term, success[i] / failure[i]
        for j in range(int(k[i])):
            term *= (trials[i] - j) / (j + 1.0) * odds
            total += term
        out[i] = min(total, 1.0)


def _incomplete_beta(k: np.ndarray, trials: np.ndarray, success: np.ndarray, failure: np.ndarray) -> np.ndarray:
    """P(Y <= k) = I_{1-p}(N - k, k + 1) for k < N, through the smaller of p and 1 - p."""
    left = trials - k
    return np.where(success < 0.5, special.betaincc(k + 1, left, success), special.betainc(left, k + 1, failure))


class Binomial(Family):
    """Binomial: l = log C(N, y) + y log p + (N - y) log(1 - p), variance N p (1 - p).

    A binary response is N = 1. log p and log(1 - p) are taken from eta directly, never from a rounded p.

    Examples
    --------
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.zeros(0))
    >>> Binomial().derivatives(np.array([1.0]), np.ones(1), p).loglik
    array([-0.69314718])
    """

    name = "binomial"
    default_link = "logit"
    links = ("logit", "probit", "cloglog", "log", "identity")
    discrete = True
    takes_trials = True

    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Successes 0 <= y <= trials."""
        check_trials(self.name, y, trials)

    def newton_terms(
        self, y: np.ndarray, trials: np.ndarray, p: Parameters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Family.newton_terms`."""
        y, trials, eta = as_kernel_input(y), as_kernel_input(trials), as_kernel_input(p.eta)
        out = np.empty_like(y), np.empty_like(y), np.empty_like(y)
        if self.link.name == "logit":
            _logit_newton(y, trials, eta, *exp_and_log1p(eta), *out)
            return out
        sides, inside = proportion_sides(self.link.name, eta)
        _sides_newton(y, trials, sides, *out)
        return np.where(inside, out[0], -np.inf), out[1], out[2]

    def derivatives(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> Derivatives:
        """See `Family.derivatives`."""
        y, trials, eta = as_kernel_input(y), as_kernel_input(trials), as_kernel_input(p.eta)
        out = Derivatives.empty(1, y.size)
        constant = np.empty_like(y)
        if self.link.name == "logit":
            tail, log1p_tail = exp_and_log1p(eta)
            _logit_newton(y, trials, eta, tail, log1p_tail, out.loglik, out.d1[0], out.d2[0])
            _logit_third(y, trials, eta, tail, out.d2[0], constant, out.d3[0])
            out.loglik[...] += constant
            return out
        sides, inside = proportion_sides(self.link.name, eta)
        _sides_newton(y, trials, sides, out.loglik, out.d1[0], out.d2[0])
        _sides_third(y, trials, sides, constant, out.d3[0])
        return out._replace(loglik=np.where(inside, out.loglik + constant, -np.inf))

    def mean(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """N p."""
        return trials * proportion_pair(self.link.name, p.eta)[0]

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """N p (1 - p)."""
        success, failure = proportion_pair(self.link.name, p.eta)
        return trials * success * failure

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
        """2 [y log(y / mean) + (N - y) log((N - y) / (N - mean))]."""
        failures = trials - y
        return 2.0 * (special.xlogy(y, y / mean) + special.xlogy(failures, failures / (trials - mean)))

    def latent_variance(self) -> float | None:
        """Of a logistic, normal or Gumbel variable, by the link."""
        return {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0}.get(self.link.name)

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """See `Family.simulate`."""
        success, _ = proportion_pair(self.link.name, p.eta)
        shape = (n_sims, p.eta.size)
        if np.all(trials == 1):
            return (rng.random(shape) < success).astype(np.float64)
        return rng.binomial(trials.astype(np.int64), np.minimum(success, 1.0), size=shape).astype(np.float64)

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`."""
        success, failure = proportion_pair(self.link.name, p.eta)

        shape = np.broadcast_shapes(np.shape(y), np.shape(trials), np.shape(success))
        n, p_one, p_other = (np.broadcast_to(a, shape).ravel() for a in (trials, success, failure))

        def at(k: np.ndarray) -> np.ndarray:
            whole, out = np.broadcast_to(k, shape).ravel(), np.empty(n.size)
            _sum_from_zero(*(as_kernel_input(a) for a in (whole, n, p_one, p_other)), out)
            rest = np.isnan(out)
            if rest.any():
                out[rest] = _incomplete_beta(whole[rest], n[rest], p_one[rest], p_other[rest])
            return out.reshape(shape)

        return count_cdf(at, y)

    def start_mean(self, y: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Shrunken proportion (y + 1/2) / (N + 1)."""
        return (y + 0.5) / (trials + 1)

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Variance of the proportion, mu (1 - mu) / N."""
        return mu * (1 - mu) / np.maximum(trials, 1)
