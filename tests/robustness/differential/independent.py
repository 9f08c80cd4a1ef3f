"""Log-likelihoods at given estimates, written again from the densities, to tell whether a number is what it says it is.

Nothing of glmmcore takes part. Design matrices are built from the names of the coefficients, densities from their
definitions, the modes are found by Newton's method with differences in place of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from .models import Model

__all__ = ["Estimates", "integral", "laplace", "read_estimates"]

# Step of the differences of a log density along its linear predictor: fourth root of the rounding error.
_STEP = 1e-3
# Points a dimension of the grid that integrates effects out, five times as many in one dimension, and its reach.
_POINTS, _REACH = 121, 8.0
_MOST_DIMENSIONS = 2
# Draws of importance sampling where there is no grid, degrees of freedom of their t law, the least curvature it takes
# from the mode, and the fewest draws that they must be worth.
_DRAWS, _DF, _LEAST_CURVATURE, _FEWEST = 6000, 8.0, 0.3, 100.0

LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log": np.exp,
    "sqrt": np.square,
    "identity": lambda eta: eta,
    "inverse": lambda eta: 1.0 / eta,
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}


@dataclass
class Estimates:
    """Coefficients by part and name; covariances by part and grouping factor, with the names of their coefficients.

    The part ``family`` holds degrees of freedom (t), the power (tweedie) or the lower and upper cut point (ordbeta).
    The dispersion of a gaussian is the logarithm of a standard deviation.
    """

    coefficients: dict[str, dict[str, float]] = field(default_factory=dict)
    covariances: list[tuple[str, str, list[str], np.ndarray]] = field(default_factory=list)


def read_estimates(lines: Iterable[str]) -> Estimates:
    """From the lines that `fit.R` writes: part, grouping factor or nothing, names, numbers."""
    out = Estimates()
    for line in lines:
        part, group, names, numbers = line.rstrip("\n").split("\t")
        values = np.array([float(v) for v in numbers.split()])
        if group:
            size = len(names.split())
            out.covariances.append((part, group, names.split(), values.reshape(size, size)))
        else:
            out.coefficients[part] = dict(zip(names.split(), values, strict=True))
    return out


def _column(name: str, data: pd.DataFrame) -> np.ndarray:
    """One column of a design matrix, from R's name for it: ``(Intercept)``, ``x``, ``fb``, ``x:fb``, ``timet3``."""
    out = np.ones(len(data))
    for piece in name.split(":"):
        if piece in data and pd.api.types.is_numeric_dtype(data[piece]):
            out = out * data[piece].to_numpy(float)
        elif piece != "(Intercept)":
            variable = next(v for v in ("time", "f") if piece.startswith(v))
            out = out * (data[variable].to_numpy() == piece.removeprefix(variable))
    return out


def _groups(name: str, data: pd.DataFrame) -> np.ndarray:
    labels = data[name.split(":")].astype(str).agg("/".join, axis=1)
    return np.unique(labels, return_inverse=True)[1]


class Evaluation:
    """The joint density of responses and spherical random effects of a model at some estimates."""

    def __init__(self, model: Model, estimates: Estimates) -> None:
        data = self.data = model.data
        self.model = model
        self.fixed = {
            part: sum(value * _column(name, data) for name, value in coefficients.items())
            for part, coefficients in estimates.coefficients.items()
            if part != "family"
        }
        self.of_family = list(estimates.coefficients.get("family", {}).values())
        blocks: dict[str, list[np.ndarray]] = {"cond": [], "zi": []}
        self.codes = []
        for part, group, names, covariance in estimates.covariances:
            codes = _groups(group, data)
            values, vectors = np.linalg.eigh(covariance)
            scale = vectors * np.sqrt(np.maximum(values, 0.0))
            rows = np.column_stack([_column(name, data) for name in names]) @ scale
            wide = np.zeros((len(data), codes.max() + 1, rows.shape[1]))
            wide[np.arange(len(data)), codes] = rows
            flat = wide.reshape(len(data), -1)
            for other in blocks:
                blocks[other].append(flat if other == part else np.zeros_like(flat))
            self.codes.append(codes)
        self.z = {part: np.hstack(z) if z else np.zeros((len(data), 0)) for part, z in blocks.items()}

    @property
    def order(self) -> int:
        """Number of random effects."""
        return self.z["cond"].shape[1]

    def row_densities(self, u: np.ndarray) -> np.ndarray:
        """Log density of each row, (n,)."""
        return self._density(self.fixed["cond"] + self.z["cond"] @ u, self._zi(self.z["zi"] @ u))

    def joint(self, u: np.ndarray) -> float:
        """Log density of responses and standard normal effects, less that of effects of zero."""
        return float(self.row_densities(u).sum() - 0.5 * u @ u)

    def gradient_and_hessian(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of `joint`, by central differences along both linear predictors of every row."""
        eta, zi = self.fixed["cond"] + self.z["cond"] @ u, self._zi(self.z["zi"] @ u)
        h = _STEP
        at = {(a, b): self._density(eta + a * h, zi + b * h) for a in (-1, 0, 1) for b in (-1, 0, 1)}
        first = {"cond": (at[1, 0] - at[-1, 0]) / (2 * h), "zi": (at[0, 1] - at[0, -1]) / (2 * h)}
        second = {
            ("cond", "cond"): (at[1, 0] - 2 * at[0, 0] + at[-1, 0]) / h**2,
            ("zi", "zi"): (at[0, 1] - 2 * at[0, 0] + at[0, -1]) / h**2,
            ("cond", "zi"): (at[1, 1] - at[1, -1] - at[-1, 1] + at[-1, -1]) / (4 * h**2),
        }
        gradient = sum(self.z[part].T @ d for part, d in first.items()) - u
        hessian = -np.eye(len(u))
        for (one, other), d in second.items():
            product = self.z[one].T @ (d[:, None] * self.z[other])
            hessian += product if one == other else product + product.T
        return gradient, hessian

    def mode(self) -> np.ndarray:
        """Where `joint` is largest, by Newton's method with shortened steps."""
        u = np.zeros(self.order)
        value = self.joint(u)
        for _ in range(200):
            gradient, hessian = self.gradient_and_hessian(u)
            if not np.isfinite(hessian).all():
                break  # no density next to this point
            values, vectors = np.linalg.eigh(-hessian)
            step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), 0.1))
            length = 1.0
            while (new := self.joint(u + length * step)) < value and length > 1e-6:
                length /= 2.0
            if length <= 1e-6 or new - value < 1e-11:
                break
            u, value = u + length * step, new
        return u

    def _zi(self, random: np.ndarray) -> np.ndarray:
        return self.fixed["zi"] + random if self.model.zi else np.full(len(self.data), -np.inf)

    def _density(self, eta: np.ndarray, zi: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            mean = LINKS[self.model.link](eta)
            dispersion = np.exp(self.fixed["disp"]) if "disp" in self.fixed else np.ones(len(eta))
            inner, y = self._family_density(mean, dispersion)
            if not self.model.zi:
                return inner
            zero, other = special.log_expit(zi), special.log_expit(-zi)
            if self.model.family.startswith("truncated"):
                return np.where(y == 0, zero, other + inner)
            return np.where(y == 0, np.logaddexp(zero, other + inner), other + inner)

    def _family_density(self, mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        data, family = self.data, self.model.family
        if family in ("binomial", "betabinomial"):
            k = data["k_of" if family == "betabinomial" else "y"].to_numpy(float)
            n = data["n_of"].to_numpy(float) if family == "betabinomial" else np.ones(len(data))
            if family == "binomial":
                return stats.binom.logpmf(k, n, mean), k
            a, b = mean * dispersion, (1.0 - mean) * dispersion
            value = -np.log(n + 1.0) - special.betaln(n - k + 1.0, k + 1.0)
            # rises of Gamma, which subtract no large numbers where the precision is large
            for rise, count, sign in ((a, k, 1), (b, n - k, 1), (a + b, n, -1)):
                steps = np.arange(int(count.max(initial=0)))
                terms = np.where(steps < count[:, None], np.log(rise[:, None] + steps), 0.0)
                value = value + sign * terms.sum(axis=1)
            return value, k
        y = data["y"].to_numpy(float)
        if family in _CONTINUOUS:
            return _CONTINUOUS[family](y, mean, dispersion, *self.of_family), y
        base = family.removeprefix("truncated_")
        if base == "poisson":
            value, zero = stats.poisson.logpmf(y, mean), -mean
        elif base == "genpois":
            root = np.sqrt(dispersion)
            theta, rate = mean / root, 1.0 - 1.0 / root
            value = (
                np.log(theta) + special.xlogy(y - 1.0, theta + rate * y) - theta - rate * y - special.gammaln(y + 1.0)
            )
            zero = -theta
        elif base in ("nbinom1", "nbinom2"):
            size = mean / dispersion if base == "nbinom1" else dispersion
            value, zero = _negative_binomial(y, mean, size), -size * np.log1p(mean / size)
        else:
            return _conway_maxwell(y, mean, 1.0 / dispersion), y
        if family.startswith("truncated"):
            value = np.where(y > 0, value - np.log(-np.expm1(zero)), -np.inf)
        return value, y


def _conway_maxwell(y: np.ndarray, mean: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """Density proportional to lambda^y / (y!)^nu with lambda such that the mean is given, by sums and bisection."""
    out = np.full(len(y), -np.inf)
    for i in range(len(y)):
        if not 0.0 < mean[i] < 1e4:
            continue
        count = np.arange(int(60 * (mean[i] + 1.0) + y[i]))
        powers = nu[i] * special.gammaln(count + 1.0)

        def excess(log_rate: float, i: int = i, count: np.ndarray = count, powers: np.ndarray = powers) -> float:
            weights = special.softmax(count * log_rate - powers)
            return float(weights @ count) - mean[i]

        low, high = np.log(mean[i] / (1.0 + mean[i])) - 1e-9, nu[i] * np.log(mean[i] + nu[i] + 1.0) + 1.0
        log_rate = optimize.brentq(excess, min(low, nu[i] * np.log(mean[i]) - 1.0), high, xtol=1e-14)
        out[i] = y[i] * log_rate - nu[i] * special.gammaln(y[i] + 1.0) - special.logsumexp(count * log_rate - powers)
    return out


def _negative_binomial(y: np.ndarray, mean: np.ndarray, size: np.ndarray) -> np.ndarray:
    steps = np.arange(int(y.max(initial=0)))
    # Gamma(y + s) / (Gamma(s) s^y), whose factors 1 + i / s subtract no large numbers
    rises = np.where(steps < y[:, None], np.log1p(steps / size[:, None]), 0.0).sum(axis=1)
    return rises + special.xlogy(y, mean) - (y + size) * np.log1p(mean / size) - special.gammaln(y + 1.0)


def _beta(y: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return stats.beta.logpdf(y, mean * precision, (1.0 - mean) * precision)


def _ordered_beta(y: np.ndarray, mean: np.ndarray, precision: np.ndarray, low: float, high: float) -> np.ndarray:
    """Zeros and ones with the probabilities of an ordered logit with two cut points, a beta law in between."""
    eta = special.logit(mean)
    between = np.log(special.expit(eta - low) - special.expit(eta - high))
    inner = between + _beta(np.where((y > 0) & (y < 1), y, 0.5), mean, precision)
    return np.where(y == 0, special.log_expit(low - eta), np.where(y == 1, special.log_expit(eta - high), inner))


def _tweedie(y: np.ndarray, mean: np.ndarray, phi: np.ndarray, power: float) -> np.ndarray:
    """A Poisson number of gamma variables: summed over the number, widely around its most probable value."""
    rate = mean ** (2.0 - power) / (phi * (2.0 - power))
    shape, scale = (2.0 - power) / (power - 1.0), phi * (power - 1.0) * mean ** (power - 1.0)
    likely = np.maximum(y ** (2.0 - power) / (phi * (2.0 - power)), 1.0)
    reach = int(10.0 * np.sqrt(likely.max()) * max(1.0, 1.0 / np.sqrt(shape)) + 50.0)
    number = np.maximum(np.round(likely)[:, None] + np.arange(-reach, reach + 1), 0.0)
    known = np.where(y > 0, y, 1.0)[:, None]
    terms = stats.poisson.logpmf(number, rate[:, None]) + stats.gamma.logpdf(
        known, np.maximum(number, 1.0) * shape, scale=scale[:, None]
    )
    return np.where(y > 0, special.logsumexp(np.where(number > 0, terms, -np.inf), axis=1), -rate)


_CONTINUOUS: dict[str, Callable[..., np.ndarray]] = {
    "gaussian": stats.norm.logpdf,
    "t": lambda y, mean, scale, df: stats.t.logpdf(y, df, mean, scale),
    "gamma": lambda y, mean, shape: stats.gamma.logpdf(y, shape, scale=mean / shape),
    "beta": _beta,
    "ordbeta": _ordered_beta,
    "tweedie": _tweedie,
}


def laplace(model: Model, estimates: Estimates) -> float:
    """Laplace's approximation of the log-likelihood at some estimates; NaN where there is none."""
    at = Evaluation(model, estimates)
    u = at.mode()
    if not np.isfinite(at.joint(u)):
        return np.nan
    sign, logdet = np.linalg.slogdet(-at.gradient_and_hessian(u)[1])
    return at.joint(u) - 0.5 * logdet if sign > 0 else np.nan


def integral(model: Model, estimates: Estimates) -> tuple[float, float]:
    """The log-likelihood itself and its error: on a grid for up to two effects a group, otherwise by simulation.

    Effects of groups inside other groups are integrated out at each point of the grid of the outer ones. NaN without
    random effects, and where too few of the draws have any weight.
    """
    at = Evaluation(model, estimates)
    if not at.codes:
        return np.nan, np.nan
    # terms by grouping factor, the one with fewer groups first
    order = sorted(range(len(at.codes)), key=lambda i: at.codes[i].max())
    widths = [covariance.shape[0] for _, _, _, covariance in estimates.covariances]
    starts = np.cumsum([0, *[(c.max() + 1) * w for c, w in zip(at.codes, widths, strict=True)]])
    factors: list[tuple[np.ndarray, list[np.ndarray]]] = []
    for i in order:
        codes, width = at.codes[i], widths[i]
        where = starts[i] + np.arange((codes.max() + 1) * width).reshape(-1, width)
        if factors and np.array_equal(factors[-1][0], codes):
            factors[-1][1].append(where)
        elif not factors or len(set(zip(codes, factors[-1][0], strict=True))) == codes.max() + 1:
            factors.append((codes, [where]))
        else:
            return _simulated(at)
    effects = [np.concatenate(where, axis=1) for _, where in factors]
    total = sum(e.shape[1] for e in effects)
    if total > _MOST_DIMENSIONS:
        return _simulated(at)
    line = np.linspace(-_REACH, _REACH, _POINTS if total > 1 else 5 * _POINTS)
    logs = _by_group(at, np.zeros(at.order), [codes for codes, _ in factors], effects, line)
    return float(logs.sum()), 0.0


def _simulated(at: Evaluation) -> tuple[float, float]:
    """Importance sampling around the mode by a multivariate t law; the error is three standard errors."""
    mode, k = at.mode(), at.order
    hessian = at.gradient_and_hessian(mode)[1]
    if not np.isfinite(hessian).all():
        return np.nan, np.nan
    values, vectors = np.linalg.eigh(-hessian)
    scale = vectors / np.sqrt(np.maximum(values, _LEAST_CURVATURE))
    law, rng = stats.multivariate_t(mode, scale @ scale.T, df=_DF), np.random.default_rng(1)
    draws = law.rvs(_DRAWS, random_state=rng).reshape(_DRAWS, k)
    joint = np.array([at.joint(u) for u in draws]) - 0.5 * k * np.log(2.0 * np.pi)
    logs = np.nan_to_num(joint - law.logpdf(draws), nan=-np.inf)
    weights = special.softmax(logs)
    worth = 1.0 / float(weights @ weights)
    if not worth > _FEWEST:
        return np.nan, np.nan
    return float(special.logsumexp(logs) - np.log(_DRAWS)), 3.0 / np.sqrt(worth)


def _by_group(
    at: Evaluation, u: np.ndarray, codes: list[np.ndarray], effects: list[np.ndarray], line: np.ndarray
) -> np.ndarray:
    """Logarithms of the integrals of the outermost groups, effects of the inner ones integrated out first."""
    own, where = codes[0], effects[0]
    k = where.shape[1]
    cell = (line[1] - line[0]) / np.sqrt(2.0 * np.pi)
    logs = []
    for point in np.stack(np.meshgrid(*[line] * k, indexing="ij"), axis=-1).reshape(-1, k):
        u[where] = point
        if len(codes) > 1:
            first_row = np.unique(codes[1], return_index=True)[1]
            inner = np.bincount(own[first_row], _by_group(at, u, codes[1:], effects[1:], line), own.max() + 1)
        else:
            inner = np.bincount(own, np.nan_to_num(at.row_densities(u), nan=-np.inf), own.max() + 1)
        logs.append(inner - 0.5 * point @ point + k * np.log(cell))
    return special.logsumexp(logs, axis=0)
