"""Means, contrasts, slopes, tests and robust covariances beside those of R (`tests/glmmcore/reference/README.md`)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glmmcore
from glmmcore import DataWarning, glmm

FOLDER = Path(__file__).parents[1] / "reference" / "means"
CASES = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))

# Differences in standard errors of the estimate: both optimisers stop early; p-values by R's multivariate t are Monte
# Carlo to 1e-3, degrees of freedom by differences.
NEAR, P_VALUE, DF = 5e-3, 3e-3, 0.01


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv")


def answer(fit, query) -> pd.DataFrame:
    if query["call"] == "cov_params":
        covariance = fit.cov_params(*query["args"], **query["options"]).to_numpy()
        return pd.DataFrame({"estimate": np.sort(covariance[np.triu_indices(len(covariance))])})
    return getattr(glmmcore, query["call"])(fit, *query["args"], **query["options"])


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_fit_is_asked_what_r_was_asked(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of the empty cell
        fit = glmm(case["formula"], table(case["data"]), **case["options"])
        got = [answer(fit, query) for query in case["queries"]]
    for query, found in zip(case["queries"], got, strict=True):
        expected = pd.DataFrame(query["answer"]).replace({"inf": np.inf})
        if "term" in expected:
            expected = expected.set_index("term").loc[found.index]
            np.testing.assert_allclose(found["pvalue"], expected["pvalue"], rtol=0.02, err_msg=query["r"])
            continue
        # emmeans lets the first column vary fastest
        expected = expected.astype(float).sort_values("estimate", ignore_index=True)
        found = found.sort_values("estimate", ignore_index=True)
        unit = expected["se"].max() if "se" in expected else expected["estimate"].abs().max()
        for name in expected.columns.intersection(found.columns):
            size, rtol = (P_VALUE, 0.0) if name == "pvalue" else (NEAR * unit, 0.0)
            if name == "df":
                size, rtol = 0.0, DF
            np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=size, err_msg=query["r"])
