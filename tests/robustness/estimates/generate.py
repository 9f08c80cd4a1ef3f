"""Questions to fits with hostile arguments: every method and every function that takes a fit, by its signature."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import glmmcore
import simresid
from glmmcore import FittedGLMM, glmm

from ..calls.generate import JUNK, Trial, pick

N = 60
CODE = "__import__('os').system('touch FLAG')"
WORDS = (
    "~1", "~x", "x", "x:f", "f:x", "g:h", "h:g", "cond", "zi", "disp", "response", "link", "conditional", "population",
    "none", "average", "pairwise", "dunnett", "sequential", "polynomial", "effect", "tukey", "holm", "mvt", "II", "III",
    "auto", "satterthwaite", "kenward-roger", "inf", "HC3", "CR1", "sandwich", "ratio", "difference", "odds_ratio",
    "equal", "proportional", "wald", "bootstrap", "prediction", "confidence", "error", "zero", "deviance", "pearson",
    "quantile", "u - v", "pairwise ~ f", "~ f | g", "np.log(z)", "I(x**2)", CODE, "(1|g)", "`my col`", "C(f)", "delta",
)  # fmt: skip
COLUMN_ARGUMENTS = frozenset(
    ("variable", "variables", "spec", "by", "effect", "predictor", "group", "term", "cluster", "weights", "trials",
     "exposure", "x", "y")
)  # fmt: skip
VALUES: dict[str, tuple[Any, ...]] = {
    "at": ({"x": 0}, {"x": [0, 1]}, {"f": "u"}, {"f": ["u", "q"]}, {"nobody": 1}, {"x": np.nan}, {"x": "a"}, {1: 2},
           {"x": []}, {"g": "a"}, {"z": -1}, {CODE: 1}),
    "values": ([0, 1], ["u", "v"], ["u", "q"], [1e308, -1e308], [0], [], [np.nan, 1], ["1", "2"], [True, False]),
    "level": (0.95, 0.05, 0, 1, 95, -0.1, np.nan, "0.95", 1e-300, 1 - 1e-16),
    "alpha": (0.05, 0.5, 0, 1, 5, -0.1, np.nan, "0.05", 1e-300, 1 - 1e-16),
    "contrasts": ("pairwise", "dunnett", "sequential", {"a": [1, -1, 0]}, {"a": [1, -1]}, {"a": [1, np.nan, 0]},
                  np.eye(3), {"a": ["x"]}, [1, -1, 0], {CODE: [1, 0, -1]}),
    "cov": ("HC0", "HC3", "CR2", np.eye(3), np.eye(2), pd.DataFrame(np.eye(2)), -np.eye(2), np.full((2, 2), np.nan)),
    "random_effects": ("conditional", "average", "none", "unconditional", ["g"], ["g:h"], ["h:g"], ["nobody"], [], "g"),
    "codes": (np.zeros(N, dtype=int), np.arange(N), np.arange(N) - 5, np.arange(5), np.full(N, 10**12)),
    "target": (0, 1, -1e300, np.nan, "a", 0.5, np.inf),
    "limits": ((0, 1), (1, 0), (-np.inf, np.inf), (0,), None, (np.nan, 1), "ab", (-1e300, 1e300)),
    **dict.fromkeys(("n_sims", "n", "groups", "cells", "digits", "n_groups", "n_agq"),
                    (1, 2, 10, 0, -1, 2.5, "10", 10**9, 10**18, [10, 20], {"g": 10}, {"nobody": 3})),
}  # fmt: skip
FUNCTIONS = (
    *(getattr(glmmcore, name) for name in glmmcore.__all__
      if name[0].islower() and name not in ("get_family", "glmm", "fit_many", "for_marginaleffects")),
    simresid.plot_predictions, simresid.plot_means, simresid.plot_field, simresid.plot_random_effects,
    simresid.plot_lift, simresid.plot_lorenz, simresid.lift_table, simresid.gini_index,
)  # fmt: skip
METHODS = tuple(
    name for name in dir(FittedGLMM) if name[0] != "_" and callable(inspect.getattr_static(FittedGLMM, name))
)


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    d = pd.DataFrame(
        {
            "x": rng.normal(size=N), "z": rng.uniform(0.5, 2, N), "g": np.repeat(list("abcdef"), 10),
            "f": np.resize(["u", "v", "w"], N), "t": np.tile(np.arange(10), 6), "u1": rng.random(N),
            "u2": rng.random(N), "tr": 5, "b": np.arange(N) % 2 == 0, "my col": rng.normal(size=N),
            "h": np.repeat(np.arange(12), 5), "w": rng.integers(1, 4, N), CODE: rng.normal(size=N),
        }
    )  # fmt: skip
    return d.assign(
        k=rng.poisson(np.exp(0.5 + 0.3 * d["x"])),
        p=rng.integers(0, 6, N),
        y=d["x"] + rng.normal(size=N) + np.repeat(rng.normal(size=6), 10),
        c=pd.Categorical(d["f"], categories=list("uvwq")),
        day=pd.Timestamp("2020-01-01") + pd.to_timedelta(d["t"], unit="D"),
    )


@cache
def fits() -> tuple[FittedGLMM, ...]:
    d = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (
            glmm("y ~ x*f + (1|g)", d),
            glmm("y ~ x + (x|g)", d, reml=True),
            glmm("y ~ x + f + C(h) + `my col`", d),
            glmm("k ~ x + z + (1|g)", d, "poisson", offset="np.log(z)"),
            glmm("k ~ f + (1|g)", d, "nbinom2", zi="~1", disp="~x"),
            glmm("p ~ poly(x,2) + f + (1|g/h)", d, "binomial", trials="tr"),
            glmm("y ~ x + ar1(t|g)", d),
            glmm("y ~ x + exp(u1+u2|1)", d),
            glmm("y ~ bs(x,df=4) + b", d, var_weights="z", freq_weights="w"),
            glmm("k ~ x + (1|g)", d, "nbinom2", fixed={"x": 0.3}),
        )


_SPOILT: tuple[Callable[[pd.DataFrame, int], Any], ...] = (
    lambda e, i: e.iloc[:0],
    lambda e, i: e.drop(columns="x"),
    lambda e, i: e.drop(columns="f"),
    lambda e, i: e.assign(x=e["x"].astype(str)),
    lambda e, i: e.assign(x=np.where(np.arange(N) == i, np.nan, e["x"])),
    lambda e, i: e.assign(f=np.where(np.arange(N) == i, "zzz", e["f"])),
    lambda e, i: e.assign(g="new"),
    lambda e, i: e.to_dict("list"),
    lambda e, i: e.assign(x=np.inf),
    lambda e, i: e.assign(x=1e300),
    lambda e, i: pd.concat([e, e[["x"]]], axis=1),
    lambda e, i: e.assign(t=e["t"] * 0.5),
    lambda e, i: e.assign(x=[[1]] * N),
    lambda e, i: e.assign(x=e["x"] + 1j),
    lambda e, i: e.assign(x=e["x"].astype(">f8")),
    lambda e, i: e.set_axis(["i"] * N, axis=0),
    lambda e, i: e.assign(tr=-1),
    lambda e, i: e.assign(x=pd.Timestamp("2020-01-01")),
)


def generate(rng: np.random.Generator) -> Trial:
    """A method or function of a fit with some of its arguments."""
    place = int(rng.integers(len(fits())))
    fit = fits()[place]
    first: list[Any] = []
    if rng.random() < 0.5:
        function = pick(rng, FUNCTIONS)
        first = [fit] * (1 if function.__name__ not in ("compare", "side_by_side") else int(rng.integers(1, 3)))
    else:
        function = getattr(fit, pick(rng, METHODS))
    given: dict[str, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[min(len(first), 1) :]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name in ("n_jobs", "ax"):
            continue
        if parameter.default is parameter.empty or rng.random() < 0.3:
            given[parameter.name] = _value(rng, parameter.name)
    if function.__name__ in ("power", "conf_int") and not isinstance(given.get("n_sims"), str):
        given["n_sims"] = 10  # more would only take longer
    shown = {name: value if not hasattr(value, "shape") else type(value).__name__ for name, value in given.items()}
    return Trial(f"fit {place}: {function.__name__}({shown!r:.400})", lambda: function(*first, **given))


def _value(rng: np.random.Generator, name: str) -> Any:
    q = rng.random()
    if q < 0.22:
        return pick(rng, JUNK)
    if name == "newdata":
        return pick(rng, _SPOILT)(table(), int(rng.integers(N))) if rng.random() < 0.7 else table()
    if name in VALUES:
        return pick(rng, VALUES[name])
    columns = list(table().columns)
    if name in COLUMN_ARGUMENTS and q < 0.8:
        form = rng.integers(4)
        if form == 0:
            return [pick(rng, columns) for _ in range(int(rng.integers(1, 4)))]
        return table()[pick(rng, columns)] if form == 1 else pick(rng, columns)
    return pick(rng, WORDS)
