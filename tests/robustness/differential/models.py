"""Random models with data, written for both fitters: families, links, structures, zero inflation and dispersion parts.

A third of all models have random effects, zero inflation or overdispersion that the data do not need, since optima at
the edge are where fitters go wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["Model", "draw_model"]


class Law(NamedTuple):
    """A family: its links, its constructor in R's glmmTMB and what kind of response it takes."""

    links: tuple[str, ...]
    in_r: str
    response: str
    dispersion: bool = True


LAWS: dict[str, Law] = {
    "gaussian": Law(("identity", "identity", "log", "inverse"), "gaussian", "real"),
    "t": Law(("identity",), "t_family", "real"),
    "poisson": Law(("log", "log", "sqrt", "identity"), "poisson", "count", dispersion=False),
    "nbinom1": Law(("log", "log", "sqrt"), "nbinom1", "count"),
    "nbinom2": Law(("log", "log", "sqrt", "identity"), "nbinom2", "count"),
    "genpois": Law(("log",), "genpois", "count"),
    "compois": Law(("log",), "compois", "count"),
    "truncated_poisson": Law(("log",), "truncated_poisson", "positive count", dispersion=False),
    "truncated_nbinom1": Law(("log",), "truncated_nbinom1", "positive count"),
    "truncated_nbinom2": Law(("log",), "truncated_nbinom2", "positive count"),
    "binomial": Law(("logit", "logit", "probit", "cloglog"), "binomial", "binary", dispersion=False),
    "betabinomial": Law(("logit", "logit", "probit", "cloglog"), "betabinomial", "k of n"),
    "beta": Law(("logit", "logit", "probit", "cloglog"), "beta_family", "proportion"),
    "ordbeta": Law(("logit",), "ordbeta", "closed proportion"),
    "gamma": Law(("log", "log", "inverse"), "Gamma", "positive"),
    "tweedie": Law(("log",), "tweedie", "nonnegative"),
}
RANDOM_PARTS = (
    "",
    " + (1|g)",
    " + (1|g)",
    " + (1|g)",
    " + (x|g)",
    " + (x|g)",
    " + (1|g) + (1|h)",
    " + (1|g/k)",
    " + diag(x|g)",
    " + diag(0 + f|g)",
    " + (0 + f|g)",
    " + cs(0 + f|g)",
    " + ar1(0 + time|g)",
)
FIXED_PARTS = ("1", "x", "x", "x + f", "x * f", "0 + x:f")
MEAN_RANGE = {"inverse": (0.15, 3.0), "identity": (0.5, 40.0), "sqrt": (0.1, 6.0)}


@dataclass(frozen=True)
class Model:
    """One model with its data.

    Attributes
    ----------
    name : str
        ``seed-index``, from which it can be drawn again.
    family, link, formula : str
    in_r : str
        Family with link, as an expression of R.
    zi, disp : str or None
        One-sided formulas.
    reml : bool
    data : pandas.DataFrame
    """

    name: str
    family: str
    link: str
    formula: str
    in_r: str
    zi: str | None
    disp: str | None
    reml: bool
    data: pd.DataFrame

    def __str__(self) -> str:
        parts = [f"{self.family}/{self.link} {self.formula}"]
        parts += [f"zi {self.zi}"] * bool(self.zi) + [f"disp {self.disp}"] * bool(self.disp) + ["REML"] * self.reml
        return ", ".join(parts)


def draw_model(seed: int, index: int, family: str | None = None) -> Model:
    """The model of this number, of any family or of the one that is named."""
    rng = np.random.default_rng([seed, index])
    name = str(rng.choice(list(LAWS)))
    name = family or name
    law = LAWS[name]
    link = str(rng.choice(law.links))
    data = _design(rng)
    fixed, random = str(rng.choice(FIXED_PARTS)), str(rng.choice(RANDOM_PARTS))
    if link in ("inverse", "identity") and name != "gaussian":
        # slopes that leave the range of the mean have no likelihood in either fitter
        random = (
            random.replace("(x|g)", "(1|g)").replace("(0 + f|g)", "(1|g)").replace("diag(1", "(1").replace("cs(1", "(1")
        )
    counts = law.response in ("count", "positive count", "k of n")
    zi = str(rng.choice(["~1", "~x", "~1 + (1|g)"])) if counts and rng.random() < 0.25 else None
    disp = str(rng.choice(["~x", "~f"])) if law.dispersion and name != "t" and rng.random() < 0.25 else None
    reml = name == "gaussian" and link == "identity" and rng.random() < 0.3
    _add_response(data, rng, law.response, link, random, zi is not None)
    left = "cbind(k_of, n_of - k_of)" if law.response == "k of n" else "y"
    return Model(
        f"{seed}-{index}", name, link, f"{left} ~ {fixed}{random}", f"{law.in_r}(link = '{link}')", zi, disp, reml, data
    )


def _design(rng: np.random.Generator) -> pd.DataFrame:
    """Groups `g` with 4 to 12 rows, `k` inside `g`, `h` across, a covariate, a factor, and a time within groups."""
    n_groups, size = int(rng.integers(6, 25)), int(rng.integers(4, 13))
    n = n_groups * size
    g = np.repeat(np.arange(n_groups), size)
    k = np.tile(np.arange(size) % 3, n_groups)
    time = np.tile(np.arange(size) % 5, n_groups)
    return pd.DataFrame(
        {
            "g": np.char.add("g", g.astype(str)),
            "k": np.char.add("k", k.astype(str)),
            "h": np.char.add("h", rng.integers(0, max(4, n // 15), n).astype(str)),
            "f": np.array(list("abc"))[rng.permutation(np.arange(n) % 3)],
            "time": np.char.add("t", time.astype(str)),
            "x": rng.normal(size=n) * rng.choice([0.3, 1.0, 2.0]) + rng.choice([0.0, 2.0]),
        }
    )


def _add_response(data: pd.DataFrame, rng: np.random.Generator, kind: str, link: str, random: str, zeros: bool) -> None:
    n = len(data)
    level = (
        rng.choice([-0.5, 0.5, 1.5]) if kind in ("count", "positive count", "real", "positive", "nonnegative") else 0.2
    )
    eta = level + rng.choice([0.0, 0.2, 0.4]) * data["x"].to_numpy()
    eta = eta + rng.choice([0.0, 0.0, 0.4]) * (data["f"] == "b").to_numpy()
    if random:
        spread = rng.choice([0.0, 0.2, 0.6])
        levels, codes = np.unique(data["g"], return_inverse=True)
        eta = eta + spread * rng.normal(size=levels.size)[codes]
        if "x" in random or "f|" in random:
            eta = eta + 0.5 * spread * rng.normal(size=levels.size)[codes] * data["x"].to_numpy()
        if "h" in random or "k" in random or "time" in random:
            eta = eta + rng.choice([0.0, 0.4]) * rng.normal(size=n // 4 + 1)[np.arange(n) // 4]
    eta = np.clip(eta, -3.0, 4.0)
    mu = np.exp(eta)
    if link in MEAN_RANGE:
        mu = np.clip(mu, *MEAN_RANGE[link])
    extra = rng.choice([0.0, 0.0, 0.5, 2.0])
    p = 1.0 / (1.0 + np.exp(-np.clip(eta, -3.0, 3.0)))
    if kind == "real":
        noise = rng.normal(size=n) if extra < 1.0 else rng.standard_t(4, size=n)
        data["y"] = (eta if link == "identity" else mu) + rng.choice([0.1, 0.5, 1.0]) * noise
        if link != "identity":
            data["y"] = np.maximum(data["y"], 0.02)
        return
    if kind in ("count", "positive count"):
        rate = mu * rng.gamma(1.0 / extra, extra, n) if extra else mu
        y = rng.poisson(rate)
        y = np.maximum(y, 1) if kind == "positive count" else y
        data["y"] = np.where(rng.random(n) < 0.25, 0, y) if zeros else y
    elif kind == "binary":
        data["y"] = rng.binomial(1, p)
    elif kind == "k of n":
        chance = rng.beta(p * 4.0 / extra, (1.0 - p) * 4.0 / extra) if extra else p
        data["n_of"] = rng.integers(1, 13, n)
        data["k_of"] = rng.binomial(data["n_of"], chance)
    elif kind in ("proportion", "closed proportion"):
        y = np.clip(rng.beta(4.0 * p, 4.0 * (1.0 - p)), 1e-4, 1.0 - 1e-4)
        if kind == "closed proportion":
            y = np.where(y < 0.1, 0.0, np.where(y > 0.93, 1.0, y))
        data["y"] = y
    elif kind == "positive":
        data["y"] = np.maximum(mu * rng.gamma(3.0, 1.0 / 3.0, n), 1e-6)
    else:
        jumps = rng.poisson(mu)
        data["y"] = np.where(jumps > 0, rng.gamma(2.0 * np.maximum(jumps, 1)), 0.0)
