r"""Laws of rows whose predictor is known up to a normal distribution: moments, distribution functions, updates.

With eta normal (m, v) the law of a row is the mixture of f(y; eta). Integrals run over
eta = c + s sinh(t), c and s mode and width of what y and the normal together say of eta, by the trapezoid rule in t:
steps are s near the mode, where the density of y may be much narrower than the normal, and widen towards the tails of
the normal, which are followed over nine standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from glmmcore.families.base import Family, Parameters
from glmmcore.families.zero_inflation import ZeroInflated
from glmmcore.results.law import Law

__all__ = ["NormalMixture"]

_NODES = 81
_REACH = 9.0
_MOST_STEPS = 60
# Rows times nodes of one block.
_BLOCK = 400_000
# Standard deviations by which a row can move its predictor; below, slope and curvature at the mean say all.
_KNOWN = 1e-6


class NormalMixture:
    """Rows with a predictor of normal law, but for their responses.

    Parameters
    ----------
    family : Family
    values : dict of str to ndarray
        Linear predictors, (n,) or (1,); ``"cond"`` is its fixed part.
    trials : ndarray, shape (n,), or None
    """

    def __init__(self, family: Family, values: dict[str, np.ndarray], trials: np.ndarray | None) -> None:
        self._family, self._trials = family, trials
        self.fixed = values["cond"]
        self._values = values
        self._mixture = ZeroInflated(family) if "zi" in values else None

    def _law(self, rows: np.ndarray, eta: np.ndarray) -> Law:
        """Laws of some rows, (b,), at predictors (b,) or (b, nodes); rows vary slowest."""
        times = eta.size // len(rows)
        values = {
            name: np.repeat(v[rows], times) if len(v) == len(self.fixed) and len(v) > 1 else v
            for name, v in self._values.items()
        }
        trials = None if self._trials is None else np.repeat(self._trials[rows], times)
        return Law(self._family, {**values, "cond": np.ascontiguousarray(eta).ravel()}, trials)

    def _log_density(
        self, rows: np.ndarray, y: np.ndarray, eta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log density up to a constant and its derivatives by eta, each of the shape of `eta`."""
        law = self._law(rows, eta)
        response = np.repeat(y, eta.size // len(rows))
        with np.errstate(all="ignore"):  # far from the mode, where nothing weighs
            parameters: Parameters = law.parameters
            if self._mixture is None:
                l, d1, d2 = self._family.newton_terms(response, law.trials, parameters)
            else:
                l, first, second = self._mixture.newton_terms(response, law.trials, parameters, law.zeta)
                d1, d2 = first[0], second[0]
        return l.reshape(eta.shape), d1.reshape(eta.shape), d2.reshape(eta.shape)

    def _mode(self, rows: np.ndarray, y: np.ndarray, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mode and width of the law of eta given y, by Newton's method with bounded steps."""
        sd = np.sqrt(v)
        at, width = m.copy(), sd.copy()
        for _ in range(_MOST_STEPS):
            _, d1, d2 = self._log_density(rows, y, at)
            curvature = 1.0 / v - np.minimum(np.nan_to_num(d2, nan=0.0, neginf=-1e300), 0.0)
            width = 1.0 / np.sqrt(curvature)
            slope = np.nan_to_num(d1) - (at - m) / v
            step = np.clip(slope / curvature, -2.0 * sd, 2.0 * sd)
            at = at + step
            if np.all(np.abs(step) < 0.05 * width):
                break
        return at, width

    def _blocks(self, n: int) -> Iterator[np.ndarray]:
        size = max(1, _BLOCK // _NODES)
        for lo in range(0, n, size):
            yield np.arange(lo, min(lo + size, n))

    def _nodes(self, rows: np.ndarray, y: np.ndarray, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictors (b, nodes) and logarithms of their weights under the normal law, which add up to one."""
        at, width = self._mode(rows, y, m, v)
        sd = np.sqrt(v)
        reach = np.arcsinh((np.abs(at - m) + _REACH * sd) / width)
        t = reach[:, None] * np.linspace(-1.0, 1.0, _NODES)
        eta = at[:, None] + width[:, None] * np.sinh(t)
        log_weight = np.log(np.cosh(t)) - 0.5 * np.square((eta - m[:, None]) / sd[:, None])
        log_weight -= log_weight.max(axis=1, keepdims=True)
        return eta, log_weight - np.log(np.exp(log_weight).sum(axis=1, keepdims=True))

    def sites(self, chosen: np.ndarray, y: np.ndarray, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What y says of the random part b = eta - fixed: exp(natural * b - precision * b^2 / 2) has its moments.

        Parameters
        ----------
        chosen : ndarray of int64, shape (b,)
            Rows that are asked for.
        y, m, v : ndarray, shape (n,)
            Responses, and mean and variance of eta without them.

        Returns
        -------
        natural, precision : ndarray, shape (b,)
        """
        natural, precision = np.empty(len(chosen)), np.empty(len(chosen))
        for at in self._blocks(len(chosen)):
            rows = chosen[at]
            centre, spread = m[rows], np.maximum(v[rows], 1e-300)
            _, slope, curve = self._log_density(rows, y[rows], centre)
            known = np.maximum(spread * np.abs(curve), np.sqrt(spread) * np.abs(slope)) < _KNOWN
            first, second = slope, -curve
            if not known.all():
                eta, log_weight = self._nodes(rows, y[rows], centre, spread)
                l = self._log_density(rows, y[rows], eta)[0]
                weight = np.where(np.isfinite(l), l, -np.inf) + log_weight
                weight = np.exp(weight - weight.max(axis=1, keepdims=True))
                weight /= weight.sum(axis=1, keepdims=True)
                mean = np.einsum("bk,bk->b", weight, eta)
                variance = np.einsum("bk,bk->b", weight, np.square(eta - mean[:, None]))
                second = np.where(known, second, 1.0 / np.maximum(variance, 1e-300) - 1.0 / spread)
                first = np.where(known, first, (mean - centre) / spread + second * (mean - centre))
            precision[at] = second
            natural[at] = first + second * (centre - self.fixed[rows])
        return natural, precision

    def average(
        self, function: Callable[[Law, np.ndarray], np.ndarray], y: np.ndarray, m: np.ndarray, v: np.ndarray
    ) -> np.ndarray:
        """Mean of a function of the law and the rows' responses over eta.

        Parameters
        ----------
        function : callable
            Takes a `Law` and responses, both of b rows; returns (j, b).
        y : ndarray, shape (n,)
            Where the integrand may change fast.
        m, v : ndarray, shape (n,)
            Mean and variance of eta.

        Returns
        -------
        ndarray, shape (j, n)
        """
        parts = []
        for rows in self._blocks(len(m)):
            eta, log_weight = self._nodes(rows, y[rows], m[rows], np.maximum(v[rows], 1e-300))
            values = np.asarray(function(self._law(rows, eta), np.repeat(y[rows], _NODES)))
            values = values.reshape(len(values), *eta.shape)
            weight = np.exp(log_weight)
            # infinite moments of nodes without weight
            parts.append(np.einsum("jbk,bk->jb", np.where(weight > 0.0, values, 0.0), weight))
        return np.concatenate(parts, axis=1)

    def draws(self, m: np.ndarray, v: np.ndarray, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """Responses, (n_sims, n)."""
        rows = np.arange(len(m))
        out = np.empty((n_sims, len(m)))
        for s in range(n_sims):
            eta = m + np.sqrt(v) * rng.standard_normal(len(m))
            out[s] = self._law(rows, eta).simulate(1, rng)[0]
        return out
