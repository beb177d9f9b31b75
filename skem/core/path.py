"""Mixtures of one structure over a path of numbers of components.

What is found at one K starts its neighbours: every large cluster of K − 1 is split, the
pairs of K + 1 that overlap the most are merged. Beside them come fresh clusterings, and
those that other structures have found at the same K. A start is worth one pass, the
best few get a few more, and the best of these is followed until little is left. Only
what is worth it is followed to the end.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skem.core.accelerate import Accelerator, Chart, Plain
from skem.core.blocks import ArrayBlocks
from skem.core.em import EMMap, Evaluation
from skem.core.parameters import Parameters
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.sketch import Sketch
from skem.core.solve import Solution, solve

SPLITS = 3
"""Clusters that are split, at most."""
MERGES = 2
"""Pairs that are merged."""
SURVIVORS = 1
"""Starts of each origin that get more than one pass."""
SCREENING = 2
"""Plain steps that each of them gets."""
ROUGH = 1.0
"""Nats that may be left on the path: the order of starts is clear."""
REACH = 3.0
"""Nats that a screened start may be behind the present best, and be followed."""
POOL_ROWS = 4_000
POOL_ROWS_PER_COMPONENT = 200
GROWTH = 8
"""Largest ratio of the sizes of successive subsamples."""

Accelerate = Callable[[Callable[[Parameters], Chart]], Accelerator]


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


def narrowed(sketch: Sketch, n_components: int) -> list[Sketch]:
    """Clusterings of fewer clusters, by merging; the last merger in several ways."""
    while len(sketch) > n_components + 1:
        sketch = sketch.merge(*sketch.closest(1)[0])
    return [sketch.merge(i, j) for i, j in sketch.closest(MERGES)]


def widened(sketch: Sketch, n_components: int) -> list[Sketch]:
    """Clusterings of more clusters, by splitting; the last split in several ways."""
    while len(sketch) < n_components - 1:
        sketch = sketch.split(int(sketch.largest(1)[0]))
    return [sketch.split(int(k)) for k in sketch.largest(SPLITS)]


class Path:
    """The best mixtures of one structure, for several numbers of components.

    `em` is the problem of one component. `found` maps K to its best mixture, and lacks
    those for which every start met a covariance that must not be repaired. `seconds`
    counts the time that each K took. What is found at the beginning is taken to come
    from walking up.
    """

    def __init__(
        self,
        em: EMMap,
        components: Iterable[int],
        accelerate: Accelerate,
        tol: float,
        max_iter: int,
        found: dict[int, Found] | None = None,
    ) -> None:
        self.em = em
        self.components = sorted(components)
        self.found: dict[int, Found] = dict(found or {})
        self._accelerate = accelerate
        self._tol = tol
        self._max_iter = max_iter
        self.seconds: defaultdict[int, float] = defaultdict(float)
        self._tried = {
            (K, "below"): self.found[before].sketch
            for before, K in pairwise(self.components)
            if before in self.found
        }

    def walk_up(self, fresh: dict[int, list[Sketch]] | None = None) -> None:
        """Improve every K, from the fewest components, by splits of the one before."""
        for before, K in zip([None, *self.components], self.components, strict=False):
            origins = [fresh[K]] if fresh else []
            self.improve(K, [*origins, self._handed(before, K, "below", widened)])

    def walk_down(self, others: Sequence[dict[int, Sketch]] = ()) -> None:
        """Improve every K, from the most components, by mergers of the one after.

        `others` are sketches that other structures have found, in the coordinates of
        this one.
        """
        downwards = self.components[::-1]
        for after, K in zip([None, *downwards], downwards, strict=False):
            theirs = [sketches[K] for sketches in others if K in sketches]
            self.improve(K, [theirs, self._handed(after, K, "above", narrowed)])

    def _handed(
        self,
        neighbour: int | None,
        K: int,
        origin: str,
        change: Callable[[Sketch, int], list[Sketch]],
    ) -> list[Sketch]:
        """Return starts from the neighbour, unless it has given them before."""
        if neighbour not in self.found:
            return []
        sketch = self.found[neighbour].sketch
        if self._tried.get((K, origin)) is sketch:
            return []
        self._tried[K, origin] = sketch
        return change(sketch, K)

    def improve(self, K: int, origins: Iterable[list[Sketch]]) -> bool:
        """Follow the best of the starts, if it may lead beyond what has been found.

        Returns whether it did.
        """
        with self._timed(K):
            solution = self._best_led_to(K, origins)
            present = self.found.get(K)
            if solution is None or (
                present is not None
                and solution.evaluation.objective <= present.objective + 0.1 * ROUGH
            ):
                return False
            self.found[K] = Found.of_solution(solution.evaluation.em, solution)
            return True

    @contextmanager
    def _timed(self, K: int) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[K] += time.perf_counter() - began

    def _best_led_to(self, K: int, origins: Iterable[list[Sketch]]) -> Solution | None:
        """Return where the best of the starts leads to, if it is near the present."""
        em = self.em.for_components(K)
        screened = [
            evaluation
            for sketches in origins
            for evaluation in self._screened(em, sketches)
        ]
        if not screened:
            return None
        best = max(screened, key=lambda evaluation: evaluation.objective)
        present = self.found.get(K)
        if present is not None and best.objective < present.objective - REACH:
            return None
        try:
            return self._follow(em, best.parameters, self._rough)
        except IllDefinedCovarianceError:
            return None

    @property
    def _rough(self) -> float:
        return max(ROUGH, self._tol)

    def _screened(self, em: EMMap, sketches: list[Sketch]) -> list[Evaluation]:
        """Give each start one pass, and the best of them a few more."""
        trials = []
        for sketch in sketches:
            try:
                trials.append(em.evaluate(sketch.start(em)))
            except IllDefinedCovarianceError:
                continue
        trials.sort(key=lambda trial: -trial.objective)
        survivors = []
        for trial in trials[:SURVIVORS]:
            try:
                survivors.append(self._steps(em, trial.successor))
            except IllDefinedCovarianceError:
                continue
        return survivors

    def _steps(self, em: EMMap, start: Parameters) -> Evaluation:
        """Take a few plain steps."""
        trial = solve(em.evaluate, start, Plain(em.chart), tol=0, max_iter=SCREENING)
        return trial.evaluation

    def _follow(
        self, em: EMMap, start: Parameters, tol: float, earlier: Solution | None = None
    ) -> Solution:
        accelerator = self._accelerate(em.chart)
        if earlier is not None:
            accelerator.follow(earlier.accelerator)
        return solve(em.evaluate, start, accelerator, tol=tol, max_iter=self._max_iter)

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
                em = self.em.for_components(K)
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
                solution = self._follow(em, parameters, self._rough, solution)
                parameters = solution.evaluation.parameters
            assert solution is not None
            return solution

    def refine(
        self,
        K: int,
        stages: Sequence[EMMap],
        start: Parameters,
        fresh: Iterable[Sketch],
    ) -> Solution:
        """Give one K more starts, and follow it to the end on all rows.

        `start` is where it is settled. Raises `IllDefinedCovarianceError` if nothing
        leads to an end.
        """
        starts = [start]
        if self.improve(K, [[sketch] for sketch in fresh]):
            starts.append(self.settle(K, stages).evaluation.parameters)
        ends = []
        for start in starts:
            try:
                ends.append(self.finish(K, stages[-1], start))
            except IllDefinedCovarianceError:
                continue
        if not ends:
            raise IllDefinedCovarianceError
        return max(ends, key=lambda solution: solution.evaluation.objective)

    def finish(self, K: int, em: EMMap, start: Parameters) -> Solution:
        """Follow a start to the end.

        Raises `IllDefinedCovarianceError` if it leads nowhere.
        """
        with self._timed(K):
            return self._follow(em.for_components(K), start, self._tol)


def growing(em: EMMap, n_components: int, rng: np.random.RandomState) -> list[EMMap]:
    """Return the problem on random samples of growing size, and on all rows.

    The path is walked on the first. It has enough rows for so many components, and is
    in memory.
    """
    size = max(POOL_ROWS, POOL_ROWS_PER_COMPONENT * n_components)
    stages = []
    while 2 * size < em.blocks.n_samples:
        stages.append(em.restricted(size, rng))
        size *= GROWTH
    if not stages and not isinstance(em.blocks, ArrayBlocks):
        stages.append(em.restricted(em.blocks.n_samples, rng))
    return [*stages, em]
