"""statsmodels GEE: the marginal law of every row, rows independent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import warn_user
from simresid.adapters._rows import IndependentRows, response_for_refit
from simresid.adapters.statsmodels_glm import family_name, glm_response, link_name
from simresid.adapters.statsmodels_rows import Rebuild, describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GEEFit", "adapt_gee"]


class GEEFit(IndependentRows):
    """A GEE fit seen as its marginal model.

    Estimating equations state means, variances and a working correlation, but no joint law. Every row is
    drawn from the marginal law of its family, independently of the others. Residuals of a row are then
    right; anything that treats rows of a group as replicates (p-values of dispersion or uniformity) is as if
    the working correlation were zero; `adapt_gee` warns when it is not.
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        weights = getattr(model, "weights", None)
        if weights is not None and np.any(np.asarray(weights) != 1):
            raise TypeError("GEE case weights belong to the estimating equations and state no law of the response")
        response = glm_response(
            model.family, model.endog, np.asarray(results.fittedvalues, float), float(results.scale)
        )
        self._rebuild = Rebuild(
            type(model), model.exog, model._get_init_kwds(), {"start_params": np.array(results.params)}
        )
        rank = int(np.linalg.matrix_rank(model.exog))
        family = f"{family_name(model.family)}({link_name(model.family)}), rows independent"
        super().__init__(
            response.law,
            response.observed,
            description=describe(model, family),
            data=used_rows(model),
            trials=response.trials,
            edf=rank,
            df_resid=response.observed.size - rank,
        )

    def refit(self, y: ArrayLike) -> GEEFit:
        """Fit the same groups and working correlation to `y`."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def adapt_gee(results: Any) -> GEEFit:
    """Adapt a fitted GEE, saying once that its working correlation is not simulated."""
    model = GEEFit(results)
    structure = type(results.model.cov_struct).__name__
    if structure != "Independence":
        warn_user(
            f"the {structure} working correlation of this GEE is not simulated: rows are drawn "
            "independently from their marginal law, so p-values that count rows as replicates are too "
            "small where rows of a group are correlated",
        )
    return model
