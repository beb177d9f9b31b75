"""Leave an optimum for better ones: try moves, and follow those that give hope.

A search of any family says which trials lead away from an optimum, and where each of
them ends. The rest is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.search.climb import Trial, height, ranked
from skem.core.search.move import Attempts
from skem.core.solve.loop import Solution

M = TypeVar("M", contravariant=True)

FOLLOWED = 3
"""Trials that are followed, at most."""
ROUNDS = 20
"""Times that ways out are tried, at most."""
GAIN = 0.01
"""Nats from which a move was worth it."""


class Ways(Protocol[M]):
    """Ways out of an optimum."""

    @property
    def slack(self) -> float:
        """Nats from which an end is better."""

    def trials(self, em: M, best: Solution, attempts: Attempts, /) -> list[Trial]:
        """Take a few steps from places beside the best optimum so far."""

    def followed(self, em: M, best: Solution, trial: Trial, /) -> Solution | None:
        """Return where a trial ends, or has been given up.

        None if it is on its way back.
        """


def onward(
    ways: Ways[M], em: M, best: Solution, patience: int, rounds: int = ROUNDS
) -> Solution:
    """Leave an optimum until that was in vain so many times in a row."""
    attempts = Attempts()
    for _ in range(rounds):
        found = better(ways, em, best, ways.trials(em, best, attempts))
        attempts.failures = attempts.failures + 1 if found is best else 0
        if attempts.failures == patience:
            break
        best = found
    return best


def better(ways: Ways[M], em: M, best: Solution, trials: Sequence[Trial]) -> Solution:
    """Return the first end above the best one that the most hopeful trials have.

    The best one, if none has.
    """
    least = height(best) + ways.slack
    for trial in ranked(trials, Trial.hope)[:FOLLOWED]:
        if trial.hope() <= least:
            break
        with suppress(IllDefinedCovarianceError):
            end = ways.followed(em, best, trial)
            if end is not None and height(end) > least:
                return end
    return best
