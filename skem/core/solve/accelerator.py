"""Proposals for a fixed-point map that climbs an objective.

An accelerator is a guest in the loop: it may propose a point in place of the next plain
iterate, is told whether the point was accepted, and estimates how much of the objective
is left to be gained. It sees points only through their `objective`, `successor`, and
through charts: unconstrained coordinates in which the plain step is about a unit
gradient step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

FLOOR = 1e-12
"""Increments below this share of |f| are rounding."""


class Chart(Protocol):
    """Coordinates of points."""

    def pack(self, parameters: Any) -> np.ndarray:
        """Point -> vector."""

    def unpack(self, vector: np.ndarray) -> Any:
        """Vector -> point."""

    def farthest(self, step: np.ndarray) -> float:
        """Size of a step, about one where the chart may bend."""


class Evaluation(Protocol):
    """A point θ with what one evaluation of the map tells of it."""

    @property
    def parameters(self) -> Any:
        """θ."""

    @property
    def objective(self) -> float:
        """f(θ)."""

    @property
    def loglik(self) -> float:
        """What the loop reports of θ."""

    @property
    def successor(self) -> Any:
        """θ⁺."""


@dataclass(frozen=True)
class Progress:
    """What the stopping rule of plain steps remembers: the last value and increments.

    With increments shrinking by a = Δ_t/Δ_{t−1} a step, Δ_t a/(1−a) is left.
    """

    value: float
    increments: tuple[float, ...] = ()

    def advance(self, value: float) -> Progress:
        """Take the next value."""
        return Progress(value, (*self.increments, value - self.value)[-3:])

    @property
    def remaining(self) -> float:
        """Estimate of what is left to be gained; infinite while it is not trusted.

        The shrinkage must have been below one twice running, and the slower of the
        two counts.
        """
        if len(self.increments) < 3:
            return float("inf")
        first, second, third = (abs(increment) for increment in self.increments)
        # The map never falls but by rounding, so a fall tells how large that is.
        noise = max(FLOOR * abs(self.value), -min(self.increments))
        if max(second, third) <= noise:
            return 0.0
        if not third < second < first:
            return float("inf")
        shrinkage = max(third / second, second / first)
        return third * shrinkage / (1 - shrinkage)


class Accelerator(Protocol):
    """A guest in the loop."""

    step: str
    """Name of the kind of step that was proposed last."""

    def begin(self, start: Evaluation) -> None:
        """Take the point to start from."""

    def follow(self, earlier: Accelerator) -> None:
        """Take over, before `begin`, what was learned on a part of the data."""

    def propose(self, current: Evaluation) -> Any | None:
        """Return a point to try, or None for the plain step."""

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Take the outcome of the step from `current` to `trial`."""

    @property
    def progress(self) -> Progress | None:
        """What a later loop can continue from, if it starts at the last point."""

    @property
    def remaining(self) -> float:
        """Estimate of what is left to be gained; infinite while not trusted."""
