"""Quasi-Newton steps to the end, in one compiled call where steps are light."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skem.core.gaussian.chart import SMALLEST_WEIGHT
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.step import Limits, Run
from skem.core.solve.accelerator import FLOOR, Accelerator, Chart, Progress
from skem.core.solve.lbfgs import FAR, LBFGS, SINGLE
from skem.core.solve.loop import Solution

CONSTANTS = (
    LBFGS.warm_up,
    LBFGS.memory,
    LBFGS.hindsight,
    LBFGS.patience,
    LBFGS.window,
    LBFGS.longest,
    LBFGS.least_trust,
    LBFGS.endless,
    FLOOR,
    SINGLE,
    FAR,
    SMALLEST_WEIGHT,
)
"""As fold.cpp has them."""


class Place(NamedTuple):
    """A mixture, and where it leads."""

    parameters: Parameters
    successor: Parameters


class Followed(LBFGS):
    """What is left of a run of L-BFGS that was done in one call."""

    def __init__(self, chart_at: Callable[[Any], Chart], run: Run) -> None:
        first, *values = run.values[: self.warm_up + 1, 1].tolist()
        progress = Progress(first)
        for value in values:
            progress = progress.advance(value)
        super().__init__(chart_at, progress)
        self._steps, self._run = run.steps, run

    @property
    def path(self) -> np.ndarray | None:
        """What a later run may learn from."""
        return self._run.path if self._steps > self.warm_up else None

    def _settle(self) -> None:
        places: list[Any] = [
            Place(*map(self._mixture, pair)) for pair in self._run.path
        ]
        self._path = deque(places)
        super()._settle()

    def _mixture(self, values: np.ndarray) -> Parameters:
        parts = self._run.outcome.parameters.arrays
        cuts = np.cumsum([part.size for part in parts])[:-1]
        arrays = zip(np.split(values, cuts), parts, strict=True)
        return Parameters(*(own.reshape(part.shape) for own, part in arrays))

    @property
    def remaining(self) -> float:
        """What was estimated to be left at the end."""
        return self._run.remaining


def followed(
    em: Any,
    accelerator: Accelerator,
    start: Any,
    limits: Limits,
    earlier: Solution | None = None,
) -> Solution | None:
    """Do what `solve` does with L-BFGS in one call; None if that cannot be done.

    `earlier` is a run to learn from. `accelerator` is not used, but for what it is.
    """
    if not isinstance(em, EMMap):
        return None
    if type(accelerator) is not LBFGS or not accelerator.fresh:
        return None
    path = None
    if earlier is not None:
        if not isinstance(earlier.accelerator, Followed):
            return None
        path = earlier.accelerator.path
    found = em.followed(start, limits, CONSTANTS, path)
    if found is None:
        return None
    evaluation, run = found
    values = run.values[1:, 0].tolist()
    loop = Followed(em.chart, run)
    return Solution(evaluation, values, len(values), run.converged, loop)
