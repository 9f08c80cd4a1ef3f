"""Distributions of counts, one row each; see `simresid.adapters._laws` for what a law is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy import special

from simresid.adapters._laws import Law

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from simresid.alignment import FloatArray


__all__ = [
    "Binomial",
    "CountLaw",
    "GeneralizedPoisson",
    "LeftTruncated",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "ZeroMixture",
]

# A sum over counts stops once what is left cannot change a double.
_NEGLIGIBLE = 1e-17


class CountLaw(Law):
    """A law on the whole numbers from zero."""

    discrete: ClassVar[bool] = True

    def pmf(self, count: ArrayLike) -> FloatArray:
        """``P(Y = count)`` of every row ``(n,)``, `count` a whole number or one per row."""
        raise NotImplementedError

    def at_most(self, count: FloatArray) -> FloatArray:
        """``P(Y <= count)`` of every row ``(n,)`` for whole `count` >= 0."""
        raise NotImplementedError

    def above(self, count: FloatArray) -> FloatArray:
        """``P(Y > count)`` of every row ``(n,)`` for whole `count` >= 0, accurate when it is small."""
        return 1 - self.at_most(count)

    def cdf(self, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """``(P(Y < y), P(Y <= y))`` of every row, each ``(n,)``."""
        y = np.asarray(y, float)
        below, upto = np.ceil(y) - 1, np.floor(y)
        lower = np.where(below >= 0, self.at_most(np.maximum(below, 0)), 0.0)
        upper = np.where(upto >= 0, self.at_most(np.maximum(upto, 0)), 0.0)
        return lower, upper


@dataclass(frozen=True, eq=False)
class Poisson(CountLaw):
    """Poisson with mean `mu`."""

    mu: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.mu

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        return rng.poisson(self.mu, size=(n_sims, self.mu.size))

    def pmf(self, count: ArrayLike) -> FloatArray:
        count = np.asarray(count, float)
        return np.exp(special.xlogy(count, self.mu) - self.mu - special.gammaln(count + 1))

    def at_most(self, count: FloatArray) -> FloatArray:
        return special.gammaincc(count + 1, self.mu)

    def above(self, count: FloatArray) -> FloatArray:
        return special.gammainc(np.asarray(count, float) + 1, self.mu)


@dataclass(frozen=True, eq=False)
class Binomial(CountLaw):
    """Successes in `trials` (whole numbers) with probability `probability`."""

    trials: FloatArray
    probability: FloatArray

    def mean(self) -> FloatArray:
        return self.trials * self.probability

    def variance(self) -> FloatArray:
        return self.trials * self.probability * (1 - self.probability)

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        size = (n_sims, self.trials.size)
        if np.all(self.trials == 1):
            # The same law as one binomial draw, and many times faster.
            return (rng.random(size) < self.probability).astype(np.int64)
        return rng.binomial(self.trials.astype(np.int64), self.probability, size=size)

    def pmf(self, count: ArrayLike) -> FloatArray:
        count = np.asarray(count, float)
        inside = np.minimum(count, self.trials)
        choose = -special.betaln(self.trials - inside + 1, inside + 1) - np.log(self.trials + 1)
        log_pmf = choose + special.xlogy(inside, self.probability)
        log_pmf += special.xlog1py(self.trials - inside, -self.probability)
        return np.where(count <= self.trials, np.exp(log_pmf), 0.0)

    def at_most(self, count: FloatArray) -> FloatArray:
        left = np.maximum(self.trials - count, 1)
        return np.where(count < self.trials, special.betainc(left, count + 1, 1 - self.probability), 1.0)


@dataclass(frozen=True, eq=False)
class NegativeBinomial(CountLaw):
    """Negative binomial with mean `mu` and variance ``mu + mu**2 / size``; infinite `size` is Poisson."""

    mu: FloatArray
    size: FloatArray

    def mean(self) -> FloatArray:
        return self.mu

    def variance(self) -> FloatArray:
        return self.mu + self.mu**2 / self.size

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        """Poisson counts with gamma rates, faster than `Generator.negative_binomial`."""
        finite = np.isfinite(self.size)
        size = np.where(finite, self.size, 1.0)
        rate = rng.gamma(size, self.mu / size, size=(n_sims, self.mu.size))
        return rng.poisson(rate if finite.all() else np.where(finite, rate, self.mu))

    def pmf(self, count: ArrayLike) -> FloatArray:
        count = np.asarray(count, float)
        finite = np.isfinite(self.size)
        size = np.where(finite, self.size, 1.0)
        # log Gamma(size + count) - log Gamma(size) - log count!, without cancellation for a large size
        log_choose = -special.betaln(size, count + 1) - np.log(size + count)
        log_pmf = log_choose - size * np.log1p(self.mu / size)
        log_pmf += special.xlogy(count, self.mu / (size + self.mu))
        return np.where(finite, np.exp(log_pmf), Poisson(self.mu).pmf(count))

    def at_most(self, count: FloatArray) -> FloatArray:
        finite = np.isfinite(self.size)
        size = np.where(finite, self.size, 1.0)
        mixed = special.betaincc(count + 1, size, self.mu / (size + self.mu))
        return np.where(finite, mixed, special.gammaincc(count + 1, self.mu))

    def above(self, count: FloatArray) -> FloatArray:
        count = np.asarray(count, float)
        finite = np.isfinite(self.size)
        size = np.where(finite, self.size, 1.0)
        mixed = special.betainc(count + 1, size, self.mu / (size + self.mu))
        return np.where(finite, mixed, special.gammainc(count + 1, self.mu))


@dataclass(frozen=True, eq=False)
class GeneralizedPoisson(CountLaw):
    """Consul's generalized Poisson, ``P(k) = theta (theta + k lam)**(k-1) exp(-theta - k lam) / k!``.

    Mean ``theta / (1 - lam)`` and variance ``theta / (1 - lam)**3``. For negative `lam` the support ends
    where ``theta + k lam`` turns negative and the probabilities no longer sum to exactly one: they are
    normalised, and the moments are those of the normalised law, so that means and draws belong together.
    """

    theta: FloatArray
    lam: FloatArray

    def mean(self) -> FloatArray:
        if np.all(self.lam >= 0):
            return self.theta / (1 - self.lam)
        return self._moment(1)

    def variance(self) -> FloatArray:
        if np.all(self.lam >= 0):
            return self.theta / (1 - self.lam) ** 3
        return self._moment(2) - self._moment(1) ** 2

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        """Total progeny of a branching process with Poisson(`lam`) offspring; inversion if `lam` < 0."""
        if np.any(self.lam < 0):
            return _draw_upwards(self._mass, 0, self._total_mass(), n_sims, rng)
        total = rng.poisson(self.theta, size=(n_sims, self.theta.size))
        lam = np.broadcast_to(self.lam, total.shape)
        alive = np.flatnonzero(total)
        generation = total.ravel()[alive]
        while alive.size:
            generation = rng.poisson(lam.ravel()[alive] * generation)
            total.ravel()[alive] += generation
            alive, generation = alive[generation > 0], generation[generation > 0]
        return total

    def pmf(self, count: ArrayLike) -> FloatArray:
        return self._mass(count) / self._total_mass()

    def at_most(self, count: FloatArray) -> FloatArray:
        count = np.broadcast_to(count, self.theta.shape)
        total = np.zeros(self.theta.shape)
        for k in range(int(np.max(count)) + 1):
            wanted = np.flatnonzero(count >= k)
            total[wanted] += self.rows(wanted)._mass(k)
        return np.minimum(total / self._total_mass(), 1.0)

    def _mass(self, count: ArrayLike) -> FloatArray:
        count = np.asarray(count, float)
        base = self.theta + count * self.lam
        safe = np.where(base > 0, base, 1.0)
        log_mass = np.log(self.theta) + (count - 1) * np.log(safe) - base - special.gammaln(count + 1)
        return np.where(base > 0, np.exp(log_mass), 0.0)

    def _total_mass(self) -> FloatArray:
        if np.all(self.lam >= 0):
            return np.ones(self.theta.shape)
        return _sum_over_counts(self._mass, self.theta)

    def _moment(self, order: int) -> FloatArray:
        return _sum_over_counts(lambda k: k**order * self._mass(k), self.theta) / self._total_mass()


@dataclass(frozen=True, eq=False)
class ZeroMixture(CountLaw):
    """Zero with probability `zero`, otherwise a draw of `main`; with a truncated `main` this is a hurdle."""

    main: CountLaw
    zero: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "zero", np.broadcast_to(np.asarray(self.zero, float), self.main.mean().shape))

    def rows(self, index: NDArray[Any]) -> Self:
        return type(self)(self.main.rows(index), self.zero[index])

    def mean(self) -> FloatArray:
        return (1 - self.zero) * self.main.mean()

    def variance(self) -> FloatArray:
        return (1 - self.zero) * (self.main.variance() + self.zero * self.main.mean() ** 2)

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        counts = self.main.draw(n_sims, rng)
        counts[rng.random(counts.shape) < self.zero] = 0
        return counts

    def pmf(self, count: ArrayLike) -> FloatArray:
        return self.zero * (np.asarray(count) == 0) + (1 - self.zero) * self.main.pmf(count)

    def at_most(self, count: FloatArray) -> FloatArray:
        return self.zero + (1 - self.zero) * self.main.at_most(count)


@dataclass(frozen=True, eq=False)
class LeftTruncated(CountLaw):
    """`main` given that it exceeds `cut`; ``cut=0`` is the zero-truncated law."""

    main: CountLaw
    cut: int

    def __post_init__(self) -> None:
        """Nothing to broadcast: `main` has its arrays and `cut` is one number."""

    def rows(self, index: NDArray[Any]) -> Self:
        return type(self)(self.main.rows(index), self.cut)

    def mean(self) -> FloatArray:
        return self._moment(1)

    def variance(self) -> FloatArray:
        return self._moment(2) - self._moment(1) ** 2

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        """Draw again what fell below the cut; rows where that is the rule are drawn by inversion."""
        kept = self.main.above(np.array(self.cut, float))
        counts = np.empty((n_sims, kept.size), np.int64)
        often, seldom = np.flatnonzero(kept >= 0.3), np.flatnonzero(kept < 0.3)
        counts[:, often] = self._draw_again(self.main.rows(often), n_sims, rng)
        counts[:, seldom] = _draw_upwards(self.main.rows(seldom).pmf, self.cut + 1, kept[seldom], n_sims, rng)
        return counts

    def _draw_again(self, main: CountLaw, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        counts = main.draw(n_sims, rng)
        replicate, row = np.nonzero(counts <= self.cut)
        while row.size:
            again = main.rows(row).draw(1, rng)[0]
            counts[replicate, row] = again
            replicate, row = replicate[again <= self.cut], row[again <= self.cut]
        return counts

    def pmf(self, count: ArrayLike) -> FloatArray:
        kept = self.main.above(np.array(self.cut, float))
        return np.where(np.asarray(count) > self.cut, self.main.pmf(count) / kept, 0.0)

    def at_most(self, count: FloatArray) -> FloatArray:
        kept = self.main.above(np.array(self.cut, float))
        inside = 1 - self.main.above(np.maximum(count, self.cut)) / kept
        return np.where(np.asarray(count) > self.cut, inside, 0.0)

    def _moment(self, order: int) -> FloatArray:
        whole = self.main.mean() if order == 1 else self.main.variance() + self.main.mean() ** 2
        lost = sum((k**order * self.main.pmf(k) for k in range(1, self.cut + 1)), np.zeros(1))
        return (whole - lost) / self.main.above(np.array(self.cut, float))


@dataclass(frozen=True, eq=False)
class Ordinal(CountLaw):
    """Ordered categories coded 0..K-1 with probabilities `probability` ``(n, K)``."""

    probability: FloatArray

    def __post_init__(self) -> None:
        """Nothing to broadcast: the one field is two-dimensional."""

    def rows(self, index: NDArray[Any]) -> Self:
        return type(self)(self.probability[index])

    def mean(self) -> FloatArray:
        return self.probability @ np.arange(self.probability.shape[1])

    def variance(self) -> FloatArray:
        return self.probability @ np.arange(self.probability.shape[1]) ** 2 - self.mean() ** 2

    def draw(self, n_sims: int, rng: np.random.Generator) -> NDArray[Any]:
        uniform = rng.random((n_sims, self.probability.shape[0]))
        codes = np.zeros(uniform.shape, np.int64)
        for upto in np.cumsum(self.probability, axis=1).T[:-1]:
            codes += uniform >= upto
        return codes

    def pmf(self, count: ArrayLike) -> FloatArray:
        code = np.broadcast_to(count, self.probability.shape[0]).astype(np.int64)
        inside = (code >= 0) & (code < self.probability.shape[1])
        probability = self.probability[np.arange(code.size), np.where(inside, code, 0)]
        return np.where(inside, probability, 0.0)

    def at_most(self, count: FloatArray) -> FloatArray:
        cumulative = np.minimum(np.cumsum(self.probability, axis=1), 1.0)
        cumulative[:, -1] = 1.0
        last = np.minimum(np.broadcast_to(count, cumulative.shape[0]), cumulative.shape[1] - 1)
        return cumulative[np.arange(cumulative.shape[0]), last.astype(np.int64)]


def _draw_upwards(
    mass: Callable[[int], FloatArray],
    first: int,
    total: FloatArray,
    n_sims: int,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Invert the distribution with the given mass per count, `total` in sum, by going up from `first`."""
    left = rng.random((n_sims, total.size)) * total
    counts = np.full(left.shape, first, np.int64)
    cumulative, count = mass(first), first
    above = left > cumulative
    while above.any():
        counts += above
        count += 1
        step = mass(count)
        cumulative = cumulative + step
        # Rounding may leave a uniform number above the whole mass, where no step will reach it.
        exhausted = (cumulative > 0.5 * total) & (step <= _NEGLIGIBLE * total)
        above &= (left > cumulative) & ~exhausted
    return counts


def _sum_over_counts(term: Callable[[int], FloatArray], centre: FloatArray) -> FloatArray:
    """Sum ``term(k)`` over k = 0, 1, ... until every row is past `centre` and its terms are nothing."""
    total, count = term(0), 0
    while True:
        count += 1
        step = term(count)
        total = total + step
        if count > np.max(centre) and np.all(step <= _NEGLIGIBLE * total):
            return total
