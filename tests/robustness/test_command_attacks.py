"""Some dozens of the formulas that the campaign of `command_attacks` gives to commands by the thousand."""

from __future__ import annotations

from tests.robustness import command_attacks


def test_no_formula_makes_a_command_do_anything_but_answer():
    counts, violations, _ = command_attacks.campaign(60, seed=7)
    assert not violations, "\n".join(violations)
    assert {key.split()[0] for key in counts} == {"check", "screen", "screen()"}


def test_the_campaign_would_notice(monkeypatch):
    def writes(line):
        with open("FLAG", "w"):
            return 0

    monkeypatch.setattr(command_attacks, "command", writes)
    _, violations, _ = command_attacks.campaign(3, seed=7)
    assert any("FLAG" in violation for violation in violations)
    monkeypatch.setattr(command_attacks, "command", lambda line: 3)
    _, violations, _ = command_attacks.campaign(6, seed=7)
    assert any("exit status 3" in violation for violation in violations)
