"""Fits beside those of glmmTMB and lme4, from facts and data that come with the tests (`reference/README.md`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm

FOLDER = Path(__file__).parent / "reference"
FITS = json.loads((FOLDER / "fits.json").read_text(encoding="utf-8"))

# R's optimisers stop with an error of up to 1 % of a standard error in an estimate; lme4's default for counts stops
# earlier still. A log-likelihood above theirs is a better fit, and never by as much as .05.
ESTIMATE, ERROR, LLF_BELOW, LLF_ABOVE = 0.01, 0.03, 1e-4, 0.05
ESTIMATE_LME4, ERROR_LME4 = 0.05, 0.075


def table(fact: dict) -> pd.DataFrame:
    data = pd.read_csv(FOLDER / f"{fact['data']}.csv")
    return data.assign(**{name: data[name].astype(str) for name in fact.get("factors", ())})


@pytest.mark.parametrize("fact", FITS, ids=[fact["id"] for fact in FITS])
def test_a_fit_is_that_of_r(fact):
    kind = "var_weights" if fact["family"] == "gaussian" else "freq_weights"
    weights = {kind: fact["weights"]} if "weights" in fact else {}
    fit = glmm(
        fact["formula"],
        table(fact),
        fact["family"],
        link=fact.get("link"),
        zi=fact.get("ziformula"),
        disp=fact.get("dispformula"),
        reml=fact.get("reml", False),
        **weights,
    )
    noisy = fact["at_limit"] or (fact["engine"].startswith("lme4") and fact["family"] != "gaussian")
    near, close = (ESTIMATE_LME4, ERROR_LME4) if noisy else (ESTIMATE, ERROR)
    assert fact["loglik"] - LLF_BELOW <= fit.llf <= fact["loglik"] + LLF_ABOVE
    for part, prefix in (("cond", ""), ("zi", "zi_"), ("disp", "disp_")):
        if part not in fact:
            continue
        estimate, se = (np.atleast_1d(fact[part][name]).astype(float) for name in ("estimate", "se"))
        np.testing.assert_array_less(np.abs(getattr(fit, f"{prefix}params").to_numpy() - estimate) / se, near)
        if not fact["at_limit"]:
            np.testing.assert_allclose(getattr(fit, f"{prefix}bse"), se, rtol=close)
    sd = np.sort(fit.var_corr.loc[fit.var_corr["component"] == "cond", "sd"]) if fact["sd"] else np.empty(0)
    np.testing.assert_allclose(sd, fact["sd"], rtol=close, atol=2e-3 * max([1.0, *fact["sd"]]))
    if "sigma" in fact:
        assert fit.sigma == pytest.approx(fact["sigma"], rel=close)
