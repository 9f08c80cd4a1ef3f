"""What a screen prints."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simresid import screen


def test_a_screen_prints_its_verdicts_and_names_its_other_columns():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.poisson(3.0, 60), "x": rng.normal(size=60), "area": np.repeat(["a", "b"], 30)})
    models = {area: ("y ~ x", part, "poisson") for area, part in data.groupby("area")}
    table = screen(models, n_sims=40, progress=False)
    with pd.option_context("display.width", 40, "display.max_columns", 2):
        text = repr(table)
    assert "No evidence against the model" in text
    assert all(name in text for name in table)
    assert max(map(len, text.splitlines()[:-1])) < 110
    assert type(table[["nobs"]]) is pd.DataFrame
    assert "<table" in table._repr_html_()
