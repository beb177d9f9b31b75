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

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import (
    Coordinates,
    extent_of,
    standardising_coordinates,
)
from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.degeneracy import REMOTE
from skem.core.gaussian.maximisation import factor, maximise
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import (
    COLLINEAR,
    ScaleFreePenalty,
    cluster_scale,
    log_volume,
    null_directions,
    pseudo_rows,
    with_floor,
)
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import variances_of
from skem.core.gaussian.widths import find_ties
from skem.core.incomplete.patterns import distinct_rows
from skem.core.mixture.bulk import ROWS, looked_at, without_outliers
from skem.core.mixture.expectation import Expectation, filled_rows, total_statistics
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import kmeans
from skem.core.mixture.step import Stepper
from skem.core.passes.forms import choose_form

FEWEST, VALUES = 2_000, 2**20
"""Where covariances are diagonal: as many rows at least, and about so many values."""
MAX_TRIMS = 5
LOST = 1e-12
"""Variance in coordinates up to which rows get other ones: they lose digits, and others
are so far away that they may have no say in units."""
FEW, CROWDED = 64, 1e-5
"""Rows that tell at a glance whether that may be, and how near they are to others."""
MOST = 0.9
"""Share of rows that are no outliers, at least, else none are."""
BESIDE = 1e8
"""Size of a coordinate beyond which a row is remote, however many there are."""
REACH = 1e142
"""How large coordinates may become: squares of them must be in range."""
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

COINCIDENT = 1e-9
"""Standard deviations by which rows may differ that are taken for the same."""


def as_one(
    blocks: Blocks, coordinates: Coordinates, structure: Structure
) -> Parameters | None:
    """Return the one component that fits incomplete data; None if they are complete.

    Variances that vanish have a floor, in units of the features' own.
    """
    if not blocks.incomplete:
        return None
    d = blocks.n_features
    taken = looked_at(blocks)
    whole = unit_component(structure, np.zeros((1, d)))
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


def unit_component(structure: Structure, means: np.ndarray) -> Parameters:
    """Return one component of covariance one."""
    d = means.shape[1]
    unit = structure.quadratic.of_matrices(np.eye(d))
    return one_component(structure, means, structure.quadratic.unpack(unit, d))


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


class QuickFit(NamedTuple):
    """The scale of so many clusters, and the fit that it is of, if rows are enough."""

    scale: np.ndarray
    clusters: Parameters | None = None


class Clusterings:
    """Clusterings of data that were made, for all samples of these data.

    Structures that whiten the rows in the same way have those of k-means in common, and
    shapes of covariances those of the same covariances without that shape.
    """

    def __init__(self) -> None:
        self._known: list[tuple[np.ndarray, np.ndarray, int, list[np.ndarray]]] = []
        self._fits: dict[tuple[str, bytes, int], dict[int, QuickFit]] = {}

    def fits(
        self, structure: Structure, coordinates: Coordinates, n_rows: int
    ) -> dict[int, QuickFit]:
        """Return what has been found, by the number of components."""
        key = structure.name, coordinates.scale.tobytes(), n_rows
        return self._fits.setdefault(key, {})

    def of(
        self, white: np.ndarray, weight: np.ndarray, n_components: int
    ) -> list[np.ndarray]:
        """Return one-hot labels (K, n), of each view."""
        for rows, its_weight, K, found in self._known:
            if K == n_components and rows.shape == white.shape:
                near = np.abs(rows - white).max() < COINCIDENT
                if near and np.array_equal(its_weight, weight):
                    return found
        found = list(_clusterings(white, weight, n_components))
        self._known.append((white, weight, n_components, found))
        return found


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
    clusterings: Clusterings = field(default_factory=Clusterings)

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        clusterings: Clusterings | None = None,
    ) -> Sample:
        """Look at rows, the same ones in every fit; `clusterings` may be known.

        Clusters are looked for with free covariances, whatever is asked of their shape.
        """
        asked = structure
        if structure.constraint is not None:
            structure = structure.free
        most = ROWS
        if not structure.matrices:
            most = min(ROWS, max(FEWEST, VALUES // blocks.n_features))
        taken = looked_at(blocks, most)
        X, inverse = distinct_rows(taken.X)
        weight = np.bincount(inverse, taken.weight, len(X)).astype(float)
        z = coordinates.load(X.T, np.empty(X.T.shape))
        kept = replace(taken, X=X, weight=weight)
        known = Clusterings() if clusterings is None else clusterings
        nearer = None
        ties = find_ties(X.T, z, weight, one_scale=not asked.scales_features)
        if ties is not None and not kept.incomplete and _merged(X.T, z):
            # Values that are not equal would have widths.
            sample = cls(structure, coordinates, kept)._without_remote()
            nearer = sample._nearer(asked, z)
        if nearer is None:
            coordinates = replace(coordinates, ties=ties)
            whole = as_one(kept, coordinates, structure)
            sample = cls(structure, coordinates, kept, whole, known)._without_remote()
            nearer = sample._nearer(asked, z)
            if nearer is None:
                return sample
        return cls.of(blocks, nearer, asked, clusterings)

    def _nearer(self, structure: Structure, z: np.ndarray) -> Coordinates | None:
        """Coordinates of rows without outliers, if they lose digits in those of all.

        Of features that have any width there. None if all is well, or if that would
        take the coordinates `z` of all rows too far.
        """
        if self.blocks.incomplete or not _crowded(self.rows[0]):
            return None
        rows, before = without_outliers(self.blocks)[0], self.coordinates
        if rows.total_weight < MOST * self.blocks.total_weight:
            rows = self.blocks
        total = replace(self, blocks=rows).total
        lost = variances_of(total.scatter().values[0]) <= LOST * total.counts[0]
        if not lost.any():
            return None
        found = standardising_coordinates(rows, structure)
        extent = extent_of(rows)
        ratio = found.scale / before.slope
        widest = np.maximum(np.abs(z).max(axis=1), 1.0)
        there = (ratio > 2) & (ratio < REACH / widest)
        lost = lost & (extent.high > extent.low) & there
        if found.unit is not None or not lost.any():
            return None
        if not structure.scales_features:
            return found
        unit = np.ones(len(lost)) if before.unit is None else before.unit
        shift, scale, unit = (
            np.where(lost, its, own)
            for its, own in (
                (found.shift, before.shift),
                (found.scale, before.scale),
                (1.0, unit),
            )
        )
        return Coordinates(shift, scale, unit if (unit != 1).any() else None)

    def scale(self, n_components: int) -> np.ndarray:
        """Λ of so many components, as the structure's scatter has it."""
        if n_components not in self.quick_fits:
            self.quick_fits[n_components] = self._quick_fit(n_components)
        return self.quick_fits[n_components].scale

    @property
    def quick_fits(self) -> dict[int, QuickFit]:
        """What has been found: a path asks for each number of components often."""
        structure, n_rows = self.structure, self.blocks.n_samples
        return self.clusterings.fits(structure, self.coordinates, n_rows)

    @property
    def most_clusters(self) -> int:
        """The largest number of clusters that there are rows enough for."""
        d = self.blocks.n_features
        enough = self.blocks.total_weight // (2 * pseudo_rows(self.structure, d))
        return max(1, min(int(enough), self.blocks.n_samples))

    def _quick_fit(self, n_components: int) -> QuickFit:
        if n_components == 1:
            return QuickFit(self._pooled(self.total))
        K = min(n_components, self.most_clusters)
        if K == n_components:
            return self._of_clusters(K)
        # What is left of a cluster that more components share.
        left = (n_components / K) ** (-2 / self.blocks.n_features)
        return QuickFit(left * self.scale(K))

    def _pooled(
        self, statistics: Statistics, before: np.ndarray | None = None
    ) -> np.ndarray:
        d = self.blocks.n_features
        return cluster_scale(self.structure, statistics.scatter(), d, before)

    @cached_property
    def total(self) -> Statistics:
        """Statistics of the rows as one component, about their mean.

        Others may have decided where zero is, and the unit.
        """
        (z, squares), weight = self.rows, self.blocks.weight
        assert weight is not None
        return Statistics.of_labels(
            self.structure.quadratic, z.T, weight[None], squares
        )

    @cached_property
    def points(self) -> Sample:
        """The complete rows, whose shared values have no width."""
        blocks = self.blocks
        if blocks.incomplete:
            complete = np.flatnonzero(~np.isnan(blocks.X).any(axis=1))
            blocks = replace(blocks.take(complete), incomplete=False)
        coordinates = replace(self.coordinates, ties=None)
        return replace(self, coordinates=coordinates, blocks=blocks, whole=None)

    @property
    def hides_null(self) -> bool:
        """Whether it may be that points have no variance in a direction, but the rows.

        As where a column is the sum of others that have shared values, or gaps.
        """
        hidden = self.coordinates.ties is not None or self.blocks.incomplete
        if not (hidden and self.structure.matrices):
            return False
        if self.points.blocks.n_samples <= 2 * self.blocks.n_features:
            return False
        if not self.blocks.incomplete:
            scatter = self.total.scatter()
            least = np.linalg.eigvalsh(scatter.values[0] / scatter.counts[0])[0]
            if least > 2 * self.mean_squares.max():
                return False
        scatter = self.points.total.scatter()
        return null_directions(scatter.values[0] / scatter.counts[0]) is not None

    @cached_property
    def mean_squares(self) -> np.ndarray:
        """Mean of w²/12 of each feature, (d,), of the complete rows."""
        X, weight = self.points.blocks.X, self.points.blocks.weight
        squares = self.coordinates.squares(X.T)
        assert weight is not None
        if squares is None:
            return np.zeros(X.shape[1])
        return np.broadcast_to(squares, X.T.shape) @ weight / weight.sum()

    @cached_property
    def _about_zero(self) -> Statistics:
        return self.total.about(np.zeros((1, self.blocks.n_features)))

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows in coordinates, (d, n), completed, and the variances within."""
        return filled_rows(
            self.blocks.X.T, self.coordinates, self.structure, self.whole
        )

    @cached_property
    def _factor(self) -> np.ndarray:
        """Factor of the precision of the rows as one component."""
        (z, _), scatter = self.rows, self.total.scatter()
        total = with_floor(scatter.values[0] / scatter.counts[0], COLLINEAR)
        penalty = ScaleFreePenalty(1.0, total)
        nothing = Scatter(np.zeros_like(scatter.values), np.zeros(1))
        covariances = penalty.covariances(self.structure, nothing, len(z))
        return factor(self.structure, penalty, covariances, len(z))

    def whitened(self, z: np.ndarray) -> np.ndarray:
        """Rows (d, n) in which the covariance of those kept is the identity."""
        return self.structure.whiten(self._factor, 0, z - self.total.means.T)

    @cached_property
    def white(self) -> np.ndarray:
        """The rows there, (d, n)."""
        return self.whitened(self.rows[0])

    @cached_property
    def distances(self) -> np.ndarray:
        """Squared Mahalanobis distances from the mean."""
        return np.einsum("db,db->b", self.white, self.white)

    def _without_remote(self) -> Sample:
        sample = self
        # That far only in coordinates of others, whose digits distances would lose.
        beside = (np.abs(self.rows[0]) > BESIDE).any(axis=0)
        if beside.any() and not beside.all():
            sample = self._rows(np.flatnonzero(~beside))
        for _ in range(MAX_TRIMS):
            near = sample.distances <= REMOTE * len(sample.white)
            if near.all() or not near.any():
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

    def _of_clusters(self, n_components: int) -> QuickFit:
        """Fit clusters by k-means and a few EM steps.

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
        Z = z[:, order].T
        views = self.clusterings.of(white, weight, n_components)
        steps = max(1, min(STEPS, WORK // self._products(n_components)))
        rows = Rows(blocks.block(0, 0), Z, weight, squares)
        sums = self._about_zero.sums[0]
        second = structure.quadratic.unpack(sums[1 + len(z) :], len(z))
        quick = Stepper.of(blocks, self.coordinates, structure, second)
        if quick is not None:
            resp = np.stack(views) * weight
            found = quick.cluster(rows, resp, steps, SETTLED)
            if found is not None:
                scale, parameters = found
                return QuickFit(scale.reshape(second.shape), parameters)
        statistics = min(
            (
                Statistics.of_labels(structure.quadratic, Z, resp * weight, squares)
                for resp in views
            ),
            key=_within,
        )
        # As many pseudo-observations as determine a covariance.
        pseudo = float(pseudo_rows(structure, blocks.n_features))
        scale = with_floor(self._pooled(statistics), COLLINEAR)
        whole = one_scatter(self.total, incomplete=blocks.incomplete)
        null = null_directions(whole.values[0] / whole.counts[0])
        penalty = ScaleFreePenalty(pseudo, scale, null, COLLINEAR)
        scatter = statistics.scatter()
        parameters = maximise(structure, penalty, statistics, scatter)
        statistics, parameters = self._settled(blocks, parameters, penalty, steps)
        return QuickFit(self._pooled(statistics), parameters)

    def _products(self, n_components: int) -> int:
        """Return how many products a step has, about."""
        n, d = self.blocks.n_samples, self.blocks.n_features
        return n * n_components * (1 + d + self.structure.quadratic.size(d))

    def _settled(
        self,
        blocks: ArrayBlocks,
        parameters: Parameters,
        penalty: ScaleFreePenalty,
        steps: int,
    ) -> tuple[Statistics, Parameters]:
        """Take EM steps, each with the scale of the clusters before it as a target.

        Until that hardly changes. Return the last statistics, and where they lead.
        """
        structure = self.structure
        volume = log_volume(penalty.target)
        for _ in range(steps):
            form = choose_form(structure, parameters, np.dtype(float))
            expectation = Expectation(form, self.coordinates)
            statistics = self._completed(
                blocks.fold(expectation.statistics, expectation.values_per_sample)
            )
            scatter = statistics.scatter()
            parameters = maximise(structure, penalty, statistics, scatter, parameters)
            scale = with_floor(self._pooled(statistics, penalty.target), COLLINEAR)
            penalty = replace(penalty, target=scale)
            before, volume = volume, log_volume(scale)
            if abs(volume - before) <= SETTLED:
                break
        return statistics, parameters

    def _completed(self, statistics: Statistics) -> Statistics:
        if statistics.quadratic == self.structure.quadratic:
            return statistics
        return statistics.completed(self._about_zero)


def coordinates_with_widths(blocks: Blocks, structure: Structure) -> Coordinates:
    """Return coordinates that suit rows, and know the values that these share."""
    coordinates = standardising_coordinates(blocks, structure)
    return Sample.of(blocks, coordinates, structure).coordinates


def _crowded(z: np.ndarray) -> bool:
    """Whether most of a few values (d, n) of a feature are that near to each other."""
    few = np.sort(z[:, :: max(1, z.shape[1] // FEW)], axis=1)
    n = few.shape[1]
    return bool((few[:, 3 * n // 4] - few[:, n // 4] < CROWDED).any())


def _merged(data: np.ndarray, z: np.ndarray) -> bool:
    """Whether most values (d, n) of a feature are the same as others only in z."""
    before, after = (
        np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
        for ordered in (np.sort(data, axis=1), np.sort(z, axis=1))
    )
    return bool((2 * after < before).any())


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
        tails = white * np.sqrt(weight * np.square(white).sum(axis=0))
        fourth = tails @ tails.T
        views.append(eigh(fourth, subset_by_index=[0, p - 1])[1].T @ white)
    for view in views:
        yield kmeans(view.T, weight, n_components, rng)


def _within(statistics: Statistics) -> float:
    """Log-volume of the scatter within clusters, which affine maps do not reorder."""
    values = statistics.scatter().values.sum(axis=0)
    return log_volume(with_floor(values / statistics.counts.sum(), COLLINEAR))
