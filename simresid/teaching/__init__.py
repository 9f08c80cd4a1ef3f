"""Data with known defects, size and power of tests on them."""
