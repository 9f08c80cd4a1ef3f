"""What a maximum says: laws of the rows, predictions, new responses, residuals, words."""
