"""`glmm`: the one function users call to fit a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import known_elsewhere
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.quadrature import require_nodes
from glmmcore.families import get_family
from glmmcore.fitted import FittedGLMM
from glmmcore.formula import build_design
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.formula.rank import require_scale
from glmmcore.relationship.levels import with_relationships

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Design
    from glmmcore.families.base import Family

__all__ = ["glmm"]

# Exposures whose logarithms are further apart than this (a ratio of 5e8) do not occur.
_LONG_OFFSET = 20.0

# Whole numbers up to this or more are counts or times; logarithms of 1 and of e do occur.
_LARGE_COUNT = 2.0

# Means this far apart on the scale of the logarithm are not both numbers of double precision.
_BEYOND_DOUBLES = 700.0

# Values of parameters given beyond this have squares that overflow soon.
_LARGEST_GIVEN = 1e100


@known_elsewhere(
    weights="freq_weights= for repeated rows, var_weights= for inverse variances, trials= for k-of-n responses",
    exposure="+ offset(np.log(exposure)) in the formula, or offset=np.log(data['exposure'])",
    nAGQ="n_agq=",
    REML="reml=",
    ziformula="zi=",
    dispformula="disp=",
    groups="+ (1|group) in the formula",
    re_formula="+ (x|group) in the formula",
    control="start= for where the search begins",
    na_action="nothing: rows with missing values are left out, and counted in the summary",
)
def glmm(
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    link: str | None = None,
    zi: str | None = None,
    disp: str | None = None,
    reml: bool = False,
    n_agq: int = 1,
    trials: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    freq_weights: str | ArrayLike | None = None,
    var_weights: str | ArrayLike | None = None,
    known: Mapping[str, Any] | None = None,
    fixed: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> FittedGLMM:
    """Fit a generalised linear mixed model by maximum likelihood.

    The marginal likelihood is approximated by Laplace's method with the observed information (exact for gaussian
    responses), or by adaptive Gauss-Hermite quadrature with ``n_agq > 1``; the gradient is that of the approximation
    itself, see the page *Theory*.

    Parameters
    ----------
    formula : str
        In lme4's grammar: ``"y ~ x + (1|g)"``, ``(x|g)``, ``(x||g)``, ``(1|a/b)``, ``offset(z)``,
        ``cbind(successes, failures) ~ ...``; without a bar, a generalised linear model. Of glmmTMB: ``ar1(time|g)``,
        ``exp(x, y|g)`` and other structures.
    data : pandas.DataFrame or mapping of str to array
        Rows with a missing value in a column in use are left out; the index of the others is kept.
    family : str or Family
        Response distribution: gaussian, binomial, betabinomial, beta, ordbeta, gamma, lognormal, poisson, nbinom1,
        nbinom2, nbinom12, genpois, compois, bell, tweedie, t, skewnormal, truncated_poisson, truncated_nbinom1,
        truncated_nbinom2.
    link : str, optional
        Link of the mean; each family has its default (log for gamma).
    zi : str, optional
        One-sided formula of the zero-inflation (or hurdle) part, logit link; may hold bars. ``"~ 0"`` is none, as in R.
    disp : str, optional
        One-sided formula of the dispersion part, log link.
    reml : bool
        Restricted maximum likelihood, usual for linear mixed models: variances that allow for the fixed effects having
        been estimated.
    n_agq : int
        Quadrature points per dimension; more than one needs a single grouping factor with at most three coefficients.
    trials : str or array_like of shape (n,), optional
        Number of trials of k-of-n responses, a column name or an array in the order of the rows. The responses are
        successes, or proportions where they are written over their trials, ``k / n``, or are not all whole numbers.
    offset : str or array_like of shape (n,), optional
        Known part of the linear predictor, a column name or an array.
    freq_weights : str or array_like of shape (n,), optional
        How many equal rows each stands for, whole numbers, a column name or an array.
    var_weights : str or array_like of shape (n,), optional
        Inverse relative variances of gaussian, gamma, lognormal and tweedie responses, which divide the variance of the
        row, such as the exposures behind averages (claims of a policy over its years); a column name or an array.
    known : mapping of str to DataFrame or Relationship, optional
        How the levels of a grouping factor covary, such as ``{"species": R}``: a covariance matrix with labels on both
        sides, or an object of `glmmcore.relationship` (pedigrees, trees, neighbourhoods). Effects of ``(x | species)``
        then have the covariance T x R, T that of the coefficients of one level. R may have labels without rows.
    fixed : mapping of str to float, optional
        Parameters that are given instead of estimated, by the names that tables and `FittedGLMM.conf_int` use:
        coefficients (``"x"``, ``"zi: x"``, ``"disp: x"``), ``"sd(Intercept|g)"`` or, where a term has one standard
        deviation, ``"sd(g)"``, correlations, ``"sigma"``, further parameters of the family by their names in
        `FittedGLMM.extra_params` (``"power"``, ``"df"``). They count as no parameter and have no standard error.
    start : mapping of str to float, optional
        Where the search starts, by the same names. Without it several starts are tried where there is a doubt.

    Returns
    -------
    FittedGLMM
        Estimates, predictions, simulations and all else that can be asked of a fit.

    Raises
    ------
    ModelError
        When the formula, the data or the family do not fit together; the message names the culprit.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from glmmcore import glmm
    >>> rng = np.random.default_rng(1)
    >>> d = pd.DataFrame({"x": rng.normal(size=200), "g": np.repeat(np.arange(20), 10)})
    >>> d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + rng.normal(0, 0.5, 20)[d["g"]]))
    >>> fit = glmm("y ~ x + (1|g)", d, family="poisson")
    >>> fit.converged
    True
    >>> fit.params.round(2)
    Intercept    0.43
    x            0.31
    dtype: float64
    """
    law = get_family(family, link)
    table = as_frame(data)
    design = build_design(
        formula,
        table,
        zi=zi,
        disp=disp,
        trials=trials,
        offset=offset,
        freq_weights=freq_weights,
        var_weights=var_weights,
    )
    design = with_knowledge(design, known, fixed)
    check_design(design, law, n_agq)
    estimator = Estimator.build(design, law, reml=reml, n_agq=n_agq)
    begin = _given(start, "start=")
    solution = estimator.fit(estimator.start_at(begin), only=True) if begin else estimator.fit()
    return FittedGLMM(estimator, solution, table)


def with_knowledge(design: Design, known: Mapping[str, Any] | None, fixed: Mapping[str, float] | None) -> Design:
    """The same design with relationships of levels and parameters that are given; see `glmm`."""
    return replace(with_relationships(design, known), fixed=_given(fixed, "fixed="))


def _given(values: Mapping[str, float] | None, what: str) -> dict[str, float]:
    """Values by name as a dict of its own.

    Raises
    ------
    ModelError
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ModelError(f"{what} takes a dict of numbers by name, such as {{'sd(g)': 1.0}}")
    for name, value in values.items():
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not number or not -_LARGEST_GIVEN <= value <= _LARGEST_GIVEN:  # NaN too
            raise ModelError(
                f"{what}: the value of {name!r} must be a finite number, at most {_LARGEST_GIVEN:g} in size, not "
                f"{value!r:.60}"
            )
    return {name: float(value) for name, value in values.items()}


def check_design(design: Design, family: Family, n_agq: int) -> None:
    """Raise `ModelError` where family, response and parts contradict each other."""
    response = design.response
    if response.trials is not None and not family.takes_trials:
        raise ModelError(
            f"family '{family.name}' takes no trials, but the response '{response.name}' is k of n; "
            "use family='binomial' or 'betabinomial'"
        )
    if response.levels is not None and not family.takes_trials:
        raise ModelError(
            f"response '{response.name}' is a category with levels {response.levels[0]!r} and "
            f"{response.levels[1]!r}; family '{family.name}' needs numbers, use family='binomial'"
        )
    if "disp" in design.predictors:
        if not family.has_dispersion:
            counts = "truncated_nbinom2" if family.name.startswith("truncated") else "nbinom2"
            other = "betabinomial" if family.takes_trials else counts
            raise ModelError(f"family '{family.name}' has no dispersion parameter, '{other}' has one; drop disp=")
        if design.predictors["disp"].terms:
            raise ModelError("disp= takes fixed effects only; move the random effects to the formula or to zi=")
    if design.var_weights is not None and family.weight_power is None:
        raise ModelError(
            "var_weights= divide the variance of gaussian, gamma, lognormal and tweedie responses, not of "
            f"'{family.name}'; for repeated rows use freq_weights=, for k-of-n responses trials=, for exposures of "
            "counts offset=np.log(exposure)"
        )
    if design.freq_weights is not None:
        _check_freq_weights(design, family)
    require_nodes(n_agq, "n_agq")
    trials = np.ones(design.nobs) if response.trials is None else response.trials
    _check_offset(design, family)
    if not family.discrete:
        require_scale(response.y[:, None], [response.name])
    family.check_support(response.y, trials, zero_model="zi" in design.predictors)


def _check_offset(design: Design, family: Family) -> None:
    """Exposures given as they are, where their logarithm is meant."""
    offset = design.predictors["cond"].offset
    if family.link.name != "log" or not offset.size or offset.min() < 0.0 or np.ptp(offset) == 0.0:
        return
    low, high, longest = offset.min(), offset.max(), np.ptp(offset)
    whole = high >= _LARGE_COUNT and bool(np.all(offset == np.rint(offset)))
    if longest <= _LONG_OFFSET and not whole:
        return
    message = (
        f"the offset goes from {low:.4g} to {high:.4g}{' in whole numbers' * whole}, which multiplies means by up to "
        f"exp({longest:.4g}): an exposure goes in as its logarithm, offset(np.log(...)) or offset='np.log(...)'"
    )
    if longest > _BEYOND_DOUBLES:
        raise ModelError(f"{message}; no model with a log link has such means")
    warn_of_data(message)


def _check_freq_weights(design: Design, family: Family) -> None:
    """Refuse weights that do not repeat rows, and trials given as weights, as R's ``glm(weights=size)`` takes them."""
    weights, y = design.freq_weights, design.response.y
    assert weights is not None
    if family.takes_trials and design.response.trials is None and np.any((y > 0) & (y < 1)):
        raise ModelError(
            f"the response '{design.response.name}' holds proportions, and freq_weights= says how often a row is "
            "repeated; for k of n pass the numbers of trials as trials="
        )
    broken = np.flatnonzero(weights != np.rint(weights))
    if broken.size:
        row = row_name(design.frame.index, int(broken[0]))
        raise ModelError(
            f"freq_weights must be whole numbers, since they say how often a row is repeated; it is "
            f"{weights[broken[0]]:g} in {row}. For precisions or exposures use var_weights="
        )
