"""Several models beside each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm, side_by_side


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(np.arange(12), 10)})
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + rng.normal(0, 0.5, 12)[d["g"]])) * (rng.random(120) > 0.2)
    return (
        glmm("y ~ x", d, "poisson"),
        glmm("y ~ x + (1|g)", d, "nbinom2", zi="~ 1"),
        glmm("y ~ x + (x|g)", d, reml=True),
    )


def test_cells_are_the_numbers_of_the_fits(fits):
    table = side_by_side(fits[0], zinb=fits[1], lmm=fits[2])
    assert list(table) == ["1", "zinb", "lmm"]
    for name, fit in zip(table, fits, strict=True):
        assert table.loc["x", name] == f"{fit.params['x']:.3f} ({fit.bse['x']:.3f})"
        assert table.loc["AIC", name] == f"{fit.aic:.2f}"
    assert table.loc["zi: Intercept", "1"] == ""
    assert table.loc["zi: Intercept", "zinb"].startswith(f"{fits[1].zi_params.iloc[0]:.3f} (")
    assert table.loc["sd(x|g)", "lmm"] == f"{fits[2].var_corr['sd'].iloc[1]:.3f}"
    assert table.loc["sigma", "lmm"] == f"{fits[2].sigma:.3f}"


def test_intervals_ratios_and_pvalues(fits):
    ends = np.exp(fits[0].conf_int(0.1).loc["x"])
    found = side_by_side(fits[0], cell="interval", level=0.9, ratios=True, digits=2)
    assert found.loc["x", "1"] == f"{np.exp(fits[0].params['x']):.2f} ({ends.iloc[0]:.2f}, {ends.iloc[1]:.2f})"
    # no ratios of an identity link
    plain = side_by_side(fits[2], cell="interval", ratios=True)
    assert plain.loc["x", "1"].startswith(f"{fits[2].params['x']:.3f}")
    p = fits[2].pvalues["x"]
    assert side_by_side(fits[2], cell="pvalue").loc["x", "1"].endswith("(<0.001)" if p < 0.001 else f"({p:.3f})")


def test_bad_input(fits):
    for call, message in (
        (lambda: side_by_side(), "give fits"),
        (lambda: side_by_side(model=1), "no fit"),
        (lambda: side_by_side(fits[0], cell="t"), "cell must be"),
        (lambda: side_by_side(fits[0], ratios=True), "interval"),
    ):
        with pytest.raises(ModelError, match=message):
            call()
