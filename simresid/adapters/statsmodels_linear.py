"""statsmodels linear regression: OLS, WLS and GLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from simresid.adapters._laws import Law, MultivariateNormal, Normal
from simresid.adapters._rows import IndependentRows, response_for_refit
from simresid.adapters.statsmodels_rows import Rebuild, describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["LinearFit"]


class LinearFit(IndependentRows):
    """Normal response around ``results.fittedvalues``.

    The variance is statsmodels' ``scale`` (residual sum of squares over residual degrees of freedom, not the
    maximum likelihood estimate), divided by the weights of WLS (its ``get_distribution`` leaves them out) or
    times the matrix `sigma` of GLS, whose off-diagonal elements make the simulated rows correlated.
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        shape = {"WLS": "weights", "GLS": "sigma"}.get(type(model).__name__)
        extra = {} if shape is None else {shape: getattr(model, shape)}
        self._rebuild = Rebuild(type(model), model.exog, extra, {})
        super().__init__(
            _law(results),
            model.endog,
            description=describe(model, "gaussian(identity)"),
            data=used_rows(model),
            llf=results.llf,
            edf=model.exog.shape[0] - results.df_resid,
            df_resid=results.df_resid,
        )

    def refit(self, y: ArrayLike) -> Self:
        """Fit the same design, weights and `sigma` to `y`."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def _law(results: Any) -> Law:
    model, mean = results.model, np.asarray(results.fittedvalues, float)
    name = type(model).__name__
    if name == "WLS":
        return Normal(mean, np.sqrt(results.scale / model.weights))
    if name == "GLS" and model.sigma is not None:
        sigma = np.asarray(model.sigma, float)
        if sigma.ndim == 1:
            return Normal(mean, np.sqrt(results.scale * sigma))
        return MultivariateNormal(mean, np.sqrt(results.scale) * np.linalg.cholesky(sigma))
    return Normal(mean, np.sqrt(results.scale))
