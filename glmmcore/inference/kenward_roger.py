"""Covariance of fixed effects and degrees of freedom that allow for estimated variances (Kenward and Roger 1997).

With V = s W^-1 + Z D Z' the covariance of the response, V_i its derivative by the i-th variance parameter, Phi the
inverse of X'V^-1 X, and

    P_i = -X'V^-1 V_i V^-1 X,   Q_ij = X'V^-1 V_i V^-1 V_j V^-1 X,   R_ij = X'V^-1 V_ij V^-1 X,

the covariance is Phi + 2 Phi (sum_ij C_ij (Q_ij - P_i Phi P_j - R_ij / 4)) Phi, C the inverse of the expected
information of the variance parameters under REML. Nothing of the size of the rows is formed: with K = Z'WZ / s all
products follow from M = Z'V^-1 Z = (I + K D)^-1 K and N = Z'V^-1 X, and those with V_0 = W^-1, the derivative by the
residual variance, from V^-1 W^-1 V^-1 = (V^-1 - V^-1 Z D Z'V^-1) / s. Random effects that no row and no covariance
joins (the levels of a single grouping factor, of the outermost of nested ones) are blocks of their own in all of these;
of crossed factors the one with most effects is eliminated level by level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.inference.blocks import Blocks, solved_by_levels
from glmmcore.memory import require_memory

if TYPE_CHECKING:
    from glmmcore.design import RandomTerm
    from glmmcore.estimates import Estimates
    from glmmcore.estimation.problem import TermPart

__all__ = ["KenwardRoger"]

# Share of the largest eigenvalue of the variance parameters' information below which one is not informed about.
_FLAT = 1e-9
# Step of the differences of nonlinear structures' covariances, in units of their parameters.
_STEP = 1e-4


class KenwardRoger:
    """Adjusted covariance of the fixed effects of one gaussian REML fit, and F tests with it.

    Parameters
    ----------
    fit : FittedGLMM
        Gaussian with identity link, ``reml=True``, constant dispersion.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
        Adjusted, in the order of `fit.params`.
    """

    def __init__(self, fit: Estimates) -> None:
        if not fit.estimator.linear or not fit.reml:
            raise ModelError(
                "Kenward and Roger's method is for family='gaussian' with identity link and reml=True, without disp= "
                f"or zi=; this model is {fit.description}"
            )
        if any(t.term.places is not None for t in fit.solution.terms):
            raise ModelError(
                "Kenward and Roger's method does not know effects of places or times; use df='satterthwaite'"
            )
        products = _Products(fit)
        self._plain = products.phi
        self._p, self._inverse = products.p, products.inverse
        phi, inner = products.phi, np.zeros_like(products.phi)
        for i, row in enumerate(products.inverse):
            for j, weight in enumerate(row):
                inner += weight * (products.q[i][j] - products.p[i] @ phi @ products.p[j] - 0.25 * products.r[i][j])
        adjusted = phi + 2.0 * phi @ inner @ phi
        self.covariance = 0.5 * (adjusted + adjusted.T)

    def df(self, contrasts: np.ndarray) -> np.ndarray:
        """Degrees of freedom of ``contrasts @ params``, contrasts (m, p), shape (m,).

        For one contrast matching two moments comes down to 2 / a2, and the F statistic is not scaled.
        """
        turned = contrasts @ self._plain
        variance = np.einsum("mi,mi->m", turned, contrasts)
        shares = np.stack([np.einsum("mi,ij,mj->m", turned, p, turned) for p in self._p], axis=1)
        shares = np.divide(shares, variance[:, None], out=np.zeros_like(shares), where=variance[:, None] > 0.0)
        a2 = np.einsum("mk,kl,ml->m", shares, self._inverse, shares)
        return np.divide(2.0, a2, out=np.full(len(contrasts), np.inf), where=a2 > 0.0)

    def joint_test(self, contrasts: np.ndarray, estimates: np.ndarray) -> tuple[float, int, float]:
        """Scaled F statistic of ``contrasts @ params = 0``, contrasts (q, p), and its two degrees of freedom."""
        values, vectors = np.linalg.eigh(contrasts @ self._plain @ contrasts.T)
        rows = vectors[:, values > 1e-10 * values.max()].T @ contrasts
        scaling, df = self._scaled(rows)
        found = rows @ estimates
        statistic = float(found @ np.linalg.solve(rows @ self.covariance @ rows.T, found)) / len(rows)
        return scaling * statistic, len(rows), df

    def _scaled(self, rows: np.ndarray) -> tuple[float, float]:
        """Scaling of the F statistic and denominator degrees of freedom, by matching two moments."""
        q, phi = len(rows), self._plain
        theta = rows.T @ np.linalg.solve(rows @ phi @ rows.T, rows)
        turned = [theta @ phi @ p @ phi for p in self._p]
        traces = np.array([np.trace(t) for t in turned])
        a1 = float(traces @ self._inverse @ traces)
        pairs = np.array([[np.sum(a * b.T) for b in turned] for a in turned])
        a2 = float(np.sum(self._inverse * pairs))
        if not a2 > 0.0:
            return 1.0, np.inf
        b = (a1 + 6.0 * a2) / (2.0 * q)
        g = ((q + 1.0) * a1 - (q + 4.0) * a2) / ((q + 2.0) * a2)
        below = 3.0 * q + 2.0 * (1.0 - g)
        c1, c2, c3 = g / below, (q - g) / below, (q + 2.0 - g) / below
        mean = 1.0 / (1.0 - a2 / q)
        variance = 2.0 / q * (1.0 + c1 * b) / ((1.0 - c2 * b) ** 2 * (1.0 - c3 * b))
        rho = variance / (2.0 * mean**2)
        df = 4.0 + (q + 2.0) / (q * rho - 1.0)
        return df / (mean * (df - 2.0)), df


class _Products:
    """Phi, P_i, Q_ij, R_ij and the variance parameters' inverse information; the residual variance is the first."""

    def __init__(self, fit: Estimates) -> None:
        from scipy.sparse.csgraph import connected_components

        x, z, weights = fit.design.predictors["cond"].X, _sparse_design(fit), _weights(fit)
        self._s, self._n_rows = fit.sigma**2, _n_rows(fit)
        k, b, c = (m / self._s for m in _cross_products(z, x, weights))
        blocks = _Blocks(fit)
        d = blocks.matrix([t.covariance for t in fit.solution.terms])
        derivatives = [blocks.matrix(parts) for parts in blocks.first]
        seconds = {key: blocks.matrix(parts) for key, parts in blocks.second.items()}
        r, p = 1 + len(derivatives), x.shape[1]
        self.traces = np.zeros((r, r))
        self.q = [[np.zeros((p, p)) for _ in range(r)] for _ in range(r)]
        self.r = [[np.zeros((p, p)) for _ in range(r)] for _ in range(r)]
        self.p = [np.zeros((p, p)) for _ in range(r)]
        self._bdn, self._ndn, self._n0dn, self._trace_d = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p)), 0.0
        labels = connected_components(abs(k) + abs(d), directed=False)[1] if k.shape[0] else np.zeros(0, dtype=int)
        levels = _levels_of_largest_factor(fit)
        for component in Blocks.of(labels):
            self._add(component, k, b, d, derivatives, seconds, levels)
        information = c - self._bdn
        self.phi = np.linalg.inv(0.5 * (information + information.T))
        first = (information - self._ndn) / self._s  # X'V^-1 W^-1 V^-1 X
        self.p[0] = -first
        self.q[0][0] = (first - self._n0dn) / self._s
        self.traces[0, 0] = ((self._n_rows - self._trace_d) / self._s - self.traces[0, 0]) / self._s
        expected = np.empty((r, r))
        for i in range(r):
            for j in range(r):
                drift = 2.0 * np.sum(self.phi * self.q[i][j].T) - np.sum(
                    (self.phi @ self.p[i]) * (self.phi @ self.p[j]).T
                )
                expected[i, j] = 0.5 * (self.traces[i, j] - drift)
        self.inverse = _inverse(expected)

    def _add(
        self,
        component: Blocks,
        k_all: Any,
        b_all: np.ndarray,
        d_all: Any,
        derivatives: list[Any],
        seconds: dict[tuple[int, int], Any],
        levels: np.ndarray,
    ) -> None:
        """Add what components of one size, which no random effect joins, have in every product."""
        _require_room(component.size)
        k, d, b = component.dense(k_all), component.block(d_all), b_all[component.members]
        inner = _times(k, d)
        inner[:, range(component.size), range(component.size)] += 1.0
        m, n = solved_by_levels(inner, k, b, levels[component.members])
        dn = _left(d, n)
        n0 = (n - m @ dn) / self._s  # Z'V^-1 W^-1 V^-1 X
        dm = _left(d, m)
        self._bdn += _inner(b, dn)
        self._ndn += _inner(n, dn)
        self._n0dn += _inner(dn, n0)
        self._trace_d += _trace(d, m)
        self.traces[0, 0] += (_trace(d, m) - _trace_of_product(dm, dm)) / self._s
        own = [component.block(e) for e in derivatives]
        moved, right = [_left(e, n) for e in own], [_left(e, m) for e in own]
        # in the order of rows, so that traces are products of two vectors
        left = [np.ascontiguousarray(product.transpose(0, 2, 1)) for product in right]
        for i, e in enumerate(own, start=1):
            self.p[i] -= _inner(n, moved[i - 1])
            mixed = _inner(n0, moved[i - 1])
            self.q[0][i] += mixed
            self.q[i][0] += mixed.T
            # of Z'V^-1 W^-1 V^-1 Z = (M - M D M) / s
            self.traces[0, i] += (_trace(e, m) - float(np.vdot(left[i - 1], dm))) / self._s
            self.traces[i, 0] = self.traces[0, i]
            across = m @ moved[i - 1]
            for j in range(1, i + 1):
                both = _inner(moved[j - 1], across)
                self.q[j][i] += both
                if j < i:
                    self.q[i][j] += both.T
                self.traces[i, j] += float(np.vdot(left[i - 1], right[j - 1]))
                self.traces[j, i] = self.traces[i, j]
        for (i, j), e_all in seconds.items():
            self.r[i + 1][j + 1] += _inner(n, _left(component.block(e_all), n))


def _levels_of_largest_factor(fit: Estimates) -> np.ndarray:
    """Level of the grouping factor with most random effects for each of these, -1 for effects of others, (q,)."""
    sizes: dict[str, int] = {}
    for t in fit.solution.terms:
        sizes[t.term.group] = sizes.get(t.term.group, 0) + len(t.term.levels) * t.term.Z.shape[1]
    related = {t.term.group for t in fit.solution.terms if t.term.relationship is not None}
    largest = max(sizes.keys() - related, key=lambda group: sizes[group], default=None)
    levels = [
        np.repeat(np.arange(len(t.term.levels)) if t.term.group == largest else np.full(len(t.term.levels), -1), k)
        for t in fit.solution.terms
        for k in (t.term.Z.shape[1],)
    ]
    return np.concatenate(levels) if levels else np.zeros(0, dtype=int)


# ---- products, block by block ----------------------------------------------------------------------------
def _left(e: Any, a: np.ndarray) -> np.ndarray:
    """e a, block by block."""
    return np.asarray(e @ a if isinstance(e, np.ndarray) else (e @ a[0])[None])


def _times(a: np.ndarray, e: Any) -> np.ndarray:
    """a e, block by block."""
    return np.asarray(a @ e if isinstance(e, np.ndarray) else (a[0] @ e)[None])


def _inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a' b over the blocks, (p, p)."""
    return np.asarray(a.reshape(-1, a.shape[2]).T @ b.reshape(-1, b.shape[2]))


def _trace(e: Any, a: np.ndarray) -> float:
    """Trace of e a, over all blocks."""
    if isinstance(e, np.ndarray):
        return float(np.sum(e * a.transpose(0, 2, 1)))
    return float(e.multiply(a[0].T).sum())


def _trace_of_product(a: np.ndarray, b: np.ndarray) -> float:
    """Trace of a b, over all blocks."""
    return float(np.vdot(np.ascontiguousarray(a.transpose(0, 2, 1)), b))


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse, in units of the parameters, on what the data inform about."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    used = values > _FLAT * values[-1]
    return (vectors[:, used] / values[used]) @ vectors[:, used].T / np.outer(scale, scale)


def _n_rows(fit: Estimates) -> float:
    frequency = fit.design.freq_weights
    return float(fit.nobs if frequency is None else frequency.sum())


def _weights(fit: Estimates) -> np.ndarray:
    weights = np.ones(fit.nobs)
    for given in (fit.design.freq_weights, fit.design.var_weights):
        weights = weights if given is None else weights * given
    return weights


def _sparse_design(fit: Estimates) -> Any:
    """Indicator matrix Z of all terms, term by term, level by level, (n, q)."""
    from scipy import sparse

    columns = []
    for t in fit.solution.terms:
        n, k = t.term.Z.shape
        places = t.term.codes[:, None] * k + np.arange(k)
        starts = np.arange(0, n * k + 1, k)
        shape = (n, len(t.term.levels) * k)
        columns.append(sparse.csr_array((t.term.Z.ravel(), places.ravel(), starts), shape))
    return sparse.hstack(columns, format="csr") if columns else sparse.csr_array((fit.nobs, 0))


def _cross_products(z: Any, x: np.ndarray, weights: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Z'WZ, Z'WX, X'WX."""
    from scipy import sparse

    wx = x * weights[:, None]
    weighted = sparse.csr_array((z.data * np.repeat(weights, np.diff(z.indptr)), z.indices, z.indptr), z.shape)
    return (weighted.T @ z).tocsr(), np.asarray(z.T @ wx), x.T @ wx


class _Blocks:
    """Derivatives of the random effects' covariance D by the variance parameters.

    Attributes
    ----------
    first : list of list of ndarray
        For each parameter, the derivative of every term's covariance of one level.
    second : dict of (int, int) to list of ndarray
        Second derivatives that are not zero.
    """

    def __init__(self, fit: Estimates) -> None:
        self._terms = fit.solution.terms
        self._levels = [_between_levels(t.term) for t in self._terms]
        self.first: list[list[np.ndarray]] = []
        self.second: dict[tuple[int, int], list[np.ndarray]] = {}
        problem, square = fit.estimator.problem, fit.sigma**2
        for place, t in enumerate(self._terms):
            part = problem.part_of(t.term)
            linear = _linear_derivatives(part)
            if linear is not None:
                self.first += [self._only(place, slope) for slope in linear]
                continue
            start = len(self.first)
            slopes, curvatures = _differences(part, fit.solution.x[part.where], square)
            self.first += [self._only(place, slope) for slope in slopes]
            for (i, j), value in curvatures.items():
                self.second[start + i, start + j] = self._only(place, value)

    def _only(self, place: int, value: np.ndarray) -> list[np.ndarray]:
        zero = [np.zeros((t.term.Z.shape[1],) * 2) for t in self._terms]
        zero[place] = value
        return zero

    def matrix(self, parts: list[np.ndarray]) -> Any:
        """Block-diagonal matrix (q, q) with a term's (k, k) block for each of its levels, sparse."""
        from scipy import sparse

        if not parts:
            return sparse.csr_array((0, 0))
        return sparse.csr_array(
            sparse.block_diag([sparse.kron(levels, p) for levels, p in zip(self._levels, parts, strict=True)])
        )


def _between_levels(term: RandomTerm) -> Any:
    """Covariances of one coefficient between levels, in units of its variance, sparse."""
    from scipy import sparse

    n_levels = len(term.levels)
    if term.relationship is None:
        return sparse.eye_array(n_levels)
    _require_room(n_levels * term.Z.shape[1])
    return sparse.csr_array(term.relationship.matrix().to_numpy())


def _require_room(q: int) -> None:
    require_memory(
        10 * 8.0 * q * q,
        f"Kenward and Roger's method with {q} random effects that are joined",
        "use df='satterthwaite' with so many",
    )


def _linear_derivatives(part: TermPart) -> list[np.ndarray] | None:
    """Derivatives by variances and covariances where the structure leaves these free; None for others."""
    k = part.structure.k
    unit = np.eye(k)
    match part.term.structure:
        case "us":
            pairs = [(i, j) for i in range(k) for j in range(i + 1)]
            return [
                unit[[i]].T @ unit[[i]] if i == j else np.outer(unit[i], unit[j]) + np.outer(unit[j], unit[i])
                for i, j in pairs
            ]
        case "diag":
            return [np.outer(unit[i], unit[i]) for i in range(k)]
        case "homdiag":
            common = part.root_back @ part.root_back.T
            return [common / common[0, 0]]
    return None


def _differences(
    part: TermPart, theta: np.ndarray, square: float
) -> tuple[list[np.ndarray], dict[tuple[int, int], np.ndarray]]:
    """First and second derivatives of one level's covariance by the structure's own parameters."""

    def covariance(at: np.ndarray) -> np.ndarray:
        root = part.root_back @ part.structure.factor(at)
        return np.asarray(square * root @ root.T)

    steps = _STEP * np.maximum(np.abs(theta), 1e-2)
    unit = np.diag(steps)
    slopes = [(covariance(theta + e) - covariance(theta - e)) / (2.0 * h) for e, h in zip(unit, steps, strict=True)]
    curvatures = {}
    for i, a in enumerate(unit):
        for j, b in enumerate(unit):
            corners = covariance(theta + a + b) - covariance(theta + a - b)
            corners += covariance(theta - a - b) - covariance(theta - a + b)
            curvatures[i, j] = corners / (4.0 * steps[i] * steps[j])
    return slopes, curvatures
