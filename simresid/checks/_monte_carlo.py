"""Monte Carlo error of p-values that are computed from residuals.

Such a p-value depends on which simulations were drawn and on how ties were broken. Both are drawn again:
simulations by resampling replicates with replacement (weights on the columns of the comparison matrix), ties
by fresh uniforms. The standard deviation over these replicates estimates the standard error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simresid.checks.inputs import FloatArray

__all__ = ["residual_replicates"]

#: Largest number of simulated values for which replicates are made.
MAX_VALUES = 6_000_000


def residual_replicates(res: Any, n_replicates: int) -> FloatArray | None:
    """Residual vectors from resampled simulations, ``(n_replicates, n)``; None where they would be costly.

    Only for residuals that are ranks of the response among simulations in memory.
    """
    if res.method not in ("rank", "pit") or res.refits is not None or res.whiten is not None:
        return None
    if res.n_obs * res.n_sims > MAX_VALUES or res.simulated is None:
        return None
    rng = res.child_rng("Monte Carlo error")
    n_sims = res.n_sims
    weights = rng.multinomial(n_sims, np.full(n_sims, 1 / n_sims), size=n_replicates).astype(np.float32)
    below = weights @ (res.simulated < res.observed).astype(np.float32)
    equal = weights @ (res.simulated == res.observed).astype(np.float32)
    v = rng.random(below.shape)
    if res.method == "pit":
        return np.asarray(np.minimum((below + v * equal) / n_sims, 1.0), dtype=float)
    return np.asarray(np.minimum((below + v * (1.0 + equal)) / (n_sims + 1.0), 1.0), dtype=float)
