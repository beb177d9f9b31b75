"""Several diverse starts, cheaply screened; the best ones finished, and grown.

No initialiser wins everywhere, and the likelihood after a few steps predicts the final
one poorly: so starts are diverse, and more than one survives the screening. The optimum
of a subsample is a start that leaves only a handful of passes over all the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Protocol

import numpy as np

from skem.core.accelerate import Plain
from skem.core.em import EMMap
from skem.core.initialize import Initializer, initialize
from skem.core.parameters import Parameters
from skem.core.solve import Solution, solve

STARTS = 10
"""Starts that are screened."""
SCREENING = 8
"""Plain steps that each of them gets."""
FINISHED = 3
"""Starts that are finished."""
POOL_ROWS = 10_000
POOL_ROWS_PER_COMPONENT = 200
GROWTH = 8
"""Largest ratio of the sizes of successive subsamples."""


class Finish(Protocol):
    """Follow the map from a start to the end, perhaps after a smaller problem."""

    def __call__(
        self, em: EMMap, start: Parameters, earlier: Solution | None = None, /
    ) -> Solution:
        """Return where the map led."""


def search(
    em: EMMap,
    methods: list[Initializer],
    n_components: int,
    rng: np.random.RandomState,
    finish: Finish,
) -> Iterator[Solution]:
    """Yield solutions of the whole problem, from the survivors of the screening.

    Starts are made, screened and finished on a pool of rows. If that is not all of
    them, only the best goes on, through growing subsamples.
    """
    size = max(POOL_ROWS, POOL_ROWS_PER_COMPONENT * n_components)
    whole = em.blocks.n_samples
    if whole <= 2 * size:
        for point in screened(em, methods, n_components, rng):
            yield finish(em, point)
        return
    pool = em.restricted(size, rng)
    finished = [finish(pool, p) for p in screened(pool, methods, n_components, rng)]
    best = max(finished, key=lambda solution: solution.evaluation.objective)
    while size * GROWTH < whole:
        size *= GROWTH
        best = finish(em.restricted(size, rng), best.evaluation.parameters, best)
    yield finish(em, best.evaluation.parameters, best)


def screened(
    em: EMMap,
    methods: list[Initializer],
    n_components: int,
    rng: np.random.RandomState,
) -> list[Parameters]:
    """Take a few plain steps from each start, and return the best points."""
    trials = []
    for method in islice(cycle(methods), STARTS):
        start = initialize(em, method, n_components, rng)
        trial = solve(
            em.evaluate, start, Plain(em.chart), tol=0, max_iter=SCREENING
        ).evaluation
        trials.append((trial.objective, trial.parameters))
    trials.sort(key=lambda trial: -trial[0])
    return [point for _, point in trials[:FINISHED]]
