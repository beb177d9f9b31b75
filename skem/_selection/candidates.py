"""The candidates of a model selection: found together, and judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed

from skem._selection.alike import as_alike, first_alike
from skem._selection.grid import Candidate, worth_refining
from skem._selection.nested import nested
from skem._selection.problem import Effort, Problem
from skem._selection.refine import refine
from skem._selection.walk import Settled, fresh_clusterings, walked_down
from skem.core.gaussian.covariance import SHAPES, Structure

SHORT = 0.3
"""Nats, for each parameter, that a candidate may be short of its optimum."""
CLOSE = 8.0
"""Nats behind the best one within which candidates are searched with patience."""
PATIENCE = 3
"""Times in a row that moves of components may gain nothing then."""
MORE = 5
"""Searches of those by themselves, until one leads to what was found."""


def candidates(
    problem: Problem, covariance_types: Sequence[str], n_jobs: int | None
) -> list[Candidate]:
    """Fit every candidate; structures in parallel.

    Structures exchange what they have found when some of them have scouted their path,
    and what it is worth when all are settled: then those near the best candidate are
    searched as a single fit is, with what was found for one more start, and those close
    to it with more patience, and once more by themselves; and others, should they now
    be as near. So the result does not depend on how many structures are worked on at a
    time.
    """
    asked = [SHAPES[name] for name in covariance_types]
    with problem.opened() as blocks:
        first = first_alike(asked, blocks.n_features)
    places = sorted(set(first))
    structures = [asked[place] for place in places]
    rng = np.random.RandomState(problem.seed)
    fresh = fresh_clusterings(problem, structures, rng)
    # Processes: on small data most of the time goes to Python, which threads would
    # share; on large ones a fit has threads of its own.
    with Parallel(n_jobs=n_jobs) as parallel:
        settled = searched(
            parallel,
            problem,
            structures,
            walked_down(parallel, problem, structures, fresh),
        )
    settled = nested(problem, structures, settled)
    fitted = [each.candidates for each in settled]
    by_place = dict(zip(places, fitted, strict=True))
    columns = [
        by_place[place] if place == own else as_alike(asked[own], by_place[place])
        for own, place in enumerate(first)
    ]
    rows = zip(*columns, strict=True)
    return [candidate for row in rows for candidate in row]


def searched(
    parallel: Parallel,
    problem: Problem,
    structures: Sequence[Structure],
    on_paths: list[Settled],
) -> list[Settled]:
    """Search for those that may yet be the best, with more and more effort."""
    settled = on_paths
    for effort in (
        Effort(0, problem.margin, SHORT, problem.n_init, 1),
        Effort(1, 2 * CLOSE, 0.0, problem.n_init, 1),
        Effort(2, CLOSE, 0.0, 0, PATIENCE, MORE),
    ):
        done: list[set[int]] = [set() for _ in structures]
        if effort.turn == 1:
            # There is more where there was more than what the path leaves.
            pairs = zip(settled, on_paths, strict=True)
            done = [each.no_better_than(before) for each, before in pairs]
        while True:
            fitted = [each.candidates for each in settled]
            near = worth_refining(
                fitted, problem.criterion, effort.margin, effort.short
            )
            near = [those - known for those, known in zip(near, done, strict=True)]
            if not any(near):
                break
            settled = parallel(
                delayed(refine)(problem, structure, each, sorted(those), effort)
                for structure, each, those in zip(
                    structures, settled, near, strict=True
                )
            )
            done = [those | known for those, known in zip(near, done, strict=True)]
    return settled
