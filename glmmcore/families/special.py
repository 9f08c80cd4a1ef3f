"""Compiled special functions that stay accurate at huge and tiny arguments, and *differences* of them.

A count law with a large size parameter n needs lgamma(y + n) - lgamma(n) to an accuracy of y, not of n log n,
and its derivatives as sums of small terms, not as differences of polygammas. With r_i = n / (n + i),
i = 0 .. y-1,

===  =====================  =========================================================
R    sum -log r_i           lgamma(y + n) - lgamma(n) - y log n
S1   sum r_i                d/d log n of lgamma(y + n) - lgamma(n)
T1   sum (r_i - 1)          S1 - y, small for large n
T2   sum r_i (1 - r_i)      second derivative with respect to log n
T3   sum r_i(1-r_i)(1-2r_i) third derivative with respect to log n
===  =====================  =========================================================

`rising` returns all five for any real y >= 0. Asymptotic expansions: NIST DLMF 5.11, 5.15.
"""

from __future__ import annotations

import math

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "FAR_EXPONENT",
    "HALF_LOG_2PI",
    "clip_exponent",
    "digamma",
    "expit",
    "log1pmx",
    "mills",
    "rising",
    "rising_at",
    "rising_table",
    "softplus",
    "stirling_error",
    "table_size",
    "truncation",
]

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
FAR_EXPONENT = 690.0
_SHIFT = 12.0


@kernel
def clip_exponent(x):
    """Bring x into [-690, 690], where exp neither overflows nor becomes subnormal."""
    return min(max(x, -FAR_EXPONENT), FAR_EXPONENT)


@kernel
def expit(x):
    """1 / (1 + exp(-x)), relatively accurate in the lower tail."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@kernel
def softplus(x):
    """log(1 + exp(x))."""
    if x > 36.0:
        return x
    return math.log1p(math.exp(x))


@kernel
def log1pmx(x):
    """log(1 + x) - x for x > -1 without cancellation near 0 (atanh series)."""
    if x < -0.4 or x > 0.7:
        return math.log1p(x) - x
    r = x / (2.0 + x)
    s = r * r
    # log1p(x) = 2 (r + r^3/3 + ...) and 2 r - x = -r x
    term, total, k = s, 0.0, 3.0
    while term > 1e-18 * s:
        total += term / k
        term *= s
        k += 2.0
        if term == 0.0:
            break
    return r * (2.0 * total - x)


@kernel
def digamma(x):
    """d/dx lgamma(x), x > 0."""
    shift = 0.0
    while x < _SHIFT:
        shift -= 1.0 / x
        x += 1.0
    return shift + math.log(x) + _digamma_tail(x)


# Tails of the expansions after the leading term (log x, 1/x, -1/x^2), for x >= _SHIFT, and what their first
# terms leave, scaled by a power of x.
@kernel
def _stirling_tail(x):
    v = 1.0 / x
    s = v * v
    return v * (
        1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360 - s / 156)))))
    )


@kernel
def _digamma_rest(x):
    """-x (digamma(x) - log x) - 1/2."""
    v = 1.0 / x
    s = v * v
    return v * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s / 12))))))


@kernel
def _trigamma_rest(x):
    """x^2 (trigamma(x) - 1/x) - 1/2."""
    v = 1.0 / x
    s = v * v
    return v * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66 - s * (691 / 2730 - s * (7 / 6)))))))


@kernel
def _tetragamma_rest(x):
    """-x^3 (tetragamma(x) + 1/x^2) - 1."""
    v = 1.0 / x
    s = v * v
    return v * (1 / 2 - s * (1 / 6 - s * (1 / 6 - s * (3 / 10 - s * (5 / 6 - s * (691 / 210 - s * (35 / 2)))))))


@kernel
def _digamma_tail(x):
    return -(0.5 + _digamma_rest(x)) / x


@kernel
def _trigamma_tail(x):
    return (0.5 + _trigamma_rest(x)) / x / x


@kernel
def _tetragamma_tail(x):
    return -(1.0 + _tetragamma_rest(x)) / x / x / x


@kernel
def stirling_error(x):
    """lgamma(x + 1) - (x + 1/2) log x + x - log(2 pi)/2 for x > 0."""
    if x >= _SHIFT:
        return _stirling_tail(x)
    return math.lgamma(x + 1.0) - (x + 0.5) * math.log(x) + x - HALF_LOG_2PI


@kernel
def rising(y, n):
    """(R, S1, T1, T2, T3) of the module's table, for y >= 0 and n > 0."""
    if y == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    if y <= 12.0 and y == math.floor(y):
        return _rising_sum(int(y), n)
    if n >= _SHIFT:
        return _rising_large(y, n)
    return _rising_shifted(y, n)


@kernel
def rising_at(y, log_n):
    """`rising` at n = exp(log_n); where n leaves the range of floats the sums saturate, R does not."""
    clipped = clip_exponent(log_n)
    r, s1, t1, t2, t3 = rising(y, math.exp(clipped))
    if log_n < clipped and y > 1.0:
        r += (y - 1.0) * (clipped - log_n)
    return r, s1, t1, t2, t3


@kernel
def _rising_sum(y, n):
    product, s1, t1, t2, t3 = 1.0, 1.0, 0.0, 0.0, 0.0
    small = n < 1.0
    for i in range(1, y):
        r = n / (n + i)
        c = i / (n + i)
        product *= (n + i) if small else r
        s1 += r
        t1 -= c
        t2 += r * c
        t3 += r * c * (c - r)
    if small:
        return math.log(product) - (y - 1) * math.log(n), s1, t1, t2, t3
    if product < 0.5:
        return -math.log(product), s1, t1, t2, t3
    # a product near 1 keeps only the absolute accuracy of its logarithm
    rise = 0.0
    for i in range(1, y):
        rise += math.log1p(i / n)
    return rise, s1, t1, t2, t3


@kernel
def _rising_large(y, n):
    b = n + y
    x = y / n
    w = n / b
    c = y / b
    lm = log1pmx(x)
    lp = math.log1p(x)
    r = (b * lm + y * x if x < 0.7 else b * lp - y) - 0.5 * lp + _stirling_tail(b) - _stirling_tail(n)
    # what is left of the tails when their first terms, which would cancel, are taken out
    d0 = _digamma_rest(n) - w * _digamma_rest(b)
    d1 = w * w * _trigamma_rest(b) - _trigamma_rest(n)
    d2 = _tetragamma_rest(n) - w * w * w * _tetragamma_rest(b)
    t1 = n * lm + 0.5 * c + d0
    t2 = n * (lm + x * (y / b)) - 0.5 * w * c + d0 + d1
    t3 = n * (lm + x * c * c) + c * w * (w - 0.5) + d0 + 3.0 * d1 + d2
    s1 = n * lp + 0.5 * c + d0
    return r, s1, t1, t2, t3


@kernel
def _rising_shifted(y, n):
    b = n + y
    s1, t2, t3 = 0.0, 0.0, 0.0
    product = 1.0
    m = math.ceil(_SHIFT - n)
    for j in range(m):
        r, rc = n / (n + j), j / (n + j)
        s, sc = n / (b + j), (y + j) / (b + j)
        if j > 0:
            product *= (n + j) / (b + j)
        s1 += r - s
        t2 += r * rc - s * sc
        t3 += r * rc * (rc - r) - s * sc * (sc - s)
    lower, upper = n + m, b + m
    log_ratio = math.log1p(y / lower)
    d0 = n * (log_ratio + _digamma_tail(upper) - _digamma_tail(lower))
    d1 = n * n * (1 / upper - 1 / lower + _trigamma_tail(upper) - _trigamma_tail(lower))
    d2 = n * n * n * (1 / (lower * lower) - 1 / (upper * upper) + _tetragamma_tail(upper) - _tetragamma_tail(lower))
    rise = (
        math.log(product)
        - math.log(b)
        + (lower - 0.5) * log_ratio
        + y * (math.log(upper) - 1.0)
        + _stirling_tail(upper)
        - _stirling_tail(lower)
    )
    log_n = math.log(n)
    s1 += d0
    return rise + log_n - y * log_n, s1, s1 - y, t2 + d0 + d1, t3 + d0 + 3.0 * d1 + d2


def table_size(y: np.ndarray) -> int:
    """Rows of a table over counts 0, 1, ... that pays for itself: never more than a fraction of the data."""
    return int(min(np.max(y, initial=0.0) + 1.0, max(16.0, y.size / 8)))


def rising_table(size: int, n: float) -> np.ndarray:
    """Columns R, S1, T1, T2, T3 for y = 0 .. size-1 and one n, shape (size, 5)."""
    table = np.zeros((size, 5))
    if size > 1:
        table[1, 1] = 1.0
        _fill_table(n, table)
    return table


@kernel
def _fill_table(n, table):
    for i in range(1, table.shape[0] - 1):
        r = n / (n + i)
        c = i / (n + i)
        table[i + 1, 0] = table[i, 0] + math.log1p(i / n)
        table[i + 1, 1] = table[i, 1] + r
        table[i + 1, 2] = table[i, 2] - c
        table[i + 1, 3] = table[i, 3] + r * c
        table[i + 1, 4] = table[i, 4] + r * c * (c - r)


@kernel
def mills(x):
    """(log Phi(x), h, h', h'') with h = phi(x) / Phi(x), for any x."""
    if x > -3.0:
        upper = 0.5 * math.erfc(-x / math.sqrt(2.0))
        log_phi = -0.5 * x * x - HALF_LOG_2PI
        h = math.exp(log_phi) / upper
        log_cdf = math.log1p(-0.5 * math.erfc(x / math.sqrt(2.0))) if x > 0 else math.log(upper)
        d = x + h
        return log_cdf, h, -h * d, h * (d * (d + h) - 1.0)
    # Laplace's continued fraction h = z + 1/(z + 2/(z + 3/(z + ...))), z = -x; d = h - z, e, f are its levels
    z = -x
    f = 0.0
    for k in range(60, 2, -1):
        f = k / (z + f)
    e = 2.0 / (z + f)
    d = 1.0 / (z + e)
    h = z + d
    return -0.5 * x * x - HALF_LOG_2PI - math.log(h), h, -h * d, h * d * d * e * (f - e)


@kernel
def truncation(m):
    """(K, K1, K2, K3), K = -log((1 - exp(-m)) / m) and its derivatives with respect to log m, for m >= 0.

    Zero truncation adds -log(1 - exp(-m)) = K - log m when f(0) = exp(-m); K is small for small m.
    """
    if m < 1.0:
        s = m * m
        # m / (e^m - 1) = 1 - m/2 + sum B_2k m^2k / (2k)!
        c1, c2, c3, c4 = s / 12, s * s / 720, s * s * s / 30240, s * s * s * s / 1209600
        c5 = s * c4 * (1209600 / 47900160)
        c6 = s * c5 * (47900160 * 691 / 1307674368000)
        c7 = s * c6 * (1307674368000 / 691 / 74724249600)
        k0 = m / 2 - (c1 / 2 - c2 / 4 + c3 / 6 - c4 / 8 + c5 / 10 - c6 / 12 + c7 / 14)
        k1 = m / 2 - (c1 - c2 + c3 - c4 + c5 - c6 + c7)
        k2 = m / 2 - (2 * c1 - 4 * c2 + 6 * c3 - 8 * c4 + 10 * c5 - 12 * c6 + 14 * c7)
        k3 = m / 2 - (4 * c1 - 16 * c2 + 36 * c3 - 64 * c4 + 100 * c5 - 144 * c6 + 196 * c7)
        return k0, k1, k2, k3
    h = m / math.expm1(m) if m < 700.0 else 0.0
    f = 1.0 - m - h
    h1 = h * f
    h2 = h1 * f - h * (m + h1)
    return math.log(m) - math.log(-math.expm1(-m)), 1.0 - h, -h1, -h2
