"""Tests, intervals, means and influence from a fitted model."""
