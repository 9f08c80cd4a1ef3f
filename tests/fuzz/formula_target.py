"""Formula parser and matrices: any text, and texts made of pieces of the grammar."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from glmmcore.errors import DataWarning, ModelError
from glmmcore.formula import build_design

from .reader import Reader

PIECES = (
    "y", "x", "z", "f", "g", "h", "`my var`", "b", "w", "t", "1", "0", "2", "-1", "10", ".5", "1e3", "'a'", "\"b\"",
    " ~ ", " + ", " - ", " * ", " / ", ":", "^", "**", " | ", " || ", "(", ")", "[", "]", "{", "}", ",", ".", "`", "=",
    "(1|g)", "(x||g)", "(1|f/g)", "(f|g)", "cs(f|g)", "ar1(t|g)", "diag(x|g)", "offset(x)", "cbind(k, n - k)",
    "log(", "exp(", "I(", "np.", "C(", "factor(", "scale(", "center(", "bs(x, df=4)", "poly(x, 2)", "cr(x, 3)", "lag(",
    "hashed(f, 3)", "contr.sum", "Treatment('a')", " > ", " == ", " in ", " if ", " else ", "lambda ", " and ", "\n",
    "==", "%in%", "µ", "é", "\x00", "True", "None", "np.where(x > 1, x, z)", "np.clip(x, 0, 1)", "pi", "y ~ ", "x.y",
)  # fmt: skip
TABLE = pd.DataFrame(
    {
        "y": [1.5, 2.0, 0.5, 3.0, 2.5, 1.0, 4.0, 3.5, 2.0, 1.0, 0.0, 5.0],
        "k": [1, 0, 2, 3, 1, 2, 3, 0, 1, 1, 2, 3],
        "n": [3] * 12,
        "x": np.linspace(0.5, 3.0, 12),
        "z": [2.0, 1.0] * 6,
        "w": pd.array([1, 2, 3] * 4, dtype="Int64"),
        "t": [1, 2, 3, 4] * 3,
        "b": [True, False, True] * 4,
        "f": ["a", "b", "c"] * 4,
        "g": list("aabbccddeeff"),
        "h": pd.Categorical(list("uvuvuvuvuvuv"), categories=["v", "u", "unused"]),
        "my var": [1.0, 3.0, 2.0] * 4,
    }
)
BEFORE = TABLE.copy(deep=True)


def formula_of(data: bytes) -> str:
    """Odd first byte: pieces of the grammar by number; even: the text itself."""
    if data[:1] and data[0] % 2:
        return "y ~ " + "".join(PIECES[byte % len(PIECES)] for byte in data[1:81])
    return data[1:2000].decode("utf-8", errors="replace")


def check(data: bytes) -> str:
    reader = Reader(data[-2:])
    text = formula_of(data)
    options = {"zi": text[text.find("~") :]} if reader.chance(0.05) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        try:
            design = build_design(text, TABLE, **options)
        except ModelError:
            return "refused"
        finally:
            pd.testing.assert_frame_equal(TABLE, BEFORE)
    for part in design.predictors.values():
        assert np.isfinite(part.X).all() and np.isfinite(part.offset).all()
        assert part.X.shape == (len(design.frame), len(part.columns))
        for term in part.terms:
            assert term.codes.shape == (len(design.frame),)
    return "built"
