"""Starts of a Bayesian mixture: clusterings that are merged to fewer clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist

from skem.core.bayes.alive import order_of_size
from skem.core.bayes.em import VariationalMap
from skem.core.blocks.arrays import random_ranks
from skem.core.gaussian.parameters import TINY, Parameters
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import Initializer, memberships
from skem.core.search.initialize import started, subsample

LINKED, LINKED_SHARE = 120, 3
"""Rows that are linked, at most, and quarters of all rows."""
FAR = 1e6
"""Size of a coordinate beyond which its square has few digits left for others."""
Clustering = Callable[
    [np.ndarray, np.ndarray, Sequence[int], np.random.RandomState], list[np.ndarray]
]
"""Rows, weights, numbers of clusters and random numbers -> responsibilities, each."""


@dataclass(frozen=True)
class Labels:
    """Rows that are labelled in several ways."""

    em: VariationalMap
    rows: Rows

    @classmethod
    def of(
        cls, em: VariationalMap, n_components: int, rng: np.random.RandomState
    ) -> Labels:
        """Look at a subsample of the data."""
        return cls(em, subsample(em, n_components, rng))

    @cached_property
    def _expanded(self) -> np.ndarray | None:
        """[1, z, q(z)] of each row, (n, 1 + d + size).

        None beside rows far away: squares of these would leave no digits of others.
        """
        Z, quadratic = self.rows.Z, self.em.structure.quadratic
        if np.abs(Z).max(initial=0.0) > FAR:
            return None
        n, d = Z.shape
        expanded = np.empty((1 + d + quadratic.size(d), n))
        expanded[0], expanded[1 : 1 + d] = 1, Z.T
        quadratic.expand(expanded[1 : 1 + d], expanded[1 + d :])
        if self.rows.squares is not None:
            quadratic.add_squares(expanded[1 + d :], self.rows.squares)
        return np.ascontiguousarray(expanded.T)

    def statistics(self, resp: np.ndarray) -> Statistics:
        """Return those of each cluster, the largest first.

        About zero, if a start keeps digits enough.
        """
        rows, quadratic = self.rows, self.em.structure.quadratic
        weighted = resp * rows.weight
        if self._expanded is None:
            found = Statistics.of_labels(quadratic, rows.Z, weighted, rows.squares)
        else:
            zero = np.zeros((len(resp), rows.Z.shape[1]))
            found = Statistics(0.0, weighted @ self._expanded, zero, quadratic)
        return found[order_of_size(found.counts)]

    def posteriors(self, several: Sequence[Statistics]) -> list[Parameters]:
        """Return q of several statistics, of as many components as the most have.

        What fails is left out.
        """
        if not several:
            return []
        K = max(len(each.counts) for each in several)
        d = self.rows.Z.shape[1]
        sums = np.zeros((len(several), K, several[0].sums.shape[1]))
        reference = np.zeros((len(several), K, d))
        for i, each in enumerate(several):
            sums[i, : len(each.counts)] = each.sums
            reference[i, : len(each.counts)] = each.reference
        statistics = replace(several[0], sums=sums, reference=reference)
        return [start for _, start in started(self.em, self.em.of_part(statistics))]


def hierarchical(
    Z: np.ndarray,
    weight: np.ndarray,
    numbers: Sequence[int],
    rng: np.random.RandomState,
) -> list[np.ndarray]:
    """One-hot labels of the nearest of clusters of a few rows, of so many each."""
    # Not all of them, so that clusterings differ.
    few = max(max(numbers), min(LINKED, LINKED_SHARE * len(Z) // 4))
    rows = Z[random_ranks(len(Z), few, rng)]
    found = []
    for of in unions(rows, numbers):
        means = of @ rows / of.sum(axis=1, keepdims=True)
        nearest = cdist(Z, means, "sqeuclidean").argmin(axis=1)
        found.append(memberships(nearest, len(means)))
    return found


def merged(method: Initializer) -> Clustering:
    """Return what clusters rows by a method, and merges these clusters to fewer."""

    def clustering(
        Z: np.ndarray,
        weight: np.ndarray,
        numbers: Sequence[int],
        rng: np.random.RandomState,
    ) -> list[np.ndarray]:
        resp = method(Z, weight, max(numbers), rng)
        counts = np.maximum(resp @ weight, TINY)
        means = resp @ (Z * weight[:, None]) / counts[:, None]
        return [of @ resp for of in unions(means, numbers)]

    return clustering


def unions(points: np.ndarray, numbers: Sequence[int]) -> list[np.ndarray]:
    """Merge points to so many clusters: which of them each is the union of.

    The two are merged that add the least to the squares within (Ward 1963). From the
    largest number to the smallest.
    """
    n = len(points)
    pairs = linkage(points, "ward")[:, :2].astype(int) if n > 1 else np.empty((0, 2))
    labels, found = np.arange(n), []
    done = 0
    for number in sorted(numbers, reverse=True):
        for merge in range(done, max(done, n - number)):
            first, second = pairs[merge]
            labels[(labels == first) | (labels == second)] = n + merge
        done = max(done, n - number)
        _, own = np.unique(labels, return_inverse=True)
        found.append(memberships(own, own.max() + 1))
    return found
