"""Log p and log(1 - p) of a proportion with derivatives in eta, for each link, accurate in both tails."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.special import FAR_EXPONENT, clip_exponent, expit, mills, softplus, truncation

__all__ = ["proportion_pair", "proportion_sides"]

_TINY = 1e-90
_CODES = {"logit": 0, "probit": 1, "cloglog": 2, "log": 3, "identity": 4}


@kernel
def _sides(code, x):
    """Return log p, its three derivatives, log(1 - p), its three derivatives, inside; at one eta."""
    if code == 0:
        p, q = expit(x), expit(-x)
        v = p * q
        return -softplus(-x), q, -v, -v * (q - p), -softplus(x), -p, -v, -v * (q - p), True
    if code == 1:
        a0, a1, a2, a3 = mills(x)
        b0, b1, b2, b3 = mills(-x)
        return a0, a1, a2, a3, b0, -b1, b2, -b3, True
    if code == 2:
        e = np.exp(clip_exponent(x))
        k0, k1, k2, k3 = truncation(e)
        a0 = x - k0 if e < 1.0 else np.log1p(-np.exp(-e))
        a1 = 1.0 - k1 if e < 1.0 else (e / np.expm1(e) if e < 700.0 else 0.0)
        return a0, a1, -k2, -k3, -e, -e, -e, -e, True
    if code == 3:
        inside = x < 0.0
        z = x if inside else -1e-16
        z = min(z, -1e-16)
        p = np.exp(clip_exponent(z))
        o = p / -np.expm1(z)
        w = o * (1.0 + o)
        b0 = np.log(-np.expm1(z)) if z > -0.7 else np.log1p(-p)
        return z, 1.0, 0.0, 0.0, b0, -o, -w, -w * (1.0 + 2.0 * o), inside
    inside = 0.0 < x < 1.0
    z = min(max(x, _TINY), 1.0 - 1e-16)
    r, s = 1.0 / z, 1.0 / (1.0 - z)
    return np.log(z), r, -r * r, 2 * r * r * r, np.log1p(-z), -s, -s * s, -2 * s * s * s, inside


@kernel
def _all_sides(code, eta, out, inside):
    for i in range(eta.size):
        a0, a1, a2, a3, b0, b1, b2, b3, inside[i] = _sides(code, eta[i])
        out[0, i], out[1, i], out[2, i], out[3, i] = a0, a1, a2, a3
        out[4, i], out[5, i], out[6, i], out[7, i] = b0, b1, b2, b3


def proportion_sides(link: str, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log p and log(1 - p) with derivatives.

    Returns
    -------
    sides : ndarray, shape (8, n)
        log p and its first three eta-derivatives, then log(1 - p) and its.
    inside : ndarray of bool, shape (n,)
        Whether the link gives a proportion strictly inside (0, 1).
    """
    out, inside = np.empty((8, eta.size)), np.empty(eta.size, dtype=np.bool_)
    _all_sides(_CODES[link], eta, out, inside)
    return out, inside


def proportion_pair(link: str, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p and 1 - p, each (n,), relatively accurate and positive."""
    if link == "logit":  # no logarithms and derivatives
        least = np.exp(-FAR_EXPONENT)
        return np.maximum(special.expit(eta), least), np.maximum(special.expit(-eta), least)
    sides, _ = proportion_sides(link, eta)
    return np.exp(np.maximum(sides[0], -FAR_EXPONENT)), np.exp(np.maximum(sides[4], -FAR_EXPONENT))
