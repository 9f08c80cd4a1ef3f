"""Simulations under a time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmmcore.arguments import warn_user
from simresid.residuals.streaming import materialise

if TYPE_CHECKING:
    from simresid.residuals.execution import Execution
    from simresid.simulations.sources import SimulationSource

__all__ = ["drawn_in_time", "how_far"]

FEWEST_IN_TIME = 20
"""Simulations under a time limit that are ranked among."""


def drawn_in_time(source: SimulationSource, execution: Execution, timeout: float) -> SimulationSource:
    """Simulations drawn until the time is up, if they are enough to rank among."""
    drawn = materialise(source, execution, timeout)
    if drawn.n_sims < min(FEWEST_IN_TIME, source.n_sims):
        raise TimeoutError(
            f"{drawn.n_sims} of {source.n_sims} simulations were done within {timeout:g} s, at least "
            f"{min(FEWEST_IN_TIME, source.n_sims)} are needed; allow more time, or look into the model's simulate()"
        )
    if drawn.n_sims < source.n_sims:
        warn_user(
            f"{drawn.n_sims} of {source.n_sims} simulations were done within {timeout:g} s; the residuals are ranked "
            "among these",
        )
    return drawn


def how_far(n_drawn: int, n_sims: int, timeout: float) -> str:
    """What the description says about simulations under a time limit."""
    if n_drawn < n_sims:
        return f"{n_drawn} of {n_sims} simulations were drawn within {timeout:g} s: with more time residuals differ"
    return "simulated in smaller steps for the time limit: without one the numbers differ"
