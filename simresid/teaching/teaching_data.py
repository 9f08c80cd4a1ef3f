"""Data with known defects, for teaching, examples and tests of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from glmmcore.arguments import known_elsewhere
from simresid.alignment import FloatArray, real_array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["create_data"]

Family = Literal["gaussian", "binomial", "poisson", "nbinom2", "gamma", "beta"]

_INVERSE_LINKS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda eta: eta,
    "log": lambda eta: np.exp(eta),
    "logit": lambda eta: 1 / (1 + np.exp(-eta)),
    "inverse": lambda eta: 1 / eta,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}
_DEFAULT_LINK = {
    "gaussian": "identity",
    "binomial": "logit",
    "poisson": "log",
    "nbinom2": "log",
    "gamma": "log",
    "beta": "logit",
}
# Arguments that are numbers, and the smallest that each may be.
_LOWEST = {
    "intercept": -np.inf,
    **dict.fromkeys(("random_effect_sd", "temporal_sd", "spatial_sd", "overdispersion", "rounded_poisson_sd"), 0.0),
    **dict.fromkeys(("zero_inflation", "correlation", "dispersion", "temporal_range", "spatial_range"), 0.0),
}
_RANGE = {
    "gaussian": (-1e300, 1e300),
    "binomial": (0.0, 1.0),
    "poisson": (0.0, 9e18),  # numpy draws 64-bit integers
    "nbinom2": (0.0, 1e17),
    "gamma": (0.0, 1e300),
    "beta": (0.0, 1.0),
}


@known_elsewhere(seed="rng=")
def create_data(
    n: int = 100,
    *,
    intercept: float = 0.0,
    fixed_effects: float | Sequence[float] = 1.0,
    quadratic_effects: float | Sequence[float] | None = None,
    n_groups: int = 10,
    random_effect_sd: float = 1.0,
    overdispersion: float | Callable[[FloatArray], FloatArray] = 0.0,
    family: Family = "poisson",
    link: str | None = None,
    dispersion: float = 1.0,
    correlation: float = 0.0,
    rounded_poisson_sd: float | None = None,
    zero_inflation: float = 0.0,
    trials: int = 1,
    temporal_sd: float = 0.0,
    temporal_range: float = 5.0,
    spatial_sd: float = 0.0,
    spatial_range: float = 0.2,
    categorical_response: bool = False,
    n_replicates: int = 1,
    missing: bool = False,
    rng: Any = None,
) -> pd.DataFrame | list[pd.DataFrame]:
    r"""Simulate grouped data from a GLMM, with defects on request.

    The linear predictor of row `i` in group `g` is

    .. math:: \eta_i = \beta_0 + x_i'\beta + (x_i^2)'\gamma + b_g + s_i + a(t_i) + c(p_i)

    with predictors uniform on (-1, 1), :math:`b_g \sim N(0, \mathrm{random\_effect\_sd}^2)`, noise of
    standard deviation `overdispersion`, and stationary Gaussian processes in time and space with covariance
    :math:`\mathrm{sd}^2 \exp(-\mathrm{distance}/\mathrm{range})`.

    Parameters
    ----------
    n : int
        Rows; consecutive blocks of them form the groups, as equal in size as possible.
    intercept, fixed_effects, quadratic_effects : float or sequence
        Coefficients; as many predictors as `fixed_effects`.
    n_groups : int
        Groups of the random intercept.
    random_effect_sd : float
        Its standard deviation (not variance).
    overdispersion : float or callable
        Standard deviation of normal noise on the linear predictor, or a function of the linear predictor
        that returns the standard deviation of every row.
    family : {"gaussian", "binomial", "poisson", "nbinom2", "gamma", "beta"}
        Distribution of the response.
    link : {"identity", "log", "logit", "inverse", "cloglog"}, optional
        The family's usual link by default (log for gamma).
    dispersion : float
        For gaussian the standard deviation; nbinom2: size `theta` in ``mu + mu**2/theta``; gamma: squared
        coefficient of variation; beta: precision `phi`.
    correlation : float
        Correlation between predictors, in [0, 1).
    rounded_poisson_sd : float, optional
        Replace Poisson counts by rounded normals with this standard deviation, not below 0: underdispersion.
    zero_inflation : float
        Probability that a row is set to zero (for k-of-n data: zero successes).
    trials : int
        Trials per row of a binomial response.
    temporal_sd, temporal_range : float
        Process over the times 0..n-1, which are assigned to the rows at random.
    spatial_sd, spatial_range : float
        Process over coordinates uniform on the unit square.
    categorical_response : bool
        Turn a 0/1 response into categories "no" and "yes".
    n_replicates : int
        Data sets to return; they share times and coordinates.
    missing : bool
        Set the first predictor of the first row to NaN.
    rng : int, SeedSequence or Generator, optional
        Seed or source of randomness.

    Returns
    -------
    DataFrame or list of DataFrame
        Columns ``id``, ``observed`` (for ``trials > 1`` ``successes`` and ``failures``), ``x1``, ``x2``, ...,
        ``group`` (category), ``time``, ``x``, ``y``, ``expected`` (mean of the response before zero
        inflation). A list if ``n_replicates > 1``.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from simresid import create_data
    >>> data = create_data(50, family="poisson", random_effect_sd=0.5, rng=1)
    >>> list(data.columns)
    ['id', 'observed', 'x1', 'group', 'time', 'x', 'y', 'expected']
    """
    effects = _coefficients(fixed_effects, "fixed_effects")
    quadratic = np.zeros(effects.size)
    if quadratic_effects is not None:
        quadratic = _coefficients(quadratic_effects, "quadratic_effects")
    link = link or _DEFAULT_LINK.get(family, "")
    _check(locals())
    try:
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ValueError(f"rng={rng!r} must be a seed of at least 0, a Generator or None") from None
    time = generator.permutation(n)
    place = generator.random((n, 2))
    roots = []
    if temporal_sd > 0:
        distance = np.abs(np.subtract.outer(time, time)).astype(float)
        roots.append(temporal_sd * _root(distance, temporal_range))
    if spatial_sd > 0:
        distance = np.sqrt(np.sum((place[:, None, :] - place[None, :, :]) ** 2, axis=2))
        roots.append(spatial_sd * _root(distance, spatial_range))
    group = np.arange(n) * n_groups // n
    frames = []
    for _ in range(n_replicates):
        x = generator.uniform(-1, 1, (n, effects.size))
        if correlation > 0:
            # a share sqrt(correlation) of one common variable gives that correlation and keeps the variance
            common = generator.uniform(-1, 1, (n, 1))
            x = np.sqrt(1 - correlation) * x + np.sqrt(correlation) * common
        eta = intercept + x @ effects + x**2 @ quadratic
        eta = eta + random_effect_sd * generator.standard_normal(n_groups)[group]
        noise_sd = overdispersion(eta) if callable(overdispersion) else overdispersion
        if np.shape(noise_sd) not in ((), (n,)) or not np.all(np.isfinite(noise_sd) & (np.asarray(noise_sd) >= 0)):
            raise ValueError("overdispersion must return one finite standard deviation for each row, not below 0")
        eta = eta + noise_sd * generator.standard_normal(n)
        for root in roots:
            eta = eta + root @ generator.standard_normal(n)
        with np.errstate(over="ignore", divide="ignore"):
            mean = _INVERSE_LINKS[link](eta)
        _require_mean(mean, family, link)
        y = _draw(generator, family, mean, dispersion, trials, rounded_poisson_sd)
        y = np.where(generator.random(n) < zero_inflation, 0, y)
        frames.append(_frame(y, mean, x, group, time, place, trials, categorical_response, missing))
    return frames if n_replicates > 1 else frames[0]


def _check(given: dict[str, Any]) -> None:
    family, link = given["family"], given["link"]
    if family not in _DEFAULT_LINK:
        raise ValueError(f"family={family!r}; choose one of {', '.join(_DEFAULT_LINK)}")
    if link not in _INVERSE_LINKS:
        raise ValueError(f"link={link!r}; choose one of {', '.join(_INVERSE_LINKS)}")
    for name in ("n", "n_groups", "trials", "n_replicates"):
        if not isinstance(given[name], int | np.integer) or given[name] < 1:
            raise ValueError(f"{name}={given[name]!r} must be a whole number of at least 1")
    if given["n_groups"] > given["n"]:
        raise ValueError(f"n_groups={given['n_groups']} must not exceed n={given['n']}")
    if given["quadratic"].shape != given["effects"].shape:
        raise ValueError("quadratic_effects and fixed_effects must have the same length")
    for name, low in _LOWEST.items():
        value = given[name]
        if value is None or callable(value):
            continue
        if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value >= low):
            raise ValueError(f"{name}={value!r} must be a finite number" + (" not below 0" if low == 0 else ""))
    for name in ("zero_inflation", "correlation"):
        if not given[name] < 1:
            raise ValueError(f"{name}={given[name]!r} must lie in [0, 1)")
    for name in ("dispersion", "temporal_range", "spatial_range"):
        if given[name] <= 0:
            raise ValueError(f"{name}={given[name]!r} must be positive")
    if given["trials"] > 1 and family != "binomial":
        raise ValueError("trials must be 1 unless family='binomial'")
    if given["categorical_response"] and (family != "binomial" or given["trials"] > 1):
        raise ValueError("categorical_response needs family='binomial' with trials=1")
    if given["rounded_poisson_sd"] is not None and family != "poisson":
        raise ValueError("rounded_poisson_sd needs family='poisson'")


def _coefficients(values: Any, name: str) -> FloatArray:
    """One coefficient for each predictor, at least one."""
    vector = np.atleast_1d(real_array(values, name))
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise ValueError(f"{name} must be a finite number or several, one for each predictor")
    return vector


def _require_mean(mean: FloatArray, family: str, link: str) -> None:
    """Refuse means at which the family has no law, or none that can be drawn from."""
    low, high = _RANGE[family]
    bad = np.flatnonzero(~((mean >= low) & (mean <= high)))
    if bad.size:
        raise ValueError(
            f"the mean of row {bad[0]} is {mean[bad[0]]:.3g}, {family} needs {low:g} to {high:g}: change link={link!r},"
            " intercept, fixed_effects, random_effect_sd or overdispersion"
        )


def _root(distance: FloatArray, reach: float) -> FloatArray:
    """Lower Cholesky factor of the exponential correlation."""
    correlation = np.exp(-distance / reach)
    correlation[np.diag_indices_from(correlation)] += 1e-10
    return np.linalg.cholesky(correlation)


def _draw(
    rng: np.random.Generator,
    family: str,
    mean: FloatArray,
    dispersion: float,
    trials: int,
    rounded_poisson_sd: float | None,
) -> NDArray[Any]:
    if family == "gaussian":
        return rng.normal(mean, dispersion)
    if family == "binomial":
        return rng.binomial(trials, mean)
    if family == "poisson":
        if rounded_poisson_sd is None:
            return rng.poisson(mean)
        return np.maximum(np.rint(rng.normal(mean, rounded_poisson_sd)), 0).astype(int)
    if family == "nbinom2":
        return rng.poisson(rng.gamma(dispersion, mean / dispersion))
    if family == "gamma":
        return rng.gamma(1 / dispersion, mean * dispersion)
    return np.clip(rng.beta(mean * dispersion, (1 - mean) * dispersion), 1e-12, 1 - 1e-12)


def _frame(
    y: NDArray[Any],
    mean: FloatArray,
    x: FloatArray,
    group: NDArray[np.int64],
    time: NDArray[np.int64],
    place: FloatArray,
    trials: int,
    categorical_response: bool,
    missing: bool,
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {"id": np.arange(1, y.size + 1)}
    if trials > 1:
        columns |= {"successes": y, "failures": trials - y}
    elif categorical_response:
        columns["observed"] = pd.Categorical(np.where(y == 1, "yes", "no"), categories=["no", "yes"])
    else:
        columns["observed"] = y
    columns |= {f"x{j + 1}": x[:, j] for j in range(x.shape[1])}
    columns["group"] = pd.Categorical([f"g{g + 1:0{len(str(group.max() + 1))}d}" for g in group])
    columns |= {"time": time, "x": place[:, 0], "y": place[:, 1], "expected": mean}
    frame = pd.DataFrame(columns)
    if missing:
        frame.loc[0, "x1"] = np.nan
    return frame
