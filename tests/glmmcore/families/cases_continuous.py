"""Laws of continuous responses, and further ones."""

from __future__ import annotations

from .case import Case

CONTINUOUS_CASES: list[Case] = []
