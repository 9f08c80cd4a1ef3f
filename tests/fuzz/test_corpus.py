"""Every input that a campaign found worth keeping, tried again; atheris is not needed for that."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import pytest

from . import cli_target, formula_target, simulations_target
from .campaign import SLOW

TARGETS = {"cli": cli_target, "formula": formula_target, "simulations": simulations_target}
INPUTS = sorted((Path(__file__).parent / "corpus").glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name):
    """No crash, no error but ours, no hang; and the corpus reaches both what is accepted and what is refused."""
    inputs = [path for path in INPUTS if path.parent.name == name]
    outcomes = set()
    for path in inputs:
        for attempt in range(2):  # what is slow once may have compiled a kernel
            start = time.process_time()
            try:
                outcomes.add(TARGETS[name].check(path.read_bytes()))
            except Exception as error:
                error.add_note(f"input {path.name}")
                raise
            if time.process_time() - start < SLOW:
                break
            assert attempt == 0, path.name
    assert len(outcomes) >= 2
    assert len(inputs) >= 10


def test_targets_are_importable_without_atheris():
    assert importlib.import_module(f"{__package__}.campaign").Campaign
