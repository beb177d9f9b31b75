"""Sketches of clusterings: moments from which mixtures are started.

A sketch says how many samples each cluster has, where they are and how they scatter.
It is small, so that clusters are split and merged, and clusterings handed from one
covariance structure to another, without a pass over the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.parameters import TINY, Parameters
from skem.core.gaussian.quadratic import Quadratic
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import PAIRS, transposed
from skem.core.gaussian.ties import weighted_squares
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows

HALF_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean of the absolute value of a standard normal variable."""

NO_ACCOUNT = 1e-12
"""Responsibilities up to which a row is none of a component's."""


@dataclass(frozen=True)
class Sketch:
    """Moments of K clusters, in the coordinates of an `EMMap`.

    With responsibilities r and sample weights v:

    - `counts[k]` = Σ_i v_i r_ik
    - `means[k]`, `covariances[k]`: of the samples, whatever the model's structure;
      those far from a heavy-tailed component count for less, as in its M-step
    - `overlaps[j, k]` = Σ_i v_i r_ij r_ik
    """

    counts: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    overlaps: np.ndarray

    @classmethod
    def of_labels(cls, em: EMMap, rows: Rows, resp: np.ndarray) -> Sketch:
        """Sketch rows with (weighted) labels, one-hot, of shape (K, n)."""
        times = resp * em.labelled_scales(rows.Z, resp, rows.squares)
        return cls._of_rows(rows, resp, times, np.diag(resp.sum(axis=1)))

    @classmethod
    def _of_rows(
        cls, rows: Rows, resp: np.ndarray, times: np.ndarray, overlaps: np.ndarray
    ) -> Sketch:
        statistics = Statistics.of_labels(PAIRS, rows.Z, times, rows.squares)
        return cls._of_moments(statistics, resp.sum(axis=1), overlaps)

    @classmethod
    def _of_moments(
        cls, statistics: Statistics, counts: np.ndarray, overlaps: np.ndarray
    ) -> Sketch:
        counts = np.maximum(counts, TINY)
        covariances = statistics.scatter().values / counts[:, None, None]
        return cls(counts, statistics.means, covariances, overlaps)

    @classmethod
    def of_mixture(cls, em: EMMap, parameters: Parameters) -> Sketch:
        """Sketch the data, labelled by a mixture, in one pass."""
        found = em.sketched(parameters, NO_ACCOUNT)
        if found is not None:
            return cls(*found)
        if em.quick:
            rows = em.all_rows
            resp, scales = em.weights(parameters, rows.block)
            resp = likely(resp)
            weighted = resp * rows.weight
            return cls._of_rows(rows, weighted, weighted * scales, weighted @ resp.T)
        K = len(parameters.weights)
        moments, counts, overlaps = np.split(_folded(em, parameters), [-K - 1, -K], 1)
        statistics = Statistics(0.0, moments, parameters.means, PAIRS)
        return cls._of_moments(statistics, counts[:, 0], overlaps)

    def __len__(self) -> int:
        """Return the number of clusters."""
        return len(self.counts)

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations along the principal axes, ascending, and the axes."""
        variances, axes = np.linalg.eigh(self.covariances)
        return np.sqrt(np.maximum(variances, 0)), axes

    @property
    def extents(self) -> np.ndarray:
        """n_k σ_k, with σ_k the standard deviation along the main axis."""
        deviations, _ = self._axes
        return self.counts * deviations[:, -1]

    def largest(self, most: int) -> np.ndarray:
        """Return the clusters of the largest extents."""
        return np.argsort(-self.extents, kind="stable")[:most]

    def closest(self, most: int) -> list[tuple[int, int]]:
        """Return the pairs that overlap the most, by the cosine of responsibilities."""
        norms = np.sqrt(np.maximum(np.diag(self.overlaps), TINY))
        i, j = np.triu_indices(len(self), 1)
        cosines = self.overlaps[i, j] / (norms[i] * norms[j])
        order = np.argsort(-cosines, kind="stable")[:most]
        return [(int(i[pair]), int(j[pair])) for pair in order]

    def split(self, k: int) -> Sketch:
        """Cut a cluster in two halves of a normal, at its mean across its main axis."""
        deviations, axes = self._axes
        step = HALF_NORMAL * deviations[k, -1] * axes[k, :, -1]
        copies = np.r_[np.arange(len(self)), k]
        halved = (copies == k) * -0.5 + 1.0
        means = self.means[copies]
        means[[k, -1]] += np.stack([-step, step])
        covariances = self.covariances[copies]
        covariances[[k, -1]] -= np.outer(step, step)
        overlaps = self.overlaps[np.ix_(copies, copies)] * np.outer(halved, halved)
        return Sketch(self.counts[copies] * halved, means, covariances, overlaps)

    def merge(self, i: int, j: int) -> Sketch:
        """Put two clusters together; the moments are those of their union."""
        kept = [k for k in range(len(self)) if k not in (i, j)]
        union = np.zeros((len(kept) + 1, len(self)))
        union[np.arange(len(kept)), kept] = 1
        union[-1, [i, j]] = 1
        moments = self._merged(np.array([i]), np.array([j]))
        counts, means, covariances = (each[0] for each in moments)
        return Sketch(counts, means, covariances, union @ self.overlaps @ union.T)

    def unions(
        self, pairs: Sequence[tuple[int, int]], quadratic: Quadratic
    ) -> Statistics:
        """Return statistics of clusterings with one of the pairs less, as a stack.

        In each of them the pair has been put together.
        """
        return _statistics(*self._merged(*np.transpose(pairs)), quadratic)

    def beside_unions(
        self, pairs: Sequence[tuple[int, int]], quadratic: Quadratic
    ) -> Statistics:
        """Return statistics of the clusters, and of each union after them."""
        counts, means, covariances = self._unions(*np.transpose(pairs))
        return _statistics(
            np.concatenate([self.counts, counts]),
            np.concatenate([self.means, means]),
            np.concatenate([self.covariances, covariances]),
            quadratic,
        )

    def _merged(
        self, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Put pairs of clusters together, each in a clustering of its own.

        Return the counts, means and covariances of these; the union comes last.
        """
        left = np.ones((len(i), len(self)), bool)
        left[np.arange(len(i)), i] = left[np.arange(len(i)), j] = False
        others = np.nonzero(left)[1].reshape(len(i), -1)
        count, mean, covariance = self._unions(i, j)
        return (
            np.concatenate([self.counts[others], count[:, None]], axis=1),
            np.concatenate([self.means[others], mean[:, None]], axis=1),
            np.concatenate([self.covariances[others], covariance[:, None]], axis=1),
        )

    def _unions(
        self, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the counts, means and covariances of unions of pairs."""
        count = self.counts[i] + self.counts[j]
        a, b = self.counts[i] / count, self.counts[j] / count
        offset = self.means[i] - self.means[j]
        covariance = (a * b)[:, None, None] * (offset[:, :, None] * offset[:, None])
        covariance += a[:, None, None] * self.covariances[i]
        covariance += b[:, None, None] * self.covariances[j]
        mean = a[:, None] * self.means[i] + b[:, None] * self.means[j]
        return count, mean, covariance

    def moved(self, here: Coordinates, there: Coordinates) -> Sketch:
        """Return the same in other coordinates."""
        if here.same(there):
            return self
        one = np.ones_like(here.scale)
        unit_here = one if here.unit is None else here.unit
        unit_there = one if there.unit is None else there.unit
        with np.errstate(all="ignore"):
            unit = unit_there / unit_here
            shift = here.shift * unit - there.shift
            means = (self.means / here.scale * unit + shift) * there.scale
            slope = unit * there.scale / here.scale
            covariances = self.covariances * np.outer(slope, slope)
        # Finite wherever the data are within the range of both.
        finite = np.isfinite(means).all() and np.isfinite(covariances).all()
        if not finite:
            means, covariances = np.nan_to_num(means), np.zeros_like(covariances)
        return Sketch(self.counts, means, covariances, self.overlaps)

    def statistics(self, quadratic: Quadratic) -> Statistics:
        """Return those of the clusters, as far as a structure holds them."""
        return _statistics(self.counts, self.means, self.covariances, quadratic)


def likely(resp: np.ndarray) -> np.ndarray:
    """Return responsibilities without those that are of no account."""
    return np.where(resp > NO_ACCOUNT, resp, 0)


def _statistics(
    counts: np.ndarray, means: np.ndarray, covariances: np.ndarray, quadratic: Quadratic
) -> Statistics:
    """Return those of clusters (…, K), about their means."""
    scatter = quadratic.of_matrices(covariances * counts[..., None, None])
    zeros = np.zeros_like(means)
    sums = np.concatenate([counts[..., None], zeros, scatter], axis=-1)
    return Statistics(0.0, sums, means, quadratic)


def stacked(sketches: Sequence[Sketch], quadratic: Quadratic) -> Statistics:
    """Return the statistics of sketches of as many clusters each, as a stack."""
    return _statistics(
        np.stack([sketch.counts for sketch in sketches]),
        np.stack([sketch.means for sketch in sketches]),
        np.stack([sketch.covariances for sketch in sketches]),
        quadratic,
    )


def _folded(em: EMMap, parameters: Parameters) -> np.ndarray:
    """Return the sums of a sketch, (K, 1 + d + pairs + 1 + K), by a pass."""
    expectation, means = em.expectation(parameters), parameters.means
    K, d = means.shape

    def kernel(block: Block, workspace: Workspace) -> np.ndarray:
        resp, scales = expectation.weights(block, workspace)
        resp = resp[:K]
        weighted = resp if block.weight is None else resp * block.weight
        times = weighted * scales
        if block.incomplete:
            moments = em.moments(parameters, block, times, weighted)
        else:
            moments = _moments(*em.filled(block.data), times, means)
        return np.hstack([moments, weighted.sum(axis=1)[:, None], weighted @ resp.T])

    return em.blocks.fold(kernel, expectation.values_per_sample + 2 * K * d + d)


def _moments(
    z: np.ndarray, squares: np.ndarray | None, times: np.ndarray, means: np.ndarray
) -> np.ndarray:
    """Return Σ v r u [1, z − m, pairs of z − m] of complete rows z, (d, n)."""
    centred = z - means[:, :, None]
    weighted = centred * times[:, None]
    pairs = PAIRS.pack(weighted @ transposed(centred))
    if squares is not None:
        PAIRS.add_squares(pairs.T, weighted_squares(squares, times).T)
    return np.hstack([times.sum(axis=1)[:, None], weighted.sum(axis=2), pairs])
