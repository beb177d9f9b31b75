"""Squared extrapolation of plain steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from skem.core.solve.accelerator import Accelerator, Chart, Evaluation, Progress
from skem.core.solve.plain import Plain


class Squarem:
    """Squared extrapolation (Varadhan & Roland 2008, scheme S3).

    From x₀, x₁ = F(x₀), x₂ = F(x₁), r = x₁ − x₀ and v = (x₂ − x₁) − r, the proposal is
    x₀ + 2αr + α²v with α = ‖r‖/‖v‖ between 1 and a limit that grows with success.
    """

    step = "em"

    def __init__(
        self, chart_at: Callable[[Any], Chart], progress: Progress | None = None
    ) -> None:
        self._chart_at = chart_at
        self._limit = 4.0
        self._alpha = 1.0
        self._previous: Evaluation | None = None
        self._estimates: deque[float] = deque([np.inf, np.inf], maxlen=2)
        self._plain = Plain(chart_at, progress)

    @property
    def progress(self) -> Progress | None:
        """That of the last plain steps."""
        return self._plain.progress

    def begin(self, start: Evaluation) -> None:
        """Start a cycle."""
        self._plain.begin(start)

    def follow(self, earlier: Accelerator) -> None:
        """Take over nothing."""

    def propose(self, current: Evaluation) -> Any | None:
        """Extrapolate, once there are two plain steps from a point."""
        self.step = "em"
        if self._previous is None:
            return None
        chart = self._chart_at(current.parameters)
        x0 = chart.pack(self._previous.parameters)
        x2 = chart.pack(current.successor)
        # In this chart the current point x₁ is the origin.
        r, v = -x0, x2 + x0
        self._previous = None
        norm_v = np.linalg.norm(v)
        alpha = float(np.linalg.norm(r) / norm_v) if norm_v > 0 else 1.0
        self._estimates.append(0.5 * float(x2 @ x2) * max(float(alpha), 1.0))
        self._alpha = float(np.clip(alpha, 1.0, self._limit))
        if self._alpha == 1.0:
            return None
        self.step = "squarem"
        return chart.unpack(x0 + 2 * self._alpha * r + self._alpha**2 * v)

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Adapt the limit."""
        if self.step == "em":
            self._plain.learn(current, trial, accepted)
            self._previous = current
            return
        if not accepted:
            self._limit = max(self._limit / 4, 1.5)
        elif self._alpha == self._limit:
            self._limit *= 4
        self._plain.begin(trial if accepted else current)

    @property
    def remaining(self) -> float:
        """½‖step‖²·α of the last two cycles."""
        return max(self._estimates)
