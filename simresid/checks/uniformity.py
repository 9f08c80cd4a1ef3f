r"""Test whether residuals are uniform.

With :math:`u_{(1)} \le \dots \le u_{(n)}` the sorted residuals:

* Kolmogorov-Smirnov: :math:`D^+ = \max_i (i/n - u_{(i)})`, :math:`D^- = \max_i (u_{(i)} - (i-1)/n)`,
  :math:`D = \max(D^+, D^-)`. Exact distribution without ties (Simard & L'Ecuyer 2011, in scipy), asymptotic
  with ties (Kolmogorov's series; :math:`e^{-2 n D^2}` one-sided).
* Anderson-Darling:

  .. math:: A^2 = -n - \frac1n \sum_i (2i-1)\{\log u_{(i)} + \log(1-u_{(n+1-i)})\},

  asymptotically :math:`\sum_j z_j^2 / (j(j+1))` (Anderson & Darling 1952), good from n = 8.
* Cramér-von Mises: :math:`W^2 = 1/(12n) + \sum_i ((2i-1)/(2n) - u_{(i)})^2` (Csörgö & Faraway 1996, in scipy).
* Band: on a grid of probabilities each count of residuals below :math:`z_k` is binomial; the smallest two-sided
  binomial p-value is the statistic and its own distribution is simulated. The band at the 5 % point of that
  distribution covers the whole empirical distribution function with 95 %, and crossing it is the test
  (Säilynoja, Bürkner & Vehtari 2022).
* Dependent: each order statistic is Beta(i, n+1-i); their two-sided p-values are combined by the Cauchy rule, whose
  tail hardly depends on dependence between residuals (Liu & Xie 2020).

Residuals of a model with estimated parameters are more regular than uniform, or less so where many small groups share
them, so that these p-values are right only for residuals of a known law. Residuals of a model that can refit are
compared with refits (`simresid.checks.nulls`). The empirical distribution function is then the mean one over all ways
to break ties, :math:`\bar F` (`simresid.checks._mean_cdf`), and the uniform one its centre :math:`c` over data and
refits: :math:`D = \max |\bar F - c|`, :math:`A^2 = n \int (\bar F - c)^2 / (u(1-u)) du`, :math:`W^2 = n \int (\bar F -
c)^2 du`, the band is :math:`\max |\bar F - c| / \sqrt{u(1-u)/n}`, and the Cauchy rule combines the normal p-values of
the latter at all points. All of them depend on neither the simulations nor the seed but through the refits.
By default `D` is studentised by refits (`simresid.checks._uniformity_refits`); where there are none it is `D`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simresid.arguments import check_word
from simresid.checks._leverage import widened_residuals
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks._smirnov import smirnov_tail
from simresid.checks._uniformity_refits import (
    N_BAND_SIMS,
    NAMES,
    Method,
    band_grid,
    local_level,
    null_levels,
    uniformity_among_refits,
)
from simresid.checks.base import CheckResult, Effect
from simresid.checks.entry import ResidualTest
from simresid.checks.inputs import FloatArray, Residuals
from simresid.checks.nulls.choice import NullKind, against_refits, without_refits
from simresid.checks.pvalues import (
    cauchy_combination,
    check_alternative,
    floor_pvalue,
    monte_carlo_error,
    quadratic_form_sf,
    simulation_pvalue,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UNIFORMITY", "UniformityResult", "anderson_darling", "kolmogorov_smirnov", "uniformity_test"]

MANY_ROWS = 1000


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
    contributions: FloatArray | None = None
    title = "uniformity"
    remedy = "the assumed distribution does not fit; look at dispersion, zeros and outliers for the reason"


def uniformity_test(
    res: Residuals,
    alternative: str = "two-sided",
    method: Method = "auto",
    *,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> UniformityResult:
    """Test whether scaled residuals are uniform on [0, 1].

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals in [0, 1].
    alternative : {"two-sided", "greater", "less"}
        As R's ``ks.test``: ``"greater"`` means that the distribution function lies above the uniform one,
        that is, residuals are too small. Only for ``method="auto"`` and ``"ks"``.
    method : {"auto", "ks", "ad", "cvm", "band", "dependent"}
        The envelope of refits, and Kolmogorov-Smirnov where there are none (``"auto"``); Kolmogorov-Smirnov;
        Anderson-Darling (more power in the tails); Cramér-von Mises; simultaneous band; or a combination of tests of
        the single order statistics that tolerates dependence between residuals.
    null : {"auto", "refits", "simulated", "analytic"}
        Null distribution: of refits to simulated data, of the residuals of the simulated data sets, or of independent
        uniforms. ``"auto"`` chooses refits where the model can refit (the page *What a test compares with* says how
        many), otherwise ``"simulated"`` when simulations redraw random effects, because rows of a group then depend on
        each other. With `from_simulations` nothing is known about that: choose ``"simulated"`` if rows share
        random draws.
    n_refits : int, optional
        How many refits, instead of the rule.

    Returns
    -------
    UniformityResult
        `statistic` is the distance from the uniform distribution; `location` where it is largest.

    Raises
    ------
    ValueError
        If a residual lies outside [0, 1] or is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import uniformity_test
    >>> u = (np.arange(20) + 0.5) / 20
    >>> print(uniformity_test(u).summary())
    uniformity (Kolmogorov-Smirnov): statistic 0.025, p = 1.00; distance between distributions 0.025 [0, 0.329].
    >>> print(uniformity_test(u**2, method="ad").summary())
    uniformity (Anderson-Darling): statistic 4.607, p = 0.004; distance between distributions 0.274 [0, 0.578], severe.
    """
    check_alternative(alternative)
    check_word(method, "method", ("auto", *_METHODS))
    if method not in ("auto", "ks") and alternative != "two-sided":
        raise ValueError(f"method={method!r} has no direction; use alternative='two-sided' or method='ks'")
    refitted, notes = against_refits(
        res, null, n_refits, lambda pool, plan: uniformity_among_refits(res, pool, plan, alternative, method)
    )
    if refitted is not None:
        return UniformityResult(**refitted)
    method = "ks" if method == "auto" else method
    u = widened_residuals(res)
    numbers = _METHODS[method](u, alternative)
    distance, location = _distance(u)
    slack = 1.3581 / np.sqrt(u.size)  # 95 % point of sqrt(n) D: a band around the empirical distribution function
    effect = Effect(
        "distance between distributions",
        distance,
        0.0,
        (max(0.0, distance - slack), min(1.0, distance + slack)),
    )
    common: dict[str, Any] = {
        "alternative": alternative,
        "n_obs": u.size,
        "effect": effect,
        "location": location,
        "notes": notes,
    }
    if not analytic_null_holds(res, without_refits(null)):
        pool = null_residuals(res)
        simulated = np.array([_STATISTICS[method](v, alternative) for v in pool.replicates])
        numbers["statistic"] = _STATISTICS[method](pool.comparable(u), alternative)
        tail = "less" if method in ("band", "dependent") else "greater"  # those statistics are p-values
        numbers["pvalue"] = simulation_pvalue(numbers["statistic"], simulated, tail)
        numbers["monte_carlo_error"] = monte_carlo_error(numbers["pvalue"], simulated.size, tail)
        numbers["exact"] = True
        common |= {"notes": (*notes, pool.note), "null": "simulated"}
    return UniformityResult(**numbers, method=NAMES[method], **common)


def _distance(u: FloatArray) -> tuple[float, float]:
    """Two-sided KS distance and the residual value where it is reached."""
    s = np.sort(u)
    i = np.arange(1, s.size + 1)
    gap = np.maximum(i / s.size - s, s - (i - 1) / s.size)
    worst = int(np.argmax(gap))
    return float(gap[worst]), float(s[worst])


def ks_statistic(u: FloatArray, alternative: str) -> float:
    """Kolmogorov-Smirnov distance from the uniform distribution."""
    return float(ks_distances(u[None, :], alternative)[0])


def ks_distances(u: FloatArray, alternative: str = "two-sided") -> FloatArray:
    """Kolmogorov-Smirnov distances from the uniform distribution of the rows of `u` ``(m, n)``.

    Examples
    --------
    >>> import numpy as np
    >>> ks_distances(np.array([[0.1, 0.4, 0.7], [0.5, 0.5, 0.5]])).round(6)
    array([0.3, 0.5])
    """
    s = np.sort(u, axis=1)
    n, i = u.shape[1], np.arange(1, u.shape[1] + 1)
    above, below = np.max(i / n - s, axis=1), np.max(s - (i - 1) / n, axis=1)
    return np.asarray({"two-sided": np.maximum(above, below), "greater": above, "less": below}[alternative])


def kolmogorov_smirnov(u: FloatArray, alternative: str = "two-sided") -> tuple[float, float, bool]:
    """Kolmogorov-Smirnov statistic, p-value and whether the latter is exact.

    Parameters
    ----------
    u : ndarray (n,)
        Values in [0, 1].
    alternative : {"two-sided", "greater", "less"}

    Examples
    --------
    >>> import numpy as np
    >>> statistic, pvalue, exact = kolmogorov_smirnov(np.array([0.1, 0.4, 0.7]))
    >>> round(statistic, 6), round(pvalue, 6), exact
    (0.3, 0.886222, True)
    """
    s = np.sort(u)
    d, exact = ks_statistic(s, alternative), bool(np.all(s[1:] > s[:-1]))
    return d, float(ks_pvalues(np.array([d]), np.array([u.size]), np.array([exact]), alternative)[0]), exact


def ks_pvalues(
    d: FloatArray, n: NDArray[np.integer], exact: NDArray[np.bool_], alternative: str = "two-sided"
) -> FloatArray:
    """P-values of distances `d` of samples of sizes `n`: exact, or asymptotic as with ties.

    Parameters
    ----------
    d, n, exact : ndarray (k,)
    alternative : {"two-sided", "greater", "less"}
    """
    from scipy.special import kolmogorov

    p = np.empty(d.size)
    # where scipy sums Smirnov's formula term by term, in a tenth of its time
    summed = exact & (n >= MANY_ROWS) & (d > 0) & (d < 0.5)
    if alternative == "two-sided":
        summed &= (n * d * d >= 2.2) & (n * d * d < 370)
    factor = 2 if alternative == "two-sided" else 1
    p[summed] = [
        factor * smirnov_tail(int(size), float(distance)) for distance, size in zip(d[summed], n[summed], strict=True)
    ]
    if (rest := exact & ~summed).any():
        from scipy.stats import ksone, kstwo

        p[rest] = (kstwo if alternative == "two-sided" else ksone).sf(d[rest], n[rest])
    d, n = d[~exact], n[~exact]
    p[~exact] = kolmogorov(np.sqrt(n) * d) if alternative == "two-sided" else np.exp(-2 * n * d * d)
    return np.array([floor_pvalue(value) for value in p])


def anderson_darling(u: FloatArray) -> tuple[float, float]:
    """Anderson-Darling statistic of a fully specified uniform distribution and its asymptotic p-value.

    Examples
    --------
    >>> import numpy as np
    >>> statistic, pvalue = anderson_darling((np.arange(50) + 0.5) / 50)
    >>> statistic < 0.1, pvalue > 0.99
    (True, True)
    """
    statistic = _ad_statistic(u, "two-sided")
    j = np.arange(1, 41)
    # The weights beyond j = 40 add 1/41 to the mean and next to nothing to the variance.
    return statistic, quadratic_form_sf(max(statistic - 1 / 41, 1e-12), 1 / (j * (j + 1)))


def _ad_statistic(u: FloatArray, alternative: str) -> float:
    del alternative
    s = np.clip(np.sort(u), 1e-300, 1 - 1e-16)
    i = np.arange(1, s.size + 1)
    return float(-s.size - np.mean((2 * i - 1) * (np.log(s) + np.log1p(-s[::-1]))))


def _cvm_statistic(u: FloatArray, alternative: str) -> float:
    del alternative
    s = np.sort(u)
    middle = (2 * np.arange(1, s.size + 1) - 1) / (2 * s.size)
    return float(1 / (12 * s.size) + np.sum((middle - s) ** 2))


def _band_statistic(u: FloatArray, alternative: str) -> float:
    del alternative
    grid = band_grid(u.size)
    return float(local_level(np.searchsorted(np.sort(u), grid, side="right"), u.size, grid))


def _dependent_statistic(u: FloatArray, alternative: str) -> float:
    del alternative
    return cauchy_combination(_order_pvalues(np.sort(u)))


def _order_pvalues(s: FloatArray) -> FloatArray:
    from scipy.special import betainc, betaincc

    i = np.arange(1, s.size + 1)
    tail = np.minimum(betainc(i, s.size + 1 - i, s), betaincc(i, s.size + 1 - i, s))
    return np.asarray(np.minimum(1.0, 2 * tail))


def _ks(u: FloatArray, alternative: str) -> dict[str, Any]:
    statistic, pvalue, exact = kolmogorov_smirnov(u, alternative)
    return {"statistic": statistic, "pvalue": pvalue, "exact": exact}


def _ad(u: FloatArray, alternative: str) -> dict[str, Any]:
    del alternative
    statistic, pvalue = anderson_darling(u)
    return {"statistic": statistic, "pvalue": pvalue, "exact": False}


def _cvm(u: FloatArray, alternative: str) -> dict[str, Any]:
    from scipy.stats import cramervonmises

    del alternative
    result = cramervonmises(u, "uniform")
    return {"statistic": float(result.statistic), "pvalue": floor_pvalue(result.pvalue), "exact": False}


def _band(u: FloatArray, alternative: str) -> dict[str, Any]:
    import pandas as pd
    from scipy.stats import binom

    n, grid = u.size, band_grid(u.size)
    statistic, levels = _band_statistic(u, alternative), null_levels(n)
    pvalue = simulation_pvalue(statistic, levels, "less")
    level = np.quantile(levels, 0.05)
    band = pd.DataFrame(
        {
            "probability": grid,
            "lower": binom.ppf(level / 2, n, grid) / n,
            "upper": binom.isf(level / 2, n, grid) / n,
            "observed": np.searchsorted(np.sort(u), grid, side="right") / n,
        }
    )
    error = monte_carlo_error(pvalue, N_BAND_SIMS, "less")
    return {
        "statistic": statistic,
        "pvalue": pvalue,
        "exact": True,
        "band": band,
        "monte_carlo_error": error,
    }


def _dependent(u: FloatArray, alternative: str) -> dict[str, Any]:
    del alternative
    order = np.argsort(u, kind="stable")
    p = np.clip(_order_pvalues(u[order]), 1e-300, 1 - 1e-15)
    evidence = np.maximum(1 / np.tan(np.pi * p), 0.0)
    contributions = np.empty_like(evidence)
    contributions[order] = evidence / max(float(evidence.sum()), 1e-300)
    pvalue = cauchy_combination(p)
    return {"statistic": pvalue, "pvalue": pvalue, "exact": False, "contributions": contributions}


_METHODS = {"ks": _ks, "ad": _ad, "cvm": _cvm, "band": _band, "dependent": _dependent}
_STATISTICS = {
    "ks": ks_statistic,
    "ad": _ad_statistic,
    "cvm": _cvm_statistic,
    "band": _band_statistic,
    "dependent": _dependent_statistic,
}


UNIFORMITY = ResidualTest(
    name="uniformity",
    title="Distribution",
    test=uniformity_test,
    result=UniformityResult,
    takes_arrays=True,
    limits={"distance between distributions": (0.02, 0.10)},
    word=lambda result: "not uniform",
    size_name="distance",
    alone=lambda asked: {},
    is_consequence=True,
)
