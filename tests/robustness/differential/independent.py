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
# Points a dimension of the grid that integrates the effects of one group out, and how far it reaches.
_POINTS, _REACH = 61, 8.0
_MOST_DIMENSIONS = 2

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
    """Coefficients by part and name; covariances by part and grouping factor, with the names of their coefficients."""

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
        }
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
        elif base == "compois":
            return _conway_maxwell(y, mean, 1.0 / dispersion), y
        elif base == "beta":
            return stats.beta.logpdf(y, mean * dispersion, (1.0 - mean) * dispersion), y
        else:
            raise NotImplementedError(base)
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


def laplace(model: Model, estimates: Estimates) -> float:
    """Laplace's approximation of the log-likelihood at some estimates; NotImplementedError for other families."""
    at = Evaluation(model, estimates)
    u = at.mode()
    sign, logdet = np.linalg.slogdet(-at.gradient_and_hessian(u)[1])
    return at.joint(u) - 0.5 * logdet if sign > 0 else np.nan


def integral(model: Model, estimates: Estimates) -> float:
    """The log-likelihood itself, on a grid around the mode of each group; NaN with crossed or many effects a group."""
    at = Evaluation(model, estimates)
    k = at.order // (max(codes.max() for codes in at.codes) + 1) if at.codes else 0
    if not at.codes or k > _MOST_DIMENSIONS or any(not np.array_equal(c, at.codes[0]) for c in at.codes):
        return np.nan
    n_groups = at.codes[0].max() + 1
    widths = [covariance.shape[0] for _, _, _, covariance in estimates.covariances]
    where = np.concatenate(
        [
            start + np.arange(n_groups * width).reshape(n_groups, width)
            for start, width in zip(np.cumsum([0, *[n_groups * w for w in widths[:-1]]]), widths, strict=True)
        ],
        axis=1,
    )
    line = np.linspace(-_REACH, _REACH, _POINTS if k > 1 else 10 * _POINTS + 1)
    cell = (line[1] - line[0]) / np.sqrt(2.0 * np.pi)
    logs = []
    for point in np.stack(np.meshgrid(*[line] * k, indexing="ij"), axis=-1).reshape(-1, k):
        u = np.zeros(at.order)
        u[where] = point
        inner = np.bincount(at.codes[0], at.row_densities(u), n_groups)
        logs.append(inner - 0.5 * point @ point + k * np.log(cell))
    return float(special.logsumexp(np.nan_to_num(logs, nan=-np.inf), axis=0).sum())
