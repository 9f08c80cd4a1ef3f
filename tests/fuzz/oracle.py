"""What a user may see: a result, or an error that one of the two packages raised itself, with a message."""

from __future__ import annotations

import traceback
from pathlib import Path

import glmmcore
import simresid

OURS = tuple(str(Path(package.__file__).parent) for package in (glmmcore, simresid))
ALLOWED = (ValueError, TypeError, KeyError, NotImplementedError)


def is_ours(error: BaseException) -> bool:
    """Raised on purpose: by a line of ours that says ``raise``, with a sentence."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not isinstance(error, ALLOWED) or not frames[-1].filename.startswith(OURS):
        return False
    text = str(error)
    return (frames[-1].line or "").startswith("raise") and len(text) > 10 and " " in text
