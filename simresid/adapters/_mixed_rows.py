"""The shape of a mixed model: rows independent given normal random effects, which can be drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.adapters._rows import ConditionalRows, redraws_random_effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from scipy import sparse

    from simresid.adapters._laws import Law
    from simresid.alignment import FloatArray
    from simresid.protocol import RandomEffects


__all__ = ["MixedRows", "mean_over_normal"]


class MixedRows(ConditionalRows):
    """A fitted mixed model whose random part of the linear predictor is ``root @ z`` with standard normal z.

    Parameters
    ----------
    law_at : callable
        Takes the linear predictor ``(n,)``, returns the law of the response.
    fixed : array_like (n,)
        Fixed part of the linear predictor, offset included.
    predicted : array_like (n,)
        Fitted random part of the linear predictor.
    root : sparse array (n, q)
        Root of the covariance of the random part.
    observed, **known
        See `ConditionalRows`.
    """

    has_random_effects = True

    def __init__(
        self,
        law_at: Callable[[FloatArray], Law],
        fixed: ArrayLike,
        predicted: ArrayLike,
        root: sparse.csr_array,
        observed: ArrayLike,
        **known: Any,
    ) -> None:
        self._law_at = law_at
        self._fixed = np.asarray(fixed, float)
        self._root = root
        super().__init__(law_at(self._fixed + np.asarray(predicted, float)), observed, **known)

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional") -> NDArray[Any]:
        """Draw `n_sims` responses ``(n_sims, n)``, given the fitted random effects or with new ones."""
        generator = np.random.default_rng(rng)
        if not redraws_random_effects(random_effects, True):
            return self.law.draw(n_sims, generator)
        effects = generator.standard_normal((n_sims, self._root.shape[1]))
        predictors = self._fixed + (self._root @ effects.T).T
        return np.stack([self._law_at(predictor).draw(1, generator)[0] for predictor in predictors])

    def population_mean(self) -> FloatArray:
        """Mean over new random effects ``(n,)``, the mean of unconditional simulations."""
        spread = np.sqrt(np.asarray(self._root.multiply(self._root).sum(axis=1), float).ravel())
        return mean_over_normal(lambda eta: self._law_at(eta).mean(), self._fixed, spread)


def mean_over_normal(mean: Callable[[FloatArray], FloatArray], eta: FloatArray, sd: FloatArray) -> FloatArray:
    """Return ``E[mean(eta + sd Z)]`` for standard normal Z, per row ``(n,)``.

    The mean over random effects is not the mean at the fixed part. Trapezoids of width 0.1: their error falls
    exponentially for functions analytic in a strip (Trefethen & Weideman 2014), below 1e-10 for the
    exponential, logistic and normal curves up to a standard deviation of 8. A log link moves the mass to
    ``sd``, so the range does.
    """
    reach = 9.0 + float(np.max(sd, initial=0.0))
    nodes = np.arange(-reach, reach + 0.05, 0.1)
    weights = np.exp(-(nodes**2) / 2)
    total = np.zeros_like(eta)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        total += weight * mean(eta + node * sd)
    return total
