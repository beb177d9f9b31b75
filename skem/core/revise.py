"""Leave an optimum of the bound: delete, merge, or split a component.

A component of a Bayesian mixture that has lost its rows costs nothing, so that their
number may change. Each move hands rows on, and the M-step makes q of them. A delete
that raises the bound is kept (Hughes & Sudderth 2013, NeurIPS 26). The components come
out in the order of their size, in which the bound of a Dirichlet process is highest
(Kurihara, Welling & Teh 2007, IJCAI 20).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skem.core.accelerate import FLOOR
from skem.core.bayes import VariationalMap
from skem.core.climb import Trial, climb
from skem.core.em import EMMap
from skem.core.initialize import Rows, subsample
from skem.core.move import CERTAIN, dispensable, responsibilities, squared_distances
from skem.core.parameters import Parameters
from skem.core.posterior import Posterior
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.search import (
    EACH,
    FOLLOWED,
    GAIN,
    MOVES,
    NEAR,
    Search,
    farthest,
    height,
)
from skem.core.seeds import Initializer
from skem.core.solve import Solution

DELETES, MERGES = 0.3, 0.2
"""Shares of the moves; the others are splits."""
PATIENCE = 2
"""Times that moves may gain nothing before the search ends."""
LEAST = 6
"""Starts or moves that are tried at a time, at least."""
OWNED = 0.5
"""Weight of the rows, in those of one row, from which a component has some."""
FEW = 0.4
"""Share of all components, up to which starts of so many climb by themselves."""
ALIVE = 0.01
"""The same, from which it is kept during the search."""
STEPS = 7
"""Steps that each start gets."""
TRIES = 8
"""Steps that each move gets."""


def order_of_size(counts: np.ndarray) -> np.ndarray:
    """Return the components, the largest first."""
    return np.argsort(-counts, kind="stable")


def with_fewer(
    method: Initializer, n_clusters: int
) -> Callable[[np.ndarray, np.ndarray, int, np.random.RandomState], np.ndarray]:
    """Return a starting method that makes so many clusters, the largest first."""

    def fewer(
        Z: np.ndarray,
        weight: np.ndarray,
        n_components: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        resp = method(Z, weight, min(n_clusters, n_components), rng)
        return resp[order_of_size(resp @ weight)]

    return fewer


def spread_starts(
    methods: Sequence[Initializer], n_components: int, n_starts: int
) -> list[Initializer]:
    """Return starting methods of different numbers of clusters, up to K.

    The first of them are far apart, for data on which few starts are made.
    """
    numbers = np.geomspace(1, n_components, n_starts).round().astype(int)
    first = [n_starts - 1, n_starts // 2, 0, 3 * n_starts // 4, n_starts // 4]
    order = [*first, *(i for i in range(n_starts) if i not in first)]
    return [
        with_fewer(methods[place % len(methods)], int(numbers[i]))
        for place, i in enumerate(order)
    ]


def resized(em: EMMap, q: Parameters, n_components: int) -> Posterior:
    """Add empty components to q, or take away the last ones.

    An empty component has the prior for a posterior.
    """
    assert isinstance(q, Posterior) and isinstance(em, VariationalMap)
    more = n_components - len(q.counts)
    if more <= 0:
        return ordered(em, q, np.arange(n_components))
    structure, prior = em.structure, em.regularization
    counts = np.append(q.counts, np.zeros(more))
    means = np.concatenate([q.means, np.tile(prior.mean, (more, 1))])
    cholesky = q.precisions_cholesky
    if not structure.shared:
        empty = prior.empty(structure)
        cholesky = np.concatenate([cholesky, np.repeat(empty, more, axis=0)])
    return prior.of_counts(structure, counts, means, cholesky)


def ordered(em: EMMap, q: Parameters, order: np.ndarray) -> Posterior:
    """Return q of some of its components, in an order; the others are empty."""
    assert isinstance(q, Posterior) and isinstance(em, VariationalMap)
    cholesky = em.structure.ordered(q.precisions_cholesky, order)
    return em.regularization.of_counts(
        em.structure, q.counts[order], q.means[order], cholesky
    )


def alive(em: EMMap, q: Parameters) -> Posterior:
    """Return q of the components that have rows, the largest first."""
    assert isinstance(q, Posterior)
    order = order_of_size(q.counts)
    least = ALIVE * em.blocks.total_weight / em.blocks.n_observed
    return ordered(em, q, order[: max(1, np.count_nonzero(q.counts > least))])


@dataclass(frozen=True)
class Revisions:
    """Ways to leave a posterior, drawn at random.

    `resp` are responsibilities of the rows, of the components that have some; there may
    be `n_components` of them.
    """

    em: EMMap
    rows: Rows
    resp: np.ndarray
    n_components: int

    @classmethod
    def away_from(
        cls,
        em: EMMap,
        parameters: Parameters,
        n_components: int,
        rng: np.random.RandomState,
    ) -> Revisions:
        """Look at a subsample of the data."""
        rows = subsample(em, len(parameters.weights), rng)
        resp = responsibilities(em, parameters, rows.block)
        owning = resp @ rows.weight > OWNED * rows.weight.mean()
        owning[np.argmax(resp @ rows.weight)] = True
        resp = resp[owning] + CERTAIN
        return cls(em, rows, resp / resp.sum(axis=0), n_components)

    def draw(self, rng: np.random.RandomState) -> Parameters:
        """Delete, merge or split, and return the posterior of the rows handed on."""
        kind = rng.uniform()
        if len(self.resp) > 1 and kind < DELETES + MERGES:
            gone = self._dispensable(rng)
            resp = self._without(gone) if kind < DELETES else self._merged(gone)
        else:
            resp = self._split(rng)
        weighted = resp * self.rows.weight
        weighted = weighted[order_of_size(weighted.sum(axis=1))]
        return self.em.maximise(self.rows.labelled(self.em, weighted))

    def _dispensable(self, rng: np.random.RandomState) -> int:
        """Return a component: the one that is missed the least mostly."""
        order = dispensable(self.resp, self.rows.weight)
        return int(order[min(rng.geometric(0.5), len(order)) - 1])

    def _without(self, gone: int) -> np.ndarray:
        resp = np.delete(self.resp, gone, axis=0) + CERTAIN
        return resp / resp.sum(axis=0)

    def _merged(self, gone: int) -> np.ndarray:
        """Give all rows of a component to the one that it shares the most with."""
        others = np.delete(self.resp, gone, axis=0)
        weighted = others * self.rows.weight
        norms = np.sqrt(np.maximum((weighted * others).sum(axis=1), CERTAIN))
        heir = int(np.argmax(weighted @ self.resp[gone] / norms))
        others[heir] += self.resp[gone]
        return others

    def _split(self, rng: np.random.RandomState) -> np.ndarray:
        """Split the component that owns a random row; another one goes, if all are."""
        Z, weight = self.rows.Z, self.rows.weight
        full = len(self.resp) == self.n_components
        resp = self._without(self._dispensable(rng)) if full else self.resp
        here = rng.choice(len(Z), p=weight / weight.sum())
        owners = resp[:, here] + CERTAIN
        owner = int(rng.choice(len(resp), p=owners / owners.sum()))
        share = (resp[owner] + CERTAIN) * weight
        there = rng.choice(len(Z), p=share / share.sum())
        nearer = squared_distances(Z, here) < squared_distances(Z, there)
        halves = np.stack([resp[owner] * nearer, resp[owner] * ~nearer])
        return np.concatenate([np.delete(resp, owner, axis=0), halves])


@dataclass(frozen=True)
class BayesianSearch(Search):
    """A search in which the number of components with rows may change.

    Components without rows cost nothing: they are left out until the end.
    """

    def optimum(self, em: EMMap) -> Solution:
        """Search among the components with rows, and end with all of them."""
        return self.completed(em, super().optimum(em))

    def first(self, em: EMMap) -> Solution:
        """Finish the best start; another one, if that does not come to an end."""
        starts = list(self.starts(em))
        sizes = np.array([len(start.weights) for start in starts])
        few = sizes <= FEW * self.n_components
        trials = [
            trial
            for group in (few, ~few)
            for trial in self.climbed(
                em, [starts[i] for i in np.flatnonzero(group)], STEPS
            )
        ]
        best = None
        for trial in sorted(trials, key=lambda trial: -trial.objective):
            if best is not None and trial.objective <= height(best):
                break
            try:
                end = self.finish(em, alive(em, trial.parameters))
            except IllDefinedCovarianceError:
                continue
            if best is None or height(end) > height(best):
                best = end
        if best is None:
            raise IllDefinedCovarianceError
        return best

    def climbed(
        self, em: EMMap, starts: Sequence[Parameters], steps: int
    ) -> list[Trial]:
        """Let starts of different numbers of components climb together."""
        most = max((len(start.weights) for start in starts), default=0)
        return climb(em, [resized(em, start, most) for start in starts], steps)

    def improved(self, em: EMMap, best: Solution) -> Solution:
        """Move components as long as that leads to better optima.

        Where few moves are tried at a time, they are tried more often.
        """
        times = -(-MOVES // self.affordable(em, MOVES))
        patient = replace(self, patience=max(self.patience, PATIENCE, times))
        return super(BayesianSearch, patient).improved(em, best)

    def affordable(self, em: EMMap, most: int, each: int = EACH) -> int:
        """Return how many starts or moves are tried: most components may be empty."""
        return min(most, max(LEAST, super().affordable(em, most, each)))

    def after_moves(self, em: EMMap, best: Solution) -> Solution:
        """Try several moves, and finish the first of the most hopeful that gains."""
        trials = self.climbed(em, list(self.moved(em, best)), TRIES)
        trials.sort(key=Trial.hope, reverse=True)
        for trial in trials[:FOLLOWED]:
            if trial.hope() <= height(best):
                break
            if self.returned(em, best, trial):
                continue
            try:
                trial = replace(trial, parameters=alive(em, trial.parameters))
                run = self.race(em, trial, height(best))
                if height(run) > height(best) + GAIN:
                    end = self.finish(em, run.evaluation.parameters, run)
                    if height(end) > height(best) + GAIN:
                        return end
            except IllDefinedCovarianceError:
                continue
        return best

    def returned(self, em: EMMap, best: Solution, trial: Trial) -> bool:
        """Whether a trial has come back to what it left."""
        here, there = (
            alive(em, q) for q in (best.evaluation.parameters, trial.parameters)
        )
        if here.shape != there.shape:
            return False
        return farthest(em.chart(here), there) < NEAR

    def moved(self, em: EMMap, best: Solution) -> Iterator[Parameters]:
        """Move components at random; what fails is left out."""
        q = alive(em, best.evaluation.parameters)
        revisions = Revisions.away_from(em, q, self.n_components, self.rng)
        for _ in range(self.affordable(em, MOVES)):
            try:
                yield revisions.draw(self.rng)
            except IllDefinedCovarianceError:
                continue

    def completed(self, em: EMMap, best: Solution) -> Solution:
        """Finish with all components, in the order of their size.

        In the order that there is, where the bound falls otherwise.
        """
        K, before = self.n_components, best.evaluation.parameters
        assert isinstance(before, Posterior)
        order = order_of_size(before.counts)
        end = self.finish(em, resized(em, ordered(em, before, order), K))
        rounding = FLOOR * abs(height(best))
        if height(end) >= height(best) - rounding or (np.diff(order) > 0).all():
            return end
        return self.finish(em, resized(em, before, K))
