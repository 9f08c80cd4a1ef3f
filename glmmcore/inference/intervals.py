"""Confidence intervals of all parameters: Wald, profile likelihood, parametric bootstrap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import random_generator, require_level, require_word
from glmmcore.covariance import Field
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.estimation.assemble import build_problem
from glmmcore.estimation.estimator import Estimator
from glmmcore.inference.coefficients import coefficient_errors
from glmmcore.inference.off_limits import Lift, away_from_limits
from glmmcore.inference.profile import ProfiledFunction, profile_limits
from glmmcore.results.t_distribution import t_quantile
from glmmcore.results.variance_parameters import (
    VarianceParameter,
    is_given,
    parameter_errors,
    variance_parameters,
)

if TYPE_CHECKING:
    from glmmcore.estimation.curvature import Curvature
    from glmmcore.estimation.solution import Solution
    from glmmcore.fitted import FittedGLMM

__all__ = ["conf_int"]

_PARTS = ("cond", "zi", "disp")
_RANDOM = "random"
# Simulated responses at a time: the draws depend on this number and the seed alone.
_BLOCK = 50
# Numbers of simulated responses that are refitted at once.
_NUMBERS = 2_000_000


def conf_int(
    fit: FittedGLMM,
    alpha: float = 0.05,
    method: str = "wald",
    *,
    parameters: str = "cond",
    df: str | float = "auto",
    cov: Any = None,
    n_sims: int = 500,
    rng: Any = None,
) -> pd.DataFrame:
    """See `FittedGLMM.conf_int`."""
    require_word(method, "conf_int: method", ("wald", "profile", "bootstrap"))
    require_level(alpha, "alpha")
    require_word(parameters, "conf_int: parameters", (*_PARTS, _RANDOM, "all"))
    if method != "wald" and (not isinstance(df, str) or df != "auto" or cov is not None):
        raise ModelError("conf_int: df= and cov= are for method='wald'")
    if cov is not None and parameters not in _PARTS:
        raise ModelError("conf_int: cov= is for the coefficients of one part: parameters='cond', 'zi' or 'disp'")
    wanted = [parameters] if parameters != "all" else [*(p for p in _PARTS if _has(fit, p)), _RANDOM]
    if method == "bootstrap":
        tables = _bootstrap(fit.written_out(), alpha, wanted, n_sims, random_generator(rng))
    elif method == "profile":
        tables = {part: _profile(fit, alpha, part) for part in wanted}
    else:
        tables = {part: _wald(fit, alpha, part, df, cov) for part in wanted}
    for part, table in tables.items():
        table.loc[_given(fit, part)] = np.nan
    return tables[parameters] if parameters != "all" else pd.concat(tables, names=["part", "parameter"])


def _given(fit: FittedGLMM, part: str) -> list[str]:
    """Parameters that were given instead of estimated."""
    problem = fit.estimator.problem
    if part != _RANDOM:
        linear = problem.part(part) if _has(fit, part) else None
        return [] if linear is None else [c for c, free in zip(linear.columns, linear.free, strict=True) if not free]
    parameters = variance_parameters(fit.estimator)
    return [p.label for p in parameters if is_given(p, problem, fit.solution.x)]


def _has(fit: FittedGLMM, part: str) -> bool:
    return part in fit.design.predictors


def _table(limits: dict[str, tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(list(limits.values()), index=list(limits), columns=["lower", "upper"], dtype=float)


# ---- Wald --------------------------------------------------------------------------------------------
def _wald(fit: FittedGLMM, alpha: float, part: str, df: str | float, cov: Any) -> pd.DataFrame:
    if part != _RANDOM:
        estimates, errors, numbers = coefficient_errors(fit, part, df, cov)
        half = t_quantile(numbers.to_numpy(dtype=float), 1.0 - alpha / 2.0) * errors
        return pd.DataFrame({"lower": estimates - half, "upper": estimates + half})
    quantile = special.ndtri(1.0 - alpha / 2.0)
    errors_of = fit.variance_errors
    limits = {}
    for parameter in variance_parameters(fit.estimator):
        value, error = errors_of[parameter.label]
        limits[parameter.label] = _symmetric(fit, parameter, value, quantile * error)
    return _table(limits)


def _symmetric(fit: FittedGLMM, parameter: VarianceParameter, value: float, half: float) -> tuple[float, float]:
    """Limits symmetric in the logarithm of what is positive, as a standard deviation, in atanh of a correlation."""
    if not np.isfinite(half):
        return float("nan"), float("nan")
    if parameter.kind == "sigma":
        low, high = sorted((fit.family.sigma(value - half), fit.family.sigma(value + half)))
        return low, high
    if parameter.bounds[0] == 0.0:
        return value * float(np.exp(-half / value)), value * float(np.exp(half / value))
    if abs(value) >= 1.0:
        return float("nan"), float("nan")
    centre, width = np.arctanh(value), half / (1.0 - value**2)
    return float(np.tanh(centre - width)), float(np.tanh(centre + width))


# ---- profile -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class _Profiles:
    """Profile likelihoods around a maximum.

    Attributes
    ----------
    fit : FittedGLMM
    estimator : Estimator
        In which every parameter can be held fixed: nothing is profiled out or integrated.
    solution : Solution
        Its maximum.
    curvature : Curvature
    objective : callable
        Negative log-likelihood with gradient.
    hessian : ndarray, shape (p, p)
        Positive definite.
    quantile : float
        Square root of the chi-square quantile.
    lift : Lift or None
    """

    fit: FittedGLMM
    estimator: Estimator
    solution: Solution
    curvature: Curvature
    objective: Any
    hessian: np.ndarray
    quantile: float
    lift: Lift | None

    @classmethod
    def of(cls, fit: FittedGLMM, alpha: float) -> _Profiles:
        """Profiles by maximum likelihood, for restricted fits too: a restricted likelihood has no fixed effects."""
        estimator, solution = fit.estimator, fit.solution
        if estimator.linear or fit.reml:
            problem = build_problem(fit.design, fit.family).with_response(fit.observed)
            estimator = Estimator(fit.design, fit.family, False, problem, False, estimator.n_agq)
            solution = estimator.fit()
        objective, curvature = estimator.objective_at(solution), solution.curvature
        assert curvature is not None
        hessian, quantile = curvature.positive(), float(special.ndtri(1.0 - alpha / 2.0))
        lift = away_from_limits(objective, estimator.problem, solution)
        return cls(fit, estimator, solution, curvature, objective, hessian, quantile, lift)

    def limits(self, function: ProfiledFunction, error: float) -> tuple[float, float]:
        """Where twice the fall of the log-likelihood along a function of the parameters reaches the quantile."""
        return profile_limits(
            self.objective, self.solution.x, self.hessian, function, error, self.quantile, self.lift
        )  # fmt: skip


def _profile(fit: FittedGLMM, alpha: float, part: str) -> pd.DataFrame:
    profiles = _Profiles.of(fit, alpha)
    return _table(_random_limits(profiles) if part == _RANDOM else _coefficient_limits(profiles, part))


def _coefficient_limits(profiles: _Profiles, part: str) -> dict[str, tuple[float, float]]:
    """Limits of the coefficients of a part."""
    linear = profiles.estimator.problem.part(part)
    columns = profiles.fit.design.predictors[part].X
    variances = np.diag(profiles.solution.covariance[part, part])
    limits = {}
    for j, name in enumerate(linear.columns):
        if not linear.free[j]:
            limits[name] = float("nan"), float("nan")
            continue
        direction = np.zeros(len(profiles.solution.x))
        direction[linear.where] = linear.back[j]
        error = float(np.sqrt(variances[j]))
        if not np.isfinite(error):
            error = 1.0 / max(float(np.sqrt(np.mean(np.square(columns[:, j])))), 1e-300)
        limits[name] = profiles.limits(_linear(direction), error)
    return limits


def _random_limits(profiles: _Profiles) -> dict[str, tuple[float, float]]:
    """Limits of standard deviations, correlations and the dispersion."""
    estimator, x = profiles.estimator, profiles.solution.x
    errors = parameter_errors(estimator, profiles.solution, profiles.curvature)
    has_places = any(isinstance(t.structure, Field) for t in estimator.problem.terms)
    limits = {}
    absent: set[tuple[int, int]] = set()  # coefficients whose standard deviation may be zero at this level
    for parameter in variance_parameters(estimator):
        if is_given(parameter, estimator.problem, x):
            limits[parameter.label] = float("nan"), float("nan")
            continue
        term = id(parameter.term)
        if parameter.kind not in ("sd", "sigma") and not absent.isdisjoint({(term, parameter.i), (term, parameter.j)}):
            # a model without one of the two fits well enough, and there any correlation or range does
            limits[parameter.label] = parameter.bounds
            continue
        own = _variance_limits(profiles, parameter, *errors[parameter.label])
        if has_places and np.isnan(own).any():
            own = _as_far_as_can_be(parameter, own)
        limits[parameter.label] = own
        if parameter.kind == "sd" and own[0] == 0.0:
            absent.add((term, parameter.i))
    return limits


def _as_far_as_can_be(parameter: VarianceParameter, limits: tuple[float, float]) -> tuple[float, float]:
    """Limits in a model with effects of places; the end of the range where the likelihood could not be followed.

    Along ridges (variance and range grow together) it is all but level, so that what is known is that the limit lies
    far out.
    """
    ends = (0.0, np.inf) if parameter.kind == "sigma" else parameter.bounds
    low, high = (end if np.isnan(v) else v for v, end in zip(limits, ends, strict=True))
    warn_of_data(
        f"the likelihood of {parameter.label} is so level that its profile could not be followed to a limit; the end "
        "of the range stands for it"
    )
    return low, high


def _linear(direction: np.ndarray) -> ProfiledFunction:
    return ProfiledFunction(lambda x: float(direction @ x), lambda x: direction)


def _variance_limits(
    profiles: _Profiles, parameter: VarianceParameter, value: float, error: float
) -> tuple[float, float]:
    """Limits of one variance parameter whose estimate and standard error these are."""
    x, lift = profiles.solution.x, profiles.lift
    if parameter.kind == "sigma":
        return _sigma_limits(profiles, parameter, error)
    function = ProfiledFunction(parameter.value, parameter.gradient, *parameter.bounds)
    if parameter.is_defined(x):
        if not np.isfinite(error):
            # beside a parameter at its limit: the way to that, or the value itself
            error = max(abs(value), 0.0 if lift is None else abs(parameter.value(lift(x)) - value))
        return profiles.limits(function, error)
    if lift is None or not parameter.is_defined(lift(x)):
        return float("nan"), float("nan")
    # at the end of its range, where it has no slope
    error = abs(parameter.value(lift(x)) - value)
    slope = lambda at: parameter.gradient(at) if parameter.is_defined(at) else np.zeros(len(at))  # noqa: E731
    return profiles.limits(replace(function, gradient=slope), error)


def _sigma_limits(profiles: _Profiles, parameter: VarianceParameter, error: float) -> tuple[float, float]:
    """Limits of the dispersion, found as those of its logarithm."""
    sigma = profiles.fit.family.sigma
    error = error if np.isfinite(error) else 1.0  # at its limit
    logarithms = profiles.limits(ProfiledFunction(parameter.value, parameter.gradient), error)
    rising = sigma(1.0) > sigma(0.0)
    low, high = sorted(
        v if np.isnan(v) else float(sigma(v)) if np.isfinite(v) else np.inf if (v > 0) == rising else 0.0
        for v in logarithms
    )
    return low, high


# ---- bootstrap ---------------------------------------------------------------------------------------
def _bootstrap(
    fit: FittedGLMM, alpha: float, wanted: list[str], n_sims: int, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Percentiles of the estimates from responses simulated with new random effects."""
    if not (isinstance(n_sims, (int, np.integer)) and n_sims >= 2):
        raise ModelError(f"conf_int: n_sims must be a whole number of at least 2, not {n_sims!r}")
    blocks = [_BLOCK] * (n_sims // _BLOCK) + ([n_sims % _BLOCK] if n_sims % _BLOCK else [])
    at_once = max(1, _NUMBERS // (_BLOCK * fit.nobs))
    draws, waiting = [], []
    for position, (child, size) in enumerate(zip(rng.spawn(len(blocks)), blocks, strict=True), start=1):
        waiting.append(fit.simulate(size, rng=child, random_effects="unconditional"))
        if len(waiting) == at_once or position == len(blocks):
            draws.append(_refitted(fit, np.concatenate(waiting), wanted))
            waiting = []
    levels = [100.0 * alpha / 2.0, 100.0 * (1.0 - alpha / 2.0)]
    out = {}
    for part in wanted:
        names = list(_estimates(fit, part))
        if not names:  # such as variances of a model that has none
            out[part] = pd.DataFrame(columns=["lower", "upper"], dtype=float)
            continue
        values = np.concatenate([draw[part] for draw in draws])
        values = values[~np.isnan(values).all(axis=1)]
        if len(values) < 2:
            raise ModelError("conf_int: the simulated responses could not be fitted")
        low, high = np.nanpercentile(values, levels, axis=0)
        out[part] = pd.DataFrame({"lower": low, "upper": high}, index=names)
    return out


def _refitted(fit: FittedGLMM, simulated: np.ndarray, wanted: list[str]) -> dict[str, np.ndarray]:
    """Estimates of every simulated response, (b, p) a part; NaN where it could not be fitted."""
    many = fit.refit_many(simulated, n_jobs=1)
    tables = {"cond": many.params, "zi": many.zi_params, "disp": many.disp_params}
    out = {part: tables[part].to_numpy(dtype=float) for part in wanted if part != _RANDOM}
    if _RANDOM in wanted:
        x, sigma = many.optimiser_parameters, many.sigma.to_numpy()
        assert x is not None
        rows = zip(x, sigma, strict=True)
        out[_RANDOM] = np.array([list(_variances(fit, own, s).values()) for own, s in rows])
    return out


def _estimates(fit: FittedGLMM, part: str) -> dict[str, float]:
    if part != _RANDOM:
        return dict(fit.part_coefficients(part))
    return _variances(fit, fit.solution.x, fit.sigma)


def _variances(fit: FittedGLMM, x: np.ndarray, sigma: float) -> dict[str, float]:
    """Standard deviations, correlations and the dispersion of the model of a fit at other parameters."""
    parameters = variance_parameters(fit.estimator)
    if not np.isfinite(x).all():
        return {p.label: float("nan") for p in parameters}
    scale = sigma if fit.estimator.linear else 1.0
    return {p.label: sigma if p.kind == "sigma" else p.value(x, scale) for p in parameters}
