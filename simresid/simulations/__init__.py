"""Where simulated responses come from, within limits of time."""
