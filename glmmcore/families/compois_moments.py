"""Rate, normaliser and moments of the Conway-Maxwell-Poisson law with a given mean.

With m = lambda^(1/nu) and q_j = log j! - j log m + m, the law is w_j = exp(-nu q_j): q is the (non-negative)
Poisson deviance of j against m plus half the logarithm of 2 pi j, so neither huge counts nor huge nu cancel
digits. All sums run outwards from the mode; where the bump is wide they become trapezoidal sums on a coarser
grid, see `_far`.

Where m < 1, which tends to 0 as nu does, moments are those of s_j = q_j + j log m, which differs from log j! by a
constant: near the geometric law log m grows like 1/nu and would drown log j! in q. Moments about the mean, with the
regression on Y taken out, are the same of both.
"""

from __future__ import annotations

import math

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.series import deviance_part
from glmmcore.families.special import HALF_LOG_2PI, stirling_error

__all__ = ["MOMENTS", "fill_moments", "log_weight", "solve_rows"]

MOMENTS = 9
"""Rows of the table of `fill_moments`."""
_CUT = -50.0
_LONG = 2000.0
# Counts summed singly at the lower end, where log j! bends too much for panels.
_SINGLE = 64
# Weights of the terms at -1.5, -0.5, 0.5 and 1.5 beside an edge: f'/24 - 7 f'''/5760 there by central differences.
_EDGE = ((-1.5, 17.0 / 5760.0), (-0.5, -291.0 / 5760.0), (0.5, 291.0 / 5760.0), (1.5, -17.0 / 5760.0))
_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(20)


@kernel
def log_weight(j, x):
    """q_j for log m = x, any real j >= 0."""
    m = math.exp(x)
    if j < 20.0 or m < 0.5 * j:
        return math.lgamma(j + 1.0) - j * x + m
    return deviance_part(j, m) + 0.5 * math.log(j) + HALF_LOG_2PI + stirling_error(j)


@kernel
def _add(sums, w, d, s):
    """Accumulate w d^k and w d^k s."""
    wd = w * d
    wd2 = wd * d
    wd3 = wd2 * d
    sums[0] += w
    sums[1] += wd
    sums[2] += wd2
    sums[3] += wd3
    sums[4] += wd3 * d
    sums[5] += w * s
    sums[6] += wd * s
    sums[7] += wd2 * s
    sums[8] += wd3 * s


@kernel
def _near(x, nu, mu, start, sums):
    """Sum term by term from the mode `start` down to e^-50 of it; q and s relative to the mode."""
    _add(sums, 1.0, start - mu, 0.0)
    above = max(x, 0.0)
    j, q, s = start, 0.0, 0.0
    while -nu * q > _CUT:
        if j - start >= _LONG:
            _tail(j + 0.5, x, nu, mu, start, sums)
            break
        j += 1.0
        q += math.log(j) - x
        s += math.log(j) - above
        _add(sums, math.exp(-nu * q), j - mu, s)
    j, q = start, 0.0
    while -nu * q > _CUT and j > 0.0:
        if start - j >= _LONG and j > 4.0 * _SINGLE:
            _below(j - 0.5, x, nu, mu, start, sums)
            break
        q += x - math.log(j)
        j -= 1.0
        _add(sums, math.exp(-nu * q), j - mu, q)


@kernel
def _tail(edge, x, nu, mu, start, sums):
    """Add all terms above `edge`, half way between two counts, by the midpoint rule read backwards.

    The sum is the integral + f'/24 - 7 f'''/5760 at the edge: terms that take more than 2000 counts to die out
    change too slowly for higher orders. Gauss-Legendre panels double in width for as long as the terms change
    little over one.
    """
    above, log_rate = max(x, 0.0), nu * min(x, 0.0)
    reference = log_weight(start, above)
    for k, weight in _EDGE:
        s = log_weight(edge + k, above) - reference
        _add(sums, weight * math.exp(log_rate * (edge + k - start) - nu * s), edge + k - mu, s)
    low, width = edge, 250.0
    log_low = log_rate * (low - start) - nu * (log_weight(low, above) - reference)
    while log_low > _CUT:
        log_high = log_rate * (low + width - start) - nu * (log_weight(low + width, above) - reference)
        for k in range(_GAUSS_NODES.size):
            j = low + 0.5 * width * (1.0 + _GAUSS_NODES[k])
            s = log_weight(j, above) - reference
            w = 0.5 * width * _GAUSS_WEIGHTS[k] * math.exp(log_rate * (j - start) - nu * s)
            _add(sums, w, j - mu, s)
        low += width
        if abs(log_high - log_low) < 1.0 and width < 0.5 * low:
            width *= 2.0
        elif abs(log_high - log_low) > 4.0:
            width *= 0.5
        log_low = log_high


@kernel
def _below(edge, x, nu, mu, start, sums):
    """Add all terms below `edge`, as `_tail` adds those above one; here m is large."""
    reference = log_weight(start, x)
    for count in range(_SINGLE):
        q = log_weight(float(count), x) - reference
        _add(sums, math.exp(-nu * q), count - mu, q)
    end = _SINGLE - 0.5
    for k, weight in _EDGE:
        q = log_weight(end + k, x) - reference
        _add(sums, weight * math.exp(-nu * q), end + k - mu, q)
        q = log_weight(edge + k, x) - reference
        _add(sums, -weight * math.exp(-nu * q), edge + k - mu, q)
    high, width = edge, 250.0
    q_high = log_weight(high, x) - reference
    while high > end and -nu * q_high > _CUT:
        low = max(high - min(width, high / 3.0), end)
        q_low = log_weight(low, x) - reference
        for k in range(_GAUSS_NODES.size):
            j = low + 0.5 * (high - low) * (1.0 + _GAUSS_NODES[k])
            q = log_weight(j, x) - reference
            _add(sums, 0.5 * (high - low) * _GAUSS_WEIGHTS[k] * math.exp(-nu * q), j - mu, q)
        if nu * abs(q_high - q_low) < 1.0:
            width *= 2.0
        elif nu * abs(q_high - q_low) > 4.0:
            width *= 0.5
        high, q_high = low, q_low


@kernel
def _far(x, nu, mu, sd, start_q, sums):
    """Trapezoidal rule on a grid of sd/1.6.

    The terms are a smooth bump with standard deviation sd > 3, so the sum over the integers and that over the
    grid both equal the integral to within exp(-2 pi^2 1.6^2).
    """
    m = math.exp(x)
    step = sd / 1.6
    for k in range(-17, 18):
        j = m + k * step
        q = log_weight(j, x) - start_q
        _add(sums, step * math.exp(-nu * q), j - mu, q)


@kernel
def _sum(x, nu, mu, sums):
    """Fill the sums; return q and s at the reference point, to which those of the sums are relative."""
    sums[:] = 0.0
    m = math.exp(x)
    sd = math.sqrt(m / nu)
    if sd > 3.0 and m - 11.0 * sd > 1.0:
        reference = log_weight(m, x)
        _far(x, nu, mu, sd, reference, sums)
        return reference, reference
    start = math.floor(m)
    _near(x, nu, mu, start, sums)
    return log_weight(start, x), log_weight(start, max(x, 0.0))


@kernel
def _start(t, nu):
    """First guess of log lambda: the counts next to the mean where nu is large, expansion in 1/mu else.

    With a the odds of k + 1 against k, k - 1 has the odds r/a: near a whole mean k these two balance, and
    a - r/a = f, the fractional part of the mean; likewise near k + 1 from below.
    """
    mu = math.exp(t)
    if nu > 1.5 and mu < 2.0 * nu:
        k = math.floor(mu)
        f = mu - k
        below = math.exp(-nu * math.log1p(1.0 / k)) if k > 0.0 else 0.0
        above = math.exp(-nu * math.log1p(1.0 / (k + 1.0)))
        odds = math.log(f + math.sqrt(f * f + 4.0 * below))
        return nu * math.log(k + 1.0) + odds - math.log(1.0 - f + math.sqrt((1.0 - f) ** 2 + 4.0 * above))
    shifted = mu + 0.5 * (nu - 1.0) / nu
    if shifted > 0.3 * mu and mu > 1.0:
        return nu * math.log(shifted)
    return t - (1.0 - min(nu, 1.0)) * math.log1p(mu)


@kernel
def _solve(t, nu, guess, sums):
    """Log m of the law with mean exp(t): Newton on the log mean, inside a shrinking bracket."""
    mu = math.exp(t)
    log_rate, low, high = guess, -np.inf, np.inf
    for _ in range(100):
        _sum(log_rate / nu, nu, mu, sums)
        gap = sums[1] / sums[0]
        v = sums[2] / sums[0] - gap * gap
        if gap > 0.0:
            high = log_rate
        else:
            low = log_rate
        step = -np.inf if gap > 0.0 else np.inf
        if v > 0.0 and gap > -mu:
            step = -math.log1p(gap / mu) * (mu + gap) / v
        if abs(step) * math.sqrt(v) < 1e-9 * min(1.0, math.sqrt(v)):
            log_rate += step
            break
        limit = 2.0 + 0.5 * nu
        new = log_rate + min(max(step, -limit), limit)
        if new <= low or new >= high:
            new = 0.5 * (low + high)
            if new in (low, high):
                break
        log_rate = new
    return log_rate / nu


@kernel
def fill_moments(t, nu, out):
    """Fill the columns of `out`, shape (9, n), for means exp(t); one `nu` or one per row.

    Rows: x = log m; G = log sum exp(-nu q); S = E s; D = Cov(Y, s)/V; g = mu/V and its first two derivatives
    in t; first two derivatives in t of d log lambda / d nu = max(x, 0) + D.
    """
    sums = np.zeros(9)
    guess, last = 0.0, np.inf
    for i in range(t.size):
        v = nu[i] if nu.size > 1 else nu[0]
        # Neighbouring rows of a table are close: carry the solution over along its slope.
        slope = out[4, i - 1] if i > 0 else 0.0
        near = abs(t[i] - last) < 0.3 and nu.size == 1 and abs(slope * (t[i] - last)) < 1.0
        guess = guess + slope * (t[i] - last) if near else _start(t[i], v)
        x = _solve(t[i], v, guess, sums)
        guess, last = v * x, t[i]
        _fill_row(t[i], x, v, sums, out, i)


@kernel
def _or_zero(x):
    """Drop what overflowed: an all but degenerate law at a whole mean."""
    return x if abs(x) < 1e290 else 0.0


@kernel
def _fill_row(t, x, nu, sums, out, i):
    mu = math.exp(t)
    reference, reference_s = _sum(x, nu, mu, sums)
    s = sums[0]
    m1, m2, m3, m4 = sums[1] / s, sums[2] / s, sums[3] / s, sums[4] / s
    s0, s1, s2, s3 = sums[5] / s, sums[6] / s, sums[7] / s, sums[8] / s
    # What is left of the mean's equation is rounding; the central moments follow.
    v = m2 - m1 * m1
    k3 = m3
    k4 = m4 - 3.0 * v * v
    c1 = s1 - m1 * s0
    c2 = s2 - m2 * s0
    c3 = s3 - m3 * s0 - 3.0 * v * c1
    d = c1 / v
    g = mu / v
    skew = k3 / v
    g1 = g - g * (g * skew)
    # d(k3/v)/dt = g (k4/v - skew^2)
    g2 = g1 - 2.0 * g1 * (g * skew) - g * g * (g * (k4 / v - skew * skew))
    r = (c2 - k3 * d) / v
    dr = (c3 - k4 * d) / v - 2.0 * skew * r
    out[0, i] = x
    out[1, i] = math.log(s) - nu * reference
    out[2, i] = reference_s + s0
    out[3, i] = d
    out[4, i] = g
    out[5, i] = _or_zero(g1)
    out[6, i] = _or_zero(g2)
    out[7, i] = _or_zero(g * r)
    out[8, i] = _or_zero(g1 * r + g * (g * dr))


@kernel
def solve_rows(t, nu, x):
    """Log m for each row."""
    sums = np.zeros(9)
    for i in range(t.size):
        v = nu[i] if nu.size > 1 else nu[0]
        x[i] = _solve(t[i], v, _start(t[i], v), sums)
