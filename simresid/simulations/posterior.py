"""Shapes in which other software hands over replicated responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.memory import require_memory
from simresid.alignment import real_array

if TYPE_CHECKING:
    from simresid.alignment import FloatArray


__all__ = ["observed_values", "simulation_matrix"]


def simulation_matrix(simulated: Any, n: int, index: Any = None) -> FloatArray:
    """Copy of the simulations as ``(n_sims, n)``.

    Parameters
    ----------
    simulated : array-like, DataFrame, dict, InferenceData or DataTree
        ``(n_sims, n)``, ``(chains, draws, n)`` or a container of one such variable.
    n : int
        Number of observed values.
    index : Index, optional
        Row labels of the observed response, which reveal a transposed DataFrame even if it is square.

    Raises
    ------
    ValueError
        If the shape does not fit, naming both lengths, or the matrix looks transposed.
    """
    simulated = _one_variable(simulated, "posterior_predictive", "simulated")
    labels = getattr(simulated, "index", None)
    columns = getattr(simulated, "columns", None)
    if index is not None and columns is not None and _reordered(columns, index):
        raise ValueError(
            "simulated has the row labels of observed as columns, but in another order; pass "
            "simulated[observed.index], or arrays to go by position"
        )
    array = real_array(simulated, "simulated")
    if array.ndim == 3:  # (chains, draws, n)
        array = array.reshape(-1, array.shape[2])
    if array.ndim != 2:
        raise ValueError(f"simulated must be (n_sims, n) or (chains, draws, n), got shape {array.shape}")
    transposed = array.shape[0] == n and array.shape[1] != n
    if index is not None and labels is not None and array.shape == (n, n):
        transposed = labels.equals(index) and not simulated.columns.equals(index)
    if transposed:
        raise ValueError(
            f"simulated has shape {array.shape} and there are {n} observed values: it looks transposed. "
            "Rows are replicates, columns are observations; pass simulated.T"
        )
    if array.shape[1] != n:
        raise ValueError(f"simulated has {array.shape[1]} columns but there are {n} observed values")
    require_memory(8.0 * array.size, f"a copy of {array.shape[0]} x {n} simulations", "pass fewer of them")
    return np.array(array, dtype=np.float64, order="C")


def _reordered(columns: Any, index: Any) -> bool:
    """Whether the same labels stand in different orders."""
    if len(columns) != len(index) or columns.equals(index):
        return False
    return bool(columns.is_unique and index.is_unique and columns.isin(index).all())


def observed_values(simulated: Any, observed: Any) -> Any:
    """Return the observed response, looked up among the simulations' companions when it is a name."""
    if not isinstance(observed, str):
        return observed
    group = _group(simulated, "observed_data")
    if group is None:
        raise ValueError(f"observed={observed!r} is a name, but {type(simulated).__name__} has no observed_data")
    variables = _variables(group)
    if observed not in variables:
        raise ValueError(f"observed_data has no variable {observed!r}; it has {sorted(map(str, variables))}")
    return np.asarray(variables[observed])


def _one_variable(container: Any, group_name: str, what: str) -> Any:
    """Return the single variable of a dict, InferenceData, DataTree or Dataset; anything else unchanged."""
    if hasattr(container, "columns"):  # a DataFrame: its columns are observations, not variables
        return container
    group = _group(container, group_name)
    if group is None and (isinstance(container, Mapping) or _is_dataset(container)):
        group = container
    if group is None:
        if hasattr(container, "posterior") or hasattr(container, "groups"):
            raise ValueError(f"{what} has no group {group_name}; add it with pm.sample_posterior_predictive or alike")
        return container
    variables = _variables(group)
    if len(variables) != 1:
        names = ", ".join(sorted(map(str, variables))) or "none"
        raise ValueError(
            f"{what} must hold one variable of simulations in {group_name}, found {len(variables)} "
            f"({names}); pass "
            "the one that belongs to the observed response"
        )
    return next(iter(variables.values()))


def _group(container: Any, name: str) -> Any:
    """Named group of an InferenceData or DataTree, None if there is none."""
    children = getattr(container, "children", None)  # DataTree
    if children is not None:
        return children.get(name)
    if isinstance(container, Mapping):
        return container.get(name)
    return getattr(container, name, None)


def _is_dataset(container: Any) -> bool:
    return hasattr(container, "data_vars")


def _variables(group: Any) -> Mapping[Any, Any]:
    if isinstance(group, np.ndarray):  # {"posterior_predictive": array}
        return {"": group}
    return dict(group.data_vars) if _is_dataset(group) else dict(group)
