"""How many examples hypothesis tries: a fixed and reproducible few by default, many with SIMRESID_HYPOTHESIS=long."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings

Test = TypeVar("Test", bound=Callable[..., None])

LONG = os.environ.get("SIMRESID_HYPOTHESIS") == "long"
# Times as many examples in the long run, which also draws them anew each time and prints how to repeat a failure.
FACTOR = int(os.environ.get("SIMRESID_HYPOTHESIS_FACTOR", "40")) if LONG else 1


def examples(count: int) -> Callable[[Test], Test]:
    """Settings of one property test that tries `count` examples in the default run."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=not LONG,
        print_blob=LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
