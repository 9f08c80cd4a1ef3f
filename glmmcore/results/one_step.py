"""Rows of a fit with serial effects, each given the rows before it: what one-step-ahead residuals need.

Rows are filtered in the order of time. The law of a row's predictor given the rows before is normal for gaussian
responses with identity link, which makes the residuals exact (at the estimates). For all others it is kept normal: what
a row says of its predictor is replaced by the normal factor that gives the same mean and variance (assumed density
filtering), and laws of responses are integrated over it.

Sites of all rows are matched at once and filtered again until nothing moves. Each depends on rows before it only, so
that this ends after as many rounds as there are rows at the latest, and after some ten in practice.

References
----------
Thygesen, U. H., Albertsen, C. M., Berg, C. W., Kristensen, K. and Nielsen, A. (2017). Validation of ecological state
space models using the Laplace approximation. Environmental and Ecological Statistics 24, 317-339.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import random_generator, row_values
from glmmcore.errors import ModelError
from glmmcore.results.predictive import NormalMixture
from glmmcore.results.simulation import simulate
from glmmcore.results.state_space import StateSpace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["OneStep"]

# Relative change of the variances, and of the means in standard deviations, from which rounds go on.
_SETTLED = 1e-7
_MOST_ROUNDS = 200


class OneStep:
    """A fitted model looked at row by row, each given the rows before it in time.

    Attributes
    ----------
    observed : ndarray, shape (nobs,)
        Responses, counts for k of n.
    fitted : ndarray, shape (nobs,)
        Means given the rows before, at the estimates, on the same scale.
    predictor : DataFrame
        Mean and sd of each row's linear predictor given the rows before.
    time : ndarray, shape (nobs,)
        What the rows are ordered by, in the order of the data.
    nobs : int
    data : DataFrame
    trials : ndarray, shape (nobs,), or None
    discrete : bool
    description : str
    """

    has_random_effects = True

    def __init__(self, fit: FittedGLMM) -> None:
        if fit.design.freq_weights is not None:
            raise ModelError("one_step: rows that stand for several (freq_weights) have no order among them")
        self._fit = fit
        space = StateSpace(fit)
        values = {name: np.array(v) for name, v in fit.solution.values.items()}
        eta = values["cond"]
        random = np.zeros(fit.nobs)
        for t in fit.solution.terms:
            random += np.einsum("ij,ij->i", t.term.Z, t.modes[t.term.codes])
        values["cond"] = eta - random
        self._laws = NormalMixture(fit.family, values, fit.trials)
        self.time = space.time
        self._mean, self._variance = self._filtered(space, random)

    def _filtered(self, space: StateSpace, random: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of every row's predictor given the rows before."""
        fixed, y = self._laws.fixed, self._fit.observed
        if self._fit.family.linear:
            precision = 1.0 / self._fit.variance()
            mean, variance = space.filter((y - fixed) * precision, precision)
            return fixed + mean, variance
        # from the modes, which know the rows after as well, to the rows before alone
        every = np.arange(len(y))
        natural, precision = self._laws.sites(every, y, fixed + random, np.full(len(y), 1e-300))
        mean, variance = space.filter(natural, np.maximum(precision, 0.0))
        moved, last, spread = every, mean.copy(), variance.copy()
        for _ in range(_MOST_ROUNDS):
            natural[moved], precision[moved] = self._laws.sites(moved, y, fixed + last, spread)
            mean, variance = space.filter(natural, precision)
            change = np.abs(mean - last) * np.sqrt(variance) + np.abs(variance - spread)
            moved = np.flatnonzero(change > _SETTLED * variance)
            if not len(moved):
                break
            last[moved], spread[moved] = mean[moved], variance[moved]
        return fixed + mean, variance

    def __repr__(self) -> str:
        return f"<OneStep {self.nobs} rows of {self.description}>"

    @property
    def observed(self) -> np.ndarray:
        """Responses, (nobs,)."""
        return self._fit.observed

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return self._fit.nobs

    @property
    def data(self) -> pd.DataFrame:
        """The complete rows of the columns used."""
        return self._fit.data

    @property
    def column_names(self) -> list[Any]:
        """Columns that `column` knows."""
        return self._fit.column_names

    def column(self, name: Any) -> pd.Series:
        """Return a column, as `FittedGLMM.column`.

        Parameters
        ----------
        name : hashable

        Returns
        -------
        Series
            Shape (nobs,).
        """
        return self._fit.column(name)

    @property
    def trials(self) -> np.ndarray | None:
        """Numbers of trials of k-of-n responses."""
        return self._fit.trials

    @property
    def discrete(self) -> bool:
        """Whether the response takes whole numbers."""
        return self._fit.discrete

    @property
    def df_model(self) -> int:
        """Number of estimated parameters."""
        return self._fit.df_model

    @property
    def converged(self) -> bool:
        """As of the fit."""
        return self._fit.converged

    @property
    def singular(self) -> bool:
        """As of the fit."""
        return self._fit.singular

    @property
    def verdict(self) -> list[str]:
        """As of the fit."""
        return self._fit.verdict

    @property
    def description(self) -> str:
        """Family, link and formula in one line."""
        return f"{self._fit.description}, each row given the rows before"

    @property
    def predictor(self) -> pd.DataFrame:
        """Mean and sd of each row's linear predictor given the rows before."""
        return pd.DataFrame({"mean": self._mean, "sd": np.sqrt(self._variance)}, index=self.data.index)

    @cached_property
    def _moments(self) -> np.ndarray:
        """Mean and variance of every response given the rows before, (2, nobs)."""
        if self._fit.family.linear:
            return np.stack([self._mean, self._variance + self._fit.variance()])
        first, within, squared = self._laws.average(
            lambda law, y: np.stack([law.mean(), law.variance(), np.square(law.mean())]),
            self.observed,
            self._mean,
            self._variance,
        )
        return np.stack([first, within + np.maximum(squared - np.square(first), 0.0)])

    @property
    def fitted(self) -> np.ndarray:
        """Means given the rows before, (nobs,)."""
        return self._moments[0]

    def variance(self) -> np.ndarray:
        """Variances of the responses given the rows before.

        Returns
        -------
        ndarray, shape (nobs,)
        """
        return self._moments[1]

    def cdf(self, y: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Distribution function of every row given the rows before.

        Parameters
        ----------
        y : array_like, shape (nobs,), optional
            Values, or counts for k-of-n responses; those observed by default.

        Returns
        -------
        lower : ndarray, shape (nobs,)
            P(Y < y | rows before).
        upper : ndarray, shape (nobs,)
            P(Y <= y | rows before).
        """
        at = self.observed if y is None else row_values(y, "y", self.data.index)
        if self._fit.family.linear:
            mean, variance = self._moments
            both = special.ndtr((at - mean) / np.sqrt(variance))
            return both, both.copy()
        lower, upper = np.clip(
            self._laws.average(lambda law, v: np.stack(law.cdf(v)), at, self._mean, self._variance), 0.0, 1.0
        )
        return lower, np.maximum(lower, upper)

    def simulate(
        self, n_sims: int, *, rng: Any = None, random_effects: str | Iterable[str] = "conditional"
    ) -> np.ndarray:
        """Draw responses.

        Parameters
        ----------
        n_sims : int
            Number of responses to draw.
        rng : numpy.random.Generator or int, optional
        random_effects : {"conditional", "unconditional"} or iterable of str
            Each row given the observed rows before it, or whole series with new random effects as
            `FittedGLMM.simulate`.

        Returns
        -------
        ndarray, shape (n_sims, nobs)
        """
        generator = random_generator(rng)
        if not isinstance(random_effects, str) or random_effects != "conditional":
            return simulate(self._fit, n_sims, generator, random_effects)
        if not (isinstance(n_sims, (int, np.integer)) and n_sims >= 1):
            raise ModelError(f"n_sims must be a whole number of at least 1, not {n_sims!r}")
        return self._laws.draws(self._mean, self._variance, int(n_sims), generator)

    def refit(self, y: ArrayLike) -> OneStep:
        """Fit the same model to another response and look at it in the same way.

        Parameters
        ----------
        y : array_like, shape (nobs,)

        Returns
        -------
        OneStep
        """
        return OneStep(self._fit.refit(y))
