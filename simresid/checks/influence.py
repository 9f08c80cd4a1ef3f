r"""Influence of groups of rows on the fixed effects, from leaving each of them out.

The model gives the change :math:`\delta_g` of its coefficients without group `g` by one Newton step with the variances
held fixed, so that no model is fitted again. Cook's distance is

.. math:: D_g = \delta_g' \, \mathrm{cov}(\hat\beta)^{-1} \delta_g / p.

Without a group of distance 1 the coefficients lie on the edge of a confidence region of about 50 %; distances above
:math:`4 / n_{groups}` deserve a look (Belsley, Kuh & Welsch 1980; Nieuwenhuis et al. 2012 for mixed models). Compared
with true refits of Poisson, nbinom2 and binomial mixed models with 15 groups of 10 the changes correlate by .99.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.protocol import HasColumns, HasData, HasDeletionChanges
from simresid.residuals.rows import NamedColumns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InfluenceResult", "influence"]

# Groups that the printed table names at most.
_NAMED = 8


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InfluenceResult:
    """What each group of rows does to the fixed effects.

    Attributes
    ----------
    distance : Series (n_groups,)
        Cook's distance, by group; NaN where the other groups do not determine the coefficients.
    changes : DataFrame (n_groups, p)
        Coefficients without the group minus those with it.
    n_rows : Series (n_groups,)
        Rows of each group.
    standard_errors : Series (p,)
        Of the coefficients, with all rows.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> from simresid import create_data, influence
    >>> data = create_data(100, n_groups=10, rng=1)
    >>> result = influence(glmm("observed ~ x1 + (1|group)", data, "poisson"), "group")
    >>> result.changes.shape
    (10, 2)
    """

    distance: pd.Series
    changes: pd.DataFrame
    n_rows: pd.Series
    standard_errors: pd.Series

    @property
    def threshold(self) -> float:
        """Distance above which a group deserves a look, ``4 / n_groups``."""
        return 4.0 / self.distance.size

    def to_frame(self) -> pd.DataFrame:
        """One row per group, the most influential first.

        Returns
        -------
        DataFrame
            ``n_rows``, ``distance``, and the change of every coefficient in its standard errors.
        """
        table = (self.changes / self.standard_errors).add_prefix("change of ")
        table.insert(0, "distance", self.distance)
        table.insert(0, "n_rows", self.n_rows)
        return table.sort_values("distance", ascending=False, na_position="first", kind="stable")

    def __repr__(self) -> str:
        table = self.to_frame()
        above = int(np.count_nonzero(self.distance > self.threshold))
        head = f"{above} of {len(table)} groups with a distance above 4/{len(table)}; changes in standard errors"
        unknown = [str(name) for name in self.distance.index[self.distance.isna()]]
        if unknown:
            named = ", ".join(unknown[:_NAMED]) + (f", ... ({len(unknown)} in all)" if len(unknown) > _NAMED else "")
            head += f"\nNaN: without {named} the other rows do not determine all coefficients"
        return f"{head}\n{table.head(5).round(3).to_string()}"


def influence(fitted_model: Any, group: Any) -> InfluenceResult:
    """Say how much the fixed effects depend on each group of rows.

    Parameters
    ----------
    fitted_model : fitted model or SimulatedResiduals
        Anything `as_fitted_model` accepts that can say how its coefficients change (`glmmcore` can), or the
        residuals of such a model.
    group : str, Series or array_like (n,)
        A column of the model's data or one label per row. Labels that are all different leave out single rows.

    Returns
    -------
    InfluenceResult
        ``distance`` (Cook's), ``changes`` of the coefficients without each group, ``n_rows`` and ``standard_errors``.

    Raises
    ------
    ValueError
        If the model cannot say, a label is missing or there are fewer than two groups.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> from simresid import create_data, influence
    >>> data = create_data(100, n_groups=10, rng=1)
    >>> data.loc[data["group"] == "g03", "observed"] = 12  # high, and without a slope
    >>> influence(glmm("observed ~ x1 + (1|group)", data, "poisson"), "group").distance.idxmax()
    'g03'
    """
    import pandas as pd

    from simresid.adapters import as_fitted_model
    from simresid.alignment import align_rows
    from simresid.checks.inputs import is_simulated

    model = fitted_model.model if is_simulated(fitted_model) else as_fitted_model(fitted_model)
    if not isinstance(model, HasDeletionChanges):
        raise ValueError(f"{type(model).__name__} cannot say how its coefficients change without some rows")
    data = model.data if isinstance(model, HasData) else None
    index = pd.RangeIndex(model.nobs) if data is None else data.index
    columns = NamedColumns(data, model if isinstance(model, HasColumns) else None)
    labels = align_rows(group, "group", index, columns)
    if labels.isna().any():
        raise ValueError(f"group is missing in {int(labels.isna().sum())} rows")
    codes, names = pd.factorize(labels.to_numpy(), sort=True)
    if len(names) < 2:
        raise ValueError("group has one level; at least 2 are needed")
    at = pd.Index(names, name=labels.name or "group")
    params = model.params
    changes = np.asarray(model.deletion_changes(codes), dtype=float)
    covariance = np.asarray(model.cov_params(), dtype=float)
    solved = np.linalg.lstsq(covariance, np.nan_to_num(changes).T, rcond=None)[0]
    distance = np.einsum("gp,pg->g", changes, solved) / changes.shape[1]
    return InfluenceResult(
        distance=pd.Series(distance, index=at, name="distance"),
        changes=pd.DataFrame(changes, index=at, columns=params.index),
        n_rows=pd.Series(np.bincount(codes), index=at, name="n_rows"),
        standard_errors=pd.Series(np.sqrt(np.diag(covariance)), index=params.index),
    )
