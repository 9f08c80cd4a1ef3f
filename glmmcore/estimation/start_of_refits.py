"""Where searches start that know the maximum for another response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.estimation.start import start_candidates

if TYPE_CHECKING:
    from glmmcore.estimation.problem import Problem

__all__ = ["both_sides", "off_limits"]

# Share of flat directions from which a part of the model counts as being at a limit.
_SHARE_AT_LIMIT = 0.01


def both_sides(problem: Problem, x: np.ndarray) -> list[np.ndarray]:
    """A point to start from, or one on either side of zero if extra parameters have a stationary point there."""
    family = problem.family
    if not family.stationary_at_zero:
        return [x]
    out = []
    for psi in family.start_psi():
        side = x.copy()
        for name, value in zip(family.extra, psi, strict=True):
            where = problem.part(name).where
            if value * side[where] < value * value:  # on the other side, or next to zero
                side[where] = value
        out.append(problem.hold(side))
    return out[:1] if np.array_equal(out[0], out[-1]) else out


def off_limits(problem: Problem, x: np.ndarray, flat: np.ndarray, units: np.ndarray) -> np.ndarray:
    """A point whose dispersion, zero inflation and extra parameters are at no limit: there the ordinary start's.

    From a limit there is no way back, since the likelihood is flat there, whatever the response. `flat` (p, f) are the
    flat directions, `units` (p,) the natural units.
    """
    shares = np.square(flat / units[:, None]).sum(axis=1)
    parts = [part for part in problem.parts if part.name != "cond" and shares[part.where].sum() > _SHARE_AT_LIMIT]
    if not parts:
        return x
    out, ordinary = x.copy(), start_candidates(problem)[0]
    for part in parts:
        out[part.where] = ordinary[part.where]
    return out
