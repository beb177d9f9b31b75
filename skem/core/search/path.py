"""Mixtures of one structure over a path of numbers of components.

What is found at one K starts its neighbours: large clusters of K − 1 are split, the
pairs of K + 1 that overlap the most are merged. Beside them come fresh clusterings, and
those that other structures have found at the same K. All of them get a few steps, and
the most hopeful is followed until little is left. So the path is walked down, up, and
down again, where neighbours have found more. Only what is worth it is followed to the
end.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.search.climb import Trial, climb, ranked
from skem.core.search.effort import GROWTH, POOL_ROWS_PER_COMPONENT, affordable
from skem.core.search.follow import Accelerate, swiftly
from skem.core.search.initialize import started
from skem.core.search.neighbours import divided, united
from skem.core.search.sketch import Sketch, stacked
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain

SPLITS = 3
"""Clusters that are split across their main axis, at most."""
CUTS = 8
"""Cuts of clusters somewhere, at most."""
UNIONS = 6
"""Pairs that are merged, at most: those by which the likelihood loses the least."""
SCREENING = 5
"""Plain steps that starts get."""
ROUGH = 1.0
"""Nats that may be left on the path: the order of starts is clear."""
PATH_ROWS = 4_000


@dataclass(frozen=True)
class Found:
    """The best mixture of K components so far, with its sketch, and how it was found.

    It goes from one process to another, so it lacks the data that a `Solution` has.
    """

    parameters: Parameters
    objective: float
    sketch: Sketch
    values: list[float]
    n_iter: int
    converged: bool

    @classmethod
    def of_trial(cls, em: EMMap, trial: Trial) -> Found:
        """Sketch the data where a trial has come to."""
        sketch = Sketch.of_mixture(em, trial.parameters)
        return cls(trial.parameters, trial.objective, sketch, [], 0, False)

    @classmethod
    def of_solution(cls, em: EMMap, solution: Solution) -> Found:
        """Strip a solution of its data, and sketch them in a pass."""
        reached = solution.evaluation
        return cls(
            reached.parameters,
            reached.objective,
            Sketch.of_mixture(em, reached.parameters),
            solution.values,
            solution.n_iter,
            solution.converged,
        )


def narrowed(sketch: Sketch, n_components: int) -> Sketch:
    """Clustering of fewer clusters, by merging."""
    while len(sketch) > n_components:
        sketch = sketch.merge(*sketch.closest(1)[0])
    return sketch


def widened(sketch: Sketch, n_components: int) -> list[Sketch]:
    """Clusterings of more clusters, by splitting; the last split in several ways."""
    while len(sketch) < n_components - 1:
        sketch = sketch.split(int(sketch.largest(1)[0]))
    return [sketch.split(int(k)) for k in sketch.largest(SPLITS)]


class Path:
    """The best mixtures of one structure, for several rising numbers of components.

    `em` is the problem of one component. `found` maps K to its best mixture, and lacks
    those for which every start met a covariance that must not be repaired. `seconds`
    counts the time that each K took.
    """

    def __init__(
        self,
        em: EMMap,
        components: Sequence[int],
        accelerate: Accelerate,
        tol: float,
        max_iter: int,
        found: dict[int, Found] | None = None,
    ) -> None:
        self.em = em
        self.components = components
        self.found: dict[int, Found] = dict(found or {})
        self._accelerate = accelerate
        self._tol = tol
        self._max_iter = max_iter
        self.seconds: defaultdict[int, float] = defaultdict(float)
        self._problems: dict[int, EMMap] = {}
        self._told: dict[tuple[int | None, int], Found] = {}

    def problem(self, K: int) -> EMMap:
        """Return the problem of K components, which keeps what it has made ready."""
        if K not in self._problems:
            self._problems[K] = self.em.for_components(K)
        return self._problems[K]

    def scout(self, fresh: dict[int, list[Sketch]], *, quick: bool = False) -> None:
        """Find something for every K, from fresh starts and splits of the one before.

        And from the `quick` fits that scales are taken from, where there are any.
        The best start is left where a few steps have taken it.
        """
        for before, K in self._with_neighbours(self.components):
            with self._timed(K):
                em = self.problem(K)
                near = None if before is None else self.found.get(before)
                sketches = [*fresh[K], *(widened(near.sketch, K) if near else [])]
                starts = self.starts(em, sketches)
                clusters = em.clusters(K) if quick else None
                if clusters is not None:
                    starts.append(clusters)
                trials = climb(em, starts, SCREENING)
                if trials:
                    self.found[K] = Found.of_trial(em, trials[0])

    @staticmethod
    def _with_neighbours(
        components: Sequence[int],
    ) -> Iterator[tuple[int | None, int]]:
        """Yield each K after the one that was before it."""
        yield from zip([None, *components], components, strict=False)

    def walk_down(self, others: Sequence[dict[int, Sketch]] = ()) -> None:
        """Improve every K, from the most components, by mergers of the one after.

        `others` are sketches that other structures have found, in the coordinates of
        this one.
        """
        for after, K in self._with_neighbours(self.components[::-1]):
            theirs = [sketches[K] for sketches in others if K in sketches]
            near = self._news(after, K)
            mergers: list[Parameters] = []
            if near is not None:
                with self._timed(K):
                    em, more = self.problem(K), narrowed(near.sketch, K + 1)
                    mergers = united(em, more, affordable(em, K, UNIONS))
            self.improve(K, theirs, mergers)

    def walk_up(self, rng: np.random.RandomState) -> None:
        """Improve every K, from the fewest components, by cuts of the one before."""
        for before, K in self._with_neighbours(self.components):
            near = self._news(before, K)
            if near is None:
                continue
            if before == K - 1:
                with self._timed(K):
                    em = self.problem(K)
                    cuts = divided(em, near.parameters, affordable(em, K, CUTS), rng)
                self.improve(K, [], cuts)
            else:
                self.improve(K, widened(near.sketch, K))

    def _news(self, neighbour: int | None, K: int) -> Found | None:
        """Return what the neighbour has found since it was last asked for K."""
        near = None if neighbour is None else self.found.get(neighbour)
        if near is None or self._told.get((neighbour, K)) is near:
            return None
        self._told[neighbour, K] = near
        return near

    def improve(
        self, K: int, sketches: Iterable[Sketch], others: Sequence[Parameters] = ()
    ) -> bool:
        """Follow the best of the starts, if it may lead beyond what has been found.

        `others` are starts beside those from sketches. Returns whether it did. What
        was only scouted is one of the starts, and is forgotten if none of them leads
        anywhere.
        """
        with self._timed(K):
            em = self.problem(K)
            starts = [*self.starts(em, sketches), *others]
            present = self.found.get(K)
            if present is not None and not present.converged:
                starts.append(self.found.pop(K).parameters)
            least = -math.inf
            if K in self.found:
                least = self.found[K].objective + 0.1 * ROUGH
            solution = self._best_led_to(em, starts, least)
            if solution is None or solution.evaluation.objective <= least:
                return False
            self.found[K] = Found.of_solution(em, solution)
            return True

    @contextmanager
    def _timed(self, K: int) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[K] += time.perf_counter() - began

    def _best_led_to(
        self, em: EMMap, starts: Sequence[Parameters], least: float
    ) -> Solution | None:
        """Return where the most hopeful start leads to, if more is hoped for.

        Others are followed where they are already beyond that.
        """
        best = None
        trials = climb(em, starts, SCREENING, least)
        for trial in ranked(trials, Trial.hope):
            if best is None:
                beyond = trial.hope() > least
            else:
                beyond = trial.objective > best.evaluation.objective
            if beyond:
                try:
                    best = self._follow(em, trial.parameters)
                except IllDefinedCovarianceError:
                    continue
        return best

    @staticmethod
    def starts(em: EMMap, sketches: Iterable[Sketch]) -> list[Parameters]:
        """Make mixtures of sketches; those that fail are left out."""
        some = [*sketches]
        if not some:
            return []
        stack = stacked(some, em.structure.quadratic)
        return [start for _, start in started(em, stack)]

    def _follow(
        self, em: EMMap, start: Parameters, earlier: Solution | None = None
    ) -> Solution:
        tol = max(ROUGH, self._tol)
        return swiftly(self._accelerate, tol, self._max_iter, em, start, earlier)

    def settle(self, K: int, stages: Sequence[EMMap]) -> Solution:
        """Follow what has been found, roughly, on each of growing samples in turn.

        The first of them is that of the path. Raises `IllDefinedCovarianceError` if
        nothing was found, or if it leads nowhere.
        """
        if K not in self.found:
            raise IllDefinedCovarianceError
        found = self.found[K]
        with self._timed(K):
            if len(stages) == 1:
                em = self.problem(K)
                return Solution(
                    em.evaluate(found.parameters),
                    found.values,
                    found.n_iter,
                    found.converged,
                    Plain(em.chart),
                )
            parameters, solution = found.parameters, None
            for stage in stages[1:]:
                em = stage.for_components(K)
                solution = self._follow(em, parameters, solution)
                parameters = solution.evaluation.parameters
            assert solution is not None
            return solution


def growing(em: EMMap, n_components: int, rng: np.random.RandomState) -> list[EMMap]:
    """Return the problem on random samples of growing size, and on all rows.

    The path is walked on the first. It has enough rows for so many components, and is
    in memory.
    """
    size = max(PATH_ROWS, POOL_ROWS_PER_COMPONENT * n_components)
    stages = []
    while 2 * size < em.blocks.n_samples:
        stages.append(em.restricted(size, rng))
        size *= GROWTH
    if not stages and not isinstance(em.blocks, ArrayBlocks):
        every = em.restricted(em.blocks.n_samples, rng)
        assert isinstance(every.blocks, ArrayBlocks)
        # Rows without a value are not taken.
        empty = em.blocks.empty_weight
        return [replace(every, blocks=replace(every.blocks, empty_weight=empty))]
    return [*stages, em]
