"""The one shape every adapter fills: rows that are independent given what the model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from simresid.adapters._laws import Law
    from simresid.alignment import FloatArray
    from simresid.protocol import RandomEffects


__all__ = ["ConditionalRows", "IndependentRows", "redraws_random_effects", "response_for_refit"]


class ConditionalRows:
    """A fitted model whose rows follow a known law, each by itself, given everything fitted.

    Fulfils `simresid.protocol.FittedModel` and every optional capability that follows from the law. Adapters
    whose library can fit again cheaply add `refit`. What a model cannot do is not inherited to be refused: an
    attribute that is absent is a capability the model does not have.

    Parameters
    ----------
    law : Law
        Law of the response given everything fitted, ``n`` rows.
    observed : array_like (n,)
        Response on the scale of `law`: successes for k-of-n responses.
    description : str
        One line: class, family(link) and formula as far as known.
    data : DataFrame, optional
        The ``n`` rows used, under their original index.
    trials : array_like (n,), optional
        Trials of a k-of-n response.
    llf, edf, df_resid : float, optional
        Log-likelihood, effective number of parameters, residual degrees of freedom; left out when unknown.
    """

    has_random_effects: bool = False
    """Whether the model has random effects."""

    llf: float
    """Log-likelihood; absent when unknown."""
    edf: float
    """Effective number of parameters; absent when unknown."""
    df_resid: float
    """Residual degrees of freedom; absent when unknown."""

    def __init__(
        self,
        law: Law,
        observed: ArrayLike,
        *,
        description: str,
        data: pd.DataFrame | None = None,
        trials: FloatArray | None = None,
        llf: float | None = None,
        edf: float | None = None,
        df_resid: float | None = None,
    ) -> None:
        self.law = law
        self.fitted = np.array(law.mean(), dtype=np.float64)
        self.observed = np.array(observed, dtype=np.float64)
        if self.observed.shape != self.fitted.shape:
            raise ValueError(f"{self.observed.shape} observed values for {self.fitted.shape} fitted means")
        self.description = description
        self.data = data
        self.trials = trials
        for name, value in (("llf", llf), ("edf", edf), ("df_resid", df_resid)):
            if value is not None and np.isfinite(value):
                setattr(self, name, float(value))

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return int(self.observed.size)

    @property
    def discrete(self) -> bool:
        """Whether the response takes whole numbers only."""
        return self.law.discrete

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: RandomEffects = "conditional") -> NDArray[Any]:
        """Draw new responses.

        Parameters
        ----------
        n_sims : int
            How many.
        rng : numpy.random.Generator or int, optional
            The only source of randomness.
        random_effects : {"conditional", "unconditional"} or iterable of str
            As in `simresid.simulate_residuals`.

        Returns
        -------
        ndarray (n_sims, n)
            One response a row.
        """
        redraws_random_effects(random_effects, self.has_random_effects)
        return self.law.draw(n_sims, np.random.default_rng(rng))

    def cdf(self, y: ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
        """Distribution function of every row.

        Parameters
        ----------
        y : array_like (n,), optional
            Where; at the observed response by default.

        Returns
        -------
        lower : ndarray (n,)
            P(Y < y).
        upper : ndarray (n,)
            P(Y <= y).
        """
        return self.law.cdf(self.observed if y is None else y)

    def variance(self) -> FloatArray:
        """Variance of the response.

        Returns
        -------
        ndarray (n,)
            One value a row.
        """
        return np.array(self.law.variance(), dtype=np.float64)

    @property
    def resid_pearson(self) -> FloatArray:
        """``(observed - fitted) / sqrt(variance)``, dispersion and weights included; ``(n,)``."""
        difference, sd = self.observed - self.fitted, np.sqrt(self.variance())
        impossible = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
        return np.divide(difference, sd, out=impossible, where=sd > 0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.description}, {self.nobs} rows>"


class IndependentRows(ConditionalRows):
    """Rows of a model without random effects, or seen without them: new ones would change nothing."""

    def population_mean(self) -> FloatArray:
        """Mean of unconditional simulations.

        Returns
        -------
        ndarray (n,)
            One value a row.
        """
        return self.fitted


def redraws_random_effects(random_effects: RandomEffects, has_random_effects: bool) -> bool:
    """Return whether random effects are drawn anew, or say why the request cannot be met.

    Without random effects both words mean the same. Redrawing some groups only is not offered by these
    adapters.
    """
    if isinstance(random_effects, str):
        if random_effects not in ("conditional", "unconditional"):
            raise ValueError(f"random_effects must be 'conditional' or 'unconditional', not {random_effects!r}")
        return has_random_effects and random_effects == "unconditional"
    groups = ", ".join(map(repr, random_effects))
    if not has_random_effects:
        raise ValueError(f"the model has no random effects, so {groups} cannot be drawn anew")
    raise ValueError(
        f"this model can redraw all its random effects (random_effects='unconditional') but not only {groups}"
    )


def response_for_refit(y: ArrayLike, n_rows: int) -> FloatArray:
    """Return `y` as a float vector of `n_rows`, or name both lengths."""
    response = np.asarray(y, dtype=np.float64)
    if response.shape != (n_rows,):
        raise ValueError(f"refit needs one response per row: got shape {response.shape} for {n_rows} rows")
    return response
