"""Leave a poor optimum: take one component away, and split another one.

Local optima of mixtures mostly have two components where one would do, and one where it
takes two. A random swap of a component's place, kept if a few steps show a gain, mends
that at less cost than starts from scratch (Ueda et al. 2000, Neural Computation
12(9); Zhao et al. 2012, Pattern Recognition Letters 33(16)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skem.core.blocks import Block
from skem.core.em import EMMap
from skem.core.initialize import Rows, subsample
from skem.core.parameters import Parameters
from skem.core.threads import Workspace

CERTAIN = 1e-12
"""Probability that a row keeps of belonging to each of the components."""


@dataclass(frozen=True)
class Moves:
    """Ways to leave a mixture, drawn at random.

    `resp` (K, n) are posterior probabilities of the rows, with noise in one more row if
    there is any; `dispensable` are the
    components that may be, those first that would be missed the least.
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

    def draw(self, rng: np.random.RandomState) -> Parameters:
        """Take a dispensable component away and split the one that owns a random row.

        The component that costs the least is taken every second time, the next one
        every fourth, and so on. The split is between that row and another one of the
        same component, whichever is nearer.
        """
        Z, weight, K = self.rows.Z, self.rows.weight, len(self.parameters.weights)
        last = len(self.dispensable)
        gone = int(self.dispensable[min(rng.geometric(0.5), last) - 1])
        here = rng.choice(len(Z), p=weight / weight.sum())
        owners = self.resp[:, here] + CERTAIN
        owners[gone] = 0
        owner = int(rng.choice(len(owners), p=owners / owners.sum()))
        # What the owner would have, were the other one not there.
        resp = (self.resp[owner] + CERTAIN) / (1 - self.resp[gone] + K * CERTAIN)
        share = resp * weight
        there = rng.choice(len(Z), p=share / share.sum())
        nearer = squared_distances(Z, here) < squared_distances(Z, there)
        return self._split(gone, owner, np.stack([share * nearer, share * ~nearer]))

    def _split(self, gone: int, owner: int, halves: np.ndarray) -> Parameters:
        """Put two components, of rows with weights (2, n), in the place of two.

        Noise only loses rows.
        """
        weights = self.parameters.weights.copy()
        pair = [gone, owner] if owner < len(weights) else [gone]
        halves = halves[: len(pair)]
        two = self.em.started(self.rows.labelled(self.em, halves))
        noise = max(float(self.parameters.noise_weight), 0.0)
        weights[pair] = halves.sum(axis=1) / self.rows.weight.sum()
        left = 1.0 if self.em.background is None else 1 - noise
        weights *= left / weights.sum()
        shared = self.em.structure.shared
        return self.em.constrained(
            self.parameters.spliced(pair, two, weights, shared=shared)
        )


def dispensable(resp: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sort components by what taking their density away costs: −Σ v log(1 − r_k)."""
    cost = -np.log1p(-np.minimum(resp, 1 - CERTAIN)) @ weight
    return np.argsort(cost, kind="stable")


def squared_distances(Z: np.ndarray, row: int) -> np.ndarray:
    """Squared distances of all rows from one of them."""
    return np.square(Z - Z[row]).sum(axis=1)


def responsibilities(em: EMMap, parameters: Parameters, block: Block) -> np.ndarray:
    """Posterior probabilities (K, n)."""
    expectation = em.expectation(parameters, np.dtype(float))
    return expectation.responsibilities(block, Workspace())
