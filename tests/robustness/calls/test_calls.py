"""A few hundred hostile calls, and what the campaign must notice. See `campaign` for many."""

from __future__ import annotations

import numpy as np
import pytest

import simresid

from .campaign import judge
from .generate import Trial
from .tests_of_residuals import generate

BLOCKS, PER_BLOCK = 6, 40


@pytest.mark.parametrize("block", range(BLOCKS))
def test_calls_end_in_a_result_or_a_sentence(block):
    for number in range(block * PER_BLOCK, (block + 1) * PER_BLOCK):
        trial = generate(np.random.default_rng(1_000_000 + number))
        outcome, problem = judge(trial)
        assert not problem, f"trial {1_000_000 + number}, {outcome}: {trial.what[:500]}\n{problem}"


def test_the_judge_notices():
    def foreign():
        return list(range(1)).pop(7)

    def warns():
        return np.float64(1.0) / np.zeros(1)[0]

    assert "foreign IndexError" in judge(Trial("foreign", foreign))[1]
    assert "RuntimeWarning" in judge(Trial("warning", warns))[1]
    u = np.linspace(0.1, 0.9, 20)
    assert judge(Trial("right", lambda: simresid.uniformity_test(u)))[1] == ""
    assert judge(Trial("wrong", lambda: simresid.uniformity_test(u), lambda _: "other numbers"))[1] == "other numbers"
    assert judge(Trial("refused", lambda: simresid.uniformity_test(u * 2))) == ("refused", "")
