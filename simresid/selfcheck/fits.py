"""Models of embedded data with the numbers that R gives for them, for `simresid.selfcheck`."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["FITS", "Difference", "Fit", "check_fit"]

LLF_BELOW = 1e-4
"""How far a log-likelihood may lie below R's; the optimisers of R stop at about this distance."""

LLF_ABOVE = 1e-2
"""How far above: R may have stopped early, but this is more than stopping early."""

IN_ERRORS = 5e-3
"""Difference of an estimate in units of its standard error, and relative difference of a standard error."""


class Fit(NamedTuple):
    """A model and what R says of it."""

    data: str
    formula: str
    family: str
    options: dict[str, Any]
    source: str
    llf: float | None
    """None where R's log-likelihood lacks constants."""
    estimates: tuple[float, ...]
    errors: tuple[float, ...]
    sigma: float | None = None


FITS = [
    Fit(
        "beitler_landis",
        "cbind(fav, n - fav) ~ trt + (1|clinic) + (1|clinic:trt)",
        "binomial",
        {},
        "glmmTMB 1.1.15",
        -37.099847946,
        (-1.199600557, 0.742278529),
        (0.559710168, 0.321546156),
    ),
    Fit(
        "cbpp",
        "cbind(incidence, size - incidence) ~ period + (1|herd)",
        "binomial",
        {"n_agq": 9},
        "lme4 1.1-31",
        None,
        (-1.399219444, -0.991408657, -1.127812837, -1.579487774),
        (0.233510633, 0.306767852, 0.326767151, 0.427596208),
    ),
    Fit(
        "orobanche",
        "cbind(germ, n - germ) ~ gen * extract",
        "betabinomial",
        {},
        "glmmTMB 1.1.15",
        -53.766763365,
        (-0.444559984, -0.097390601, 0.522143512, 0.797924802),
        (0.218255657, 0.273668614, 0.296822733, 0.377954847),
        79.9003265,
    ),
    Fit(
        "clinics",
        "count ~ treatment + (1|clinic)",
        "nbinom2",
        {},
        "glmmTMB 1.1.15",
        -60.174382741,
        (2.031432318, 1.434303590),
        (0.436543219, 0.607167820),
        0.717662604,
    ),
    Fit(
        "clinics",
        "count ~ treatment + (1|clinic)",
        "gaussian",
        {"reml": True},
        "lme4 1.1-31",
        -67.468376707,
        (7.625, 24.375),
        (9.134840785, 12.778229551),
        25.556459102,
    ),
    Fit(
        "pastes",
        "strength ~ 1 + (1|batch/cask)",
        "gaussian",
        {},
        "lme4 1.1-31",
        -123.997232931,
        (60.053333333,),
        (0.642135894,),
        0.823408840,
    ),
    Fit(
        "penicillin",
        "diameter ~ 1 + (1|plate) + (1|sample)",
        "gaussian",
        {},
        "lme4 1.1-31",
        -166.094174334,
        (22.972222222,),
        (0.744596266,),
        0.549932140,
    ),
    Fit(
        "grouseticks",
        "TICKS ~ C(YEAR) + center(HEIGHT) + (1|BROOD) + (1|INDEX) + (1|LOCATION)",
        "poisson",
        {},
        "glmmTMB 1.1.15",
        -890.271330088,
        (0.372781573, 1.180410168, -0.978696164, -0.023760560),
        (0.196373557, 0.238127503, 0.262788525, 0.003438503),
    ),
    Fit(
        "salamanders",
        "count ~ mined + spp + (1|site)",
        "nbinom2",
        {"zi": "~ mined"},
        "glmmTMB 1.1.15",
        -822.418350557,
        (1.37972849, -1.55623521, -0.54053206, -0.41538542, -1.46196845, -0.16882894, -0.71601554, -2.08916315),
        (0.20677785, 0.36343486, 0.21554194, 0.2102254, 0.24250558, 0.20816984, 0.21661282, 0.27509426),
        1.157404148,
    ),
    Fit(
        "salamanders",
        "count ~ mined + spp + (1|site)",
        "nbinom2",
        {"disp": "~ DOY"},
        "glmmTMB 1.1.15",
        -825.497269138,
        (1.36701477, -2.24804806, -0.48276191, -0.42509753, -1.42728173, -0.27562457, -0.81548900, -2.09974732),
        (0.21704361, 0.28416947, 0.21798989, 0.21224495, 0.25172902, 0.21312062, 0.21687862, 0.27914473),
    ),
    Fit(
        "owls",
        "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1|Nest)",
        "nbinom1",
        {"zi": "~ 1"},
        "glmmTMB 1.1.15",
        -1684.818834441,
        (0.823470338, -0.858630629, -0.069599736, 0.272482377),
        (0.110428110, 0.148642766, 0.103454133, 0.180061860),
        5.089751093,
    ),
    Fit(
        "sleepstudy",
        "Reaction ~ Days + (Days|Subject)",
        "gaussian",
        {"reml": True},
        "lme4 1.1-31",
        -871.814135980,
        (251.405104848, 10.467285960),
        (6.824596695, 1.545789644),
        25.591795722,
    ),
]


class Difference(Exception):
    """A number is not what it should be."""


def check_fit(case: Fit) -> str:
    """Fit, compare, and say how close; `Difference` if it is not."""
    from glmmcore import glmm
    from simresid import datasets

    fit = glmm(case.formula, datasets.load(case.data), family=case.family, **case.options)
    found, errors = fit.params.to_numpy(), fit.bse.to_numpy()
    if found.size != len(case.estimates):
        raise Difference(f"coefficients {list(fit.params.index)}, {len(case.estimates)} expected")
    away = max(abs(a - b) / e for a, b, e in zip(found, case.estimates, case.errors, strict=True))
    wide = max(abs(a / b - 1) for a, b in zip(errors, case.errors, strict=True))
    parts = [f"estimates within {away:.0e} standard errors", f"standard errors within {wide:.0e}"]
    bad = not (away < IN_ERRORS and wide < IN_ERRORS)
    if case.llf is not None:
        parts.insert(0, f"logLik {fit.llf:.4f} ({case.llf:.4f})")
        bad |= not -LLF_BELOW < fit.llf - case.llf < LLF_ABOVE
    if case.sigma is not None:
        parts.append(f"sigma {fit.sigma:.4g} ({case.sigma:.4g})")
        bad |= not abs(fit.sigma / case.sigma - 1) < IN_ERRORS
    text = ", ".join(parts)
    if bad:
        raise Difference(text)
    return text
