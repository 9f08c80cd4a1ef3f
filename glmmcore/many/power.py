"""Power of tests of coefficients by simulation: responses of a fit with other effects, in larger or smaller designs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import (
    ALPHA,
    known_elsewhere,
    random_generator,
    require_level,
    require_whole,
    require_word,
    require_workers,
)
from glmmcore.errors import ModelError
from glmmcore.estimation.assemble import log_weight_shift
from glmmcore.estimation.estimator import Estimator
from glmmcore.many.batch import fit_blocks
from glmmcore.many.batch_blocks import BlockTask
from glmmcore.many.larger_designs import resized
from glmmcore.results.law import Law
from glmmcore.results.quantities import fixed_values
from glmmcore.results.simulation import NewEffects, draw_effects, responses, square_root
from glmmcore.results.t_distribution import two_sided
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Design, PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["power"]

# Replicates that share a generator: results do not depend on the number of workers.
_BLOCK = 50
# Complete fits whose Satterthwaite's degrees of freedom stand for those of all replicates of a design.
_DF_FITS = 15


@known_elsewhere(seed="rng=", nsim="n_sims=", level=ALPHA)
def power(
    fit: FittedGLMM,
    effect: str | Mapping[str, ArrayLike],
    n: int | Iterable[int] | None = None,
    *,
    groups: int | Iterable[int] | Mapping[str, int | Iterable[int]] | None = None,
    n_sims: int = 1000,
    alpha: float = 0.05,
    test: str = "auto",
    rng: Any = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Power of the test of an effect: how often it is found in simulated responses of designs like that of the fit.

    Responses are drawn from the fit with the coefficients of `effect` set to other values and with new random effects,
    and the model is fitted to each of them. Variances, dispersion and other coefficients are those of the fit. (Power
    at an effect that was itself estimated says no more than its p-value: give the smallest effect of interest.)

    Parameters
    ----------
    fit : FittedGLMM
        Of a pilot study, or of made-up data with the design that is planned.
    effect : mapping of str to number or array_like, or str
        Conditional coefficients and their values on the link's scale; several values are tried in turn, those of
        several coefficients together. A name alone, of a coefficient or a term, is taken at its estimate.
    n : int or iterable of int, optional
        Numbers of rows: rows are copied, or left out, within their groups.
    groups : int or iterable of int or mapping of str to these, optional
        Numbers of levels of the grouping factor, or of those named: levels are copied, or left out, with all their
        rows and with the levels nested in them. `n` counts the rows after that.
    n_sims : int
        Responses for each design and effect.
    alpha : float
        Level of the test.
    test : {"auto", "wald", "lrt"}
        Wald's test of one coefficient (with Satterthwaite's degrees of freedom for gaussian fits with identity link and
        ``reml=True``, the median of 15 fits standing for all), or the likelihood-ratio test by maximum likelihood of
        all coefficients in `effect`. By default Wald's for one coefficient.
    rng : numpy.random.Generator or int, optional
        All effects of one design share their random numbers.
    n_jobs : int, optional
        Workers, as in `fit_many`.

    Returns
    -------
    DataFrame
        A row for each design and effect: the coefficients, rows, one column for each grouping factor with its number of
        levels, power, lower, upper (exact 95 % limits of the simulation), n_sims and failed, the number that could not
        be tested, which count as not significant.

    Raises
    ------
    ModelError
        If a name is not known, or a design does not determine the coefficients.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, power
    >>> d = pd.DataFrame({"y": [4.1, 5.2, 3.9, 5.0, 4.4, 5.6], "x": [0, 1] * 3})
    >>> power(glmm("y ~ x", d, reml=True), {"x": 0.5}, n=[6, 12], n_sims=200, rng=1)["power"].round(2).tolist()
    [0.41, 0.77]
    """
    require_level(alpha, "alpha")
    require_workers(n_jobs)
    require_whole(n_sims, "power: n_sims", least=1)
    if any(t.term.places is not None for t in fit.solution.terms):
        raise ModelError(
            "power: plans of rows with effects of places or times are not known; draw responses with "
            "simulate(newdata=..., random_effects='unconditional') and refit them"
        )
    fit = fit.written_out()
    effects = _effects(fit, effect)
    names = list(effects.columns)
    require_word(test, "power: test", ("auto", "wald", "lrt"))
    if test == "wald" and len(names) > 1:
        raise ModelError("power: Wald's test is of one coefficient; use test='lrt' for several together")
    by_ratio = test == "lrt" or len(names) > 1
    levels = product(*_groups(fit, groups))
    designs = [resized(fit.design, rows, dict(chosen)) for rows, chosen in product(_numbers("n", n), levels)]
    table: list[dict[str, Any]] = []
    with _progress(len(designs) * len(effects) * n_sims) as bar:
        for design, child in zip(designs, random_generator(rng).spawn(len(designs)), strict=True):
            study = _Study(fit, design, names, n_sims, alpha, by_ratio, n_jobs)
            for values in effects.to_numpy():
                found = study.significant(values, deepcopy(child))
                row: dict[str, Any] = {**dict(zip(names, values, strict=True)), **_sizes(design), **_rates(found)}
                table.append({**row, "n_sims": n_sims, "failed": int(np.isnan(found).sum())})
                bar.update(n_sims)
    return ResultTable(pd.DataFrame(table))


def _progress(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="refits", delay=1.0, disable=None, leave=False)


def _effects(fit: FittedGLMM, effect: str | Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Values of coefficients, a row for each that is tried."""
    params = fit.params
    if isinstance(effect, str):
        terms = [":".join(factors) for factors in fit.design.predictors["cond"].column_terms]
        members = [name for name, term in zip(params.index, terms, strict=True) if effect in (name, term)]
        if not members:
            known = ", ".join(params.index)
            raise ModelError(f"power: there is no coefficient or term '{effect}'; coefficients: {known}")
        return pd.DataFrame([params[members].to_dict()])
    if not isinstance(effect, Mapping) or not effect:
        raise ModelError(
            "power: effect must name a coefficient, or map coefficients to values such as {'x': [0.2, 0.5]}"
        )
    unknown = [name for name in effect if name not in params.index]
    if unknown:
        raise ModelError(f"power: there is no coefficient {unknown[0]!r}; coefficients: {', '.join(params.index)}")
    values = {name: np.atleast_1d(np.asarray(v, dtype=float)) for name, v in effect.items()}
    sizes = {len(v) for v in values.values()} - {1}
    if len(sizes) > 1 or any(v.ndim != 1 or not np.isfinite(v).all() for v in values.values()):
        raise ModelError("power: values of effect must be finite numbers, as many for each coefficient")
    length = max(sizes, default=1)
    return pd.DataFrame({name: np.broadcast_to(v, length) for name, v in values.items()})


def _numbers(what: str, given: Any) -> list[Any]:
    if given is None:
        return [None]
    numbers = list(given) if isinstance(given, Iterable) else [given]
    if not numbers or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 1 for v in numbers):
        raise ModelError(f"power: {what} must be whole numbers of at least 2, not {given!r}")
    return [int(v) for v in numbers]


def _groups(fit: FittedGLMM, groups: Any) -> list[list[tuple[str, int]]]:
    """Numbers of levels to try, by grouping factor."""
    if groups is None:
        return []
    known = list(dict.fromkeys(t.term.group for t in fit.solution.terms))
    if not isinstance(groups, Mapping):
        if len(known) != 1:
            raise ModelError(
                f"power: groups= must say of which grouping factor, such as {{'g': 40}}; the model has "
                f"{', '.join(known) or 'none'}"
            )
        groups = {known[0]: groups}
    return [[(name, m) for m in _numbers(f"groups of '{name}'", given)] for name, given in groups.items()]


def _sizes(design: Design) -> dict[str, int]:
    levels = {t.group: len(t.levels) for part in design.predictors.values() for t in part.terms}
    return {"rows": design.nobs, **levels}


def _rates(significant: np.ndarray) -> dict[str, float]:
    """Share and its exact 95 % limits (Clopper and Pearson)."""
    n, k = len(significant), int(np.nansum(significant))
    lower = float(special.betaincinv(k, n - k + 1, 0.025)) if k else 0.0
    upper = float(special.betaincinv(k + 1, n - k, 0.975)) if k < n else 1.0
    return {"power": k / n, "lower": lower, "upper": upper}


class _Study:
    """Simulated responses of one design, and tests of them.

    Parameters
    ----------
    fit : FittedGLMM
        The truth, but for the coefficients `names`.
    design : Design
    names : list of str
    n_sims : int
    alpha : float
    by_ratio : bool
        Likelihood-ratio instead of Wald tests.
    n_jobs : int or None
    """

    def __init__(
        self,
        fit: FittedGLMM,
        design: Design,
        names: list[str],
        n_sims: int,
        alpha: float,
        by_ratio: bool,
        n_jobs: int | None,
    ) -> None:
        self._fit, self._design, self._n_sims, self._alpha = fit, design, n_sims, alpha
        self._at = [list(fit.params.index).index(name) for name in names]
        self._by_ratio, self._n_jobs = by_ratio, n_jobs

    def significant(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Whether each test of simulated responses is significant, (n_sims,); NaN where there is no test."""
        sizes = [min(_BLOCK, self._n_sims - start) for start in range(0, self._n_sims, _BLOCK)]
        children = rng.spawn(len(sizes))
        y = np.concatenate([self._draw(values, size, own) for size, own in zip(sizes, children, strict=True)])
        pvalue = self._ratio_tests(y) if self._by_ratio else self._wald_tests(y)
        return np.where(np.isnan(pvalue), np.nan, pvalue < self._alpha)

    def _draw(self, effects: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """Responses with new random effects, (size, n)."""
        fit, design = self._fit, self._design
        values = fixed_values(fit, design.predictors, design.nobs)[1]
        part = design.predictors["cond"]
        moved = effects - fit.solution.coefficients["cond"][self._at]
        values["cond"] = values["cond"] + part.X[:, self._at] @ moved
        shift = log_weight_shift(design, fit.family)
        if shift is not None:
            values["disp"] = values["disp"] + shift
        trials, drawn = design.response.trials, list(self._new_effects())
        if not drawn:
            return Law(fit.family, values, trials).simulate(size, rng)
        return np.stack(list(responses(fit.family, values, drawn, trials, size, rng)))

    def _new_effects(self) -> Iterator[NewEffects]:
        """Random terms of the design with the covariances of the fit."""
        for name, part in self._design.predictors.items():
            for fitted, term in zip(self._fit.design.predictors[name].terms, part.terms, strict=True):
                root = square_root(self._fit.solution.of_term(fitted).covariance)
                yield NewEffects(name, term.Z, term.codes, partial(draw_effects, term, root))

    def _estimator(self, y: np.ndarray, *, reml: bool, without: bool = False) -> Estimator:
        design = replace(self._design, response=replace(self._design.response, y=y[0]))
        if without:
            part: PredictorDesign = design.predictors["cond"]
            kept = np.setdiff1d(np.arange(part.X.shape[1]), self._at).tolist()
            design = design.with_predictors({**design.predictors, "cond": part.with_columns(kept)})
        return Estimator.build(design, self._fit.family, reml=reml, n_agq=self._fit.estimator.n_agq)

    def _wald_tests(self, y: np.ndarray) -> np.ndarray:
        estimator = self._estimator(y, reml=self._fit.reml)
        j = self._at[0]
        df = np.full(len(y), np.inf)
        if estimator.linear:
            few = [type(self._fit)(own, own.fit()) for own in (estimator.with_response(v) for v in y[:_DF_FITS])]
            if self._fit.reml:
                df[:] = np.median([one.df_params.iloc[j] for one in few])
            fits = fit_blocks(BlockTask.of_refits(few[0]), y, self._n_jobs)
            error = fits.sigma * self._linear_errors(estimator, fits.x)
        else:
            fits = fit_blocks(BlockTask.of(estimator), y, self._n_jobs)
            error = fits.errors["cond"][:, j]
        usable = np.isfinite(error) & (error > 0.0)
        statistic = np.divide(fits.coefficients["cond"][:, j], error, out=np.full(len(y), np.nan), where=usable)
        return two_sided(statistic, df)

    def _linear_errors(self, estimator: Estimator, thetas: np.ndarray) -> np.ndarray:
        """Standard errors of the coefficient over sigma, (b,), which depend on the response through theta only."""
        objective = estimator.linear_objective()
        row = estimator.problem.part("cond").back[self._at[0]]
        out = np.full(len(thetas), np.nan)
        known: dict[bytes, float] = {}
        for i, theta in enumerate(thetas):
            key = theta.tobytes()
            if key not in known and np.isfinite(theta).all() and np.isfinite(objective(theta.copy())[0]):
                known[key] = float(np.sqrt(row @ objective.coefficient_covariance() @ row)) / objective.sigma
            out[i] = known.get(key, np.nan)
        return out

    def _ratio_tests(self, y: np.ndarray) -> np.ndarray:
        whole, reduced = (
            fit_blocks(BlockTask.of(self._estimator(y, reml=False, without=without)), y, self._n_jobs).llf
            for without in (False, True)
        )
        return np.asarray(special.chdtrc(len(self._at), np.maximum(2.0 * (whole - reduced), 0.0)))
