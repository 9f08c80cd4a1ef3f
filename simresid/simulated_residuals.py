"""`SimulatedResiduals`: an observed response, its simulations and where the one lies among the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.alignment import align_rows
from simresid.checks.battery import diagnose
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.outliers import outlying_rows
from simresid.checks.registry import TestMethods
from simresid.residuals.ranked_response import RankedResponse

if TYPE_CHECKING:
    import pandas as pd

    from simresid.alignment import FloatArray
    from simresid.residuals.bootstrap import Refits
    from simresid.residuals.ranked_response import Recipe
    from simresid.residuals.rotation import Whiten
    from simresid.residuals.rows import Rows
    from simresid.simulations.sources import SimulationSource


__all__ = ["SimulatedResiduals"]


class SimulatedResiduals(TestMethods, RankedResponse):
    """Scaled residuals of one response, with the simulations they come from.

    Made by `simresid.simulate_residuals` and `simresid.from_simulations`, not directly.

    Parameters
    ----------
    rows : Rows
        Observed response and what is known about each observation.
    source : SimulationSource
        Simulations of the same response.
    method : {"rank", "pit", "traditional", "exact", "one-step"}
        Definition of a residual.
    seed : int
        Everything random derives from it.
    discrete : bool or None
        Whether the response takes whole numbers only; None to find out from the values.
    model : FittedModel, optional
        The model that was simulated from, if any.
    random_effects : {"conditional", "unconditional"} or iterable of str, optional
        What the simulations kept.
    description : str
        The model in one line.
    cdf : tuple of ndarray (n,), optional
        ``P(Y < observed)`` and ``P(Y <= observed)``, for ``method="exact"`` and ``"one-step"``.
    whiten : Whiten, optional
        Linear map applied to observation and simulations before they are compared.
    refits : Refits, optional
        Parametric bootstrap whose raw residuals replace the simulated responses in the comparison.
    residuals : ndarray (n,), optional
        Residuals that were computed before, for a subset of rows.
    keep : {"auto", True, False}
        Whether to hold the simulations in memory; "auto" does up to 100 MB.
    stream : str
        Name of the random stream that breaks ties.
    is_grouped : bool
        Whether a row stands for a group of observations.
    execution : Execution, optional
        Workers, block size and progress bar.
    recipe : callable, optional
        Makes the same residuals of another fit: takes a FittedModel and a seed.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> res.residuals.shape, bool(res.residuals.min() > 0), bool(res.residuals.max() < 1)
    ((100,), True, True)
    >>> res.dispersion_test().pvalue < 0.05
    True
    >>> list(res.to_frame().columns)
    ['observed', 'fitted', 'residual', 'outlier']
    """

    diagnose = diagnose
    test_all = diagnose

    @property
    def refit_pool(self) -> RefitPool:
        """Refits to data simulated from the model, shared by all tests of these residuals."""
        return self.shared.get("refits", lambda: RefitPool(self), lasting=True)

    @property
    def pool_with_simulations(self) -> RefitPool:
        """The same refits with simulations of each, for statistics of the response."""
        return self.shared.get("refits with simulations", lambda: RefitPool(self, with_simulations=True), lasting=True)

    def outliers(self) -> pd.DataFrame:
        """Observations outside all their simulations.

        Returns
        -------
        DataFrame
            One row per outlier under its row label: `position`, `side` ("low" or "high"), `observed`,
            `fitted`, `residual`.
        """
        rows = outlying_rows(self, self.outlier_sides)
        rows.insert(3, "fitted", self.fitted[rows["position"]])
        return rows

    def align(self, values: Any, what: str = "values") -> pd.Series:
        """Bring a column name, Series or array into the order of the residuals (see `simresid.alignment`).

        Parameters
        ----------
        values : str, Series or array_like (n,)
            Column of `data`; values with labels, which decide; or values in the order of the residuals.
        what : str
            What to call the values in an error.

        Returns
        -------
        Series (n,)
            The values under the row labels of the residuals.
        """
        return align_rows(values, what, self.index, self.rows.columns)

    def has_column(self, name: Any) -> bool:
        """Whether `name` is a column that tests and figures can refer to, used by the model or not.

        Parameters
        ----------
        name : hashable
            Of a column of the user's data frame.

        Returns
        -------
        bool
            True if `align` knows it.
        """
        return name in self.rows.columns

    def derive(
        self,
        rows: Rows,
        source: SimulationSource,
        *,
        residuals: FloatArray | None,
        whiten: Whiten | None,
        refits: Refits | None,
        discrete: bool | None,
        is_grouped: bool,
        recipe: Recipe | None = None,
    ) -> SimulatedResiduals:
        """Make residuals of other rows under the same seed, ranked anew unless `residuals` is given.

        For code that aggregates or selects rows in a way of its own; `recalculate` is what users want.

        Parameters
        ----------
        rows : Rows
            The other rows.
        source : SimulationSource
            Simulations of them.
        residuals : ndarray (n,) or None
            Residuals that are kept.
        whiten : Whiten or None
            Linear map applied before ranking.
        refits : Refits or None
            Parametric bootstrap.
        discrete : bool or None
            Whether the values are whole numbers.
        is_grouped : bool
            Whether a row stands for a group.
        recipe : callable, optional
            Makes the same residuals of another fit.

        Returns
        -------
        SimulatedResiduals
            Of the other rows.
        """
        return SimulatedResiduals(
            rows,
            source,
            # The distribution function of an aggregate is not known.
            method="rank" if self.from_law and residuals is None else self.method,
            seed=self.seed,
            discrete=discrete,
            model=self.model,
            random_effects=self.random_effects,
            description=self.description,
            whiten=whiten,
            refits=refits,
            residuals=residuals,
            stream=f"{self.stream}/derived",
            is_grouped=is_grouped,
            execution=self.execution,
            recipe=recipe,
        )

    def recalculate(
        self,
        group: Any = None,
        select: Any = None,
        aggregate: str | Callable[..., Any] = "sum",
        rotation: Any = None,
    ) -> SimulatedResiduals:
        """Residuals of grouped or selected observations.

        Observation and simulations are aggregated alike and ranked anew, so that a misfit that is invisible row by
        row (0/1 data) or shared within a group shows up. A selection without grouping keeps the residuals as they
        are.

        Parameters
        ----------
        group : str or array_like (n,), optional
            Group of each row: column of the data (or several: ``["batch", "cask"]``), Series or array, before `select`
            is applied.
        select : str or array_like, optional
            Rows to use: boolean ``(n,)`` (column, Series or array) or distinct positions.
        aggregate : {"sum", "mean"} or callable
            A callable reduces the last axis of an array like ``numpy.median`` (``axis=-1``), or a vector to a number.
        rotation : ndarray (n_groups, n_groups), optional
            Covariance of the aggregates to take out before ranking. By default that of the rows is carried over, if
            they have one and the aggregate is linear.

        Returns
        -------
        SimulatedResiduals
            One residual per group; `index` holds the labels.

        Examples
        --------
        >>> import numpy as np
        >>> from simresid import from_simulations
        >>> rng = np.random.default_rng(1)
        >>> res = from_simulations(rng.poisson(3, size=(250, 6)), rng.poisson(3, size=6))
        >>> list(res.recalculate(group=["b", "b", "a", "a", "c", "c"]).index)
        ['a', 'b', 'c']
        """
        from simresid.residuals.grouping import recalculate

        return recalculate(self, group=group, select=select, aggregate=aggregate, rotation=rotation)

    def plot(self, **kwargs: Any) -> Any:
        """Draw the overview figure.

        Parameters
        ----------
        **kwargs
            As in `simresid.plot_overview`.

        Returns
        -------
        Figure
            The figure drawn on.
        """
        from simresid.plots import plot_overview

        return plot_overview(self, **kwargs)

    def to_frame(self) -> pd.DataFrame:
        """`observed`, `fitted`, `residual` and `outlier` ("", "low", "high") under the row labels.

        Returns
        -------
        DataFrame
            One row per residual.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "observed": self.observed,
                "fitted": self.fitted,
                "residual": self.residuals,
                "outlier": np.array(["", "high", "low"])[self.outlier_sides],
            },
            index=self.index,
        )

    def summary(self) -> str:
        """Say what these residuals are and what the tests that apply find, as text.

        Returns
        -------
        str
            Several lines.
        """
        from simresid.checks.description import summarise

        return summarise(self)

    def _repr_html_(self) -> str:
        from simresid.html_report import residuals_html

        return residuals_html(self)

    def __repr__(self) -> str:
        from simresid.checks.description import describe

        return describe(self)
