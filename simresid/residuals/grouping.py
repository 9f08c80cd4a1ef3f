"""Residuals of sums, means or other aggregates of observations, and of subsets of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore._jit import kernel
from simresid.residuals.rotation import Whiten, whitening
from simresid.residuals.rows import Rows
from simresid.simulations.sources import mapped

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.simulated_residuals import SimulatedResiduals


__all__ = ["recalculate"]

MOST_ROWS_TO_COMPARE = 200_000
"""Columns of more rows are not searched for groups that are numbered anew."""


def recalculate(
    residuals: SimulatedResiduals,
    group: Any = None,
    select: Any = None,
    aggregate: str | Callable[..., Any] = "sum",
    rotation: Any = None,
) -> SimulatedResiduals:
    """Residuals of aggregated or selected observations.

    Observation and simulations are aggregated alike and ranked anew, so that a misfit that is invisible row
    by row (0/1 data) or shared within a group shows up. A selection without grouping keeps the residuals as
    they are.

    Parameters
    ----------
    residuals : SimulatedResiduals
        Grouped ones are aggregated further.
    group : str or array-like (n,), optional
        Group of each row: column of the data (or several: ``["batch", "cask"]``), Series or array, before `select` is
        applied.
    select : str or array-like, optional
        Rows to use: boolean ``(n,)`` (column, Series or array) or distinct positions.
    aggregate : {"sum", "mean"} or callable
        A callable reduces the last axis of an array like ``numpy.median`` (``axis=-1``), or a vector to a
        number.
    rotation : ndarray (n_groups, n_groups), optional
        Covariance of the aggregates to take out before ranking. By default that of the rows is carried over,
        if they have one and the aggregate is linear.

    Returns
    -------
    SimulatedResiduals
        One residual per group; `index` holds the labels, sorted where they can be (categories in their own
        order).

    Raises
    ------
    ValueError
        For missing labels, repeated positions, lengths that differ, or fewer than two groups.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 6)), rng.poisson(3, size=6))
    >>> grouped = res.recalculate(group=["b", "b", "a", "a", "c", "c"])
    >>> list(grouped.index), grouped.n_obs
    (['a', 'b', 'c'], 3)
    """
    if group is None and select is None:
        if rotation is not None:
            raise ValueError("rotation goes with group=; pass it to simulate_residuals for ungrouped residuals")
        return residuals
    if group is not None and residuals.method == "one-step":
        raise ValueError(
            "residuals of method='one-step' belong to rows in their order, groups have none; use another method"
        )
    labels = None if group is None else residuals.align(group, "group")
    if select is not None:
        positions = _positions(residuals, select)
        residuals = _subset(residuals, positions)
        labels = None if labels is None else labels.iloc[positions]
    return residuals if labels is None else _grouped(residuals, labels, aggregate, rotation)


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each row belongs to, and how a group's values become one.

    Attributes
    ----------
    codes : ndarray of int32 (n,)
    sizes : ndarray (n_groups,)
    aggregate : {"sum", "mean"} or callable
    """

    codes: NDArray[np.int32]
    sizes: FloatArray
    aggregate: str | Callable[..., Any]

    @property
    def is_linear(self) -> bool:
        """Whether the mean of the aggregate is the aggregate of the means."""
        return isinstance(self.aggregate, str)

    def __call__(self, chunk: int, block: FloatArray) -> FloatArray:
        """Aggregate ``(b, n)`` to ``(b, n_groups)``."""
        if callable(self.aggregate):
            return self._reduce(block, self.aggregate)
        out = np.zeros((block.shape[0], self.sizes.size))
        add_groups(np.require(block, np.float64, ["C", "W"]), self.codes, out)
        return out if self.aggregate == "sum" else out / self.sizes

    def vector(self, values: FloatArray) -> FloatArray:
        """Aggregate one vector ``(n,)`` to ``(n_groups,)``."""
        return self(0, values[None, :])[0]

    def variance(self, values: FloatArray) -> FloatArray:
        """Variance of a sum or mean of independent values with variances ``(n,)``."""
        total = replace(self, aggregate="sum").vector(values)
        return total if self.aggregate == "sum" else total / self.sizes**2

    def _reduce(self, block: FloatArray, function: Callable[..., Any]) -> FloatArray:
        order = np.argsort(self.codes, kind="stable")
        edges = np.concatenate([[0], np.cumsum(self.sizes.astype(np.int64))])
        out = np.empty((block.shape[0], self.sizes.size))
        for g in range(self.sizes.size):
            members = block[:, order[edges[g] : edges[g + 1]]]
            reduced = _reduce_last(function, members)
            if np.shape(reduced) not in ((), (len(block),)) or np.asarray(reduced).dtype.kind not in "biuf":
                raise ValueError(f"aggregate= must return one number per vector, it gave {reduced!r:.80}")
            out[:, g] = reduced
        return out


def _reduce_last(function: Callable[..., Any], members: FloatArray) -> Any:
    try:
        return function(members, axis=-1)
    except TypeError:  # takes a vector only
        return [function(row) for row in members]


@kernel
def add_groups(block, codes, out):  # type: ignore[no-untyped-def]
    """Add every value of ``block[r]`` to its group's place in ``out[r]``."""
    for r in range(block.shape[0]):
        for i in range(codes.size):
            out[r, codes[i]] += block[r, i]


@dataclass(frozen=True, eq=False)
class _Take:
    positions: NDArray[np.intp]

    def __call__(self, chunk: int, block: FloatArray) -> FloatArray:
        return block[:, self.positions]


@dataclass(frozen=True, eq=False)
class _TakeRows:
    """A column at some rows."""

    positions: NDArray[np.intp]

    def __call__(self, values: pd.Series) -> pd.Series:
        return values.iloc[self.positions]


@dataclass(frozen=True, eq=False)
class _GroupMeans:
    """Means of a column over groups, or the value that all rows of a group share."""

    codes: NDArray[np.int32]
    index: pd.Index

    def __call__(self, values: pd.Series) -> pd.Series:
        groups = values.groupby(self.codes)
        if values.dtype.kind in "iuf":
            return groups.mean().set_axis(self.index)
        if (groups.nunique(dropna=False) > 1).any():
            raise KeyError(f"{values.name!r} differs within groups, and has no mean")
        return groups.first().set_axis(self.index)


def _positions(residuals: SimulatedResiduals, select: Any) -> NDArray[np.intp]:
    import pandas as pd

    n = residuals.n_obs
    if isinstance(select, str | pd.Series):
        values = np.asarray(residuals.align(select, "select"))
        if values.dtype != bool:
            raise ValueError(f"select must be boolean when it is a column or Series, got dtype {values.dtype}")
    else:
        try:
            values = np.asarray(select)
        except ValueError:
            raise ValueError("select must be boolean or whole positions, not items of different lengths") from None
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"select must be a non-empty vector, got shape {values.shape}")
    if values.dtype == bool:
        if values.size != n:
            raise ValueError(f"select has {values.size} values but there are {n} residuals")
        return np.flatnonzero(values)
    if values.dtype.kind not in "iu":
        raise ValueError(f"select must be boolean or whole positions, got dtype {values.dtype}")
    outside = values[(values < 0) | (values >= n)]
    if outside.size:
        raise ValueError(f"select holds position(s) {outside[:5].tolist()} outside 0..{n - 1}")
    unique, counts = np.unique(values, return_counts=True)
    if unique.size != values.size:
        raise ValueError(f"select holds position(s) {unique[counts > 1][:5].tolist()} more than once")
    return values.astype(np.intp)


def _places(positions: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Place of each of `n` entries among the selected ones, -1 for the others."""
    places = np.full(n, -1, dtype=np.intp)
    places[positions] = np.arange(positions.size)
    return places


def _followed(residuals: SimulatedResiduals, new: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """Membership of the model's rows once entries have moved to `new`, -1 for those left out."""
    membership = residuals.rows.membership
    if membership is None:
        return None if residuals.is_grouped else new
    return np.where(membership >= 0, new[membership], -1)


def _subset(residuals: SimulatedResiduals, positions: NDArray[np.intp]) -> SimulatedResiduals:
    if positions.size < 2:
        raise ValueError(f"select leaves {positions.size} observation(s); at least 2 are needed")

    def take(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else values[positions]

    rows = residuals.rows
    return residuals.derive(
        Rows(
            observed=rows.observed[positions],
            index=rows.index[positions],
            fitted=take(rows.fitted),
            expected=take(rows.expected),
            variance=take(rows.variance),
            trials=take(rows.trials),
            columns=rows.columns.then(_TakeRows(positions), None if rows.data is None else rows.data.iloc[positions]),
            membership=_followed(residuals, _places(positions, residuals.n_obs)),
        ),
        mapped(residuals.simulations, _Take(positions), positions.size),
        residuals=residuals.residuals[positions],
        whiten=_covariance_of(residuals.whiten, np.eye(residuals.n_obs)[positions]),
        refits=None if residuals.refits is None else residuals.refits.mapped(_Take(positions)),
        discrete=residuals.declared_discrete,
        is_grouped=residuals.is_grouped,
        recipe=_then(residuals.recipe, _Selection(positions)),
    )


def _grouped(
    residuals: SimulatedResiduals, labels: pd.Series, aggregate: str | Callable[..., Any], rotation: Any
) -> SimulatedResiduals:
    import pandas as pd

    if not callable(aggregate) and (not isinstance(aggregate, str) or aggregate not in ("sum", "mean")):
        raise ValueError(f"aggregate={aggregate!r}; use 'sum', 'mean' or a function")
    if residuals.method == "traditional" and residuals.jitter and aggregate != "sum":
        raise ValueError("method='traditional' breaks ties between counts: aggregate='sum', or use method='rank'")
    codes, uniques = _factorize(labels)
    index = pd.Index(uniques, name=labels.name)
    if len(index) < 2:
        raise ValueError(f"group has {len(index)} level(s) among the selected rows; at least 2 are needed")
    groups = Groups(codes, np.bincount(codes).astype(np.float64), aggregate)
    rows = residuals.rows
    linear = groups.is_linear
    data = None
    if rows.data is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # means beyond double precision are refused where used
            data = rows.data.select_dtypes("number").groupby(codes).mean().set_axis(index)
    whiten = None
    if rotation is not None:
        whiten = whitening(rotation, len(index))
    elif residuals.whiten is not None:
        if not linear:
            raise ValueError("the rotation of these residuals does not carry over to this aggregate; pass rotation=")
        whiten = _covariance_of(residuals.whiten, groups(0, np.eye(residuals.n_obs)).T)
    return residuals.derive(
        Rows(
            observed=groups.vector(rows.observed),
            index=index,
            fitted=groups.vector(rows.fitted) if rows.fitted is not None and linear else None,
            expected=groups.vector(rows.expected) if rows.expected is not None and linear else None,
            variance=groups.variance(rows.variance) if rows.variance is not None and linear else None,
            trials=groups.vector(rows.trials) if rows.trials is not None and aggregate == "sum" else None,
            columns=rows.columns.then(_GroupMeans(codes, index), data),
            membership=_followed(residuals, codes.astype(np.intp)) if linear else None,
            notes=_numbered_anew(residuals, labels),
        ),
        mapped(residuals.simulations, groups, len(index)),
        residuals=None,
        whiten=whiten,
        refits=None if residuals.refits is None else residuals.refits.mapped(groups),
        # Noise of the size of a count would drown means of raw residuals.
        discrete=residuals.declared_discrete if aggregate == "sum" else (None if residuals.refits is None else False),
        is_grouped=True,
        recipe=_then(residuals.recipe, _Grouping(codes, aggregate, rotation)),
    )


@dataclass(frozen=True, eq=False)
class _Selection:
    positions: NDArray[np.intp]

    def __call__(self, residuals: SimulatedResiduals) -> SimulatedResiduals:
        return _subset(residuals, self.positions)


@dataclass(frozen=True, eq=False)
class _Grouping:
    codes: NDArray[np.int32]
    aggregate: str | Callable[..., Any]
    rotation: Any

    def __call__(self, residuals: SimulatedResiduals) -> SimulatedResiduals:
        import pandas as pd

        return _grouped(residuals, pd.Series(self.codes), self.aggregate, self.rotation)


@dataclass(frozen=True, eq=False)
class _Steps:
    """A recipe for residuals and a step after it."""

    recipe: Any
    step: Any

    def __call__(self, model: Any, seed: int) -> SimulatedResiduals:
        return self.step(self.recipe(model, seed))  # type: ignore[no-any-return]


def _then(recipe: Any, step: Any) -> _Steps | None:
    return None if recipe is None else _Steps(recipe, step)


def _factorize(labels: pd.Series) -> tuple[NDArray[np.int32], Any]:
    import pandas as pd

    missing = np.flatnonzero(labels.isna())
    if missing.size:
        raise ValueError(f"group is missing at row position(s) {missing[:10].tolist()}; drop these with select=")
    try:
        codes, uniques = pd.factorize(labels, sort=True)
    except TypeError:  # labels of mixed types have no order
        try:
            codes, uniques = pd.factorize(labels)
        except TypeError:
            raise ValueError(
                f"group holds {labels.iloc[0]!r}, which cannot be the label of a group; use text"
            ) from None
    return codes.astype(np.int32), uniques


def _numbered_anew(residuals: SimulatedResiduals, labels: pd.Series) -> tuple[str, ...]:
    """Say so if groups are numbered from 0 or 1 and every number is used in several levels of a column of texts."""
    numbers = labels.dtype.kind in "iu" and labels.name in residuals.rows.columns and labels.min() in (0, 1)
    if not numbers or residuals.is_grouped or residuals.n_obs > MOST_ROWS_TO_COMPARE:
        return ()
    for name in residuals.rows.columns.names:
        try:
            other = residuals.rows.columns[name]
        except KeyError:
            continue
        if other.dtype.kind in "biufcmM" or other.nunique() > labels.size / 4:
            continue
        if (other.groupby(labels.to_numpy()).nunique() > 1).all():
            return (
                f"the same numbers of {labels.name!r} are used in several levels of {name!r} and their rows were put "
                f"together; if they mean different groups, pass group=[{name!r}, {labels.name!r}]",
            )
    return ()


def _covariance_of(whiten: Whiten | None, linear_map: FloatArray) -> Whiten | None:
    """Whitening of ``linear_map @ y`` given that of `y`."""
    if whiten is None:
        return None
    factor = linear_map @ whiten.factor
    return whitening(factor @ factor.T, linear_map.shape[0])
