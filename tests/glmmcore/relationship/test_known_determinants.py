"""What pedigrees and trees know without a factorisation: variances of all levels and the determinant."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.relationship import from_pedigree, from_tree

# Both are sums of a hundred terms in double precision; the dense inverse loses some digits more.
TOLERANCE = 1e-9


def inbred(n=120, seed=3):
    """Half-sib and full-sib matings, selfing, and unknown parents."""
    rng = np.random.default_rng(seed)
    sire, dam = np.zeros(n, int), np.zeros(n, int)
    for i in range(8, n):
        sire[i], dam[i] = rng.integers(max(i - 15, 0), i + 1, 2)  # labels from 1
        if i % 11 == 0:
            dam[i] = sire[i]
        if i % 7 == 0:
            sire[i] = 0
    return pd.DataFrame({"id": np.arange(1, n + 1), "sire": sire, "dam": dam}).sample(frac=1.0, random_state=1)


@pytest.mark.filterwarnings("ignore:from_pedigree")
@pytest.mark.parametrize(
    "make",
    [
        lambda: from_pedigree(inbred()),
        lambda: from_tree("(((a:1,b:1e-30):1,(c:1,d:0):.3):.2,((e:1.5,f:.5):.5,(g:.5,h:.5):0):1);"),
        lambda: from_tree("((a:2,b:2):1,(c:1,d:1):2);", unit_height=True),
    ],
)
@pytest.mark.parametrize("factor", [1.0, 0.37])
def test_variances_and_determinant(make, factor):
    known = make()
    precision = known.precision.scaled(factor)
    dense = precision.matrix().toarray()
    assert precision.logdet == pytest.approx(np.linalg.slogdet(dense)[1], rel=TOLERANCE, abs=TOLERANCE)
    variances = factor * np.diag(np.linalg.inv(dense))
    np.testing.assert_allclose(known.variances, known.of_labels(variances), rtol=TOLERANCE)
