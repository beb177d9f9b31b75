"""Where in the code of users a warning belongs."""

from __future__ import annotations

import sys

LIBRARIES = {"skem", "sklearn", "joblib"}
"""Packages that may stand between the line of users and the one that warns."""


def users_level() -> int:
    """Return the `stacklevel` of the nearest line outside of these packages.

    scikit-learn wraps methods, and calls those of steps of pipelines and searches.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back and _is_between(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def _is_between(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES
