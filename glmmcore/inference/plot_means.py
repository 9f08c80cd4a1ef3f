"""A figure of marginal means with limits and compact letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import no_data_warnings
from glmmcore.inference.letters import compact_letters
from glmmcore.inference.margins import marginal_means

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from glmmcore.fitted import FittedGLMM

__all__ = ["plot_means"]

# Told apart by colour-blind readers (Okabe and Ito 2008) and, by their markers, in black and white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Width that the groups of one place take.
_SPREAD = 0.5


def plot_means(
    fit: FittedGLMM,
    variables: str | Sequence[str],
    *,
    by: str | None = None,
    kind: str = "response",
    letters: bool = True,
    adjust: str = "tukey",
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    random_effects: str = "none",
    df: str | float = "normal",
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw marginal means with their limits; means that share a letter do not differ.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variables : str or sequence of str
        Columns whose cells stand along the axis.
    by : str, optional
        Column whose levels have a colour and a marker each; letters compare within a level.
    kind : {"response", "link"}
        Scale of the axis, as in `marginal_means`.
    letters : bool
        Whether to write compact letters, from pairwise contrasts at one minus `level`.
    adjust : str
        Of these contrasts, as in `compact_letters`.
    at : mapping of str to values, optional
        Values of columns.
    weights : {"equal", "proportional"}
        Of the levels averaged over.
    random_effects : {"none", "average"}
        As in `marginal_means`.
    df : {"normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom.
    level : float
        Of the limits.
    ax : matplotlib Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
        With one set of points and bars for each level of `by`.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, plot_means
    >>> d = pd.DataFrame({"y": [7, 9, 5, 8, 21, 15, 24, 18, 9, 8, 7, 6], "f": list("aaaabbbbcccc")})
    >>> ax = plot_means(glmm("y ~ f", d, reml=True), "f")
    >>> [text.get_text() for text in ax.texts]
    ['a', 'b', 'a']
    """
    import matplotlib.pyplot as plt

    options: dict[str, Any] = {"by": by, "kind": kind, "at": at, "weights": weights, "df": df}
    options["random_effects"] = random_effects
    means = marginal_means(fit, variables, level=level, **options)
    words = pd.Series("", index=means.index)
    if letters and len(means) > 1:
        with no_data_warnings():
            words = compact_letters(fit, variables, adjust=adjust, level=1.0 - level, **options).fillna("")
    cells = means.index.to_frame(index=False)
    names = [name for name in cells if name != by]
    labels = cells[names].astype(str).agg("\n".join, axis=1)
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    groups = [None] if by is None else list(dict.fromkeys(cells[by]))
    if ax is None:
        _, ax = plt.subplots(
            figsize=(max(3.2, 0.9 * len(places) * max(1.0, 0.5 * len(groups))), 3.4), layout="constrained"
        )
    shifts = np.linspace(-0.5, 0.5, len(groups)) * _SPREAD if len(groups) > 1 else np.zeros(1)
    for turn, (group, shift) in enumerate(zip(groups, shifts, strict=True)):
        mask = np.ones(len(cells), dtype=bool) if group is None else (cells[by] == group).to_numpy()
        rows = means[mask]
        x = labels[mask].map(places).to_numpy(dtype=float) + shift
        estimate = rows["estimate"].to_numpy()
        bars = np.abs(np.stack([estimate - rows["lower"], rows["upper"] - estimate]))
        colour = _COLOURS[turn % len(_COLOURS)]
        ax.errorbar(
            x, estimate, bars, fmt=_MARKERS[turn % len(_MARKERS)], color=colour, capsize=3, lw=1.3, ms=6,
            label=None if group is None else str(group),
        )  # fmt: skip
        for place, top, word in zip(x, rows["upper"], words[mask], strict=True):
            if word and np.isfinite(top):
                ax.annotate(
                    word, (place, top), (0, 3), textcoords="offset points", ha="center", va="bottom", color=colour
                )
    ax.set_xticks(range(len(places)), list(places))
    ax.set_xlim(-0.6, len(places) - 0.4)
    ax.margins(y=0.12)
    if means["lower"].min() >= 0.0 > ax.get_ylim()[0]:
        ax.set_ylim(bottom=0.0)
    ax.set_xlabel(", ".join(map(str, names)))
    ax.set_ylabel(_scale_label(fit, kind, level))
    if by is not None:
        ax.legend(title=str(by), frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _scale_label(fit: FittedGLMM, kind: str, level: float) -> str:
    """What the axis shows, with its limits."""
    response, link = fit.design.response, fit.family.link.name
    of = "probability" if fit.trials is not None or response.levels is not None else f"mean of {response.name}"
    what = of if kind == "response" or link == "identity" else f"{link} of {of}"
    return f"{what}, {100.0 * level:g} % limits"
