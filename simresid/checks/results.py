"""What a test returns: frozen records with the numbers, a sentence and, when it failed, advice.

Every result unpacks as ``statistic, pvalue``, prints as one line, shows as a small table in notebooks and
turns into a one-row data frame. `effect` says how large the departure is, which at large `n` matters more
than the p-value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simresid.checks.pvalues import smallest_continued_pvalue

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AutocorrelationResult",
    "CategoricalResult",
    "CheckResult",
    "DispersionResult",
    "Effect",
    "HeteroscedasticityResult",
    "LikelihoodRatioResult",
    "MoranResult",
    "OutlierResult",
    "PhylogeneticResult",
    "QuantileResult",
    "Severity",
    "StatisticResult",
    "UniformityResult",
    "ZeroInflationResult",
]

Severity: TypeAlias = Literal["negligible", "moderate", "severe"]
ResponseKind: TypeAlias = Literal["counts", "k of n", "continuous"]

#: Where to look for more or less spread, by the kind of response.
_MORE_SPREAD = {
    "counts": "nbinom2 or nbinom1, an observation-level random effect",
    "k of n": "betabinomial, an observation-level random effect",
    "continuous": "a dispersion formula, a family with heavier tails",
}
_LESS_SPREAD = {
    "counts": "try compois or genpois, or drop an observation-level random effect or a dispersion term",
    "k of n": "drop an observation-level random effect, or use binomial in place of betabinomial",
    "continuous": "drop a dispersion term or random effects that the data do not need",
}

#: Where a departure stops being negligible and where it becomes severe, as a distance from its null value.
#: Ratios are measured on the log scale, so that half and double count the same.
THRESHOLDS: dict[str, tuple[float, float]] = {
    "dispersion ratio": (float(np.log(1.1)), float(np.log(1.5))),
    "distance between distributions": (0.02, 0.10),
    "excess outlier frequency": (0.005, 0.02),
    "excess proportion of zeros": (0.01, 0.05),
    "largest quantile shift": (0.03, 0.10),
    "largest distance within a level": (0.05, 0.15),
    "spread ratio": (float(np.log(1.1)), float(np.log(1.5))),
    "autocorrelation": (0.05, 0.20),
    "ratio": (float(np.log(1.1)), float(np.log(1.5))),
}


@dataclass(frozen=True)
class Effect:
    """Size of a departure from the model.

    Attributes
    ----------
    name : str
        What is measured; a key of `THRESHOLDS`.
    value, null : float
        Estimate and its value under a right model.
    interval : tuple of float or None
        95 % interval of the estimate.

    Examples
    --------
    >>> effect = Effect("dispersion ratio", value=1.3, null=1.0, interval=(1.05, 1.5))
    >>> effect.severity, effect.clear  # 1.05 would be negligible
    ('moderate', False)
    """

    name: str
    value: float
    null: float
    interval: tuple[float, float] | None = None

    @property
    def severity(self) -> Severity:
        """Negligible, moderate or severe, from the estimate alone (`THRESHOLDS`); not a p-value."""
        distance = abs(self._departure(self.value))
        low, high = THRESHOLDS[self.name]
        return "negligible" if distance < low else "moderate" if distance < high else "severe"

    @property
    def clear(self) -> bool:
        """Whether every value within the interval is beyond negligible, on the same side."""
        ends = [self._departure(end) for end in self.interval or (self.value, self.value)]
        limit = THRESHOLDS[self.name][0]
        return min(ends) >= limit or max(ends) <= -limit

    def _departure(self, value: float) -> float:
        """Distance from the null value, with its sign; of ratios on the log scale."""
        if "ratio" not in self.name:
            return value - self.null
        return float(np.log(value / self.null)) if value > 0 else -np.inf

    def __str__(self) -> str:
        text = f"{self.name} {self.value:.3g}"
        if self.interval is not None:
            text += f" [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"
        return text


def pvalue_text(p: float, bare: bool = False) -> str:
    """Say ``p = 0.031`` or ``p < 0.001``, or `bare` in a column headed p, ``0.031`` or ``< 0.001``."""
    if p < 0.001:
        return "< 0.001" if bare else "p < 0.001"
    text = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return text if bare else f"p = {text}"


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckResult:
    """Base of all test results.

    Attributes
    ----------
    statistic : float
        The test statistic; its meaning is part of each test's documentation.
    pvalue : float
        In ``(0, 1]``.
    alternative : str
        ``"two-sided"``, ``"greater"`` or ``"less"``.
    method : str
        Which variant ran.
    n_obs : int
        Number of residuals used.
    effect : Effect or None
        Size of the departure.
    monte_carlo_error : float
        Standard error of `pvalue` due to the finite number of simulations; 0 when the null distribution is
        analytic.
    null : {"refits", "simulated", "analytic"}
        Where the null distribution comes from (`simresid.checks.nulls.choice`).
    n_refits : int
        Refits it rests on.
    notes : tuple of str
        Anything the reader must know, as sentences.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import uniformity_test
    >>> result = uniformity_test((np.arange(20) + 0.5) / 20)
    >>> statistic, pvalue = result
    >>> print(result.summary())
    uniformity (Kolmogorov-Smirnov): statistic 0.025, p = 1.00; distance between distributions 0.025 [0, 0.329].
    >>> list(result.to_frame().columns[:4])
    ['test', 'statistic', 'pvalue', 'alternative']
    """

    statistic: float
    pvalue: float
    alternative: str
    method: str
    n_obs: int
    effect: Effect | None = None
    monte_carlo_error: float = 0.0
    null: str = "analytic"
    n_refits: int = 0
    notes: tuple[str, ...] = ()

    title = "test"
    #: What `statistic` is, in a word.
    statistic_name = "statistic"
    #: What to try when the test fails; formatted with the effect.
    remedy = "look at the residual plots"

    def __iter__(self) -> Iterator[float]:
        return iter((self.statistic, self.pvalue))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"

    def summary(self) -> str:
        """Say everything in one line: test, statistic, p-value, size of the departure, notes.

        Returns
        -------
        str
            What ``print(result)`` shows.
        """
        text = f"{self.title} ({self.method}): {self.statistic_name} {self.statistic:.4g}, {self._evidence}"
        if self.alternative != "two-sided":
            text += f" ({self.alternative})"
        if self.effect is not None:
            text += f"; {self.effect}"
            text += f", {self.effect.severity}" if self.pvalue < 0.05 else ""
        return " ".join([text + ".", *self.notes])

    @property
    def _evidence(self) -> str:
        if np.isnan(self.pvalue):
            return "nothing to test"
        compared = f" ({self.n_refits} refits)" if self.null == "refits" else ""
        if self.null != "analytic" and self.pvalue <= smallest_continued_pvalue:
            return f"p < 1e-6{compared}"
        return f"{pvalue_text(self.pvalue)}{compared}"

    def advice(self) -> str:
        """Say what the departure looks like and what to try; that there is nothing to do where p is .05 or more.

        Returns
        -------
        str
            One sentence.
        """
        if np.isnan(self.pvalue):
            return " ".join(self.notes)
        return self._remedy() if self.pvalue < 0.05 else "nothing to do"

    def _remedy(self) -> str:
        size = f"{self.effect}" if self.effect is not None else f"{self.statistic_name} {self.statistic:.3g}"
        return f"{size}: {self.remedy}"

    def to_frame(self) -> pd.DataFrame:
        """Return every scalar of the result.

        Returns
        -------
        DataFrame
            One row.
        """
        import pandas as pd

        row: dict[str, Any] = {"test": self.title}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Effect):
                low, high = value.interval or (None, None)
                row |= {
                    "effect": value.name,
                    "effect_size": value.value,
                    "effect_low": low,
                    "effect_high": high,
                }
                row["severity"] = value.severity
            elif isinstance(value, (str, int, float, np.number)):
                row[field.name] = value
        return pd.DataFrame([row])

    def _repr_html_(self) -> str:
        return self.to_frame().T.to_html(header=False) + "".join(f"<p>{escape(note)}</p>" for note in self.notes)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StatisticResult(CheckResult):
    """A statistic of the observed data among the same statistic of simulated data.

    Attributes
    ----------
    observed, expected : float
        The statistic of the observed data and the mean of the simulated ones; `statistic` is their ratio.
    null_distribution : ndarray (n_sims,)
        The simulated statistics.
    conf_int : tuple of float
        Central 95 % range of the simulated statistics, on the scale of `observed`.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> largest = res.statistic_test(np.max)
    >>> largest.observed > largest.expected, largest.null_distribution.shape
    (True, (250,))
    """

    observed: float
    expected: float
    null_distribution: NDArray[np.float64]
    conf_int: tuple[float, float]
    title = "simulated statistic"
    statistic_name = "observed / expected"
    remedy = "the model does not reproduce this feature of the data"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ZeroInflationResult(StatisticResult):
    """Number of zeros among the numbers of zeros in simulated data.

    Attributes
    ----------
    response : {"counts", "k of n", "continuous"}
        What the advice is for.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> print(res.zero_inflation_test().advice())
    15 zeros where 5.1 are expected: look at dispersion first (nbinom2), then try a zero-inflation formula
    """

    response: ResponseKind = "counts"
    title = "zero inflation"

    def _remedy(self) -> str:
        found = f"{self.observed:.0f} zeros where {self.expected:.1f} are expected"
        if self.statistic > 1:
            spread = {"counts": "look at dispersion first (nbinom2), then ", "continuous": ""}.get(
                self.response, "look at dispersion first (betabinomial), then "
            )
            return f"{found}: {spread}try a zero-inflation formula"
        other = "try a zero-truncated or hurdle model, or a family with less dispersion"
        return f"{found}: {'try a family with less dispersion' if self.response == 'k of n' else other}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DispersionResult(CheckResult):
    """Spread of the observed data around the model's mean, relative to simulated data.

    Attributes
    ----------
    null_distribution : ndarray (n_sims,) or None
        Simulated ratios (mean 1 for a right model).
    conf_int : tuple of float
        95 % interval of the ratio.
    correction : str
        How the shrinkage of residuals towards zero by the fit was corrected.
    response : {"counts", "k of n", "continuous"}
        What the advice is for.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> result = res.dispersion_test()
    >>> print(result.advice())
    overdispersed 4.5x [3, 6.9]: look for missing predictors, unknown groups or zero ...
    """

    null_distribution: NDArray[np.float64] | None
    conf_int: tuple[float, float]
    correction: str
    response: ResponseKind = "counts"
    title = "dispersion"
    statistic_name = "ratio"

    def _remedy(self) -> str:
        size = f"{self.statistic:.2g}x [{self.conf_int[0]:.2g}, {self.conf_int[1]:.2g}]"
        if self.statistic > 1:
            return (
                f"overdispersed {size}: look for missing predictors, unknown groups or zero inflation, then try more "
                f"spread: {_MORE_SPREAD[self.response]}"
            )
        return f"underdispersed {size}: the model has too much noise; {_LESS_SPREAD[self.response]}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UniformityResult(CheckResult):
    """Distance of the residuals' distribution from the uniform one.

    Attributes
    ----------
    exact : bool
        Whether the p-value is exact rather than asymptotic.
    location : float
        The residual value at which the two distribution functions differ most.
    band : DataFrame or None
        Simultaneous band (``probability``, ``lower``, ``upper``, ``observed``) for method ``"band"``.
    contributions : ndarray or None
        Share of each residual in the evidence, for method ``"dependent"``.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import uniformity_test
    >>> result = uniformity_test(np.linspace(0.01, 0.99, 40) ** 2)
    >>> result.pvalue < 0.05, round(result.location, 2)
    (True, 0.24)
    """

    exact: bool
    location: float
    band: pd.DataFrame | None = None
    contributions: NDArray[np.float64] | None = None
    title = "uniformity"
    remedy = "the assumed distribution does not fit; look at dispersion, zeros and outliers for the reason"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OutlierResult(CheckResult):
    """Observations outside all of their simulations.

    Attributes
    ----------
    observed, expected : float
        Number of outliers and the number that a right model gives on average.
    conf_int : tuple of float
        95 % interval of the outlier frequency.
    table : DataFrame
        One row per outlier: ``row`` (position), ``direction`` ("low"/"high"), ``residual``, under the row
        label.
    null_distribution : ndarray or None
        Simulated counts where the null was simulated.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> result = res.outlier_test()
    >>> result.observed > result.expected, set(result.table["direction"])
    (True, {'high'})
    """

    observed: int
    expected: float
    conf_int: tuple[float, float]
    table: pd.DataFrame
    null_distribution: NDArray[np.float64] | None = None
    title = "outliers"

    def _remedy(self) -> str:
        side = self.table["direction"].value_counts().to_dict()
        if self.observed < self.expected:
            return f"{self.observed} outliers, {self.expected:.1f} expected: the model may be underdispersed"
        return (
            f"{self.observed} rows lie outside all simulations ({side.get('high', 0)} high, "
            f"{side.get('low', 0)} low; {self.expected:.1f} expected): see `.table` for the rows; if many, "
            "try a heavier-tailed family"
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class QuantileResult(CheckResult):
    """Whether the quantiles of the residuals stay level along the predictors.

    Attributes
    ----------
    quantiles : DataFrame
        One row per quantile: ``quantile``, ``statistic``, ``pvalue``, ``pvalue_adjusted`` (Holm).
    components : DataFrame
        Evidence by direction (``location``, ``scale``, ``shape``) of the joint test.
    curves : DataFrame or None
        On request: ``predictor``, ``rank``, ``quantile``, ``value``, ``lower``, ``upper``.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import quantile_test
    >>> rng = np.random.default_rng(1)
    >>> x = rng.random(200)
    >>> result = quantile_test(rng.random(200) ** (0.3 + 2 * abs(x - 0.5)), x)
    >>> result.components["pvalue"].idxmin(), list(result.quantiles["quantile"])
    ('location', [0.25, 0.5, 0.75])
    """

    quantiles: pd.DataFrame
    components: pd.DataFrame
    curves: pd.DataFrame | None = None
    title = "quantiles"

    def _remedy(self) -> str:
        direction = str(self.components["pvalue"].idxmin())
        what = {
            "location": "the mean is off along the predictor: try a quadratic term, a spline or another link",
            "scale": "the spread changes along the predictor: model the dispersion, as in "
            "glmm(..., disp='~ predictor'), or change the family",
        }.get(direction, "the shape of the distribution changes along the predictor: change the family")
        return f"{self.effect}: {what}" if self.effect is not None else what


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CategoricalResult(CheckResult):
    """Uniformity within each category and equal spread between them.

    Attributes
    ----------
    levels : DataFrame
        One row per level: ``n``, ``statistic``, ``pvalue``, ``pvalue_adjusted`` (Holm).
    uniformity_pvalue : float
        Smallest adjusted p-value.
    homogeneity_statistic, homogeneity_pvalue : float or None
        Levene's test around medians; None when there is nothing to compare.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import categorical_test
    >>> u = np.r_[np.linspace(0.02, 0.98, 30), np.linspace(0.4, 0.6, 30)]
    >>> result = categorical_test(u, np.repeat(["wide", "narrow"], 30))
    >>> result.homogeneity_pvalue < 0.001, list(result.levels.index)
    (True, ['narrow', 'wide'])
    """

    levels: pd.DataFrame
    uniformity_pvalue: float
    homogeneity_statistic: float | None
    homogeneity_pvalue: float | None
    title = "categories"

    def _remedy(self) -> str:
        if self.homogeneity_pvalue is not None and self.homogeneity_pvalue < self.uniformity_pvalue:
            return (
                "the spread differs between the levels: model the dispersion by this category, as in "
                "glmm(..., disp='~ category')"
            )
        worst = self.levels["pvalue"].idxmin()
        return f"level {worst} departs most: add this category to the model, or an interaction with it"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HeteroscedasticityResult(CheckResult):
    """Whether the spread of the residuals changes with the predictors.

    Attributes
    ----------
    df : int
        Number of functions of the predictors that the squared deviations are compared with.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import heteroscedasticity_test
    >>> x = np.linspace(0, 1, 100)
    >>> u = 0.5 + 0.5 * x * np.sin(np.arange(100.0))
    >>> result = heteroscedasticity_test(u, x)
    >>> result.pvalue < 0.001, result.effect.value > 1
    (True, True)
    """

    df: int
    title = "heteroscedasticity"
    remedy = (
        "model the dispersion along this predictor, as in glmm(..., disp='~ predictor'), or choose a family with "
        "another mean-variance relation"
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AutocorrelationResult(CheckResult):
    """Serial correlation of the residuals.

    Attributes
    ----------
    autocorrelation : ndarray (n_lags,)
        Autocorrelations at lag 1, 2, ...
    series : DataFrame
        One row per series: ``n``, ``statistic``, ``autocorrelation``, ``pvalue``.
    times : DataFrame or None
        What was tested, in order: ``series``, ``row`` (position of the first row of each time), ``n`` (rows at that
        time), ``residual`` (those rows combined, uniform under the model).

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import temporal_autocorrelation_test
    >>> u = 0.5 + 0.4 * np.sin(np.arange(60) / 5)
    >>> result = temporal_autocorrelation_test(u, np.arange(60))
    >>> result.pvalue < 0.001, bool(result.autocorrelation[0] > 0.9)
    (True, True)
    """

    autocorrelation: NDArray[np.float64]
    series: pd.DataFrame
    times: pd.DataFrame | None = None
    title = "temporal autocorrelation"
    remedy = "add a term that varies in time (trend, season), or an AR(1) structure"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MoranResult(CheckResult):
    """Moran's I of the residuals.

    Attributes
    ----------
    expected, sd : float
        Mean and standard deviation of I for exchangeable residuals.
    null_distribution : ndarray or None
        Permuted or simulated values of I.
    places : DataFrame or None
        What was tested where there are coordinates: ``x``, ``y``, ``n`` (rows at the place), ``residual`` (those rows
        combined, uniform under the model).

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import spatial_autocorrelation_test
    >>> x, y = np.random.default_rng(1).random((2, 100))
    >>> result = spatial_autocorrelation_test(0.1 + 0.8 * x, x, y)
    >>> round(result.expected, 4), result.statistic > 5 * result.sd
    (-0.0101, True)
    """

    expected: float
    sd: float
    null_distribution: NDArray[np.float64] | None = None
    places: pd.DataFrame | None = None
    title = "spatial autocorrelation"
    remedy = "neighbours resemble each other: add spatial predictors, a smooth of space or a spatial effect"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PhylogeneticResult(MoranResult):
    """Moran's I along a phylogeny.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import phylogenetic_autocorrelation_test
    >>> distances = np.abs(np.subtract.outer(np.arange(8.0), np.arange(8.0)))
    >>> phylogenetic_autocorrelation_test(np.linspace(0.1, 0.9, 8), distances).pvalue < 0.05
    True
    """

    title = "phylogenetic autocorrelation"
    remedy = "related species resemble each other: add a phylogenetic covariance, or taxa as random effects"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LikelihoodRatioResult(CheckResult):
    """Likelihood ratio of two nested fits against its simulated distribution.

    Attributes
    ----------
    null_distribution : ndarray
        Likelihood-ratio statistics of the data simulated from the null model.
    n_failed : int
        Simulations whose refit failed; they are left out.
    asymptotic_pvalue : float or None
        The usual chi-square p-value, for comparison, where the degrees of freedom are known.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm
    >>> from simresid import simulated_lrt
    >>> d = pd.DataFrame({"y": [1, 3, 2, 6, 4, 7, 5, 9], "x": [0, 1] * 4})
    >>> small, large = (glmm(f, d, family="poisson") for f in ("y ~ 1", "y ~ x"))
    >>> result = simulated_lrt(small, large, n_sims=49)
    >>> result.null_distribution.size, result.n_failed, result.pvalue < 0.2
    (49, 0, True)
    """

    null_distribution: NDArray[np.float64]
    n_failed: int
    asymptotic_pvalue: float | None
    title = "simulated likelihood ratio"
    remedy = "the larger model fits better than chance allows"
