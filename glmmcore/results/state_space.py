"""A fit with serial effects as states that rows are filtered through, in their order.

Rows that share no random effect, not even by way of others, are independent: each such part of the data has states and
rows of its own. A chain (`ou`, `ar1` over times) is one state that moves from time to time, whatever its length; every
other coefficient is a state that stands still. A row then costs the square of the number of states of its part.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from glmmcore.covariance import FIELDS, STRUCTURES
from glmmcore.engines.roots import LineRoot
from glmmcore.errors import ModelError
from glmmcore.memory import require_memory
from glmmcore.results._filter_kernels import filter_rows
from glmmcore.results.new_places import root_of_places

if TYPE_CHECKING:
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.fitted import FittedGLMM

__all__ = ["StateSpace"]

# Multiplications of one pass: some tens of seconds.
_MOST_WORK = 4e10


class _States(NamedTuple):
    """Coefficients of one term.

    Attributes
    ----------
    part : ndarray of int64, shape (n,)
        Which independent set of coefficients each row is at.
    n_parts : int
    owner : ndarray of int64, shape (s,)
        Set of each state.
    state : ndarray of int64, shape (n, k)
        States of the rows.
    blocks : list of (states (b, m), covariance (m, m) or (b, m, m))
        Prior covariances; those of chains are left at zero.
    place, rho, noise, before
        Of chains: place of each row (n,), correlation with the place before and variance left by it (places,), and the
        place before the first of each chain (s,). Empty otherwise.
    """

    part: np.ndarray
    n_parts: int
    owner: np.ndarray
    state: np.ndarray
    blocks: list[tuple[np.ndarray, np.ndarray]]
    place: np.ndarray
    rho: np.ndarray
    noise: np.ndarray
    before: np.ndarray

    @property
    def moves(self) -> bool:
        return len(self.place) > 0


def _no_chain(part: np.ndarray, n_parts: int, owner: np.ndarray, state: np.ndarray, blocks: list) -> _States:  # type: ignore[type-arg]
    none, places = np.zeros(0), np.zeros(0, dtype=np.int64)
    return _States(part, n_parts, owner, state, blocks, places, none, none, np.full(len(owner), -1, dtype=np.int64))


def _states(fit: FittedGLMM, t: TermSolution) -> _States:
    """States of one term."""
    term = t.term
    codes = term.codes.astype(np.int64)
    k = len(t.covariance)
    if term.places is not None:
        root = root_of_places(fit, t, term.places)
        first = np.asarray(term.places.first, dtype=np.int64)
        group = np.searchsorted(first, codes, side="right") - 1
        n_groups = len(first) - 1
        owner = np.arange(n_groups)
        if isinstance(root, LineRoot):
            noise = root.scale**2 * root.innovation
            return _States(group, n_groups, owner, group[:, None], [], codes, root.rho, noise, first[:-1] - 1)
        owner = np.repeat(owner, np.diff(first))
        blocks = []
        for a, b in pairwise(first.tolist()):
            within = np.zeros((term.places.n, b - a))
            within[np.arange(a, b), np.arange(b - a)] = 1.0
            blocks.append((np.arange(a, b)[None], root.multiply(within)[a:b]))
        return _no_chain(group, n_groups, owner, codes[:, None], blocks)
    if term.relationship is not None:
        seen, codes = np.unique(codes, return_inverse=True)
        between = term.relationship.matrix(term.levels[seen]).to_numpy()
        covariance = np.kron(between, t.covariance)
        state = codes[:, None] * k + np.arange(k)
        every = np.arange(len(covariance))
        return _no_chain(
            np.zeros(len(codes), np.int64), 1, np.zeros(len(every), np.int64), state, [(every[None], covariance)]
        )
    n_levels = len(term.levels)
    states = np.arange(n_levels * k).reshape(n_levels, k)
    return _no_chain(codes, n_levels, np.repeat(np.arange(n_levels), k), states[codes], [(states, t.covariance)])


def serial_order(t: TermSolution) -> np.ndarray | None:
    """What the rows of a serial term are ordered by, (n,); None for a term without order."""
    term = t.term
    if term.places is not None:
        serial = FIELDS[term.structure].on_line
        return np.asarray(term.places.coordinates[term.codes, 0]) if serial else None
    if term.relationship is not None:
        return term.codes.astype(float) if term.relationship.ordered else None
    if STRUCTURES[term.structure].ordered and np.count_nonzero(term.Z, axis=1).max(initial=0) <= 1:
        return np.asarray(np.abs(term.Z).argmax(axis=1).astype(float))
    return None


class StateSpace:
    """Rows of a fit in the order of time, and the states that they depend on.

    Parameters
    ----------
    fit : FittedGLMM

    Attributes
    ----------
    order : ndarray of int64, shape (n,)
        Rows in the order in which they are filtered: within each independent part of the data by time.
    time : ndarray, shape (n,)
        What the serial term is ordered by, in the order of the data.

    Raises
    ------
    ModelError
        For models without a serial term, with random effects outside the conditional predictor, or of a size that
        cannot be filtered.
    """

    def __init__(self, fit: FittedGLMM) -> None:
        terms = fit.solution.terms
        if any(t.predictor != "cond" for t in terms):
            raise ModelError("one_step: random effects of zero inflation or dispersion have no order; leave them out")
        orders = [serial_order(t) for t in terms]
        found = [o for o in orders if o is not None]
        if not found:
            raise ModelError(
                "one_step: the model has no serial term, so that no row comes before another; add ou(time | g), "
                "ar1(time | g) or known={'time': random_walk(1, levels)}, or use residuals given the random effects"
            )
        self.time = found[0]
        states = [_states(fit, t) for t in terms]
        n = fit.nobs
        part_of, owner = _parts(states)
        self.order = np.lexsort((np.arange(n), self.time, part_of))
        part = part_of[self.order]
        self._check_order(terms, states)
        n_parts = int(part_of.max(initial=-1)) + 1
        rank = np.argsort(owner, kind="stable")
        self._first_state = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n_parts))])
        within = np.empty(len(owner), dtype=np.int64)
        within[rank] = np.arange(len(owner)) - self._first_state[owner[rank]]
        self._first_row = np.concatenate([[0], np.cumsum(np.bincount(part, minlength=n_parts))])
        size = np.diff(self._first_state).astype(float)
        self._first_prior = np.concatenate([[0], np.cumsum(size**2)]).astype(np.int64)
        if float(np.diff(self._first_row) @ size**2) > _MOST_WORK:
            raise ModelError(
                f"one_step: {int(size.max())} random effects depend on each other over {n} rows, which is too much "
                "to follow row by row; make series that are independent, or leave crossed effects out"
            )
        require_memory(8.0 * float(np.sum(size**2)), "covariances of random effects", "leave crossed effects out")
        self._prior = np.zeros(self._first_prior[-1])
        self._fill(states, owner, within, size.astype(np.int64))
        self._rows(terms, states, rank, within)

    def _check_order(self, terms: tuple[TermSolution, ...], states: list[_States]) -> None:
        """Refuse chains along which rows would go back."""
        for t, own in zip(terms, states, strict=True):
            if not own.moves:
                continue
            by_chain = self.order[np.argsort(own.part[self.order], kind="stable")]
            chain, place = own.part[by_chain], own.place[by_chain]
            if np.any((np.diff(place) < 0) & (np.diff(chain) == 0)):
                raise ModelError(
                    f"one_step: '{t.term.key}' has another order than the first serial term of the model; rows need "
                    "one order for all"
                )

    def _fill(self, states: list[_States], owner: np.ndarray, within: np.ndarray, size: np.ndarray) -> None:
        """Prior covariances, part by part."""
        base = 0
        for own in states:
            for block, covariance in own.blocks:
                block = block + base
                part = owner[block[:, 0]]
                at = within[block]
                flat = self._first_prior[part][:, None, None] + at[:, :, None] * size[part][:, None, None]
                self._prior[flat + at[:, None, :]] = covariance
            base += len(own.owner)

    def _rows(
        self, terms: tuple[TermSolution, ...], states: list[_States], rank: np.ndarray, within: np.ndarray
    ) -> None:
        """What the kernel reads of every row."""
        base, shift = 0, 0
        columns, z, chain_state, chain_place, before, rho, noise = [], [], [], [], [], [], []
        for t, own in zip(terms, states, strict=True):
            at = within[own.state + base]
            columns.append(at)
            z.append(t.term.Z)
            before.append(own.before + shift)
            if own.moves:
                chain_state.append(at[:, 0])
                chain_place.append(own.place + shift)
                rho.append(own.rho)
                noise.append(own.noise)
                shift += len(own.rho)
            base += len(own.owner)
        none = np.zeros((len(self.order), 0), dtype=np.int64)

        def integers(values: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(values, dtype=np.int64)

        self._state = integers(np.concatenate(columns, axis=1)[self.order])
        self._z = np.ascontiguousarray(np.concatenate(z, axis=1)[self.order], dtype=np.float64)
        self._chain_state = integers(np.column_stack(chain_state)[self.order] if chain_state else none)
        self._chain_place = integers(np.column_stack(chain_place)[self.order] if chain_place else none)
        self._before = integers(np.concatenate(before)[rank])
        self._rho, self._noise = np.concatenate([np.zeros(0), *rho]), np.concatenate([np.zeros(0), *noise])

    def filter(self, natural: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the random part of each row's predictor given the rows before.

        Parameters
        ----------
        natural, precision : ndarray, shape (n,)
            What each row says of that part b, exp(natural * b - precision * b^2 / 2), in the order of the data.

        Returns
        -------
        mean, variance : ndarray, shape (n,)
            In the order of the data.
        """
        mean, variance = np.empty(len(self.order)), np.empty(len(self.order))
        filter_rows(
            self._first_row, self._first_state, self._first_prior, self._prior, self._state, self._z, self._chain_state,
            self._chain_place, self._before, self._rho, self._noise, natural[self.order].astype(np.float64),
            precision[self.order].astype(np.float64), mean, variance,
        )  # fmt: skip
        out = np.empty((2, len(self.order)))
        out[:, self.order] = mean, variance
        return out[0], out[1]


def _parts(states: list[_States]) -> tuple[np.ndarray, np.ndarray]:
    """Independent part of the data of each row (n,), and of each state of all terms."""
    first = np.concatenate([[0], np.cumsum([own.n_parts for own in states])])
    anchor = states[0].part
    pairs = [np.stack([anchor, own.part + first[j]]) for j, own in enumerate(states)]
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(first[-1], first[-1]))
    label = connected_components(graph, directed=False)[1]
    present, part = np.unique(label[anchor], return_inverse=True)
    # sets of coefficients without rows are in no part: they join the first one, which they do not disturb
    known = np.searchsorted(present, label)
    known[(known == len(present)) | (present[np.minimum(known, len(present) - 1)] != label)] = 0
    owner = np.concatenate([known[own.owner + first[j]] for j, own in enumerate(states)])
    return part.astype(np.int64), owner.astype(np.int64)
