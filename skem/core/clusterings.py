"""Starts of a Bayesian mixture: clusterings of many clusters, and what they merge to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.alive import order_of_size
from skem.core.bayes import VariationalMap
from skem.core.initialize import Rows, subsample
from skem.core.posterior import Posterior
from skem.core.regularization import IllDefinedCovarianceError
from skem.core.seeds import Initializer, on_checked_data
from skem.core.statistics import Statistics


@dataclass(frozen=True)
class Labels:
    """Rows that are labelled, in several ways at once."""

    em: VariationalMap
    rows: Rows

    @classmethod
    def of(cls, em: VariationalMap, n_components: int, rng: np.random.RandomState):
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

    def starts(
        self,
        methods: Sequence[Initializer],
        numbers: Sequence[int],
        rng: np.random.RandomState,
    ) -> list[np.ndarray]:
        """Cluster the rows by each method, and merge to smaller numbers in turn.

        The largest of the `numbers` is that of each clustering.
        """
        Z, weight = self.rows.Z, self.rows.weight
        most, *fewer = sorted(numbers, reverse=True)
        found = []
        for i, method in enumerate(methods):
            with on_checked_data():
                resp = method(Z, weight, most, rng)
            counts = resp @ weight
            own = fewer[i :: len(methods)]
            found.append(resp)
            means = resp @ (Z * weight[:, None]) / np.maximum(counts, 1e-300)[:, None]
            found += [of @ resp for of in unions(counts, means, own)]
        return found


def unions(
    counts: np.ndarray, means: np.ndarray, numbers: Sequence[int]
) -> list[np.ndarray]:
    """Merge clusters to so many, the most first: which clusters each is the union of.

    The two are merged that add the least to the squares within (Ward 1963).
    """
    K = len(counts)
    counts, means = counts.copy(), means.copy()
    of = np.eye(K)
    squares = np.square(means[:, None] - means).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = squares * (counts * counts[:, None] / (counts + counts[:, None]))
    costs[np.isnan(costs)] = 0
    np.fill_diagonal(costs, np.inf)
    left, found = np.ones(K, bool), []
    for number in numbers:
        while left.sum() > number:
            i, j = divmod(int(costs.argmin()), K)
            total = counts[i] + counts[j]
            share = counts[j] / total if total > 0 else 0.0
            means[i] += share * (means[j] - means[i])
            counts[i] = total
            of[i] += of[j]
            left[j] = False
            costs[j] = costs[:, j] = np.inf
            others = np.flatnonzero(left)
            others = others[others != i]
            squares = np.square(means[others] - means[i]).sum(axis=1)
            both = np.maximum(counts[others] + total, 1e-300)
            costs[i, others] = costs[others, i] = (
                squares * counts[others] * total / both
            )
        found.append(of[left].copy())
    return found
