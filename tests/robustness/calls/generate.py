"""Calls with hostile input: residuals from simulations and fits, and a test, figure or table of them.

Every trial is drawn from its own seed. About half of the arguments are what a careful user would pass, in any of the
containers and types that arrays come in; the others are wrong, extreme or absurd.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import simresid
from glmmcore import FittedGLMM, glmm

JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 10**9, 2**63, -(2**70), 0.0, -0.0, 0.5, 1.5, np.nan, np.inf, -np.inf,
    1e-320, 1e308, 3 + 4j, "", "x", "nobody", "__class__", "a:b", "x:g", "two-sided", "greater", "less", "refits",
    "simulated", "analytic", "permutation", "sum", "mean", b"bytes", [], (), {}, set(), [[]], [None], [1, [2]],
    ["x"], ["x", "g"], ["x", "nobody"], np.array([]), np.zeros((0, 3)), np.zeros((2, 2)), np.array(5.0),
    np.array("x"), np.datetime64("NaT", "ns"), pd.NA, pd.NaT, pd.Series(dtype=float), pd.DataFrame(), slice(None),
    object(), len, np.median, np.mean, lambda *_: 1.0, lambda *_: np.nan, lambda *_: "text", lambda v: v, range(3),
    Decimal("1.5"), datetime.date(2020, 2, 29), 1 << 31, np.int8(4), np.float32(0.25), np.bool_(True),
)  # fmt: skip
EXTREME = (0.0, -0.0, 5e-324, 1e-300, 1e-160, 1e-8, 1.0, 2.0**53, 1e15, 1e100, 1.4e154, 1e160, 1e300, 1.7e308)


@dataclass
class Trial:
    """A call with no arguments, what it is in words, and what its result must equal where that is known."""

    what: str
    run: Callable[[], Any]
    truth: Callable[[Any], str | None] | None = None
    own_functions: bool = False
    untouched: list[tuple[Any, Any]] = field(default_factory=list)


def pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def junk(rng: np.random.Generator) -> Any:
    return pick(rng, JUNK)


def numbers(rng: np.random.Generator, n: int) -> np.ndarray:
    """A vector of n numbers: even, tied, skewed, constant, huge, tiny or with a few extremes."""
    kind = rng.integers(10)
    if kind < 3:
        return rng.normal(size=n)
    if kind == 3:
        return rng.integers(0, 4, n).astype(float)
    if kind == 4:
        return np.arange(n) * 1.0
    if kind == 5:
        return np.full(n, pick(rng, EXTREME))
    if kind == 6:
        with np.errstate(over="ignore"):
            return rng.normal(size=n) * pick(rng, EXTREME)
    if kind == 7:
        return np.exp(rng.normal(size=n) * pick(rng, (1, 10, 100)))
    values = rng.normal(size=n)
    extremes = EXTREME if kind == 8 else (np.nan, np.inf, -np.inf, *EXTREME)
    values[rng.integers(n, size=rng.integers(1, 4))] = pick(rng, extremes) * pick(rng, (1, -1))
    return values


def dressed(rng: np.random.Generator, values: np.ndarray) -> Any:
    """The same numbers in another container or type, where that loses nothing."""
    form = rng.integers(12)
    if form == 0:
        return values.tolist()
    if form == 1:
        return pd.Series(values)
    if form == 2:
        return values.astype(object)
    if form == 3:
        return np.repeat(values, 2)[::2]
    if form == 4:
        return values.astype(">f8")
    if form == 5:
        return pd.Series(values).astype("Float64")
    if form == 6:
        return np.ma.masked_array(values)
    if form == 7:
        frozen = values.copy()
        frozen.flags.writeable = False
        return frozen
    return values


def labels(rng: np.random.Generator, n: int) -> Any:
    """A label for each of n rows."""
    codes = rng.integers(0, int(rng.integers(1, max(2, n))), n)
    kind = rng.integers(10)
    if kind == 0:
        return codes
    if kind == 1:
        return codes.astype(float)
    if kind == 2:
        return pd.Categorical(codes, categories=np.arange(n + 2))
    if kind == 3:
        return np.where(codes > 0, "a", "a:b")
    if kind == 4:
        return [pick(rng, ("", " ", "a", "a ", "A", "nan", "None", "1", "\x00", "ä", "a\u0308", 1, 1.0, None))
                for _ in range(n)]  # fmt: skip
    if kind == 5:
        return codes == 0
    if kind == 6:
        return pd.to_datetime("2020-01-01") + pd.to_timedelta(codes, "D")
    if kind == 7:
        return pd.Series(codes).astype("Int64")
    if kind == 8:
        return list(zip(codes.tolist(), codes.tolist(), strict=True))
    return np.array([f"level {c}" for c in codes])


def moments_in_time(rng: np.random.Generator, n: int) -> Any:
    kind = rng.integers(6)
    steps = rng.integers(0, int(rng.integers(1, 3 * n)), n)
    if kind == 0:
        return pd.to_datetime("1600-01-01") + pd.to_timedelta(steps, "D")
    if kind == 1:
        return pd.period_range("2000-01", periods=n, freq="M")
    if kind == 2:
        return [datetime.date(2000, 1, 1) + datetime.timedelta(days=int(s)) for s in steps]
    if kind == 3:
        return np.array(steps, dtype="timedelta64[s]")
    if kind == 4:
        return pd.to_datetime(steps, unit="h", utc=True)
    dates = np.datetime64("2000-01-01") + steps.astype("timedelta64[D]")
    return np.where(rng.random(n) < 0.05, np.datetime64("NaT"), dates)


def square(rng: np.random.Generator, n: int) -> Any:
    """Distances or a covariance (n, n), often not quite."""
    points = numbers(rng, 2 * n).reshape(2, n)
    with np.errstate(all="ignore"):
        d = np.hypot(points[0][:, None] - points[0], points[1][:, None] - points[1])
    kind = rng.integers(8)
    if kind == 0:
        d[0, -1] += 1.0
    elif kind == 1:
        d = d[:-1]
    elif kind == 2:
        d = -d
    elif kind == 3:
        d = np.eye(n) + 0.5 * np.ones((n, n))
    elif kind == 4:
        d = pd.DataFrame(d, list(range(n)), list(range(n)))
    return d


def simulated(rng: np.random.Generator) -> tuple[Any, str]:
    """Residuals of simulations of some law, with a data frame; small, extreme, tied or of another law."""
    n, n_sims = int(pick(rng, (1, 2, 3, 5, 8, 20, 40, 60))), int(pick(rng, (2, 3, 10, 40, 100)))
    mean = pick(rng, (0.001, 0.5, 3.0, 1e4, 1e15))
    law = rng.integers(6)
    if law < 2:
        draws, y = rng.poisson(mean, (n_sims, n)).astype(float), rng.poisson(mean * pick(rng, (0.5, 1, 3)), n) * 1.0
    elif law == 2:
        draws, y = rng.integers(0, 2, (n_sims, n)) * 1.0, rng.integers(0, 2, n) * 1.0
    elif law == 3:
        unit = pick(rng, EXTREME)
        draws, y = rng.uniform(-1, 1, (n_sims, n)) * unit, rng.uniform(-1, 1, n) * unit
    elif law == 4:
        draws, y = np.full((n_sims, n), mean), np.full(n, mean)
    else:
        draws, y = rng.normal(size=(n_sims, n)), numbers(rng, n)
    if rng.random() < 0.03:
        draws = pick(rng, (draws.T, draws[:, :-1], draws[None], draws * np.nan, draws.astype(object), draws > 0))
    frame = pd.DataFrame(
        {"x": numbers(rng, n), "g": pd.Series(labels(rng, n), dtype=object), "t": np.arange(n), "y": y}
    )
    options: dict[str, Any] = {"data": frame} if rng.random() < 0.7 else {}
    if rng.random() < 0.3:
        options["method"] = pick(rng, ("pit", "traditional", "rank"))
    if rng.random() < 0.1:
        options["fitted"] = dressed(rng, numbers(rng, n))
    if rng.random() < 0.05:
        options["rotation"] = pick(rng, (square(rng, n), "estimated", "other"))
    if rng.random() < 0.05:
        options[pick(rng, ("discrete", "method", "rng", "fitted", "data", "rotation"))] = junk(rng)
    text = f"from_simulations(law {law}, n={n}, n_sims={n_sims}, {options.keys()})"
    return simresid.from_simulations(draws, dressed(rng, y), **options), text


@cache
def fits() -> list[FittedGLMM]:
    """A few fits of several kinds, quick to fit anew."""
    rng = np.random.default_rng(20261127)
    n = 48
    d = pd.DataFrame(
        {
            "y": rng.poisson(2.5, n),
            "z": rng.normal(size=n),
            "p": rng.beta(2, 3, n),
            "b": rng.integers(0, 2, n),
            "k": rng.binomial(7, 0.4, n),
            "m": 7,
            "x": rng.normal(size=n),
            "f": np.resize(["u", "v", "w"], n),
            "g": np.repeat(np.arange(8), 6),
            "h": np.tile(np.arange(6), 8),
            "t": np.tile(np.arange(6), 8),
            "e": rng.random(n),
            "a:b": rng.normal(size=n),
        },
        index=pd.Index(rng.permutation(n) + 1000),
    )
    return [
        glmm("y ~ x + (1|g)", d, "poisson"),
        glmm("y ~ x", d, "nbinom2"),
        glmm("z ~ x + f + (1|g)", d, "gaussian", reml=True),
        glmm("b ~ x + (1|g)", d, "binomial"),
        glmm("k ~ x", d, "binomial", trials="m"),
        glmm("y ~ x + (1|g)", d, "poisson", zi="~ 1"),
        glmm("z ~ f + (x|g)", d, "gaussian", disp="~ x"),
        glmm("p ~ x", d, "beta"),
        glmm("y ~ offset(x) + (1|g) + (1|h)", d, "poisson"),
        glmm("y ~ 1", d, "gaussian", freq_weights=np.resize([1, 2, 3], n)),
    ]


def fitted(rng: np.random.Generator) -> tuple[Any, str]:
    """Residuals of a fit."""
    number = int(rng.integers(len(fits())))
    fit = fits()[number]
    options: dict[str, Any] = {"n_sims": int(pick(rng, (2, 20, 100)))}
    if rng.random() < 0.5:
        options["method"] = pick(rng, ("pit", "traditional", "exact"))
    if rng.random() < 0.3:
        options["random_effects"] = pick(rng, ("unconditional", "conditional", ["g"], [], ["nobody"], "g"))
    if rng.random() < 0.1:
        options["rotation"] = pick(rng, ("estimated", square(rng, fit.nobs), np.eye(fit.nobs)))
    if rng.random() < 0.08:
        options["refit"] = True
    if rng.random() < 0.1:
        options["keep_simulations"] = pick(rng, (True, False, "auto", "x"))
    if rng.random() < 0.1:
        names = ("method", "random_effects", "rotation", "rng", "n_jobs", "block_size", "timeout", "refit", "n_sims",
                 "keep_simulations", "progress")  # fmt: skip
        options[pick(rng, names)] = junk(rng)
    slow = options.get("n_sims", 0)
    if isinstance(slow, int | float | np.number) and not isinstance(slow, bool) and slow > 1e4:
        options["n_sims"] = 20
    if isinstance(options.get("n_jobs"), int | np.integer) and abs(int(options["n_jobs"])) > 1:
        options["n_jobs"] = 1
    return simresid.simulate_residuals(fit, **options), f"simulate_residuals(fit {number}, {options})"
