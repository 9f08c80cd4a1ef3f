"""What the formula layer hands to the fitter: dense designs and integer group codes, never an indicator matrix Z."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from glmmcore.covariance.places import Places
    from glmmcore.formula.transformed import Transformed
    from glmmcore.relationship.base import Relationship

__all__ = ["Design", "PredictorDesign", "RandomTerm", "Response", "coefficient_names"]


def coefficient_names(part: str, column: str) -> tuple[str, ...]:
    """Names by which a coefficient of a part is called where parameters are given."""
    return (column, f"cond: {column}") if part == "cond" else (f"{part}: {column}",)


@dataclass(frozen=True, slots=True, eq=False)
class RandomTerm:
    """One bar ``(left | group)`` of one predictor: row i carries ``Z[i] @ b[codes[i]]``.

    Attributes
    ----------
    group : str
        Name of the grouping factor as printed, such as ``"g"`` or ``"a:b"``.
    columns : tuple of str
        Names of the k left-hand columns.
    Z : ndarray, shape (n, k)
        Left-hand side, float64, C order.
    codes : ndarray of int32, shape (n,)
        Level of each row; -1 for a level not seen in the fit (new data only).
    levels : pandas.Index, shape (L,)
        Labels, in the order of the codes.
    structure : str
        Covariance structure of one level's k coefficients, a key of `glmmcore.covariance.STRUCTURES`, or, with
        `places`, of all levels, a key of `glmmcore.covariance.FIELDS`.
    relationship : Relationship or None
        How the levels covary, None for independent ones; `levels` then are all of its labels, observed or not.
    places : Places or None
        Where the levels stand, if they covary by distance; k is one, and `levels` are group and coordinates.
    place_codes : ndarray of int64, shape (n,), or None
        As `codes`, and for rows in groups that the fit has not seen as well, whose places stand after all others.
    """

    group: str
    columns: tuple[str, ...]
    Z: np.ndarray
    codes: np.ndarray
    levels: pd.Index
    structure: str = "us"
    relationship: Relationship | None = None
    places: Places | None = None
    place_codes: np.ndarray | None = None

    @property
    def key(self) -> str:
        """Name of the grouping factor; of places, which share one with no other term, that of the term itself."""
        return self.group if self.places is None else f"{self.columns[0]} | {self.group}"

    def variances(self, codes: np.ndarray) -> np.ndarray:
        """Variance of the levels of some rows relative to that of independent ones, (n,): 1 for these."""
        if self.relationship is None:
            return np.ones(len(codes))
        return np.where(codes < 0, 1.0, self.relationship.variances[np.maximum(codes, 0)])


@dataclass(frozen=True, slots=True, eq=False)
class PredictorDesign:
    """One linear predictor ``offset + X @ beta + sum of random terms``.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Fixed-effects columns of full column rank, float64, C order.
    columns : tuple of str
        Names of the p columns.
    offset : ndarray, shape (n,)
        Known part (sum of all offsets; zeros without one).
    terms : tuple of RandomTerm
        The bars, ``a/b`` and ``||`` already expanded.
    aliased : tuple of str
        Columns that were dropped since they are linear combinations of earlier ones.
    column_terms : tuple of tuple of str
        For each of the p columns the factors of its term, such as ``("f", "x")`` for ``f:x``; none for the intercept.
    outside : ndarray, shape (n, r), or None
        For new rows, how far each is from the relations between columns that hold on the rows of the fit. Where it is
        not zero the predictor cannot be estimated. None where nothing was dropped and for the rows of the fit.
    """

    X: np.ndarray
    columns: tuple[str, ...]
    offset: np.ndarray
    terms: tuple[RandomTerm, ...] = ()
    aliased: tuple[str, ...] = ()
    column_terms: tuple[tuple[str, ...], ...] = ()
    outside: np.ndarray | None = None

    @property
    def estimable(self) -> np.ndarray:
        """Mask (n,) of the rows whose predictor can be estimated."""
        if self.outside is None:
            return np.ones(len(self.X), dtype=bool)
        return np.asarray(~self.outside.any(axis=1))

    def with_columns(self, positions: Sequence[int]) -> PredictorDesign:
        """Return the same with some of the fixed columns only."""
        return replace(
            self,
            X=np.ascontiguousarray(self.X[:, list(positions)]),
            columns=tuple(self.columns[j] for j in positions),
            column_terms=tuple(self.column_terms[j] for j in positions),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """The left-hand side.

    Attributes
    ----------
    name : str
        As written in the formula.
    y : ndarray, shape (n,)
        Values, counts, or numbers of successes when `trials` is given.
    trials : ndarray of shape (n,) or None
        Numbers of trials; None when the response is not k of n.
    levels : tuple or None
        For a two-level categorical response its labels (failure, success).
    transformed : Transformed or None
        Of a response such as ``log(y)``, the function and the variable.
    proportions : bool
        Whether numbers of successes were given as proportions.
    """

    name: str
    y: np.ndarray
    trials: np.ndarray | None = None
    levels: tuple[object, ...] | None = None
    transformed: Transformed | None = None
    proportions: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Everything a fit needs to know about the data, complete rows only, in the order of the data frame.

    Attributes
    ----------
    formula : str
        The conditional model's formula as the user wrote it.
    response : Response
    predictors : dict of str to PredictorDesign
        ``"cond"`` always; ``"zi"`` and ``"disp"`` when their formulas were given.
    frame : pandas.DataFrame
        The complete rows of the columns used, with the user's row labels.
    n_missing : int
        Rows left out because something was missing.
    complete : ndarray of bool, shape (n + n_missing,), or None
        Which rows of the user's data these are; None when none was left out.
    freq_weights, var_weights : ndarray of shape (n,) or None
    formulas : dict of str to str
        What the user wrote for ``"zi"`` and ``"disp"``; ``"offset"``, ``"trials"``, ``"var_weights"``: the arguments of
        these names, the latter two if they are columns.
    fixed : mapping of str to float
        Parameters that are given instead of estimated, by the names of tables; see `glmmcore.estimation.held`.
    encode : callable
        ``encode(newdata) -> (dict of PredictorDesign, keep)``: the same columns, transforms and level sets for
        new rows; `keep` is a boolean mask of the rows that are complete.
    """

    formula: str
    response: Response
    predictors: dict[str, PredictorDesign]
    frame: pd.DataFrame
    n_missing: int = 0
    complete: np.ndarray | None = None
    freq_weights: np.ndarray | None = None
    var_weights: np.ndarray | None = None
    formulas: dict[str, str] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    encode: Callable[[pd.DataFrame], tuple[dict[str, PredictorDesign], np.ndarray]] | None = None

    @property
    def has_one_dispersion(self) -> bool:
        """Whether the dispersion, if the family has one, is a parameter that all rows share."""
        part = self.predictors.get("disp")
        return part is None or (part.X.shape[1] == 1 and bool(np.all(part.X == 1.0)) and not np.any(part.offset))

    def with_predictors(self, predictors: dict[str, PredictorDesign], **changes: Any) -> Design:
        """The same with other predictors, without values of `fixed` for columns that are no longer there."""
        gone = {
            key
            for name, part in self.predictors.items()
            for column in set(part.columns) - set(predictors[name].columns)
            for key in coefficient_names(name, column)
        }
        fixed = {key: value for key, value in self.fixed.items() if key not in gone}
        return replace(self, predictors=predictors, fixed=fixed, **changes)

    def without_terms(self) -> Design:
        """The same without random effects."""
        return self.with_predictors({name: replace(part, terms=()) for name, part in self.predictors.items()})

    @property
    def nobs(self) -> int:
        """Number of complete rows."""
        return len(self.response.y)
