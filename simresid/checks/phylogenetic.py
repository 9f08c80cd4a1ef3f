"""Test residuals for phylogenetic autocorrelation: Moran's I with inverse patristic distances as weights.

Rows are matched to the tips of the tree by label, never by position, unless the distances carry no labels.
Several rows of one species are combined (`simresid.checks._moran`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.checks._moran import (
    MoranNull,
    check_moran_null,
    inverse_weights,
    moran_test,
    neighbour_weights,
    places_from_distances,
)
from simresid.checks.entry import AUTOCORRELATION_LIMITS, ResidualTest
from simresid.checks.inputs import Residuals, aligned, is_simulated, residual_array
from simresid.checks.pvalues import check_alternative
from simresid.checks.spatial import MoranResult

__all__ = ["PHYLOGENETIC", "PhylogeneticResult", "phylogenetic_autocorrelation_test"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PhylogeneticResult(MoranResult):
    """Moran's I along a phylogeny.

    Its attributes are those of `simresid.checks.results.MoranResult`.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import phylogenetic_autocorrelation_test
    >>> distances = np.abs(np.subtract.outer(np.arange(8.0), np.arange(8.0)))
    >>> phylogenetic_autocorrelation_test(np.linspace(0.1, 0.9, 8), distances).pvalue < 0.05
    True
    """

    title = "phylogenetic autocorrelation"
    remedy = "related species resemble each other: add a phylogenetic covariance, or taxa as random effects"


def phylogenetic_autocorrelation_test(
    res: Residuals,
    distances: Any,
    labels: Any = None,
    *,
    alternative: str = "two-sided",
    null: MoranNull = "auto",
    n_refits: int | None = None,
) -> MoranResult:
    """Test whether related species have similar residuals.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    distances : DataFrame or array_like (m, m)
        Patristic distances between species. A data frame has the species as row and column labels, in any
        order; it may hold species without data.
    labels : array_like (n,) or str, optional
        Species of each residual. Needed with a data frame unless the row labels of the residuals are the
        species; an array without labels must have one row per residual, in the same order.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is positive autocorrelation.
    null : {"auto", "refits", "simulated", "analytic", "permutation"}
        As in `spatial_autocorrelation_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    MoranResult
        `statistic` is Moran's I, `expected` and `sd` its moments without autocorrelation.

    Raises
    ------
    ValueError
        If a species is not in the distances, or distances are not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from simresid import phylogenetic_autocorrelation_test
    >>> species = list("abcdefgh")
    >>> d = pd.DataFrame(np.abs(np.subtract.outer(range(8), range(8))) + 0.0, species, species)
    >>> u = pd.Series(np.linspace(0.1, 0.9, 8), species)
    >>> a = phylogenetic_autocorrelation_test(u, d, species)
    >>> b = phylogenetic_autocorrelation_test(u[::-1], d, species[::-1])
    >>> a.pvalue == b.pvalue, a.pvalue < 0.05
    (True, True)
    """
    import pandas as pd

    check_alternative(alternative)
    check_moran_null(null, n_refits)
    u = residual_array(res)
    if isinstance(distances, pd.DataFrame):
        if labels is None:
            if not is_simulated(res):
                raise ValueError("labels= must name the species of each residual")
            labels = res.index.to_numpy()  # type: ignore[union-attr]
        species = aligned(labels, res, "labels")
        if not distances.index.is_unique or set(distances.index) != set(distances.columns):
            raise ValueError("distances must have the same, unique species as row and column labels")
        unknown = sorted(str(s) for s in set(species) - set(distances.index))
        if unknown:
            raise ValueError(
                f"species without distances: {', '.join(unknown[:5])} ({len(unknown)} in all); the distances are of "
                f"{', '.join(map(repr, distances.index[:5]))}, ..."
            )
        used = [s for s in distances.index if s in set(species)]
        d, tip = places_from_distances(distances.loc[used, used])
        place = tip[pd.Index(used).get_indexer(species)]
    else:
        if labels is not None:
            raise ValueError("labels= need distances as a DataFrame with the species as labels")
        d, place = places_from_distances(distances)
        if place.size != u.size:
            raise ValueError(f"distances is {place.size} x {place.size} for {u.size} residuals")
    n = d.shape[0]
    if n < 4:
        raise ValueError(f"Moran's I needs at least 4 distinct species, there are {n}")
    # the nearest species, and any that is as near, is the neighbour for the effect size
    near = neighbour_weights(np.argmin(d + np.diag(np.full(n, np.inf)), axis=1)[:, None])
    kind = "Moran, inverse patristic distance"
    return moran_test(
        res, u, place, inverse_weights(d), near, alternative, null, n_refits, kind, [], PhylogeneticResult
    )


PHYLOGENETIC = ResidualTest(
    name="phylogenetic autocorrelation",
    title="Phylogeny",
    test=phylogenetic_autocorrelation_test,
    result=PhylogeneticResult,
    takes_arrays=True,
    limits={"autocorrelation": AUTOCORRELATION_LIMITS},
    word=lambda result: "correlated along the phylogeny",
    short_name="autocorr. in phyl.",
)
