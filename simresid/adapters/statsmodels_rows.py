"""What every statsmodels adapter needs: the rows used, a one-line description, early refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray


__all__ = ["Rebuild", "can_refit", "describe", "refit_options", "used_rows"]


@dataclass(frozen=True, eq=False)
class Rebuild:
    """What fits a model class to another response: arrays and options only.

    Results are not kept, for those of a formula read the formula again when they arrive in another process.
    """

    model_class: type
    exog: FloatArray | None
    constructor: dict[str, Any]
    fit: dict[str, Any]

    def __call__(self, endog: Any) -> Any:
        """Return the results of a fit to `endog`."""
        return self.model_class(endog, self.exog, **self.constructor).fit(**self.fit)


def used_rows(model: Any, rows: NDArray[Any] | None = None) -> pd.DataFrame:
    """Return the data frame of the rows left after the removal of missing values, under their own index.

    With a formula these are all columns of the user's frame (statsmodels keeps it unfiltered and the
    positions of the rows it dropped beside it), otherwise the columns of the design matrix. `rows` selects
    or repeats rows.
    """
    import pandas as pd

    design = model.data.exog
    frame = getattr(model.data, "frame", None)
    if isinstance(frame, pd.DataFrame):
        dropped = getattr(model.data, "missing_row_idx", None)
        if dropped is not None and len(dropped):
            frame = frame.iloc[np.setdiff1d(np.arange(len(frame)), dropped)]
    if not isinstance(frame, pd.DataFrame) or len(frame) != len(design):
        names = model.exog_names[: design.shape[1]]
        frame = pd.DataFrame(np.array(design), columns=names, index=model.data.row_labels)
    return frame if rows is None else frame.iloc[rows]


def describe(model: Any, law: str) -> str:
    """Return ``class law: formula``, or the names of the columns where there was no formula."""
    formula = getattr(model, "formula", None)
    if not isinstance(formula, str):
        formula = f"{model.endog_names} ~ {' + '.join(map(str, model.exog_names))}"
    return f"{type(model).__name__} {law}: {formula}"


def can_refit(results: Any) -> bool:
    """Whether fitting the model class again reproduces this fit: not after constraints or a penalty."""
    constrained = getattr(results, "constraints", None) is not None
    return not constrained and not type(getattr(results, "_results", results)).__name__.startswith("L1")


def refit_options(results: Any) -> dict[str, Any]:
    """Return options for `fit` that start at the fitted parameters with the optimiser that found them."""
    settings = getattr(results, "mle_settings", None) or {}
    options: dict[str, Any] = {"start_params": np.array(results.params), "disp": 0}
    if settings.get("optimizer"):
        options["method"] = settings["optimizer"]
    options["maxiter"] = max(100, int(settings.get("maxiter") or 0))
    return options
