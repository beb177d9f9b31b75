"""The loop: follow a map θ → (θ⁺, f(θ)) until little is left to be gained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

FLOOR = 1e-12
"""Increments below this share of |f| are rounding."""


class Evaluation(Protocol):
    """A point θ with what one evaluation of the map tells of it."""

    @property
    def objective(self) -> float:
        """f(θ)."""

    @property
    def successor(self) -> Any:
        """θ⁺."""


@dataclass(frozen=True)
class Progress:
    """What the stopping rule remembers: the last value and the last increments.

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
        if max(second, third) <= FLOOR * abs(self.value):
            return 0.0
        if not third < second < first:
            return float("inf")
        shrinkage = max(third / second, second / first)
        return third * shrinkage / (1 - shrinkage)


@dataclass(frozen=True)
class Solution:
    """Where the loop ended."""

    evaluation: Any
    values: list[float]
    n_iter: int
    converged: bool
    progress: Progress


def solve(
    evaluate: Callable[[Any], Any],
    start: Any,
    *,
    tol: float,
    max_iter: int,
    progress: Progress | None = None,
    callback: Callable[[int, Any, Progress], None] | None = None,
) -> Solution:
    """Iterate until at most `tol` is left to be gained, or `max_iter` steps.

    The start costs one evaluation, and each step another. `progress` of an earlier
    call is continued if the start still has the value at which it ended. With
    ``tol=0`` only the number of steps ends the loop.
    """
    current = evaluate(start)
    value = current.objective
    if progress is None or abs(value - progress.value) > FLOOR * abs(value):
        progress = Progress(value)
    values: list[float] = []
    n_iter = 0
    converged = False
    while n_iter < max_iter and not converged:
        current = evaluate(current.successor)
        n_iter += 1
        progress = progress.advance(current.objective)
        values.append(current.loglik)
        converged = progress.remaining <= tol and tol > 0
        if callback is not None:
            callback(n_iter, current, progress)
    return Solution(current, values, n_iter, converged, progress)
