"""A few plain steps from several starts at once.

On small data a step costs hardly more for ten mixtures than for one: all of them are
stacked, and share every call of NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skem.core.gaussian.regularization import IllDefinedCovarianceError

HOPE = 2
"""Times the last step's gain that each of as many more steps may gain."""


@dataclass(frozen=True)
class Trial:
    """Where a start has come to, the objective there, and the last step's gain."""

    parameters: Any
    objective: float
    gain: float
    steps: int

    def hope(self) -> float:
        """Return what it may be worth after as many steps again; gains may grow."""
        return self.objective + HOPE * self.steps * self.gain


def climb(em: Any, starts: Sequence[Any], steps: int) -> list[Trial]:
    """Take so many plain steps of a map, and return the best first.

    After a quarter of them, unless that is one, and half-way, the worse half is given
    up. Those that meet a covariance that must not be repaired are left out.
    """
    try:
        trials = _together(em, starts, steps) if starts else []
    except IllDefinedCovarianceError:
        if len(starts) == 1:
            return []
        trials = [trial for start in starts for trial in climb(em, [start], steps)]
    return sorted(trials, key=lambda trial: -trial.objective)


def _together(em: Any, starts: Sequence[Any], steps: int) -> list[Trial]:
    points = [em.admitted(start) for start in starts]
    here = em.evaluate(type(points[0]).stacked(points))
    before = here.objective
    for step in range(steps):
        before, successor = here.objective, here.successor
        if step > 1 and step in (steps // 4, steps // 2):
            better = np.argsort(-here.objective, kind="stable")[
                : (len(before) + 1) // 2
            ]
            before, successor = before[better], successor[better]
        here = em.evaluate(successor)
    gains = here.objective - before
    return [
        Trial(here.parameters[i], float(here.objective[i]), float(gains[i]), steps)
        for i in range(len(gains))
    ]
