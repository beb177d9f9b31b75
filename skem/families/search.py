"""Look for a good optimum of a table's mixture: every start is a labelling of rows.

The likelihood after a few steps says little of where a start leads, in latent classes
above all. Where rows are few, many mixtures that are stacked take a step in little more
time than one does: so trials are long there, and searches are done again until some of
them agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from skem.core.mixture.seeds import (
    Initializer,
    kmeans,
    nearest_kmeans_seed,
    nearest_random_row,
)
from skem.core.search.climb import Trial, climb, height, ranked
from skem.core.search.effort import POOL_ROWS, POOL_ROWS_PER_COMPONENT
from skem.core.search.move import Attempts
from skem.core.search.onward import FOLLOWED, GAIN, better, onward
from skem.core.search.relabel import Relabelling
from skem.core.solve.loop import Solution
from skem.core.solve.plain import Plain
from skem.families.point import Point
from skem.families.table_map import Evaluation, TableChart, TableMap

STARTS = 10
EACH = 4
"""Starts for each component, at most."""
SCREENING = 12
"""Steps that each start gets."""
LIKELY = 0.3
"""Share of a row that random labels leave to all components."""
OWN_STARTS = 4
"""Starts of its own, where a neighbour has others."""
MERGES = 6
MOVES = 10
TRIAL = 16
"""Steps that each move gets."""
LIGHT = 2**18
"""Features of rows, times components, of which a light step has no more."""
LONG = 40
"""Steps that starts and moves get where these are light."""
SEARCHES = 4
"""Searches, at most, that are done there until some of them agree."""
AGREEING = 3
"""Searches that are to agree about the best end: a poor one may be found twice."""
ALIKE = 0.1
"""Nats within which the ends of two searches are the same one."""
LEFT = 0.08
"""Nats that a light search may leave: the best end goes on."""
WINDOW = 5
"""Steps whose gain may come so many times again, before a run is given up."""
PATIENCE = 2
"""Times in a row that moves may gain nothing; once, where searches are done again."""
NEAR_HEIGHT = 5.0
"""Nats below an optimum from which a run may be on its way to it."""
ARRIVED = 0.2
"""Deviations, or logarithms, from an optimum at which a run has come to it."""


Callback = Callable[[int, Any, Any], bool]


Neighbour = Callable[[TableMap], np.ndarray]
"""Responsibilities, for the rows of a map, of a mixture of one component less or more:
what it has found are starts, too."""


class Finish(Protocol):
    """A whole run from a point, which may follow an earlier one, or be given up."""

    def __call__(
        self,
        em: TableMap,
        start: Point,
        earlier: Solution | None,
        give_up: Callback | None = None,
        rough: float = 0.0,
    ) -> Solution:
        """Run; so many nats may be left, if that is more than the tolerance."""


@dataclass(frozen=True)
class TableSearch:
    """Diverse starts, the best of them finished; then moves of components.

    On many rows that is done on a part of them, and carried on to all. A `brief` search
    is as short on few rows as it is on many.
    """

    n_components: int
    rng: np.random.RandomState
    finish: Finish
    neighbour: Neighbour | None = None
    slack: float = GAIN
    brief: bool = False
    tell: Callable[[Solution], None] | None = None
    """Is called with the end of each search."""

    def optima(self, em: TableMap, n_searches: int | None) -> list[Solution]:
        """Return where so many searches end, the best first, which is brought to it.

        None: until some of them agree about the best, where steps are light.
        """
        most = n_searches or (SEARCHES if self.light(em) else 1)
        found: list[Solution] = []
        while len(found) < most and (n_searches or not agreed(found)):
            end = self.optimum(em, found[0] if found else None)
            if self.tell is not None:
                self.tell(end)
            found = sorted([*found, end], key=height, reverse=True)
        best, *others = found
        if self.light(em):
            best = self.finish(em, best.evaluation.parameters, best)
        return [best, *others]

    def light(self, em: TableMap) -> bool:
        """Whether long trials take little time: mixtures stack, and rows are few.

        Starts from a neighbour need none.
        """
        if self.brief or self.neighbour is not None or self.n_components == 1:
            return False
        size = em.n_samples * em.product.n_rows * self.n_components
        few = em.n_samples < POOL_ROWS and size <= LIGHT
        return few and em.product.apart

    def roughly(self, em: TableMap) -> float:
        """Return how many nats a run may leave."""
        return LEFT if self.light(em) else 0.0

    def optimum(self, em: TableMap, known: Solution | None = None) -> Solution:
        """Return where one search ends; at what is known if its starts lead there."""
        pool = self.pool(em)
        first = self.first(pool, known if self.light(em) else None)
        if first is known:
            return first
        best = self.improved(pool, first)
        if pool is em:
            return best
        return self.finish(em, best.evaluation.parameters, best)

    def pool(self, em: TableMap) -> TableMap:
        """Return the map of some of many rows."""
        most = max(POOL_ROWS, POOL_ROWS_PER_COMPONENT * self.n_components)
        if em.n_samples <= 2 * most:
            return em
        rows = np.sort(self.rng.permutation(em.n_samples)[:most])
        return em.taken(rows[em.weight[rows] > 0])

    def first(self, em: TableMap, known: Solution | None = None) -> Solution:
        """Finish the best start, or the best that does not lead to what is known.

        If all of them do, it is that.
        """
        trials, rough = self.screened(em), self.roughly(em)
        if known is None:
            return self.finish(em, trials[0].parameters, None, rough=rough)
        arrived = Arrived(known.evaluation)
        for trial in trials[:FOLLOWED]:
            run = self.finish(em, trial.parameters, None, arrived, rough)
            if not arrived(0, run.evaluation):
                return run
        return known

    def screened(self, em: TableMap) -> list[Trial]:
        """Take some steps from each start; the best is the first."""
        # One component has one optimum.
        most = EACH * self.n_components if self.n_components > 1 else 1
        starts = self.starts(em, min(most, STARTS))
        if self.neighbour is not None:
            starts = starts[:OWN_STARTS] + self.beside(em, self.neighbour)
        return climbed(em, starts, LONG if self.light(em) else SCREENING)

    def beside(self, em: TableMap, neighbour: Neighbour) -> list[Point]:
        """Split a component of a neighbour that has one less, or merge two."""
        resp = neighbour(em)
        if len(resp) > self.n_components:
            return [em.labelled(each) for each in merged(resp, em.weight)]
        rows = relabelling_of(em, resp)
        count = min(MOVES, EACH * len(resp)) - OWN_STARTS
        return [softly(em, rows.split(resp, self.rng)) for _ in range(count)]

    def lowered(self, em: TableMap, point: Point, neighbour: Neighbour) -> Any:
        """Merge components of a neighbour that has one more than a mixture.

        Returns a better optimum than `point` is, or None.
        """
        pool = self.pool(em)
        starts = [pool.labelled(each) for each in merged(neighbour(pool), pool.weight)]
        here = Solution(pool.evaluate(point), [], 0, True, Plain(pool.chart))
        found = better(self, pool, here, climbed(pool, starts, TRIAL))
        if found is here:
            return None
        if pool is em:
            return found
        whole = self.finish(em, found.evaluation.parameters, found)
        gained = whole.evaluation.objective - em.evaluate(point).objective
        return whole if gained > GAIN else None

    def starts(self, em: TableMap, most: int) -> list[Point]:
        """Label rows by k-means, then at random and by near rows, in turn."""
        Z, K = embedded(em), self.n_components
        first: Initializer = kmeans
        methods: list[Initializer] = [
            random_labels,
            nearest_kmeans_seed,
            nearest_random_row,
        ]
        if len(Z) < K:
            # Of few distinct rows, each with a weight.
            first, methods = random_labels, [random_labels]
        weight = np.where(em.weight > 0, em.weight, 1e-300)
        in_turn = [first, *(methods[i % len(methods)] for i in range(1, most))]
        labels = [method(Z, weight, K, self.rng) for method in in_turn]
        return [softly(em, resp) for resp in labels]

    def improved(self, em: TableMap, best: Solution) -> Solution:
        """Move components as long as that leads to better optima."""
        if self.n_components == 1:
            # It has nowhere to go.
            return best
        return onward(self, em, best, 1 if self.light(em) else PATIENCE)

    def trials(self, em: TableMap, best: Solution, attempts: Attempts) -> list[Trial]:
        """Take away a component that is missed little, and split another one."""
        point = best.evaluation.parameters
        resp = np.hstack([each for _, _, each in em.posterior(point)])
        rows = relabelling_of(em, resp)
        count = min(MOVES, EACH * self.n_components)
        starts = [softly(em, rows.moved(self.rng)) for _ in range(count)]
        if not self.light(em):
            return climbed(em, starts, TRIAL)
        chart = em.chart(point)
        # After so many steps some are back, and others are to be followed.
        return [
            trial
            for trial in climbed(em, starts, LONG)
            if trial.objective > height(best) + self.slack
            or farthest(chart, trial.parameters) > ARRIVED
        ]

    def followed(self, em: TableMap, best: Solution, trial: Trial) -> Solution:
        """Finish a trial, unless it is given up below the best."""
        give_up, rough = Hopeless(best.evaluation), self.roughly(em)
        run = self.finish(em, trial.parameters, None, give_up, rough)
        if run.converged or height(run) <= height(best) + self.slack:
            return run
        # Given up beside the optimum, and above it none the less.
        return self.finish(em, run.evaluation.parameters, run, rough=rough)


def agreed(ends: Sequence[Solution]) -> bool:
    """Whether several of the best ends, which are the first, are the same one."""
    if len(ends) < AGREEING:
        return False
    return height(ends[0]) - height(ends[AGREEING - 1]) <= ALIKE


def relabelling_of(em: TableMap, resp: np.ndarray) -> Relabelling:
    """Label the rows of a table anew; those with like features are near."""
    return Relabelling(embedded(em), em.weight, resp)


def embedded(em: TableMap) -> np.ndarray:
    """Return the rows as features, of which those that are alike are near, (n, p)."""
    return np.ascontiguousarray(em.product.embed(em.numbers()))


def softly(em: TableMap, resp: np.ndarray) -> Point:
    """M-step of responsibilities, with a small share of everything for each."""
    return em.labelled(0.99 * resp + 0.01 / len(resp))


def random_labels(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Uniform draws from the simplex, in part, as latent classes are started."""
    draws = rng.exponential(size=(n_components, len(Z)))
    return (1 - LIKELY) * draws / draws.sum(axis=0) + LIKELY / n_components


def merged(resp: np.ndarray, weight: np.ndarray) -> Iterator[np.ndarray]:
    """Join two components, those that share the most rows first."""
    K = len(resp)
    shared = (resp * weight) @ resp.T
    size = np.sqrt(np.maximum(np.diagonal(shared), 1e-300))
    pairs = np.column_stack(np.triu_indices(K, 1))
    likeness = [shared[j, k] / (size[j] * size[k]) for j, k in pairs]
    for i in np.argsort(likeness)[::-1][:MERGES]:
        j, k = pairs[i]
        joined = resp.copy()
        joined[j] += joined[k]
        yield np.delete(joined, k, axis=0)


class Arrived:
    """What tells a run to end that has come so near an optimum that it leads to it."""

    def __init__(self, best: Evaluation) -> None:
        self.value = best.objective
        self.chart = best.em.chart(best.parameters)

    def __call__(
        self, n_iter: int, current: Evaluation, accelerator: Any = None
    ) -> bool:
        """Say so after a step."""
        beside = abs(current.objective - self.value) < NEAR_HEIGHT
        return beside and farthest(self.chart, current.parameters) < ARRIVED


class Hopeless(Arrived):
    """What tells a run to end that will not come higher than an optimum, too."""

    def __init__(self, best: Evaluation) -> None:
        super().__init__(best)
        self.heights: deque[float] = deque(maxlen=WINDOW + 1)

    def __call__(
        self, n_iter: int, current: Evaluation, accelerator: Any = None
    ) -> bool:
        """Say so after a step."""
        self.heights.append(current.objective)
        hope = self.heights[-1] + WINDOW * (self.heights[-1] - self.heights[0])
        if len(self.heights) > WINDOW and hope <= self.value:
            return True
        return super().__call__(n_iter, current, accelerator)


def farthest(chart: TableChart, point: Point) -> float:
    """Return how far a point is from the chart's base, component by component.

    In standard deviations or logarithms; components are matched by their coefficients.
    """
    product = chart.product
    # Squares of what is at the ends of the range would not be numbers.
    ours, theirs = (
        np.clip(product.coefficients(each).theta, -1e100, 1e100)
        for each in (chart.base, point)
    )
    _, order = linear_sum_assignment(cdist(ours, theirs, "sqeuclidean"))
    return chart.farthest(chart.pack(product.ordered(point, order)))


def climbed(em: TableMap, starts: Sequence[Point], steps: int) -> list[Trial]:
    """Take plain steps, and give up the worse starts on the way; the best first."""
    if em.product.apart:
        found = climb(em, starts, steps)
    else:
        # Their mixtures do not stack. One start is never given up by itself.
        half = steps // 2
        begun = [trial for start in starts for trial in climb(em, [start], half)]
        found = [
            trial
            for each in ranked(begun, Trial.reached)[: (len(begun) + 1) // 2]
            for trial in climb(em, [each.parameters], steps - half)
        ]
    return ranked(found, Trial.hope)
