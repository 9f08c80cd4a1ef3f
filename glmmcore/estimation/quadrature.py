"""Adaptive Gauss-Hermite quadrature for one grouping factor, with the exact gradient of the approximation itself.

With H_j = L L' at the mode u^_j, C = L^-T and nodes u_m = u^_j + C x_m of a product rule for N(0, I_k),

    F = sum_j { 1/2 log|H_j| - log sum_m W_m exp(|x_m|^2 / 2 - h_j(u_m)) },

which is Laplace's for a single node. The nodes move with u^ and C; with p_m the normalised terms, g_m = dh_j/du at u_m,
gamma = sum p_m g_m x_m' and Phi(M) = lower triangle with halved diagonal, the role that H^-1 / 2 has in Laplace's
gradient is taken by  Hbar = H^-1 / 2 - C sym(Phi(gamma' C)) C'.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np

from glmmcore.arguments import require_whole
from glmmcore.engines.blocked import BlockedSystem
from glmmcore.errors import ModelError
from glmmcore.estimation.laplace import Evaluated, LaplaceObjective, row_blocks
from glmmcore.estimation.problem import Problem

__all__ = [
    "QuadratureObjective",
    "check_points",
    "check_quadrature",
    "laplace_error",
    "product_rule",
    "require_nodes",
]

_MAX_COEFFICIENTS = 3
# Up to here the nodes of Gauss-Hermite quadrature are known to full precision, and more change nothing.
_MAX_NODES = 100
# Points of the product rule for one level that a search can afford: each is a pass over the rows.
_MAX_POINTS = 1000
# Nodes whose weight is below this share of the largest cannot matter at double precision.
_PRUNE = 1e-10


def check_quadrature(problem: Problem) -> None:
    """Raise `ModelError` when the model has no quadrature rule."""
    layout = problem.layout
    if layout is None:
        raise ModelError("n_agq > 1 needs random effects; the model has none")
    if any(f.covarying for f in layout.factors):
        raise ModelError("n_agq > 1 needs independent levels, effects of places or times covary; use n_agq=1 (Laplace)")
    if layout.has_covarying_levels:
        raise ModelError("n_agq > 1 needs independent levels, known= makes them covary; use n_agq=1 (Laplace)")
    if problem.reml or len(layout.factors) > 1 or len(problem.inner) > 1:
        raise ModelError(
            "n_agq > 1 needs exactly one grouping factor in one part of the model and maximum likelihood; "
            "use n_agq=1 (Laplace)"
        )
    if layout.factors[0].k > _MAX_COEFFICIENTS:
        raise ModelError(
            f"n_agq > 1 allows at most {_MAX_COEFFICIENTS} coefficients per level, "
            f"{layout.factors[0].name} has {layout.factors[0].k}; use n_agq=1 (Laplace)"
        )


def require_nodes(n_agq: Any, what: str) -> None:
    """Refuse a number of nodes that is none or beyond any use."""
    require_whole(n_agq, what, least=1, most=_MAX_NODES)


def check_points(problem: Problem, n_agq: int) -> None:
    """Raise `ModelError` when a search with this rule would take too long."""
    assert problem.layout is not None
    lead = problem.layout.factors[0]
    k = lead.k
    if n_agq**k > _MAX_POINTS:
        most = int(_MAX_POINTS ** (1.0 / k) + 1e-9)
        raise ModelError(
            f"n_agq={n_agq} with {k} coefficients per level of {lead.name} takes {n_agq**k} points a level, "
            f"more than the {_MAX_POINTS} allowed; n_agq up to {most} is possible, and 9 are plenty"
        )


class QuadratureObjective(LaplaceObjective):
    """`LaplaceObjective` with `n_agq` nodes in each dimension."""

    def __init__(self, problem: Problem, n_agq: int) -> None:
        check_quadrature(problem)
        super().__init__(problem)
        lead = self.layout.factors[0]
        self.nodes, self.weights = product_rule(n_agq, lead.k)
        self._level = self.layout.of_rows(self.layout.start[:, 0] // lead.k)
        self._first = np.searchsorted(self._level, np.arange(lead.n_levels))

    def _derivatives(
        self, x: np.ndarray, values: list[np.ndarray], factors: list[np.ndarray]
    ) -> tuple[float, np.ndarray]:
        at = self._at_mode(values, factors)
        if at is None:
            return np.inf, np.zeros(len(x))
        layout = self.layout
        system = cast(BlockedSystem, self.system)  # one factor is never sparse
        t, k = factors[0], layout.factors[0].k
        information, triangle = system.lead_blocks()
        scale = np.linalg.inv(triangle).transpose(0, 2, 1)  # C = L^-T
        u = self.mode.reshape(-1, k)
        nodes = self._visit_nodes(values, t, u, scale)
        inverse = scale @ scale.transpose(0, 2, 1)
        folded = np.tril(nodes.gamma.transpose(0, 2, 1) @ scale)
        folded[:, np.arange(k), np.arange(k)] *= 0.5
        half = 0.5 * inverse - scale @ (0.5 * (folded + folded.transpose(0, 2, 1))) @ scale.transpose(0, 2, 1)
        blocks = np.ascontiguousarray(t @ half @ t.T)
        tau = np.empty_like(at.d1)
        tau_score = np.zeros(layout.order)
        for lo, hi in row_blocks(self.problem.n):
            leverage = np.empty((1, hi - lo))
            system.row_quadratics(lo, hi, blocks, leverage)
            tau[:, lo:hi] = -leverage * at.d3[0, :, lo:hi]
            layout.add_score(lo, hi, np.ascontiguousarray(tau[self._inner, lo:hi]), tau_score)
        v = system.solve(nodes.gradient.ravel() + layout.apply_transposed(factors, tau_score))
        bv = layout.apply_factors(factors, v)
        g = tau - nodes.d1
        for lo, hi in row_blocks(self.problem.n):
            av = np.zeros((1, hi - lo))
            layout.add_random_part(lo, hi, bv, av)
            g[:, lo:hi] += at.d2[0, :, lo:hi] * av
        value = nodes.value + 0.5 * system.logdet + float(v @ at.residual)
        gradient = self._assemble(g)
        curvature_score = tau_score - system.multiply(bv)
        d_factor = (
            nodes.outer
            + layout.by_level(curvature_score, 0).T @ layout.by_level(self.mode, 0)
            + layout.by_level(at.score, 0).T @ layout.by_level(v, 0)
            + 2.0 * (information @ (t @ half)).sum(axis=0)
        )
        self.problem.chain_to_theta([d_factor], x, gradient)
        system.invert()
        self._random_trace = layout.trace(factors, system.factor_products())
        system.scale_inverse()
        self._last = Evaluated(x.copy(), value, gradient.copy(), values, factors, at.d2, at.score)
        return value, gradient

    def _visit_nodes(self, values: list[np.ndarray], t: np.ndarray, u: np.ndarray, scale: np.ndarray) -> _NodeSums:
        """Averages over the nodes of every level, in one pass over nodes and rows."""
        layout, n = self.layout, self.problem.n
        n_levels, k = u.shape
        total = np.zeros(n_levels)
        gradient, gamma, outer = np.zeros((n_levels, k)), np.zeros((n_levels, k, k)), np.zeros((n_levels, k, k))
        mean_d1 = np.zeros((len(values), n))
        d1, loglik = np.empty((len(values), n)), np.empty(n)
        reference = np.zeros(0)
        for node, weight in zip(self.nodes, self.weights, strict=True):
            u_node = u + scale @ node
            b = (u_node @ t.T).ravel()
            score = np.zeros(layout.order)
            for lo, hi in row_blocks(self.problem.n):
                rows = self._with_random(lo, hi, values, b)
                loglik[lo:hi], d1[:, lo:hi], _, _ = self.problem.likelihood.derivatives(lo, hi, rows)
                layout.add_score(lo, hi, np.ascontiguousarray(d1[self._inner, lo:hi]), score)
            by_level = score.reshape(n_levels, k)
            h = 0.5 * np.square(u_node).sum(axis=1) - np.add.reduceat(loglik, self._first)
            if not len(reference):
                # nodes come by distance from the mode: the first has nearly the smallest h, so nothing overflows
                reference = h.copy()
            share = weight * np.exp(0.5 * float(node @ node) - (h - reference))
            share = np.where(np.isfinite(share), share, 0.0)
            inner = u_node - by_level @ t
            total += share
            gradient += share[:, None] * inner
            gamma += share[:, None, None] * inner[:, :, None] * node
            outer -= share[:, None, None] * by_level[:, :, None] * u_node[:, None, :]
            mean_d1 += share[self._level] * np.where(share[self._level] > 0.0, d1, 0.0)
        return _NodeSums(
            float(np.sum(reference - np.log(total))),
            gradient / total[:, None],
            gamma / total[:, None, None],
            (outer / total[:, None, None]).sum(axis=0),
            mean_d1 / total[self._level],
        )


def laplace_error(problem: Problem, x: np.ndarray, n_agq: int) -> float:
    """Log-likelihood by quadrature minus Laplace's at the same parameters."""
    require_nodes(n_agq, "laplace_error: n_agq")
    check_quadrature(problem)
    check_points(problem, n_agq)
    laplace, _ = LaplaceObjective(problem)(x)
    quadrature, _ = QuadratureObjective(problem, n_agq)(x)
    return laplace - quadrature


@dataclass(slots=True, eq=False)
class _NodeSums:
    """Node averages: -log of the sums, g (L, k), gamma (L, k, k), -sum over levels of Z'l_1 u', mean of l_c (P, n)."""

    value: float
    gradient: np.ndarray
    gamma: np.ndarray
    outer: np.ndarray
    d1: np.ndarray


def product_rule(n_agq: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (M, k) and weights (M,) of the product Gauss-Hermite rule for N(0, I_k), nearest nodes first."""
    x, w = np.polynomial.hermite_e.hermegauss(n_agq)
    w = w / w.sum()
    nodes = np.array(list(product(x, repeat=k)))
    weights = np.array([np.prod(c) for c in product(w, repeat=k)])
    kept = weights > (_PRUNE * weights.max() if k == _MAX_COEFFICIENTS else 0.0)
    order = np.argsort(np.square(nodes[kept]).sum(axis=1), kind="stable")
    return np.ascontiguousarray(nodes[kept][order]), weights[kept][order]
