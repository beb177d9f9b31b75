"""Starts of a Bayesian mixture: clusterings that are merged to fewer clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist

from skem.core.alive import order_of_size
from skem.core.bayes import VariationalMap
from skem.core.blocks import random_ranks
from skem.core.initialize import Rows, subsample
from skem.core.parameters import TINY
from skem.core.posterior import Posterior
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.seeds import Initializer
from skem.core.statistics import Statistics

LINKED, LINKED_SHARE = 120, 3
"""Rows that are linked, at most, and quarters of all rows."""
Clustering = Callable[
    [np.ndarray, np.ndarray, Sequence[int], np.random.RandomState], list[np.ndarray]
]
"""Rows, weights, numbers of clusters and random numbers -> responsibilities, each."""


@dataclass(frozen=True)
class Labels:
    """Rows that are labelled, in several ways at once."""

    em: VariationalMap
    rows: Rows

    @classmethod
    def of(
        cls, em: VariationalMap, n_components: int, rng: np.random.RandomState
    ) -> Labels:
        """Look at a subsample of the data."""
        return cls(em, subsample(em, n_components, rng))

    @cached_property
    def _expanded(self) -> np.ndarray:
        """[1, z, q(z)] of each row, (1 + d + size, n)."""
        Z, quadratic = self.rows.Z, self.em.structure.quadratic
        n, d = Z.shape
        expanded = np.empty((1 + d + quadratic.size(d), n))
        expanded[0], expanded[1 : 1 + d] = 1, Z.T
        quadratic.expand(expanded[1 : 1 + d], expanded[1 + d :])
        if self.rows.squares is not None:
            quadratic.add_squares(expanded[1 + d :], self.rows.squares)
        return expanded

    def posteriors(self, several: Sequence[np.ndarray]) -> list[Posterior]:
        """Return q of several matrices of responsibilities, the largest clusters first.

        All have as many components as the most of them; what fails is left out.
        """
        if not several:
            return []
        weight = self.rows.weight
        K = max(map(len, several))
        resp = np.zeros((len(several), K, len(weight)))
        for own, matrix in zip(resp, several, strict=True):
            own[: len(matrix)] = matrix * weight
        sums = (resp.reshape(-1, len(weight)) @ self._expanded.T).reshape(
            len(several), K, -1
        )
        for i, own in enumerate(sums):
            sums[i] = own[order_of_size(own[:, 0])]
        counts = sums[..., 0].sum(axis=-1)[:, None, None]
        sums *= self.em.blocks.total_weight / counts
        try:
            stacked = self._maximised(sums)
            return [stacked[i] for i in range(len(several))]
        except IllDefinedCovarianceError:
            if len(several) == 1:
                return []
            return [q for each in several for q in self.posteriors([each])]

    def _maximised(self, sums: np.ndarray) -> Posterior:
        reference = np.zeros((*sums.shape[:-1], self.rows.Z.shape[1]))
        quadratic = self.em.structure.quadratic
        found = self.em.maximise(Statistics(0.0, sums, reference, quadratic))
        assert isinstance(found, Posterior)
        return found


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
        found.append((nearest == np.arange(len(means))[:, None]).astype(float))
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
        found.append((own == np.arange(own.max() + 1)[:, None]).astype(float))
    return found
