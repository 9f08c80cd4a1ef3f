"""Null distributions of test statistics that know the model was fitted: refits to data simulated from it."""
