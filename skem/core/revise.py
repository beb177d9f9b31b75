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
from skem.core.em import EMMap
from skem.core.initialize import Rows, subsample
from skem.core.move import CERTAIN, dispensable, responsibilities, squared_distances
from skem.core.parameters import Parameters
from skem.core.posterior import Posterior
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.search import EACH, Search, height
from skem.core.seeds import Initializer
from skem.core.solve import Solution

DELETES, MERGES = 0.3, 0.2
"""Shares of the moves; the others are splits."""
MOVES = 10
"""Moves that are tried at a time, at most."""
PATIENCE = 2
"""Times that moves may gain nothing before the search ends."""
LEAST = 6
"""Starts or moves that are tried at a time, at least."""
OWNED = 0.5
"""Weight of the rows, in those of one row, from which a component has some."""


def order_of_size(counts: np.ndarray) -> np.ndarray:
    """Return the components, the largest first."""
    return np.argsort(-counts, kind="stable")


def with_fewer(
    method: Initializer, n_clusters: int
) -> Callable[[np.ndarray, np.ndarray, int, np.random.RandomState], np.ndarray]:
    """Return a starting method that leaves all components but so many empty."""

    def fewer(
        Z: np.ndarray,
        weight: np.ndarray,
        n_components: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        K = min(n_clusters, n_components)
        resp = method(Z, weight, K, rng)
        empty = np.zeros((n_components - K, len(Z)))
        sizes = order_of_size(resp @ weight)
        return np.concatenate([resp[sizes], empty])

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


@dataclass(frozen=True)
class Revisions:
    """Ways to leave a posterior, drawn at random.

    `resp` (K, n) are responsibilities of the rows.
    """

    em: EMMap
    rows: Rows
    resp: np.ndarray

    @classmethod
    def away_from(
        cls, em: EMMap, parameters: Parameters, rng: np.random.RandomState
    ) -> Revisions:
        """Look at a subsample of the data."""
        rows = subsample(em, len(parameters.weights), rng)
        return cls(em, rows, responsibilities(em, parameters, rows.block))

    def draw(self, rng: np.random.RandomState) -> Parameters:
        """Delete, merge or split, and return the posterior of the rows handed on."""
        counts = self.resp @ self.rows.weight
        unit = self.rows.weight.mean()
        owning = np.flatnonzero(counts > OWNED * unit)
        kind = rng.uniform()
        if len(owning) > 1 and kind < DELETES + MERGES:
            gone = self._dispensable(owning, rng)
            if kind < DELETES:
                resp = self._without(gone)
            else:
                resp = self._merged(gone, owning)
        else:
            resp = self._split(owning, rng)
        weighted = resp * self.rows.weight
        weighted = weighted[order_of_size(weighted.sum(axis=1))]
        return self.em.maximise(self.rows.labelled(self.em, weighted))

    def _dispensable(self, owning: np.ndarray, rng: np.random.RandomState) -> int:
        """Return a component with rows: the one that is missed the least mostly."""
        order = dispensable(self.resp[owning], self.rows.weight)
        return int(owning[order[min(rng.geometric(0.5), len(order)) - 1]])

    def _without(self, gone: int) -> np.ndarray:
        resp = self.resp + CERTAIN
        resp[gone] = 0
        return resp / resp.sum(axis=0)

    def _merged(self, gone: int, owning: np.ndarray) -> np.ndarray:
        """Give all rows of a component to the one that it shares the most with."""
        others = owning[owning != gone]
        weighted = self.resp[others] * self.rows.weight
        norms = np.sqrt(np.maximum((weighted * self.resp[others]).sum(axis=1), CERTAIN))
        heir = int(others[np.argmax(weighted @ self.resp[gone] / norms)])
        resp = self.resp.copy()
        resp[heir] += resp[gone]
        resp[gone] = 0
        return resp

    def _split(self, owning: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Split the component that owns a random row, into an empty one if any is."""
        Z, weight, K = self.rows.Z, self.rows.weight, len(self.resp)
        empty = np.setdiff1d(np.arange(K), owning)
        if len(empty):
            place, resp = int(empty[0]), self.resp.copy()
        else:
            place = self._dispensable(owning, rng)
            resp = self._without(place)
        here = rng.choice(len(Z), p=weight / weight.sum())
        owners = resp[:, here] + CERTAIN
        owners[place] = 0
        owner = int(rng.choice(K, p=owners / owners.sum()))
        share = (resp[owner] + CERTAIN) * weight
        there = rng.choice(len(Z), p=share / share.sum())
        nearer = squared_distances(Z, here) < squared_distances(Z, there)
        resp[place], resp[owner] = resp[owner] * nearer, resp[owner] * ~nearer
        return resp


@dataclass(frozen=True)
class BayesianSearch(Search):
    """A search in which the number of components with rows may change."""

    def improved(self, em: EMMap, best: Solution) -> Solution:
        """Move components as long as that leads to better optima, and sort them.

        Where few moves are tried at a time, they are tried more often.
        """
        times = -(-MOVES // self.affordable(em, MOVES))
        patient = replace(self, patience=max(self.patience, PATIENCE, times))
        best = super(BayesianSearch, patient).improved(em, self.sorted(em, best))
        return self.sorted(em, best)

    def affordable(self, em: EMMap, most: int, each: int = EACH) -> int:
        """Return how many starts or moves are tried: most components may be empty."""
        return min(most, max(LEAST, super().affordable(em, most, each)))

    def moved(self, em: EMMap, best: Solution) -> Iterator[Parameters]:
        """Move components at random; what fails is left out."""
        revisions = Revisions.away_from(em, best.evaluation.parameters, self.rng)
        for _ in range(self.affordable(em, MOVES)):
            try:
                yield revisions.draw(self.rng)
            except IllDefinedCovarianceError:
                continue

    def sorted(self, em: EMMap, best: Solution) -> Solution:
        """Put the components in the order of their size, unless the bound falls."""
        q = best.evaluation.parameters
        assert isinstance(q, Posterior) and isinstance(em, VariationalMap)
        order = order_of_size(q.counts)
        if (order == np.arange(len(order))).all():
            return best
        cholesky = em.structure.ordered(q.precisions_cholesky, order)
        start = em.regularization.of_counts(
            em.structure, q.counts[order], q.means[order], cholesky
        )
        end = self.finish(em, start)
        rounding = FLOOR * abs(height(best))
        return end if height(end) >= height(best) - rounding else best
