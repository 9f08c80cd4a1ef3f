"""Adapter to the package marginaleffects: its predictions, comparisons, slopes and hypotheses on our fits.

The package is not needed by glmmcore; ``pip install simresid[effects]`` brings it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import require_word
from glmmcore.errors import ModelError
from glmmcore.results.quantities import fixed_values, quantity

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["for_marginaleffects"]

# Name of the response in the table handed over: the fit's own may be no single column.
_RESPONSE = "response_"


def for_marginaleffects(fit: FittedGLMM, kind: str = "response") -> Any:
    """Wrap a fit as a model of the package marginaleffects.

    Predictions are those of `FittedGLMM.predict` with random effects at zero: means of the response, zeros included.
    Their uncertainty is that of all fixed effects, of the conditional part, of zero inflation and of the dispersion.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    kind : {"response", "link"}
        What is predicted.

    Returns
    -------
    marginaleffects.classes.ModelAbstract
        What the functions of marginaleffects take as a model.

    Examples
    --------
    ::

        from marginaleffects import avg_comparisons, avg_predictions, avg_slopes
        model = for_marginaleffects(fit)
        avg_predictions(model, by="trt")
        avg_slopes(model, variables="x")
    """
    try:
        import polars as pl  # type: ignore[import-not-found,unused-ignore]
        from marginaleffects.classes import ModelAbstract, ModelVault  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ModelError("for_marginaleffects needs the package marginaleffects: pip install marginaleffects") from None
    require_word(kind, "for_marginaleffects: kind", ("response", "link"))
    encode: Any = fit.design.encode
    factors = quantity(fit, kind).factors
    everything = fit.cov_params(parameters="all").drop("random", level="part", errors="ignore")
    everything = everything.drop("random", axis=1, level="part", errors="ignore")
    places = {part: np.flatnonzero(everything.index.get_level_values("part") == part) for part in _parts(everything)}
    estimates = np.concatenate([fit.solution.coefficients[part] for part in places])
    frame = fit.data.reset_index(drop=True)

    class GlmmcoreModel(ModelAbstract):  # type: ignore[misc]  # no types where marginaleffects is not installed
        """A fit as marginaleffects wants to see it."""

        def get_exog(self, newdata: Any) -> Any:
            """Hand the rows on as they are: the fit's own encoder makes the design."""
            return newdata

        def get_predict(self, params: Any, newdata: Any) -> Any:
            """Predict with other coefficients."""
            rows = newdata.to_pandas()
            predictors, keep = encode(rows, groups=False)
            if not keep.all():
                raise ModelError("marginaleffects: the new data have rows with missing values")
            given = np.asarray(params, dtype=float)
            coefficients = fit.solution.coefficients | {part: given[at] for part, at in places.items()}
            values = fixed_values(fit, predictors, len(rows), coefficients)[1]
            estimate = np.prod([factor(values) for factor in factors.values()], axis=0)
            return pl.DataFrame({"rowid": np.arange(len(rows), dtype=np.int32), "estimate": estimate})

    names = list(encode.fixed_kinds)
    for name, kind_of in encode.fixed_kinds.items():
        if kind_of == "categorical":
            frame[name] = _as_category(frame[name])
    frame[_RESPONSE] = fit.observed
    vault = ModelVault(
        coef=estimates,
        coefnames=np.array([name if part == "cond" else f"{part}: {name}" for part, name in everything.index]),
        vcov=everything.to_numpy(),
        formula=f"{_RESPONSE} ~ {' + '.join(names) or '1'}",
        modeldata=_polars(frame[[_RESPONSE, *names]]),
        variable_names=[_RESPONSE, *names],
        package="glmmcore",
    )
    return GlmmcoreModel(fit, vault)


def _parts(covariance: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(covariance.index.get_level_values("part")))


def _as_category(column: pd.Series) -> pd.Series:
    """Text as categories in the order of the fit."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.rename_categories([str(v) for v in column.cat.categories])
    return column.astype(pd.CategoricalDtype(sorted(column.unique())))


def _polars(frame: pd.DataFrame) -> Any:
    """Table with enumerations, which the package asks for, where pandas has categories."""
    import polars as pl

    columns = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            columns[name] = pl.Series(
                str(name), column.astype(str).tolist(), dtype=pl.Enum(list(column.cat.categories))
            )
        else:
            columns[name] = pl.Series(str(name), column.to_numpy())
    return pl.DataFrame(columns)
