"""P-values and quantiles of t distributions, whose limit for infinite degrees of freedom is the normal one."""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["t_quantile", "two_sided"]


def two_sided(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """P-value of |t|."""
    normal, at = np.isinf(df), -np.abs(statistic)
    return np.asarray(2.0 * np.where(normal, special.ndtr(at), special.stdtr(np.where(normal, 1.0, df), at)))


def t_quantile(df: np.ndarray, probability: float) -> np.ndarray:
    """Quantile of t, of the normal distribution where `df` is infinite."""
    normal = np.isinf(df)
    t = special.stdtrit(np.where(normal, 1.0, df), probability)
    return np.asarray(np.where(normal, special.ndtri(probability), t))
