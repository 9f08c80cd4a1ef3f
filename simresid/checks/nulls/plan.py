"""How many refits a test may use: a rule of cost that looks at sizes only, not at a clock.

Refits that do not come back are the exception (`refit_pool.PATIENCE`): the result of the round before then stands, and
says so.

The cost of a refit is taken as rows times parameters (4 if the model has no `df_model`) times the model's
`refit_effort` (1 unless it says otherwise).

- cost up to 20 000: 40, then 100, then 300 refits;
- up to 50 000: 40, then 100;
- up to 200 000: 40;
- above: 2 000 000 / cost, at least 3 and at most 20.

A test goes on to the next number only while its p-value leaves something to decide (Besag & Clifford 1991): it stops
after 40 refits at p >= .25 and after 100 at p >= .15 or p < .001. Fewer than 39 refits cannot reject at 5 % by rank;
they give the bias of a statistic, and its noise is taken from theory.

References
----------
Besag, J. and Clifford, P. (1991). Sequential Monte Carlo p-values. Biometrika 78, 301-304.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simresid.arguments import whole_number
from simresid.protocol import HasModelDf, HasRefitEffort

__all__ = ["FEWEST_TO_RANK", "Plan", "automatic_plan", "fixed_plan"]

FEWEST_TO_RANK = 39
"""With fewer refits no rank is significant at 5 % in two directions."""

SMALL, MIDDLING, LARGE = 2e4, 5e4, 2e5
"""Costs up to which three, two and one round of refits are made."""

ROUNDS = (40, 100, 300)
STOP_ABOVE, STOP_BELOW = (0.25, 0.15, 0.0), (0.0, 1e-3, 1.0)
"""P-values at which nothing is left to decide after each round."""

BUDGET, FEWEST, MOST_FEW = 2e6, 3, 20
"""Of costs above `LARGE`: cost of all refits together, and their least and largest number."""

MOST = 10**6
"""Refits that a user may ask for."""


@dataclass(frozen=True)
class Plan:
    """Numbers of refits to try one after the other.

    Attributes
    ----------
    rounds : tuple of int
        Refits after each round.
    """

    rounds: tuple[int, ...]

    def is_settled(self, n_refits: int, pvalue: float) -> bool:
        """Whether a p-value from so many refits leaves nothing to decide."""
        if n_refits >= self.rounds[-1]:
            return True
        k = self.rounds.index(n_refits)
        return pvalue >= STOP_ABOVE[k] or pvalue < STOP_BELOW[k]


def fixed_plan(n_refits: int) -> Plan:
    """Refits as many as a user asked for."""
    return Plan((whole_number(n_refits, "n_refits", least=FEWEST, most=MOST),))


def automatic_plan(res: Any) -> Plan:
    """Refits by the rule of this module."""
    cost = refit_cost(res.model)
    if cost > LARGE:
        return Plan((int(min(max(BUDGET // cost, FEWEST), MOST_FEW)),))
    return Plan(ROUNDS[: 3 if cost <= SMALL else 2 if cost <= MIDDLING else 1])


def refit_cost(model: Any) -> float:
    """Rows times parameters times the model's own factor."""
    parameters = model.df_model if isinstance(model, HasModelDf) else None
    count = float(parameters) if isinstance(parameters, int | float) and parameters > 0 else 4.0
    effort = float(model.refit_effort) if isinstance(model, HasRefitEffort) else 1.0
    return float(model.nobs) * count * effort
