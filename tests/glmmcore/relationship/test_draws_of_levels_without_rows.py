"""Levels of a relationship without rows: drawn given the effects of the others, beside dense matrices."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.relationship import covariance, from_adjacency, from_pedigree, from_tree, random_walk

N_SIMS = 20_000
TREE = "(((a:1,b:1):1,(c:1,d:1):1):1,((e:1.5,f:1.5):.5,(g:.5,h:.5):1.5):1);"
SIRES, DAMS = [None, None, "a", "a", "c", "c", "e", "e"], [None, None, "b", "b", "d", "d", "f", "b"]
PEDIGREE = pd.DataFrame({"id": list("abcdefgh"), "sire": SIRES, "dam": DAMS})
DENSE = np.random.default_rng(3).normal(size=(8, 12))
RING = np.roll(np.eye(8), 1, axis=0) + np.roll(np.eye(8), -1, axis=0)
LEVELS = {
    "tree": from_tree(TREE),
    "pedigree": from_pedigree(PEDIGREE),
    "covariance": covariance(DENSE @ DENSE.T / 12, list("abcdefgh")),
    "ring": from_adjacency(RING, list("abcdefgh")),
    "random walk": random_walk(1, list("abcdefgh")),
    "random walk of order 2": random_walk(2, list("abcdefgh")),
}


def data():
    rng = np.random.default_rng(6)
    s = np.tile(np.arange(6), 12)
    d = pd.DataFrame({"s": np.array(list("abcdef"))[s], "x": rng.normal(size=72)})
    intercept, slope = rng.normal(size=6), rng.normal(size=6)
    return d.assign(y=intercept[s] + (1.0 + slope[s]) * d["x"] + 0.5 * rng.normal(size=72))


@pytest.mark.parametrize("left", ["1", "x"])
@pytest.mark.parametrize("kind", LEVELS)
def test_they_have_the_law_given_the_others(kind, left):
    fit = glmm(f"y ~ x + ({left} | s)", data(), known={"s": LEVELS[kind]})
    new = pd.DataFrame({"s": ["g", "h", "a", "g"], "x": [0.5, -1.0, 1.0, 2.0]})
    draws = fit.simulate(N_SIMS, newdata=new, rng=1)
    r = LEVELS[kind].matrix(list("abcdefgh")).to_numpy()
    # of intrinsic ones R is singular: the others tell less, never more, by its generalised inverse
    given = r[6:, 6:] - r[6:, :6] @ np.linalg.pinv(r[:6, :6], rcond=1e-10) @ r[:6, 6:]
    full = np.zeros((8, 8))
    full[6:, 6:] = given
    code = [6, 7, 0, 6]
    z = np.column_stack([np.ones(4), new["x"]])[:, : 1 if left == "1" else 2]
    spread = z @ fit.solution.terms[0].covariance @ z.T
    expected = full[np.ix_(code, code)] * spread + fit.sigma**2 * np.eye(4)
    sd = np.sqrt(np.diag(expected))
    assert np.abs((draws.mean(axis=0) - fit.predict(new)) / sd * np.sqrt(N_SIMS)).max() < 4.5
    error = (np.cov(draws.T) - expected) / np.sqrt((np.outer(sd, sd) ** 2 + expected**2) / N_SIMS)
    assert np.abs(error).max() < 4.5


def test_known_levels_are_as_they_were():
    fit = glmm("y ~ x + (1 | s)", data(), known={"s": LEVELS["tree"]})
    new = pd.DataFrame({"s": ["a", "b"], "x": [0.0, 1.0]})
    residual = fit.simulate(N_SIMS, newdata=new, rng=1) - fit.predict(new).to_numpy()
    np.testing.assert_allclose(residual.std(axis=0), fit.sigma, rtol=0.03)
