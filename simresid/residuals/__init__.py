"""The residuals: definitions, one pass over simulations, bootstrap, rotation, groups."""
