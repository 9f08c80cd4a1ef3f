"""What a fitted model must offer so that its residuals can be simulated.

`FittedModel` is all that is required. Every other protocol here is one optional capability: a model that has
it gets one more feature, a model that lacks it gets an error or a fall-back that says which capability is
missing. All are structural, so a class fulfils them by having the attributes; nothing has to be imported or
inherited. `simresid.protocol.conformance.check_fitted_model` says whether a class keeps its promises.

Longer than 400 lines: three dozen short classes, most of them one docstring each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = [
    "CanRefit",
    "CanRefitMany",
    "FitTable",
    "FittedModel",
    "HasCdf",
    "HasColumns",
    "HasConvergence",
    "HasData",
    "HasDeletionChanges",
    "HasDescription",
    "HasDiscreteness",
    "HasEffectiveDf",
    "HasExpectedVariance",
    "HasFitNotes",
    "HasGroupLeverage",
    "HasLeverage",
    "HasLikelihood",
    "HasModelDf",
    "HasNewRows",
    "HasOneStep",
    "HasPearson",
    "HasPopulationMean",
    "HasPredictedEffects",
    "HasPredictedEffectsSd",
    "HasRandomEffects",
    "HasRefitEffort",
    "HasRepeatedRows",
    "HasResidualDf",
    "HasRestrictedLikelihood",
    "HasSingularity",
    "HasSummary",
    "HasThreadSafety",
    "HasTrials",
    "HasVariance",
    "HasVarianceTable",
    "HasVarianceWeights",
    "HasWholeFits",
    "RandomEffects",
    "is_thread_safe",
    "may_have_random_effects",
]

RandomEffects: TypeAlias = Literal["conditional", "unconditional"] | Iterable[str]
"""Which random effects a simulation keeps: all at their fitted values (``"conditional"``), none
(``"unconditional"``), or all but the named groups, which are drawn anew."""


@runtime_checkable
class FittedModel(Protocol):
    """A fitted model that can simulate new responses.

    Attributes
    ----------
    observed : ndarray (n,)
        The response as the model saw it. For k-of-n responses the number of successes, never the proportion.
    fitted : ndarray (n,)
        The mean of ``simulate(random_effects="conditional")``, on the scale of `observed`: a count for k-of-n
        responses, zero inflation included, fitted random effects included.
    nobs : int
        The number of rows used.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import FittedModel, simulate_residuals
    >>> class Dice:
    ...     observed, fitted, nobs = np.array([1.0, 6.0]), np.array([3.5, 3.5]), 2
    ...     def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
    ...         return np.random.default_rng(rng).integers(1, 7, size=(n_sims, 2))
    >>> isinstance(Dice(), FittedModel)
    True
    >>> simulate_residuals(Dice()).n_obs
    2
    """

    @property
    def observed(self) -> FloatArray:
        """Response as the model saw it ``(n,)``."""
        ...

    @property
    def fitted(self) -> FloatArray:
        """Mean of conditional simulations ``(n,)``."""
        ...

    @property
    def nobs(self) -> int:
        """Number of rows used."""
        ...

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional") -> NDArray[Any]:
        """Draw new responses.

        Parameters
        ----------
        n_sims : int
            How many.
        rng : numpy.random.Generator, int or None
            The only source of randomness.
        random_effects : {"conditional", "unconditional"} or iterable of str
            Keep the fitted random effects, draw all anew, or draw those of the named groups anew. A model without
            random effects ignores it.

        Returns
        -------
        ndarray (n_sims, n)
            One response a row, on the scale of `observed`.
        """
        ...


@runtime_checkable
class CanRefit(Protocol):
    """The model can be fitted again to another response of the same length."""

    def refit(self, y: ArrayLike) -> FittedModel:
        """Fit the same model to `y` and return the new fit; the model itself is left alone."""
        ...


@runtime_checkable
class HasThreadSafety(Protocol):
    """Whether `simulate` and `refit` may be called in several threads at once, and gain by it.

    Models that do not say so are called in one thread, unless the user asks for workers.
    """

    @property
    def thread_safe(self) -> bool: ...  # noqa: D102


def is_thread_safe(model: Any) -> bool:
    """Whether the model says that it may be called in several threads at once."""
    return isinstance(model, HasThreadSafety) and bool(model.thread_safe)


@runtime_checkable
class HasRefitEffort(Protocol):
    """How long a refit takes, in units of a fit of `glmmcore` to the same rows: a rough constant, for the rule of cost.

    Models that do not say so count as 1. `simresid.checks.nulls.plan` makes fewer refits of those that take longer.
    """

    @property
    def refit_effort(self) -> float: ...  # noqa: D102


class FitTable(Protocol):
    """Fits to many responses, a row or entry for each; NaN where `error` is not empty.

    Attributes
    ----------
    fitted : ndarray (B, n)
    pearson, llf : array-like (B,)
        Sum of squared Pearson residuals; log-likelihood.
    error : iterable of str (B,)
    """

    fitted: Any
    pearson: Any
    llf: Any
    error: Any


@runtime_checkable
class CanRefitMany(Protocol):
    """The model can be fitted to many responses at once, faster than one by one."""

    def refit_many(self, y: ArrayLike, *, n_jobs: int | None = None) -> FitTable:
        """Fit the same model to every row of `y` ``(B, n)``."""
        ...


@runtime_checkable
class HasWholeFits(Protocol):
    """Of a `FitTable`: each of its fits can be had as a model, for less than fitting it again."""

    def whole_fit(self, name: int) -> FittedModel:
        """Return the fit of one response, counted from 0."""
        ...


@runtime_checkable
class HasCdf(Protocol):
    """The distribution function of the response is known, given the fitted random effects."""

    def cdf(self, y: ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
        """``(P(Y < y), P(Y <= y))`` per row, each ``(n,)``; at the observed response when `y` is None."""
        ...


@runtime_checkable
class HasNewRows(Protocol):
    """The model can be asked about rows with responses that it was not fitted to."""

    def held_out(self, newdata: Any) -> FittedModel:
        """Return the same estimates at the rows of `newdata`, with their responses as `observed`."""
        ...


@runtime_checkable
class HasRepeatedRows(Protocol):
    """Rows may stand for several with the same values, which vary independently."""

    def written_out(self) -> FittedModel:
        """Return the same estimates with a row for each of them."""
        ...


@runtime_checkable
class HasOneStep(Protocol):
    """Rows have an order: ``one_step()`` is a model with ``cdf()`` of each row given the rows before it in time."""

    def one_step(self) -> FittedModel: ...  # noqa: D102


@runtime_checkable
class HasPearson(Protocol):
    """Pearson residuals ``(n,)``: ``(observed - fitted) / sqrt(variance)``."""

    @property
    def resid_pearson(self) -> FloatArray: ...  # noqa: D102


@runtime_checkable
class HasData(Protocol):
    """The rows of the data frame that entered the fit, ``nobs`` of them, under their original index."""

    @property
    def data(self) -> pd.DataFrame | None: ...  # noqa: D102


@runtime_checkable
class HasColumns(Protocol):
    """Columns of the user's data frame besides those of `data`, at the rows that entered the fit."""

    @property
    def column_names(self) -> list[Any]: ...  # noqa: D102

    def column(self, name: Any) -> pd.Series:
        """Return one column ``(nobs,)``; KeyError if there is none of this name."""
        ...


@runtime_checkable
class HasPopulationMean(Protocol):
    """The mean of ``simulate(random_effects="unconditional")`` is known."""

    def population_mean(self) -> FloatArray:
        """Mean over new random effects ``(n,)``, on the scale of `observed`."""
        ...


@runtime_checkable
class HasVariance(Protocol):
    """The variance of the response given the fitted random effects is known."""

    def variance(self) -> FloatArray:
        """Conditional variance of the response ``(n,)``."""
        ...


@runtime_checkable
class HasExpectedVariance(Protocol):
    """The variance of the response is known on average over the random effects given the data."""

    def expected_variance(self) -> FloatArray:
        """Posterior mean of `variance` ``(n,)``, which is `variance` itself at the fitted random effects."""
        ...


@runtime_checkable
class HasDescription(Protocol):
    """One line for people: family, link and formula."""

    @property
    def description(self) -> str: ...  # noqa: D102


@runtime_checkable
class HasLikelihood(Protocol):
    """The maximised log-likelihood with all its constants."""

    @property
    def llf(self) -> float: ...  # noqa: D102


@runtime_checkable
class HasRestrictedLikelihood(Protocol):
    """``reml`` says whether the log-likelihood is restricted: that of what the fixed effects leave."""

    @property
    def reml(self) -> bool: ...  # noqa: D102


@runtime_checkable
class HasEffectiveDf(Protocol):
    """Effective number of parameters, shrunken random effects included; None when it is not known."""

    @property
    def edf(self) -> float | None: ...  # noqa: D102


@runtime_checkable
class HasResidualDf(Protocol):
    """Residual degrees of freedom, ``nobs - edf`` where both are known; None when they are not."""

    @property
    def df_resid(self) -> float | None: ...  # noqa: D102


@runtime_checkable
class HasModelDf(Protocol):
    """Number of estimated parameters, variances included, which likelihood-ratio tests count."""

    @property
    def df_model(self) -> float: ...  # noqa: D102


@runtime_checkable
class HasLeverage(Protocol):
    """How much the fitted value of each row follows its observed one ``(n,)``."""

    @property
    def leverage(self) -> FloatArray: ...  # noqa: D102


@runtime_checkable
class HasGroupLeverage(Protocol):
    """How much the fitted sum of a group of rows follows its observed sum."""

    def group_leverage(self, codes: NDArray[np.intp]) -> FloatArray:
        """One value per group ``(n_groups,)``; `codes` ``(n,)`` number the groups from 0, -1 for rows in none."""
        ...


@runtime_checkable
class HasConvergence(Protocol):
    """Whether the optimiser that fitted the model found what it looked for."""

    @property
    def converged(self) -> bool: ...  # noqa: D102


@runtime_checkable
class HasSingularity(Protocol):
    """Whether some variance of the fit is zero or some correlation one."""

    @property
    def singular(self) -> bool: ...  # noqa: D102


@runtime_checkable
class HasFitNotes(Protocol):
    """What is not as it should be with the fit itself, as sentences; empty for a clean fit."""

    @property
    def verdict(self) -> list[str]: ...  # noqa: D102


@runtime_checkable
class HasTrials(Protocol):
    """Number of trials per row ``(n,)`` of a k-of-n response; None when the response is not of that kind."""

    @property
    def trials(self) -> FloatArray | None: ...  # noqa: D102


@runtime_checkable
class HasVarianceWeights(Protocol):
    """By what the variance of each row is divided ``(n,)``: responses are averages over so much; None without."""

    @property
    def var_weights(self) -> FloatArray | None: ...  # noqa: D102


@runtime_checkable
class HasDeletionChanges(Protocol):
    """The model knows how its coefficients change when groups of rows are left out."""

    nobs: int
    params: pd.Series

    def cov_params(self) -> pd.DataFrame:
        """Covariance of `params` ``(p, p)``."""
        ...

    def deletion_changes(self, codes: ArrayLike) -> FloatArray:
        """`params` without each group minus `params` ``(n_groups, p)``; `codes` ``(n,)`` number the groups from 0."""
        ...


@runtime_checkable
class HasDiscreteness(Protocol):
    """Whether the response takes whole numbers only."""

    @property
    def discrete(self) -> bool: ...  # noqa: D102


@runtime_checkable
class HasRandomEffects(Protocol):
    """Whether conditional and unconditional simulations differ at all."""

    @property
    def has_random_effects(self) -> bool: ...  # noqa: D102


def may_have_random_effects(model: Any) -> bool:
    """Whether conditional and unconditional simulations may differ: unless the model says that they do not."""
    return not isinstance(model, HasRandomEffects) or bool(model.has_random_effects)


@runtime_checkable
class HasPredictedEffects(Protocol):
    """Predicted random effects: one frame (levels by terms) for every grouping factor."""

    @property
    def random_effects(self) -> dict[str, pd.DataFrame]: ...  # noqa: D102


@runtime_checkable
class HasPredictedEffectsSd(Protocol):
    """Standard deviations of the predicted random effects, in frames of the same shape."""

    @property
    def random_effects_sd(self) -> dict[str, pd.DataFrame]: ...  # noqa: D102


@runtime_checkable
class HasVarianceTable(Protocol):
    """Standard deviations of random effects: one row each with columns component, group, term and sd."""

    @property
    def var_corr(self) -> pd.DataFrame: ...  # noqa: D102


@runtime_checkable
class HasSummary(Protocol):
    """A summary of the fit, as text or as an object that prints."""

    def summary(self) -> Any:
        """Return the summary."""
        ...
