"""Printed summary of a fit, as text and as HTML, and the data frames behind its tables."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.results.tables import pvalue_text

if TYPE_CHECKING:
    from glmmcore.design import RandomTerm
    from glmmcore.fitted import FittedGLMM

__all__ = ["Summary", "dispersion_in_words", "summarise"]

_PARTS = {"cond": "Conditional model", "zi": "Zero-inflation model (logit)", "disp": "Dispersion model (log)"}
_HEADERS = {
    "estimate": "Estimate", "se": "Std. Error", "df": "df", "statistic": "{} value", "pvalue": "Pr(>|{}|)"
}  # fmt: skip
_RANDOM_TITLE = "Random effects"


class Summary(str):
    """Text of a summary, which prints as it is and shows as tables in a notebook.

    Attributes
    ----------
    tables : dict of str to DataFrame
        By title: coefficients of each part, and ``"Random effects"``.
    """

    tables: dict[str, pd.DataFrame]
    _html: str

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self._html


def summarise(fit: FittedGLMM, coefficients: dict[str, pd.DataFrame], tests: str) -> Summary:
    """Put the summary of a fit together.

    Parameters
    ----------
    fit : FittedGLMM
    coefficients : dict of str to DataFrame
        Table of every part.
    tests : str
        Where their tests come from; empty for z tests with the model's standard errors.
    """
    tables: dict[str, pd.DataFrame] = {}
    if fit.has_random_effects:
        tables[_RANDOM_TITLE] = _random_table(fit)
    tables |= {_PARTS[part]: table for part, table in coefficients.items()}
    lines = [_dispersion_line(fit), _extra_line(fit), _given_line(fit), *_neighbour_lines(fit), tests]
    notes = [line for line in lines if line]
    out = Summary(_text(fit, tables, notes))
    out.tables = tables
    out._html = _html(fit, tables, notes)
    return out


def dispersion_in_words(fit: FittedGLMM) -> str:
    """Say what the dispersion says about the variance; empty for families without, or when it has a model."""
    if not fit.family.has_dispersion or "disp" in fit.design.predictors:
        return ""
    sigma = fit.sigma
    with np.errstate(over="ignore"):
        return fit.family.dispersion_words.format(sigma=sigma, variance=np.square(sigma), increased=1.0 + sigma)


def _dispersion_line(fit: FittedGLMM) -> str:
    part = fit.design.predictors.get("disp")
    if part is not None and not part.X.shape[1]:
        held = "by its offset" if np.isnan(fit.sigma) else f"at {fit.sigma:.3g}"
        return f"Dispersion ({fit.family.name}): held {held}, not estimated (disp = {fit.design.formulas['disp']})"
    words = dispersion_in_words(fit)
    return f"Dispersion ({fit.family.name}): {words}" if words else ""


def _extra_line(fit: FittedGLMM) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in fit.extra_params.items())


def _given_line(fit: FittedGLMM) -> str:
    listed = ", ".join(f"{name} = {value:.6g}" for name, value in fit.design.fixed.items())
    return f"Given, not estimated: {listed}" if listed else ""


def _neighbour_lines(fit: FittedGLMM) -> list[str]:
    """What is approximated in fields of many places."""
    found = [t.term for t in fit.solution.terms if t.term.places is not None and t.term.places.neighbours is not None]
    return [
        f"{term.key}: {term.places.n} places, an approximation: each is given its {term.places.neighbours} nearest "
        f"neighbours among those before it (neighbours = {2 * term.places.neighbours} tells how close it is)"
        for term in found
        if term.places is not None and term.places.neighbours is not None
    ]


def _random_table(fit: FittedGLMM) -> pd.DataFrame:
    table = fit.var_corr
    table = table[[name for name in table.columns if not name.startswith("se_")]].copy()
    table.insert(3, "variance", table["sd"] ** 2)
    return table.drop(columns="component") if (table["component"] == "cond").all() else table


def _statistics(fit: FittedGLMM) -> dict[str, str]:
    return {
        "AIC": f"{fit.aic:.1f}",
        "BIC": f"{fit.bic:.1f}",
        "logLik": f"{fit.llf:.1f}",
        "-2*logLik": f"{-2.0 * fit.llf:.1f}",
        "df.resid": f"{fit.df_resid:g}",
    }


def _heading(fit: FittedGLMM) -> list[tuple[str, str]]:
    lines = [("Family", f"{fit.family.name} ({fit.family.link.name})"), ("Formula", fit.formula)]
    response = fit.design.response
    if response.levels is not None and response.levels[1] is not True:
        lines.append(("Response", f"{response.name} = {response.levels[1]}, not {response.levels[0]}"))
    names = {"zi": "Zero inflation", "disp": "Dispersion"}
    lines += [(names[part], text) for part, text in fit.design.formulas.items() if part in names]
    if response.trials is not None and "trials" in fit.design.formulas:
        kind = "proportions" if response.proportions else "numbers of successes"
        lines.append(("Trials", f"{fit.design.formulas['trials']}, of which {response.name} holds {kind}"))
    if "offset" in fit.design.formulas:
        lines.append(("Offset", f"{fit.design.formulas['offset']}, on the scale of the link"))
    if "var_weights" in fit.design.formulas:
        lines.append(("Weights", f"{fit.design.formulas['var_weights']}, by which the variance is divided"))
    method = "restricted maximum likelihood (REML)" if fit.reml else "maximum likelihood"
    if fit.estimator.n_agq > 1:
        method += f", adaptive quadrature with {fit.estimator.n_agq} points"
    return [*lines, ("Estimates", method)]


def _sizes(fit: FittedGLMM) -> str:
    levels = dict.fromkeys(text for t in fit.solution.terms for text in _counted(t.term))
    groups = f"; groups: {'; '.join(levels)}" if levels else ""
    weights = fit.design.freq_weights
    stand_for = "" if weights is None else f", which stand for {weights.sum():.0f}"
    return f"Number of rows: {fit.nobs}{stand_for}{groups}"


def _counted(term: RandomTerm) -> list[str]:
    """Name and number of the levels; where levels are places or times within groups, of both."""
    if term.places is None:
        return [f"{term.group}, {_levels(term)}"]
    groups = term.levels.get_level_values(0) if isinstance(term.levels, pd.MultiIndex) else term.levels[:0]
    own = [f"{term.group}, {groups.nunique()}"] if len(groups) and term.group != "1" else []
    return [*own, f"{term.columns[0]}, {_levels(term)}"]


def _levels(term: RandomTerm) -> str:
    """How many levels there are; of those that covary, with rows and in all."""
    n = len(term.levels)
    return f"{n}" if term.relationship is None else f"{len(np.unique(term.codes))} of {n} known"


def _text(fit: FittedGLMM, tables: dict[str, pd.DataFrame], notes: list[str]) -> str:
    statistics = _statistics(fit)
    width = {name: max(len(name), len(value)) for name, value in statistics.items()}
    blocks = [
        "\n".join(f"{name + ':':16s}{value}" for name, value in _heading(fit)),
        " ".join(f"{name:>{width[name]}}" for name in statistics)
        + "\n"
        + " ".join(f"{value:>{width[name]}}" for name, value in statistics.items()),
    ]
    for title, table in tables.items():
        if title == _RANDOM_TITLE:
            shown = table.to_string(index=False, na_rep="", float_format=lambda v: f"{v:.4g}")
            blocks.append(f"{title}:\n{shown}\n{_sizes(fit)}")
    if _RANDOM_TITLE not in tables:
        blocks.append(_sizes(fit))
    blocks += notes
    for title, table in tables.items():
        if title != _RANDOM_TITLE:
            blocks.append(f"{title}:\n{_printed(table).to_string()}")
    return "\n\n".join([*blocks, *fit.verdict])


def _printed(table: pd.DataFrame) -> pd.DataFrame:
    """Coefficients as text with the digits that their standard errors call for."""
    decimals = 5
    errors = table["se"].to_numpy(dtype=float)
    errors = errors[np.isfinite(errors) & (errors > 0.0)]
    if len(errors):
        # five digits of the largest standard error, two of the smallest
        size = np.floor(np.log10([errors.max(), errors.min()]))
        decimals = int(np.clip(max(4 - size[0], 1 - size[1]), 0, 12))
    out = pd.DataFrame(index=table.index)
    letter = "t" if "df" in table else "z"
    for name in map(str, table):
        header = _HEADERS[name].format(letter)
        if name in ("estimate", "se"):
            out[header] = [f"{v:.{decimals}f}" for v in table[name]]
        elif name == "df":
            out[header] = [f"{v:.1f}" for v in table[name]]
        elif name == "statistic":
            out[header] = [f"{v:.3f}" for v in table[name]]
        else:
            out[header] = [pvalue_text(v) for v in table[name]]
    return out


def _html(fit: FittedGLMM, tables: dict[str, pd.DataFrame], notes: list[str]) -> str:
    heading = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _heading(fit))
    statistics = _statistics(fit)
    names = "".join(f"<th>{escape(name)}</th>" for name in statistics)
    values = "".join(f"<td>{escape(value)}</td>" for value in statistics.values())
    parts = [f"<table>{heading}</table>", f"<table><tr>{names}</tr><tr>{values}</tr></table>"]
    for title, table in tables.items():
        if title == _RANDOM_TITLE:
            shown = table.to_html(index=False, na_rep="", border=0, float_format=lambda v: f"{v:.4g}")
        else:
            shown = _printed(table).to_html(border=0)
        parts.append(f"<h4>{escape(title)}</h4>{shown}")
    parts += [f"<p>{escape(line)}</p>" for line in [_sizes(fit), *notes, *fit.verdict]]
    return "<div>" + "\n".join(parts) + "</div>"
