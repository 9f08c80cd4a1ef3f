"""Draws from and distribution function of the Conway-Maxwell-Poisson law, from its table of moments."""

from __future__ import annotations

import math

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.compois_moments import log_weight
from glmmcore.families.draws import first_above
from glmmcore.families.links import Array
from glmmcore.families.natural import as_kernel_input

__all__ = ["distribution_function", "draw"]

_WIDE = 300.0
"""Standard deviation above which a row is not summed count by count."""
_LONG = 20_000.0
"""Counts above which a lower tail that comes to 0 is what the upper one leaves, rather than a sum of all below."""
_NEGLIGIBLE = -45.0
"""Logarithm of a probability, relative to the largest, below which counts are left out of a row's table."""
_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)


def draw(moments: Array, mu: Array, nu: Array, n_sims: int, rng: np.random.Generator) -> Array:
    """Draw (n_sims, n) counts, by inversion, or by rejection in rows with a wide law.

    Parameters
    ----------
    moments : ndarray, shape (9, n)
        As `fill_moments` makes them.
    mu : ndarray, shape (n,)
    nu : ndarray, shape (1,) or (n,)
    """
    x, g, normaliser = moments[0], moments[4], moments[1]
    nu = np.broadcast_to(nu, mu.shape).copy()
    out = np.empty((n_sims, mu.size))
    wide = np.sqrt(mu / g) > _WIDE
    narrow = ~wide
    if narrow.any():
        # The uniforms fill replicate by replicate, so that earlier replicates do not depend on their number.
        some = np.empty((n_sims, int(narrow.sum())))
        _invert(rng.random(some.shape), x[narrow], nu[narrow], some)
        out[:, narrow] = some
    if wide.any():
        out[:, wide] = _reject(x[wide], nu[wide], normaliser[wide], n_sims, rng)
    return out


@kernel
def _reach(x, nu):
    """(lowest count, mode, highest count) of those with more than e^-45 of the largest probability.

    The law has P(k) proportional to lambda^k / (k!)^nu, x = log(lambda) / nu: relative to the mode log P is -nu q,
    where q grows by log k - x from k - 1 to k.
    """
    start = math.floor(math.exp(x))
    low, q = float(start), 0.0
    while -nu * q > _NEGLIGIBLE and low > 0.0:
        q += x - math.log(low)
        low -= 1.0
    high, q = float(start), 0.0
    while -nu * q > _NEGLIGIBLE:
        high += 1.0
        q += math.log(high) - x
    return low, start, high


@kernel
def _invert(u, x, nu, out):
    """Counts at the uniforms u, by search in the cumulated weights of each row; q as in `_reach`."""
    cumulated = np.empty(1024)
    for i in range(x.size):
        low, start, high = _reach(x[i], nu[i])
        n, mode = int(high - low) + 1, int(start - low)
        if n > cumulated.size:
            cumulated = np.empty(n)
        q = 0.0
        cumulated[mode] = 1.0
        for k in range(mode + 1, n):
            q += math.log(low + k) - x[i]
            cumulated[k] = math.exp(-nu[i] * q)
        q = 0.0
        for k in range(mode - 1, -1, -1):
            q += x[i] - math.log(low + k + 1.0)
            cumulated[k] = math.exp(-nu[i] * q)
        for k in range(1, n):
            cumulated[k] += cumulated[k - 1]
        for s in range(u.shape[0]):
            out[s, i] = low + first_above(cumulated, n, u[s, i] * cumulated[n - 1])


def _reject(x: Array, nu: Array, normaliser: Array, n_sims: int, rng: np.random.Generator) -> Array:
    """Rejection for log-concave probabilities with a known mode and normaliser (Devroye 1987).

    The hat around the mode is flat up to the distance w / top, where it becomes an exponential tail; `inside` tells
    candidates of the flat part, and what is rejected stays `pending`.
    """
    mode = np.floor(np.exp(x))
    top = np.exp(_log_probability(mode, x, nu, normaliser))
    w = 1 + 0.5 * top
    out = np.empty(n_sims * x.size)
    pending = np.arange(out.size)
    while pending.size:
        r = pending % x.size
        inside = rng.random(r.size) <= w[r] / (1 + w[r])
        reach = np.where(inside, rng.random(r.size) * w[r], w[r] + rng.standard_exponential(r.size)) / top[r]
        k = mode[r] + np.where(rng.random(r.size) < 0.5, -1.0, 1.0) * np.rint(reach)
        height = rng.random(r.size) * np.exp(np.minimum(0.0, w[r] - top[r] * reach)) * top[r]
        log_p = np.where(k >= 0, _log_probability(np.maximum(k, 0.0), x[r], nu[r], normaliser[r]), -np.inf)
        accepted = np.log(np.maximum(height, 1e-300)) <= log_p
        out[pending[accepted]] = k[accepted]
        pending = pending[~accepted]
    return out.reshape(n_sims, x.size)


def _log_probability(k: Array, x: Array, nu: Array, normaliser: Array) -> Array:
    q = np.empty_like(k)
    _fill_log_weights(k, as_kernel_input(x), q)
    return -nu * q - normaliser


@kernel
def _fill_log_weights(k, x, q):
    for i in range(k.size):
        q[i] = log_weight(k[i], x[i])


def distribution_function(floor: Array, ceiling: Array, moments: Array, mu: Array, nu: Array) -> tuple[Array, Array]:
    """Return (P(Y < ceiling), P(Y <= floor)) of each row."""
    nu = np.broadcast_to(nu, mu.shape).copy()
    below, at = np.empty_like(mu), np.empty_like(mu)
    sd = np.sqrt(mu / moments[4])
    x, normaliser = moments[0].copy(), moments[1].copy()
    _cumulate(as_kernel_input(ceiling - 1.0), x, nu, normaliser, sd, below)
    _cumulate(as_kernel_input(floor), x, nu, normaliser, sd, at)
    return below, np.maximum(below, at)


@kernel
def _cumulate(y, x, nu, normaliser, sd, out):
    for i in range(y.size):
        if y[i] < 0.0:
            out[i] = 0.0
        elif y[i] < math.exp(x[i]) and (y[i] < _LONG or _dies_out(x[i], nu[i], normaliser[i])):
            out[i] = min(_tail(y[i], -1.0, x[i], nu[i], normaliser[i], sd[i]), 1.0)
        else:
            out[i] = max(1.0 - _tail(y[i] + 1.0, 1.0, x[i], nu[i], normaliser[i], sd[i]), 0.0)


@kernel
def _dies_out(x, nu, normaliser):
    """Whether a count of 0 is all but impossible."""
    return -nu * log_weight(0.0, x) - normaliser < _NEGLIGIBLE


@kernel
def _tail(start, direction, x, nu, normaliser, sd):
    """Probability of `start` and of all counts beyond it in `direction`, away from the mode."""
    # downwards only if the tail dies out before it comes to 0, where the sum has an end
    if sd > _WIDE and start > 1000.0 and (direction > 0.0 or _dies_out(x, nu, normaliser)):
        return _tail_integral(start, direction, x, nu, normaliser, sd)
    p = math.exp(-nu * log_weight(start, x) - normaliser)
    total, k = 0.0, start
    term = p
    while term > 1e-20 * total and k >= 0.0:
        total += term
        if direction > 0.0:
            k += 1.0
            term *= math.exp(nu * (x - math.log(k)))
        else:
            if k == 0.0:
                break
            term *= math.exp(nu * (math.log(k) - x))
            k -= 1.0
    return total


@kernel
def _tail_integral(start, direction, x, nu, normaliser, sd):
    """Midpoint rule read backwards: the sum is the integral from half a count before `start`."""
    edge = start - 0.5 * direction
    total, width = 0.0, 0.5 * sd
    for panel in range(200):
        part = 0.0
        for k in range(16):
            j = edge + direction * width * (panel + 0.5 * (1.0 + _GAUSS_NODES[k]))
            if j > 0.0:
                part += _GAUSS_WEIGHTS[k] * math.exp(-nu * log_weight(j, x) - normaliser)
        total += 0.5 * width * part
        if part < 1e-18 * total or edge + direction * width * (panel + 1.0) <= 0.0:
            break
    # -f'/24 at the edge, f' = f nu (log m - digamma(j + 1)), log j + 1/(2j) for digamma at this size
    slope = nu * (x - math.log(edge) - 0.5 / edge) * math.exp(-nu * log_weight(edge, x) - normaliser)
    return total + direction * slope / 24.0
