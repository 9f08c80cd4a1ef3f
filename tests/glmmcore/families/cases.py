"""All families under test; a new family is one `Case` in one of the two lists."""

from __future__ import annotations

from .case import Case
from .cases_continuous import CONTINUOUS_CASES
from .cases_counts import COUNT_CASES

CASES: list[Case] = [*COUNT_CASES, *CONTINUOUS_CASES]
