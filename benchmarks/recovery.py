"""Do fits find the truth? 200 simulated data sets a family, n = 300, 30 groups.

Usage: python -m benchmarks.recovery [FAMILY ...] [--sets 200] [--seed 1] [--jobs 2]

For each parameter the mean estimate with its Monte Carlo standard error and the truth, z = (mean - truth) / SE, and for
fixed effects the coverage of 95 % Wald intervals. Maximum likelihood estimates of a standard deviation from G groups
are low by about sd (p + 1/2) / (2 G) in linear models; that expected bias is printed beside.
"""

from __future__ import annotations

import argparse
import warnings

import joblib
import numpy as np
import pandas as pd

import glmmcore
from glmmcore.families import get_family
from glmmcore.results.law import Law

N, GROUPS = 300, 30
BETA, SD = (0.5, 0.4), 0.6
# family: (log phi, psi, options of the fit and of the truth)
TRUTH: dict[str, tuple[float, tuple[float, ...]]] = {
    "gaussian": (0.0, ()),
    "binomial": (0.0, ()),
    "betabinomial": (1.5, ()),
    "beta": (1.5, ()),
    "ordbeta": (1.5, ()),
    "gamma": (0.7, ()),
    "lognormal": (0.3, ()),
    "poisson": (0.0, ()),
    "nbinom1": (0.3, ()),
    "nbinom2": (0.5, ()),
    "nbinom12": (-0.2, (1.5,)),
    "genpois": (0.5, ()),
    "compois": (0.5, ()),
    "bell": (0.0, ()),
    "tweedie": (0.3, (0.0,)),
    "t": (-0.3, (np.log(5.0),)),
    "skewnormal": (0.0, (3.0,)),
    "truncated_poisson": (0.0, ()),
    "truncated_nbinom1": (0.3, ()),
    "truncated_nbinom2": (0.5, ()),
}
ZERO_INFLATED = {"zi poisson": "poisson", "zi nbinom2": "nbinom2", "hurdle gamma": "gamma"}
ZI = -1.0


def one(case: str, seed: int) -> dict[str, float]:
    """Estimates, standard errors and verdict of one data set."""
    name = ZERO_INFLATED.get(case, case)
    rng = np.random.default_rng([seed, sum(map(ord, case))])
    family = get_family(name)
    delta, psi = TRUTH[name]
    if name == "ordbeta":
        psi = tuple(family.start_psi()[0])
    x, g = rng.standard_normal(N), np.arange(N) % GROUPS
    eta = BETA[0] + BETA[1] * x + SD * rng.standard_normal(GROUPS)[g]
    values = {"cond": eta, "disp": np.array([delta])}
    values |= {extra: np.array([v]) for extra, v in zip(family.extra, psi, strict=True)}
    options = {}
    if case in ZERO_INFLATED:
        values["zi"] = np.full(N, ZI)
        options["zi"] = "~ 1"
    trials = np.full(N, 8.0) if family.takes_trials else None
    y = Law(family, values, trials).simulate(1, rng)[0]
    d = pd.DataFrame({"y": y, "x": x, "g": g})
    if trials is not None:
        options["trials"] = trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = glmmcore.glmm("y ~ x + (1|g)", d, family=name, **options)
    out = {"Intercept": fit.params.iloc[0], "x": fit.params.iloc[1], "sd": fit.var_corr["sd"].iloc[0]}
    out |= {"se Intercept": fit.bse.iloc[0], "se x": fit.bse.iloc[1], "converged": float(fit.converged)}
    if family.has_dispersion:
        out["log phi"] = fit.disp_params.iloc[0]
    for extra in family.extra:
        out[extra] = float(fit.solution.coefficients[extra][0])
    if case in ZERO_INFLATED:
        out |= {"zi": fit.zi_params.iloc[0], "se zi": fit.zi_bse.iloc[0]}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=[*TRUTH, *ZERO_INFLATED])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    a = parser.parse_args()
    print(f"n = {N}, {GROUPS} groups, {a.sets} sets, seed {a.seed}; bias of sd about {-SD * 1.5 / (2 * GROUPS):.3f}")
    print(
        f"{'family':18s} {'parameter':10s} {'truth':>8s} {'mean':>8s} {'median':>8s} {'MC SE':>8s} {'z':>6s} coverage"
    )
    for case in a.families:
        name = ZERO_INFLATED.get(case, case)
        rows = joblib.Parallel(a.jobs)(joblib.delayed(one)(case, a.seed * 100_000 + i) for i in range(a.sets))
        table = pd.DataFrame(rows)
        delta, psi = TRUTH[name]
        family = get_family(name)
        psi = tuple(family.start_psi()[0]) if name == "ordbeta" else psi
        truth = {"Intercept": BETA[0], "x": BETA[1], "sd": SD, "log phi": delta, "zi": ZI}
        truth |= dict(zip(family.extra, psi, strict=True))
        for parameter, value in truth.items():
            if parameter not in table:
                continue
            estimates = table[parameter]
            error = estimates.std() / np.sqrt(len(estimates))
            coverage = ""
            if f"se {parameter}" in table:
                inside = (estimates - value).abs() < 1.959964 * table[f"se {parameter}"]
                coverage = f"{100 * inside.mean():5.1f} %"
            print(
                f"{case:18s} {parameter:10s} {value:8.3f} {estimates.mean():8.3f} {estimates.median():8.3f} "
                f"{error:8.4f} {(estimates.mean() - value) / error:6.1f} {coverage}"
            )
        if not table["converged"].all():
            print(f"{case:18s} {int((1 - table['converged']).sum())} of {len(table)} not converged")


if __name__ == "__main__":
    main()
