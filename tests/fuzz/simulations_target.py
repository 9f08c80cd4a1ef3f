"""from_simulations: arrays of odd shapes, types and values, and what can be done with the result."""

from __future__ import annotations

import decimal
import warnings

import numpy as np
import pandas as pd

from simresid import from_simulations

from .oracle import is_ours
from .reader import Reader

TYPES = (
    "float64", "float32", "float16", "longdouble", "int64", "int8", "uint8", "uint64", "bool", "complex128", "object",
    "U5", "datetime64[s]", ">f8", "timedelta64[s]", "S3",
)  # fmt: skip


def odd_array(reader: Reader, shape: tuple[int, ...]) -> object:
    """Array, frame, list or dict of these values in a type and layout of the reader's choice."""
    values: np.ndarray = reader.array(shape)
    if reader.chance(0.4):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                values = values.astype(reader.choice(TYPES))
            except (ValueError, TypeError, OverflowError):
                values = values.astype(str)
    layout = reader.below(32)
    if layout == 1:
        return np.asfortranarray(values)
    if layout == 2:
        return np.repeat(values, 2, axis=-1)[..., ::2] if values.ndim else values
    if layout == 3:
        values.setflags(write=False)
        return values
    if layout == 4:
        return values.tolist()
    if layout == 5 and values.ndim == 2:
        return pd.DataFrame(values)
    if layout == 6 and values.ndim == 1:
        return pd.Series(values, index=np.arange(values.size)[::-1])
    if layout == 7:
        return {"posterior_predictive": {"y": values}}
    if layout == 8:
        return {"y": values}
    if layout == 9:
        return np.ma.masked_array(values, mask=values == values.flat[0] if values.size else False)
    if layout == 10 and values.ndim == 1:
        return [decimal.Decimal(v) if isinstance(v, float) else v for v in values.tolist()]
    if layout == 11 and values.ndim == 1 and values.dtype.kind in "biuf":
        return pd.array(values.astype(float), dtype="Float64")
    if layout == 12:
        return None
    if layout == 13:
        return "y"
    if layout == 14:
        return iter(values) if values.ndim else values
    if layout == 15 and values.ndim == 2:
        return [row[: 1 + k % 3] for k, row in enumerate(values)]
    return values


def check(data: bytes) -> str:
    reader = Reader(data)
    n, n_sims = reader.below(12), reader.below(40)
    if reader.chance(0.7):
        n, n_sims = n + 1, n_sims + 2
    shape: tuple[int, ...] = (n_sims, n)
    if reader.chance(0.15):
        shape = reader.choice(
            ((n, n_sims), (2, n_sims, n), (n,), (n_sims, n, 1), (n_sims, n + 1), (), (0, n), (n_sims, 0))
        )
    simulated = odd_array(reader, shape)
    observed = odd_array(reader, (n,) if reader.chance(0.9) else (n, 1))
    fitted = odd_array(reader, (n,)) if reader.chance(0.3) else None
    data_frame = pd.DataFrame({"x": np.arange(n + reader.below(2)), "c": "a"}) if reader.chance(0.2) else None
    method = reader.choice(("rank", "rank", "pit", "traditional", "exact", "nonsense"))
    rotation = None
    if reader.chance(0.15):
        rotation = reader.choice(("estimated", "nonsense", np.eye(n), np.ones((n, n)), np.full((n, n), np.nan)))
    seed = reader.choice((1, 0, -1, None, True, "seed", 2**63, 1.5))
    discrete = reader.choice((None, None, True, False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what numpy or pandas warn of is for us to refuse
        warnings.filterwarnings("ignore", "fitted lies in", UserWarning)
        return _check(reader, simulated, observed, fitted, discrete, method, seed, rotation, data_frame)


def _check(reader, simulated, observed, fitted, discrete, method, seed, rotation, data_frame) -> str:  # type: ignore
    try:
        res = from_simulations(
            simulated, observed, fitted, discrete=discrete, method=method, rng=seed, rotation=rotation, data=data_frame
        )  # type: ignore[arg-type]
    except Exception as error:
        if is_ours(error):
            return "refused"
        raise
    assert res.residuals.shape == (res.n_obs,)
    assert ((res.residuals >= 0) & (res.residuals <= 1)).all()
    assert len(res.to_frame()) == res.n_obs
    follow = reader.below(8)
    try:
        if follow == 0:
            assert res.summary()
        elif follow == 1:
            assert repr(res)
        elif follow == 2:
            grouped = res.recalculate(group=np.arange(res.n_obs) % 2)
            assert ((grouped.residuals >= 0) & (grouped.residuals <= 1)).all()
        elif follow == 3:
            for name in ("uniformity_test", "dispersion_test", "outlier_test", "zero_inflation_test"):
                assert 0 <= getattr(res, name)().pvalue <= 1
    except Exception as error:
        if is_ours(error):
            return "refused later"
        raise
    return "ranked"
