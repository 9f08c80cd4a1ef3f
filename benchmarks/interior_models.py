"""Random models with a maximum inside, most of the time: families, links, zero inflation, dispersion, structures.

What a model is made of is drawn independently, so that all pairs occur: the response follows its model with effects of
`g` and `h` and a slope, and the data are large enough that few parameters end at a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["random_model"]

Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


class Law(NamedTuple):
    """How responses of a family are drawn from a linear predictor and a covariate, and what else it may have."""

    draw: Draw
    left: str = "y"
    links: tuple[str | None, ...] = (None,)
    zeros: str = ""  # "inflated", or "hurdle" where zeros are no responses of the family itself
    dispersion: bool = True


def _negative_binomial(rng: np.random.Generator, mu: np.ndarray, size: Any) -> np.ndarray:
    return rng.negative_binomial(size, size / (size + mu)).astype(float)


def _positive(rng: np.random.Generator, draw: Callable[[], np.ndarray]) -> np.ndarray:
    """Draws until every row has a positive response."""
    y = draw()
    for _ in range(200):
        y = np.where(y > 0, y, draw())
    return np.maximum(y, 1.0)


def _chance(eta: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(0.6 - eta))


def _share(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    precision = 6.0 * np.exp(0.2 * x)
    p = _chance(eta)
    return np.clip(rng.beta(precision * p, precision * (1.0 - p)), 1e-4, 1.0 - 1e-4)


def _with_ends(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    latent = eta + rng.logistic(size=len(eta))
    return np.where(latent < -1.5, 0.0, np.where(latent > 3.0, 1.0, _share(rng, eta, x)))


def _compound(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.array([rng.gamma(1.5, 0.6, k).sum() for k in rng.poisson(np.exp(eta))])


_LOGITS = (None, None, "probit", "cloglog")
_TRIALS = "cbind(y, 8 - y)"
LAWS: dict[str, Law] = {
    "poisson": Law(lambda r, e, x: r.poisson(np.exp(e)).astype(float), zeros="inflated", dispersion=False),
    "nbinom2": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), 1.5 * np.exp(0.3 * x)), zeros="inflated"),
    "nbinom1": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), np.exp(e) / 1.2), zeros="inflated"),
    "nbinom12": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), np.exp(e) / (0.7 + 0.5 * np.exp(e)))),
    "genpois": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), np.exp(e) / 0.8), zeros="inflated"),
    "compois": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), np.exp(e) / 0.5)),
    "truncated_poisson": Law(
        lambda r, e, x: _positive(r, lambda: r.poisson(np.exp(e))), zeros="hurdle", dispersion=False
    ),
    "truncated_nbinom1": Law(
        lambda r, e, x: _positive(r, lambda: _negative_binomial(r, np.exp(e), np.exp(e) / 1.2)), zeros="hurdle"
    ),
    "truncated_nbinom2": Law(
        lambda r, e, x: _positive(r, lambda: _negative_binomial(r, np.exp(e), 1.5)), zeros="hurdle"
    ),
    "binomial": Law(lambda r, e, x: r.binomial(1, _chance(e)).astype(float), links=_LOGITS, dispersion=False),
    "trials": Law(lambda r, e, x: r.binomial(8, _chance(e)).astype(float), _TRIALS, _LOGITS, "inflated", False),
    "betabinomial": Law(lambda r, e, x: r.binomial(8, _share(r, e, x)).astype(float), _TRIALS, _LOGITS),
    "beta": Law(_share, links=_LOGITS),
    "ordbeta": Law(_with_ends),
    "gamma": Law(lambda r, e, x: r.gamma(2.0 * np.exp(0.3 * x), np.exp(e - 0.3 * x) / 2.0), zeros="hurdle"),
    "lognormal": Law(lambda r, e, x: np.exp(e + r.normal(0, 0.5, len(e)))),
    "gaussian": Law(lambda r, e, x: e + r.normal(0, np.exp(0.3 * x))),
    "t": Law(lambda r, e, x: e + 0.6 * r.standard_t(4, len(e))),
    "skewnormal": Law(lambda r, e, x: e + r.gamma(1.5, 0.6, len(e))),
    "tweedie": Law(_compound),
    "bell": Law(lambda r, e, x: _negative_binomial(r, np.exp(e), 2.0), dispersion=False),
}
_EFFECTS = (
    "(1|g)",
    "(1|g)",
    "(x|g)",
    "(1|g) + (1|h)",
    "(1|g) + (0 + x|g)",
    "diag(x|g)",
    "(1|g/k)",
    "(0 + f|g)",
    "diag(0 + f|g)",
    "homdiag(0 + f|g)",
    "cs(0 + f|g)",
    "homcs(0 + f|g)",
    "ar1(0 + time|g)",
    "hetar1(0 + f|g)",
    "toep(0 + f|g)",
    "ou(0 + hours|g)",
    "",
)


def random_model(rng: np.random.Generator, shift: float, unit: float) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """Formula, data and options; a generator gives the same model with covariates in any origin and unit."""
    groups, each = int(rng.integers(10, 40)), int(rng.integers(6, 16))
    n = groups * each
    g, h, k = np.repeat(np.arange(groups), each), rng.integers(0, 8, n), np.tile(np.arange(each) // 3, groups)
    x, f = rng.normal(size=n), rng.integers(0, 3, n)
    w = 0.5 * rng.normal(size=n) + 0.6 * x
    time = np.tile(np.arange(each) % 5, groups)
    eta = rng.normal(0.6, 0.4) + 0.4 * x - 0.2 * w + np.array([0.0, 0.3, -0.3])[f]
    eta += rng.normal(0, 0.6, groups)[g] + rng.normal(0, 0.3, 8)[h] + rng.normal(0, 0.3, groups)[g] * x
    eta += rng.normal(0, 0.4, (groups, 3))[g, f] + rng.normal(0, 0.3, (groups, 5))[g, time]
    eta = np.minimum(eta, 4.0)
    name = str(rng.choice(list(LAWS)))
    law = LAWS[name]
    y = law.draw(rng, eta, x)
    options: dict[str, Any] = {"family": "binomial" if name == "trials" else name}
    if rng.random() < 0.4 and law.zeros:
        options["zi"] = str(rng.choice(["~ 1", "~ x", "~ f", "~ 1 + (1|g)"]))
        rate = 1.0 / (1.0 + np.exp(1.0 - 0.8 * x - rng.normal(0, 1.0, groups)[g]))
        y = np.where(rng.random(n) < rate, 0.0, y)
    if rng.random() < 0.3 and law.dispersion:
        options["disp"] = str(rng.choice(["~ x", "~ f"]))
    if (link := rng.choice(np.array(law.links, dtype=object))) is not None:
        options["link"] = str(link)
    if name == "gaussian" and rng.random() < 0.3:
        options["reml"] = True
    effects = str(rng.choice(_EFFECTS))
    if effects == "(1|g)" and name != "gaussian" and "zi" not in options and rng.random() < 0.3:
        options["n_agq"] = 5
    fixed = str(rng.choice(["x", "x + w", "x + f", "x * f"]))
    d = pd.DataFrame({"y": y, "x": shift + unit * x, "w": 0.3 * shift + w / unit, "f": np.array(list("abc"))[f]})
    d["g"], d["h"], d["k"] = g.astype(str), h.astype(str), k.astype(str)
    d["time"], d["hours"] = np.char.add("t", time.astype(str)), time + rng.uniform(0, 0.8, n)
    return f"{law.left} ~ {fixed}" + (f" + {effects}" if effects else ""), d, options
