"""Where simulations come from: a matrix, a model that draws on demand, or a map of another source.

A source hands out its replicates in *chunks*. The chunks, and the random stream behind each of them, are
fixed by the number of rows, the number of replicates and the seed alone. Which process draws a chunk, in
which order, and how many chunks are held at a time therefore cannot change a single number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.alignment import real_array
from simresid.protocol import is_thread_safe

if TYPE_CHECKING:
    from simresid.alignment import FloatArray
    from simresid.protocol import FittedModel, RandomEffects


__all__ = [
    "Jitter",
    "MappedSource",
    "MatrixSource",
    "ModelSource",
    "SimulationSource",
    "child_generator",
    "chunk_bounds",
    "chunk_generator",
    "mapped",
]

CHUNK_VALUES = 2**17
"""Values per chunk: 1 MB of float64, about what stays in a core's own cache between drawing and counting."""

REPLICATES, NAMED, JITTER, WHITENING, REFITS = range(5)
"""First element of the spawn key of each kind of random stream."""


def child_generator(seed: int, name: str) -> np.random.Generator:
    """Return the stream that belongs to `name` under `seed`, whatever other streams were used before."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(NAMED, *name.encode())))


def chunk_generator(seed: int, kind: int, chunk: int) -> np.random.Generator:
    """Return the stream of one chunk of replicates."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(kind, chunk)))


def chunk_bounds(n_rows: int, n_sims: int, at_most: int | None = None) -> list[tuple[int, int]]:
    """First and one-past-last replicate of every chunk, of `at_most` so many replicates."""
    size = max(1, min(at_most or n_sims, n_sims, CHUNK_VALUES // max(n_rows, 1)))
    return [(first, min(first + size, n_sims)) for first in range(0, n_sims, size)]


class SimulationSource(ABC):
    """Replicated responses ``(n_sims, n_rows)`` in chunks of replicates."""

    n_sims: int
    n_rows: int
    chunks: list[tuple[int, int]]

    @property
    def thread_safe(self) -> bool:
        """Whether chunks may be drawn in several threads without being asked for."""
        return False

    @abstractmethod
    def draw(self, chunk: int) -> FloatArray:
        """Replicates of one chunk, ``(size, n_rows)``, C-contiguous float64; not to be written to."""

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """``(first replicate, block)`` for all chunks in order."""
        for k, (first, _) in enumerate(self.chunks):
            yield first, self.draw(k)


class MatrixSource(SimulationSource):
    """Simulations that exist as a C-contiguous float64 matrix ``(n_sims, n_rows)``."""

    def __init__(self, matrix: FloatArray, chunks: list[tuple[int, int]] | None = None) -> None:
        self.matrix = matrix
        self.n_sims, self.n_rows = matrix.shape
        self.chunks = chunk_bounds(self.n_rows, self.n_sims) if chunks is None else chunks

    def draw(self, chunk: int) -> FloatArray:
        """Slice of the matrix."""
        first, stop = self.chunks[chunk]
        return self.matrix[first:stop]


class ModelSource(SimulationSource):
    """Simulations drawn from a model when they are asked for, the same ones every time."""

    def __init__(
        self,
        model: FittedModel,
        n_sims: int,
        n_rows: int,
        seed: int,
        random_effects: RandomEffects,
        kind: int = REPLICATES,
        chunk_size: int | None = None,
    ) -> None:
        self.model, self.n_sims, self.n_rows, self.seed, self.kind = model, n_sims, n_rows, seed, kind
        self.random_effects = random_effects
        self.chunks = chunk_bounds(n_rows, n_sims, chunk_size)

    @property
    def thread_safe(self) -> bool:
        """What the model says."""
        return is_thread_safe(self.model)

    def draw(self, chunk: int) -> FloatArray:
        """Let the model simulate from the chunk's own generator."""
        first, stop = self.chunks[chunk]
        rng = chunk_generator(self.seed, self.kind, chunk)
        call = f"{type(self.model).__name__}.simulate({stop - first})"
        try:
            drawn = self.model.simulate(stop - first, rng=rng, random_effects=self.random_effects)
        except Exception as error:
            error.add_note(f"raised by {call}, replicates {first} to {stop - 1}")
            raise
        drawn = real_array(drawn, f"the result of {call}")
        if drawn.shape != (stop - first, self.n_rows):
            raise ValueError(
                f"{call} returned shape {drawn.shape}, expected (n_sims, n) = {(stop - first, self.n_rows)}"
            )
        return np.require(drawn, np.float64, ["C", "W"])


def mapped(base: SimulationSource, function: Callable[[int, FloatArray], Any], n_rows: int) -> SimulationSource:
    """Apply a map that treats all replicates alike: at once if the simulations are there, else lazily."""
    if isinstance(base, MatrixSource):
        return MatrixSource(np.require(function(0, base.matrix), np.float64, ["C", "W"]), base.chunks)
    return MappedSource(base, function, n_rows)


class MappedSource(SimulationSource):
    """Another source with a function applied to every block ``(size, n) -> (size, n_rows)``.

    The function receives the chunk's number and the block.
    """

    def __init__(self, base: SimulationSource, function: Callable[[int, FloatArray], Any], n_rows: int) -> None:
        self.base, self.function, self.n_rows = base, function, n_rows
        self.n_sims, self.chunks = base.n_sims, base.chunks

    def draw(self, chunk: int) -> FloatArray:
        """Map the block of the underlying source."""
        return np.require(self.function(chunk, self.base.draw(chunk)), np.float64, ["C", "W"])


class Jitter:
    """Add uniform noise on [-1/2, 1/2) to every simulated value, from a stream of its own per chunk."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, chunk: int, block: FloatArray) -> FloatArray:
        """Jittered copy of the block."""
        return block + (chunk_generator(self.seed, JITTER, chunk).random(block.shape) - 0.5)
