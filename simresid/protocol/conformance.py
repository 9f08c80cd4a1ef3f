"""Does a model keep the promises of `simresid.protocol`? For authors of models and adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.protocol import (
    CanRefit,
    FittedModel,
    HasCdf,
    HasData,
    HasDiscreteness,
    HasEffectiveDf,
    HasExpectedVariance,
    HasGroupLeverage,
    HasLeverage,
    HasPearson,
    HasPopulationMean,
    HasResidualDf,
    HasTrials,
    HasVariance,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray


__all__ = ["ConformanceReport", "check_fitted_model"]

FALSE_ALARM = 1e-4
"""Chance that one comparison with simulations fails for a correct model, over all of its rows."""


@dataclass
class ConformanceReport:
    """What was checked, and which optional capabilities the model does not offer.

    Attributes
    ----------
    passed : list of str
    absent : list of str
    """

    passed: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.passed)} checks passed: {', '.join(self.passed)}"
        return text + (f"; not offered: {', '.join(self.absent)}" if self.absent else "")


def check_fitted_model(model: Any, *, n_sims: int = 500, rng: int = 1, refit_rtol: float = 1e-4) -> ConformanceReport:
    """Check that `model` fulfils `simresid.FittedModel` and whatever optional protocol it offers.

    Statements about laws are checked by simulation: means, variances and distribution functions of the model
    against `n_sims` of its own draws, row by row, with thresholds that account for the number of rows. A mean
    on the wrong scale (a proportion beside counts, a population mean beside conditional simulations) does not
    pass.

    Parameters
    ----------
    model : object
        The model to check, adapted or your own.
    n_sims : int
        Simulations to compare with.
    rng : int
        Seed.
    refit_rtol : float
        Relative tolerance (of the spread of the fitted means) within which a refit to the observed response
        must reproduce them; a fit repeated from another start agrees only as far as its optimiser went.

    Returns
    -------
    ConformanceReport
        What was checked; prints as a list.

    Raises
    ------
    AssertionError
        Naming the first promise that is broken.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import check_fitted_model
    >>> class Dice:
    ...     observed, fitted, nobs = np.array([1.0, 6.0]), np.array([3.5, 3.5]), 2
    ...     def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
    ...         return np.random.default_rng(rng).integers(1, 7, size=(n_sims, 2))
    >>> print(check_fitted_model(Dice()))  # doctest: +ELLIPSIS
    7 checks passed: ...
    """
    report = ConformanceReport()
    _require(isinstance(model, FittedModel), "observed, fitted, nobs and simulate() must exist")
    observed = _vector(model.observed, "observed")
    n = observed.size
    _require(int(model.nobs) == n, f"nobs is {model.nobs} but observed has {n} values")
    fitted = _vector(model.fitted, "fitted", n)
    report.passed += ["observed", "fitted"]
    simulated = _check_simulate(model, n, n_sims, rng, report)
    _check_mean(simulated, fitted, "fitted")
    report.passed.append("mean of conditional simulations")
    for name, protocol, check in _OPTIONAL:
        if isinstance(model, protocol):
            check(model, simulated, rng)
            report.passed.append(name)
        else:
            report.absent.append(name)
    if isinstance(model, CanRefit):
        _check_refit(model, observed, fitted, refit_rtol)
        report.passed.append("refit")
    else:
        report.absent.append("refit")
    return report


def _check_simulate(model: FittedModel, n: int, n_sims: int, rng: int, report: ConformanceReport) -> FloatArray:
    def draw(seed: int, size: int, random_effects: Any = "conditional") -> NDArray[Any]:
        drawn = np.asarray(model.simulate(size, rng=np.random.default_rng(seed), random_effects=random_effects))
        _require(
            drawn.shape == (size, n),
            f"simulate({size}, random_effects={random_effects!r}) has shape {drawn.shape}, expected {(size, n)}",
        )
        _require(drawn.dtype.kind in "biuf", f"simulate() has dtype {drawn.dtype}, expected numbers")
        bad = np.unique(np.nonzero(~np.isfinite(drawn))[1])
        _require(bad.size == 0, f"simulate() has NaN or infinite values at row position(s) {bad[:10].tolist()}")
        return drawn

    draw(rng, 1)
    report.passed.append("shape of simulations")
    with _untouched_global_stream():
        first = draw(rng, 3)
    _require(np.array_equal(first, draw(rng, 3)), "simulate() gives other draws for the same rng")
    report.passed.append("same rng, same draws")
    _require(not np.array_equal(first, draw(rng + 1, 3)), "simulate() gives the same draws for different rng")
    shared = np.random.default_rng(rng)
    a, b = (np.asarray(model.simulate(3, rng=shared)) for _ in range(2))
    _require(not np.array_equal(a, b), "simulate() copies the Generator it is given instead of drawing from it")
    _require(
        not np.array_equal(first[0], first[1]) or not np.array_equal(first[1], first[2]),
        "simulate() repeats one replicate",
    )
    report.passed.append("other rng, other draws")
    draw(rng, 2, "unconditional")
    report.passed.append("unconditional simulations")
    return draw(rng + 2, n_sims).astype(np.float64)


def _check_mean(simulated: FloatArray, mean: FloatArray, what: str) -> None:
    """Compare means within a bound that holds for skewed laws as well (empirical Bernstein)."""
    n_sims, n = simulated.shape
    error = np.abs(simulated.mean(axis=0) - mean)
    bound = _bernstein(simulated, mean, n)
    _require_rows(error <= bound, error / np.maximum(bound, 1e-300), f"the mean of the simulations is not {what}")
    # A small error common to all rows, or proportional to the mean, is invisible row by row.
    for name, weights in (("total", np.ones(n)), ("slope", mean - mean.mean())):
        values = simulated @ weights
        own = mean @ weights
        standard_error = max(values.std(ddof=1) / np.sqrt(n_sims), 1e-10 * (1.0 + abs(own)))
        z = (values.mean() - own) / standard_error
        _require(abs(z) < 5.0, f"the simulations are {z:+.1f} standard errors off {what} in {name}")


def _bernstein(simulated: FloatArray, mean: FloatArray, n: int) -> FloatArray:
    """Largest plausible ``|simulated mean - mean|`` per row, at `FALSE_ALARM` over all rows.

    Normal limit plus a term for rare large values, ``sqrt(2 v L / M) + 3 R L / M`` with ``L = log(3 /
    alpha)`` and `R` the largest deviation seen (Audibert, Munos & Szepesvári 2009); when a rare value never
    occurred in M draws, its mean can be anything up to about ``L / M`` units.
    """
    m = simulated.shape[0]
    log_term = np.log(3.0 * n / FALSE_ALARM)
    spread = np.maximum(np.abs(simulated - mean).max(axis=0), _unit(simulated))
    return np.asarray(np.sqrt(2.0 * simulated.var(axis=0) * log_term / m) + 3.0 * spread * log_term / m)


def _unit(simulated: FloatArray) -> float:
    return 1.0 if np.array_equal(simulated, np.rint(simulated)) else 1e-8 * (1.0 + float(np.abs(simulated).max()))


def _check_variance(model: HasVariance, simulated: FloatArray, rng: int) -> None:
    n_sims, n = simulated.shape
    variance = _vector(model.variance(), "variance()", n)
    _require(bool((variance > 0).all()), "variance() must be positive")
    # Rows are standardised and pooled: a single row of a rare event says nothing about its variance.
    squared = (simulated - simulated.mean(axis=0)) ** 2 / variance * (n_sims / (n_sims - 1.0))
    per_replicate = squared.mean(axis=1)
    z = (per_replicate.mean() - 1.0) / (per_replicate.std(ddof=1) / np.sqrt(n_sims))
    _require(
        abs(z) < 5.0,
        f"the simulations vary {per_replicate.mean():.4g} times as much as variance() says ({z:+.1f} standard errors)",
    )


def _check_cdf(model: HasCdf, simulated: FloatArray, rng: int) -> None:
    n_sims, n = simulated.shape
    lower, upper = (_vector(side, "cdf()", n) for side in model.cdf())
    inside = (lower >= 0) & (lower <= upper) & (upper <= 1)
    _require(bool(inside.all()), "cdf() must satisfy 0 <= P(Y < y) <= P(Y <= y) <= 1")
    # Randomised at draws of the model itself, the cdf must be uniform, in every part of its range.
    generator = np.random.default_rng(rng + 3)
    replicates = min(n_sims, max(2, 20_000 // n))
    u = np.empty((replicates, n))
    for row, y in zip(u, simulated, strict=False):
        low, up = (np.asarray(side, dtype=np.float64) for side in model.cdf(y))
        row[:] = low + generator.random(n) * (up - low)
    for decile in range(10):
        share = ((u >= decile / 10) & (u < (decile + 1) / 10)).mean(axis=1)
        # Rows of one replicate may depend on each other, replicates do not.
        standard_error = max(share.std(ddof=1), np.sqrt(0.09 / n)) / np.sqrt(replicates)
        z = (share.mean() - 0.1) / standard_error
        _require(
            bool(abs(z) < 5.0),
            f"cdf() of the model's own simulations is not uniform: {share.mean():.4f} of the values lie "
            f"between {decile / 10} and {(decile + 1) / 10} ({z:+.1f} standard errors)",
        )


def _check_pearson(model: HasPearson, simulated: FloatArray, rng: int) -> None:
    pearson = _vector(model.resid_pearson, "resid_pearson", simulated.shape[1])
    assert isinstance(model, FittedModel)
    raw = np.asarray(model.observed, float) - np.asarray(model.fitted, float)
    clear = np.abs(raw) > 1e-8 * (1.0 + np.abs(raw).max())
    agree = np.sign(pearson[clear]) == np.sign(raw[clear])
    _require(bool(agree.all()), "resid_pearson has another sign than observed - fitted")
    if isinstance(model, HasVariance):
        expected = raw / np.sqrt(np.asarray(model.variance(), float))
        _require(
            bool(np.allclose(pearson, expected, rtol=1e-6, atol=1e-8)),
            "resid_pearson is not (observed - fitted) / sqrt(variance())",
        )


def _check_population_mean(model: HasPopulationMean, simulated: FloatArray, rng: int) -> None:
    assert isinstance(model, FittedModel)
    n = simulated.shape[1]
    mean = _vector(model.population_mean(), "population_mean()", n)
    drawn = np.asarray(
        model.simulate(simulated.shape[0], rng=np.random.default_rng(rng + 4), random_effects="unconditional"),
        dtype=np.float64,
    )
    _check_mean(drawn, mean, "population_mean()")


def _check_data(model: HasData, simulated: FloatArray, rng: int) -> None:
    if model.data is not None:
        n = simulated.shape[1]
        _require(len(model.data) == n, f"data has {len(model.data)} rows but the response has {n} values")


def _check_trials(model: HasTrials, simulated: FloatArray, rng: int) -> None:
    if model.trials is None:
        return
    n = simulated.shape[1]
    trials = _vector(model.trials, "trials", n)
    assert isinstance(model, FittedModel)
    within = (np.asarray(model.observed) <= trials).all() and (simulated <= trials).all()
    _require(bool(within), "responses exceed trials")
    counts = np.array_equal(model.observed, np.rint(model.observed))
    _require(counts, "observed holds proportions although trials are given; it must hold counts")


def _check_discrete(model: HasDiscreteness, simulated: FloatArray, rng: int) -> None:
    if model.discrete:
        _require(np.array_equal(simulated, np.rint(simulated)), "discrete is True but simulations are not whole")


def _check_edf(model: HasEffectiveDf, simulated: FloatArray, rng: int) -> None:
    if model.edf is not None:
        _require(bool(np.isfinite(model.edf) and model.edf >= 0), f"edf is {model.edf}")


def _check_df_resid(model: HasResidualDf, simulated: FloatArray, rng: int) -> None:
    _require(model.df_resid is None or bool(np.isfinite(model.df_resid)), f"df_resid is {model.df_resid}")


def _check_leverage(model: HasLeverage, simulated: FloatArray, rng: int) -> None:
    leverage = _vector(model.leverage, "leverage", simulated.shape[1])
    fine = (leverage >= -1e-8) & (leverage <= 1 + 1e-8)
    _require_rows(fine, np.abs(leverage - 0.5), "leverage is not within [0, 1]")


def _check_group_leverage(model: HasGroupLeverage, simulated: FloatArray, rng: int) -> None:
    n = simulated.shape[1]
    codes = np.arange(n) // 2
    of_groups = _vector(model.group_leverage(codes), "group_leverage(codes)", int(codes.max()) + 1)
    fine = (of_groups >= -1e-8) & (of_groups <= 1 + 1e-8)
    _require_rows(fine, np.abs(of_groups - 0.5), "group_leverage(codes) is not within [0, 1]")


def _check_expected_variance(model: HasExpectedVariance, simulated: FloatArray, rng: int) -> None:
    variance = _vector(model.expected_variance(), "expected_variance()", simulated.shape[1])
    _require(bool((variance > 0).all()), "expected_variance() must be positive")


_OPTIONAL: tuple[tuple[str, type, Callable[[Any, FloatArray, int], None]], ...] = (
    ("cdf", HasCdf, _check_cdf),
    ("variance", HasVariance, _check_variance),
    ("resid_pearson", HasPearson, _check_pearson),
    ("population_mean", HasPopulationMean, _check_population_mean),
    ("data", HasData, _check_data),
    ("trials", HasTrials, _check_trials),
    ("discrete", HasDiscreteness, _check_discrete),
    ("edf", HasEffectiveDf, _check_edf),
    ("df_resid", HasResidualDf, _check_df_resid),
    ("leverage", HasLeverage, _check_leverage),
    ("group_leverage", HasGroupLeverage, _check_group_leverage),
    ("expected_variance", HasExpectedVariance, _check_expected_variance),
)


def _check_refit(model: Any, observed: FloatArray, fitted: FloatArray, rtol: float) -> None:
    again = model.refit(observed.copy())
    _require(isinstance(again, FittedModel), "refit() must return a FittedModel")
    _require(np.array_equal(again.observed, observed), "refit(y).observed is not y")
    means = _vector(again.fitted, "refit(observed).fitted", observed.size)
    scale = float(np.abs(fitted).max())
    off = float(np.abs(means - fitted).max())
    _require(off <= rtol * scale, f"refit(observed) moves the fitted means by up to {off:.3g}")
    drawn = np.asarray(model.simulate(1, rng=np.random.default_rng(7)))[0].astype(np.float64)
    other = model.refit(drawn)
    _require(np.array_equal(model.observed, observed), "refit() changed the model it was called on")
    _require(np.array_equal(other.observed, drawn), "refit(y).observed is not y")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _require_rows(fine: NDArray[np.bool_], badness: FloatArray, message: str) -> None:
    bad = np.flatnonzero(~fine)
    if bad.size:
        worst = bad[np.argsort(-badness[bad])][:5]
        raise AssertionError(f"{message}, at {bad.size} of {fine.size} rows; worst at row position(s) {worst.tolist()}")


def _vector(values: Any, what: str, n: int | None = None) -> FloatArray:
    vector = np.asarray(values)
    _require(vector.ndim == 1, f"{what} must be a vector, got shape {vector.shape}")
    _require(vector.dtype.kind in "biuf", f"{what} must hold numbers, got dtype {vector.dtype}")
    _require(n is None or vector.size == n, f"{what} has {vector.size} values, expected {n}")
    vector = vector.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(vector))
    _require(bad.size == 0, f"{what} is NaN or infinite at row position(s) {bad[:10].tolist()}")
    return vector


@contextmanager
def _untouched_global_stream() -> Iterator[None]:
    before = np.random.get_state()  # noqa: NPY002 - the point is that nobody else touches it
    yield
    after = np.random.get_state()  # noqa: NPY002
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    _require(same, "simulate() draws from numpy's global random stream; use rng")
