"""Small compiled pieces that the series of the tweedie, gamma and Conway-Maxwell-Poisson laws share."""

from __future__ import annotations

import math

from glmmcore._jit import kernel
from glmmcore.families.special import digamma, log1pmx

__all__ = ["deviance_part", "digamma_gap"]


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
