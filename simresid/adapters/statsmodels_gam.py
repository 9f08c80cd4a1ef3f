"""statsmodels GLMGam: a GLM whose smooth terms are penalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import warn_user
from simresid.adapters.statsmodels_glm import GLMFit
from simresid.adapters.statsmodels_rows import Rebuild

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GAMFit", "adapt_gam"]


class GAMFit(GLMFit):
    """A fitted generalized additive model; `edf` is the trace of its smoothing matrix.

    statsmodels finds the fit by penalised least squares whose weights leave out `var_weights`,
    `freq_weights` and trials. With weights that is another model than the one stated, and it is refused.
    With trials the curve is still an estimate of the stated mean, if not the best: `adapt_gam` says so, and
    statsmodels' `edf`, which mixes both weightings, is not offered.
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        if np.any(model.var_weights != 1) or np.any(model.freq_weights != 1):
            raise TypeError("statsmodels' GLMGam leaves var_weights and freq_weights out of its fit")
        super().__init__(results)
        constructor = {
            "smoother": model.smoother,
            "alpha": model.alpha,
            "family": model.family,
            "offset": np.broadcast_to(model._offset_exposure, model.exog.shape[0]),
        }
        self._rebuild = Rebuild(type(model), model.exog_linear, constructor, self._rebuild.fit)
        if self.trials is not None and np.any(self.trials != 1):
            del self.edf, self.df_resid
        else:
            self.edf = float(np.sum(results.edf))
            self.df_resid = self.nobs - self.edf

    def refit(self, y: ArrayLike) -> GAMFit:
        """Fit to `y` with the same smoother and the same penalty weights; none are chosen anew."""
        return type(self)(self._rebuild(self._endog(y)))


def adapt_gam(results: Any) -> GAMFit:
    """Adapt a fitted GLMGam, saying once that its fit does not look at the trials."""
    model = GAMFit(results)
    if not hasattr(model, "edf"):
        warn_user(
            "statsmodels' GLMGam gives a row with many trials no more weight than a row with few",
        )
    return model
