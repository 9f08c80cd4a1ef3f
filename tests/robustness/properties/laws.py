"""Every family with every link, and the legal parameters at which its parts are compared with one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from glmmcore.families import FAMILIES, get_family
from glmmcore.families.base import Family, Parameters

Range = tuple[float, float]

LOCATION = ("gaussian", "t", "skewnormal")
# P-value of one example: among a million examples none should fail by chance.
CHANCE = 1e-10

# Predictors of the mean by link: means from one in a million to some thousands, probabilities near 0 and near 1.
ETA: dict[str, Range] = {
    "log": (-14.0, 7.5),
    "logit": (-14.0, 14.0),
    "probit": (-5.0, 5.0),
    "cloglog": (-14.0, 2.6),
    "sqrt": (1e-3, 40.0),
    "inverse": (1e-3, 1e3),
}
IDENTITY: dict[str, Range] = {
    "binomial": (1e-6, 1 - 1e-6),
    "betabinomial": (1e-6, 1 - 1e-6),
    "gaussian": (-1e3, 1e3),
    "t": (-1e3, 1e3),
    "skewnormal": (-1e3, 1e3),
}
# log phi: from nearly no dispersion to a nearly degenerate law.
DELTA: dict[str, Range] = {
    "nbinom1": (-12.0, 7.0),
    "nbinom2": (-7.0, 18.0),
    "nbinom12": (-12.0, 7.0),
    "truncated_nbinom1": (-12.0, 7.0),
    "truncated_nbinom2": (-7.0, 18.0),
    "genpois": (0.0, 5.0),
    "compois": (-3.5, 2.5),
    "betabinomial": (-5.0, 14.0),
    "beta": (-3.0, 12.0),
    "ordbeta": (-3.0, 12.0),
    "gamma": (-3.0, 14.0),
    "lognormal": (-4.0, 5.0),
    "tweedie": (-6.0, 5.0),
    "gaussian": (-9.0, 9.0),
    "t": (-9.0, 9.0),
    "skewnormal": (-9.0, 9.0),
}
PSI: dict[str, tuple[Range, ...]] = {
    "nbinom12": ((-6.0, 15.0),),
    "t": ((-0.7, 7.0),),
    "skewnormal": ((-30.0, 30.0),),
    "tweedie": ((-4.0, 4.0),),
    "ordbeta": ((-6.0, 3.0), (-3.0, 2.5)),
}
# Where the support is counted through, the mean is kept below this.
LARGEST_MEAN = {"compois": 400.0, "bell": 100.0}


@dataclass(frozen=True)
class Point:
    """One law: a family at one value of all its predictors."""

    family: Family
    eta: float
    delta: float
    psi: tuple[float, ...]
    trials: int

    def parameters(self, n: int = 1) -> Parameters:
        return Parameters(np.full(n, self.eta), np.array([self.delta]), np.array(self.psi, dtype=float))

    def many_trials(self, n: int = 1) -> np.ndarray:
        return np.full(n, float(self.trials))

    def cdf(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.family.cdf(y, self.many_trials(len(y)), self.parameters(len(y)))

    def log_density(self, y: np.ndarray) -> np.ndarray:
        return self.family.derivatives(y, self.many_trials(len(y)), self.parameters(len(y))).loglik

    def simulate(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return self.family.simulate(self.many_trials(), self.parameters(), n, rng)[:, 0]

    @property
    def mean(self) -> float:
        return float(self.family.mean(self.many_trials(), self.parameters())[0])

    @property
    def variance(self) -> float:
        return float(self.family.variance(self.many_trials(), self.parameters())[0])


def eta_range(name: str, link: str) -> Range:
    low, high = IDENTITY.get(name, (1e-3, 1e3)) if link == "identity" else ETA[link]
    if link == "log" and get_family(name).takes_trials:
        high = -1e-6
    largest = LARGEST_MEAN.get(name, 3e3)
    if link == "log" and np.exp(high) > largest:
        high = float(np.log(largest))
    if link == "sqrt":
        high = min(high, float(np.sqrt(largest)))
    return low, high


@st.composite
def points(draw: st.DrawFn, name: str) -> Point:
    """A law of the family `name` with any of its links."""
    link = draw(st.sampled_from(get_family(name).links))
    family = get_family(name, link)

    def real(bounds: Range) -> float:
        # a round number now and then, where special cases of formulas lie
        whole = [float(v) for v in range(int(np.ceil(bounds[0])), int(np.floor(bounds[1])) + 1)]
        number = st.floats(*bounds, allow_subnormal=False)
        return draw(number | st.sampled_from(whole) if whole else number)

    eta = real(eta_range(name, link))
    delta = real(DELTA[name]) if family.has_dispersion else 0.0
    psi = tuple(real(bounds) for bounds in PSI.get(name, ()))
    trials = draw(st.sampled_from([1, 2, 3, 7, 20, 150, 2000])) if family.takes_trials else 1
    return Point(family, eta, delta, psi, trials)


NAMES = sorted(FAMILIES)
DISCRETE = [name for name in NAMES if get_family(name).discrete]
CONTINUOUS = [name for name in NAMES if not get_family(name).discrete]


def eta_unit(point: Point) -> float:
    """Change of the predictor by which the law changes shape."""
    name, link = point.family.name, point.family.link.name
    if name in LOCATION:
        width = float(np.exp(point.delta)) / (1.0 + max(map(abs, point.psi), default=0.0))
        slope = float(point.family.link.derivatives(np.array([point.eta]))[1][0])
        return min(width / abs(slope), 1.0 if link in ("identity", "log") else abs(point.eta))
    if link in ("identity", "sqrt", "inverse"):
        return min(point.eta, 1 - point.eta) if point.family.takes_trials else abs(point.eta)
    return min(1.0, abs(point.eta)) if point.family.takes_trials and link == "log" else 1.0


def best_slope(f: Callable[[float], np.ndarray], unit: float, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope at 0 by fourth-order differences, with the step that has the smallest estimate of its error."""
    best, error = np.zeros_like(size), np.full_like(size, np.inf)
    for h in unit * 10.0 ** np.array([-1.5, -2.5, -3.5, -4.5]):
        with np.errstate(invalid="ignore"):  # outside the support of an underdispersed law
            f1, f2, f4 = (f(s * h) - f(-s * h) for s in (1, 2, 4))
            fine, coarse = (8 * f1 - f2) / (12 * h), (8 * f2 - f4) / (24 * h)
            estimate = 2 * np.abs(fine - coarse) + 1e-13 * size / h
        better = estimate < error
        best, error = np.where(better, fine, best), np.where(better, estimate, error)
    return best, error
