"""Covariances of fixed effects that do not trust the model's variance: products of scores between its information.

With s_c the score of cluster c (of row i for HC) and H the Hessian of the negative log-likelihood, all parameters
together, the covariance is H^-1 (sum_c s_c s_c') H^-1 (Huber 1967, White 1980, Liang and Zeger 1986). HC1 multiplies by
n / (n - p); HC2 and HC3 divide the squares by 1 - h and (1 - h)^2, h the leverage (MacKinnon and White 1985), by
weights that the response does not enter. R's sandwich of a GLM has the expected information for H, the same for
canonical links. In a
linear mixed model the scores of the fixed effects are X_c'V_c^-1 (y - X beta)_c, V held at its estimate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import require_word
from glmmcore.errors import ModelError
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.formula.frame import row_name
from glmmcore.inference.blocks import Blocks
from glmmcore.results.law import Law
from glmmcore.results.parameter_covariance import jacobian

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["ROBUST", "robust_covariance"]

ROBUST = ("HC0", "HC1", "HC2", "HC3", "sandwich")
SMALL_SAMPLE = ("CR0", "CR1")
# Step of the differences of clusters' log-likelihoods in variance parameters, in standard errors.
_STEP = 1e-3


def robust_covariance(
    fit: FittedGLMM, kind: str, cluster: Any, small_sample: str | None, *, of_all: bool = False
) -> np.ndarray:
    """Covariance of the conditional fixed effects, (p, p), or of all parameters (m, m).

    Parameters
    ----------
    fit : FittedGLMM
    kind : {"HC0", "HC1", "HC2", "HC3", "sandwich"}
        Rows (no random effects), or clusters.
    cluster : str or array_like of shape (n,)
        Column of the data or labels, for ``"sandwich"``.
    small_sample : {"CR0", "CR1"}, optional
        CR1 multiplies by m / (m - 1), m the number of clusters.
    of_all : bool
        All parameters, in the order of `parameter_index`.
    """
    if (cluster is None) == (kind == "sandwich"):
        raise ModelError(
            "cov_params: kind='sandwich' needs cluster=, a column or labels of rows; other kinds take none"
        )
    require_word(small_sample, "cov_params: small_sample", (None, *SMALL_SAMPLE))
    if kind != "sandwich":
        if fit.has_random_effects:
            raise ModelError(f"cov_params: {kind} is for models without random effects; use 'sandwich' with cluster=")
        codes, n_clusters = np.arange(fit.nobs), fit.nobs
    else:
        codes, n_clusters = _codes(fit, cluster)
    if fit.reml and not fit.estimator.linear:
        raise ModelError("cov_params: robust covariances of generalised models need reml=False")
    copies = _copies(fit, kind)
    factor = _factor(fit, kind, small_sample, n_clusters)
    if fit.estimator.linear:
        if of_all:
            raise ModelError(
                "cov_params: robust covariances of linear mixed models are of the fixed effects; their scores hold the "
                "variances at the estimates"
            )
        scores = _linear_scores(fit, codes, n_clusters)
        bread = fit.part_covariance("cond", "cond")
        divided = scores / _shrinkage(fit, kind, copies) / np.sqrt(copies)
        return np.asarray(factor * bread @ (divided.T @ divided) @ bread)
    scores = _scores(fit, codes, n_clusters) / _shrinkage(fit, kind, copies) / np.sqrt(copies)
    bread = fit.curvature.inverse
    if of_all:
        rows = jacobian(fit) @ bread @ scores.T
    else:
        part = fit.estimator.problem.part("cond")
        rows = part.back @ bread[part.where] @ scores.T
    return np.asarray(factor * rows @ rows.T)


def _codes(fit: FittedGLMM, cluster: Any) -> tuple[np.ndarray, int]:
    labels = cluster
    if isinstance(cluster, str):
        try:
            labels = fit.column(cluster)
        except KeyError:
            raise ModelError(f"cov_params: there is no column '{cluster}'; pass labels of the rows") from None
    if isinstance(labels, pd.Series) and not labels.index.equals(fit.data.index):
        raise ModelError("cov_params: cluster is a Series with another index than the rows of the fit")
    if np.shape(labels) != (fit.nobs,):
        raise ModelError(f"cov_params: cluster has shape {np.shape(labels)}, the fit has {fit.nobs} rows")
    codes, levels = pd.factorize(pd.Series(labels, index=fit.data.index))
    if (codes < 0).any():
        raise ModelError(f"cov_params: cluster is missing in {row_name(fit.data.index, int(np.argmin(codes)))}")
    if len(levels) < 2:
        raise ModelError("cov_params: a sandwich needs two clusters or more")
    for t in fit.solution.terms:
        if t.term.relationship is not None:
            raise ModelError(
                "cov_params: a sandwich needs independent clusters, and known= makes the levels of "
                f"'{t.term.group}' covary"
            )
        if t.term.places is not None:
            raise ModelError(
                "cov_params: robust covariances are not available beside effects of places or times, which join rows "
                "of different clusters"
            )
        pairs = pd.DataFrame({"level": t.term.codes, "cluster": codes}).drop_duplicates()
        if len(pairs) > len(t.term.levels):
            raise ModelError(
                f"cov_params: clusters must hold whole levels of the grouping factor '{t.term.group}', whose random "
                "effects join rows"
            )
    return codes, len(levels)


def _factor(fit: FittedGLMM, kind: str, small_sample: str | None, n_clusters: int) -> float:
    if kind == "HC1":
        n = float(fit.df_resid + fit.df_model)
        return n / (n - len(fit.params))
    return n_clusters / (n_clusters - 1.0) if small_sample == "CR1" else 1.0


def _copies(fit: FittedGLMM, kind: str) -> np.ndarray:
    """How many equal rows each stands for, a column; one for clusters, whose sums hold all of them.

    The score s of a row with w copies is w times that of each, and the squares of these add up to s s' / w.
    """
    weights = fit.design.freq_weights if kind != "sandwich" else None
    return np.ones((1, 1)) if weights is None else np.maximum(weights, 1.0)[:, None]


def _shrinkage(fit: FittedGLMM, kind: str, copies: np.ndarray) -> np.ndarray | float:
    """What the scores of the rows are divided by, a column."""
    if kind not in ("HC2", "HC3"):
        return 1.0
    left = 1.0 - _expected_leverage(fit)[:, None] / copies
    if not np.all(left > 1e-10):
        raise ModelError(f"cov_params: {kind} does not exist, some rows are fitted perfectly; use 'HC0' or 'HC1'")
    return np.asarray(np.sqrt(left) if kind == "HC2" else left)


def _expected_leverage(fit: FittedGLMM) -> np.ndarray:
    """Leverage (n,) in the linear model with weights mu'(eta)^2 / Var(y), which do not depend on the response."""
    design, values = fit.design.predictors["cond"], fit.solution.values
    eta = values["cond"]
    step = 1e-5 * np.maximum(1.0, np.abs(eta))
    ends = [Law(fit.family, {**values, "cond": eta + sign * step}, fit.trials).mean() for sign in (1.0, -1.0)]
    weights = np.square((ends[0] - ends[1]) / (2.0 * step)) / fit.variance()
    if fit.design.freq_weights is not None:
        weights = weights * fit.design.freq_weights
    root = np.linalg.qr(design.X * np.sqrt(weights)[:, None])[0]
    return np.asarray(np.square(root).sum(axis=1))


def _sums(values: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """Sums of rows of values (rows, k) by code, (n, k)."""
    return np.stack([np.bincount(codes, column, n) for column in values.T], axis=1)


def _linear_scores(fit: FittedGLMM, codes: np.ndarray, n: int) -> np.ndarray:
    """X_c'V_c^-1 (y - X beta)_c: V^-1 of a residual is that of the modes too over the residual variance."""
    residual = fit.observed - fit.solution.values["cond"]
    for weights in (fit.design.freq_weights, fit.design.var_weights):
        residual = residual if weights is None else residual * weights
    return _sums(fit.design.predictors["cond"].X * (residual / fit.sigma**2)[:, None], codes, n)


def _scores(fit: FittedGLMM, codes: np.ndarray, n: int) -> np.ndarray:
    """Scores of the clusters in the optimiser's parameters, (n, n_params)."""
    problem = fit.estimator.problem
    objective = LaplaceObjective(problem.with_response(fit.observed))
    objective.keeps_rows = True
    x = fit.solution.x
    objective(x)
    place = codes[problem.rows]
    out = np.zeros((n, len(x)))
    for part, row in zip(problem.parts, objective.row_gradient, strict=True):
        if part.where.stop > part.where.start:
            columns = np.ones((problem.n, 1)) if part.X is None else part.X
            out[:, part.where] = -_sums(columns * row[:, None], place, n)
    errors = np.sqrt(np.maximum(np.diag(fit.curvature.inverse), 0.0))
    for term in problem.terms:
        for j in range(term.where.start, term.where.stop):
            step = _STEP * max(float(errors[j]), 1e-3)
            ends = []
            for sign in (1.0, -1.0):
                moved = x.copy()
                moved[j] += sign * step
                ends.append(_log_likelihoods(objective, moved, place, n))
            out[:, j] = (ends[0] - ends[1]) / (2.0 * step)
    return out


def _log_likelihoods(objective: LaplaceObjective, x: np.ndarray, place: np.ndarray, n: int) -> np.ndarray:
    """Laplace's log-likelihood of every cluster, (n,), but for constants."""
    problem, layout = objective.problem, objective.layout
    value, _ = objective(x)
    if not np.isfinite(value):
        raise ModelError("cov_params: the log-likelihood does not exist beside the estimates")
    rows = objective.linear_predictors(x)
    l, _, d2, _ = problem.likelihood.derivatives(0, problem.n, rows)
    out = np.bincount(place, l, n).astype(float)
    left = _left_sides(objective, x)
    inner = [problem.likelihood.predictors.index(name) for name in problem.inner]
    weighted = [[-d2[a, inner[b]] for b in range(len(inner))] for a in range(len(inner))]
    hessian: Any = 0.0
    for a, za in enumerate(left):
        for b, zb in enumerate(left):
            hessian = hessian + za.T @ zb.multiply(weighted[a][b][:, None]).tocsr()
    owner = np.zeros(layout.order, dtype=int)
    for z in left:
        coo = z.tocoo()
        owner[coo.col] = place[coo.row]
    mode = objective.mode
    out = out - 0.5 * np.bincount(owner, layout.prior * mode * mode, n)
    for blocks in Blocks.of(owner):
        own = blocks.dense(hessian)
        own[:, range(blocks.size), range(blocks.size)] += layout.prior[blocks.members]
        out[blocks.sets] -= 0.5 * np.linalg.slogdet(own)[1]
    return out


def _left_sides(objective: LaplaceObjective, x: np.ndarray) -> list[Any]:
    """For each predictor with random effects Z Lambda, (n, q), rows in the problem's order."""
    from scipy import sparse

    problem, layout = objective.problem, objective.layout
    sizes = layout.sizes
    out = []
    for name in problem.inner:
        total: Any = sparse.csr_matrix((problem.n, layout.order))
        for part in problem.terms:
            if part.predictor != name:
                continue
            z = np.zeros((problem.n, sizes[part.factor]))
            t = part.structure.factor(x[part.where])
            z[:, part.columns] = (part.term.Z @ part.back)[problem.rows] @ t
            codes = part.term.codes[problem.rows]
            places = layout.offsets[part.factor] + codes[:, None] * z.shape[1] + np.arange(z.shape[1])
            index = np.repeat(np.arange(problem.n), z.shape[1])
            total = total + sparse.csr_matrix((z.ravel(), (index, places.ravel())), (problem.n, layout.order))
        out.append(total)
    return out
