"""What every test returns: a frozen record with the numbers, a sentence and, when it failed, advice.

Every result unpacks as ``statistic, pvalue``, prints as one line, shows as a small table in notebooks and
turns into a one-row data frame. `effect` says how large the departure is, which at large `n` matters more
than the p-value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from simresid.checks.pvalues import smallest_continued_pvalue

if TYPE_CHECKING:
    import pandas as pd

    from simresid.alignment import FloatArray

__all__ = [
    "THRESHOLDS",
    "CheckResult",
    "Effect",
    "ResponseKind",
    "Severity",
    "pvalue_text",
    "term_of",
    "with_dispersion",
]

Severity: TypeAlias = Literal["negligible", "moderate", "severe"]
ResponseKind: TypeAlias = Literal["counts", "k of n", "continuous"]

SHOWN_NULL = 0.02
"""An effect of right models that is further from no effect than this is told."""

THRESHOLDS: dict[str, tuple[float, float]] = {}
"""Where a departure stops being negligible and where it becomes severe, by the name of the effect: distances from the
value under a right model, of ratios on the log scale, so that half and double count the same. The entry of every test
(`simresid.checks.entry`) adds its own."""


def term_of(column: str) -> str:
    """A column, or columns with colons between them, as a formula names them.

    Examples
    --------
    >>> term_of("year"), term_of("my col")
    ('year', '`my col`')
    """
    return column if re.fullmatch(r"[^\W\d][\w.]*(:[^\W\d][\w.]*)*", column) else f"`{column}`"


def with_dispersion(terms: str) -> str:
    """Call of a fit whose dispersion depends on `terms`, as code to type.

    Examples
    --------
    >>> with_dispersion("year")
    "glmm(..., disp='~ year')"
    """
    formula = f"~ {terms or 'predictor'}"
    return f"glmm(..., disp={formula!r})"


@dataclass(frozen=True)
class Effect:
    """Size of a departure from the model.

    Attributes
    ----------
    name : str
        What is measured, such as ``"dispersion ratio"``. Properties: ``severity`` (negligible, moderate or severe, by
        the limits of the page *What to do when a test fails*), ``clear`` (whether the whole interval is beyond
        negligible).
    value, null : float
        Estimate and its value under a right model.
    interval : tuple of float or None
        95 % interval of the estimate.

    Examples
    --------
    >>> from simresid.checks.results import Effect
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
        usual = 1.0 if "ratio" in self.name else 0.0
        # effects of a site or a series taken out of few rows leave these negatively correlated
        if self.interval is not None and abs(self.null - usual) > SHOWN_NULL:
            text += f" where right models have {self.null:.3g}"
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
        Where the null distribution comes from, as in `simresid.uniformity_test`.
    n_refits : int
        Refits it rests on.
    ranks : ndarray (1 + n,) or None
        P-values of the data and of every data set that the model was refitted to, each among all of them; NaN where the
        refit failed. None without refits or with few.
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
    ranks: FloatArray | None = None
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
    def sharp_pvalue(self) -> float:
        """P-value that a factor for multiplicity is applied to; a test may continue the tail of its simulations."""
        return self.pvalue

    @property
    def follows_the_fit(self) -> bool:
        """Whether groups lie closer to their expectation than chance allows and no correction for the fit is known."""
        return False

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
