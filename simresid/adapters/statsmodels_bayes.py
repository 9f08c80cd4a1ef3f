"""statsmodels BinomialBayesMixedGLM and PoissonBayesMixedGLM at their posterior means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse, special

from simresid.adapters._count_laws import Binomial, Poisson
from simresid.adapters._mixed_rows import MixedRows
from simresid.adapters.statsmodels_rows import describe, used_rows

if TYPE_CHECKING:
    from simresid.adapters._laws import Law
    from simresid.alignment import FloatArray


__all__ = ["BayesMixedFit"]


class BayesMixedFit(MixedRows):
    """A generalized linear mixed model fitted by variational Bayes or at the posterior mode.

    Parameters are taken at their posterior means (`fe_mean`, `vc_mean`, `vcp_mean`): the spread of the
    posterior is not part of the simulations. ``results.predict()`` of statsmodels has the fixed part only.
    """

    def __init__(self, results: Any) -> None:
        model = results.model
        n = model.exog.shape[0]
        if model.exog_vc.shape[0] != n:
            raise TypeError(
                f"exog_vc has {model.exog_vc.shape[0]} rows for {n} used rows: remove missing values before fitting"
            )
        logit = type(model).__name__.startswith("Binomial")
        if logit and not np.all(np.isin(model.endog, (0, 1))):
            raise TypeError("BinomialBayesMixedGLM takes its trials from nowhere, so proportions have no law")
        deviations = np.exp(np.asarray(results.vcp_mean, float))[model.ident]
        family = "Bernoulli(logit)" if logit else "Poisson(log)"
        super().__init__(
            _bernoulli if logit else _poisson,
            model.exog @ np.asarray(results.fe_mean, float),
            model.exog_vc @ np.asarray(results.vc_mean, float),
            sparse.csr_array(model.exog_vc @ sparse.diags_array(deviations)),
            model.endog,
            description=describe(model, f"{family} at posterior means"),
            data=used_rows(model),
        )


def _bernoulli(eta: FloatArray) -> Law:
    return Binomial(np.ones(eta.size), special.expit(eta))


def _poisson(eta: FloatArray) -> Law:
    return Poisson(np.exp(eta))
