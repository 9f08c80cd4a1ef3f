"""From a design to the maximum of its likelihood: objectives with exact gradients, starts, one optimiser."""
