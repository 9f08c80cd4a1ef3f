"""Timings of both packages beside others, and scripts that check them at length; see README.md."""
