"""How wide the clusters of data are: the scale of the penalty.

The penalty's pseudo-observations must be as wide as clusters, not as the data: else
tight clusters far apart come out too wide. Nor may they be much wider than the
narrowest of several clusters. So a quick fit of K clusters, each with a few
pseudo-observations of what is common to all, is made on a sample of rows, and the
covariances of its clusters are pooled by their harmonic mean,
Λ⁻¹ = Σ_k w_k Σ_k⁻¹, so that w_k Λ ≤ Σ_k for every one of them.

It uses the same random numbers in every fit, and equal rows merged: all starts and
seeds have the same Λ, whatever the order of rows, and an integer weight is a repeated
row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.maximisation import factor, maximise
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import (
    COLLINEAR,
    ScaleFreePenalty,
    cluster_scale,
    pseudo_rows,
    with_floor,
)
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.ties import find_ties
from skem.core.incomplete.patterns import distinct_rows
from skem.core.mixture.expectation import Expectation, filled_rows, total_statistics
from skem.core.mixture.seeds import kmeans, on_checked_data
from skem.core.mixture.step import Stepper
from skem.core.passes.forms import choose_form

ROWS = 5_000
"""Rows that are looked at."""
REMOTE = 25.0
"""Squared distance per feature, in standard deviations, of rows that are left out."""
MAX_TRIMS = 5
STARTS = 3
"""Runs of k-means, where one is quick."""
QUICK = 2**22
"""Values (rows × clusters × features) up to which it is."""
STEPS = 20
"""EM steps of the quick fit, at most."""
WORK = 2**27
"""Products in all of these steps together, beyond which there are fewer."""
SETTLED = 1e-3
"""Relative change of the scale's volume in a step, below which it is settled."""
WHOLE_STEPS = 30
"""EM steps of one component for incomplete data, at most."""
STILL = 1e-4
"""Standard deviations that its mean and covariance may move in the last one."""

Step = Callable[[Parameters, ScaleFreePenalty], tuple[Statistics, Parameters]]
"""Takes parameters to the statistics there, and to the next parameters."""


def as_one(
    blocks: Blocks, coordinates: Coordinates, structure: Structure
) -> Parameters | None:
    """Return the one component that fits incomplete data; None if they are complete.

    Variances that vanish have a floor, in units of the features' own.
    """
    if not blocks.incomplete:
        return None
    d = blocks.n_features
    taken = blocks.take(blocks.random_rows(ROWS, np.random.RandomState(0)))
    unit = structure.quadratic.unpack(structure.quadratic.of_matrices(np.eye(d)), d)
    whole = one_component(structure, np.zeros((1, d)), unit)
    for _ in range(WHOLE_STEPS):
        before = whole
        found = total_statistics(taken, coordinates, structure, whole)
        scatter = found.scatter()
        covariance = scatter.values[0] / scatter.counts[0]
        whole = one_component(structure, found.means, covariance)
        moved = structure.whiten_rows(
            before.precisions_cholesky, whole.means - before.means
        )
        shape = structure.to_chart(
            before.precisions_cholesky, whole.precisions_cholesky
        )
        if max(np.abs(moved).max(), np.abs(shape).max()) < STILL:
            break
    return whole


def one_component(
    structure: Structure, means: np.ndarray, values: np.ndarray
) -> Parameters:
    """Return one component, with a floor below what its scatter is for each row."""
    prior = Scatter(with_floor(values, COLLINEAR), np.ones(()))
    nothing = Scatter(np.zeros_like(values)[None], np.zeros(1))
    cholesky, _ = structure.factor(structure.estimate(nothing, prior, means.shape[1]))
    return Parameters(np.ones(1), means, cholesky)


def one_scatter(total: Statistics, *, incomplete: bool) -> Scatter:
    """Scatter of the data as one component; of incomplete data without the floor.

    Directions with no more variance than `as_one` gives them are those in which all
    that was observed has none.
    """
    scatter = total.scatter()
    if not incomplete:
        return scatter
    values = scatter.values[0] / scatter.counts[0]
    if values.ndim == 2:
        eigenvalues, vectors = np.linalg.eigh(values)
        null = eigenvalues <= 2 * COLLINEAR
        if not null.any():
            return scatter
        values = (vectors[:, ~null] * eigenvalues[~null]) @ vectors[:, ~null].T
    else:
        values = np.where(values <= 2 * COLLINEAR, 0.0, values)
    return scatter._replace(values=(values * scatter.counts[0])[None])


@dataclass(frozen=True)
class Sample:
    """Rows of the data that are looked at, equal ones merged, without remote ones.

    One remote row could make the penalty outweigh real clusters. `coordinates` know the
    values that rows share. Incomplete rows are completed by one component, `whole`.
    """

    structure: Structure
    coordinates: Coordinates
    blocks: ArrayBlocks
    whole: Parameters | None = None

    @classmethod
    def of(
        cls, blocks: Blocks, coordinates: Coordinates, structure: Structure
    ) -> Sample:
        """Look at rows, the same ones in every fit."""
        taken = blocks.take(blocks.random_rows(ROWS, np.random.RandomState(0)))
        taken = replace(taken, known=None)
        if blocks.incomplete:
            X, inverse = distinct_rows(taken.X)
        else:
            X, inverse = np.unique(taken.X, axis=0, return_inverse=True)
        weight = np.bincount(inverse.ravel(), taken.weight, len(X)).astype(float)
        z = coordinates.load(X.T, np.empty(X.T.shape))
        ties = find_ties(X.T, z, weight)
        coordinates = replace(coordinates, ties=ties)
        kept = replace(taken, X=X, weight=weight)
        sample = cls(structure, coordinates, kept, as_one(kept, coordinates, structure))
        return sample._without_remote()

    def scale(self, n_components: int) -> np.ndarray:
        """Λ of so many components, as the structure's scatter has it."""
        if n_components not in self.scales:
            self.scales[n_components] = self._scale(n_components)
        return self.scales[n_components]

    @cached_property
    def scales(self) -> dict[int, np.ndarray]:
        """What has been found: a path asks for each number of components often."""
        return {}

    @cached_property
    def clusters(self) -> dict[int, Parameters]:
        """Where the quick fit of so many clusters has come to: a start of others."""
        return {}

    def _scale(self, n_components: int) -> np.ndarray:
        d = self.blocks.n_features
        enough = self.blocks.total_weight // (2 * pseudo_rows(self.structure, d))
        K = max(1, min(n_components, int(enough), self.blocks.n_samples))
        scale = self._of_clusters(K) if K > 1 else self._pooled(self.total)
        # What is left of a cluster that more components share.
        return scale * (n_components / K) ** (-2 / d)

    def _pooled(
        self, statistics: Statistics, before: np.ndarray | None = None
    ) -> np.ndarray:
        d = self.blocks.n_features
        return cluster_scale(self.structure, statistics.scatter(), d, before)

    @cached_property
    def total(self) -> Statistics:
        """Statistics of the rows as one component."""
        return total_statistics(
            self.blocks, self.coordinates, self.structure, self.whole
        )

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows in coordinates, (d, n), completed, and the variances within."""
        return filled_rows(
            self.blocks.X.T, self.coordinates, self.structure, self.whole
        )

    @cached_property
    def white(self) -> np.ndarray:
        """Rows in which their covariance is the identity, (d, n)."""
        (z, _), scatter = self.rows, self.total.scatter()
        total = with_floor(scatter.values[0] / scatter.counts[0], COLLINEAR)
        penalty = ScaleFreePenalty(1.0, total)
        nothing = Scatter(np.zeros_like(scatter.values), np.zeros(1))
        covariances = penalty.covariances(self.structure, nothing, len(z))
        cholesky = factor(self.structure, penalty, covariances, len(z))
        return self.structure.whiten(cholesky, 0, z - self.total.means.T)

    @cached_property
    def distances(self) -> np.ndarray:
        """Squared Mahalanobis distances from the mean."""
        return np.einsum("db,db->b", self.white, self.white)

    def _without_remote(self) -> Sample:
        sample = self
        for _ in range(MAX_TRIMS):
            near = sample.distances <= REMOTE * len(sample.white)
            if near.all():
                break
            sample = sample._rows(np.flatnonzero(near))
        return sample

    def only(self, chosen: np.ndarray) -> Sample:
        """Return the rows of a mask; all of them if they would be few."""
        d = self.blocks.n_features
        few = chosen.sum() < 2 * pseudo_rows(self.structure, d)
        return self if few else self._rows(np.flatnonzero(chosen))

    def _rows(self, rows: np.ndarray) -> Sample:
        blocks = self.blocks.take(rows)
        whole = as_one(blocks, self.coordinates, self.structure)
        return replace(self, blocks=blocks, whole=whole)

    def _of_clusters(self, n_components: int) -> np.ndarray:
        """Scale of clusters after k-means and a few EM steps.

        Rows are in the order of their distance from the mean, so that any affine map
        of the data has the same clusters.
        """
        order = np.argsort(self.distances, kind="stable")
        white, blocks = self.white[:, order], self.blocks.take(order)
        structure, weight = self.structure, blocks.weight
        assert weight is not None
        z, squares = self.rows
        if squares is not None and squares.shape[1] > 1:
            squares = squares[:, order]
        statistics = min(
            (
                Statistics.of_labels(
                    structure.quadratic, z[:, order].T, resp * weight, squares
                )
                for resp in _clusterings(white, weight, n_components)
            ),
            key=_within,
        )
        # As many pseudo-observations as determine a covariance.
        pseudo = float(pseudo_rows(structure, blocks.n_features))
        scale = with_floor(self._pooled(statistics), COLLINEAR)
        penalty = ScaleFreePenalty(pseudo, scale)
        products = statistics.sums.size * white.shape[1]
        scatter = statistics.scatter()
        parameters = maximise(structure, penalty, statistics, scatter)
        step, volume = self._stepper(blocks), _log_volume(scale)
        for _ in range(max(1, min(STEPS, WORK // products))):
            statistics, parameters = step(parameters, penalty)
            scale = with_floor(self._pooled(statistics, scale), COLLINEAR)
            penalty = replace(penalty, target=scale)
            before, volume = volume, _log_volume(scale)
            if abs(volume - before) <= SETTLED:
                break
        self.clusters[n_components] = parameters
        return self._pooled(statistics)

    def _stepper(self, blocks: ArrayBlocks) -> Step:
        """Return a function that takes an EM step on the rows of some blocks."""
        structure, d = self.structure, blocks.n_features
        second = structure.quadratic.unpack(self.total.sums[0, 1 + d :], d)
        quick = Stepper.of(blocks, self.coordinates, structure, second)

        def step(
            parameters: Parameters, penalty: ScaleFreePenalty
        ) -> tuple[Statistics, Parameters]:
            outcome = None if quick is None else quick(parameters, penalty)
            if outcome is not None:
                statistics, successor = outcome.statistics, outcome.successor
            else:
                form = choose_form(structure, parameters, np.dtype(float))
                expectation = Expectation(form, self.coordinates)
                statistics = blocks.fold(
                    expectation.statistics, expectation.values_per_sample
                )
                successor = None
            if statistics.quadratic != structure.quadratic:
                statistics = statistics.completed(self.total)
            if successor is None:
                scatter = statistics.scatter()
                successor = maximise(
                    structure, penalty, statistics, scatter, parameters
                )
            return statistics, successor

        return step


def _clusterings(
    white: np.ndarray, weight: np.ndarray, n_components: int
) -> Iterator[np.ndarray]:
    """Yield one-hot labels (K, n) by k-means of whitened rows (d, n).

    Of all directions, and of those few along which the rows are most unlike a Gaussian
    in that their tails are light, as where clusters lie apart. A rotation finds these:
    the eigenvectors of Σ |x|² x xᵀ with the smallest eigenvalues (Cardoso 1989). Among
    many directions k-means does not see the few along which clusters lie apart.
    """
    d, rng = len(white), np.random.RandomState(0)
    views, p = [white], min(n_components - 1, d)
    if p < d:
        fourth = (white * (weight * np.square(white).sum(axis=0))) @ white.T
        views.append(np.linalg.eigh(fourth)[1][:, :p].T @ white)
    starts = STARTS if white.size * n_components <= QUICK else 1
    with on_checked_data():
        for view in views:
            rows = np.ascontiguousarray(view.T)
            yield kmeans(rows, weight, n_components, rng, starts)


def _within(statistics: Statistics) -> float:
    """Log-volume of the scatter within clusters, which affine maps do not reorder."""
    values = statistics.scatter().values.sum(axis=0)
    return _log_volume(with_floor(values / statistics.counts.sum(), COLLINEAR))


def _log_volume(scale: np.ndarray) -> float:
    """Log-determinant; the same for every affine map of data, but for a constant."""
    if scale.ndim == 2:
        return float(np.linalg.slogdet(scale)[1])
    return float(np.log(scale).sum())
