"""What campaigns found in from_simulations, each as small as it gets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simresid import from_simulations

RNG = np.random.default_rng(1)
DRAWS, Y = RNG.poisson(3, (60, 8)).astype(float), RNG.poisson(3, 8).astype(float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((DRAWS, Y + 1j), "observed must hold numbers that are real, got dtype complex128"),  # lost its imaginary part
        ((DRAWS + 1j, Y), "simulated must hold numbers that are real"),
        ((DRAWS, Y.astype("datetime64[s]")), "observed must hold numbers that are real"),  # seconds since 1970
        ((DRAWS, pd.Series(pd.to_datetime(["2020-01-01"] * 8))), "observed must hold numbers that are real"),
        ((DRAWS, Y.astype("timedelta64[s]")), "observed must hold numbers that are real"),
        ((DRAWS, np.ma.masked_equal(Y, Y[2])), r"observed is NaN or infinite at row position"),  # masked values ranked
        ((np.ma.masked_equal(DRAWS, 3.0), Y), "simulated value.* are NaN or infinite"),
        ((DRAWS[:, :0], Y[:0]), "observed is empty"),  # ZeroDivisionError
        ((DRAWS, [[1.0], [2.0, 3.0]]), "observed must hold numbers"),  # a message of numpy's that named nothing
        ((DRAWS, iter(Y)), "observed must hold numbers|must be a vector"),
        ((DRAWS, None), "observed"),
        ((DRAWS, Y, Y + 1j), "fitted must hold numbers that are real"),
        ((DRAWS, Y, None, {"rotation": np.full((8, 8), np.nan)}), "rotation holds NaN"),
        ((DRAWS, Y, None, {"rotation": np.eye(8) + 1j}), "rotation must hold numbers that are real"),
        ((np.where(DRAWS > 8, np.inf, DRAWS), Y, None, {"rotation": "estimated"}), "NaN or infinite"),
        ((DRAWS * 1e200, Y, None, {"rotation": "estimated"}), "squares of simulated values overflow"),
    ],
)
def test_refused(arguments, message):
    *data, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(ValueError, match=message):
        from_simulations(*data, **options)


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">f4", "longdouble", "float16"])
def test_types_of_other_machines(dtype):
    """A Series in foreign byte order was an error inside pandas."""
    expected = from_simulations(DRAWS, Y, Y + 1).residuals
    fitted = pd.Series((Y + 1).astype(dtype), index=np.arange(8)[::-1])
    other = from_simulations(DRAWS.astype(dtype), pd.Series(Y.astype(dtype)), fitted)
    np.testing.assert_array_equal(other.residuals, expected)


@pytest.mark.parametrize("method", ["conditional", "dharma"])
def test_squares_that_overflow(method):
    """An overflow was a RuntimeWarning of numpy's, and the statistic infinite: the unit of the response is nothing."""
    plain = from_simulations(DRAWS, Y, discrete=False).dispersion_test(method=method)
    large = from_simulations(DRAWS * 1e200, Y * 1e200, discrete=False).dispersion_test(method=method)
    assert large.statistic == pytest.approx(plain.statistic, rel=1e-12)
    assert large.pvalue == plain.pvalue
