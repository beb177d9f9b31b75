"""Where in the code of users a warning belongs."""

from __future__ import annotations

import sys

from skem._inputs.sklearn import fit_context, validate_params

CHECKS = {validate_params.__module__, fit_context.__module__}
"""Modules of scikit-learn that check parameters, and then call the method."""


def users_level() -> int:
    """Return the `stacklevel` of the line that asks, for a warning of the caller.

    Methods may be called directly, or by a search for the mixture that it has chosen;
    both may be called by scikit-learn, which has checked their parameters.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back and _is_between(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def _is_between(module: str) -> bool:
    return module.split(".")[0] == "skem" or module in CHECKS
