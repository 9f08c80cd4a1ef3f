"""Variance explained: Nakagawa's R2 and the intraclass correlation.

Nakagawa and Schielzeth (2013), Johnson (2014) for random slopes, Nakagawa, Johnson and Schielzeth (2017) for the
variance of the response on the scale of the link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.families.base import Parameters

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["icc", "r2", "variance_components"]


def variance_components(fit: FittedGLMM) -> dict[str, float]:
    """Variances of the conditional linear predictor: by fixed effects, by each group, and of the response.

    Returns
    -------
    dict
        ``"fixed"``, ``"residual"`` and, for every grouping factor, ``"random: <group>"``: the mean over rows of
        z' Sigma z, times the variance of the row's level where levels covary.
    """
    design = fit.design.predictors["cond"]
    eta = design.X @ fit.params.to_numpy()
    out = {"fixed": float(np.cov(eta, fweights=_frequencies(fit)))}
    for t in fit.solution.terms:
        if t.predictor == "cond":
            key = f"random: {t.term.group}"
            out[key] = out.get(key, 0.0) + _mean(fit, t.row_variances(t.term.Z, t.term.codes))
    out["residual"] = _residual(fit)
    return out


def _frequencies(fit: FittedGLMM) -> np.ndarray:
    """How many rows each stands for, (n,)."""
    weights = fit.design.freq_weights
    return np.ones(fit.nobs, dtype=np.intp) if weights is None else weights.astype(np.intp)


def _mean(fit: FittedGLMM, values: np.ndarray) -> float:
    return float(np.average(np.broadcast_to(values, (fit.nobs,)), weights=_frequencies(fit)))


def _residual(fit: FittedGLMM) -> float:
    """Variance of the response around its mean, on the scale of the link."""
    family, link = fit.family, fit.family.link.name
    delta = fit.law.parameters.delta
    if link == "identity":
        return _mean(fit, fit.law.variance())
    latent = family.latent_variance()
    if latent is not None:
        return latent
    if family.takes_trials and family.has_dispersion:
        raise ModelError(f"r2 and icc are not defined for family '{family.name}'")
    # delta method for other links, exact for a lognormal: variance at the mean response of an average level
    mean = _mean(fit, fit.population_mean())
    eta = fit.family.link.link(np.array([mean]))
    at = Parameters(eta, np.array([_mean(fit, delta)]), fit.law.parameters.psi)
    variance = float(family.variance(np.ones(1), at)[0])
    if link == "log":
        return float(np.log1p(variance / mean**2))
    _, slope, _, _ = fit.family.link.derivatives(eta)
    return variance / float(slope[0]) ** 2


def r2(fit: FittedGLMM) -> pd.Series:
    """See `FittedGLMM.r2`."""
    parts = variance_components(fit)
    random = sum(value for name, value in parts.items() if name.startswith("random: "))
    total = parts["fixed"] + random + parts["residual"]
    return pd.Series({"marginal": parts["fixed"] / total, "conditional": (parts["fixed"] + random) / total})


def icc(fit: FittedGLMM) -> pd.Series:
    """See `FittedGLMM.icc`."""
    parts = variance_components(fit)
    random = {name.removeprefix("random: "): v for name, v in parts.items() if name.startswith("random: ")}
    if not random:
        raise ModelError("icc: the conditional model has no random effects")
    total = sum(random.values()) + parts["residual"]
    return pd.Series({**{name: v / total for name, v in random.items()}, "total": sum(random.values()) / total})
