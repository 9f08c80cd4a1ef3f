"""What figures of means and effects of a fitted model share: its columns and response, intervals, labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import per_trial
from simresid.checks.inputs import is_simulated
from simresid.plots.style import minus_signs, shorten

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd
    from matplotlib.axes import Axes

    from glmmcore import FittedGLMM

__all__ = [
    "check_options",
    "draw_intervals",
    "is_number",
    "observed_values",
    "outside_note",
    "require_fit",
    "scale_label",
    "view",
]

OPTIONS = ("component", "at", "weights", "random_effects", "df", "cov")
"""Arguments of `glmmcore.marginal_means` that are handed on."""


_FLAT, _OUTER = 3.0, 0.02
"""Where observed values reach further than this many times the means, this share at either end is left out."""


def require_fit(model: Any, caller: str) -> FittedGLMM:
    """Give the fit, that of residuals if these are given; the numbers are asked of `glmmcore`."""
    from glmmcore import FittedGLMM

    model = model.model if is_simulated(model) else model
    if not isinstance(model, FittedGLMM):
        raise TypeError(f"{caller} takes a model fitted by glmmcore.glmm, not {type(model).__name__}")
    return model


def check_options(options: dict[str, Any], caller: str) -> None:
    """Refuse keywords that are not handed on."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"{caller}() got an unexpected argument {name!r}; handed on are {', '.join(OPTIONS)}")


def is_number(fit: FittedGLMM, name: str) -> bool:
    """Whether a column enters the formula as a number."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    encode: Any = fit.design.encode
    if name not in fit.data or name in encode.factors:
        return False
    return is_numeric_dtype(fit.data[name]) and not is_bool_dtype(fit.data[name])


def observed_values(fit: FittedGLMM, options: dict[str, Any], kind: str) -> Any:
    """Response as the means count it, per trial ``(n,)``; None where they are on another scale than the data."""
    if kind != "response" or options.get("component") is not None:
        return None
    y = np.asarray(fit.observed, dtype=float)
    way = _way_back(fit, options, kind)
    if way is not None:
        return way.original(y)
    return per_trial(y, fit.trials)


def _way_back(fit: FittedGLMM, options: dict[str, Any], kind: str) -> Any:
    """Way from the response of the model to y where means are of y and the response is log(y) or the like."""
    is_whole = kind == "response" and options.get("component") is None
    return fit.design.response.transformed if is_whole and fit.family.link.name == "identity" else None


def scale_label(fit: FittedGLMM, options: dict[str, Any], kind: str, varying: Collection[Any] = ()) -> str:
    """Name what is drawn, and on further lines what exposures and random effects are where the mean depends on them.

    Columns in `varying` have values of their own along the figure.
    """
    response = fit.design.response
    component = options.get("component")
    name = shorten(str(response.levels[1]) if response.levels else response.name, 30)
    if component == "zi":
        label = "Probability of a structural zero" if kind == "response" else "Structural zero, logit scale"
    elif kind == "link" and fit.family.link.name != "identity":
        label = f"{name}, {fit.family.link.name} scale"
    elif fit.family.takes_trials:
        k_of_n = re.match(r"cbind\(\s*(.+?)\s*,", response.name)
        label = f"Probability of {shorten(k_of_n[1], 30) if k_of_n else name}"
    elif (way := _way_back(fit, options, kind)) is not None:
        inner = shorten(way.inner, 30)
        averaged = options.get("random_effects", "none") == "average"
        return f"Mean of {inner}" if averaged else f"Median of {inner}\nmapped back from {name}"
    else:
        label = f"Mean of {name}"
    label += ", conditional part" if component == "conditional" else ""
    if component != "zi":
        label += _exposures(fit, dict(options.get("at") or {}), varying)
    has_random = any(design.terms for design in fit.design.predictors.values())
    is_linear = fit.family.link.name == "identity" and "zi" not in fit.design.predictors
    if not has_random or kind == "link" or is_linear:
        return label
    averaged = options.get("random_effects", "none") == "average"
    return f"{label}\n{'averaged over random effects' if averaged else 'random effects at zero'}"


def _exposures(fit: FittedGLMM, at: dict[Any, Any], varying: Collection[Any]) -> str:
    """Values of the columns in an offset, in a line of their own."""
    encode: Any = fit.design.encode
    names = dict.fromkeys(name for addend in encode.offsets for name in addend.names if is_number(fit, name))
    values = {name: at.get(name, fit.data[name].astype(float).mean()) for name in names if name not in varying}
    single = {name: np.asarray(value, dtype=float).item() for name, value in values.items() if np.size(value) == 1}
    said = [f"{shorten(str(name), 20)} = {value:.4g}" for name, value in single.items()]
    return minus_signs(f"\n{', '.join(said)}") if said else ""


def view(table: pd.DataFrame, values: Any, above: float = 0.0) -> tuple[float, float]:
    """Limits of an axis that show all means and intervals, with a share of the length left free above them.

    They show the observed values as well, but for the outer ones where these would press the means flat.
    """
    finite = np.concatenate([table[name].to_numpy(dtype=float) for name in ("estimate", "lower", "upper")])
    finite = finite[np.isfinite(finite)]
    shown = finite if finite.size or values is None else np.asarray(values, dtype=float)
    if not shown.size:
        return 0.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    if values is not None:
        ends = np.quantile(values, [0.0, 1.0])
        if max(ends[1], high) - min(ends[0], low) > _FLAT * (high - low):
            ends = np.quantile(values, [_OUTER, 1.0 - _OUTER])
        low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    length = (high - low) or abs(high) or 1.0
    return low - 0.05 * length, high + (0.05 + 1.1 * above) * length


def outside_note(values: Any, limits: tuple[float, float]) -> str:
    """A line that says how many observed values are not in view; empty if all are."""
    lost = 0 if values is None else int(np.sum((values < limits[0]) | (values > limits[1])))
    return f"\n{lost} of {len(values)} rows lie outside the view" if lost else ""


def draw_intervals(ax: Axes, place: Any, table: pd.DataFrame, upright: bool, look: dict[str, Any]) -> None:
    """Draw means with their intervals on Axes whose limits are set; an end at infinity is an arrow out of the view."""
    low_view, high_view = ax.get_ylim() if upright else ax.get_xlim()
    estimate, lower, upper = (table[name].to_numpy(dtype=float) for name in ("estimate", "lower", "upper"))
    known = np.isfinite(estimate)
    below, above = np.maximum(lower, low_view)[known], np.minimum(upper, high_view)[known]
    at, mean = np.asarray(place, dtype=float)[known], estimate[known]
    reach: Any = {("y" if upright else "x") + "err": [np.maximum(mean - below, 0.0), np.maximum(above - mean, 0.0)]}
    x, y = (at, mean) if upright else (mean, at)
    ax.errorbar(x, y, **reach, linestyle="none", capsize=3.5, elinewidth=1.5,
                capthick=1.5, markersize=6, zorder=3, **look)  # fmt: skip
    for ends, edge, marker in ((lower, low_view, "v" if upright else "<"), (upper, high_view, "^" if upright else ">")):
        lost = at[~np.isfinite(ends[known])]
        if lost.size:
            where = (lost, np.full(lost.size, edge))
            ax.plot(*(where if upright else where[::-1]), linestyle="none", marker=marker, color=look.get("color"),
                    markersize=6, clip_on=False, zorder=3)  # fmt: skip
    for missing in np.asarray(place, dtype=float)[~known]:
        spot, coordinates = ((missing, 0.02), ("data", "axes fraction"))
        if not upright:
            spot, coordinates = spot[::-1], coordinates[::-1]
        ax.annotate("not estimable", spot, xycoords=coordinates, rotation=90 if upright else 0, fontsize="small",
                    ha="center" if upright else "left", va="bottom" if upright else "center")  # fmt: skip
