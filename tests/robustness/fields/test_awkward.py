"""Cases of the campaign that were wrong."""

import numpy as np
import pytest

from tests.robustness.fields.awkward import cases, data, outcome


@pytest.mark.parametrize(("seed", "number"), [(7, 47)])
def test_prediction_errors_are_finite(seed, number):
    """Smoothness at its largest: the error at a new place among those of the data was infinite."""
    case = cases()[number]
    found = outcome(case, data(case, 1000 * seed + number), sparse=True)
    assert np.isfinite(found["prediction"]).all()
