"""Leave a poor optimum: take one component away, and split another one.

Local optima of mixtures mostly have two components where one would do, and one where it
takes two. A random swap of a component's place, kept if a few steps show a gain, mends
that at less cost than starts from scratch (Ueda et al. 2000, Neural Computation
12(9); Zhao et al. 2012, Pattern Recognition Letters 33(16)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.parameters import Parameters, placed, shares
from skem.core.mixture.em import EMMap
from skem.core.search.initialize import LABELS, Rows, started_together, subsample

CERTAIN = 1e-12
"""Probability that a row keeps of belonging to each of the components."""


@dataclass(frozen=True)
class Moves:
    """Ways to leave a mixture, drawn at random.

    `resp` (K, n) are posterior probabilities of the rows, with noise in one more row if
    there is any; `dispensable` are the components that may go, those that would be
    missed the least first.
    """

    em: EMMap
    parameters: Parameters
    rows: Rows
    resp: np.ndarray
    dispensable: np.ndarray

    @classmethod
    def away_from(
        cls, em: EMMap, parameters: Parameters, rng: np.random.RandomState
    ) -> Moves:
        """Look at a subsample of the data."""
        rows = subsample(em, len(parameters.weights), rng)
        resp = responsibilities(em, parameters, rows.block)
        order = dispensable(resp[: len(parameters.weights)], rows.weight)
        order = order[em.movable(len(order))[order]]
        return cls(em, parameters, rows, resp, order)

    def drawn(self, count: int, rng: np.random.RandomState) -> list[Parameters]:
        """Take a dispensable component away and split the one that owns a random row.

        The component that costs the least is taken every second time, the next one
        every fourth, and so on. The split is between that row and another one of the
        same component, whichever is nearer. What fails is left out.
        """
        K, n = len(self.parameters.weights), len(self.rows.Z)
        most = max(1, LABELS // (2 * n))
        places = np.minimum(rng.geometric(0.5, count), len(self.dispensable)) - 1
        gone = self.dispensable[places]
        weight = self.rows.weight
        here = rng.choice(n, count, p=weight / weight.sum())
        owners = self.resp[:, here].T + CERTAIN
        owners[np.arange(count), gone] = 0
        owner = drawn_of_each(owners, rng)
        found: list[Parameters] = []
        views = self.em.views(self.rows.Z)
        for i in range(0, count, most):
            some = slice(i, i + most)
            # What the owner would have, were the other one not there.
            left = 1 - self.resp[gone[some]] + K * CERTAIN
            share = (self.resp[owner[some]] + CERTAIN) / left * weight
            there = drawn_of_each(share, rng)
            nearer = np.empty((len(there), n), bool)
            for view, Z in enumerate(views):
                own = slice(view, None, len(views))
                nearer[own] = closer(Z, here[some][own], there[own])
            halves = np.stack([share * nearer, share * ~nearer], axis=1)
            found += self._split(gone[some], owner[some], halves)
        return found

    def _split(
        self, gone: np.ndarray, owner: np.ndarray, halves: np.ndarray
    ) -> list[Parameters]:
        """Put two components, of rows with weights (2, n), in the place of two.

        For each of some moves. Noise only loses rows.
        """
        em, present = self.em, self.parameters
        of_noise = owner == len(present.weights)
        halves[of_noise, 1] = 0
        chosen, twos = started_together(em, self.rows.labelled(em, halves))
        if not chosen:
            return []
        if isinstance(twos, list):
            twos = Parameters.stacked(twos)
        pairs = np.stack([gone, np.where(of_noise, gone, owner)], axis=1)[chosen]
        sizes = halves[chosen].sum(axis=-1) / self.rows.weight.sum()
        weights = placed(present.weights, pairs, sizes)
        noise = max(float(present.noise_weight), 0.0)
        left = 1.0 if em.background is None else 1 - noise
        weights = left * shares(weights)
        shared = em.structure.shared
        moved = present.spliced(pairs, twos, weights, shared=shared)
        moved = em.constrained(moved)
        return [moved[i] for i in range(len(pairs))]


def dispensable(resp: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sort components by what taking their density away costs: −Σ v log(1 − r_k)."""
    cost = -np.log1p(-np.minimum(resp, 1 - CERTAIN)) @ weight
    return np.argsort(cost, kind="stable")


def closer(Z: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Tell which rows are closer to the one than to the other, for each pair."""
    return cdist(Z[here], Z) < cdist(Z[there], Z)


def drawn_of_each(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw an index of each row of weights, in proportion to them."""
    cumulated = np.cumsum(weights, axis=1)
    places = rng.uniform(size=len(weights)) * cumulated[:, -1]
    return (cumulated <= places[:, None]).sum(axis=1).clip(max=weights.shape[1] - 1)


def responsibilities(em: EMMap, parameters: Parameters, block: Block) -> np.ndarray:
    """Posterior probabilities (K, n)."""
    expectation = em.expectation(parameters, np.dtype(float))
    return expectation.responsibilities(block, Workspace())
