"""Linear algebra of the random effects; knows factors, weights and solves, and no family."""
