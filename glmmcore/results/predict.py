"""Predictions for the rows of the fit or for new ones, with standard errors and intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import require_level
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.families.links import LINKS, Link
from glmmcore.formula.frame import as_frame
from glmmcore.results.estimability import not_estimable
from glmmcore.results.new_places import at_new_places, n_new_places
from glmmcore.results.quantities import RowQuantity, designs_of_rows, limits_on_scale

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["predict"]

_KINDS = ("response", "link", "conditional", "zprob", "disp")
_EFFECTS = ("conditional", "none", "average")
_POLICIES = ("error", "zero")
# New places of a dense field that are predicted together.
_PLACES_AT_ONCE = 250
# Linear predictors with log link up to here have a mean that is computed as it is.
_LARGEST_LOG = 690.0


def predict(
    fit: FittedGLMM,
    newdata: Any = None,
    *,
    kind: str = "response",
    random_effects: str = "conditional",
    se: bool = False,
    level: float | None = None,
    new_levels: str = "error",
    precision: Callable[[FittedGLMM], Any],
) -> pd.Series | pd.DataFrame:
    """See `FittedGLMM.predict`; `precision` gives ``variance`` and ``df`` of combinations of estimates."""
    _check(fit, kind, random_effects, level, new_levels)
    # the average of a linear function of the random effects is its value at zero
    if kind == "disp" or (random_effects == "average" and (kind == "link" or fit.estimator.linear)):
        random_effects = "none"
    predictors, keep, index = designs_of_rows(fit, newdata, random_effects)
    if random_effects == "conditional":
        if (se or level is not None) and n_new_places(predictors) > _PLACES_AT_ONCE:
            options = {"kind": kind, "se": se, "level": level, "new_levels": new_levels, "precision": precision}
            return _in_pieces(fit, newdata, options)
        fit = at_new_places(fit, predictors)
    labels = index[keep]
    rows = RowQuantity(fit, kind, predictors, labels, random_effects, new_levels)
    if kind in ("response", "conditional"):
        _require_range(fit, rows.values["cond"], labels)
    unknown, dropped = rows.unknown()
    if unknown.any():
        warn_of_data(not_estimable("predict", "row", [repr(v) for v in labels[unknown].tolist()], dropped))
    estimate = np.where(unknown, np.nan, rows.estimate)
    if not se and level is None:
        return _in_place(pd.Series(estimate, index=index[keep], name=kind), keep, index)
    combination, precise = rows.combination(), precision(fit)
    error = np.sqrt(precise.variance(combination)) if len(labels) else np.zeros(0)
    error[unknown] = np.nan
    columns = {"estimate": estimate, "se": error}
    if level is not None:
        df = precise.df(combination)
        half = np.where(np.isinf(df), special.ndtri(0.5 + 0.5 * level), special.stdtrit(df, 0.5 + 0.5 * level))
        columns["lower"], columns["upper"] = limits_on_scale(estimate, error, _scale(fit, kind), half)
    return _in_place(pd.DataFrame(columns, index=index[keep]), keep, index)


def _in_pieces(fit: FittedGLMM, newdata: Any, options: dict[str, Any]) -> pd.DataFrame:
    """Predict some rows at a time: the cost is the cube of the places of the fit and of the rows."""
    frame = as_frame(newdata, "the new data")
    pieces = [frame.iloc[lo : lo + _PLACES_AT_ONCE] for lo in range(0, len(frame), _PLACES_AT_ONCE)]
    return pd.concat([predict(fit, piece, **options) for piece in pieces])


def _check(fit: FittedGLMM, kind: str, random_effects: str, level: float | None, new_levels: str) -> None:
    choices = (
        ("kind", kind, _KINDS),
        ("random_effects", random_effects, _EFFECTS),
        ("new_levels", new_levels, _POLICIES),
    )
    for name, value, allowed in choices:
        if value not in allowed:
            raise ModelError(f"predict: {name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    if level is not None:
        require_level(level, "level")
    if kind == "zprob" and "zi" not in fit.design.predictors:
        raise ModelError("predict: kind='zprob' needs a model with zi=")
    if kind == "disp" and not fit.family.has_dispersion:
        raise ModelError(f"predict: family '{fit.family.name}' has no dispersion parameter")


def _require_range(fit: FittedGLMM, eta: np.ndarray, labels: pd.Index) -> None:
    """Refuse means beyond double precision, which families cut off."""
    if fit.family.link.name == "log" and len(eta) and not eta.max() < _LARGEST_LOG:
        at = int(np.argmax(eta))
        raise ModelError(
            f"predict: the linear predictor of row {labels[at]!r} is {eta[at]:.4g}, its mean exceeds double precision; "
            "predict kind='link'"
        )


def _in_place(table: Any, keep: np.ndarray, index: pd.Index) -> Any:
    """Put NaN where a row was not complete."""
    if keep.all():
        return table
    if isinstance(table, pd.Series):
        values = np.full(len(index), np.nan)
        values[keep] = table.to_numpy()
        return pd.Series(values, index=index, name=table.name)
    return pd.DataFrame({name: _in_place(table[name], keep, index) for name in table}, index=index)


def _scale(fit: FittedGLMM, kind: str) -> Link:
    """Scale on which the estimate is closest to normal and the interval stays in range."""
    return LINKS[{"link": "identity", "zprob": "logit", "disp": "log"}.get(kind, fit.family.link.name)]
