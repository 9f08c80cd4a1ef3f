"""Residuals in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simresid.protocol import may_have_random_effects

if TYPE_CHECKING:
    from simresid.protocol import RandomEffects
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["describe", "summarise"]


def describe(residuals: SimulatedResiduals) -> str:
    """How `residuals` were made and how many observations lie outside their simulations."""
    what = "groups" if residuals.is_grouped else "observations"
    lines = [f"{residuals.n_obs} scaled residuals ({residuals.method}) of {what}, {residuals.n_sims} simulations"]
    if residuals.description:
        lines.append(residuals.description)
    if residuals.random_effects is not None and may_have_random_effects(residuals.model):
        lines.append(
            "each given the rows before it" if residuals.method == "one-step" else _kept(residuals.random_effects)
        )
    lines += residuals.rows.notes
    if residuals.refits is not None:
        lines.append(str(residuals.refits))
    sides = residuals.outlier_sides
    low, high = int((sides < 0).sum()), int((sides > 0).sum())
    edge = 1 / (residuals.n_ranked + 1)
    where = (
        f"{low} in the lowest and {high} in the highest {edge:.2g} of their law"
        if residuals.from_law
        else f"{low} below and {high} above all simulations"
    )
    lines.append(f"{where}, {residuals.n_obs * edge:.3g} expected on each side")
    return "\n".join(lines)


def summarise(residuals: SimulatedResiduals) -> str:
    """Describe `residuals` and what `simresid.diagnose` finds in them."""
    from simresid.checks.battery import diagnose

    return f"{describe(residuals)}\n\n{diagnose(residuals)!r}"


def _kept(random_effects: RandomEffects) -> str:
    if random_effects == "conditional":
        return "simulated given the fitted random effects"
    if random_effects == "unconditional":
        return "simulated with new random effects"
    return f"simulated with new random effects of {', '.join(random_effects)}, the others as fitted"
