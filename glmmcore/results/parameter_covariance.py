"""Covariance of all parameters: fixed effects of every part, dispersion, standard deviations and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.results.joint_covariance import Combination, JointCovariance
from glmmcore.results.variance_parameters import VarianceParameter, variance_parameters

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["all_covariance", "in_all_parameters", "is_of_all_parameters", "jacobian", "parameter_index"]

_NAMES = ("part", "parameter")
# Share of a combination's weights that parameters on their boundary may take without being missed.
_NEGLIGIBLE = 1e-6


def is_of_all_parameters(cov: Any) -> bool:
    """Whether a table is a covariance of all parameters, by part and name."""
    return isinstance(cov, pd.DataFrame) and isinstance(cov.index, pd.MultiIndex)


def _spread_parameters(fit: FittedGLMM) -> list[VarianceParameter]:
    """Standard deviations and correlations; the dispersion counts as a coefficient."""
    return [p for p in variance_parameters(fit.estimator) if p.term is not None]


def parameter_index(fit: FittedGLMM) -> pd.MultiIndex:
    """Part and name of every parameter: coefficients as in `params` and its kin, the others as in `conf_int`."""
    pairs = [(part.name, name) for part in fit.estimator.problem.parts for name in part.columns]
    pairs += [("random", parameter.label) for parameter in _spread_parameters(fit)]
    return pd.MultiIndex.from_tuples(pairs, names=_NAMES)


def jacobian(fit: FittedGLMM) -> np.ndarray:
    """Derivatives of all parameters by the optimiser's, (m, n_params); NaN rows where one has none (on the boundary).

    Parameters that the optimiser integrates or profiles out have rows of zeros.
    """
    x = fit.solution.x
    rows = []
    for part in fit.estimator.problem.parts:
        own = np.zeros((len(part.columns), len(x)))
        if part.where.stop > part.where.start:
            own[:, part.where] = part.back
        rows.append(own)
    scale = fit.sigma if fit.estimator.linear else 1.0
    for parameter in _spread_parameters(fit):
        defined = parameter.is_defined(x)
        rows.append(parameter.gradient(x, scale)[None] if defined else np.full((1, len(x)), np.nan))
    return np.concatenate(rows)


def all_covariance(fit: FittedGLMM) -> pd.DataFrame:
    """Covariance of all parameters, (m, m), by part and name.

    Standard deviations are on their own scale, dispersions are logarithms, as in `FittedGLMM.disp_params`. NaN for what
    has no standard error (a variance of zero), inf on the diagonal for what the data do not bound.
    """
    index = parameter_index(fit)
    values = _linear_covariance(fit, index) if fit.estimator.linear else _joint_covariance(fit)
    return pd.DataFrame(values, index=index, columns=index)


def _linear_covariance(fit: FittedGLMM, index: pd.MultiIndex) -> np.ndarray:
    """Fixed effects do not covary with variances; standard deviations are sigma times functions of theta."""
    rows = jacobian(fit)
    p = len(fit.params)
    moves = np.column_stack([rows, np.zeros(len(rows))])
    values = {name: value for name, (value, _) in fit.variance_errors.items()}
    for j, (part, name) in enumerate(index):
        if part == "disp":
            moves[j, -1] = 1.0
        elif part == "random" and name.partition("(")[0].endswith("sd"):
            moves[j, -1] = values[name]
    curvature = fit.joint_curvature
    moves[curvature.reaches(np.nan_to_num(moves))] = np.nan
    out = moves @ curvature.inverse @ moves.T
    out[:p], out[:, :p] = 0.0, 0.0
    out[:p, :p] = fit.solution.covariance["cond", "cond"]
    return out


def _joint_covariance(fit: FittedGLMM) -> np.ndarray:
    """Variances of single parameters and of sums of two."""
    rows = jacobian(fit)
    m = len(rows)
    known = np.isfinite(rows).all(axis=1)
    joint = JointCovariance(fit)
    places, start = {}, 0
    for part in fit.estimator.problem.parts:
        places[part.name] = slice(start, start + len(part.columns))
        start += len(part.columns)

    def variance(weights: np.ndarray) -> np.ndarray:
        fixed = {name: weights[:, where] for name, where in places.items() if where.stop > where.start}
        direct = weights[:, start:] @ np.where(known[start:, None], rows[start:], 0.0)
        return joint.variance(Combination(fixed, direct=direct))

    out = np.full((m, m), np.nan)
    at = np.flatnonzero(known)
    unit = np.eye(m)
    single = np.zeros(m)
    single[at] = variance(unit[at])
    i, j = (at[k] for k in np.triu_indices(len(at), 1))
    if len(i):
        with np.errstate(invalid="ignore"):
            out[i, j] = 0.5 * (variance(unit[i] + unit[j]) - single[i] - single[j])
        out[~np.isfinite(out)] = np.nan
        out[j, i] = out[i, j]
    out[at, at] = single[at]
    return out


def in_all_parameters(fit: FittedGLMM, rows: Combination) -> np.ndarray:
    """Weights of all parameters in combinations without random effects, (n, m).

    Raises
    ------
    ModelError
        Where a combination moves with a parameter that is on its boundary and has no derivative.
    """
    index = parameter_index(fit)
    out = np.zeros((rows.n, len(index)))
    for name, weights in rows.fixed.items():
        out[:, index.get_level_values("part") == name] = weights
    if rows.direct is None:
        return out
    own = index.get_level_values("part") == "random"
    slopes = jacobian(fit)[own]
    known = np.isfinite(slopes).all(axis=1)
    found = rows.direct @ np.linalg.pinv(slopes[known])
    left = np.abs(rows.direct - found @ slopes[known]).max(initial=0.0)
    if left > _NEGLIGIBLE * np.abs(rows.direct).max(initial=1e-300):
        raise ModelError(
            "cov= of all parameters says nothing about a variance of zero, which these averages over the random "
            "effects depend on; drop that random effect, or leave cov= out"
        )
    out[:, np.flatnonzero(own)[known]] = found
    return out
