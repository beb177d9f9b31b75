"""Leave a poor optimum: move one component, or weigh the rows anew.

Local optima of mixtures mostly have two components where one would do, and one where it
takes two. A random swap of a component's place, kept if a few steps show a gain, mends
that at less cost than starts from scratch (Ueda et al. 2000, Neural Computation
12(9); Zhao et al. 2012, Pattern Recognition Letters 33(16)). Where rows are few for so
many parameters, many optima are close by, which differ in what becomes of a few rows: a
step on rows with random weights leads to another one (Elidan et al. 2002, AAAI-02).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from skem.core.gaussian.parameters import Parameters, placed, shares
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.draw import at_shares, nearer
from skem.core.search.initialize import LABELS, of_rows, started_together, subsample
from skem.core.search.split import Split, splits

CERTAIN = 1e-12
"""Probability that a row keeps of belonging to each of the components."""


@dataclass
class Attempts:
    """How often in a row moves were in vain, and splits that were not tried yet.

    A split is kept by the number of the component that it divides.
    """

    failures: int = 0
    splits: dict[int, Split] = field(default_factory=dict)


@dataclass(frozen=True)
class Moves:
    """Ways to leave a mixture, drawn at random.

    `resp` (K, n) are posterior probabilities of the rows, with noise in one more row if
    there is any; `dispensable` are the components that may go, those that would be
    missed the least first; `cost` is how much each is missed, in nats.
    """

    em: EMMap
    parameters: Parameters
    rows: Rows
    resp: np.ndarray
    dispensable: np.ndarray
    cost: np.ndarray

    @classmethod
    def away_from(
        cls, em: EMMap, parameters: Parameters, rng: np.random.RandomState
    ) -> Moves:
        """Look at a subsample of the data."""
        rows = subsample(em, len(parameters.weights), rng)
        resp = em.responsibilities(parameters, rows.block)
        cost = missed(resp[: len(parameters.weights)], rows.weight)
        order = np.argsort(cost, kind="stable")
        order = order[em.movable(len(order))[order]]
        return cls(em, parameters, rows, resp, order, cost)

    @property
    def divisible(self) -> bool:
        """Whether components can be split by themselves: they have nothing in common.

        Nor are any rows noise, or known.
        """
        em, plain = self.em, type(self.parameters) is Parameters
        own = plain and not em.structure.shared and em.background is None
        return own and em.fixed is None and not len(em.blocks.known_components)

    def hopeful(
        self, count: int, rng: np.random.RandomState, attempts: Attempts
    ) -> list[Parameters] | Parameters:
        """Make the moves that promise the most, of splits and components that go.

        After failures the next best are made. Return a list of none, or a stack. The
        splits of `attempts` become those of now, without those that are tried.
        """
        how = (self.em, self.parameters, self.rows, self.resp, rng)
        found = splits(*how, attempts.splits)
        gone = self.dispensable[: count + 1]
        owner = np.array([split.owner for split in found], int)
        promise = np.array([split.gain for split in found])[:, None] - self.cost[gone]
        promise[owner[:, None] == gone] = -np.inf
        best = np.argsort(-promise, axis=None, kind="stable")
        best = best[attempts.failures * count :][:count]
        best = best[np.isfinite(promise.ravel()[best])]
        which, places = np.unravel_index(best, promise.shape)
        attempts.splits = {
            split.owner: split for i, split in enumerate(found) if i not in which
        }
        if not len(best):
            return []
        pairs = np.stack([gone[places], owner[which]], axis=1)
        sizes = (self.resp @ self.rows.weight)[owner[which]] / self.rows.weight.sum()
        twos = Parameters.stacked([found[i].two for i in which])
        return self._spliced(pairs, twos, twos.weights * sizes[:, None])

    @property
    def _overlapping(self) -> np.ndarray:
        """Components that may go, first those that have rows in common with another.

        By the cosine of responsibilities.
        """
        resp = self.resp[self.dispensable]
        overlaps = (resp * self.rows.weight) @ resp.T
        norms = np.sqrt(np.maximum(np.diag(overlaps), CERTAIN))
        cosines = overlaps / np.outer(norms, norms)
        # Of a pair, both have the same one: rounding must not choose.
        cosines = np.maximum(cosines, cosines.T)
        np.fill_diagonal(cosines, 0)
        order = np.argsort(-cosines.max(axis=1, initial=0), kind="stable")
        return self.dispensable[order]

    def drawn(
        self, count: int, rng: np.random.RandomState, *, shared: bool = False
    ) -> list[Parameters] | Parameters:
        """Take a dispensable component away and split the one that owns a random row.

        The component that costs the least is taken every second time, the next one
        every fourth, and so on. Or first those that have rows in common with another
        one, which may grow, if they are to be `shared`. The split is between that row
        and another one of the same component, whichever is nearer. What fails is left
        out. Return a list, or a stack if all was done in one call.
        """
        places = np.minimum(rng.geometric(0.5, count), len(self.dispensable)) - 1
        order = self._overlapping if shared else self.dispensable
        gone, random = order[places], rng.random_sample((3, count))
        how = (self.rows, self.resp, gone, random, CERTAIN)
        quick = self.em.moved(self.parameters, *how)
        return self._drawn(gone, random) if quick is None else quick

    def reweighted(self, count: int, rng: np.random.RandomState) -> list[Parameters]:
        """Take a step on the same rows with random weights, so many times.

        These are exponential, as in the Bayesian bootstrap: so the optimum of another
        sample is near. What fails is left out.
        """
        K, n = len(self.parameters.weights), len(self.rows.Z)
        most = max(1, LABELS // (len(self.resp) * n))
        found: list[Parameters] = []
        for i in range(0, count, most):
            weight = rng.standard_exponential((min(most, count - i), 1, n))
            resp = self.resp * (weight * self.rows.weight)
            noise = resp[:, K:].sum(axis=(1, 2))
            found += (
                start for _, start in of_rows(self.em, self.rows, resp[:, :K], noise)
            )
        return found

    def _drawn(self, gone: np.ndarray, random: np.ndarray) -> list[Parameters]:
        (K, count), n = (len(self.parameters.weights), len(gone)), len(self.rows.Z)
        most = max(1, LABELS // (2 * n))
        weight = self.rows.weight
        here = at_shares(weight[None], random[0])
        owners = self.resp[:, here].T + CERTAIN
        owners[np.arange(count), gone] = 0
        owner = at_shares(owners, random[1])
        found: list[Parameters] = []
        for i in range(0, count, most):
            some = slice(i, i + most)
            # What the owner would have, were the other one not there.
            left = 1 - self.resp[gone[some]] + K * CERTAIN
            share = (self.resp[owner[some]] + CERTAIN) / left * weight
            there = at_shares(share, random[2, some])
            first = nearer(self.rows.seen, here[some], there)
            halves = np.stack([share * first, share * ~first], axis=1)
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
        moved = self._spliced(pairs, twos, sizes)
        return [moved[i] for i in range(len(pairs))]

    def _spliced(
        self, pairs: np.ndarray, twos: Parameters, sizes: np.ndarray
    ) -> Parameters:
        """Put a stack of two components, of these shares, in the places of pairs."""
        em, present = self.em, self.parameters
        weights = placed(present.weights, pairs, sizes)
        noise = max(float(present.noise_weight), 0.0)
        left = 1.0 if em.background is None else 1 - noise
        shared = em.structure.shared
        moved = present.spliced(pairs, twos, left * shares(weights), shared=shared)
        return em.constrained(moved, roughly=True)


def missed(resp: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what taking each component's density away costs: −Σ v log(1 − r_k)."""
    return -np.log1p(-np.minimum(resp, 1 - CERTAIN)) @ weight
