"""Arbitrary bytes as a sequence of choices, the same with and without a fuzzer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Reader:
    """Takes what it needs from the front; zeros when the bytes are used up.

    `atheris.FuzzedDataProvider` does the same, but then the replay of the corpus would need atheris.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, size: int) -> bytes:
        part = self.data[self.place : self.place + size]
        self.place += size
        return part.ljust(size, b"\0")

    def rest(self) -> bytes:
        return self.data[self.place :]

    def byte(self) -> int:
        return self.take(1)[0]

    def below(self, limit: int) -> int:
        """Whole number in 0..limit-1, limit at most 256."""
        return self.byte() % limit

    def choice(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def chance(self, share: float) -> bool:
        return self.byte() < 256 * share

    def number(self) -> float:
        """Small whole numbers mostly; sometimes any double whatever."""
        kind = self.byte()
        if kind < 200:
            return float(kind % 11)
        if kind < 240:
            return (kind - 220) / 7.0
        return float(struct.unpack("<d", self.take(8))[0])

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Values from a stream seeded here, then some replaced one by one."""
        rng = np.random.default_rng(self.byte())
        size = int(np.prod(shape))
        law = self.below(4)
        values = [rng.poisson(3, size), rng.normal(size=size), rng.integers(0, 2, size), np.zeros(size)][law]
        values = values.astype(np.float64)
        for _ in range(self.below(4) if size else 0):
            values[self.below(min(size, 256))] = self.number()
        return values.reshape(shape)
