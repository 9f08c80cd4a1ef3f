"""How often each count occurs in the data, and in data simulated from the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.inputs import simulated_only

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["count_frequencies"]

MOST_COUNTS = 25


def count_frequencies(res: Any, max_count: int | None = None) -> pd.DataFrame:
    """How often each count occurs in the data and in the simulations.

    Parameters
    ----------
    res : SimulatedResiduals
        Of a response of whole numbers, none negative.
    max_count : int, optional
        Counts from here on are put together; by default the 99.5 % point of the data.

    Returns
    -------
    DataFrame
        One row per count, or range of counts when there are many: ``low``, ``high`` (None for the last),
        ``observed``, ``expected`` (mean over simulations), ``lower``, ``upper`` (95 % of simulations), ``outside``
        (whether the observed frequency lies outside these).

    Raises
    ------
    ValueError
        If the response is not a count.
    """
    import pandas as pd

    simulated_only(res, "plot_rootogram")
    y = res.observed
    if np.any(y != np.rint(y)) or y.min() < 0:
        raise ValueError("a rootogram needs counts: whole numbers, none negative")
    if y.max() > 2**53:
        raise ValueError(f"a rootogram needs counts that are exact, up to 2**53; there is one of {y.max():.3g}")
    top = int(np.quantile(y, 0.995)) + 1 if max_count is None else int(max_count)
    if top < 1:
        raise ValueError(f"max_count={max_count}: must be at least 1")
    step = max(1, -(-top // MOST_COUNTS))
    edges = np.arange(0, top + step, step)
    observed = _tabulate(y[None, :], edges)[0]
    simulated = np.vstack([_tabulate(block, edges) for _, block in res.iter_simulations()])
    lower, upper = np.quantile(simulated, [0.025, 0.975], axis=0)
    observed_outside = (observed < lower) | (observed > upper)
    return pd.DataFrame(
        {
            "low": edges,
            "high": [*(edges[1:] - 1), None],
            "observed": observed,
            "expected": simulated.mean(axis=0),
            "lower": lower,
            "upper": upper,
            "outside": observed_outside,
        }
    )


def _tabulate(block: Any, edges: Any) -> Any:
    """Frequencies of each row of a block ``(b, n)`` in ``[edge, next edge)``, the last open above."""
    where = np.clip(np.searchsorted(edges, block, side="right") - 1, 0, edges.size - 1)
    flat = where + np.arange(block.shape[0])[:, None] * edges.size
    return np.bincount(flat.ravel(), minlength=block.shape[0] * edges.size).reshape(-1, edges.size)
