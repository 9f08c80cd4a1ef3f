"""Data of simple laws, and the models that have one parameter too many for them: families and structures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["KINDS", "Kind", "plain_data"]

GROUPS, EACH = 30, 10

Model = tuple[str, dict[str, Any]]


class Kind(NamedTuple):
    """A model, the simpler one that it may become, and parts of the sentences that may tell so.

    A structure whose covariance loses rank without becoming a simpler formula is at another limit: its sentences are
    not among `told`, and it counts as inside.
    """

    rich: Model
    simple: Model
    told: tuple[str, ...]

    @property
    def at_infinity(self) -> bool:
        """Whether the limit is at infinity; a variance of zero is not, but a correlation of one is."""
        return not all(words in _TIMES or words.endswith(_ZERO) for words in self.told)


def plain_data(rng: np.random.Generator) -> pd.DataFrame:
    """Responses of simple laws with one random intercept; `calm` groups have no variance between them."""
    g = np.repeat(np.arange(GROUPS), EACH)
    n = len(g)
    x, t = rng.normal(size=n), np.tile(np.arange(5), n // 5)
    f = rng.integers(0, 3, n)
    eta = 0.7 + 0.3 * x + np.array([0.0, 0.2, -0.2])[f] + rng.normal(0, 0.5, GROUPS)[g]
    mu, k = np.exp(eta), rng.binomial(6, 1.0 / (1.0 + np.exp(-eta)))
    counts = rng.poisson(mu)
    positive = 1 + rng.poisson(0.3 * mu)
    truncated = np.where(counts > 0, counts, positive)
    d = pd.DataFrame(
        {
            "x": x, "g": g.astype(str), "t": [f"t{i}" for i in t], "f": np.array(list("abc"))[f],
            "calm": rng.integers(0, 12, n).astype(str), "y": counts, "k": k, "m": 6 - k, "least": truncated,
            "hurdle": np.where(rng.random(n) < 0.3, 0, truncated),
            "share": np.clip(1.0 / (1.0 + np.exp(-eta - rng.normal(0, 0.4, n))), 0.01, 0.99),
            "size": np.exp(eta + rng.normal(0, 0.3, n)),
            "even": eta + rng.uniform(-1.0, 1.0, n),
            "real": eta + rng.normal(0, 0.5, n),
        }
    )  # fmt: skip
    place = d["calm"].astype(int)
    return d.assign(
        east=place % 4,
        north=place // 4,
        when=t,
        one=1,
        binary=rng.binomial(1, 1.0 / (1.0 + np.exp(0.7 - eta))),
        geometric=rng.geometric(1.0 / (1.0 + mu)) - 1,
        # more zeros and larger counts than the geometric law has
        wilder=rng.negative_binomial(0.6, 0.6 / (0.6 + mu)),
        events=np.where(counts > 0, rng.gamma(3.0 * np.maximum(counts, 1)), 0.0),
        few=rng.poisson(np.exp(0.5 + 0.3 * x + np.array([0.0, 0.2, -0.2])[f])),
    )


def _on(left: str, right: str = "x + f + (1|g)", **options: Any) -> Model:
    return f"{left} ~ {right}", options


_POISSON, _BINOMIAL = _on("y", family="poisson"), _on("cbind(k, m)", family="binomial")
_FEW = ("few", "x + f")
_TRUNCATED = _on("least", family="truncated_poisson")
_DISP, _ZI = "(disp) is at its limit", "(zi)"
_ZERO = "is estimated as zero"
_CALM, _SLOPE = f"by calm {_ZERO}", f"variance of x by g {_ZERO}"
_TIMES = ("Singular fit",)


def _term(right: str, *told: str, left: str = "y", **options: Any) -> Kind:
    """A random term of no variance beside the random intercepts."""
    options = options or {"family": "poisson"}
    return Kind(_on(left, f"x + f + (1|g) + {right}", **options), _on(left, **options), told or (_CALM,))


KINDS: dict[str, Kind] = {
    # dispersion
    "nbinom2": Kind(_on("y", family="nbinom2"), _POISSON, (_DISP,)),
    "nbinom1": Kind(_on("y", family="nbinom1"), _POISSON, (_DISP,)),
    "nbinom12": Kind(_on("y", family="nbinom12"), _POISSON, (_DISP, "log_kappa is at its limit")),
    "nbinom2, disp ~ x": Kind(_on("y", family="nbinom2", disp="~ x"), _POISSON, (_DISP,)),
    "nbinom2, disp ~ f": Kind(_on("y", family="nbinom2", disp="~ f"), _POISSON, (_DISP,)),
    "nbinom2 sqrt": Kind(_on("y", family="nbinom2", link="sqrt"), _on("y", family="poisson", link="sqrt"), (_DISP,)),
    "nbinom2 without groups": Kind(_on(*_FEW, family="nbinom2"), _on(*_FEW, family="poisson"), (_DISP,)),
    "nbinom2 REML": Kind(_on("y", family="nbinom2", reml=True), _on("y", family="poisson", reml=True), (_DISP,)),
    "nbinom2, 5 points": Kind(_on("y", family="nbinom2", n_agq=5), _on("y", family="poisson", n_agq=5), (_DISP,)),
    "betabinomial": Kind(_on("cbind(k, m)", family="betabinomial"), _BINOMIAL, (_DISP,)),
    "betabinomial probit": Kind(
        _on("cbind(k, m)", family="betabinomial", link="probit"),
        _on("cbind(k, m)", family="binomial", link="probit"), (_DISP,),
    ),
    "betabinomial, disp ~ x": Kind(_on("cbind(k, m)", family="betabinomial", disp="~ x"), _BINOMIAL, (_DISP,)),
    "compois, geometric": Kind(
        _on("geometric", family="compois"), _on("geometric", family="nbinom2", fixed={"sigma": 1.0}), (_DISP,)
    ),
    "compois, beyond geometric": Kind(
        _on("wilder", "x + f", family="compois"),
        _on("wilder", "x + f", family="nbinom2", fixed={"sigma": 1.0}), (_DISP,),
    ),
    "genpois": Kind(_on("y", family="genpois"), _POISSON, (_DISP,)),
    "truncated nbinom2": Kind(_on("least", family="truncated_nbinom2"), _TRUNCATED, (_DISP,)),
    "truncated nbinom1": Kind(_on("least", family="truncated_nbinom1"), _TRUNCATED, (_DISP,)),
    "hurdle nbinom2": Kind(
        _on("hurdle", family="truncated_nbinom2", zi="~ x"),
        _on("hurdle", family="truncated_poisson", zi="~ x"), (_DISP,),
    ),
    "hurdle nbinom1": Kind(
        _on("hurdle", family="truncated_nbinom1", zi="~ 1"),
        _on("hurdle", family="truncated_poisson", zi="~ 1"), (_DISP,),
    ),
    # shape
    "t": Kind(_on("even", family="t"), _on("even", family="gaussian", disp="~ 1"), ("df is at its limit",)),
    "skewnormal": Kind(
        _on("real", family="skewnormal"), _on("real", family="gaussian", disp="~ 1"), ("is at its limit",)
    ),
    "ordbeta": Kind(_on("share", family="ordbeta"), _on("share", family="beta"), ("is at its limit",)),
    # zero inflation
    "zi poisson": Kind(_on("y", family="poisson", zi="~ 1"), _POISSON, (_ZI,)),
    "zi ~ x poisson": Kind(_on("y", family="poisson", zi="~ x"), _POISSON, (_ZI,)),
    "zi ~ f poisson": Kind(_on("y", family="poisson", zi="~ f"), _POISSON, (_ZI,)),
    "zi ~ (1|g) poisson": Kind(_on("y", family="poisson", zi="~ (1|g)"), _POISSON, (_ZI, f"by g {_ZERO}")),
    "zi nbinom2": Kind(_on("y", family="nbinom2", zi="~ 1"), _POISSON, (_ZI, _DISP)),
    "zi nbinom1": Kind(_on("y", family="nbinom1", zi="~ 1"), _POISSON, (_ZI, _DISP)),
    "zi ~ x nbinom2": Kind(_on("y", family="nbinom2", zi="~ x"), _POISSON, (_ZI, _DISP)),
    "zi genpois": Kind(_on("y", family="genpois", zi="~ 1"), _on("y", family="genpois"), (_ZI, _DISP)),
    "zi compois": Kind(_on(*_FEW, family="compois", zi="~ 1"), _on(*_FEW, family="compois"), (_ZI,)),
    "zi binomial": Kind(_on("cbind(k, m)", family="binomial", zi="~ 1"), _BINOMIAL, (_ZI,)),
    "zi betabinomial": Kind(_on("cbind(k, m)", family="betabinomial", zi="~ 1"), _BINOMIAL, (_ZI, _DISP)),
    "zi gamma": Kind(_on("size", family="gamma", zi="~ 1"), _on("size", family="gamma"), (_ZI,)),
    "zi ~ x + f gamma": Kind(_on("size", family="gamma", zi="~ x + f"), _on("size", family="gamma"), (_ZI,)),
    "zi lognormal": Kind(_on("size", family="lognormal", zi="~ 1"), _on("size", family="lognormal"), (_ZI,)),
    "zi beta": Kind(_on("share", family="beta", zi="~ x"), _on("share", family="beta"), (_ZI,)),
    "zi tweedie": Kind(_on("events", family="tweedie", zi="~ 1"), _on("events", family="tweedie"), (_ZI,)),
    "hurdle without zeros": Kind(_on("least", family="truncated_poisson", zi="~ x"), _TRUNCATED, (_ZI,)),
    # structures
    "SD of zero": Kind(_on("y", "x + f + (1|calm)", family="poisson"), _on("y", "x + f", family="poisson"), (_CALM,)),
    "SD of zero, 0/1": _term("(1|calm)", left="binary", family="binomial"),
    "SD of zero, nbinom2": _term("(1|calm)", _CALM, _DISP, family="nbinom2"),
    "SD of zero, gamma": _term("(1|calm)", left="size", family="gamma"),
    "SD of zero, beta": _term("(1|calm)", left="share", family="beta"),
    "SD of zero, gaussian": Kind(_on("real", "x + f + (1|g) + (1|calm)"), _on("real"), (_CALM,)),
    "SD of zero, gaussian REML": Kind(
        _on("real", "x + f + (1|g) + (1|calm)", reml=True), _on("real", reml=True), (_CALM,)
    ),
    "SD of zero, gaussian disp ~ x": _term("(1|calm)", left="real", family="gaussian", disp="~ x"),
    "SD of zero beside another": _term("(1|calm)"),
    "nested SD of zero": _term("(1|g:calm)", f"by g:calm {_ZERO}"),
    "us slope": Kind(_on("y", "x + f + (x|g)", family="poisson"), _POISSON, (_SLOPE,)),
    "diag slope": Kind(_on("y", "x + f + diag(x|g)", family="poisson"), _POISSON, (_SLOPE,)),
    "cs slope": Kind(_on("y", "x + f + cs(x|g)", family="poisson"), _POISSON, (_SLOPE,)),
    "gaussian us slope": Kind(_on("real", "x + f + (x|g)"), _on("real"), (_SLOPE,)),
    "gaussian cs slope": Kind(_on("real", "x + f + cs(x|g)"), _on("real"), (_SLOPE,)),
    "gaussian REML us slope": Kind(_on("real", "x + f + (x|g)", reml=True), _on("real", reml=True), (_SLOPE,)),
    "us levels": _term("(0 + f|calm)"),
    "diag levels": _term("diag(0 + f|calm)"),
    "cs levels": _term("cs(0 + f|calm)"),
    "homcs levels": _term("homcs(0 + f|calm)"),
    "homdiag levels": _term("homdiag(0 + t|calm)"),
    "ar1": _term("ar1(0 + t|calm)"),
    "hetar1": _term("hetar1(0 + t|calm)"),
    "toep": _term("toep(0 + f|calm)"),
    "homtoep": _term("homtoep(0 + t|calm)"),
    "ou": _term("ou(when|calm)"),
    "exp": _term("exp(east, north|1)", *_TIMES),
    "gau": _term("gau(east, north|1)", *_TIMES),
    "mat": _term("mat(east, north|1)", *_TIMES),
    "ar1 of one effect": Kind(
        _on("y", "x + f + ar1(0 + t|g)", family="poisson"), _POISSON, ("correlation of successive times",)
    ),
    "ou of one effect": Kind(_on("y", "x + f + ou(when|g)", family="poisson"), _POISSON, ("by g",)),
    "homcs of one effect": Kind(
        _on("y", "x + f + homcs(0 + t|g)", family="poisson"), _POISSON, (f"by g {_ZERO} (a correlation of one)",)
    ),
    "exp of independent places": Kind(
        _on("y", "x + f + (1|g) + exp(east, north|1)", family="poisson"),
        _on("y", "x + f + (1|g) + (1|calm)", family="poisson"), (*_TIMES, "The range of exp(east, north) by 1"),
    ),
    # slow
    "tweedie": Kind(_on("size", family="tweedie"), _on("size", family="gamma"), ("power is at its limit",)),
}  # fmt: skip
