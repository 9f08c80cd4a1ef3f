"""Compiled pieces that the beta, gamma, tweedie and Conway-Maxwell-Poisson laws share."""

from __future__ import annotations

import math

from glmmcore._jit import kernel
from glmmcore.families.special import HALF_LOG_2PI, digamma, log1pmx

__all__ = ["deviance_part", "digamma_gap", "gamma_functions"]


@kernel
def deviance_part(x, m):
    """Return x log(x/m) + m - x >= 0 without cancellation near x = m (both positive)."""
    return -x * log1pmx((m - x) / x)


@kernel
def digamma_gap(x):
    """Return x (log x - digamma(x)), which tends to 1 at 0 and to 1/2 at infinity (DLMF 5.11.2)."""
    if x < 12.0:
        return x * (math.log(x) - digamma(x))
    r = 1.0 / x
    s = r * r
    return 0.5 + r * (
        1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s / 12)))))
    )


@kernel
def gamma_functions(x):
    """Return log Gamma, digamma, trigamma and tetragamma of x >= 0.5 in one pass.

    Recurrences up to x >= 10, then the asymptotic expansions (DLMF 5.11, 5.15).
    """
    product, s1, s2, s3 = 1.0, 0.0, 0.0, 0.0
    while x < 10.0:
        r = 1.0 / x
        product *= x
        s1 += r
        s2 += r * r
        s3 += r * r * r
        x += 1.0
    log_x = math.log(x)
    r = 1.0 / x
    s = r * r
    tail = r * (
        1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * (691 / 360360 - s * (1 / 156))))))
    )
    tail1 = s * (
        1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s * (1 / 12))))))
    )
    tail2 = s * r * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66 - s * (691 / 2730 - s * (7 / 6)))))))
    tail3 = s * s * (1 / 2 - s * (1 / 6 - s * (1 / 6 - s * (3 / 10 - s * (5 / 6 - s * (691 / 210 - s * (35 / 2)))))))
    log_gamma = (x - 0.5) * log_x - x + HALF_LOG_2PI + tail - (math.log(product) if product != 1.0 else 0.0)
    digamma_x = log_x - 0.5 * r - tail1 - s1
    trigamma_x = r + 0.5 * s + tail2 + s2
    tetragamma_x = -s - s * r - tail3 - 2.0 * s3
    return log_gamma, digamma_x, trigamma_x, tetragamma_x
