"""Orthonormal smooth bases over the ranks of predictors, ordered from constant to wiggly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.checks.base import term_of
from simresid.checks.inputs import (
    FloatArray,
    Residuals,
    aligned,
    aligned_numeric,
    is_simulated,
    residual_array,
    shares_random_effects,
)
from simresid.protocol import HasPopulationMean, HasRandomEffects

__all__ = ["Basis", "default_predictor", "predictor_basis", "ranks", "terms_of"]

DEGREE = 5


@dataclass(frozen=True)
class Basis:
    """Orthonormal columns over the rows.

    Attributes
    ----------
    functions : ndarray (n, k)
        ``functions.T @ functions = 1``; the first column is constant.
    degree : ndarray of int (k,)
        0 for the constant, 1 for linear, 2 for quadratic trends in the ranks, ...; 1 for the contrasts of a
        factor.
    share : ndarray (k,)
        1 for numeric predictors; the contrasts of a factor with `m` levels have ``min(1, 2/(m-1))``, so that
        many levels do not drown the other terms.
    predictor : ndarray (n,) or None
        The predictor if it is single and numeric.
    name : str
        Columns as a formula would name them; empty for the prediction and for values without a name.
    """

    functions: FloatArray
    degree: np.ndarray[Any, np.dtype[np.int64]]
    share: FloatArray
    predictor: FloatArray | None
    name: str = ""


def ranks(x: FloatArray) -> FloatArray:
    """Mid-ranks scaled to (0, 1): ``(rank - 1/2) / n``, ties averaged.

    Examples
    --------
    >>> import numpy as np
    >>> ranks(np.array([3.0, 1.0, 1.0, 7.0]))
    array([0.625, 0.25 , 0.25 , 0.875])
    """
    order = np.argsort(x, kind="stable")
    s = x[order]
    start = np.concatenate([[True], s[1:] != s[:-1]])
    group = np.cumsum(start) - 1
    first = np.flatnonzero(start)
    last = np.concatenate([first[1:], [x.size]])
    out = np.empty(x.size)
    out[order] = (0.5 * (first + last) / x.size)[group]
    return out


def default_predictor(res: Any) -> FloatArray:
    """Return the prediction to test residuals against: without random effects where there are any.

    Conditional predictions share the noise of the fitted random effects with the residuals, which would show
    as a trend in a right model. Means of k-of-n responses are divided by the trials.
    """
    if not is_simulated(res):
        raise ValueError("a plain residual array has no fitted values; pass predictor=")
    predictor: FloatArray = res.remember("default predictor", lambda: _default_predictor(res))
    return predictor


def _default_predictor(res: Any) -> FloatArray:
    model = res.model
    predicted = res.fitted
    random = shares_random_effects(res) or (isinstance(model, HasRandomEffects) and model.has_random_effects)
    if random and isinstance(model, HasPopulationMean):
        predicted = _population_mean(res, predicted)
    trials = res.trials
    proportion = predicted if trials is None else _proportion(predicted, trials)
    # Equal predictions must tie: 9 digits, so that the last bits, which differ by machine, order nothing.
    rounded = np.array(proportion, dtype=float)
    finite = np.isfinite(rounded)  # sums over groups may overflow
    scale = float(np.max(np.abs(rounded[finite]), initial=0.0)) or 1.0
    rounded[finite] = np.round(rounded[finite] / scale, 9) * scale
    rounded.flags.writeable = False
    return rounded


def _proportion(predicted: FloatArray, trials: FloatArray) -> FloatArray:
    """Predictions per trial; rows without trials, whose residuals are noise, stand at the mean of the others."""
    some = trials > 0
    mean = np.mean(predicted[some] / trials[some]) if some.any() else 0.0
    return np.asarray(np.divide(predicted, trials, out=np.full(predicted.shape, mean), where=some))


def _population_mean(res: Any, fitted: FloatArray) -> FloatArray:
    """Prediction without random effects of the rows, or added up or averaged over groups like `fitted`."""
    mean, own = (np.asarray(v, dtype=float) for v in (res.model.population_mean(), res.model.fitted))
    membership = res.rows.membership
    if membership is None:
        return mean if mean.size == res.n_obs and not res.is_grouped else fitted
    inside = membership >= 0
    sums, own_sums, sizes = (
        np.bincount(membership[inside], weights=w[inside], minlength=res.n_obs) for w in (mean, own, np.ones(mean.size))
    )
    averaged = np.allclose(fitted, own_sums / sizes) and not np.allclose(sizes, 1)
    return np.asarray(sums / sizes if averaged else sums)


def predictor_basis(predictor: Any, res: Residuals) -> Basis:
    """Build the basis for one predictor or several: polynomials of degree `DEGREE`, less for few distinct values.

    Parameters
    ----------
    predictor : None, Basis, array_like, str, or DataFrame / mapping / list of column names
        Several predictors enter additively. Text, categories and booleans become contrasts.
    res : SimulatedResiduals or array_like
        Where the rows come from.

    Returns
    -------
    Basis
    """
    if isinstance(predictor, Basis):
        return predictor
    if not is_simulated(res):
        residual_array(res)  # what is wrong with the residuals is said before what is wrong beside them
    if not is_simulated(res) or not (predictor is None or predictor is default_predictor(res)):
        return _build(predictor, res)
    basis: Basis = res.remember("basis along the prediction", lambda: _build(predictor, res))  # type: ignore[union-attr]
    return basis


def _build(predictor: Any, res: Residuals) -> Basis:
    columns = _columns(predictor, res)
    blocks, degrees, shares = [], [0], [1.0]
    values = None
    for name, column in columns.items():
        series = aligned(column, res, name)
        if _is_factor(series):
            codes = series.astype("category").cat.remove_unused_categories().cat.codes.to_numpy()
            block = (codes[:, None] == np.arange(1, codes.max() + 1)).astype(float)
            if 2 * block.shape[1] > codes.size:
                raise ValueError(f"{name} has {block.shape[1] + 1} levels in {codes.size} rows, too many to test")
            degrees += [1] * block.shape[1]
            shares += [min(1.0, 2.0 / max(block.shape[1], 1))] * block.shape[1]
        else:
            numeric = aligned_numeric(column, res, name)
            values = numeric if len(columns) == 1 else None
            top = min(DEGREE, np.unique(numeric).size - 1)
            block = np.polynomial.legendre.legvander(2 * ranks(numeric) - 1, top)[:, 1:]
            degrees += list(range(1, top + 1))
            shares += [1.0] * top
        blocks.append(block)
    if not blocks:
        raise ValueError("predictor has no columns")
    design = np.hstack([np.ones((blocks[0].shape[0], 1)), *blocks])
    functions, where = _orthonormal(design)
    return Basis(functions, np.array(degrees)[where], np.array(shares)[where], values, terms_of(predictor))


def _orthonormal(design: FloatArray) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.intp]]]:
    """Orthonormalise columns in order; also the positions of those that are not redundant."""
    n, k = design.shape
    if n > 20 * k:
        # Legendre columns are close to orthogonal, where the Gram matrix loses nothing and costs a tenth
        gram = design.T @ design
        values = np.linalg.eigvalsh(gram)
        if values[0] > 1e-4 * values[-1]:
            return design @ np.linalg.inv(np.linalg.cholesky(gram)).T, np.arange(k)
    q, r = np.linalg.qr(design)
    # columns that add nothing (collinear predictors, more columns than rows)
    kept = np.abs(np.diag(r)) > 1e-7 * np.linalg.norm(design, axis=0)[: r.shape[0]]
    kept[max(2, n // 3) :] = False
    where = np.flatnonzero(kept)
    # LAPACK is free to choose the signs: each function rises with its predictor, as above
    return np.ascontiguousarray(q[:, where] * np.sign(np.diag(r)[where])), where


def _columns(predictor: Any, res: Any) -> dict[str, Any]:
    import pandas as pd

    if predictor is None:
        return {"predictor": default_predictor(res)}
    if isinstance(predictor, pd.DataFrame):
        return {str(name): predictor[name] for name in predictor.columns}
    if isinstance(predictor, dict):
        return {str(name): column for name, column in predictor.items()}
    if isinstance(predictor, (list, tuple)) and _are_columns(predictor, res):
        return {name: name for name in predictor}
    array = predictor if isinstance(predictor, (str, pd.Series)) else _array(predictor)
    if isinstance(array, np.ndarray) and array.ndim == 2:
        return {f"predictor {j}": array[:, j] for j in range(array.shape[1])}
    return {"predictor" if not isinstance(predictor, str) else predictor: predictor}


def _array(predictor: Any) -> Any:
    try:
        return np.asarray(predictor)
    except ValueError as error:
        raise ValueError(f"predictor={predictor!r:.60} has rows of different lengths") from error


def terms_of(predictor: Any) -> str:
    """Columns as a formula names them, of whatever a test takes as predictors; empty for values without a name."""
    import pandas as pd

    if isinstance(predictor, pd.Series):
        predictor = predictor.name
    if isinstance(predictor, str):
        return term_of(predictor)
    names = predictor if isinstance(predictor, list | tuple | dict | pd.DataFrame) else ()
    return " + ".join(term_of(str(name)) for name in names) if all(isinstance(name, str) for name in names) else ""


def _are_columns(names: Any, res: Any) -> bool:
    return is_simulated(res) and all(isinstance(name, str) and res.has_column(name) for name in names)


def _is_factor(series: Any) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(series) or isinstance(series.dtype, pd.PeriodDtype):
        return False
    return not pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series)
