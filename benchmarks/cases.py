"""The table of cases: what is done, on which model, by which tools."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.models import MODELS

__all__ = ["CASES", "R_TOOLS", "Case"]

R_TOOLS = ("glmmTMB", "lme4", "lme4 + DHARMa", "lme4 + simulate", "glmmTMB + DHARMa", "DHARMa")
"""Tools that run in R."""

_FIT = ("glmmcore", "mixedlm", "interlace", "gpboost", "gpboost, exact", "glmmTMB", "lme4")


@dataclass(frozen=True)
class Case:
    """One row of the benchmark.

    Attributes
    ----------
    name : str
    kind : {"fit", "residuals", "glm", "pipeline", "exact", "cold", "memory"}
        See README.md.
    model : str
        Key of `benchmarks.models.MODELS`.
    tools : tuple of str
        Ours first.
    about : str
        One line for tables.
    """

    name: str
    kind: str
    model: str
    tools: tuple[str, ...]
    about: str


def _case(name: str, kind: str, model: str, tools: tuple[str, ...], what: str = "") -> Case:
    return Case(name, kind, model, tools, f"{what}{MODELS[model].about}")


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *(_case(m, "fit", m, _FIT) for m in ("cbpp", "sleep", "slopes", "nb2", "crossed4", "crossed5", "insteval")),
        _case("fit6", "fit", "counts6", ("glmmcore",)),
        _case(
            "residuals4",
            "residuals",
            "counts4",
            ("simresid", "numpy by hand", "DHARMa"),
            "250 simulations and residuals of a fit: ",
        ),
        _case(
            "residuals5",
            "residuals",
            "crossed5",
            ("simresid", "numpy by hand", "DHARMa"),
            "250 simulations and residuals of a fit: ",
        ),
        _case(
            "glm4",
            "glm",
            "counts4",
            ("simresid", "checkmodel"),
            "250 simulations, residuals and their uniformity, of a statsmodels GLM without its groups: ",
        ),
        _case(
            "pipeline4",
            "pipeline",
            "counts4",
            ("simresid", "lme4 + DHARMa", "lme4 + simulate"),
            "fit, residuals, all tests, figure: ",
        ),
        _case("pipeline6", "exact", "counts6", ("simresid",), "fit, exact residuals, all tests, curves: "),
        _case("memory6", "memory", "counts6", ("simresid",), "peak memory above the data: "),
        _case(
            "cold",
            "cold",
            "small",
            ("simresid, warm cache", "simresid, empty cache", "glmmTMB", "glmmTMB + DHARMa"),
            "new process, first fit and residuals: ",
        ),
    )
}
