"""One model, many responses."""
