"""Paths over the numbers of components, walked by all structures together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
from joblib import Parallel, delayed

from skem._selection.grid import Candidate
from skem._selection.judge import candidate_of, unless_ill_defined
from skem._selection.problem import Problem, QuickFits
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES, Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import subsample
from skem.core.search.path import ROUGH, Found
from skem.core.search.sketch import Sketch

SPARSE = 2
"""Fresh starts of candidates of which nothing is known yet."""
DIVERSE = 3
"""The same, with the quick fits of all scouts, if there are these."""


@dataclass(frozen=True)
class Fresh:
    """Sketches of fresh clusterings for each number of components."""

    sketches: dict[int, list[Sketch]]
    coordinates: Coordinates

    def seen_from(self, there: Coordinates) -> dict[int, list[Sketch]]:
        """Return the sketches in other coordinates."""
        return {
            K: [sketch.moved(self.coordinates, there) for sketch in sketches]
            for K, sketches in self.sketches.items()
        }


@dataclass(frozen=True)
class Walked:
    """What is known of one structure's candidates, and the time that each took."""

    found: dict[int, Found]
    coordinates: Coordinates
    quick_fits: QuickFits
    seconds: dict[int, float]

    def sketches(self, there: Coordinates) -> dict[int, Sketch]:
        """Return the sketches in other coordinates."""
        return {
            K: found.sketch.moved(self.coordinates, there)
            for K, found in self.found.items()
        }


@dataclass(frozen=True)
class Settled:
    """One structure's candidates, and the parameters of each for all rows."""

    walked: Walked
    candidates: list[Candidate]
    parameters: dict[int, Parameters]

    def no_better_than(self, before: Settled) -> set[int]:
        """Return the numbers of components that have hardly gained since then."""
        pairs = zip(self.candidates, before.candidates, strict=True)
        return {
            now.n_components
            for now, then in pairs
            if not now.judged_likelihood > then.judged_likelihood + 2 * ROUGH
        }

    def updated(self, found: dict[int, tuple[Candidate, Parameters]]) -> Settled:
        """Return the same with other mixtures of some numbers of components."""
        candidates = [
            found[c.n_components][0] if c.n_components in found else c
            for c in self.candidates
        ]
        parameters = {K: parameters for K, (_, parameters) in found.items()}
        return replace(
            self, candidates=candidates, parameters=self.parameters | parameters
        )


def fresh_clusterings(
    problem: Problem, structures: Sequence[Structure], rng: np.random.RandomState
) -> Fresh:
    """Make a few fresh clusterings for each number of components.

    Distances are between standardised features and between features of one common
    scale, in turn: neither finds the clusters of all data. There are fewer where every
    structure that scouts has a quick fit.
    """
    most = min(SPARSE, problem.n_init)
    n_scouts = sum(_scouts(each, structures) for each in structures)
    method = INITIALIZERS[problem.options["init_params"]]
    scales = {each.scales_features: each for each in STRUCTURES.values()}
    with ExitStack() as stack:
        maps = [
            stack.enter_context(problem.stages(structure))[0]
            for _, structure in sorted(scales.items(), reverse=True)
        ]
        coordinates = maps[0].coordinates
        fresh: dict[int, list[Sketch]] = {}
        for K in problem.components:
            fresh[K], count = [], most
            if problem.has_quick_fit(maps[0], K):
                count = min(count, max(0, DIVERSE - n_scouts))
            # One component is the same wherever it starts.
            for em in islice(cycle(maps), count if K > 1 else min(count, 1)):
                rows = subsample(em, K, rng)
                Z = em.gathered(rows.Z)
                resp = method(Z, rows.weight, K, rng) * rows.weight
                sketch = Sketch.of_labels(em, rows, resp)
                fresh[K].append(sketch.moved(em.coordinates, coordinates))
        return Fresh(fresh, coordinates)


def walked_down(
    parallel: Parallel, problem: Problem, structures: Sequence[Structure], fresh: Fresh
) -> list[Settled]:
    """Scout the path with some structures, and walk it down with all of them.

    Others than the scouts begin with what these have seen, and where they have come to.
    """
    scouts = [each for each in structures if _scouts(each, structures)]
    rest = [each for each in structures if each not in scouts]
    seen = parallel(delayed(_walk)(problem, each, fresh) for each in scouts)
    jobs = [
        (each, own, [other for other in seen if other is not own])
        for each, own in zip(scouts, seen, strict=True)
    ]
    settled: list[Settled] = []
    for _ in range(2):
        settled += parallel(
            delayed(_settle)(problem, structures.index(each), each, own, others)
            for each, own, others in jobs
        )
        seen = [*seen, *(each.walked for each in settled)]
        jobs = [(each, None, seen) for each in rest]
    order = [[*scouts, *rest].index(each) for each in structures]
    return [settled[place] for place in order]


def _scouts(structure: Structure, structures: Sequence[Structure]) -> bool:
    """Whether it scouts the path: not if it is one with more freedom that does so.

    Shapes of covariances have clusters where the same covariances without that shape
    have theirs, or near by.
    """
    return structure.constraint is None or structure.free not in structures


def _walk(problem: Problem, structure: Structure, fresh: Fresh) -> Walked:
    """Scout the path."""
    with problem.stages(structure) as (em, *_):
        path = problem.path(em)
        path.scout(fresh.seen_from(em.coordinates), quick=problem.diverse)
        problem.say(structure, "scouted")
        return Walked(path.found, em.coordinates, em.quick_fits, dict(path.seconds))


def _settle(
    problem: Problem,
    place: int,
    structure: Structure,
    own: Walked | None,
    others: Sequence[Walked],
) -> Settled:
    """Walk down with what others have found, and go on to all rows."""
    with problem.stages(structure, own.quick_fits if own else None) as stages:
        em = stages[0]
        path = problem.path(em, own.found if own else None)
        path.seconds.update(own.seconds if own else {})
        path.walk_down([other.sketches(em.coordinates) for other in others])
        rng = np.random.RandomState([problem.seed, place])
        path.walk_up(rng)
        path.walk_down()
        solutions = {
            K: unless_ill_defined(path.settle, K, stages) for K in problem.components
        }
        problem.say(structure, "followed on all rows")
        return Settled(
            Walked(path.found, em.coordinates, em.quick_fits, dict(path.seconds)),
            [
                candidate_of(problem, structure, K, solution, path.seconds[K])
                for K, solution in solutions.items()
            ],
            {
                K: solution.evaluation.parameters
                for K, solution in solutions.items()
                if solution is not None
            },
        )
