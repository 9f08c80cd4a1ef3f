"""The library mixedlm: linear and generalized linear mixed models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from simresid.adapters._count_laws import Binomial, NegativeBinomial, Poisson
from simresid.adapters._laws import Gamma, InverseGaussian, Law, Normal
from simresid.adapters._mixed_rows import MixedRows
from simresid.adapters._rows import response_for_refit
from simresid.adapters._unsupported import unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import ArrayLike

    from simresid.alignment import FloatArray


__all__ = ["MixedlmFit", "adapt"]


class MixedlmFit(MixedRows):
    """A fitted ``lmer`` or ``glmer`` of mixedlm.

    Its own `simulate` knows new random effects or none; given the fitted ones the response is drawn here.
    Grouped binomial responses are counts. Gamma, gaussian and inverse Gaussian GLMMs of mixedlm have
    dispersion one, divided by the prior weights; prior weights of other families are powers of the
    likelihood, which have no law.
    """

    def __init__(self, result: Any) -> None:
        matrices = result.matrices
        response = _response(result)
        fixed = matrices.X @ result.beta + matrices.offset
        self._result = result
        self._trials = response.trials
        kind = "" if type(result).__name__ == "GlmerResult" else (", REML" if result.REML else ", ML")
        leverage = float(np.sum(result.hatvalues()))
        super().__init__(
            response.law_at,
            fixed,
            matrices.Z @ result.u,
            sparse.csr_array(result.sigma * (matrices.Z @ result.getME("Lambda"))),
            response.observed,
            description=f"mixedlm {response.name}{kind}: {result.get_formula()}",
            data=_data(result),
            trials=response.trials,
            llf=result.logLik().value,
            edf=leverage,
            df_resid=matrices.n_obs - leverage,
        )


class RefittableMixedlmFit(MixedlmFit):
    """A fit whose parameters are all estimated again by ``result.refit``."""

    refit_effort = 40.0

    def refit(self, y: ArrayLike) -> RefittableMixedlmFit:
        """Fit the same model to `y` (successes, for k-of-n responses)."""
        response = response_for_refit(y, self.nobs)
        if self._trials is not None and self._result.matrices.trials is None:
            response = response / self._trials
        return type(self)(self._result.refit(response))


def adapt(result: Any) -> MixedlmFit:
    """Adapt the result of ``mixedlm.lmer``, ``glmer`` or ``glmer_nb``."""
    name = type(result).__name__
    if name not in ("LmerResult", "GlmerResult"):
        raise unsupported(f"mixedlm.{name} has no adapter.")
    if name == "GlmerResult" and type(result.family).__name__ == "NegativeBinomial":
        # refit() would keep theta where glmer_nb found it, a smaller model than the one that was fitted
        return MixedlmFit(result)
    return RefittableMixedlmFit(result)


class _Response(NamedTuple):
    name: str
    observed: FloatArray
    law_at: Callable[[FloatArray], Law]
    trials: FloatArray | None


def _response(result: Any) -> _Response:
    matrices = result.matrices
    y, weights = np.asarray(matrices.y, float), np.asarray(matrices.weights, float)
    if type(result).__name__ == "LmerResult":
        sd = result.sigma / np.sqrt(weights)
        return _Response("gaussian(identity)", y, lambda eta: Normal(eta, sd), None)
    family = result.family
    inverse = family.link.inverse
    name = f"{type(family).__name__}({family.link.name})"
    laws: dict[str, Callable[[FloatArray], Law]] = {
        "Gaussian": lambda eta: Normal(inverse(eta), 1 / np.sqrt(weights)),
        "Gamma": lambda eta: Gamma(inverse(eta), 1 / weights),
        "GammaInverse": lambda eta: Gamma(inverse(eta), 1 / weights),
        "InverseGaussian": lambda eta: InverseGaussian(inverse(eta), 1 / weights),
        "InverseGaussianCanonical": lambda eta: InverseGaussian(inverse(eta), 1 / weights),
    }
    if type(family).__name__ in laws:
        return _Response(name, y, laws[type(family).__name__], None)
    if type(family).__name__ == "Binomial":
        trials = _trials(y, weights, matrices.trials)
        return _Response(name, np.rint(y * trials), lambda eta: Binomial(trials, inverse(eta)), trials)
    if type(family).__name__ not in ("Poisson", "NegativeBinomial"):
        raise unsupported(f"The mixedlm family {type(family).__name__} states no law that is known here.")
    if np.any(weights != 1):
        raise TypeError(
            f"prior weights of a mixedlm {type(family).__name__} model are powers of its likelihood, not a law"
        )
    if type(family).__name__ == "Poisson":
        return _Response(name, y, lambda eta: Poisson(inverse(eta)), None)
    theta = float(family.theta)
    return _Response(name, y, lambda eta: NegativeBinomial(inverse(eta), np.full(eta.shape, theta)), None)


def _trials(y: FloatArray, weights: FloatArray, trials: ArrayLike | None) -> FloatArray:
    """Return the trials, which mixedlm takes from two response columns or from the weights of proportions."""
    binary = bool(np.all((y == 0) | (y == 1)))
    found = np.asarray(trials, float) if trials is not None else (np.ones_like(y) if binary else weights)
    if np.any(weights != found):
        raise TypeError("prior weights beside the trials are powers of the binomial likelihood, not a law")
    if np.any(np.abs(y * found - np.rint(y * found)) > 1e-6) or np.any(found != np.rint(found)):
        raise TypeError("proportions times weights are not whole numbers, so the response has no binomial law")
    return found


def _data(result: Any) -> pd.DataFrame | None:
    """Return the model frame, unless rows were left out: mixedlm then numbers the rest anew."""
    import pandas as pd

    missing = result.matrices.na_info
    frame = result.model_frame()
    if not isinstance(frame, pd.DataFrame) or (missing is not None and missing.n_omitted):
        return None
    return frame if len(frame) == result.matrices.n_obs else None
