"""Residuals of rows at the same place or time as one value, with the variance of a single one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simresid.checks.inputs import FloatArray

__all__ = ["combine", "shown"]


def combine(u: FloatArray, place: NDArray[np.intp]) -> FloatArray:
    """One value per place: ``sum(u - 1/2) / sqrt(m)``, with the variance of a single residual."""
    return np.asarray(np.bincount(place, weights=u - 0.5) / np.sqrt(np.bincount(place)))


def shown(value: FloatArray, size: NDArray[np.intp]) -> FloatArray:
    """Combined values on the scale of residuals, uniform under the model: exact for single rows, close for others.

    Examples
    --------
    >>> import numpy as np
    >>> shown(np.array([0.4, 0.4]), np.array([1, 9])).round(3)
    array([0.9  , 0.917])
    """
    from scipy.special import ndtr

    return np.where(size == 1, value + 0.5, ndtr(np.sqrt(12.0) * value))
