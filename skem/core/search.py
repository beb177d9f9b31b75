"""Look for a good optimum: diverse starts, then moves of components, then all the data.

No initialiser wins everywhere, and the likelihood after a few steps predicts the final
one poorly: so starts are diverse, and the optimum that the best of them leads to is
left again by moves of single components. The optimum of a subsample is a start that
leaves only a handful of passes over all the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Protocol

import numpy as np

from skem.core.accelerate import Accelerator
from skem.core.em import EMMap
from skem.core.initialize import Initializer, initialize
from skem.core.move import moved
from skem.core.parameters import Parameters
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.solve import Solution, solve

STARTS = 6
"""Starts that are screened; the best is finished."""
SCREENING = 6
"""Steps that each of them gets."""
MOVES = 20
"""Moves that are tried, at most."""
PATIENCE = 5
"""Moves in a row without a gain that end the search."""
TRIAL = 12
"""Steps that a move gets to show a gain."""
LOOK = 4
"""Steps after which a hopeless one is given up."""
GAIN = 0.01
"""Nats from which a move was worth it."""
POOL_ROWS = 10_000
POOL_ROWS_PER_COMPONENT = 200
GROWTH = 8
"""Ratio of the sizes of successive subsamples."""
SUBSAMPLE_VALUES = 2**23
"""Values in the largest subsample, which is copied into memory."""


class Follow(Protocol):
    """Follow the map from a start to the end, perhaps after an earlier run."""

    def __call__(
        self, em: EMMap, start: Parameters, earlier: Solution | None = None, /
    ) -> Solution:
        """Return where the map led."""


@dataclass(frozen=True)
class Search:
    """How to look for an optimum: starting methods, solver and random numbers."""

    methods: list[Initializer]
    n_components: int
    rng: np.random.RandomState
    finish: Follow
    accelerator: Callable[..., Accelerator]

    def optimum(self, em: EMMap) -> Solution:
        """Search on a pool of rows, then go on through growing subsamples."""
        size = max(POOL_ROWS, POOL_ROWS_PER_COMPONENT * self.n_components)
        whole = em.blocks.n_samples
        if whole <= 2 * size:
            return self.improved(em, self.first(em))
        pool = em.restricted(size, self.rng)
        best = self.improved(pool, self.first(pool))
        largest = min(whole - 1, SUBSAMPLE_VALUES // em.blocks.n_features)
        while size * GROWTH <= largest:
            size *= GROWTH
            part = em.restricted(size, self.rng)
            best = self.finish(part, best.evaluation.parameters, best)
        return self.finish(em, best.evaluation.parameters, best)

    def first(self, em: EMMap) -> Solution:
        """Finish the best start; another one, if that does not come to an end."""
        trials = sorted(self.trials(em), key=objective)
        while trials:
            best = trials.pop()
            try:
                return self.finish(em, best.evaluation.parameters, best)
            except IllDefinedCovarianceError:
                continue
        raise IllDefinedCovarianceError

    def trials(self, em: EMMap) -> Iterator[Solution]:
        """Take a few steps from each start; those that fail are left out."""
        for method in islice(cycle(self.methods), STARTS):
            try:
                start = initialize(em, method, self.n_components, self.rng)
                yield self.attempt(em, start, SCREENING)
            except IllDefinedCovarianceError:
                continue

    def improved(self, em: EMMap, best: Solution) -> Solution:
        """Move components as long as that leads to better optima.

        What `finish` has not brought to an end is no optimum, and left alone.
        """
        failures = 0 if best.converged else PATIENCE
        for _ in range(MOVES):
            if failures == PATIENCE:
                break
            try:
                found = self.after_move(em, best)
            except IllDefinedCovarianceError:
                found = best
            failures = 0 if objective(found) > objective(best) + GAIN else failures + 1
            best = max(best, found, key=objective)
        return best

    def after_move(self, em: EMMap, best: Solution) -> Solution:
        """Move a component, and finish if a few steps show a gain."""
        start = moved(em, best.evaluation.parameters, self.rng)
        trial = self.attempt(em, start, TRIAL, Race(objective(best), TRIAL))
        if objective(trial) <= objective(best):
            return best
        return self.finish(em, trial.evaluation.parameters, trial)

    def attempt(
        self,
        em: EMMap,
        start: Parameters,
        steps: int,
        callback: Callable[[int, Any, Accelerator], bool] | None = None,
    ) -> Solution:
        """Take a few steps."""
        return solve(
            em.evaluate,
            start,
            self.accelerator(em.chart),
            tol=GAIN,
            max_iter=steps,
            callback=callback,
        )


def objective(solution: Solution) -> float:
    """Penalised log-likelihood at the end of a run."""
    return solution.evaluation.objective


@dataclass
class Race:
    """A callback that gives a run up if it cannot catch up with a value in time."""

    value: float
    steps: int
    previous: float = -np.inf

    def __call__(self, step: int, evaluation: Any, accelerator: Accelerator) -> bool:
        """Tell whether twice the present gain would be too little."""
        gain = evaluation.objective - self.previous
        self.previous = evaluation.objective
        ahead = 2 * gain * (self.steps - step)
        return step >= LOOK and evaluation.objective + ahead < self.value
