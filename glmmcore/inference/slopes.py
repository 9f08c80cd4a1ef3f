"""Slopes of a numeric column, at some cells of others, and comparisons of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import LEVEL, known_elsewhere, mapping_of, names_of, require_level, require_name
from glmmcore.errors import ModelError
from glmmcore.families.links import LINKS
from glmmcore.inference.cell_means import CellMeans
from glmmcore.inference.contrasts import Contrasts
from glmmcore.inference.margins import contrast_tables, means_table, parts_of_means, requested_means, require_dunnett
from glmmcore.inference.notes import interaction_notes, offset_notes, scale_notes
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import ReferenceGrid, reference_levels
from glmmcore.results.joint_covariance import Combination

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["slopes"]

# Step of central differences as a share of the column's range in the data: a cubic's error is 1e-8 of its slope.
_STEP = 1e-4
# The same for telling whether the data determine a slope: wide enough to leave the relations between columns.
_WIDE = 0.05


@known_elsewhere(alpha=LEVEL)
def slopes(
    fit: FittedGLMM,
    variable: str,
    *,
    by: str | Sequence[str] | None = None,
    kind: str = "link",
    component: str | None = None,
    contrasts: Contrasts | None = None,
    adjust: str | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    random_effects: str = "none",
    df: str | float = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
    level: float = 0.95,
    reference: Any = None,
) -> pd.DataFrame:
    """Slopes of means in a numeric column, for each cell of other columns, as R's emtrends.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variable : str
        Numeric column of the fixed effects, also inside of ``poly(x, 3)``, ``bs(x)`` or ``log(x)``.
    by : str or sequence of str, optional
        Columns whose cells have a slope each; may hold `variable` itself, with its values in `at`, for the slopes along
        a curve.
    kind : {"link", "response"}
        Slopes of the predictor, or of the mean of the response.
    component : {"conditional", "zi"}, optional
        A part instead, as in `marginal_means`.
    contrasts : str or mapping, optional
        Comparisons of the slopes of all cells, as in `marginal_means`.
    adjust : str, optional
        Of the comparisons' p-values and limits, as in `marginal_means`.
    at : mapping of str to values, optional
        Values of columns, such as that of `variable` where the slope is taken; its mean by default.
    weights : {"equal", "proportional"}
        Of the levels averaged over.
    random_effects : {"none", "average"}
        For slopes of the mean of the response.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom of the t distribution. ``"auto"`` is Satterthwaite's for gaussian fits with identity link and
        ``reml=True``, and otherwise the normal distribution. Kenward and Roger's standard errors go with theirs.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's: ``fit.cov_params("sandwich", cluster="g")`` and its kin, or
        the words ``"kenward-roger"``, ``"HC0"`` ... ``"HC3"``. Means that depend on more than the conditional fixed
        effects need that of all parameters: ``cov_params(..., parameters="all")``.
    level : float
        Of the limits.
    reference : object or mapping of str to object, optional
        Level of `by` with which ``contrasts="dunnett"`` compares, as in `marginal_means`.

    Returns
    -------
    DataFrame
        By cell (or by contrast): estimate, se, df, lower, upper; contrasts also statistic and pvalue.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, slopes
    >>> d = pd.DataFrame({"y": [1.0, 2.1, 2.9, 4.2, 1.1, 1.4, 2.2, 2.4], "x": [0, 1, 2, 3] * 2, "f": list("aaaabbbb")})
    >>> slopes(glmm("y ~ f * x", d, reml=True), "x", by="f")[["estimate", "se"]].round(3).rename_axis(None)
       estimate     se
    a      1.04  0.072
    b      0.47  0.072
    """
    require_level(level, "level")
    encode: Any = fit.design.encode
    require_name(variable, "slopes: variable")
    given = mapping_of(at, "slopes: at")
    if encode.fixed_kinds.get(variable) != "numeric" or variable in encode.factors:
        raise ModelError(f"slopes: '{variable}' is no numeric column of the fixed effects")
    columns = names_of(by, "slopes: by")
    require_dunnett("slopes", contrasts, reference)

    def means_at(order: list[str], values: dict[str, Any]) -> CellMeans:
        grid = ReferenceGrid.build(fit, order, values, weights=weights, random_effects=random_effects)
        means = requested_means(fit, grid, kind, component, random_effects)
        return means.on_response() if kind == "response" else means

    means = _differences(fit, variable, columns, given, means_at, kind == "link")
    precision = Precision(fit, df, cov)
    notes = _notes(fit, variable, columns, given, kind, component, random_effects)
    if contrasts is not None:
        compared_with = reference_levels("slopes", fit, means.cells, columns, reference)
        return contrast_tables("slopes", means, "-", [], contrasts, adjust, precision, level, notes, compared_with)
    return means_table("slopes", means, precision, level, on_response=False, notes=notes)


def _notes(
    fit: FittedGLMM,
    variable: str,
    columns: list[str],
    at: dict[str, Any],
    kind: str,
    component: str | None,
    random_effects: str,
) -> list[str]:
    """Notes on the scale, and on averages over what interacts with the column or with others named."""
    ends = fit.data[variable].astype(float)
    order = columns if variable in columns else [*columns, variable]
    grid = ReferenceGrid.build(fit, order, {**at, variable: [ends.min(), ends.max()]})
    parts = parts_of_means(fit, kind, component)
    averages = interaction_notes(fit, grid, parts)
    exposure = offset_notes(fit, grid, parts) if kind == "response" else []
    return [*scale_notes(fit, kind, component, random_effects, "means"), *exposure, *averages]


def _differences(
    fit: FittedGLMM,
    variable: str,
    columns: list[str],
    at: dict[str, Any],
    means_at: Callable[[list[str], dict[str, Any]], CellMeans],
    is_linear: bool,
) -> CellMeans:
    """Central differences of the means, within the range of the data where these end."""
    held = fit.data[variable].astype(float)
    if not np.ptp(held) > 0.0:
        raise ModelError(f"slopes: column '{variable}' is the same in all rows")
    points = np.atleast_1d(np.asarray(at.get(variable, np.average(held, weights=fit.design.freq_weights)), dtype=float))
    if len(points) > 1 and variable not in columns:
        raise ModelError(f"slopes: give one value of '{variable}' in at=, or name it in by=")
    order = columns if variable in columns else [*columns, variable]

    def ends(share: float) -> tuple[CellMeans, CellMeans, np.ndarray]:
        """Means above and below, and the distance between, for every cell."""
        step = share * float(np.ptp(held))
        high = np.minimum(points + step, np.maximum(points, held.max()))
        low = np.maximum(points - step, np.minimum(points, held.min()))
        up, down = (means_at(order, {**at, variable: moved}) for moved in (high, low))
        return up, down, (up.cells[variable] - down.cells[variable]).to_numpy(dtype=float)

    up, down, width = ends(_STEP)
    cells = means_at(order, {**at, variable: points}).cells
    matrix = 1.0 / width[:, None]
    direct = None
    if up.weights.direct is not None and down.weights.direct is not None:
        direct = matrix * (up.weights.direct - down.weights.direct)
    above, below = up.weights.fixed, down.weights.fixed
    fixed = {name: matrix * (above.get(name, 0.0) - below.get(name, 0.0)) for name in {**above, **below}}
    outside = None
    if up.outside is not None or down.outside is not None:
        outside = _distances(*ends(_WIDE)[:2], is_linear)
    return CellMeans(
        cells if variable in columns or not columns else cells[columns],
        (up.estimate - down.estimate) / width,
        Combination(fixed, direct=direct),
        LINKS["identity"],
        LINKS["identity"],
        outside,
        up.dropped or down.dropped,
    )


def _distances(up: CellMeans, down: CellMeans, is_linear: bool) -> np.ndarray | None:
    """Distances of the slopes from the relations that the data fulfil; else both ends have to be known."""
    n = len(up.cells)
    a, b = (means.outside if means.outside is not None else np.zeros((n, 0)) for means in (up, down))
    if is_linear:
        return np.where(np.isclose(a, b, rtol=1e-8, atol=0.0), 0.0, a - b)
    lost = a.any(axis=1) | b.any(axis=1)
    return np.eye(n)[:, lost]
