"""A few plain steps from several starts at once.

On small data a step costs hardly more for ten mixtures than for one: all of them are
stacked, and share every call of NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skem.core.em import EMMap
from skem.core.parameters import Parameters
from skem.core.regularization import IllDefinedCovarianceError

HOPE = 2
"""Times the last step's gain that each of as many more steps may gain."""


@dataclass(frozen=True)
class Trial:
    """Where a start has come to, the objective there, and the last step's gain."""

    parameters: Parameters
    objective: float
    gain: float
    steps: int

    def hope(self) -> float:
        """Return what it may be worth after as many steps again; gains may grow."""
        return self.objective + HOPE * self.steps * self.gain


def climb(
    em: EMMap,
    starts: Sequence[Parameters],
    steps: int,
    cuts: Sequence[int] | None = None,
) -> list[Trial]:
    """Take so many plain steps, and return the best first.

    After each of so many steps, `cuts`, the worse half of the starts is given up;
    half-way if none are given. Those that meet a covariance that must not be repaired
    are left out.
    """
    cuts = [steps // 2] if cuts is None else cuts
    try:
        trials = _together(em, starts, steps, cuts) if starts else []
    except IllDefinedCovarianceError:
        if len(starts) == 1:
            return []
        trials = [trial for start in starts for trial in climb(em, [start], steps)]
    return sorted(trials, key=lambda trial: -trial.objective)


def _together(
    em: EMMap, starts: Sequence[Parameters], steps: int, cuts: Sequence[int]
) -> list[Trial]:
    here = em.evaluate(Parameters.stacked([em.admitted(start) for start in starts]))
    before = here.objective
    for step in range(steps):
        before, successor = here.objective, here.successor
        if step in cuts:
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
