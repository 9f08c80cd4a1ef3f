"""`SimulatedResiduals`: an observed response, its simulations and where the one lies among the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.alignment import align_rows
from simresid.checks.battery import diagnose
from simresid.checks.categorical import categorical_test
from simresid.checks.dispersion import dispersion_test
from simresid.checks.heteroscedasticity import heteroscedasticity_test
from simresid.checks.outliers import outlier_test
from simresid.checks.phylogenetic import phylogenetic_autocorrelation_test
from simresid.checks.quantiles import quantile_test
from simresid.checks.spatial import spatial_autocorrelation_test
from simresid.checks.statistic import statistic_test, zero_inflation_test
from simresid.checks.temporal import temporal_autocorrelation_test
from simresid.checks.uniformity import uniformity_test
from simresid.residuals import scaled
from simresid.residuals.recombination import MANY_ROWS, recombined_sums
from simresid.residuals.rotation import Whiten
from simresid.residuals.streaming import (
    Execution,
    ReplicateSums,
    Tally,
    materialise,
    neighbours,
    row_sums,
    statistics,
    tally,
)
from simresid.simulations.sources import Jitter, MappedSource, MatrixSource, SimulationSource, child_generator

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from simresid.checks.nulls.refit_pool import RefitPool
    from simresid.protocol import FittedModel, RandomEffects
    from simresid.residuals.bootstrap import Refits
    from simresid.residuals.rows import Rows

    FloatArray = NDArray[np.float64]
    Recipe = Callable[[FittedModel, int], "SimulatedResiduals"]

__all__ = ["METHODS", "SimulatedResiduals"]

METHODS = ("rank", "pit", "traditional", "exact")

SMALL_MATRIX_BYTES = 1e8
"""Up to here the matrix of simulations is kept unless asked otherwise."""


class SimulatedResiduals:
    """Scaled residuals of one response, with the simulations they come from.

    Made by `simresid.simulate_residuals` and `simresid.from_simulations`, not directly.

    Parameters
    ----------
    rows : Rows
        Observed response and what is known about each observation.
    source : SimulationSource
        Simulations of the same response.
    method : {"rank", "pit", "traditional", "exact"}
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
        ``P(Y < observed)`` and ``P(Y <= observed)``, for ``method="exact"``.
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

    # The functions themselves, so that an editor shows their arguments here as well.
    diagnose = diagnose
    test_all = diagnose
    dispersion_test = dispersion_test
    zero_inflation_test = zero_inflation_test
    statistic_test = statistic_test
    uniformity_test = uniformity_test
    outlier_test = outlier_test
    quantile_test = quantile_test
    categorical_test = categorical_test
    heteroscedasticity_test = heteroscedasticity_test
    temporal_autocorrelation_test = temporal_autocorrelation_test
    spatial_autocorrelation_test = spatial_autocorrelation_test
    phylogenetic_autocorrelation_test = phylogenetic_autocorrelation_test

    def __init__(
        self,
        rows: Rows,
        source: SimulationSource,
        *,
        method: str,
        seed: int,
        discrete: bool | None = None,
        model: FittedModel | None = None,
        random_effects: RandomEffects | None = None,
        description: str = "",
        cdf: tuple[FloatArray, FloatArray] | None = None,
        whiten: Whiten | None = None,
        refits: Refits | None = None,
        residuals: FloatArray | None = None,
        keep: bool | str = "auto",
        stream: str = "residuals",
        is_grouped: bool = False,
        execution: Execution | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.rows = rows
        self.method = method
        self.seed = seed
        self.declared_discrete = discrete
        self.model = model
        self.random_effects = random_effects
        self.description = description
        self.is_grouped = is_grouped
        self.whiten = whiten
        self.refits = refits
        self.stream = stream
        self._source = self._drawn_again = source
        self._cdf = cdf
        self._execution = execution or Execution()
        self.recipe = recipe
        self._keep = self.n_obs * self.n_sims * 8 <= SMALL_MATRIX_BYTES if keep == "auto" else bool(keep)
        self.residuals: FloatArray = self._scaled() if residuals is None else residuals

    # ---- size and what is known about each row ---------------------------------------------------------

    @property
    def n_obs(self) -> int:
        """Number of residuals: of groups, if grouped."""
        return self.rows.observed.size

    @property
    def n_sims(self) -> int:
        """Number of simulations."""
        return self._source.n_sims

    @property
    def n_ranked(self) -> int:
        """Number of values each observation was compared with: simulations, or refits that succeeded."""
        return self.n_sims if self.refits is None else self.refits.n_succeeded

    @property
    def observed(self) -> FloatArray:
        """Observed response ``(n,)``; counts for k-of-n data."""
        return self.rows.observed

    @property
    def index(self) -> pd.Index:
        """Labels of the rows, or of the groups."""
        return self.rows.index

    @property
    def data(self) -> pd.DataFrame | None:
        """Data of the rows; for groups the mean of each numeric column. None if unknown."""
        return self.rows.data

    @property
    def positions(self) -> NDArray[np.intp] | None:
        """Rows of the model that the residuals belong to, if they are a selection of them; None for all."""
        if self.rows.membership is None or self.is_grouped:
            return None
        at = np.flatnonzero(self.rows.membership >= 0)
        return np.asarray(at[np.argsort(self.rows.membership[at])])

    @property
    def trials(self) -> FloatArray | None:
        """Trials of a k-of-n response, None otherwise."""
        return self.rows.trials

    @property
    def pearson_variance(self) -> FloatArray | None:
        """Variance of the law behind the simulations ``(n,)``, None if unknown."""
        return self.rows.variance

    @cached_property
    def discrete(self) -> bool:
        """Whether the response takes whole numbers only."""
        if self.declared_discrete is not None:
            return self.declared_discrete
        return bool(self._whole.all() and (self.observed == np.rint(self.observed)).all())

    @cached_property
    def jitter(self) -> bool:
        """Whether ties at whole numbers are to be broken by noise, for the residuals that need it."""
        return bool(self._whole.any()) if self.declared_discrete is None else self.declared_discrete

    @property
    def _whole(self) -> NDArray[np.bool_]:
        block = self._source.draw(0)
        return np.asarray(block == np.rint(block))

    @cached_property
    def fitted(self) -> FloatArray:
        """Prediction to show residuals against ``(n,)``: as given, or the mean of the simulations."""
        return self._row_sums / self.n_sims if self.rows.fitted is None else self.rows.fitted

    @cached_property
    def expected(self) -> FloatArray:
        """Mean that matches the simulations ``(n,)``.

        The model's own mean where it is known. Otherwise the mean over the simulations *and* the observation,
        which treats all ``n_sims + 1`` alike: a statistic of ``value - expected`` is then exchangeable
        between observation and simulations, so that its simulation p-value stays valid at any number of
        simulations.
        """
        if self.rows.expected is not None:
            return self.rows.expected
        return (self._row_sums + self.observed) / (self.n_sims + 1.0)

    # ---- simulations -----------------------------------------------------------------------------------

    @property
    def simulations(self) -> SimulationSource:
        """Source of the simulations, turned into a matrix first if that is to be kept."""
        if self._keep:
            self._source = materialise(self._source, self._execution)
        return self._source

    @property
    def simulated(self) -> FloatArray | None:
        """Simulated responses ``(n_sims, n)``; None if too many to keep (see `iter_simulations`)."""
        source = self.simulations
        return source.matrix if isinstance(source, MatrixSource) else None

    def iter_simulations(self) -> Iterator[tuple[int, FloatArray]]:
        """Go through the simulations block by block in order, the same numbers every time.

        Returns
        -------
        iterator of (int, ndarray (b, n))
            Number of the first replicate of a block, and the block.
        """
        return self.simulations.blocks()

    def simulated_statistics(self, functions: Sequence[Callable[[FloatArray], Any]]) -> FloatArray:
        """Statistics of every replicate in one pass.

        Parameters
        ----------
        functions : sequence of callable
            Each takes a block ``(b, n)`` and returns ``(b,)``.

        Returns
        -------
        ndarray (len(functions), n_sims)
            A row for each function.
        """
        return statistics(self.simulations, functions, self._execution)

    @cached_property
    def replicate_sums(self) -> ReplicateSums | None:
        """Zeros and sums of deviations from `expected` per replicate, from the pass that made the residuals.

        None if the expected response is not known apart from the simulations. Above 50 000 rows of known law
        (``method="exact"``) they come from 8 simulations recombined by blocks of rows, see
        `simresid.residuals.recombination`.
        """
        if self.rows.expected is None:
            return None
        sums = self._sums_of_independent_rows()
        if sums is None:
            sums = self._tally.sums
        own = np.empty((1, 4))
        precision = np.ones(self.n_obs) if self.rows.variance is None else 1.0 / self.rows.variance
        scaled.moment_block(self.observed[None, :], self.rows.expected, precision, own)
        known = self.rows.variance is not None
        return ReplicateSums(
            zeros=sums[:, 0],
            deviation=sums[:, 1],
            squared=sums[:, 2],
            pearson=sums[:, 3] if known else None,
            observed=(own[0, 0], own[0, 1], own[0, 2], own[0, 3] if known else np.nan),
        )

    def _sums_of_independent_rows(self) -> FloatArray | None:
        """Sums per replicate without simulating whole data sets, where there are very many rows of known law."""
        model: Any = self.model
        if self.method != "exact" or self.n_obs <= MANY_ROWS or self.rows.membership is not None:
            return None

        def zero_probability() -> FloatArray:
            if not (self.discrete or np.any(self.observed == 0)):
                return np.zeros(self.n_obs)
            lower, upper = model.cdf(np.zeros(self.n_obs))
            return np.asarray(upper - lower)

        rng = self.child_rng("sums of independent rows")
        return recombined_sums(self._source, self.rows, zero_probability, self.n_sims, rng)

    def child_rng(self, name: str) -> np.random.Generator:
        """Return a generator that depends on the seed and on `name` only, not on earlier draws.

        Parameters
        ----------
        name : str
            Of the stream.

        Returns
        -------
        numpy.random.Generator
            The same stream at every call.
        """
        return child_generator(self.seed, name)

    @cached_property
    def cells(self) -> tuple[FloatArray, FloatArray]:
        """Ends of the interval that each residual is uniform on, given how ties are broken; twice ``(n,)``.

        Both are the residual itself where no ties are broken or the residuals were not made from counts.
        """
        if self.method == "exact" and self._cdf is not None:
            return self._cdf
        if self.refits is not None or self.method == "traditional":
            return self.residuals, self.residuals
        counts = self._counts
        edges = np.zeros(self.n_obs), np.ones(self.n_obs)
        formula = scaled.rank if self.method in ("rank", "exact") else scaled.pit
        lower, upper = (formula(counts.below, counts.equal, self.n_sims, v) for v in edges)
        return lower, upper

    @cached_property
    def refit_pool(self) -> RefitPool:
        """Refits to data simulated from the model, shared by all tests of these residuals."""
        from simresid.checks.nulls.refit_pool import RefitPool

        return RefitPool(self)

    @cached_property
    def pool_with_simulations(self) -> RefitPool:
        """The same refits with simulations of each, for statistics of the response."""
        from simresid.checks.nulls.refit_pool import RefitPool

        return RefitPool(self, with_simulations=True)

    def forget_simulations(self) -> None:
        """Let go of simulations in memory that can be drawn again."""
        self._source, self._keep = self._drawn_again, False

    @property
    def execution(self) -> Execution:
        """Workers, block size and progress bar."""
        return self._execution

    @cached_property
    def _row_sums(self) -> FloatArray:
        return row_sums(self.simulations, self._execution)

    @cached_property
    def _tally(self) -> Tally:
        rows = self.rows
        return tally(self.simulations, rows.observed, rows.expected, rows.variance, self._execution)

    @cached_property
    def _counts(self) -> Tally:
        """How the values that are ranked compare with the observed ones."""
        if self.whiten is None:
            return self._tally
        source = MappedSource(self.simulations, self.whiten, self.n_obs)
        return tally(source, self.whiten.vector(self.observed), execution=self._execution)

    def _scaled(self) -> FloatArray:
        v = self.child_rng(self.stream).random(self.n_obs)
        if self.refits is not None:
            return self.refits.scaled(self.method, self.seed, self.jitter, v)
        if self.method == "exact":
            assert self._cdf is not None
            return scaled.exact(*self._cdf, v)
        source, observed = self.simulations, self.observed
        if self.whiten is not None:
            source, observed = MappedSource(source, self.whiten, self.n_obs), self.whiten.vector(observed)
        if self.method == "traditional":
            if self.jitter:
                source = MappedSource(source, Jitter(self.seed), self.n_obs)
                observed = observed + (v - 0.5)
            return scaled.traditional(observed, *neighbours(source, observed), self.n_sims)
        counts = self._counts
        formula = scaled.rank if self.method == "rank" else scaled.pit
        return formula(counts.below, counts.equal, self.n_sims, v)

    # ---- use -------------------------------------------------------------------------------------------

    def normal_residuals(self, *, clip: float | None = None) -> FloatArray:
        """Residuals on the scale of the standard normal distribution ``(n,)``.

        Parameters
        ----------
        clip : float, optional
            Largest absolute value. Without it, scaled residuals of exactly 0 and 1 (possible for ``"pit"``,
            ``"traditional"`` and, in the far tails, ``"exact"``) become infinite.

        Returns
        -------
        ndarray (n,)
            Standard normal under the model.
        """
        from scipy.special import ndtri

        z: FloatArray = ndtri(self.residuals)
        return z if clip is None else np.clip(z, -clip, clip)

    @property
    def outlier_sides(self) -> NDArray[np.int8]:
        """-1 for an observation below all its simulations, 1 above all, 0 otherwise ``(n,)``.

        Ties with the most extreme simulation are broken at random by the residual itself. With
        ``method="rank"`` each side then has probability ``1/(n_ranked + 1)`` under the model, whatever the
        response.
        """
        edge = 1.0 / (self.n_ranked + 1.0)
        u = self.residuals
        return ((u > 1.0 - edge).astype(np.int8) - (u < edge).astype(np.int8)).astype(np.int8)

    def outliers(self) -> pd.DataFrame:
        """Observations outside all their simulations.

        Returns
        -------
        DataFrame
            One row per outlier under its row label: `position`, `side` ("low" or "high"), `observed`,
            `fitted`, `residual`.
        """
        import pandas as pd

        side = self.outlier_sides
        at = np.flatnonzero(side)
        return pd.DataFrame(
            {
                "position": at,
                "side": np.where(side[at] < 0, "low", "high"),
                "observed": self.observed[at],
                "fitted": self.fitted[at],
                "residual": self.residuals[at],
            },
            index=self.index[at],
        )

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
            method="rank" if self.method == "exact" and residuals is None else self.method,
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
            execution=self._execution,
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
