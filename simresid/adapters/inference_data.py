"""Posterior predictive draws (PyMC, Bambi, CmdStanPy) in ArviZ InferenceData or an xarray DataTree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.adapters._unsupported import unsupported

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from simresid.alignment import FloatArray
    from simresid.protocol import RandomEffects


__all__ = ["PosteriorPredictive", "adapt"]


class PosteriorPredictive:
    """Replicated responses that exist already, as a `FittedModel`.

    `simulate` picks stored draws, no draw twice within one call. `simresid.from_simulations` takes the same
    draws as a matrix and uses each of them once; prefer it where nothing asks for a model.

    Parameters
    ----------
    observed : array_like (n,)
        Observed response.
    draws : array_like (n_draws, n)
        Posterior predictive draws for the groups in the data.
    unconditional : array_like (n_draws, n), optional
        Draws with new groups, which the software that holds the posterior has to make.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> model = PosteriorPredictive([3, 1, 2], rng.poisson(2, size=(1000, 3)))
    >>> model.simulate(250, rng=2).shape
    (250, 3)
    """

    has_random_effects = True

    def __init__(self, observed: ArrayLike, draws: ArrayLike, *, unconditional: ArrayLike | None = None) -> None:
        from simresid.simulations.posterior import simulation_matrix

        self.observed = np.array(observed, dtype=np.float64).ravel()
        self._draws = simulation_matrix(draws, self.observed.size)
        self._unconditional = None if unconditional is None else simulation_matrix(unconditional, self.observed.size)
        self.fitted: FloatArray = self._draws.mean(axis=0)
        self.discrete = bool(np.array_equal(self._draws, np.rint(self._draws)))
        self.description = f"posterior predictive, {len(self._draws)} draws"

    @property
    def nobs(self) -> int:
        """Number of observed values."""
        return int(self.observed.size)

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional") -> FloatArray:
        """Pick `n_sims` stored draws, shape ``(n_sims, n)``."""
        pool = self._pool(random_effects)
        if n_sims > len(pool):
            raise ValueError(f"{n_sims} simulations were asked for, but only {len(pool)} draws are stored")
        return pool[np.random.default_rng(rng).choice(len(pool), size=n_sims, replace=False)]

    def _pool(self, random_effects: RandomEffects) -> FloatArray:
        if isinstance(random_effects, str) and random_effects == "conditional":
            return self._draws
        if isinstance(random_effects, str) and random_effects == "unconditional":
            if self._unconditional is not None:
                return self._unconditional
            raise ValueError(
                "the stored draws belong to the groups in the data; predict with new groups in the software "
                "that holds the posterior and pass PosteriorPredictive(observed, draws, unconditional=new_draws)"
            )
        raise ValueError(f"stored draws cannot be redrawn for random_effects={random_effects!r}")


def adapt(container: Any) -> PosteriorPredictive:
    """Adapt a container with one variable in both ``posterior_predictive`` and ``observed_data``."""
    predictive = getattr(container, "posterior_predictive", None)
    observed = getattr(container, "observed_data", None)
    if predictive is None or observed is None:
        missing = "posterior_predictive" if predictive is None else "observed_data"
        raise unsupported(
            f"{type(container).__module__}.{type(container).__qualname__} has no group {missing}; pass the "
            "InferenceData or DataTree that sample_posterior_predictive (PyMC) or predict(kind='response') "
            "(Bambi) has filled."
        )
    names = sorted(set(map(str, predictive.data_vars)) & set(map(str, observed.data_vars)))
    if len(names) != 1:
        found = f"{len(names)} variables ({', '.join(names)})" if names else "no variable"
        raise ValueError(
            f"posterior_predictive and observed_data share {found}, one response is needed: use "
            "simresid.from_simulations(draws, observed) with the arrays of that response"
        )
    response = np.asarray(observed[names[0]])
    draws = np.asarray(predictive[names[0]])
    if draws.shape[draws.ndim - response.ndim :] != response.shape or draws.ndim == response.ndim:
        raise ValueError(
            f"{names[0]} has shape {draws.shape} in posterior_predictive and {response.shape} in "
            "observed_data; the last dimensions must agree"
        )
    return PosteriorPredictive(response, draws.reshape(-1, response.size))
