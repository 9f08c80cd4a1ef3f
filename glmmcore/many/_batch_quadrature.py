"""Adaptive Gauss-Hermite quadrature of many responses of one design at once, with its exact gradient.

The mathematics is that of `glmmcore.estimation.quadrature`; arrays carry the response as their first axis, so that all
responses of a block share the calls of numpy and of the family at every node.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.estimation.problem import Problem
from glmmcore.estimation.quadrature import product_rule
from glmmcore.many._batch_algebra import pulled, pushed
from glmmcore.many._batch_objective import NO_MODE, BatchObjective, Rows

__all__ = ["BatchQuadrature"]


class BatchQuadrature(BatchObjective):
    """F and dF/dx of `B` responses, with `n_agq` nodes in each dimension."""

    def __init__(self, problem: Problem, y: np.ndarray, n_agq: int) -> None:
        super().__init__(problem, y)
        self._nodes, self._weights = product_rule(n_agq, self.k)

    def _derivatives(self, at: Rows, which: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mode = self._at_modes(at, which, t)
        root = _inverse_root(mode.inverse, self._hessian(t, mode.information), mode.positive)
        nodes = self._visit_nodes(at, t, mode.u, root)
        back = np.swapaxes(root, 2, 3)
        folded = np.tril(np.swapaxes(nodes.gamma, 2, 3) @ root)
        folded[..., np.arange(self.k), np.arange(self.k)] *= 0.5
        half = 0.5 * mode.inverse - root @ (0.5 * (folded + np.swapaxes(folded, 2, 3))) @ back
        tau = -self._quadratic(t[:, None] @ half @ np.swapaxes(t, 1, 2)[:, None]) * mode.d3
        tau_score = self.level_sums(tau[0][:, :, None] * self.z)
        target = nodes.gradient + pushed(np.swapaxes(t, 1, 2), tau_score)
        v = np.einsum("blij,blj->bli", mode.inverse, target)
        value = nodes.value + 0.5 * mode.logdet + np.einsum("bli,bli->b", v, mode.residual)
        value[~(mode.positive & (mode.decrement <= NO_MODE))] = np.inf
        gradient = self._assemble(tau - nodes.d1 + mode.d2 * self._random(t, v))
        curvature_score = tau_score - np.einsum("blij,blj->bli", mode.information, pushed(t, v))
        d_factor = nodes.outer + 2.0 * (mode.information @ (t[:, None] @ half)).sum(axis=1)
        d_factor += np.einsum("bli,blj->bij", curvature_score, mode.u)
        d_factor += np.einsum("bli,blj->bij", mode.score, v)
        gradient[:, self.theta] = np.einsum("bij,mij->bm", d_factor, self.basis)
        return value, gradient

    def _visit_nodes(self, at: Rows, t: np.ndarray, u: np.ndarray, root: np.ndarray) -> _NodeSums:
        """Averages over the nodes of every level of every response, in one pass over nodes and rows."""
        everything, shape, k = np.arange(at.count), (at.count, self.n), self.k
        total, gradient = np.zeros(u.shape[:2]), np.zeros_like(u)
        gamma, outer = np.zeros((*u.shape, k)), np.zeros((*u.shape, k))
        mean_d1: np.ndarray | float = 0.0
        reference = np.zeros(0)
        for node, weight in zip(self._nodes, self._weights, strict=True):
            u_node = u + root @ node
            flat = self._predictors(at, everything, t, u_node)
            l, d1, _, _ = at.likelihood.derivatives(0, len(flat[0]), flat)
            d1 = d1.reshape(-1, *shape)
            score = self.level_sums(d1[0][:, :, None] * self.z)
            h = 0.5 * np.square(u_node).sum(axis=2) - self.level_sums(l.reshape(shape))
            if not len(reference):  # the nearest node: nothing overflows
                reference = h
            share = weight * np.exp(0.5 * float(node @ node) - (h - reference))
            share = np.where(np.isfinite(share), share, 0.0)
            inner = share[:, :, None] * (u_node - pulled(t, score[..., None])[..., 0])
            total += share
            gradient += inner
            gamma += inner[..., None] * node
            outer -= (share[:, :, None] * score)[..., None] * u_node[:, :, None, :]
            by_row = share[:, self.level]
            mean_d1 = mean_d1 + by_row * np.where(by_row > 0.0, d1, 0.0)
        return _NodeSums(
            (reference - np.log(total)).sum(axis=1),
            gradient / total[..., None],
            gamma / total[..., None, None],
            (outer / total[..., None, None]).sum(axis=1),
            mean_d1 / total[:, self.level],
        )


def _inverse_root(inverse: np.ndarray, hessian: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """L'^-1 with L the Cholesky factor of each block; the identity for responses where some have none."""
    if inverse.shape[-1] == 1:
        return np.sqrt(inverse)
    safe = np.where(positive[:, None, None, None], hessian, np.eye(inverse.shape[-1]))
    return np.asarray(np.swapaxes(np.linalg.inv(np.linalg.cholesky(safe)), 2, 3))


@dataclass(slots=True, eq=False)
class _NodeSums:
    """-log of the sums (b,), g (b, L, k), gamma (b, L, k, k), -sum of Z'l_1 u' (b, k, k), mean of l_c (P, b, n)."""

    value: np.ndarray
    gradient: np.ndarray
    gamma: np.ndarray
    outer: np.ndarray
    d1: np.ndarray
