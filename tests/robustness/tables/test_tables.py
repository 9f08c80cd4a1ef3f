"""Some hundreds of generated CSV files; the campaign beside this file takes any number."""

from __future__ import annotations

import pytest

from .generate import generate
from .judge import judge_command, judge_reading

FILES_AT_ONCE = 50


@pytest.mark.parametrize("first", range(0, 600, FILES_AT_ONCE))
def test_files_are_read_as_what_they_mean_or_refused(first, tmp_path):
    outcomes = {judge_reading(generate(first + i), tmp_path) for i in range(FILES_AT_ONCE)}
    assert outcomes == {"read", "refused"}


def test_commands_end_with_a_status_that_says_what_happened(tmp_path):
    outcomes = {judge_command(generate(10_000 + i), tmp_path) for i in range(40)}
    assert "refused" in outcomes
    assert outcomes & {"fine", "flagged"}
