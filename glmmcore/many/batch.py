"""Fits of one model to many responses: the blocks they are fitted in and the tables they end in.

Responses of one design are fitted in blocks that share every call of numpy and of the families' kernels. That
covers fixed effects with at most one grouping factor in the conditional part, of every family without further
parameters; other designs, and responses whose likelihood has no clean maximum, get ordinary fits. The numbers
are those of `glmm` either way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array, require_workers, workers_for
from glmmcore.errors import ModelError
from glmmcore.many._batch_laws import ManyLaws
from glmmcore.many.batch_blocks import BlockTask
from glmmcore.many.block_fits import BlockFits
from glmmcore.many.refit import refit_from
from glmmcore.many.warm import reported

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["ManyFits", "by_part", "fit_blocks", "refit_many", "tables_of"]


class ManyFits:
    """Fits of one model to many responses, as tables with a row for each.

    A response that could not be fitted has NaN in every table and a sentence in `error`.

    Attributes
    ----------
    params : pandas.DataFrame (responses x columns)
        Conditional fixed effects.
    zi_params, disp_params : pandas.DataFrame
        The same of the other parts; without columns where a model has no such part.
    sd : pandas.DataFrame
        Standard deviations of the random effects, columns ``"group: term"``.
    llf, sigma : pandas.Series
        Log-likelihood; dispersion as `FittedGLMM.sigma`.
    converged, singular : pandas.Series of bool
        Whether each fit is at a maximum; whether its covariance of the random effects is on the edge.
    error : pandas.Series of str
        Empty for a response that was fitted.
    linear_predictors : dict of str to numpy.ndarray, shape (responses, n) or (responses, 1)
        Of every part at the conditional modes, the dispersion's (``"disp"``) and further parameters' in their working
        units; one column for a constant, NaN where the response is missing. Empty for groups of a data frame, whose
        rows differ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from glmmcore import fit_many
    >>> rng = np.random.default_rng(1)
    >>> d = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    >>> fits = fit_many("~ x + (1|g)", d, family="poisson", responses=rng.poisson(3, size=(60, 4)))
    >>> fits
    <ManyFits: 4 responses, 4 converged, 0 failed>
    >>> list(fits.to_frame().columns[:3])
    ['Intercept', 'x', 'se(Intercept)']
    >>> fits[2].nobs
    60
    """

    def __init__(
        self,
        tables: dict[str, pd.DataFrame],
        single: pd.DataFrame,
        laws: ManyLaws | None,
        fit_one: Callable[[int], FittedGLMM],
        errors: Callable[[], dict[str, pd.DataFrame]],
        x: np.ndarray | None = None,
        fit_from: Callable[[int, np.ndarray], FittedGLMM] | None = None,
    ) -> None:
        none = pd.DataFrame(index=single.index)
        self.params, self.zi_params, self.disp_params = (tables.get(part, none) for part in ("cond", "zi", "disp"))
        self._make_errors, self._x = errors, x
        self.sd = tables["sd"]
        self.llf, self.sigma = single["llf"], single["sigma"]
        self.converged, self.singular, self.error = single["converged"], single["singular"], single["error"]
        self.linear_predictors = {} if laws is None else laws.values
        self._laws = laws
        self._pearson = single.get("pearson")
        self._fit_one, self._fit_from = fit_one, fit_from

    def __len__(self) -> int:
        return len(self.llf)

    def __repr__(self) -> str:
        failed = int((self.error != "").sum())
        return f"<ManyFits: {len(self)} responses, {int(self.converged.sum())} converged, {failed} failed>"

    @cached_property
    def _errors(self) -> dict[str, pd.DataFrame]:
        return self._make_errors()

    @property
    def bse(self) -> pd.DataFrame:
        """Standard errors of `params`; those of refits are made when they are read, by fits with Hessians."""
        return self._errors["cond"]

    @property
    def zi_bse(self) -> pd.DataFrame:
        """Standard errors of `zi_params`."""
        return self._errors.get("zi", pd.DataFrame(index=self.llf.index))

    @property
    def disp_bse(self) -> pd.DataFrame:
        """Standard errors of `disp_params`."""
        return self._errors.get("disp", pd.DataFrame(index=self.llf.index))

    @cached_property
    def fitted(self) -> np.ndarray | None:
        """Conditional means (responses, n), NaN where missing; None for groups of a data frame, whose rows differ."""
        return None if self._laws is None else self._laws.mean()

    @cached_property
    def pearson(self) -> pd.Series:
        """Sum of squared Pearson residuals of every response."""
        if self._laws is None:
            assert self._pearson is not None
            return self._pearson
        return pd.Series(self._laws.pearson(), index=self.llf.index, name="pearson")

    @property
    def optimiser_parameters(self) -> np.ndarray | None:
        """Parameters of every response in the units of the search, (responses, p); None for groups of a data frame."""
        return self._x

    def variance(self) -> np.ndarray:
        """Conditional variance of every row of every fit.

        Returns
        -------
        ndarray, shape (responses, n)
            NaN where the response is missing or could not be fitted.
        """
        return self._rows("variance").variance()

    def cdf(self, y: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Conditional distribution function of every fit at its own response or at `y`.

        Parameters
        ----------
        y : array_like, shape (responses, n) or (n,), optional
            Values, or counts for k-of-n responses.

        Returns
        -------
        lower : ndarray, shape (responses, n)
            P(Y < y), NaN where the response is missing or could not be fitted.
        upper : ndarray, shape (responses, n)
            P(Y <= y).

        Raises
        ------
        ModelError
            For groups of a data frame, whose rows differ.
        """
        return self._rows("cdf").cdf(None if y is None else real_array(y, "cdf: y"))

    def _rows(self, what: str) -> ManyLaws:
        if self._laws is None:
            raise ModelError(f"{what}: groups of a data frame have rows of their own; use fits[name].{what}()")
        return self._laws

    def __getitem__(self, name: Hashable) -> FittedGLMM:
        """Fit one response, by its label, once more and completely."""
        return self._fit_one(self._position(name))

    def _position(self, name: Hashable) -> int:
        found = self.llf.index.get_indexer(pd.Index([name]))[0]
        if found < 0:
            raise KeyError(f"no response {name!r}")
        return int(found)

    def whole_fit(self, name: Hashable) -> FittedGLMM:
        """The whole fit of one response of `refit_many`, from where its search ended.

        That takes a Hessian and hardly more, where ``fits[name]`` searches anew and from several starts; responses that
        could not be fitted, and tables of `fit_many`, are fitted in this way here as well.

        Parameters
        ----------
        name : hashable
            Label of the response.

        Returns
        -------
        FittedGLMM
            Its fit.

        Examples
        --------
        >>> from glmmcore import glmm
        >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
        >>> fits = fit.refit_many([[0, 3, 2, 5, 4, 8]])
        >>> fits.whole_fit(0).bse.round(2).tolist()
        [0.51, 0.31]
        """
        i = self._position(name)
        if self._fit_from is None or self._x is None or not np.all(np.isfinite(self._x[i])):
            return self._fit_one(i)
        return self._fit_from(i, self._x[i])

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.llf.index)

    def items(self) -> Iterator[tuple[Hashable, FittedGLMM]]:
        """Fit the responses again one at a time, completely; those with an `error` are left out.

        Yields
        ------
        name : hashable
            Label of the response.
        fit : FittedGLMM
            Its fit.
        """
        for i, (name, error) in enumerate(self.error.items()):
            if not error:
                yield name, self._fit_one(i)

    def to_frame(self) -> pd.DataFrame:
        """One row a response: estimates, ``se(...)``, ``sd(...)`` and what is one number a fit.

        Returns
        -------
        DataFrame
            Columns of `params`, `bse`, `sd` and sigma, llf, pearson, converged, singular, error.
        """
        errors = self.bse.rename(columns=lambda name: f"se({name})")
        spread = self.sd.rename(columns=lambda name: f"sd({name})")
        single = [self.sigma, self.llf, self.pearson, self.converged, self.singular, self.error]
        return pd.concat([self.params, errors, spread, *single], axis=1)


def refit_many(fit: FittedGLMM, y: ArrayLike, n_jobs: int | None = None) -> ManyFits:
    """Fit the model of a fit to many responses of the same rows, such as its own simulations.

    Parameters
    ----------
    fit : FittedGLMM
    y : array_like, shape (B, nobs)
        One response a row, as `FittedGLMM.simulate` gives them.
    n_jobs : int, optional
        Workers, as in `fit_many`.

    Returns
    -------
    ManyFits

    Raises
    ------
    ModelError
        If the shape is wrong. What is wrong with one response is said in its row.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> refit_many(fit, fit.simulate(5, rng=1)).params.shape
    (5, 2)
    """
    require_workers(n_jobs)
    if isinstance(y, pd.DataFrame) and set(y.columns) == set(fit.data.index) and not y.columns.equals(fit.data.index):
        raise ModelError("refit_many: the columns of y are the rows of the fit in another order; bring them into one")
    matrix = real_array(y, "y")
    if matrix.ndim != 2 or matrix.shape[1] != fit.nobs:
        raise ModelError(
            f"refit_many: y has shape {matrix.shape}, it must be (responses, {fit.nobs}), one response a row"
        )
    task, names = BlockTask.of_refits(fit), pd.RangeIndex(len(matrix))

    def errors() -> dict[str, pd.DataFrame]:
        complete = BlockTask.of(fit.estimator)
        return by_part(names, fit_blocks(complete, matrix, n_jobs).errors, complete)

    fits = fit_blocks(task, matrix, n_jobs)
    # searches from a common start make no standard errors
    later = errors if task.start is not None else None

    def fit_from(i: int, x: np.ndarray) -> FittedGLMM:
        return refit_from(fit, matrix[i], x)

    return tables_of(names, fits, task, matrix, lambda i: fit.refit(matrix[i]), later, fit_from)


def fit_blocks(task: BlockTask, y: np.ndarray, n_jobs: int | None) -> BlockFits:
    """Fit the rows of y (B, n) block by block; blocks do not depend on the workers."""
    blocks = [np.ascontiguousarray(y[i : i + task.block_size]) for i in range(0, len(y), task.block_size)]
    if n_jobs == 1 or len(blocks) < 2:
        # not through joblib: on a worker of a cluster it would wait for another worker even with one job
        return BlockFits.concatenate([task(y[:0]), *map(task, blocks)])
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=workers_for(len(blocks), n_jobs))
    return BlockFits.concatenate([task(y[:0]), *run(delayed(task)(block) for block in blocks)])


def tables_of(
    names: pd.Index,
    fits: BlockFits,
    task: BlockTask,
    y: np.ndarray,
    fit_one: Callable[[int], FittedGLMM],
    errors: Callable[[], dict[str, pd.DataFrame]] | None = None,
    fit_from: Callable[[int, np.ndarray], FittedGLMM] | None = None,
) -> ManyFits:
    """Tables of fits under their names.

    `y` are the responses (B, n); `fit_one` makes the whole fit of one of them, `fit_from` from its estimates on.
    """
    problem = task.estimator.problem
    tables = by_part(names, fits.coefficients, task)
    columns = [f"{t.term.group}: {c}" for t in problem.terms for c in reported(t, t.term.columns)]
    tables["sd"] = pd.DataFrame(fits.sd, names, columns)
    single = pd.DataFrame({"llf": fits.llf, "sigma": fits.sigma}, names)
    single["converged"], single["singular"] = fits.converged, fits.singular
    single["error"] = pd.Series(fits.error, names, dtype=object)
    laws = ManyLaws(task.estimator.family, fits.values, task.estimator.design.response.trials, y)
    return ManyFits(
        tables, single, laws, fit_one, errors or (lambda: by_part(names, fits.errors, task)), fits.x, fit_from
    )


def by_part(names: pd.Index, values: dict[str, np.ndarray], task: BlockTask) -> dict[str, pd.DataFrame]:
    """One table a part, a row for each response."""
    problem = task.estimator.problem
    return {part: pd.DataFrame(values[part], names, list(problem.part(part).columns)) for part in task.parts}
