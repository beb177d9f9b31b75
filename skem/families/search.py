"""Look for a good optimum of a table's mixture: every start is a labelling of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.mixture.seeds import (
    Initializer,
    kmeans,
    nearest_kmeans_seed,
    nearest_random_row,
    on_checked_data,
)
from skem.core.solve.loop import Solution
from skem.families.point import Point
from skem.families.table_map import Evaluation, TableMap

STARTS = 10
EACH = 4
"""Starts for each component, at most."""
SCREENING = 8
"""Steps that each start gets."""
BESIDE = 4
"""Starts of its own, where a neighbour has others."""
MERGES = 6
MOVES = 10
TRIAL = 12
"""Steps that each move gets."""
ROUNDS = 10
FINISHED = 2
"""Moves of a round that are finished, at most."""
WINDOW = 5
"""Steps whose gain may come so many times again, before a run is given up."""
PATIENCE = 2
"""Rounds of moves without a gain that end the search, once there was one."""
GAIN = 0.01
"""Nats from which a move was worth it."""
HOPE = 2.0
"""Times the gain of the last step that each of as many more may gain."""
POOL = 10_000
POOL_PER_COMPONENT = 200
CLUSTERED = 2000
"""Rows that k-means sees, at least."""
LIKELY = 0.3
"""Share of a row that random labels leave to all components."""


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
    ) -> Solution:
        """Run."""


class Trial(NamedTuple):
    """Where a start has come to, the objective there, and what is hoped for."""

    parameters: Point
    objective: float
    hope: float


@dataclass(frozen=True)
class TableSearch:
    """Diverse starts, the best of them finished; then moves of components.

    On many rows that is done on a part of them, and carried on to all.
    """

    n_components: int
    rng: np.random.RandomState
    finish: Finish
    neighbour: Neighbour | None = None

    def optimum(self, em: TableMap) -> Solution:
        """Return where the search ends."""
        pool = self.pool(em)
        best = self.improved(pool, self.first(pool))
        if pool is em:
            return best
        return self.finish(em, best.evaluation.parameters, best)

    def pool(self, em: TableMap) -> TableMap:
        """Return the map of some of many rows."""
        most = max(POOL, POOL_PER_COMPONENT * self.n_components)
        if em.n_samples <= 2 * most:
            return em
        rows = np.sort(self.rng.permutation(em.n_samples)[:most])
        return em.taken(rows[em.weight[rows] > 0])

    def first(self, em: TableMap) -> Solution:
        """Finish the best start."""
        # One component has one optimum.
        most = EACH * self.n_components if self.n_components > 1 else 1
        starts = list(self.starts(em, min(most, STARTS)))
        if self.neighbour is not None:
            starts = starts[:BESIDE] + self.beside(em, self.neighbour)
        trials = self.climbed(em, starts, SCREENING)
        return self.finish(em, trials[0].parameters, None)

    def beside(self, em: TableMap, neighbour: Neighbour) -> list[Point]:
        """Split a component of a neighbour that has one less, or merge two."""
        resp = neighbour(em)
        if len(resp) > self.n_components:
            return [em.labelled(each) for each in merged(resp, em.weight)]
        Z = np.ascontiguousarray(em.product.embed(em.numbers()))
        share = resp @ em.weight
        found = []
        for _ in range(min(MOVES, EACH * len(resp)) - BESIDE):
            split = self.rng.choice(len(resp), p=share / share.sum())
            wider = np.vstack([resp, np.zeros(len(Z))])
            found.append(em.labelled(self.halved(Z, wider, len(resp), split)))
        return found

    def lowered(self, em: TableMap, point: Point, neighbour: Neighbour) -> Any:
        """Merge components of a neighbour that has one more than a mixture.

        Returns a better optimum than `point` is, or None.
        """
        pool = self.pool(em)
        value = pool.evaluate(point).objective
        starts = [pool.labelled(each) for each in merged(neighbour(pool), pool.weight)]
        found = self.better(pool, starts, value)
        if found is None or pool is em:
            return found
        whole = self.finish(em, found.evaluation.parameters, found)
        gained = whole.evaluation.objective - em.evaluate(point).objective
        return whole if gained > GAIN else None

    def starts(self, em: TableMap, most: int) -> Iterator[Point]:
        """Label rows by k-means, then at random and by near rows, in turn."""
        Z, K = (
            np.ascontiguousarray(em.product.embed(em.numbers())),
            self.n_components,
        )
        first: Initializer = kmeans_of_some
        methods: list[Initializer] = [
            random_labels,
            nearest_kmeans_seed,
            nearest_random_row,
        ]
        if len(Z) < K:
            # Of few distinct rows, each with a weight.
            first, methods = random_labels, [random_labels]
        weight = np.where(em.weight > 0, em.weight, 1e-300)
        for i in range(most):
            with on_checked_data():
                method = methods[i % len(methods)] if i else first
                resp = method(Z, weight, K, self.rng)
            # An empty component is a small share of everything.
            yield em.labelled(0.99 * resp + 0.01 / K)

    def climbed(self, em: TableMap, starts: Sequence[Point], steps: int) -> list[Trial]:
        """Take plain steps, and give up the worse half half-way; the best first."""
        here = _evaluated(em, starts)
        before = here
        for step in range(steps):
            points = [each.successor for each in here]
            if step == steps // 2:
                order = np.argsort(-_objectives(here), kind="stable")
                mixtures = [each for point in points for each in point.mixtures]
                points = [mixtures[i] for i in order[: (len(order) + 1) // 2]]
                here = _evaluated(em, points)
                continue
            before, here = here, [em.evaluate(point) for point in points]
        ends = _objectives(here)
        gains = ends - _objectives(before)
        mixtures = [each for e in here for each in e.parameters.mixtures]
        ahead = ends + HOPE * steps * gains
        order = np.argsort(-ahead, kind="stable")
        return [Trial(mixtures[i], float(ends[i]), float(ahead[i])) for i in order]

    def improved(self, em: TableMap, best: Solution) -> Solution:
        """Move components as long as that leads to better optima."""
        failed, patience = 0, 1
        for _ in range(ROUNDS if self.n_components > 1 else 0):
            found = self.moved(em, best)
            if found is None:
                failed += 1
                if failed == patience:
                    break
            else:
                # Where there was a better optimum, there may be others.
                best, failed, patience = found, 0, PATIENCE
        return best

    def moved(self, em: TableMap, best: Solution) -> Solution | None:
        """Take one component away and split another, at random, a few times."""
        point, value = best.evaluation.parameters, best.evaluation.objective
        resp = np.hstack([each for _, _, each in em.posterior(point)])
        Z = np.ascontiguousarray(em.product.embed(em.numbers()))
        count = min(MOVES, EACH * self.n_components)
        starts = [em.labelled(self.relabelled(Z, resp)) for _ in range(count)]
        return self.better(em, starts, value)

    def better(
        self, em: TableMap, starts: Sequence[Point], value: float
    ) -> Solution | None:
        """Return an optimum above a value that the most hopeful starts lead to."""
        for trial in self.climbed(em, starts, TRIAL)[:FINISHED]:
            if trial.hope <= value:
                break
            end = self.finish(em, trial.parameters, None, hopeless_below(value))
            if end.evaluation.objective > value + GAIN:
                return end
        return None

    def relabelled(self, Z: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Give the rows of a component to the others, and halve another one."""
        K = len(resp)
        away, split = self.rng.choice(K, 2, replace=False)
        left = resp.copy()
        left[away] = 0
        total = left.sum(axis=0)
        share = resp.sum(axis=1) + 1e-9
        share[away] = 0
        left = np.where(total > 1e-6, left / np.maximum(total, 1e-300), 0.0)
        # What belonged to that component alone goes by size.
        left += (total <= 1e-6) * (share / share.sum())[:, None]
        return self.halved(Z, left, away, split)

    def halved(
        self, Z: np.ndarray, resp: np.ndarray, away: int, split: int
    ) -> np.ndarray:
        """Give the rows of a component that are nearer to one than to another away."""
        left = resp.copy()
        rows = np.flatnonzero(left[split] > 0.5)
        if len(rows) < 2:
            rows = np.arange(Z.shape[0])
        a, b = self.rng.choice(rows, 2, replace=len(rows) < 2)
        nearer = ((Z - Z[a]) ** 2).sum(axis=1) < ((Z - Z[b]) ** 2).sum(axis=1)
        left[away] = left[split] * (0.1 + 0.8 * nearer)
        left[split] -= left[away]
        return left


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


def kmeans_of_some(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """K-means of a part of many rows, and the nearest centre of the others."""
    most = max(CLUSTERED, POOL_PER_COMPONENT * n_components)
    if len(Z) <= most:
        return kmeans(Z, weight, n_components, rng)
    rows = np.sort(rng.permutation(len(Z))[:most])
    resp = kmeans(Z[rows], weight[rows], n_components, rng) * weight[rows]
    sizes = np.maximum(resp.sum(axis=1, keepdims=True), 1e-300)
    nearest = cdist(resp @ Z[rows] / sizes, Z, "sqeuclidean").argmin(axis=0)
    return (nearest == np.arange(n_components)[:, None]).astype(float)


def random_labels(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Uniform draws from the simplex, in part, as latent classes are started."""
    draws = rng.exponential(size=(n_components, len(Z)))
    return (1 - LIKELY) * draws / draws.sum(axis=0) + LIKELY / n_components


def hopeless_below(value: float) -> Callback:
    """Return what tells a run to end that will not come as high as `value`."""
    heights: deque[float] = deque(maxlen=WINDOW + 1)

    def give_up(n_iter: int, current: Any, accelerator: Any) -> bool:
        heights.append(current.objective)
        hope = heights[-1] + WINDOW * (heights[-1] - heights[0])
        return len(heights) > WINDOW and hope <= value

    return give_up


def _evaluated(em: TableMap, points: Sequence[Point]) -> list[Evaluation]:
    """Take one pass at all points, or at each, if their mixtures do not stack."""
    if em.product.apart and len(points) > 1:
        points = [Point.stacked(points)]
    return [em.evaluate(point) for point in points]


def _objectives(evaluations: Sequence[Evaluation]) -> np.ndarray:
    return np.concatenate([each.objectives for each in evaluations])
