"""Follow the map to its end, in one compiled call where steps are light."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skem.core.gaussian.chart import SMALLEST_WEIGHT
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.step import Limits, Run
from skem.core.solve.accelerator import FLOOR, Accelerator, Chart, Progress
from skem.core.solve.lbfgs import FAR_GAIN, LBFGS, SINGLE
from skem.core.solve.loop import Solution, solve
from skem.core.solve.map import Map, P
from skem.core.solve.plain import Plain

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
    FAR_GAIN,
    SMALLEST_WEIGHT,
)
"""As fold.cpp has them."""
PLAIN = 300
"""Plain steps, at most, that are taken before accelerated ones where they are quick."""
LEAST_PLAIN = 20
"""Plain steps, at least, before their gains tell that little is left."""
PLAIN_TOL = 0.01
"""Share of what may be left, below which the gain of a step ends them."""

Accelerate = Callable[[Callable[[Any], Chart]], Accelerator]


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

    def _settle(self, most: int = 0) -> None:
        places: list[Any] = [
            Place(*map(self._mixture, pair)) for pair in self._run.path
        ]
        self._path = deque(places)
        super()._settle(len(places))

    def _mixture(self, values: np.ndarray) -> Parameters:
        parts = self._run.outcome.parameters.arrays
        cuts = np.cumsum([part.size for part in parts])[:-1]
        arrays = zip(np.split(values, cuts), parts, strict=True)
        kind = type(self._run.outcome.parameters)
        return kind(*(own.reshape(part.shape) for own, part in arrays))

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


def follow(
    accelerate: Accelerate,
    tol: float,
    max_iter: int,
    em: Map[P],
    start: P,
    earlier: Solution | None = None,
    *,
    rough: float = 0.0,
    callback: Callable[[int, Any, Accelerator], bool | None] | None = None,
) -> Solution:
    """Follow the map from a start, with what an earlier run has learned.

    `rough` nats may be left if that is more than `tol`.
    """
    tol = max(tol, rough)
    accelerator = accelerate(em.chart)
    if callback is None:
        limits = Limits(max_iter, tol)
        found = followed(em, accelerator, start, limits, earlier)
        if found is not None:
            return found
    if earlier is not None:
        accelerator.follow(earlier.accelerator)
        start = em.adopted(start)
    return solve(
        em.evaluate, start, accelerator, tol=tol, max_iter=max_iter, callback=callback
    )


def swiftly(
    accelerate: Accelerate,
    tol: float,
    max_iter: int,
    em: EMMap,
    start: Parameters,
    earlier: Solution | None = None,
    *,
    rough: float = 0.0,
) -> Solution:
    """Follow the map as `follow` does, after plain steps where these are quick.

    Many of them are taken in one call, and most starts come to their end so.
    """
    before = None
    if earlier is None and em.quick:
        before = plainly(em, start, max(tol, rough), min(max_iter, PLAIN))
        if before.converged or before.n_iter == max_iter:
            return before
        start, max_iter = before.evaluation.successor, max_iter - before.n_iter
    found = follow(accelerate, tol, max_iter, em, start, earlier, rough=rough)
    if before is None:
        return found
    values, n_iter = [*before.values, *found.values], before.n_iter + found.n_iter
    return replace(found, values=values, n_iter=n_iter)


def plainly(em: EMMap, start: Parameters, tol: float, max_iter: int) -> Solution:
    """Follow the map by plain steps.

    Beside a saddle gains are small, and grow: a few steps tell that.
    """
    few = min(max_iter, LEAST_PLAIN)
    here, values = em.climbed(start, few)
    if few < max_iter and values[-1, 1] - values[-2, 1] > PLAIN_TOL * tol:
        here, more = em.climbed(here.successor, max_iter - few - 1, PLAIN_TOL * tol)
        values = np.concatenate([values, more])
    progress = Progress(values[0, 1])
    for value in values[1:, 1]:
        progress = progress.advance(value)
    converged = tol > 0 and progress.remaining <= tol
    loop = Plain(em.chart, progress)
    return Solution(here, values[1:, 0].tolist(), len(values) - 1, converged, loop)


def raced(
    em: EMMap, accelerator: Accelerator, start: Parameters, limits: Limits
) -> Solution:
    """Follow the map within limits, and give up what cannot catch up with a value."""
    found = followed(em, accelerator, start, limits)
    if found is not None:
        return found
    return solve(
        em.evaluate,
        start,
        accelerator,
        tol=limits.tol,
        max_iter=limits.max_iter,
        callback=Race(limits),
    )


@dataclass
class Race:
    """A callback that gives a run up if it cannot reach a value in time."""

    limits: Limits
    previous: float = -math.inf

    def __call__(self, step: int, evaluation: Any, accelerator: Accelerator) -> bool:
        """Tell whether twice the present gain would be too little."""
        gain = evaluation.objective - self.previous
        self.previous = evaluation.objective
        ahead = 2 * gain * (self.limits.max_iter - step)
        return (
            step >= self.limits.look
            and evaluation.objective + ahead < self.limits.value
        )
