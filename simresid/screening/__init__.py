"""Many models: one record each, journal and table."""
