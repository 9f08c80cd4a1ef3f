"""P-values of several tests of one object, adjusted for their number.

Tests against the same refits are adjusted by Westfall and Young's step-down method: every refitted data set has a
p-value of every test too, so that it is known how often the smallest of several is as small as that of the data,
whatever the tests have in common. It is coarse with few refits and knows nothing of the continued tail beyond them;
therefore an adjusted p-value is the smaller of it and Holm's, and never below the p-value itself.

Tests stop at different numbers of refits. Where some p-value is below the level, those that stopped early are done
again with as many refits as the others, which the pool holds already; their own p-values stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from simresid.checks.base import CheckResult
from simresid.checks.inputs import FloatArray
from simresid.checks.pvalues import holm, westfall_young

__all__ = ["adjusted_pvalues"]


def adjusted_pvalues(
    results: Mapping[str, CheckResult], again: Callable[[str, int], CheckResult] | None = None, level: float = 0.05
) -> dict[str, float]:
    """Adjusted p-values by the name of the test.

    Parameters
    ----------
    results : mapping of str to CheckResult
        All with a p-value.
    again : callable, optional
        Does the test of a name once more, with so many refits.
    level : float
        Where no p-value is below it, Holm's method is enough.
    """
    adjusted = holm([result.sharp_pvalue for result in results.values()])
    raw = np.array([result.pvalue for result in results.values()])
    ranks = _common_ranks(results, again) if len(results) > 1 and raw.min() < level else None
    if ranks is not None:
        adjusted = np.minimum(adjusted, westfall_young(ranks))
    return dict(zip(results, np.maximum(adjusted, raw).tolist(), strict=True))


def _common_ranks(
    results: Mapping[str, CheckResult], again: Callable[[str, int], CheckResult] | None
) -> FloatArray | None:
    """P-values of data and refits ``(n_tests, 1 + n_refits)``; None where some test has none."""
    ranks = {name: result.ranks for name, result in results.items()}
    sizes = [0 if r is None else r.size for r in ranks.values()]
    if min(sizes) == 0:
        return None
    for name, size in zip(results, sizes, strict=True):
        if size < max(sizes) and again is not None:
            ranks[name] = again(name, max(sizes) - 1).ranks
    found = [r for r in ranks.values() if r is not None and r.size == max(sizes)]
    if len(found) < len(results):
        return None
    table = np.array(found)
    return np.asarray(table[:, np.isfinite(table).all(axis=0)])
