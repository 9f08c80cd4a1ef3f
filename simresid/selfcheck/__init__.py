"""``python -m simresid.selfcheck`` says whether this installation gives the right numbers.

The tests shipped for users. Fits of embedded data are compared with what glmmTMB and lme4 report in R, residuals and
tests with closed forms. One line each and a verdict; exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence

from simresid.selfcheck.fits import FITS, Difference, check_fit

__all__ = ["main"]

CLOSED_FORM = 1e-9
"""Absolute difference from a number that has a formula."""


def _same(found: float, wanted: float, what: str) -> str:
    if not abs(found - wanted) < CLOSED_FORM:
        raise Difference(f"{what} {found!r}, should be {wanted!r}")
    return f"{what} {found:.6g}"


def marginal_means() -> str:
    """Least-squares means of the eight clinics as SAS prints them: 7.625 and 32, standard error 9.1348."""
    from glmmcore import glmm, marginal_means
    from simresid import datasets

    fit = glmm("count ~ treatment + (1|clinic)", datasets.load("clinics"), reml=True)
    table = marginal_means(fit, "treatment")
    first, second = table["estimate"]
    error = float(table["se"].iloc[0])
    if not (abs(first - 7.625) < 1e-6 and abs(second - 32) < 1e-6 and abs(error - 9.1348) < 1e-4):
        raise Difference(f"{first}, {second}, standard error {error}; should be 7.625, 32, 9.1348")
    return f"{first:.3f} and {second:.3f}, standard error {error:.4f}"


def rank_residuals() -> str:
    """A residual lies between the ranks of its value among simulations and value, ties counted."""
    import numpy as np

    from simresid import from_simulations

    rng = np.random.default_rng(1)
    simulated, observed = rng.poisson(2, (99, 40)), rng.poisson(2, 40)
    u = from_simulations(simulated, observed).residuals
    below, equal = (simulated < observed).sum(axis=0), (simulated == observed).sum(axis=0)
    if not ((u >= below / 100).all() and (u <= (below + equal + 1) / 100).all()):
        raise Difference("a residual lies outside the ranks of its value")
    return "40 residuals within their ranks"


def exact_residuals() -> str:
    """Randomised quantile residuals of a Poisson model lie between P(Y < y) and P(Y <= y)."""
    import numpy as np
    from scipy.stats import poisson

    from glmmcore import glmm
    from simresid import datasets, simulate_residuals

    fit = glmm("count ~ mined + (1|site)", datasets.load("salamanders"), family="poisson")
    u = simulate_residuals(fit, method="exact").residuals
    lower, upper = poisson.cdf(fit.observed - 1, fit.fitted), poisson.cdf(fit.observed, fit.fitted)
    if not ((u >= lower - CLOSED_FORM).all() and (u <= upper + CLOSED_FORM).all()):
        raise Difference("a residual lies outside the jump of its distribution function")
    return f"{u.size} residuals within the jumps of their distribution functions, mean {np.mean(u):.3f}"


def streaming() -> str:
    """Simulations that are not kept give the numbers of those that are."""
    from glmmcore import glmm
    from simresid import datasets, simulate_residuals

    fit = glmm("count ~ mined + (1|site)", datasets.load("salamanders"), family="poisson")
    kept, streamed = (simulate_residuals(fit, keep_simulations=keep) for keep in (True, False))
    if (kept.residuals != streamed.residuals).any():
        raise Difference("residuals differ between simulations in memory and streamed ones")
    return _same(streamed.dispersion_test().pvalue, kept.dispersion_test().pvalue, "p-value of dispersion")


def simulation_pvalue() -> str:
    """A statistic beyond all m simulated ones has p = 2 / (m + 1), two-sided."""
    import numpy as np

    from simresid import from_simulations, statistic_test

    simulated = np.random.default_rng(1).normal(size=(99, 20))
    residuals = from_simulations(simulated, np.full(20, 50.0))
    return _same(statistic_test(residuals, np.mean).pvalue, 0.02, "p")


def uniformity() -> str:
    """Distance of (1/2, ..., n - 1/2) / n from the uniform distribution is 1 / (2n); p-values are scipy's."""
    import numpy as np
    from scipy.stats import kstest

    from simresid import uniformity_test

    _same(uniformity_test((np.arange(50) + 0.5) / 50).statistic, 0.01, "distance")
    u = np.random.default_rng(1).beta(1.3, 1.0, 200)
    return _same(uniformity_test(u).pvalue, float(kstest(u, "uniform").pvalue), "p")


def outliers() -> str:
    """The number of rows outside all m simulations is binomial with probability 2 / (m + 1)."""
    import numpy as np
    from scipy.stats import binomtest

    from simresid import from_simulations

    rng = np.random.default_rng(1)
    observed = rng.normal(size=200)
    observed[:7] = 30.0
    found = from_simulations(rng.normal(size=(249, 200)), observed).outlier_test("greater")
    wanted = binomtest(int(found.statistic), 200, 2 / 250, alternative="greater").pvalue
    return _same(found.pvalue, float(wanted), f"{found.statistic:.0f} outliers, p")


def durbin_watson() -> str:
    """Sum of squared differences over sum of squares, of centred residuals."""
    import numpy as np

    from simresid import temporal_autocorrelation_test

    u = np.array([0.1, 0.2, 0.15, 0.4, 0.5, 0.45, 0.7, 0.8, 0.9, 0.85])
    e = u - u.mean()
    found = temporal_autocorrelation_test(u, np.arange(10)).statistic
    return _same(found, float(np.sum(np.diff(e) ** 2) / np.sum(e**2)), "d")


def moran() -> str:
    """Moran's I with inverse distances, and its expectation -1 / (n - 1)."""
    import numpy as np

    from simresid import spatial_autocorrelation_test

    rng = np.random.default_rng(1)
    x, y, u = rng.random((3, 30))
    found = spatial_autocorrelation_test(u, x, y, weights="inverse")
    distance = np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y))
    weights = 1 / (distance + np.eye(30)) - np.eye(30)
    weights /= weights.sum(axis=1, keepdims=True)
    e = u - u.mean()
    _same(found.expected, -1 / 29, "expectation")
    return _same(found.statistic, float(30 / weights.sum() * (e @ weights @ e) / (e @ e)), "I")


def power() -> str:
    """Counts of negative binomial law do not pass as Poisson, and do as negative binomial."""
    import numpy as np
    import pandas as pd

    from glmmcore import glmm
    from simresid import simulate_residuals

    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    data = pd.DataFrame({"x": x, "y": rng.negative_binomial(2, 2 / (2 + np.exp(1 + 0.5 * x)))})
    wrong, right = (simulate_residuals(glmm("y ~ x", data, family=f)).dispersion_test() for f in ("poisson", "nbinom2"))
    if not (wrong.pvalue < 0.01 and right.pvalue > 0.01 and 1.5 < wrong.statistic < 4 and 0.7 < right.statistic < 1.4):
        raise Difference(
            f"dispersion {wrong.statistic:.2f} and {right.statistic:.2f}, p {wrong.pvalue}, {right.pvalue}"
        )
    return f"dispersion {wrong.statistic:.2f} by Poisson, {right.statistic:.2f} by nbinom2"


CLOSED_FORMS: list[tuple[str, Callable[[], str]]] = [
    ("marginal means", marginal_means),
    ("rank residuals", rank_residuals),
    ("exact residuals", exact_residuals),
    ("streaming", streaming),
    ("simulation p-value", simulation_pvalue),
    ("uniformity test", uniformity),
    ("outlier test", outliers),
    ("Durbin-Watson test", durbin_watson),
    ("Moran's I", moran),
    ("dispersion test", power),
]


def checks() -> Iterator[tuple[str, Callable[[], str]]]:
    """Name every check and hand it out."""
    for case in FITS:
        options = "".join(f", {key}={value}" for key, value in case.options.items())
        yield f"{case.data}, {case.family}{options} ({case.source})", lambda case=case: check_fit(case)  # type: ignore[misc]
    yield from CLOSED_FORMS


def versions() -> str:
    """Versions of what the numbers depend on."""
    import platform
    from importlib.metadata import version

    packages = ("simresid", "numpy", "scipy", "pandas", "numba", "formulaic", "matplotlib")
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process by default.

    Returns
    -------
    int
        Exit status: 0 if everything agrees.
    """
    argparse.ArgumentParser(prog="python -m simresid.selfcheck", description=__doc__.split("\n\n")[1]).parse_args(
        arguments
    )
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy is not loaded yet; matrices are small
    begin = time.perf_counter()
    print(versions())
    failed, total = 0, 0
    for name, check in checks():
        total += 1
        try:
            mark, text = "ok    ", check()
        except Exception as error:  # whatever it is, the other checks are of interest
            failed += 1
            kind = "" if isinstance(error, Difference) else f"{type(error).__name__}: "
            mark, text = "FAILED", kind + str(error)
        print(f"{mark} {name}: {text}", flush=True)
    verdict = f"{failed} of {total} checks FAILED" if failed else f"All {total} checks agree"
    print(f"{verdict} ({time.perf_counter() - begin:.1f} s).")
    return int(failed > 0)
