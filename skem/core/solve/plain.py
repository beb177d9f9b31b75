"""Plain steps: the map itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skem.core.solve.accelerator import FLOOR, Accelerator, Chart, Evaluation, Progress


class Plain:
    """The map itself: no proposals."""

    step = "em"

    def __init__(
        self, chart_at: Callable[[Any], Chart], progress: Progress | None = None
    ) -> None:
        self.progress: Progress | None = progress

    def begin(self, start: Evaluation) -> None:
        """Continue the progress of an earlier loop if it ended at this value."""
        value = start.objective
        if self.progress is None or abs(value - self.progress.value) > FLOOR * abs(
            value
        ):
            self.progress = Progress(value)

    def follow(self, earlier: Accelerator) -> None:
        """Take over nothing."""

    def propose(self, current: Evaluation) -> None:
        """Propose nothing."""

    def learn(self, current: Evaluation, trial: Evaluation, accepted: bool) -> None:
        """Take the new value."""
        assert self.progress is not None
        self.progress = self.progress.advance(trial.objective)

    @property
    def remaining(self) -> float:
        """Extrapolation of the increments."""
        assert self.progress is not None
        return self.progress.remaining
