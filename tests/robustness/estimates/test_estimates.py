"""Some dozens of the questions that the campaign asks by the thousand."""

from __future__ import annotations

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tests.robustness.calls.campaign import judge
from tests.robustness.calls.generate import Trial
from tests.robustness.estimates import campaign
from tests.robustness.estimates.generate import FUNCTIONS, METHODS, fits

SLOW = {"power", "conf_int"}


def test_fits_answer_or_refuse_with_a_sentence():
    counts, failures = campaign.campaign(50, seed=5)
    assert not failures, "\n".join(failures)
    assert counts["result"] > 5 and counts["refused"] > 5


def test_the_campaign_would_notice(monkeypatch):
    monkeypatch.setattr(campaign, "generate", lambda rng: Trial("a missing key", lambda: {}["x"]))
    _, failures = campaign.campaign(1, seed=5)
    assert "KeyError" in failures[0]


WRONG = {
    "list": ["x"],
    "matrix": np.zeros((2, 2)),
    "column": pd.Series([1, 2]),
    "NA": pd.NA,
    "list of NA": [pd.NA],
    "ragged": [[1, 2], [3]],
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_optional_arguments_of_the_wrong_type(value):
    """Neither hashable nor true nor false: words, flags and names are checked before they are looked up."""
    fit = fits()[0]
    calls = [(getattr(fit, name), []) for name in METHODS] + [(function, [fit]) for function in FUNCTIONS]
    required = {"variable": "x", "spec": "f", "predictor": "x", "effect": "x", "variables": "f", "target": 0.0}
    for function, first in calls:
        parameters = list(inspect.signature(function).parameters.values())[len(first) :]
        needed = [
            p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        if function.__name__ in SLOW or not set(needed) <= set(required):
            continue
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            given = {name: required[name] for name in needed} | {parameter.name: value}
            _, problem = judge(Trial("", lambda function=function, given=given, first=first: function(*first, **given)))
            assert not problem, f"{function.__name__}({parameter.name}={value!r}): {problem}"
        plt.close("all")
