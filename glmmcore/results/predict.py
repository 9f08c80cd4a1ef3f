"""Predictions for the rows of the fit or for new ones, with standard errors and intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import names_of, per_trial, require_flag, require_level, require_word
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.families.links import LINKS, Link
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.results.estimability import not_estimable
from glmmcore.results.new_places import at_new_places, n_new_places
from glmmcore.results.new_responses import known_trials, trials_of_rows, weights_of_rows
from glmmcore.results.prediction_intervals import NewRows, new_response_limits
from glmmcore.results.quantities import RowQuantity, limits_on_scale
from glmmcore.results.row_designs import designs_of_rows
from glmmcore.results.t_distribution import t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["predict"]

_KINDS = ("response", "link", "conditional", "zprob", "disp")
_EFFECTS = ("conditional", "none", "average")
_POLICIES = ("error", "zero")
_INTERVALS = ("confidence", "prediction")
# New places of a dense field that are predicted together.
_PLACES_AT_ONCE = 250
# Linear predictor with log link up to which no family cuts its mean off.
_LARGEST_LOG = 690.0


def predict(
    fit: FittedGLMM,
    newdata: Any = None,
    *,
    kind: str = "response",
    random_effects: str | Iterable[str] = "conditional",
    se: bool = False,
    level: float | None = None,
    interval: str = "confidence",
    trials: str | ArrayLike | None = None,
    var_weights: str | ArrayLike | None = None,
    new_levels: str = "error",
    precision: Callable[[FittedGLMM], Any],
) -> pd.Series | pd.DataFrame:
    """See `FittedGLMM.predict`; ``precision(fit)`` gives variances and df of combinations of estimates."""
    of_response = interval == "prediction"
    frame = None if newdata is None else as_frame(newdata, "the new data")
    require_flag(se, "predict: se")
    effects = _check_groups(fit, random_effects)
    _check(fit, kind, effects, level, new_levels)
    _check_interval(fit, kind, interval, {"trials": trials, "var_weights": var_weights}, frame)
    # the average of a linear function of the random effects is its value at zero
    at_zero = effects == "average" and (kind == "link" or fit.estimator.linear)
    if kind == "disp" or (at_zero and not of_response):
        effects = "none"
    predictors, keep, index = designs_of_rows(fit, frame, effects)
    if effects not in ("none", "average"):
        if (se or level is not None) and n_new_places(predictors) > _PLACES_AT_ONCE:
            options = {"kind": kind, "random_effects": effects, "se": se, "level": level, "interval": interval}
            of_rows = {"trials": trials, "var_weights": var_weights}
            assert frame is not None  # places of the fit are no new ones
            return _in_pieces(fit, frame, of_rows, options | {"new_levels": new_levels, "precision": precision})
        fit = at_new_places(fit, predictors)
    labels = index[keep]
    quantity = RowQuantity(fit, kind, predictors, labels, "none" if at_zero else effects, new_levels)
    if kind in ("response", "conditional"):
        _require_range(fit, quantity.values["cond"], labels)
    unknown, dropped = quantity.unknown()
    if unknown.any():
        warn_of_data(not_estimable("predict", "row", [repr(v) for v in labels[unknown].tolist()], dropped))
    estimate = np.where(unknown, np.nan, quantity.estimate)
    if not se and level is None:
        return _with_missing_rows(pd.Series(estimate, index=index[keep], name=kind), keep, index)
    combination, precise = quantity.combination(), precision(fit)
    ends: tuple[np.ndarray, ...] = ()
    if level is not None and of_response:
        trials_of_new, weights = fit.trials, fit.design.var_weights
        if frame is not None:
            trials_of_new = trials_of_rows(fit, frame, keep, trials, "predict")
            weights = weights_of_rows(fit, frame, var_weights, "predict")
            weights = None if weights is None else weights[keep]
        rows = NewRows(predictors, labels, effects, new_levels, trials_of_new, weights)
        lower, upper, variance = new_response_limits(fit, rows, level, precise, combination)
        ends = per_trial(lower, trials_of_new), per_trial(upper, trials_of_new)
    else:
        variance = precise.variance(combination) if len(labels) else np.zeros(0)
    error = np.sqrt(variance)
    error[unknown] = np.nan
    if level is not None and not of_response:
        half = t_quantile(precise.df(combination), 0.5 + 0.5 * level)
        ends = limits_on_scale(estimate, error, _scale(fit, kind), half)
    columns = {"estimate": estimate, "se": error} | dict(zip(("lower", "upper"), ends, strict=False))
    return _with_missing_rows(pd.DataFrame(columns, index=index[keep]), keep, index)


def _in_pieces(fit: FittedGLMM, frame: pd.DataFrame, of_rows: dict[str, Any], options: dict[str, Any]) -> pd.DataFrame:
    """Predict some rows at a time: the cost is the cube of the places of the fit and of the rows.

    Of the arguments `of_rows` each piece gets its part.
    """
    pieces = []
    for low in range(0, len(frame), _PLACES_AT_ONCE):
        at = slice(low, low + _PLACES_AT_ONCE)
        own: dict[str, Any] = {
            name: given if given is None or isinstance(given, str) else np.broadcast_to(given, (len(frame),))[at]
            for name, given in of_rows.items()
        }
        pieces.append(predict(fit, frame.iloc[at], **own, **options))
    return pd.concat(pieces)


def _check_groups(fit: FittedGLMM, random_effects: Any) -> str | Collection[str]:
    """The word for the random effects as given, or the groups whose effects are at their modes, which must exist."""
    if isinstance(random_effects, str):
        return random_effects
    if not isinstance(random_effects, Iterable):
        raise ModelError(
            f"predict: random_effects must be one of {', '.join(map(repr, _EFFECTS))} or names of groups, not "
            f"{random_effects!r}"
        )
    groups, known = (
        tuple(names_of(random_effects, "predict: random_effects")),
        sorted({t.term.group for t in fit.solution.terms}),
    )
    strange = [group for group in groups if group not in known]
    if strange:
        raise ModelError(
            f"predict: random_effects: no group {', '.join(map(repr, strange))}; the model has "
            f"{', '.join(map(repr, known)) or 'none'}"
        )
    return groups if groups else "none"


def _check_interval(
    fit: FittedGLMM, kind: str, interval: str, of_rows: dict[str, Any], frame: pd.DataFrame | None
) -> None:
    require_word(interval, "predict: interval", _INTERVALS)
    given = [name for name, value in of_rows.items() if value is not None]
    if interval == "confidence":
        if given:
            more = "; means of k of n are per trial" if given[0] == "trials" else ""
            raise ModelError(f"predict: {given[0]}= is for interval='prediction'{more}")
        return
    if kind != "response":
        raise ModelError(f"predict: interval='prediction' is about new responses, kind='response', not {kind!r}")
    if given and frame is None:
        raise ModelError(f"predict: {given[0]}= is for new data; the rows of the fit have theirs")
    if fit.trials is None or frame is None:
        return
    if known_trials(fit, frame, of_rows["trials"]) is None:
        raise ModelError(
            "predict: interval='prediction' of k of n needs the numbers of trials of the new rows: trials=, a column "
            "of the new data or an array"
        )


def _check(
    fit: FittedGLMM, kind: str, random_effects: str | Collection[str], level: float | None, new_levels: str
) -> None:
    choices = (
        ("kind", kind, _KINDS),
        ("random_effects", random_effects, _EFFECTS),
        ("new_levels", new_levels, _POLICIES),
    )
    for name, value, allowed in choices:
        named = name == "random_effects" and not isinstance(value, str)  # groups, which have been looked up
        if not named:
            require_word(value, f"predict: {name}", allowed)
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
            f"predict: the linear predictor of {row_name(labels, at)} is {eta[at]:.4g}, its mean exceeds double "
            "precision; predict kind='link'"
        )


def _with_missing_rows(table: Any, keep: np.ndarray, index: pd.Index) -> Any:
    """A table of the complete rows as one of all rows, NaN where a row was not complete."""
    if keep.all():
        return table
    if isinstance(table, pd.Series):
        values = np.full(len(index), np.nan)
        values[keep] = table.to_numpy()
        return pd.Series(values, index=index, name=table.name)
    return pd.DataFrame({name: _with_missing_rows(table[name], keep, index) for name in table}, index=index)


def _scale(fit: FittedGLMM, kind: str) -> Link:
    """Scale on which the estimate is closest to normal and the interval stays in range."""
    return LINKS[{"link": "identity", "zprob": "logit", "disp": "log"}.get(kind, fit.family.link.name)]
