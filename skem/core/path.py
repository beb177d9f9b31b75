"""Mixtures of one structure over a path of numbers of components.

What is found at one K starts its neighbours: every large cluster of K − 1 is split, the
pairs of K + 1 that overlap the most are merged. Beside them come fresh clusterings, and
those that other structures have found at the same K. A start is worth one pass, the
best few get a few more, and the best of these is followed until little is left.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from skem.core.accelerate import Accelerator, Chart, Plain
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
SCREENING = 4
"""Plain steps that each of them gets."""
ROUGH = 1.0
"""Nats that may be left while the path is walked: the order of starts is clear."""
REACH = 3.0
"""Nats that a screened start may be behind the present best, and be followed."""
POOL_ROWS = 4_000
POOL_ROWS_PER_COMPONENT = 200
GROWTH = 8
"""Largest ratio of the sizes of successive subsamples."""

Accelerate = Callable[[Callable[[Parameters], Chart]], Accelerator]


@dataclass(frozen=True)
class Found:
    """The best mixture of K components so far, with its sketch."""

    parameters: Parameters
    objective: float
    sketch: Sketch


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
    counts the time that each K took.
    """

    def __init__(
        self,
        em: EMMap,
        components: Iterable[int],
        accelerate: Accelerate,
        max_iter: int,
        found: dict[int, Found] | None = None,
    ) -> None:
        self.em = em
        self.components = sorted(components)
        self.found: dict[int, Found] = dict(found or {})
        self._accelerate = accelerate
        self._max_iter = max_iter
        self.seconds: defaultdict[int, float] = defaultdict(float)
        self._tried: dict[tuple[int, str], Sketch] = {}

    def walk_up(self, fresh: dict[int, list[Sketch]] | None = None) -> None:
        """Improve every K, from the fewest components, by splits of the one before."""
        for before, K in zip([None, *self.components], self.components, strict=False):
            origins = [fresh[K]] if fresh else []
            self._improve(K, [*origins, self._handed(before, K, "below", widened)])

    def walk_down(self, others: Sequence[dict[int, Sketch]] = ()) -> None:
        """Improve every K, from the most components, by mergers of the one after.

        `others` are sketches that other structures have found, in the coordinates of
        this one.
        """
        downwards = self.components[::-1]
        for after, K in zip([None, *downwards], downwards, strict=False):
            theirs = [sketches[K] for sketches in others if K in sketches]
            self._improve(K, [theirs, self._handed(after, K, "above", narrowed)])

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

    def _improve(self, K: int, origins: Iterable[list[Sketch]]) -> None:
        """Follow the best of the starts, if it may lead beyond what has been found."""
        began = time.perf_counter()
        self._follow_best(K, origins)
        self.seconds[K] += time.perf_counter() - began

    def _follow_best(self, K: int, origins: Iterable[list[Sketch]]) -> None:
        em = self.em.for_components(K)
        screened = [
            evaluation
            for sketches in origins
            for evaluation in self._screened(em, sketches)
        ]
        if not screened:
            return
        best = max(screened, key=lambda evaluation: evaluation.objective)
        present = self.found.get(K)
        if present is not None and best.objective < present.objective - REACH:
            return
        try:
            solution = self._follow(em, best.parameters, ROUGH)
        except IllDefinedCovarianceError:
            return
        reached = solution.evaluation
        if present is None or reached.objective > present.objective + 0.1 * ROUGH:
            sketch = Sketch.of_mixture(em, reached.parameters)
            self.found[K] = Found(reached.parameters, reached.objective, sketch)

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

    def finish(self, K: int, stages: Sequence[EMMap], tol: float) -> Solution:
        """Follow what has been found to the end, on each of growing samples in turn.

        Raises `IllDefinedCovarianceError` if nothing was, or if it leads nowhere.
        """
        if K not in self.found:
            raise IllDefinedCovarianceError
        parameters, solution = self.found[K].parameters, None
        began = time.perf_counter()
        for stage in stages:
            em = stage.for_components(K)
            solution = self._follow(em, parameters, tol, solution)
            parameters = solution.evaluation.parameters
        self.seconds[K] += time.perf_counter() - began
        assert solution is not None
        return solution


def growing(em: EMMap, n_components: int, rng: np.random.RandomState) -> list[EMMap]:
    """Return the problem on random samples of growing size, and on all rows.

    The path is walked on the first. It has enough rows for so many components.
    """
    size = max(POOL_ROWS, POOL_ROWS_PER_COMPONENT * n_components)
    stages = []
    while 2 * size < em.blocks.n_samples:
        stages.append(em.restricted(size, rng))
        size *= GROWTH
    return [*stages, em]
