"""A response and where it lies among its simulations: scaled residuals and what tests read beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simresid.arguments import positive_number
from simresid.residuals import scaled
from simresid.residuals.execution import Execution
from simresid.residuals.once import Once
from simresid.residuals.recombination import MANY_ROWS, recombined_sums
from simresid.residuals.rotation import Whiten
from simresid.residuals.streaming import (
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

    from simresid.alignment import FloatArray
    from simresid.protocol import FittedModel, RandomEffects
    from simresid.residuals.bootstrap import Refits
    from simresid.residuals.rows import Rows

    Recipe = Callable[[FittedModel, int], Any]

__all__ = ["METHODS", "SMALL_MATRIX_BYTES", "RankedResponse"]

T = TypeVar("T")

METHODS = ("rank", "pit", "traditional", "exact", "one-step")

FROM_LAW = ("exact", "one-step")
"""Methods that read residuals off the model's distribution function."""

SMALL_MATRIX_BYTES = 1e8
"""Up to here the matrix of simulations is kept unless asked otherwise."""


class RankedResponse:
    """An observed response ranked among its simulations.

    What `simresid.SimulatedResiduals` is but for tests, figures and tables, with the same arguments.
    """

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
        self.shared = Once()
        self._keep = self.n_obs * self.n_sims * 8 <= SMALL_MATRIX_BYTES if keep == "auto" else bool(keep)
        self.residuals: FloatArray = self._scaled() if residuals is None else residuals

    @property
    def from_law(self) -> bool:
        """Whether the residuals come from the model's distribution function, without simulations."""
        return self.method in FROM_LAW

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
        (``method="exact"`` or ``"one-step"``) they come from 8 simulations recombined by blocks of rows, see
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
        if not self.from_law or self.n_obs <= MANY_ROWS or self.rows.membership is not None:
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
        if self.from_law and self._cdf is not None:
            return self._cdf
        if self.refits is not None or self.method == "traditional":
            return self.residuals, self.residuals
        counts = self._counts
        edges = np.zeros(self.n_obs), np.ones(self.n_obs)
        formula = scaled.pit if self.method == "pit" else scaled.rank
        lower, upper = (formula(counts.below, counts.equal, self.n_sims, v) for v in edges)
        return lower, upper

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """Value that the tests of these residuals share, made by the first one that needs it.

        Parameters
        ----------
        name : str
            Of the value.
        make : callable
            Takes nothing and returns the value; it must always return the same.

        Returns
        -------
        object
            The value.
        """
        return self.shared.get(name, make)

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
        if self.from_law:
            assert self._cdf is not None
            return scaled.exact(*self._cdf, scaled.in_order(v, *self._cdf))
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

    def normal_residuals(self, *, clip: float | None = None) -> FloatArray:
        """Residuals on the scale of the standard normal distribution ``(n,)``.

        Parameters
        ----------
        clip : float, optional
            Largest absolute value. Without it, scaled residuals of exactly 0 and 1 (possible for ``"pit"``,
            ``"traditional"`` and, in the far tails, ``"exact"`` and ``"one-step"``) become infinite.

        Returns
        -------
        ndarray (n,)
            Standard normal under the model.
        """
        from scipy.special import ndtri

        z: FloatArray = ndtri(self.residuals)
        if clip is None:
            return z
        largest = positive_number(clip)
        if largest is None:
            raise ValueError(f"clip={clip!r:.60}; use a positive number, or None")
        return np.clip(z, -largest, largest)

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
