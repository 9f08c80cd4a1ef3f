"""statsmodels BinomialBayesMixedGLM and PoissonBayesMixedGLM at their posterior means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from simresid.adapters._count_laws import Binomial, CountLaw, Poisson
from simresid.adapters._mixed_means import mean_over_normal
from simresid.adapters._rows import IndependentRows, redraws_random_effects
from simresid.adapters.statsmodels_rows import describe, used_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.protocol import RandomEffects

    FloatArray = NDArray[np.float64]

__all__ = ["BayesMixedFit"]


class BayesMixedFit(IndependentRows):
    """A generalized linear mixed model fitted by variational Bayes or at the posterior mode.

    Parameters are taken at their posterior means (`fe_mean`, `vc_mean`, `vcp_mean`): the spread of the
    posterior is not part of the simulations. ``results.predict()`` of statsmodels has the fixed part only.
    """

    has_random_effects = True

    def __init__(self, results: Any) -> None:
        model = results.model
        self._exog_vc = model.exog_vc
        if self._exog_vc.shape[0] != model.exog.shape[0]:
            raise TypeError(
                f"exog_vc has {self._exog_vc.shape[0]} rows for {model.exog.shape[0]} used rows: remove "
                f"missing "
                "values before fitting"
            )
        self._logit = type(model).__name__.startswith("Binomial")
        if self._logit and not np.all(np.isin(model.endog, (0, 1))):
            raise TypeError("BinomialBayesMixedGLM takes its trials from nowhere, so proportions have no law")
        self._fixed = model.exog @ np.asarray(results.fe_mean, float)
        self._sd = np.exp(np.asarray(results.vcp_mean, float))[model.ident]
        self._results = results
        eta = self._fixed + self._exog_vc @ np.asarray(results.vc_mean, float)
        family = "Bernoulli(logit)" if self._logit else "Poisson(log)"
        super().__init__(
            self._law_at(eta),
            model.endog,
            description=describe(model, f"{family} at posterior means"),
            data=used_rows(model),
        )

    def _law_at(self, eta: FloatArray) -> CountLaw:
        return Binomial(np.ones(eta.size), special.expit(eta)) if self._logit else Poisson(np.exp(eta))

    def simulate(
        self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional"
    ) -> NDArray[Any]:
        """Draw `n_sims` responses, shape ``(n_sims, n)``."""
        generator = np.random.default_rng(rng)
        if not redraws_random_effects(random_effects, True):
            return self.law.draw(n_sims, generator)
        response = np.empty((n_sims, self.nobs), np.int64)
        for replicate in response:
            effects = self._sd * generator.standard_normal(self._sd.size)
            replicate[:] = self._law_at(self._fixed + self._exog_vc @ effects).draw(1, generator)[0]
        return response

    def population_mean(self) -> FloatArray:
        """Mean over new random effects ``(n,)``: exact for the log link, by quadrature for the logit."""
        spread = np.sqrt(self._exog_vc.multiply(self._exog_vc) @ self._sd**2)
        if self._logit:
            return mean_over_normal(special.expit, self._fixed, spread)
        return np.exp(self._fixed + spread**2 / 2)
