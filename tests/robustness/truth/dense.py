"""Random small mixed models as dense matrices, their integrals on a grid and their Laplace approximation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmcore.estimation.estimator import Estimator
from glmmcore.families import get_family
from glmmcore.formula import build_design

from . import densities as law
from .densities import Long

Array = np.ndarray


@dataclass
class Kind:
    """A family as glmmcore names it and as a density in extended precision."""

    name: str
    log_density: law.LogDensity
    link: str | None = None
    trials: bool = False
    phi: tuple[float, float] | None = None
    psi: tuple[float, ...] = ()
    identity: bool = False
    zi: bool = False


KINDS = [
    Kind("poisson", law.poisson),
    Kind("binomial", law.binomial),
    Kind("binomial", law.binomial, trials=True),
    Kind("binomial", law.binomial_cloglog, link="cloglog"),
    Kind("nbinom2", law.nbinom2, phi=(0.3, 5.0)),
    Kind("nbinom1", law.nbinom1, phi=(0.3, 5.0)),
    Kind("gamma", law.gamma, phi=(0.5, 8.0)),
    Kind("lognormal", law.lognormal, phi=(0.3, 2.0)),
    Kind("beta", law.beta, phi=(1.0, 20.0)),
    Kind("betabinomial", law.betabinomial, trials=True, phi=(1.0, 20.0)),
    Kind("truncated_poisson", law.truncated_poisson),
    Kind("gaussian", law.gaussian_log, link="log", phi=(0.3, 1.5)),
    Kind("t", law.student, phi=(0.3, 1.5), psi=(float(np.log(5.0)),), identity=True),
    Kind("poisson", law.zero_inflated(law.poisson), zi=True),
    Kind("nbinom2", law.zero_inflated(law.nbinom2), phi=(0.5, 5.0), zi=True),
]


@dataclass
class Term:
    """``(1 | group)`` or ``(x | group)`` of one predictor."""

    group: str
    slope: bool
    covariance: Array
    predictor: str = "cond"


@dataclass
class Model:
    """Data, true parameters and the formula of one random model."""

    kind: Kind
    frame: pd.DataFrame
    terms: list[Term]
    beta: Array
    phi: float
    zeta: float
    trials: Array | None
    formula: str = ""
    zi_formula: str | None = None

    # ---- as glmmcore sees it -------------------------------------------------------------------------------
    def estimator(self, n_agq: int = 1) -> Estimator:
        design = build_design(self.formula, self.frame, zi=self.zi_formula, trials=self.trials)
        return Estimator.build(design, get_family(self.kind.name, self.kind.link), n_agq=n_agq)

    def parameters(self, estimator: Estimator) -> Array:
        """The true parameters in the optimiser's coordinates."""
        problem = estimator.problem
        wanted = {"cond": self.beta, "disp": [np.log(self.phi)], "zi": [self.zeta]}
        wanted |= {name: [v] for name, v in zip(problem.family.extra, self.kind.psi, strict=True)}
        x = np.zeros(problem.n_params)
        for part in problem.parts:
            x[part.where] = np.linalg.solve(part.back, wanted[part.name])
        for part in problem.terms:
            term = next(t for t in self.terms if (t.group, t.predictor) == (part.term.group, part.predictor))
            back = np.linalg.inv(part.back)
            factor = np.linalg.cholesky(back @ term.covariance @ back.T)
            x[part.where] = factor[np.tril_indices(len(factor))]
        return x

    def log_likelihood(self, n_agq: int = 1) -> float:
        estimator = self.estimator(n_agq)
        return -estimator.objective()(self.parameters(estimator))[0]

    # ---- as the definition has it --------------------------------------------------------------------------
    def loadings(self) -> Array:
        """Row i has ``loadings[i] @ u`` in (cond, zi), u standard normal: (n, 2, q) in extended precision."""
        blocks = []
        for term in self.terms:
            codes = pd.factorize(self.frame[term.group], sort=True)[0]
            left = np.column_stack([np.ones(len(codes)), self.frame["x"]] if term.slope else [np.ones(len(codes))])
            values, vectors = np.linalg.eigh(term.covariance)  # any root will do, and it may be singular
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            for level in range(codes.max() + 1):
                block = np.zeros((len(codes), 2, left.shape[1]), dtype=Long)
                block[:, 0 if term.predictor == "cond" else 1] = (left * (codes == level)[:, None]) @ root
                blocks.append(block)
        return np.concatenate(blocks, axis=2)

    def row_log_density(self, eta: Array, zeta: Array) -> Array:
        """Log density of the rows along axis 0, in the precision of `eta`."""
        shape = (-1, *(1,) * (eta.ndim - 1))
        y = self.frame["y"].to_numpy().astype(eta.dtype).reshape(shape)
        n = np.ones_like(y) if self.trials is None else self.trials.astype(eta.dtype).reshape(shape)
        extra = (zeta,) if self.kind.zi else ()
        return self.kind.log_density(y, n, eta, eta.dtype.type(self.phi), *extra)

    def fixed(self) -> Array:
        """Fixed part of (cond, zi), (n, 2)."""
        cond = self.beta[0] + self.beta[1] * self.frame["x"].to_numpy().astype(Long)
        return np.stack([cond, np.full_like(cond, self.zeta)], axis=1)

    def rows_derivatives(self, values: Array) -> tuple[Array, Array, Array]:
        """Log density (n,), gradient (n, 2) and Hessian (n, 2, 2) in (cond, zi) by eighth-order differences."""
        h = Long(2e-2)
        offsets = np.arange(-4, 5)
        first = np.array([1 / Long(280), -4 / Long(105), 1 / Long(5), -4 / Long(5), 0], dtype=Long)
        first = np.concatenate([first, -first[-2::-1]]) / h
        second = np.array([-1 / Long(560), 8 / Long(315), -1 / Long(5), 8 / Long(5), -205 / Long(72)], dtype=Long)
        second = np.concatenate([second, second[-2::-1]]) / h**2
        grid_a, grid_b = np.meshgrid(offsets * h, offsets * h, indexing="ij")
        if not self.kind.zi:
            grid_a, grid_b = grid_a[:, 4:5], grid_b[:, 4:5]
        eta, zeta = values[:, 0, None, None] + grid_a, values[:, 1, None, None] + grid_b
        f = self.row_log_density(eta, zeta)
        c = 4 if self.kind.zi else 0
        gradient, hessian = np.zeros((len(f), 2), dtype=Long), np.zeros((len(f), 2, 2), dtype=Long)
        gradient[:, 0], hessian[:, 0, 0] = f[:, :, c] @ first, f[:, :, c] @ second
        if self.kind.zi:
            gradient[:, 1], hessian[:, 1, 1] = f[:, 4] @ first, f[:, 4] @ second
            hessian[:, 0, 1] = hessian[:, 1, 0] = np.einsum("a,iab,b->i", first, f, first)
        return f[:, 4, c], gradient, hessian

    def mode(self, loadings: Array) -> tuple[Array, Array, Array]:
        """Minimiser of h(u), h there and the Hessian there; damped Newton steps."""
        fixed = self.fixed()

        def derivatives(u):
            l, g, w = self.rows_derivatives(fixed + loadings @ u)
            gradient = u - np.einsum("ia,iaq->q", g, loadings)
            hessian = np.eye(len(u), dtype=Long) - np.einsum("iaq,iab,ibr->qr", loadings, w, loadings)
            return u @ u / 2 - l.sum(), gradient, hessian

        u = np.zeros(loadings.shape[2], dtype=Long)
        h, gradient, hessian = derivatives(u)
        for _ in range(200):
            values, vectors = np.linalg.eigh(hessian.astype(float))
            step = -(vectors / np.maximum(np.abs(values), 0.1)) @ (vectors.T @ gradient.astype(float))
            length = 1.0
            while True:
                after = derivatives(u + length * step)
                if after[0] <= h + 1e-15 * abs(h) or length < 1e-6:
                    break
                length /= 2
            u = u + length * step
            h, gradient, hessian = after
            if np.max(np.abs(length * step)) < 1e-9:
                return u, h, hessian
        raise AssertionError("no mode")

    def laplace(self) -> float:
        """-h(u) - log|H| / 2 at the mode, all levels of all factors in one dense matrix."""
        _, h, hessian = self.mode(self.loadings())
        return float(-h - np.log(np.diag(cholesky(hessian))).sum())

    def integral(self) -> float:
        """Log marginal likelihood of a model of one grouping factor: one dense integral for each level."""
        total = Long(0)
        loadings = self.loadings()
        for level in np.unique(self.frame[self.terms[0].group]):
            rows = (self.frame[self.terms[0].group] == level).to_numpy()
            part = Model(**{**self.__dict__, "frame": self.frame[rows].reset_index(drop=True)})
            part.trials = None if self.trials is None else self.trials[rows]
            own = loadings[rows]
            total += part.level_integral(own[:, :, np.any(own != 0, axis=(0, 1))])
        return float(total)

    def level_integral(self, loadings: Array) -> float:
        """Trapezoidal rule in t, v = sinh t, with v the distance from the mode in units of the curvature there.

        Spectrally accurate for a smooth integrand; the stretching reaches its far tails with few points.
        """
        u, h, hessian = self.mode(loadings)
        k = len(u)
        scale = np.linalg.inv(cholesky(hessian).astype(float)).T
        step = 0.02 if k == 1 else 0.08
        axis = np.arange(-round(6.4 / step), round(6.4 / step) + 1) * step
        grid = np.stack(np.meshgrid(*[axis] * k, indexing="ij"), axis=-1).reshape(-1, k)
        points = u.astype(float) + np.sinh(grid) @ scale.T
        values = self.fixed().astype(float)[:, :, None] + np.einsum("iaq,gq->iag", loadings.astype(float), points)
        with np.errstate(all="ignore"):  # what overflows has no mass
            rows = self.row_log_density(values[:, 0], values[:, 1])
            log_value = rows.sum(axis=0) - (points**2).sum(axis=1) / 2 + float(h)
            value = np.where(np.isnan(log_value), 0.0, np.exp(log_value)) * np.cosh(grid).prod(axis=1)
        edge = np.abs(grid).max(axis=1) == np.abs(grid).max()
        assert value[edge].max() < 1e-14 * value.sum() * step, "the integrand goes on beyond the grid"
        return float(np.log(value.sum() * step**k * np.prod(np.diag(scale))) - h - k * np.log(2 * np.pi) / 2)


def cholesky(a: Array) -> Array:
    """Lower factor in extended precision."""
    lower = np.zeros_like(a)
    for j in range(len(a)):
        lower[j, j] = np.sqrt(a[j, j] - lower[j, :j] @ lower[j, :j])
        for i in range(j + 1, len(a)):
            lower[i, j] = (a[i, j] - lower[i, :j] @ lower[j, :j]) / lower[j, j]
    return lower


def random_covariance(rng: np.random.Generator, k: int, largest: float) -> Array:
    sd = np.exp(rng.uniform(np.log(0.1), np.log(largest), k))
    if k == 1:
        return sd[:, None] ** 2
    r = rng.uniform(-0.95, 0.95)
    return np.outer(sd, sd) * np.array([[1.0, r], [r, 1.0]])


def random_model(seed: int, structure: str, n_levels: int | None = None) -> Model:
    """A model of a few levels with a few rows each; `structure` is "1", "x", "crossed" or "zi"."""
    rng = np.random.default_rng(seed)
    kinds = [k for k in KINDS if k.zi] if structure == "zi" else KINDS
    kind = kinds[seed % len(kinds)]
    n_levels = n_levels or int(rng.integers(2, 6))
    n = n_levels * int(rng.integers(2, 7))
    frame = pd.DataFrame({"x": rng.normal(0.2, 1.0, n), "g": np.arange(n) % n_levels, "h": rng.integers(0, 3, n)})
    frame.loc[:2, "h"] = [0, 1, 2]
    largest = 0.8 if kind.name in ("gaussian", "lognormal", "gamma") else 2.5
    terms = [Term("g", structure == "x", random_covariance(rng, 2 if structure == "x" else 1, largest))]
    bars = "(x|g)" if structure == "x" else "(1|g)"
    if structure == "crossed":
        terms.append(Term("h", False, random_covariance(rng, 1, largest)))
        bars += " + (1|h)"
    zi_formula = None
    if kind.zi:
        zi_formula = "~ 1"
        if structure == "zi":
            terms.append(Term("g", False, random_covariance(rng, 1, 1.5), "zi"))
            zi_formula = "~ 1 + (1|g)"
    beta = rng.normal([0.3, 0.0], 0.5)
    phi = float(np.exp(rng.uniform(*np.log(kind.phi)))) if kind.phi else 1.0
    trials = rng.integers(1, 12, n).astype(float) if kind.trials else None
    zeta = float(rng.normal(-0.5, 0.7))
    model = Model(kind, frame, terms, beta, phi, zeta, trials, f"y ~ x + {bars}", zi_formula)
    frame["y"] = draw(model, rng)
    return model


def draw(model: Model, rng: np.random.Generator) -> Array:
    """A response of the model, from numpy's own generators."""
    loadings = model.loadings().astype(float)
    values = model.fixed().astype(float) + loadings @ rng.normal(size=loadings.shape[2])
    eta, n, phi = values[:, 0], len(values), model.phi
    name, mu = model.kind.name, np.exp(np.minimum(values[:, 0], 4.0))
    probability = 1 / (1 + np.exp(-eta))
    if name == "binomial" and model.kind.link == "cloglog":
        probability = -np.expm1(-np.exp(eta))
    trials = np.ones(n, int) if model.trials is None else model.trials.astype(int)
    inner = np.clip(probability, 1e-3, 1 - 1e-3)
    inside = np.clip(rng.beta(phi * inner, phi * (1 - inner)), 1e-6, 1 - 1e-6)
    draws: dict[str, Callable[[], Array]] = {
        "poisson": lambda: rng.poisson(mu),
        "truncated_poisson": lambda: np.maximum(rng.poisson(mu), 1),
        "binomial": lambda: rng.binomial(trials, probability),
        "betabinomial": lambda: rng.binomial(trials, inside),
        "beta": lambda: inside,
        "nbinom2": lambda: rng.poisson(mu * rng.gamma(phi, 1 / phi, n)),
        "nbinom1": lambda: rng.poisson(phi * rng.gamma(mu / phi)),
        "gamma": lambda: mu * np.maximum(rng.gamma(phi, 1 / phi, n), 1e-6),
        "lognormal": lambda: np.exp(rng.normal(eta, 0.5)),
        "gaussian": lambda: rng.normal(mu, phi),
        "t": lambda: eta + phi * rng.standard_t(5, n),
    }
    y = draws[name]().astype(float)
    return np.where(rng.random(n) < 1 / (1 + np.exp(-model.zeta)), 0.0, y) if model.kind.zi else y
