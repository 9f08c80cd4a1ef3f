"""One pass over rows in their order: law of each row's predictor given the rows before."""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["filter_rows"]

# A row whose density is not concave widens what is known, but not by more than this factor of the variance.
_MOST_WIDENED = 10.0


@kernel
def _advance(p, m, s, rho, noise):
    """Move one state to the next place of its chain."""
    for a in range(m.size):
        p[s, a] *= rho
    for a in range(m.size):
        p[a, s] *= rho
    p[s, s] += noise
    m[s] *= rho


@kernel
def filter_rows(
    first_row, first_state, first_prior, prior, state, z, chain_state, chain_place, before, rho, noise, natural,
    precision, mean, variance,
):  # fmt: skip
    """Filter independent parts of the data one after the other.

    Parameters
    ----------
    first_row, first_state, first_prior : int64 (parts + 1,)
        Where the rows, states and prior covariances (n_states^2 each) of every part begin.
    prior : (sum of n_states^2,)
        Covariance of the states before the first row.
    state, z : (n, m)
        States of each row, counted within its part, and what they are multiplied by.
    chain_state, chain_place : int64 (n, c)
        States that move along a chain, and the place of the row there.
    before : int64 (states,)
        Place before the first one of every chain.
    rho, noise : (places,)
        Correlation with the place before, and the variance that it leaves.
    natural, precision : (n,)
        What the row says of its predictor eta: exp(natural * eta - precision * eta^2 / 2).
    mean, variance : (n,)
        Filled with the moments of the predictor, without its fixed part, given the rows before.
    """
    most = 0
    for c in range(first_row.size - 1):
        most = max(most, first_state[c + 1] - first_state[c])
    everything, at_once = np.empty((most, most)), np.empty(most, dtype=np.int64)
    for c in range(first_row.size - 1):
        d = first_state[c + 1] - first_state[c]
        p, place = everything[:d, :d], at_once[:d]
        m, along = np.zeros(d), np.empty(d)
        for a in range(d):
            place[a] = before[first_state[c] + a]
            for b in range(d):
                p[a, b] = prior[first_prior[c] + a * d + b]
        for i in range(first_row[c], first_row[c + 1]):
            for j in range(chain_state.shape[1]):
                s = chain_state[i, j]
                while place[s] < chain_place[i, j]:
                    place[s] += 1
                    _advance(p, m, s, rho[place[s]], noise[place[s]])
            eta, spread = 0.0, 0.0
            for a in range(d):
                along[a] = 0.0
            for j in range(state.shape[1]):
                s = state[i, j]
                eta += z[i, j] * m[s]
                if z[i, j] != 0.0:
                    for a in range(d):
                        along[a] += z[i, j] * p[s, a]
            for j in range(state.shape[1]):
                spread += z[i, j] * along[state[i, j]]
            spread = max(spread, 0.0)
            mean[i], variance[i] = eta, spread
            shrink = max(1.0 + precision[i] * spread, 1.0 / _MOST_WIDENED)
            step, gain = (natural[i] - precision[i] * eta) / shrink, precision[i] / shrink
            for a in range(d):
                m[a] += step * along[a]
                for b in range(d):
                    p[a, b] -= gain * along[a] * along[b]
