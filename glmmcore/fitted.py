"""A fitted model: what can be asked of the estimates, and what simresid's protocol asks for.

Longer than 400 lines: more than half of them are the docstrings of methods; the numbers are made in `results` and
`inference`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import (
    LEVEL,
    alpha_of,
    known_elsewhere,
    random_generator,
    renamed,
    require_level,
    require_name,
    row_values,
)
from glmmcore.errors import ModelError
from glmmcore.estimates import Estimates
from glmmcore.results import simulation, verdict
from glmmcore.results.law import Law

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.solution import Solution
    from glmmcore.many.batch import ManyFits
    from glmmcore.many.warm import WarmStart
    from glmmcore.results.held_out import HeldOut
    from glmmcore.results.one_step import OneStep
    from glmmcore.results.summary import Summary

__all__ = ["FittedGLMM"]


class FittedGLMM(Estimates):
    """What `glmmcore.glmm` returns.

    Attributes are computed when first read. Rows are in the order of the data frame, incomplete ones left out.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from glmmcore import glmm
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
    >>> fit = glmm("y ~ x + (1|g)", d, family="poisson")
    >>> fit
    <FittedGLMM poisson(log): y ~ x + (1|g), 8 rows, logLik -16.17>
    """

    def __init__(
        self,
        estimator: Estimator,
        solution: Solution,
        table: pd.DataFrame | None = None,
        repeated: np.ndarray | None = None,
    ) -> None:
        super().__init__(estimator, solution)
        self._table = table
        self._repeated = repeated  # positions among the complete rows of the table, None for each once

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._table = None  # the user's data are not copied into files and other processes

    @property
    def column_names(self) -> list[Any]:
        """Columns that `column` knows: those of the data frame that was given to `glmm`, used or not."""
        return list(self.data.columns if self._table is None else self._table.columns)

    def column(self, name: Any) -> pd.Series:
        """Return any column of the data frame that was given to `glmm`, at the rows of the fit.

        The frame is kept by reference, so that a column may be added to it after the fit. Of a fit that was
        unpickled or made by `fit_many` or `refit`, only the columns used are known.

        Parameters
        ----------
        name : hashable
            A column, whether the formula uses it or not.

        Returns
        -------
        Series
            Shape (nobs,), with the index of `data`.

        Raises
        ------
        KeyError
            If there is no such column.
        ModelError
            If the frame is no longer the one that was fitted: rows or values that the fit used were changed.

        Examples
        --------
        >>> import pandas as pd
        >>> from glmmcore import glmm
        >>> d = pd.DataFrame({"y": [1, 3, None, 6], "x": [0, 1, 0, 1], "day": [4, 1, 2, 3]})
        >>> glmm("y ~ x", d).column("day").tolist()
        [4, 1, 3]
        """
        require_name(name, "column: name")
        found: pd.Series
        if name in self.data.columns:
            found = self.data[name]
            return found
        if self._table is None or name not in self._table.columns:
            raise KeyError(f"no column {name!r}; columns: {self.column_names[:20]}")
        complete = self.design.complete
        n_once = self.nobs if self._repeated is None else int(self._repeated[-1]) + 1
        same = len(self._table) == (n_once if complete is None else complete.size)
        if same:
            kept: Any = slice(None) if complete is None else np.flatnonzero(complete)
            if self._repeated is not None:
                kept = np.arange(len(self._table))[kept][self._repeated]
            same = self._table.index[kept].equals(self.data.index) and all(
                used in self._table.columns and self._table[used].iloc[kept].equals(self.data[used])
                for used in self.data.columns
            )
        if not same:
            raise ModelError(
                f"column {name!r}: the data frame was changed after the fit, so that its rows may be others; pass the "
                "values themselves, or fit again"
            )
        found = self._table[name].iloc[kept]
        return found

    def __repr__(self) -> str:
        return f"<FittedGLMM {self.description}, {self.nobs} rows, logLik {self.llf:.2f}>"

    @cached_property
    def verdict(self) -> list[str]:
        """Sentences on what is not as it should be; empty for a clean fit."""
        return verdict.sentences(self)

    @property
    def thread_safe(self) -> bool:
        """True: a fit can be simulated and refitted in several threads at once, whose kernels release the lock."""
        return True

    @cached_property
    def refit_start(self) -> WarmStart:
        """Where refits to other responses start."""
        from glmmcore.many.warm import WarmStart

        return WarmStart.of(self)

    def conf_int(
        self,
        alpha: float = 0.05,
        method: str = "wald",
        *,
        level: float | None = None,
        parameters: str = "cond",
        df: str | float = "auto",
        cov: str | pd.DataFrame | ArrayLike | None = None,
        n_sims: int = 500,
        rng: Any = None,
    ) -> pd.DataFrame:
        """Confidence intervals of fixed effects, standard deviations, correlations and dispersion.

        Parameters
        ----------
        alpha : float
            One minus the level, as in statsmodels.
        method : {"wald", "profile", "bootstrap"}
            Quantiles of t or the normal distribution, as in `coefficient_table` (on the logarithm of standard
            deviations and of the dispersion, on atanh of correlations); values at which twice the fall of the
            log-likelihood, maximised over all other parameters, reaches the chi-square quantile (of the model refitted
            by maximum likelihood when it was fitted with ``reml=True``, as R's ``confint`` does); percentiles of refits
            to simulated responses.
        level : float, optional
            Level of the intervals such as 0.95, instead of `alpha`.
        parameters : {"cond", "zi", "disp", "random", "all"}
            A part's coefficients; standard deviations and correlations of random effects with a constant
            dispersion; all of them, in a two-level index.
        df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
            Degrees of freedom of Wald limits of coefficients, as in `coefficient_table`.
        cov : str, DataFrame or array_like, optional
            Covariance for Wald limits of coefficients instead of the model's, as in `coefficient_table`.
        n_sims : int
            Responses to simulate for the bootstrap, with new random effects.
        rng : numpy.random.Generator or int, optional
            For the bootstrap.

        Returns
        -------
        DataFrame
            Columns lower and upper. A limit is infinite, or the end of the range, where the likelihood does
            not fall far enough, and NaN for what has no interval by this method (Wald on the boundary).

        Examples
        --------
        >>> import pandas as pd
        >>> from glmmcore import glmm
        >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
        >>> glmm("y ~ x + (1|g)", d, family="poisson").conf_int(method="profile").round(2)
                   lower  upper
        Intercept   0.32   1.67
        x           0.07   1.46
        """
        from glmmcore.inference.intervals import conf_int

        alpha = alpha_of(alpha, level)
        return conf_int(self, alpha, method, parameters=parameters, df=df, cov=cov, n_sims=n_sims, rng=rng)

    # ---- means and residuals ---------------------------------------------------------------------------
    @cached_property
    def law(self) -> Law:
        """Distribution of every row given the conditional modes."""
        return Law(self.family, self.solution.values, self.trials)

    @cached_property
    def fitted(self) -> np.ndarray:
        """Conditional mean, (nobs,), on the scale of `observed` (a count for k of n)."""
        return self.law.mean()

    @property
    def fittedvalues(self) -> pd.Series:
        """`fitted` with the index of the data."""
        return pd.Series(self.fitted, index=self.data.index)

    def variance(self) -> np.ndarray:
        """Conditional variance of the response, (nobs,).

        Returns
        -------
        ndarray, shape (nobs,)
            Given the conditional modes, in squared units of `observed`.
        """
        return self.law.variance()

    def expected_variance(self) -> np.ndarray:
        """Variance of the response averaged over the random effects given the data, (nobs,).

        What the squared deviations from `fitted` are to be compared with, but for the `leverage`: `variance` at the
        conditional modes is too small for overdispersed counts in small groups, and too large for k of n. The formula
        is in `glmmcore.inference.expected_variance`; equal to `variance` in linear models, under REML and where
        predictors other than the conditional one have random effects.

        Returns
        -------
        ndarray, shape (nobs,)
            In squared units of `observed`.
        """
        from glmmcore.inference.expected_variance import averaged_variance

        row = self._row_fit
        if row.spread is None or row.shift is None:
            return self.variance()
        return averaged_variance(self.family, self.solution.values, self.trials, row.spread, row.shift)

    def group_leverage(self, codes: np.ndarray) -> np.ndarray:
        """How much the fitted sum of each group of rows follows its observed sum ``(n_groups,)``.

        Parameters
        ----------
        codes : ndarray of int, shape (nobs,)
            Group of each row, 0 to number of groups minus 1; rows with -1 belong to none.

        Returns
        -------
        ndarray, shape (n_groups,)
            Derivative of the fitted sum with respect to the observed one; 1 for a group that is followed wholly.
        """
        from glmmcore.inference.leverage import group_leverages

        return group_leverages(self.estimator, self.solution, self._group_codes(codes), self.variance())

    def _group_codes(self, codes: ArrayLike) -> np.ndarray:
        """Group of every row, refused unless the numbers run from 0 without gaps, -1 aside."""
        given = np.asarray(codes)
        if given.shape != (self.nobs,) or given.dtype.kind not in "iu":
            raise ModelError(f"codes must be {self.nobs} whole numbers, got shape {given.shape} of {given.dtype}")
        present = np.unique(given)
        present = present[present != -1] if given.dtype.kind == "i" else present
        if present.size == 0 or present[0] != 0 or present[-1] != present.size - 1:
            raise ModelError("codes must number the groups 0, 1, 2, ... without gaps, and be -1 for rows in none")
        return given.astype(np.intp)

    def deletion_changes(self, codes: ArrayLike) -> np.ndarray:
        """Fixed effects without each group of rows minus those with it, by one Newton step.

        Parameters
        ----------
        codes : array_like of int, shape (nobs,)
            Group of each row, 0 to number of groups minus 1; rows with -1 are always kept.

        Returns
        -------
        ndarray, shape (n_groups, p)
            In the order of `params`, variances held at their estimates; NaN for a group without which the fixed
            effects are not determined. The formula is in `glmmcore.inference.deletion`; ``refit(rows=...)`` fits again.
        """
        from glmmcore.inference.deletion import deletion_changes

        return deletion_changes(self.estimator, self.solution, self._group_codes(codes))

    def population_mean(self) -> np.ndarray:
        """Mean over new random effects, (nobs,): the mean of unconditional simulations.

        Returns
        -------
        ndarray, shape (nobs,)
            On the scale of `observed`.
        """
        return simulation.population_mean(self)

    @property
    def resid_response(self) -> np.ndarray:
        """Observed minus conditional mean, (nobs,)."""
        return np.asarray(self.observed - self.fitted)

    @property
    def resid_pearson(self) -> np.ndarray:
        """`resid_response` over the conditional standard deviation, (nobs,)."""
        sd = np.sqrt(self.variance())
        difference = self.resid_response
        # neither for a row without trials; no spread around a mean that rounding put on the edge of the range
        without_spread = np.where(difference == 0.0, 0.0, np.copysign(np.inf, difference))
        return np.asarray(np.divide(difference, sd, out=without_spread, where=sd > 0.0))

    def residuals(self, kind: str = "response") -> pd.Series:
        """Residuals with the index of the data.

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "working"}
            Observed minus fitted; over the standard deviation; signed root of the unit deviance (gaussian, poisson,
            binomial, gamma, nbinom2); on the scale of the link. For residuals that are uniform under the model, of
            every family, see `simresid.simulate_residuals`.

        Returns
        -------
        Series
            One value a row.
        """
        from glmmcore.results.classical_residuals import residuals

        return residuals(self, kind)

    def cdf(self, y: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Conditional distribution function at the observed response or at `y`.

        Parameters
        ----------
        y : array_like, shape (nobs,), optional
            Values, or counts for k-of-n responses; those observed by default.

        Returns
        -------
        lower : ndarray, shape (nobs,)
            P(Y < y).
        upper : ndarray, shape (nobs,)
            P(Y <= y).
        """
        if y is None:
            return self.law.cdf(self.observed)
        at = row_values(y, "y", self.data.index)
        if np.isnan(at).any():
            raise ModelError(f"cdf: y is NaN at position {int(np.argmax(np.isnan(at)))}")
        return self.law.cdf(at)

    @known_elsewhere(alpha=LEVEL, se_fit="se=True", type="kind=", re_form="random_effects=")
    def predict(
        self,
        newdata: Any = None,
        kind: str = "response",
        random_effects: str | Iterable[str] = "conditional",
        *,
        se: bool = False,
        level: float | None = None,
        interval: str | float | None = None,
        new_levels: str = "error",
        trials: str | ArrayLike | None = None,
        var_weights: str | ArrayLike | None = None,
        df: str | float = "auto",
        cov: str | pd.DataFrame | ArrayLike | None = None,
    ) -> pd.Series | pd.DataFrame:
        """Predict means, predictors, zero probabilities or dispersions.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns, optional
            The rows of the fit by default. Rows with a missing value keep their place, as NaN.
        kind : {"response", "link", "conditional", "zprob", "disp"}
            Mean of the response; its linear predictor; mean of the conditional part (without zero inflation);
            probability of a structural zero; dispersion as `sigma`. Means of k-of-n responses are per trial,
            probabilities, with and without `newdata`: ``fit.predict() * fit.trials`` are the `fittedvalues`.
        random_effects : {"conditional", "none", "average"} or iterable of str
            At the conditional modes; at zero (a typical level); averaged over the population of levels; or names of
            groups, whose effects are at their modes, those of others at zero.
        se : bool
            Add standard errors, from the joint covariance of parameters and random effects.
        level : float, optional
            Add limits of this level such as 0.95, symmetric on the link's scale.
        interval : {"confidence", "prediction"}, optional
            Limits, at level 0.95 unless `level` is given: of the mean, or of a new response. The latter know the
            variation of the family, the errors of all estimates but dispersion and shape, and, where random effects
            are averaged over, new ones; of whole numbers they hold at least `level`. A number is the former name of
            `level`, deprecated.
        new_levels : {"error", "zero"}
            What to do about levels of a grouping factor that the fit has not seen: refuse, or predict with a
            random effect of zero, whose variance goes into the standard error.
        trials : str or array_like, optional
            Numbers of trials of the rows of `newdata`, for prediction intervals of k of n, which are per trial too; by
            default those of the column that the fit had as ``trials=``, or of the columns in its ``cbind``.
        var_weights : str or array_like, optional
            Variance weights of the rows of `newdata`, for prediction intervals of fits that had such; by default those
            of the column that the fit had as ``var_weights=``, and 1, with a warning, where it is not there.
        df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
            Degrees of freedom of the limits, as in `coefficient_table`; where random effects of single groups take part
            the normal distribution, unless a number is given.
        cov : str, DataFrame or array_like, optional
            Covariance of the estimates instead of the model's, as in `coefficient_table`, for predictions with
            ``random_effects="none"`` or ``"average"``.

        Returns
        -------
        Series, or DataFrame with the columns estimate, se, lower, upper
            With the index of `newdata`.

        Examples
        --------
        >>> import pandas as pd
        >>> from glmmcore import glmm
        >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
        >>> fit = glmm("y ~ x + (1|g)", d, family="poisson")
        >>> fit.predict({"x": [0, 1]}, random_effects="none", level=0.9).round(2)
           estimate    se  lower  upper
        0      2.92  0.93   1.73   4.92
        1      6.08  1.45   4.10   9.01
        >>> fit.predict({"x": [0, 1]}, random_effects="average", interval="prediction")["upper"].tolist()
        [8.0, 14.0]
        """
        from glmmcore.inference.precision import Precision
        from glmmcore.results.predict import predict

        if interval is not None and not isinstance(interval, str):
            level, interval = renamed("predict", "interval", interval, "level", level), None
        if interval is not None and level is None:
            level = 0.95
        return predict(
            self,
            newdata,
            kind=kind,
            random_effects=random_effects,
            se=se,
            level=level,
            interval=interval or "confidence",
            trials=trials,
            var_weights=var_weights,
            new_levels=new_levels,
            precision=lambda fit: Precision(fit, df, cov),
        )

    # ---- new responses ---------------------------------------------------------------------------------
    @known_elsewhere(seed="rng=", nsim="n_sims=", re_form="random_effects=")
    def simulate(
        self,
        n_sims: int,
        *,
        rng: Any = None,
        random_effects: str | Iterable[str] = "conditional",
        newdata: Any = None,
        trials: str | ArrayLike | None = None,
        var_weights: str | ArrayLike | None = None,
    ) -> np.ndarray:
        """Draw new responses.

        Parameters
        ----------
        n_sims : int
            Number of responses to draw.
        rng : numpy.random.Generator or int, optional
            Source of randomness or seed; None gives fresh entropy.
        random_effects : {"conditional", "unconditional"} or iterable of str
            Keep the conditional modes, draw all random effects anew, or draw those of the named groups anew. Effects of
            places, times and levels of a relationship without rows are drawn given the modes of those that had some.
        newdata : DataFrame or mapping of columns, optional
            Rows to draw for, those of the fit by default. Levels that the fit has not seen need a group that is
            drawn anew.
        trials : str or array_like, optional
            Numbers of trials of the rows of `newdata`, for k-of-n responses; see `predict`.
        var_weights : str or array_like, optional
            Variance weights of the rows of `newdata`, for fits that had such; see `predict`.

        Returns
        -------
        ndarray of float64, shape (n_sims, nobs)
            Or (n_sims, rows of `newdata`), NaN for incomplete rows. A row that stands for several (`freq_weights`)
            has one response; `written_out` has one for each.
        """
        generator = random_generator(rng)
        if newdata is None:
            return simulation.simulate(self, n_sims, generator, random_effects)
        from glmmcore.results.new_responses import simulate_new

        return simulate_new(self, newdata, n_sims, generator, random_effects, trials, var_weights)

    def held_out(
        self, newdata: Any, *, trials: str | ArrayLike | None = None, var_weights: str | ArrayLike | None = None
    ) -> HeldOut:
        """Look at rows that the fit has not seen, with their responses: what `simresid.simulate_residuals` takes.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns
            With the response; rows with a missing value are left out.
        trials : str or array_like, optional
            Numbers of trials, for k-of-n responses without ``cbind``; the column of the fit by default.
        var_weights : str or array_like, optional
            Weights of the rows, if the fit had such; the column of the fit by default.

        Returns
        -------
        HeldOut
            With `observed`, `fitted`, `data` and `simulate`. What the estimates are off by is not in its draws.

        Examples
        --------
        >>> from glmmcore import glmm
        >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
        >>> fit.held_out({"y": [2, 9], "x": [0, 2]}).fitted.round(2)
        array([1.62, 6.62])
        """
        from glmmcore.results.held_out import HeldOut

        return HeldOut(self, newdata, trials, var_weights)

    def field(self, newdata: Any = None, *, term: str | None = None) -> pd.DataFrame:
        """Effects of places or times with standard errors: at those of the data, or kriged anywhere.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns, optional
            With the columns of the coordinates, and of the grouping factor if there is one (the first row's group
            otherwise); nothing else is needed. By default all places of the fit.
        term : str, optional
            Such as ``"mat(east, north)"`` or ``"mat"``, if the model has several.

        Returns
        -------
        DataFrame
            A row for each place or row of `newdata`: its effect on the scale of the link (estimate) and the standard
            error of predicting it (se), which knows that variance and range are estimated, to first order. Without
            `newdata` group and coordinates stand before them, and ``attrs`` names the term as `var_corr` does.

        Raises
        ------
        ModelError
            If the model has no such effects.

        Examples
        --------
        >>> from glmmcore import glmm
        >>> d = {"y": [1.0, 1.4, 1.1, 2.0, 2.6, 2.1, 1.7, 1.9], "day": [0, 1, 3, 4, 7, 8, 9, 12]}
        >>> fit = glmm("y ~ 1 + ou(day | 1)", d, fixed={"sigma": 0.3})
        >>> list(fit.field({"day": [2.0, 5.5]}).columns)
        ['estimate', 'se']
        """
        from glmmcore.results.field_effects import field_effects

        return field_effects(self, newdata, term)

    def one_step(self) -> OneStep:
        """Look at every row given the rows before it in time: what one-step-ahead residuals come from.

        For models with a serial term: ``ar1``, ``ou``, ``toep`` and their kin, or a random walk as ``known=``. Rows at
        one time are taken in the order of the data.

        Returns
        -------
        OneStep
            With `observed`, `fitted`, `variance`, `cdf` and `simulate`, all at the estimates and given the rows before;
            exact for gaussian responses with identity link, by assumed density filtering for others.

        Raises
        ------
        ModelError
            Without a serial term, with frequency weights, or with random effects of zero inflation or dispersion.

        Examples
        --------
        >>> from glmmcore import glmm
        >>> d = {"y": [1.0, 1.4, 1.1, 2.0, 2.6, 2.1, 1.7, 1.9], "day": [0, 1, 3, 4, 7, 8, 9, 12]}
        >>> ahead = glmm("y ~ 1 + ou(day | 1)", d, fixed={"sigma": 0.3}).one_step()
        >>> ahead.fitted.shape
        (8,)
        """
        from glmmcore.results.one_step import OneStep

        return OneStep(self)

    def refit(self, y: ArrayLike | None = None, *, rows: ArrayLike | None = None) -> FittedGLMM:
        """Fit the same model to another response of the same rows, starting from this fit, or to some rows only.

        Parameters
        ----------
        y : array_like, shape (nobs,), optional
            Values, or numbers of successes for k-of-n responses.
        rows : array_like, optional
            Mask (nobs,) or positions of the rows to fit to. Transforms of columns stay those of all rows; columns
            and levels that no longer occur are dropped.

        Returns
        -------
        FittedGLMM
            A new fit; this one is left alone.
        """
        from glmmcore.many.refit import refit

        return refit(self, None if y is None else row_values(y, "y", self.data.index), rows)

    def written_out(self) -> FittedGLMM:
        """Write every row out as often as `freq_weights` say: the same estimates without such weights.

        Simulated responses of rows that stand for several have to differ among these, so that residuals, bootstrap
        and power are those of this fit.

        Returns
        -------
        FittedGLMM
            This fit if it has no frequencies. Rows that stand for the same row follow each other, under its label.

        Examples
        --------
        >>> from glmmcore import glmm
        >>> table = {"y": [0, 1, 0, 1], "x": [0, 0, 1, 1], "people": [30, 10, 25, 35]}
        >>> fit = glmm("y ~ x", table, family="binomial", freq_weights="people")
        >>> fit.nobs, fit.written_out().nobs
        (4, 100)
        """
        if self.design.freq_weights is None:
            return self
        from glmmcore.many.refit import written_out

        repeated = np.repeat(np.arange(self.nobs), self.design.freq_weights.astype(np.intp))
        return FittedGLMM(*written_out(self, repeated), self._table, repeated)

    def refit_many(self, y: ArrayLike, *, n_jobs: int | None = None) -> ManyFits:
        """Fit the same model to many responses at once; far cheaper than many calls of `refit`.

        Parameters
        ----------
        y : array_like, shape (B, nobs)
            One response a row, as `simulate` gives them.
        n_jobs : int, optional
            Workers as in joblib.

        Returns
        -------
        ManyFits
            Tables with a row for each response; one that cannot be fitted says why in ``error``.
        """
        from glmmcore.many.batch import refit_many

        return refit_many(self, y, n_jobs)

    # ---- printing --------------------------------------------------------------------------------------
    def summary(self, *, df: str | float = "auto", cov: str | pd.DataFrame | ArrayLike | None = None) -> Summary:
        """Estimates, variances and verdict as text, which shows as tables in a notebook.

        The data frames behind the tables are in ``summary().tables``. Gaussian fits with identity link and
        ``reml=True`` have t statistics with Satterthwaite's degrees of freedom, all others z statistics.

        Parameters
        ----------
        df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
            Degrees of freedom, as in `coefficient_table`.
        cov : str, DataFrame or array_like, optional
            Covariance instead of the model's, as in `coefficient_table`; that of the conditional coefficients leaves
            the other parts as they are.

        Returns
        -------
        Summary
            A string with `tables`.
        """
        from glmmcore.inference.coefficients import summary_tables
        from glmmcore.results.summary import summarise

        return summarise(self, *summary_tables(self, df, cov))

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def to_frame(self) -> pd.DataFrame:
        """One row an observation: observed, trials (k of n), fitted, its linear predictor, sd, and residuals.

        Returns
        -------
        DataFrame
            Columns observed, fitted, link, trials (k of n), sd, resid_response, resid_pearson; index of the data.
        """
        columns = {"observed": self.observed, "fitted": self.fitted, "link": self.law.eta}
        columns |= {} if self.trials is None else {"trials": self.trials}
        columns["sd"] = np.sqrt(self.variance())
        columns |= {"resid_response": self.resid_response, "resid_pearson": self.resid_pearson}
        return pd.DataFrame(columns, index=self.data.index)

    def random_effects_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Conditional modes with limits in one long table, the data of a caterpillar plot.

        Parameters
        ----------
        level : float
            Of the limits, which take the parameters as known.

        Returns
        -------
        DataFrame
            Columns group, level, term, mode, sd, lower, upper; sorted by mode within each group and term.
        """
        require_level(level, "level")
        half = special.ndtri(0.5 + 0.5 * level)
        tables = []
        for group, modes in self.random_effects.items():
            sd = self.random_effects_sd[group]
            for j, term in enumerate(modes.columns):
                mode, error = modes.iloc[:, j].to_numpy(), sd.iloc[:, j].to_numpy()
                columns = {"group": group, "level": modes.index, "term": term, "mode": mode, "sd": error}
                limits = {"lower": mode - half * error, "upper": mode + half * error}
                tables.append(pd.DataFrame(columns | limits).sort_values("mode", kind="stable"))
        if not tables:
            raise ModelError("random_effects_frame: the model has no random effects")
        return pd.concat(tables, ignore_index=True)

    # ---- variance explained ----------------------------------------------------------------------------
    def r2(self) -> pd.Series:
        """Nakagawa's R2 of the conditional model: marginal (fixed effects) and conditional (random ones too).

        The variance of the response is taken on the scale of the link: pi^2 / 3 for a logit, 1 for a probit,
        pi^2 / 6 for a cloglog, log(1 + variance / mean^2) at the average response for a log link (Nakagawa,
        Johnson and Schielzeth 2017). Random slopes count with their average over the rows (Johnson 2014).

        Returns
        -------
        Series
            Entries marginal and conditional.
        """
        from glmmcore.results.r2 import r2

        return r2(self)

    def icc(self) -> pd.Series:
        """Intraclass correlation: share of each group's variance, and of all, in random and residual variance.

        Returns
        -------
        Series
            One entry per random term, and total.
        """
        from glmmcore.results.r2 import icc

        return icc(self)
