"""What each Python tool does for a case: functions that prepare once and return what is timed.

Prepared functions return a `Result`. A tool that is not installed, or that cannot fit a model, raises `Absent`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from benchmarks.models import MODELS, Model

__all__ = ["TASKS", "Absent", "Result", "prepare"]

N_SIMS = 250


class Absent(Exception):
    """The tool is not installed or has no such model; the message says which."""


@dataclass
class Result:
    """What one run gave.

    Attributes
    ----------
    value : float
        Log-likelihood of a fit, NaN elsewhere.
    parts : dict of str to float
        Seconds of the parts of a pipeline.
    """

    value: float = float("nan")
    parts: dict[str, float] = field(default_factory=dict)


Prepared = Callable[[], Result]


# ---- fits ----------------------------------------------------------------------------------------------


def fit_glmmcore(model: Model) -> Prepared:
    import glmmcore

    data = model.make()
    return lambda: Result(glmmcore.glmm(model.formula, data, family=model.family).llf)


def fit_mixedlm(model: Model) -> Prepared:
    mixedlm = _import("mixedlm")
    families = {"binomial": "Binomial", "poisson": "Poisson"}
    if model.family not in ("gaussian", *families):
        raise Absent(f"mixedlm has no comparable {model.family}")
    data, formula = model.make(), model.formula.replace("cbind(incidence, size - incidence)", "incidence / size")

    def run() -> Result:
        if model.family == "gaussian":
            fit = mixedlm.lmer(formula, data, REML=False)
        else:
            fit = mixedlm.glmer(formula, data, family=getattr(mixedlm.families, families[model.family])())
        value = fit.logLik()
        return Result(float(getattr(value, "value", value)))

    return run


def fit_gpboost(model: Model, exact: bool) -> Prepared:
    gpboost = _import("gpboost")
    if not model.groups:
        raise Absent("GPBoost has no correlated slopes and no cbind response")
    data = model.make()
    x = np.column_stack([np.ones(len(data)), data["x"]])
    options = {
        "group_data": data[list(model.groups)].to_numpy(),
        "likelihood": {"nbinom2": "negative_binomial"}.get(model.family, model.family),
    }
    if exact and len(model.groups) > 1:
        options["matrix_inversion_method"] = "cholesky"

    def run() -> Result:
        fit = gpboost.GPModel(**options)
        fit.fit(y=data["y"].to_numpy(float), X=x, params={"delta_rel_conv": 1e-10} if exact else {})
        return Result(-fit.get_current_neg_log_likelihood())

    return run


def fit_interlace(model: Model) -> Prepared:
    interlace = _import("interlace")
    families = {"binomial": "binomial", "poisson": "poisson", "nbinom2": "negativebinomial"}
    fixed, *bars = model.formula.split(" + (")
    if "cbind" in fixed:
        raise Absent("interlace fits k of n without one of our columns: proportions and weights")
    data, bars = model.make(), [bar.rstrip(")").split("|") for bar in bars]
    options: dict[str, Any] = {"groups": [g.strip() for _, g in bars]}
    if bars[0][0].strip() != "1":
        options["random"] = [f"(1 + {left} | {group})" for left, group in bars]

    def run() -> Result:
        if model.family == "gaussian":
            return Result(interlace.fit(fixed, data, method="ML", **options).llf)
        return Result(interlace.glmer(fixed, data, family=families[model.family], **options).llf)

    return run


# ---- residuals -----------------------------------------------------------------------------------------


def residuals_simresid(model: Model) -> Prepared:
    import glmmcore
    import simresid

    fit = glmmcore.glmm(model.formula, model.make(), family=model.family)

    def run() -> Result:
        simresid.simulate_residuals(fit, N_SIMS)
        return Result()

    return run


def residuals_numpy(model: Model) -> Prepared:
    """What one would write by hand, given the fitted means: no streaming, no ties broken by a stream of their own."""
    import glmmcore

    fit = glmmcore.glmm(model.formula, model.make(), family=model.family)
    mean, observed = fit.fitted, fit.observed

    def run() -> Result:
        rng = np.random.default_rng(1)
        simulated = rng.poisson(mean, size=(N_SIMS, mean.size))
        below, equal = (simulated < observed).sum(axis=0), (simulated == observed).sum(axis=0)
        _ = (below + rng.random(mean.size) * (1 + equal)) / (N_SIMS + 1)
        return Result()

    return run


def statsmodels_fit(model: Model) -> Any:
    """The fixed effects of a Poisson model, by statsmodels: what checkmodel takes."""
    formulas, families = _import("statsmodels.formula.api"), _import("statsmodels.api").families
    return formulas.glm(model.formula.split(" + (")[0], model.make(), family=families.Poisson()).fit()


def glm_simresid(model: Model) -> Prepared:
    import simresid

    fit = statsmodels_fit(model)

    def run() -> Result:
        simresid.uniformity_test(simresid.simulate_residuals(fit, N_SIMS), null="analytic")
        return Result()

    return run


def glm_checkmodel(model: Model) -> Prepared:
    checkmodel, fit = _import("checkmodel"), statsmodels_fit(model)

    def run() -> Result:
        checkmodel.check_residuals(checkmodel.simulate_residuals(fit, iterations=N_SIMS, random_state=1))
        return Result()

    return run


def pipeline_simresid(model: Model) -> Prepared:
    """Fit, simulations and residuals, all tests, and the overview as PNG."""
    import simresid

    return _pipeline(model, "residuals", "rank", "figure", lambda res: _save(simresid.plot_overview(res)))


def exact_simresid(model: Model) -> Prepared:
    """Fit, exact residuals, all tests and the quantile curves: what a million rows need."""
    import simresid

    return _pipeline(model, "exact residuals", "exact", "curves", lambda res: simresid.quantile_test(res, curves=True))


def _pipeline(model: Model, residuals: str, method: str, last: str, finish: Callable[[Any], Any]) -> Prepared:
    """Fit, residuals by `method`, all tests and what `finish` makes of the residuals, each part timed by its name."""
    import glmmcore
    import simresid

    data = model.make()

    def run() -> Result:
        clock = _Parts()
        fit = clock("fit", lambda: glmmcore.glmm(model.formula, data, family=model.family))
        res = clock(residuals, lambda: simresid.simulate_residuals(fit, N_SIMS, method=method))
        clock("battery", res.diagnose)
        clock(last, lambda: finish(res))
        return Result(fit.llf, clock.parts)

    return run


class _Parts:
    """Seconds by name."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    def __call__(self, name: str, function: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        value = function()
        self.parts[name] = time.perf_counter() - began
        return value


def _save(figure: Any) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(BytesIO(), format="png")
    plt.close(figure)


def _import(name: str) -> Any:
    from importlib import import_module

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError:
        raise Absent(f"{name} is not installed") from None


TASKS: dict[tuple[str, str], Callable[[Model], Prepared]] = {
    ("fit", "glmmcore"): fit_glmmcore,
    ("fit", "mixedlm"): fit_mixedlm,
    ("fit", "gpboost"): lambda model: fit_gpboost(model, exact=False),
    ("fit", "gpboost, exact"): lambda model: fit_gpboost(model, exact=True),
    ("fit", "interlace"): fit_interlace,
    ("residuals", "simresid"): residuals_simresid,
    ("residuals", "numpy by hand"): residuals_numpy,
    ("glm", "simresid"): glm_simresid,
    ("glm", "checkmodel"): glm_checkmodel,
    ("pipeline", "simresid"): pipeline_simresid,
    ("exact", "simresid"): exact_simresid,
}
"""By kind of work and tool."""


def prepare(kind: str, tool: str, model: str) -> Prepared:
    """Return the function to time."""
    return TASKS[kind, tool](MODELS[model])
