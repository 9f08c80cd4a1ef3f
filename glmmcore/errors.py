"""The one exception and the one warning a user of glmmcore has to know."""

from __future__ import annotations

__all__ = ["DataWarning", "ModelError"]


class ModelError(ValueError):
    """The model or its data cannot be fitted as asked; the message names the culprit and what to do."""


class DataWarning(UserWarning):
    """Something in the data was set right or looks wrong; the fit goes on."""
