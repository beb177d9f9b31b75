"""Where in the code of users a warning belongs."""

from __future__ import annotations

import sys


def users_level() -> int:
    """Return the `stacklevel` of the line that asks, for a warning of the caller.

    Methods may be called directly, or by a search for the mixture that it has chosen.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == "skem":
        frame, level = frame.f_back, level + 1
    return level
