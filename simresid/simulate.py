"""The two ways to make residuals: from a fitted model, or from simulations that exist already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import known_elsewhere, require_flag, warn_user
from simresid.alignment import align_rows, finite_vector
from simresid.arguments import NAMES_ELSEWHERE, check_word, resolve_seed
from simresid.protocol import HasDescription, HasDiscreteness
from simresid.residuals.execution import Execution
from simresid.residuals.model_rows import held_out, model_cdf, model_rows, one_step_ahead, row_index, written_out
from simresid.residuals.ranked_response import FROM_LAW, METHODS, SMALL_MATRIX_BYTES
from simresid.residuals.rotation import simulations_for_covariance, whitening_by
from simresid.residuals.rows import NamedColumns, Rows
from simresid.residuals.streaming import materialise
from simresid.residuals.time_limited import drawn_in_time, how_far
from simresid.simulated_residuals import SimulatedResiduals
from simresid.simulations.sources import WHITENING, MatrixSource, ModelSource, SimulationSource
from simresid.simulations.time_limit import check_timeout

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from simresid.alignment import FloatArray
    from simresid.protocol import FittedModel, RandomEffects
    from simresid.residuals.rotation import Whiten


__all__ = ["from_simulations", "simulate_residuals"]

MOST_SIMULATIONS = 10**8
"""Far beyond any use; a larger number is a slip that would never end."""

LARGEST_RESPONSE = 1e300
"""Sums of a hundred million responses of this size are finite."""

CALLS_WITHIN_TIME = 25
"""Calls of the model in which simulations under a time limit are drawn."""

FEWEST_FOR_COVARIANCE = 10
"""Simulations from which a covariance is estimated at all."""


@known_elsewhere(**NAMES_ELSEWHERE)
def simulate_residuals(
    model: Any,
    n_sims: int = 250,
    *,
    random_effects: RandomEffects = "conditional",
    method: str = "rank",
    refit: bool = False,
    rotation: Any = None,
    rng: int | np.random.Generator | None = 123,
    plot: bool = False,
    keep_simulations: bool | str = "auto",
    n_jobs: int | None = None,
    progress: bool = False,
    block_size: int | None = None,
    timeout: float | None = None,
    newdata: Any = None,
) -> SimulatedResiduals:
    """Scaled residuals of a fitted model by simulation from it.

    Parameters
    ----------
    model : object
        A fitted model of a supported library, or anything that fulfils `simresid.FittedModel`. Rows that stand for
        several (`freq_weights`) are written out: each has a residual.
    n_sims : int
        Number of simulated responses.
    random_effects : {"conditional", "unconditional"} or iterable of str
        Keep the fitted random effects, draw all anew, or draw those of the named groups anew.
    method : {"rank", "pit", "traditional", "exact", "one-step"}
        Definition of a residual. ``"rank"`` is exactly uniform under the model for any response. ``"pit"``
        and ``"traditional"`` are DHARMa's two. ``"exact"`` uses the model's distribution function given its
        random effects, without simulation noise; simulations are then drawn only when a test asks for them.
        ``"one-step"``, for `glmmcore` models with a serial term (``ou``, ``ar1`` and kin, random walks), takes each
        row's law given the rows before it in time, and so do its means and simulations.
    refit : bool
        Parametric bootstrap: fit the model to every simulation and rank raw residuals among those of the refits.
    rotation : ndarray (n, n) or "estimated", optional
        Covariance of the response to take out before ranking, where simulations are correlated. ``"estimated"`` takes
        it, shrunk, from simulations of its own, forty per row if affordable.
    rng : int, Generator or None
        Seed of everything random; a Generator is asked for one number, None gives fresh entropy.
    plot : bool
        Draw the overview figure.
    keep_simulations : {"auto", True, False}
        Hold the ``(n_sims, n)`` matrix; "auto" does up to 100 MB. Otherwise simulations are counted as they are drawn,
        and drawn again, identically, when a test needs more.
    n_jobs : int, optional
        Parallel workers as in joblib; None follows ``joblib.parallel_config``. Without one, models that say
        `thread_safe`, as those of `glmmcore` do, are simulated and refitted in threads on all processors (eight at
        most) where the work is large, others in one.
    progress : bool
        Show a progress bar on a terminal once the work takes longer than a second.
    block_size : int, optional
        Replicates for a worker at a time. Like `n_jobs` it cannot change the result.
    timeout : float, optional
        Seconds for the simulations, and as many again for the refits. What is done by then is used, with a warning, if
        it is at least 20 simulations. They are drawn in calls of a twenty-fifth, so that the numbers differ from those
        without a limit; `summary` says so. A call of the model that does not return is left behind in its thread.
    newdata : DataFrame, optional
        Rows that the model was not fitted to, with their responses: residuals of these. For models of `glmmcore`;
        its ``fit.held_out(newdata, trials=, var_weights=)`` can be given as the model instead. Levels of groups that
        the fit has not seen need `random_effects` to draw them anew.

    Returns
    -------
    SimulatedResiduals
        With tests and figures as methods.

    Raises
    ------
    TypeError
        If the model is not supported.
    ValueError
        If the response or the simulations hold NaN or infinite values, lengths differ, or the model lacks
        what `method` or `refit` needs.
    TimeoutError
        If fewer than 20 simulations are done in `timeout` seconds.
    MemoryError
        If simulations that have to be kept do not fit.

    References
    ----------
    Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. Journal of Computational and Graphical
    Statistics 5, 236-244. Hartig, F. (2024). DHARMa: residual diagnostics for hierarchical regression models.
    Thygesen, U. H. and others (2017). Environmental and Ecological Statistics 24, 317-339 (one-step).

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import simulate_residuals
    >>> class Coins:
    ...     "Ten tosses of a fair coin per row."
    ...     observed = np.array([4.0, 6.0, 5.0, 10.0])
    ...     fitted = np.full(4, 5.0)
    ...     nobs = 4
    ...     def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
    ...         return np.random.default_rng(rng).binomial(10, 0.5, size=(n_sims, 4))
    >>> res = simulate_residuals(Coins())
    >>> res.residuals.shape
    (4,)
    >>> bool(res.residuals[3] > 0.99)
    True
    """
    from simresid.adapters import as_fitted_model

    fitted_model = as_fitted_model(model if newdata is None else held_out(model, newdata))
    random_effects = _check_random_effects(random_effects)
    n_sims = _check_n_sims(n_sims)
    check_word(method, "method", METHODS)
    if method == "one-step":
        fitted_model = one_step_ahead(fitted_model, random_effects, newdata)
    else:
        fitted_model = written_out(fitted_model)
    if rotation is not None and (refit or method in FROM_LAW):
        raise ValueError("rotation needs simulated responses: use it with method rank, pit or traditional")
    if timeout is not None and isinstance(rotation, str):
        raise ValueError("rotation='estimated' takes its own simulations, which no timeout bounds; pass a covariance")
    seed = resolve_seed(rng)
    rows = model_rows(fitted_model, random_effects)
    n = rows.observed.size
    timeout = check_timeout(timeout)
    size = None if timeout is None else max(1, n_sims // CALLS_WITHIN_TIME)
    source: SimulationSource = ModelSource(fitted_model, n_sims, n, seed, random_effects, chunk_size=size)
    execution = Execution(n_jobs, progress, block_size)
    require_flag(refit, "refit")
    require_flag(plot, "plot")
    keep = _keeps_matrix(keep_simulations, n * n_sims)
    cdf = model_cdf(fitted_model, random_effects, n) if method in FROM_LAW else None
    if timeout is not None:
        source = drawn_in_time(source, execution, timeout)
        rows = replace(rows, notes=(*rows.notes, how_far(source.n_sims, n_sims, timeout)))
    elif keep and method not in FROM_LAW:
        source = materialise(source, execution)

    refits = None
    if refit:
        if method in FROM_LAW:
            raise ValueError("refit residuals are ranks among the refits: method must be rank, pit or traditional")
        from simresid.residuals.bootstrap import bootstrap

        refits = bootstrap(fitted_model, materialise(source, execution).matrix, execution, timeout)

    # Replicates of their own: were the ranked ones used, each would be pulled towards white noise by its
    # own contribution to the covariance, the observation would not, and right models would be rejected.
    k = simulations_for_covariance(n)
    whiten = whitening_by(rotation, n, lambda: ModelSource(fitted_model, k, n, seed, random_effects, WHITENING))
    residuals = SimulatedResiduals(
        rows,
        source,
        method=method,
        seed=seed,
        discrete=fitted_model.discrete if isinstance(fitted_model, HasDiscreteness) else None,
        model=fitted_model,
        random_effects=random_effects,
        description=fitted_model.description if isinstance(fitted_model, HasDescription) else "",
        cdf=cdf,
        whiten=whiten,
        refits=refits,
        keep=keep,
        execution=execution,
        recipe=None if refit else _Recipe(source.n_sims, random_effects, method, whiten),
    )
    if plot:
        residuals.plot()
    return residuals


@dataclass(frozen=True, eq=False)
class _Recipe:
    """Residuals of another fit of the same model, made in the same way."""

    n_sims: int
    random_effects: RandomEffects
    method: str
    whiten: Whiten | None

    def __call__(self, model: FittedModel, seed: int) -> SimulatedResiduals:
        rows = model_rows(model, self.random_effects)
        n = rows.observed.size
        return SimulatedResiduals(
            rows,
            ModelSource(model, self.n_sims, n, seed, self.random_effects),
            method=self.method,
            seed=seed,
            discrete=model.discrete if isinstance(model, HasDiscreteness) else None,
            model=model,
            random_effects=self.random_effects,
            cdf=model_cdf(model, self.random_effects, n) if self.method in FROM_LAW else None,
            whiten=self.whiten,
            execution=Execution(n_jobs=1),
        )


def from_simulations(
    simulated: Any,
    observed: Any,
    fitted: ArrayLike | str | None = None,
    *,
    discrete: bool | None = None,
    method: str = "rank",
    rng: int | np.random.Generator | None = 123,
    rotation: Any = None,
    data: pd.DataFrame | None = None,
) -> SimulatedResiduals:
    """Scaled residuals from simulations made elsewhere, such as posterior predictive draws.

    Parameters
    ----------
    simulated : array-like, DataFrame, dict, InferenceData or DataTree
        Simulations ``(n_sims, n)``, one replicate per row; ``(chains, draws, n)`` is flattened. A dict,
        InferenceData or DataTree must hold one variable of simulations (group ``posterior_predictive``).
    observed : array-like (n,) or str
        Observed response, counts for k-of-n data; the name of a variable in ``observed_data`` for
        InferenceData.
    fitted : array-like (n,) or str, optional
        Prediction to show residuals against, on the scale of `observed`: values, or a column of `data`. By
        default the mean of the simulations.
    discrete : bool, optional
        Whether the response takes whole numbers only; found out from the values by default. Residuals of
        ``method="traditional"`` depend on it, the others do not.
    method : {"rank", "pit", "traditional"}
        Definition of a residual, as in `simulate_residuals`.
    rng : int, Generator or None
        Seed of everything random, as in `simulate_residuals`.
    rotation : ndarray (n, n) or "estimated", optional
        As in `simulate_residuals`. ``"estimated"`` spends the first half of the simulations on the
        covariance; the second half are then the simulations of the result.
    data : DataFrame (n rows), optional
        Predictors, so that tests and plots can refer to columns.

    Returns
    -------
    SimulatedResiduals
        The residuals, with tests and figures as methods.

    Raises
    ------
    ValueError
        If lengths differ, the simulations look transposed, or values are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 50)), rng.poisson(3, size=50))
    >>> res.n_obs, res.n_sims
    (50, 250)
    """
    from simresid.simulations.posterior import observed_values, simulation_matrix

    check_word(method, "method", METHODS)
    if method in FROM_LAW:
        raise ValueError(f"method={method!r} needs a model; simulations alone allow rank, pit, traditional")
    if not isinstance(discrete, bool | np.bool_ | None):
        raise ValueError(f"discrete={discrete!r}; use True, False or None to find out")
    seed = resolve_seed(rng)
    index_of = getattr(observed, "index", None)
    y = finite_vector(observed_values(simulated, observed), "observed")
    matrix = simulation_matrix(simulated, y.size, index_of)
    if LARGEST_RESPONSE < max(np.abs(y).max(), matrix.max(initial=0.0), -matrix.min(initial=0.0)) < np.inf:
        raise ValueError(
            f"responses beyond {LARGEST_RESPONSE:g} cannot be averaged in double precision; divide by a unit"
        )
    n_sims = _check_n_sims(matrix.shape[0])
    index = row_index(data, observed, y.size)
    half = n_sims // 2 if isinstance(rotation, str) else 0
    whiten = whitening_by(rotation, y.size, lambda: _first_half(matrix, half))
    if half:
        matrix = matrix[half:].copy()
    source = MatrixSource(matrix)
    columns = NamedColumns(data)
    mean = None
    if fitted is not None:
        mean = finite_vector(align_rows(fitted, "fitted", index, columns), "fitted")
        _warn_of_probabilities(mean, matrix)
    return SimulatedResiduals(
        Rows(observed=y, index=index, fitted=mean, columns=columns),
        source,
        method=method,
        seed=seed,
        discrete=discrete,
        whiten=whiten,
        keep=True,
    )


def _warn_of_probabilities(mean: FloatArray, simulated: FloatArray) -> None:
    """Notice probabilities beside counts: they would spoil pictures and DHARMa's dispersion test."""
    if not ((mean >= 0) & (mean <= 1)).all() or simulated.max() <= 1:
        return
    # k-of-n counts are at least twice their probabilities for n > 1.
    if simulated.mean() >= 1.8 * mean.mean():
        warn_user(
            "fitted lies in [0, 1] but the simulations are larger on average: if these are probabilities of a k-of-n "
            "response, multiply by the number of trials",
        )


def _check_n_sims(n_sims: int) -> int:
    if isinstance(n_sims, bool) or not isinstance(n_sims, int | np.integer):
        raise ValueError(f"n_sims={n_sims!r}: it must be a whole number such as 250")
    if n_sims < 2:
        raise ValueError(f"n_sims={n_sims}: at least 2 simulations are needed to rank an observation among them")
    if n_sims > MOST_SIMULATIONS:
        raise ValueError(f"n_sims={n_sims}: at most {MOST_SIMULATIONS} simulations can be drawn")
    return int(n_sims)


def _keeps_matrix(keep_simulations: bool | str, n_values: int) -> bool:
    """Whether so many simulated values are held in memory."""
    if isinstance(keep_simulations, bool | np.bool_):
        return bool(keep_simulations)
    if not isinstance(keep_simulations, str) or keep_simulations != "auto":
        raise ValueError(f"keep_simulations={keep_simulations!r}; use 'auto', True or False")
    return n_values * 8 <= SMALL_MATRIX_BYTES


def _first_half(matrix: FloatArray, half: int) -> MatrixSource:
    """Simulations that are spent on a covariance."""
    if half < FEWEST_FOR_COVARIANCE:
        raise ValueError(
            f"rotation='estimated' needs at least {2 * FEWEST_FOR_COVARIANCE} simulations, got {matrix.shape[0]}"
        )
    return MatrixSource(matrix[:half])


def _check_random_effects(random_effects: RandomEffects) -> RandomEffects:
    if isinstance(random_effects, str):
        if random_effects not in ("conditional", "unconditional"):
            raise ValueError(
                f"random_effects={random_effects!r}; use 'conditional', 'unconditional' or a list of groups to redraw"
            )
        return random_effects
    single = isinstance(random_effects, np.ndarray) and random_effects.ndim == 0  # says that it can be iterated over
    if single or not isinstance(random_effects, Iterable):
        raise ValueError(f"random_effects={random_effects!r}; use 'conditional', 'unconditional' or a list of groups")
    return tuple(random_effects)
