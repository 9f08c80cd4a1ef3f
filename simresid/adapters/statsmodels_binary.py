"""statsmodels models of binary, ordered and fractional responses: Logit, Probit, OrderedModel, BetaModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.adapters._count_laws import Binomial, Ordinal
from simresid.adapters._laws import Beta
from simresid.adapters._rows import IndependentRows, response_for_refit
from simresid.adapters.statsmodels_rows import (
    Rebuild,
    can_refit,
    describe,
    refit_options,
    used_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["BetaFit", "BinaryFit", "OrderedFit", "adapt_binary"]


class BinaryFit(IndependentRows):
    """A fitted Logit or Probit: Bernoulli with probability ``results.predict()``, offset included."""

    def __init__(self, results: Any) -> None:
        model = results.model
        self._rebuild = Rebuild(type(model), model.exog, model._get_init_kwds(), refit_options(results))
        if not np.all(np.isin(model.endog, (0, 1))):
            raise TypeError(
                f"this {type(model).__name__} was fitted to proportions, a quasi-likelihood without a law; "
                "use GLM with family Binomial and the trials"
            )
        super().__init__(
            Binomial(np.ones(model.endog.size), np.asarray(results.predict(), float)),
            model.endog,
            description=describe(model, "Bernoulli"),
            data=used_rows(model),
            llf=results.llf,
            edf=np.size(results.params),
            df_resid=results.df_resid,
        )


class RefittableBinaryFit(BinaryFit):
    """A Logit or Probit found by plain maximum likelihood, which a new fit reproduces."""

    def refit(self, y: ArrayLike) -> RefittableBinaryFit:
        """Fit the same design and offset to `y`."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


def adapt_binary(results: Any) -> BinaryFit:
    """Adapt a fitted Logit or Probit."""
    return RefittableBinaryFit(results) if can_refit(results) else BinaryFit(results)


class BetaFit(IndependentRows):
    """A fitted BetaModel, with a model for the precision or without."""

    def __init__(self, results: Any) -> None:
        model, params = results.model, np.asarray(results.params, float)
        self._rebuild = Rebuild(type(model), model.exog, model._get_init_kwds(), refit_options(results))
        precision = np.asarray(model.predict(params, which="precision"), float)
        super().__init__(
            Beta(np.asarray(model.predict(params), float), precision),
            model.endog,
            description=describe(model, f"beta({type(model.link).__name__.lower()})"),
            data=used_rows(model),
            llf=results.llf,
            edf=model.exog.shape[1],
            df_resid=model.endog.size - params.size,
        )

    def refit(self, y: ArrayLike) -> BetaFit:
        """Fit the same designs and links to `y`."""
        return type(self)(self._rebuild(response_for_refit(y, self.nobs)))


class OrderedFit(IndependentRows):
    """A fitted OrderedModel; response and simulations are the codes 0..K-1 of the ordered categories."""

    def __init__(self, results: Any) -> None:
        model, params = results.model, np.asarray(results.params, float)
        # The class falls back to its default distribution unless told, whatever the other options say.
        constructor = {"distr": model.distr, "offset": model.offset}
        self._rebuild = Rebuild(type(model), model.exog, constructor, refit_options(results))
        distribution = getattr(model.distr, "name", type(model.distr).__name__)
        super().__init__(
            Ordinal(np.asarray(model.predict(params), float)),
            model.endog,
            description=describe(model, f"ordinal({distribution})"),
            data=used_rows(model),
            llf=results.llf,
            edf=params.size,
            df_resid=model.endog.size - params.size,
        )

    def refit(self, y: ArrayLike) -> OrderedFit:
        """Fit the same design, distribution and offset to codes `y`, in which every category occurs."""
        codes = response_for_refit(y, self.nobs)
        n_categories = self.law.probability.shape[1]  # type: ignore[attr-defined]
        missing = np.setdiff1d(np.arange(n_categories), codes)
        if missing.size:
            raise ValueError(
                f"category code {int(missing[0])} does not occur in the new response, and without it "
                "OrderedModel would fit a model with fewer thresholds"
            )
        return type(self)(self._rebuild(codes.astype(np.int64)))
