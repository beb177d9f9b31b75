"""A few plain steps from several starts at once.

On small data a step costs hardly more for ten mixtures than for one: all of them are
stacked, and share every call of NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.solve.loop import Solution
from skem.core.solve.map import Map, P

HOPE = 2
"""Times the last step's gain that each of as many more steps may gain."""
ALIKE = 1e-10
"""Share of a value within which another is as good: rounding must not choose."""


@dataclass(frozen=True)
class Trial:
    """Where a start has come to, the objective there, and the last step's gain."""

    parameters: Any
    objective: float
    gain: float
    steps: int

    def reached(self) -> float:
        """Return the objective that it has come to."""
        return self.objective

    def hope(self) -> float:
        """Return what it may be worth after as many steps again; gains may grow."""
        return self.objective + HOPE * self.steps * self.gain


def climb(
    em: Map[P],
    starts: Sequence[P] | P,
    steps: int,
    least: float = -math.inf,
    little: float = -math.inf,
) -> list[Trial]:
    """Take so many plain steps of a map from some starts, and return the best first.

    After a quarter of them, unless that is one, and half-way, the worse half is given
    up, and those that have no hope of what is asked for at least. Those that can only
    hope for a little more stay where they are, unless steps take little time. Those
    that meet a covariance that must not be repaired are left out. Starts are a list; a
    stack, if nothing of them is known or given.
    """
    each: Sequence[P] = []
    if isinstance(starts, Sequence):
        if not starts:
            return []
        points = [em.admitted(start) for start in starts]
        each, there = starts, type(points[0]).stacked(points)
    else:
        there = starts
    try:
        trials = _together(em, there, steps, least, little)
    except IllDefinedCovarianceError:
        each = each or [there[i] for i in range(len(there.weights))]
        if len(each) == 1:
            return []
        trials = [
            trial for one in each for trial in climb(em, [one], steps, least, little)
        ]
    return ranked(trials, Trial.reached)


def ranked(trials: Sequence[Trial], value: Callable[[Trial], float]) -> list[Trial]:
    """Return trials in the order of their values, the best first.

    Those that are alike stay in the order that they have.
    """
    return [trials[i] for i in order_of([value(trial) for trial in trials])]


def order_of(values: Sequence[float]) -> list[int]:
    """Return the places of values, the highest first, as `ranked` does."""
    falling = sorted(range(len(values)), key=lambda i: -values[i])
    groups: list[list[int]] = []
    least = math.inf
    for i in falling:
        if not groups or values[i] < least:
            groups.append([])
            least = values[i] - ALIKE * abs(values[i])
        groups[-1].append(i)
    return [i for group in groups for i in sorted(group)]


def best_of(solutions: Iterable[Solution]) -> Solution:
    """Return the highest solution; the first of those that are alike."""
    each = iter(solutions)
    best = next(each)
    for other in each:
        if height(other) > height(best) + ALIKE * abs(height(best)):
            best = other
    return best


def height(solution: Solution) -> float:
    """Return the objective at the end of a run."""
    return float(solution.evaluation.objective)


def highest(
    trials: Iterable[Trial],
    finish: Callable[[Trial], Solution],
    promise: Callable[[Trial], float],
    slack: float,
    best: Solution | None = None,
) -> Solution:
    """Finish trials in turn, as long as one promises more than the best end.

    More by `slack`. Those that meet a covariance that must not be repaired are passed
    over; if all do, and there was no `best` before, that is an error.
    """
    for trial in trials:
        if best is not None and promise(trial) <= height(best) + slack:
            break
        try:
            end = finish(trial)
        except IllDefinedCovarianceError:
            continue
        if best is None or height(end) > height(best):
            best = end
    if best is None:
        raise IllDefinedCovarianceError
    return best


def _together(
    em: Map[P], there: P, steps: int, least: float, little: float
) -> list[Trial]:
    if steps == 0:
        here: Any = em.evaluate(there)
        return _trials(
            here.parameters, here.objective, np.zeros_like(here.objective), 0
        )
    if em.light(there):
        quick = em.contest(there, steps, HOPE, ALIKE, least)
        if quick is not None:
            found, (objectives, gains) = quick
            return _trials(found, objectives, gains, steps)
        little = -math.inf
    done, still = 0, []
    for stage in (steps // 4, steps // 2):
        if stage <= 1:
            continue
        here, gains = _climbed(em, there, stage - done)
        best_first = order_of(here.objective.tolist())
        better = np.array(best_first[: (len(gains) + 1) // 2])
        hope = (steps - stage + HOPE * steps) * gains
        better = better[here.objective[better] + hope[better] > least]
        ended, better = better[hope[better] <= little], better[hope[better] > little]
        if len(ended):
            found, objectives = here.parameters[ended], here.objective[ended]
            still += _trials(found, objectives, gains[ended], steps)
        if not len(better):
            return still
        there, done = here.successor[better], stage + 1
    here, gains = _climbed(em, there, steps - done)
    return still + _trials(here.parameters, here.objective, gains, steps)


def _climbed(em: Map[P], there: P, steps: int) -> tuple[Any, np.ndarray]:
    """Take so many steps; return where they lead, and the gains of the last one."""
    before = em.evaluate(em.advanced(there, steps - 1))
    here: Any = em.evaluate(before.successor)
    return here, here.objective - before.objective


def _trials(
    found: Any, objectives: np.ndarray, gains: np.ndarray, steps: int
) -> list[Trial]:
    return [
        Trial(found[i], float(objectives[i]), float(gains[i]), steps)
        for i in range(len(gains))
    ]
