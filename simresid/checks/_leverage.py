r"""How much the fit itself shrinks residuals, and how to undo it.

A row with leverage `h` pulls its own prediction towards itself: :math:`E(y-\hat\mu)^2 \approx V(1-h)`. Given
fitted random effects the leverages are those of a ridge regression and add up to `edf`, which grows with the
number of groups, so that at fixed group size the residuals of a right model are too narrow by a constant
share and every test of their distribution rejects at large `n`. The residuals are therefore widened on the
normal scale,

.. math:: u' = \Phi\{\Phi^{-1}(u) / \sqrt{1 - (1 - v) h}\},

`v` being the part of the variance that comes from breaking ties at random, which the fit cannot shrink: the
variance of a standard normal variable within the cell of its tied response, averaged over simulated
responses of the row. Without leverages ``h = edf / n``. Sums and means over groups have a leverage of their
own, which the model must know (`group_leverage`), as it depends on how the groups lie to the random effects.
For a Poisson GLMM with 100 groups of 10 this takes the size of the quantile test at 5 % from .12 to .03, of
heteroscedasticity from .11 to .04; for 0/1 responses from .10 to .05.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simresid.checks.inputs import FloatArray, is_simulated, residual_array, shares_random_effects
from simresid.protocol import HasEffectiveDf, HasGroupLeverage, HasLeverage, HasResidualDf
from simresid.residuals.recombination import MANY_ROWS

__all__ = ["effective_parameters", "leverage_of", "shrinkage", "widened_residuals"]

#: Simulations that ties are looked for in; half as many above so many rows, whose average settles sooner.
N_POOL, N_PROBES, N_PROBES_OF_LAW = 64, 8, 2


def effective_parameters(model: Any) -> float | None:
    """Effective number of parameters, None if the model does not say."""
    edf = model.edf if isinstance(model, HasEffectiveDf) else None
    if edf is not None and np.isfinite(edf):
        return float(edf)
    df_resid = model.df_resid if isinstance(model, HasResidualDf) else None
    return None if df_resid is None else float(int(model.nobs) - df_resid)


def leverage_of(res: Any) -> tuple[FloatArray, str]:
    """Leverage per row or group, from the model or spread evenly, and a word on where it comes from."""
    zero = np.zeros(res.n_obs)
    model = res.model
    if model is None or (res.is_grouped and shares_random_effects(res)):
        return zero, "none"
    membership = res.rows.membership
    if membership is not None and isinstance(model, HasGroupLeverage):
        of_groups = model.group_leverage
        found: FloatArray = res.remember("leverage of groups", lambda: _clipped(of_groups(membership)))
        return found, "leverage"
    if res.is_grouped or model.nobs != res.n_obs:
        return zero, "none"
    if isinstance(model, HasLeverage):
        return _clipped(model.leverage), "leverage"
    edf = effective_parameters(model)
    if edf is None or not 0 <= edf < res.n_obs:
        return zero, "none"
    return np.full(res.n_obs, edf / res.n_obs), "effective degrees of freedom"


def _clipped(leverage: Any) -> FloatArray:
    return np.asarray(np.clip(np.asarray(leverage, dtype=float), 0.0, 0.999))


def shrinkage(res: Any) -> FloatArray | None:
    """``sqrt(1 - (1 - v) h)`` per residual, None where residuals are not shrunk or not known to be.

    The latter are plain arrays, residuals with new random effects, after refits or after a rotation.
    """
    if not is_simulated(res) or shares_random_effects(res) or res.method not in ("rank", "pit", "exact"):
        return None
    if res.refits is not None or res.whiten is not None:
        return None
    factor: FloatArray | None = res.remember("shrinkage by the fit", lambda: _shrinkage(res))
    return factor


def _shrinkage(res: Any) -> FloatArray | None:
    h, _ = leverage_of(res)
    return np.sqrt(1.0 - (1.0 - tie_variance(res)) * h) if h.any() else None


def widened_residuals(res: Any) -> FloatArray:
    """Residuals with the shrinkage by the fit undone.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)

    Returns
    -------
    ndarray (n,)
    """
    from scipy.special import ndtr, ndtri

    u, factor = residual_array(res), shrinkage(res)
    if factor is None:
        return u
    widened: FloatArray = res.remember("widened residuals", lambda: ndtr(ndtri(u) / factor))
    return widened


def tie_variance(res: Any) -> FloatArray:
    """Mean variance within the cells of tied responses ``(n,)``, normal scale; 0 for continuous ones."""
    if not res.discrete:
        return np.zeros(res.n_obs)
    if res.from_law and res.n_obs > MANY_ROWS and res.rows.membership is None:
        return _tie_variance_of_law(res)
    halving = 2 if res.n_obs > MANY_ROWS else 1
    pool = _some_simulations(res, N_POOL // halving)
    n_probes = min(N_PROBES // halving, len(pool))
    total = np.zeros(res.n_obs)
    for probe in pool[:n_probes]:
        below = np.count_nonzero(pool < probe, axis=0)
        equal = np.count_nonzero(pool == probe, axis=0)
        total += truncated_normal_variance(below / (len(pool) + 1), (below + equal) / (len(pool) + 1))
    return total / n_probes


def _tie_variance_of_law(res: Any) -> FloatArray:
    """The same where the distribution function gives the cells; two responses a row settle the average."""
    total = np.zeros(res.n_obs)
    probes = _some_simulations(res, N_PROBES_OF_LAW)
    for probe in probes:
        low, high = res.model.cdf(probe)
        total += truncated_normal_variance(low, np.maximum(high, low + 1e-12))
    return total / len(probes)


def truncated_normal_variance(low: FloatArray, high: FloatArray) -> FloatArray:
    """Variance of a standard normal variable between its quantiles at `low` and `high`.

    Examples
    --------
    >>> import numpy as np
    >>> truncated_normal_variance(np.array([0.0, 0.5]), np.array([1.0, 1.0])).round(4)
    array([1.    , 0.3634])
    """
    from scipy.special import ndtri

    a, b = ndtri(np.clip(low, 1e-12, 1.0)), ndtri(np.clip(high, 0.0, 1 - 1e-12))
    pa, pb = (np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) for x in (a, b))
    width = high - low
    mean = (pa - pb) / width
    return np.asarray(np.clip(1 + (a * pa - b * pb) / width - mean**2, 0.0, 1.0))


def _some_simulations(res: Any, count: int) -> FloatArray:
    """First replicates, the same ones whether or not they are in memory."""
    blocks: list[FloatArray] = []
    for _, block in res.iter_simulations():
        blocks.append(block)
        count -= len(block)
        if count <= 0:
            break
    pool = np.concatenate(blocks)
    return pool[: len(pool) + min(count, 0)]
