"""Rows that the fit has not seen, with their responses, as a model of them: what residuals of held-out data need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from glmmcore.arguments import random_generator, row_values
from glmmcore.errors import ModelError
from glmmcore.formula import build_design
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.results.new_responses import column_of_fit, simulate_new, weights_of_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Response
    from glmmcore.fitted import FittedGLMM

__all__ = ["HeldOut"]


class HeldOut:
    """A fitted model looked at on other rows.

    Attributes
    ----------
    observed : ndarray, shape (n,)
        Responses of the complete rows, counts for k of n.
    fitted : ndarray, shape (n,)
        Their predicted means on the same scale: at the conditional modes where all levels are known, else averaged over
        the random effects.
    nobs : int
    data : DataFrame
        The complete rows.
    trials, var_weights : ndarray, shape (n,), or None
    discrete : bool
    description : str
    """

    def __init__(
        self, fit: FittedGLMM, newdata: Any, trials: str | ArrayLike | None, var_weights: str | ArrayLike | None
    ) -> None:
        self._fit = fit
        frame = as_frame(newdata, "the new data")
        encode: Any = fit.design.encode
        predictors, keep = encode(frame)
        self.data = frame.loc[keep]
        if not keep.any():
            raise ModelError("held_out: no row of the new data is complete")
        trials = column_of_fit(fit, frame, trials, "trials")
        response = _response(fit, self.data, _trials_of_rows(trials, keep, frame.index))
        self.data = self.data.loc[response.present]
        self.observed, self.trials = response.y, response.trials
        self.nobs = len(self.observed)
        kept = np.flatnonzero(keep)[response.present]
        var_weights = column_of_fit(fit, frame, var_weights, "var_weights")
        if var_weights is None and fit.design.var_weights is not None:
            raise ModelError("held_out: give var_weights= of the new rows, as the fit had them")
        weights = weights_of_rows(fit, frame, var_weights, "held_out")
        self.var_weights = None if weights is None else weights[kept]
        unseen = any((t.codes < 0).any() for part in predictors.values() for t in part.terms)
        mean = fit.predict(self.data, random_effects="average" if unseen else "conditional").to_numpy()
        self.fitted = mean if self.trials is None else mean * self.trials
        if not np.isfinite(self.fitted).all():
            label = row_name(self.data.index, int(np.argmin(np.isfinite(self.fitted))))
            raise ModelError(f"held_out: the mean of {label} is not determined by the fit; leave the row out")

    def __repr__(self) -> str:
        return f"<HeldOut {self.nobs} rows of {self.description}>"

    @property
    def discrete(self) -> bool:
        """Whether the response takes whole numbers."""
        return self._fit.discrete

    @property
    def description(self) -> str:
        """Family, link and formula in one line."""
        return f"{self._fit.description}, held-out rows"

    def simulate(
        self, n_sims: int, *, rng: Any = None, random_effects: str | Iterable[str] = "conditional"
    ) -> np.ndarray:
        """Draw responses of these rows, as `FittedGLMM.simulate` with `newdata`.

        Parameters
        ----------
        n_sims : int
            Number of responses to draw.
        rng : numpy.random.Generator or int, optional
        random_effects : {"conditional", "unconditional"} or iterable of str
            Levels that the fit has not seen need a group that is drawn anew.

        Returns
        -------
        ndarray, shape (n_sims, nobs)
        """
        generator = random_generator(rng)
        return simulate_new(self._fit, self.data, n_sims, generator, random_effects, self.trials, self.var_weights)


class _Complete(NamedTuple):
    """Responses of the rows that have one; `present` says which these are."""

    y: np.ndarray
    trials: np.ndarray | None
    present: np.ndarray


def _trials_of_rows(values: Any, keep: np.ndarray, labels: pd.Index) -> Any:
    """Trials of all rows, with these labels, at those that are kept; names of columns stay."""
    if values is None or isinstance(values, str):
        return values
    return row_values(values, "held_out: trials", labels)[keep]


def _response(fit: FittedGLMM, frame: pd.DataFrame, trials: Any) -> _Complete:
    """Left side of the formula at other rows."""
    known = fit.design.response
    if known.levels is not None:
        column = frame[known.name]
        strange = column[~column.isin(known.levels) & column.notna()]
        if len(strange):
            raise ModelError(f"held_out: response '{known.name}' has a level that the fit lacks: {strange.iloc[0]!r}")
        present = column.notna().to_numpy()
        return _Complete((column[present] == known.levels[1]).to_numpy(dtype=float), None, present)
    try:
        design = build_design(f"{parse_formula(fit.formula).left} ~ 1", frame, trials=trials, like=fit.design)
    except KeyError as error:
        raise ModelError(f"held_out: the new data lack the response: {error}") from None
    response: Response = design.response
    if known.trials is not None and response.trials is None:
        raise ModelError("held_out: give trials=, a column of the new data or an array, for a k-of-n response")
    present = np.ones(len(frame), dtype=bool) if design.complete is None else design.complete
    counts = np.ones(len(response.y)) if response.trials is None else response.trials
    fit.family.check_support(response.y, counts, zero_model="zi" in fit.design.predictors)
    return _Complete(response.y, response.trials, present)
