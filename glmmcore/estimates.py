"""What was estimated: coefficients, variances, modes and statistics of a fit, as pandas objects.

Longer than 400 lines: a third of them are docstrings, and most properties are one line over `Solution`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from glmmcore.arguments import alpha_of, require_word
from glmmcore.errors import ModelError
from glmmcore.estimation.assemble import pinned_dispersion
from glmmcore.results import verdict
from glmmcore.results.parameter_covariance import all_covariance, parameter_index
from glmmcore.results.t_distribution import two_sided
from glmmcore.results.variance_parameters import (
    joint_curvature,
    linear_curvature,
    parameter_errors,
    variance_parameters,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Design
    from glmmcore.estimation.curvature import Curvature
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.solution import ConditionalSpread, Solution, TermSolution
    from glmmcore.families.base import Family
    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.degrees_of_freedom import Satterthwaite
    from glmmcore.inference.kenward_roger import KenwardRoger
    from glmmcore.inference.leverage import RowFit

__all__ = ["Estimates"]


class Estimates:
    """Estimates of a fit; see `glmmcore.fitted.FittedGLMM`, which adds what can be asked of them."""

    def __init__(self, estimator: Estimator, solution: Solution) -> None:
        self._built: Estimator | None = estimator
        self._recipe = (estimator.design, estimator.family, estimator.reml, estimator.n_agq)
        self.solution = solution

    @property
    def estimator(self) -> Estimator:
        """Numerical form of the model, made anew after unpickling."""
        if self._built is None:
            from glmmcore.estimation.estimator import Estimator

            design, family, reml, n_agq = self._recipe
            self._built = Estimator.build(design, family, reml=reml, n_agq=n_agq)
        return self._built

    def __getstate__(self) -> dict[str, Any]:
        """Pickle data and estimates, not the linear algebra's memory."""
        return {"_recipe": self._recipe, "solution": self.solution}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._built = None

    # ---- what was fitted -------------------------------------------------------------------------------
    @property
    def design(self) -> Design:
        """The design the model was fitted on."""
        return self._recipe[0]

    @property
    def family(self) -> Family:
        """Response distribution with its link."""
        return self._recipe[1]

    @property
    def formula(self) -> str:
        """Formula of the conditional part as written."""
        return self.design.formula

    @property
    def description(self) -> str:
        """Family, link and formula in one line."""
        parts = [f"{self.family!r}: {self.formula}"]
        parts += [f"{name} {text}" for name, text in self.design.formulas.items() if name in ("zi", "disp")]
        return ", ".join(parts) + (" (REML)" if self.reml else "")

    @property
    def reml(self) -> bool:
        """Whether fixed effects were integrated out."""
        return self._recipe[2]

    @property
    def data(self) -> pd.DataFrame:
        """Rows and columns used, with the user's index."""
        return self.design.frame

    @property
    def model_frame(self) -> pd.DataFrame:
        """`data` under the name that R has for it."""
        return self.data

    @property
    def nobs(self) -> int:
        """Number of rows used."""
        return self.design.nobs

    @property
    def observed(self) -> np.ndarray:
        """Response, (nobs,): values, or counts of successes."""
        return self.design.response.y

    @property
    def trials(self) -> np.ndarray | None:
        """Number of trials, (nobs,), for k-of-n responses."""
        return self.design.response.trials

    @property
    def var_weights(self) -> np.ndarray | None:
        """By what the variance of each row is divided, (nobs,); None without ``var_weights=``."""
        return self.design.var_weights

    @property
    def discrete(self) -> bool:
        """Whether the response takes whole numbers."""
        return self.family.discrete

    @property
    def has_random_effects(self) -> bool:
        """Whether any part has random effects."""
        return bool(self.solution.terms)

    # ---- estimates -------------------------------------------------------------------------------------
    def part_coefficients(self, part: str) -> pd.Series:
        """Estimated coefficients of one part of the model.

        Parameters
        ----------
        part : {"cond", "zi", "disp"}
            Which linear predictor.

        Returns
        -------
        Series
            By column; empty for a part that the model does not have.
        """
        columns = self.part_columns(part)
        return pd.Series(self.solution.coefficients[part] if columns else [], index=columns or None, dtype=float)

    def part_columns(self, part: str) -> list[str]:
        """Names of the coefficients of one part.

        Parameters
        ----------
        part : {"cond", "zi", "disp"}
            Which linear predictor.

        Returns
        -------
        list of str
            In the order of `part_coefficients`; empty for a part that the model does not have.
        """
        require_word(part, "part", self._known_parts)
        if part not in self.solution.coefficients or (part != "cond" and part not in self._reported):
            return []
        return list(self.estimator.problem.part(part).columns)

    @property
    def _known_parts(self) -> tuple[str, ...]:
        """What may be asked for: parts that some models have, and further parameters of this family."""
        return tuple(dict.fromkeys(("cond", "zi", "disp", *self.solution.coefficients)))

    @property
    def _reported(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.estimator.problem.parts)

    @cached_property
    def curvature(self) -> Curvature:
        """Covariance and flat directions of the optimiser's parameters, made now if the fit did without."""
        known = self.solution.curvature
        return linear_curvature(self.estimator, self.solution) if known is None else known

    @cached_property
    def joint_curvature(self) -> Curvature:
        """Like `curvature`, followed by log sigma for a linear model."""
        if self.estimator.linear:
            return joint_curvature(self.estimator, self.solution, self.curvature)
        return self.curvature

    @cached_property
    def variance_errors(self) -> dict[str, tuple[float, float]]:
        """Value and standard error of every variance parameter by label."""
        return parameter_errors(self.estimator, self.solution, self.joint_curvature)

    def part_covariance(self, a: str, b: str) -> np.ndarray:
        """Covariance of the coefficients of two parts.

        Parameters
        ----------
        a, b : {"cond", "zi", "disp"}
            Linear predictors.

        Returns
        -------
        ndarray, shape (p_a, p_b)
            Rows for the coefficients of `a`, columns for those of `b`.
        """
        for part, what in ((a, "a"), (b, "b")):
            require_word(part, what, self._known_parts)
        if self.estimator.linear and a == b == "disp":
            log_sigma = np.zeros((1, len(self.joint_curvature.units)))
            log_sigma[0, -1] = 1.0
            return self.joint_curvature.variance(log_sigma)[None]
        if (a, b) not in self.solution.covariance:
            return np.zeros((len(self.part_columns(a)), len(self.part_columns(b))))
        return self.solution.covariance[a, b]

    def part_standard_errors(self, part: str) -> pd.Series:
        """Standard errors of the coefficients of one part.

        Parameters
        ----------
        part : {"cond", "zi", "disp"}
            Which linear predictor.

        Returns
        -------
        Series
            By column; NaN for a coefficient that is given, inf for one that the data do not bound.
        """
        estimates = self.part_coefficients(part)
        if not len(estimates):
            return estimates
        errors = np.sqrt(np.maximum(np.diag(self.part_covariance(part, part)), 0.0))
        free = self.estimator.problem.part(part).free
        return pd.Series(np.where(free, errors, np.nan), index=estimates.index)

    @cached_property
    def params(self) -> pd.Series:
        """Conditional fixed effects by column."""
        return self.part_coefficients("cond")

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors of `params`; inf for a coefficient the data do not bound."""
        return self.part_standard_errors("cond")

    @property
    def tvalues(self) -> pd.Series:
        """Wald statistics of `params`."""
        return self.params / self.bse

    @property
    def df_params(self) -> pd.Series:
        """Degrees of freedom of `tvalues`: Satterthwaite's for gaussian fits with identity link and ``reml=True``.

        Infinite, for the normal distribution, for all others.
        """
        df = np.full(len(self.params), np.inf)
        if self.reml and self.estimator.linear:
            df = self.satterthwaite.df(np.eye(len(df)))
        return pd.Series(df, index=self.params.index)

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided Wald p-values of `params`, from t distributions with `df_params` degrees of freedom."""
        return pd.Series(two_sided(self.tvalues.to_numpy(), self.df_params.to_numpy()), index=self.params.index)

    @cached_property
    def satterthwaite(self) -> Satterthwaite:
        """Degrees of freedom of combinations of the fixed effects by Satterthwaite's rule."""
        from glmmcore.inference.degrees_of_freedom import Satterthwaite

        return Satterthwaite(cast("FittedGLMM", self))

    @cached_property
    def kenward_roger(self) -> KenwardRoger:
        """Covariance and degrees of freedom of the fixed effects by Kenward and Roger."""
        from glmmcore.inference.kenward_roger import KenwardRoger

        return KenwardRoger(self)

    @property
    def zi_params(self) -> pd.Series:
        """Coefficients of the zero-inflation part (logit); empty without one."""
        return self.part_coefficients("zi")

    @property
    def zi_bse(self) -> pd.Series:
        """Standard errors of `zi_params`."""
        return self.part_standard_errors("zi")

    @property
    def disp_params(self) -> pd.Series:
        """Coefficients of log(phi); empty for families without dispersion."""
        return self.part_coefficients("disp")

    @property
    def disp_bse(self) -> pd.Series:
        """Standard errors of `disp_params`."""
        return self.part_standard_errors("disp")

    @property
    def extra_params(self) -> dict[str, float]:
        """Further family parameters on their natural scale, such as the tweedie power."""
        psi = [self.solution.coefficients[name][0] for name in self.family.extra]
        return self.family.describe_extra(np.array(psi))

    def cov_params(
        self,
        kind: str = "model",
        *,
        cluster: str | ArrayLike | None = None,
        small_sample: str | None = None,
        parameters: str = "cond",
    ) -> pd.DataFrame:
        """Covariance of the conditional fixed effects, (p, p), or of all parameters.

        Parameters
        ----------
        kind : {"model", "kenward-roger", "HC0", "HC1", "HC2", "HC3", "sandwich"}
            What is behind the standard errors; Kenward and Roger's (1997), which allows for estimated variances, for
            gaussian fits with ``reml=True``; or one that does not trust the model's variance: heteroscedastic rows of
            models without random effects (HC), or dependence within clusters (sandwich).
        cluster : str or array_like, shape (nobs,), optional
            For ``"sandwich"``: a column or labels. Clusters hold whole levels of every grouping factor.
        small_sample : {"CR0", "CR1"}, optional
            Correction of the sandwich: none, or the number of clusters over one less.
        parameters : {"cond", "all"}
            With ``"all"`` the coefficients of every part (dispersions as logarithms), standard deviations and
            correlations, by part and name; NaN for what has no standard error (a variance of zero).

        Returns
        -------
        DataFrame
            Columns of the fixed effects, or parts and parameters, on both sides.
        """
        from glmmcore.inference.robust import ROBUST, robust_covariance

        require_word(parameters, "cov_params: parameters", ("cond", "all"))
        require_word(kind, "cov_params: kind", ("model", "kenward-roger", *ROBUST))
        of_all, fit = parameters == "all", cast("FittedGLMM", self)
        if kind == "model":
            if of_all:
                return all_covariance(fit)
            covariance = self.part_covariance("cond", "cond")
        elif kind == "kenward-roger":
            if of_all:
                raise ModelError("cov_params: Kenward and Roger's covariance is of the fixed effects only")
            covariance = self.kenward_roger.covariance
        else:
            covariance = robust_covariance(fit, kind, cluster, small_sample, of_all=of_all)
        index = parameter_index(fit) if of_all else self.params.index
        return pd.DataFrame(covariance, index=index, columns=index)

    def coefficient_table(
        self, part: str = "cond", *, df: str | float = "auto", cov: str | pd.DataFrame | ArrayLike | None = None
    ) -> pd.DataFrame:
        """Estimates, standard errors, statistics and two-sided p-values of the coefficients of one part.

        Parameters
        ----------
        part : {"cond", "zi", "disp"}
            Which coefficients.
        df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
            Degrees of freedom of the conditional coefficients' t statistics. ``"auto"`` is Satterthwaite's for gaussian
            fits with identity link and ``reml=True``, and otherwise the normal distribution.
        cov : str, DataFrame or array_like, optional
            Covariance instead of the model's: one of `cov_params`, or the words ``"kenward-roger"``, ``"HC0"`` ...
            ``"HC3"``. Of the other parts one of all parameters.

        Returns
        -------
        DataFrame
            Columns estimate, se, statistic (z) and pvalue, or estimate, se, df, statistic (t) and pvalue.
        """
        from glmmcore.inference.coefficients import coefficient_table

        return coefficient_table(cast("FittedGLMM", self), part, df, cov)

    def exp_table(
        self,
        alpha: float = 0.05,
        part: str = "cond",
        *,
        level: float | None = None,
        df: str | float = "auto",
        cov: str | pd.DataFrame | ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Exponentiated coefficients with limits: rate ratios of a log link, odds ratios of a logit link.

        Of a model of ``log(y)``, ``log10(y)`` or ``log2(y)`` these are ratios of medians of y.

        Parameters
        ----------
        alpha : float
            One minus the level of the limits, as in `conf_int`.
        part : {"cond", "zi", "disp"}
            Coefficients of which part; those of ``"zi"`` are logarithms of odds, those of ``"disp"`` of dispersions.
        level : float, optional
            Level of the limits such as 0.95, instead of `alpha`.
        df : {"auto", "normal"} or float
            Degrees of freedom, such as the number of clusters less one beside a robust covariance.
        cov : str, DataFrame or array_like, optional
            Covariance instead of the model's, as in `coefficient_table`.

        Returns
        -------
        DataFrame
            By coefficient without the intercept: ratio, lower, upper, pvalue. ``to_markdown()`` and ``to_latex()`` of
            pandas make tables to paste.

        Raises
        ------
        ModelError
            If the link of the part is neither log nor logit.

        Examples
        --------
        >>> import pandas as pd
        >>> from glmmcore import glmm
        >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "g": list("aabbccdd"), "x": [0, 1] * 4})
        >>> glmm("y ~ x + (1|g)", d, family="poisson").exp_table().round(3)
           ratio  lower  upper  pvalue
        x  2.083  1.047  4.147   0.037
        """
        from glmmcore.inference.coefficients import exp_table

        return exp_table(cast("FittedGLMM", self), alpha_of(alpha, level), part, df, cov)

    def odds_ratios(
        self,
        alpha: float = 0.05,
        *,
        level: float | None = None,
        df: str | float = "auto",
        cov: str | pd.DataFrame | ArrayLike | None = None,
    ) -> pd.DataFrame:
        """`exp_table` of a model with a logit link.

        Parameters
        ----------
        alpha : float
            One minus the level of the limits, as in `conf_int`.
        level : float, optional
            Level of the limits such as 0.95, instead of `alpha`.
        df : {"auto", "normal"} or float
            Degrees of freedom.
        cov : str, DataFrame or array_like, optional
            Covariance of the coefficients instead of the model's.

        Returns
        -------
        DataFrame
            By coefficient without the intercept: ratio (of odds), lower, upper, pvalue.
        """
        if self.family.link.name != "logit":
            raise ModelError(f"odds_ratios: the link is '{self.family.link.name}', not logit; see exp_table")
        return self.exp_table(alpha, level=level, df=df, cov=cov)

    @property
    def sigma(self) -> float:
        """Dispersion as glmmTMB's ``sigma()``; NaN where `disp` has covariates.

        The page *Choosing a family* says what it is in each family;
        ``predict(kind="disp")`` gives it for every row, those with covariates too.
        """
        if not self.family.has_dispersion:
            return 1.0
        if "disp" in self.design.predictors and not len(self.disp_params):
            pinned = pinned_dispersion(self.design.predictors["disp"], self.family)
            return float("nan") if np.any(self.design.predictors["disp"].offset) else self.family.sigma(pinned)
        if not self.design.has_one_dispersion:
            return float("nan")
        return self.family.sigma(float(self.solution.coefficients["disp"][0]))

    # ---- fit quality -----------------------------------------------------------------------------------
    @property
    def llf(self) -> float:
        """Log-likelihood with every constant."""
        return self.solution.llf

    @property
    def df_model(self) -> int:
        """Number of parameters that were estimated, fixed effects and variances together."""
        problem = self.estimator.problem
        held = int(np.sum(~problem.free))
        return sum(p.size for p in problem.parts) + sum(t.structure.size for t in problem.terms) - held

    @property
    def df_resid(self) -> float:
        """Rows (weighted by frequency) minus number of parameters."""
        weights = self.design.freq_weights
        return float(self.nobs if weights is None else weights.sum()) - self.df_model

    @property
    def edf(self) -> float:
        """Effective number of mean parameters: trace of the hat matrix, shrunken random effects included."""
        edf = self.solution.edf
        return self._conditional_spread.edf if edf is None else edf

    @cached_property
    def _conditional_spread(self) -> ConditionalSpread:
        from glmmcore.estimation.solution import ConditionalSpread

        return ConditionalSpread.of(self.estimator.linear_objective(), self.solution.x)

    def _mode_covariance(self, term: TermSolution) -> np.ndarray:
        """Conditional covariance of each level's coefficients given the parameters, (L, k, k)."""
        if term.mode_covariance is not None:
            return term.mode_covariance
        return self._conditional_spread.mode_covariances[self.solution.terms.index(term)]

    @cached_property
    def _row_fit(self) -> RowFit:
        from glmmcore.inference.leverage import row_fit

        return row_fit(self.estimator, self.solution)

    @property
    def leverage(self) -> np.ndarray:
        """How much the fitted value of each row follows its response ``(nobs,)``; the sum is `edf`."""
        return self._row_fit.leverage

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return -2.0 * self.llf + 2.0 * self.df_model

    @property
    def bic(self) -> float:
        """Schwarz's information criterion, log of the number of rows."""
        return -2.0 * self.llf + float(np.log(self.df_resid + self.df_model)) * self.df_model

    @property
    def converged(self) -> bool:
        """Whether the log-likelihood cannot rise any more from here (to 1e-6)."""
        return self.solution.optimum.converged and self.solution.mode_found

    @property
    def singular(self) -> bool:
        """Whether a random term's covariance is on the edge: a variance of zero or a correlation of one."""
        return any(verdict.is_singular(t) for t in self.solution.terms)

    def block_structure(self) -> str:
        """Say which structure of the random effects the linear algebra exploits.

        Returns
        -------
        str
            A line for each part of the structure.
        """
        system = self.estimator.problem.system
        return "no random effects" if system is None else "\n".join(system.describe())

    def laplace_error(self, n_agq: int = 9) -> float:
        """Estimate of what Laplace's approximation adds to or takes from the log-likelihood.

        The log-likelihood by adaptive quadrature minus Laplace's at the estimates: add it to `llf` of a fit
        with ``n_agq=1``. Zero for linear mixed models, where both are exact.

        Parameters
        ----------
        n_agq : int
            Quadrature points per dimension.

        Returns
        -------
        float
            Difference of two log-likelihoods.

        Raises
        ------
        ModelError
            With more than one grouping factor, or more than three coefficients a level.
        """
        from glmmcore.estimation.quadrature import laplace_error

        if self.estimator.linear:
            return 0.0
        return laplace_error(self.estimator.problem.with_response(self.observed), self.solution.x, n_agq)

    # ---- random effects --------------------------------------------------------------------------------
    @cached_property
    def var_corr(self) -> pd.DataFrame:
        """Standard deviations and correlations of the random effects, a row for each coefficient.

        Columns after `sd`: correlations with the term's earlier coefficients (``corr_1``, ...), then standard
        errors (``se_sd``, ``se_corr_1``, ...) by the delta method, NaN on the boundary. Structures with one standard
        deviation (``ar1``, ``homcs``, ``homtoep``) have one row, with the correlation at lag 1, 2, ... in ``corr_1``,
        ``corr_2``, ...; the correlation of neighbours in autoregressive ones is ``rho``.
        """
        errors = self.variance_errors
        rows: dict[tuple[int, int], dict[str, Any]] = {}
        uncertainty: dict[tuple[int, int], dict[str, float]] = {}
        for parameter in variance_parameters(self.estimator):
            if parameter.term is None:
                continue
            term = parameter.term
            i = parameter.row
            value, error = errors[parameter.label]
            row = rows.setdefault(
                (id(term), i),
                {"component": term.predictor, "group": term.term.group, "term": parameter.name},
            )
            name = parameter.column
            # a correlation with a constant is reported as zero
            row[name] = value if np.isfinite(value) else 0.0
            uncertainty.setdefault((id(term), i), {})[f"se_{name}"] = error
        table = pd.DataFrame(list(rows.values()), columns=None if rows else ["component", "group", "term", "sd"])
        return pd.concat([table, pd.DataFrame(list(uncertainty.values()), dtype=float)], axis=1)

    def _table_of(self, t: TermSolution) -> str:
        """Name of the table that a term's effects are in: of its group, but for places beside other effects of it."""
        same = [other for other in self.solution.terms if other.predictor == t.predictor]
        alone = sum(other.term.group == t.term.group for other in same) == 1
        name = t.term.group if alone else t.term.key
        return name if t.predictor == "cond" else f"{t.predictor}: {name}"

    def _by_group(self, values: Any) -> dict[str, pd.DataFrame]:
        out: dict[str, pd.DataFrame] = {}
        for t in self.solution.terms:
            key = self._table_of(t)
            frame = pd.DataFrame(values(t), index=t.term.levels, columns=list(t.term.columns))
            frame.index.name = t.term.group
            out[key] = frame if key not in out else pd.concat([out[key], frame], axis=1)
        return out

    @property
    def random_effects(self) -> dict[str, pd.DataFrame]:
        """Conditional modes: group -> data frame (levels x coefficients); ``"zi: g"`` for zero inflation.

        Effects of places or times beside other effects of their group have a table of their own, ``"ou(t) | g"``.
        """
        return self._by_group(lambda t: t.modes)

    @property
    def random_effects_sd(self) -> dict[str, pd.DataFrame]:
        """Conditional standard deviations of `random_effects` given all parameters, fixed effects among them.

        What lme4's ``ranef(m, condVar = TRUE)`` holds; `random_effects_se` adds that the parameters are estimated.
        """
        if not self.reml:
            return self._by_group(
                lambda t: np.sqrt(np.maximum(np.diagonal(self._mode_covariance(t), axis1=1, axis2=2), 0.0))
            )
        from glmmcore.results.joint_covariance import JointCovariance

        joint = JointCovariance(cast("FittedGLMM", self))
        return self._by_group(lambda t: np.sqrt(joint.given_parameters(t)))

    @property
    def random_effects_se(self) -> dict[str, pd.DataFrame]:
        """Standard errors of predicting the random effects: of `random_effects` minus what they estimate.

        With the uncertainty of fixed effects and variances, to first order, as glmmTMB's ``condsd``; see
        `random_effects_sd` for the part that remains when the parameters are known.
        """
        from glmmcore.results.joint_covariance import JointCovariance

        joint = JointCovariance(cast("FittedGLMM", self))
        return self._by_group(lambda t: np.sqrt(joint.of_modes(t)))
