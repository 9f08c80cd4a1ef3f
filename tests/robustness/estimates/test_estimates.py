"""Some dozens of the questions that the campaign asks by the thousand."""

from __future__ import annotations

from tests.robustness.calls.generate import Trial
from tests.robustness.estimates import campaign


def test_fits_answer_or_refuse_with_a_sentence():
    counts, failures = campaign.campaign(50, seed=5)
    assert not failures, "\n".join(failures)
    assert counts["result"] > 5 and counts["refused"] > 5


def test_the_campaign_would_notice(monkeypatch):
    monkeypatch.setattr(campaign, "generate", lambda rng: Trial("a missing key", lambda: {}["x"]))
    _, failures = campaign.campaign(1, seed=5)
    assert "KeyError" in failures[0]
