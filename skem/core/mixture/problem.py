"""A problem to fit: data in coordinates, the model, and what is known or given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates, standardising_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.nullspace import NullSpace
from skem.core.gaussian.parameters import Parameters, shares
from skem.core.gaussian.regularization import Regularization, ScaleFreePenalty
from skem.core.gaussian.ridge import Ridge
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.expectation import filled_rows, total_statistics
from skem.core.mixture.noise import Background, check_noise, check_volume, clean
from skem.core.mixture.rows import Rows
from skem.core.mixture.scale import (
    Clusterings,
    QuickFit,
    Sample,
    as_one,
    one_scatter,
)

KEPT = 2**21
"""Values of all rows up to which they are kept in coordinates, once they are."""
LABELLED = 100
"""Rows known of a component that any part of the rows has, if there are so many."""
LEAST_NOISE, STARTING_NOISE = 1e-3, 0.05
"""The weight of noise in a start, if there is less of it."""


@dataclass(frozen=True)
class FitProblem:
    """The data, in coordinates, with a structure and a regularization.

    `total` are the one-component statistics of the data (of t components, which ask for
    the size of coordinates alone, those of a sample), and `sample` the rows that the
    regularization takes the scale of clusters from, if it does. Where values are
    missing, `whole` is the one component that rows are completed by for a start. What
    is given of the mixture is `fixed`, in coordinates. With a `background` one more
    component is noise.
    """

    blocks: Blocks
    coordinates: Coordinates
    structure: Structure
    regularization: Regularization
    total: Statistics
    sample: Sample | None = None
    whole: Parameters | None = None
    fixed: Fixed | None = None
    background: Background | None = None

    @classmethod
    def prepare(
        cls,
        blocks: Blocks,
        structure: Structure,
        n_components: int,
        reg_covar: float | str,
        noise: float | None = None,
        clusterings: Clusterings | None = None,
    ) -> Self:
        """Standardise the data, and set the regularization to suit them.

        `reg_covar` is "auto", or a variance in squared units of the data. `noise` is
        True, the density of noise, or None (or False) if there is none. `clusterings`
        of the data may be known.
        """
        coordinates = standardising_coordinates(blocks, structure)
        return cls.of_rows(
            blocks,
            blocks,
            coordinates,
            structure,
            n_components,
            reg_covar,
            noise,
            clusterings,
        )

    @classmethod
    def of_rows(
        cls,
        blocks: Blocks,
        looked_at: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        n_components: int,
        reg_covar: float | str,
        noise: float | None,
        clusterings: Clusterings | None = None,
        **more: Any,
    ) -> Self:
        """Set the regularization by rows that are looked at: all, or their bulk."""
        sample, background = None, None
        if reg_covar == "auto":
            sample = Sample.of(looked_at, coordinates, structure, clusterings)
            coordinates = sample.coordinates
        noise = check_noise(noise)
        if noise is not None:
            background = Background.of(blocks, coordinates, noise)
        if sample is not None:
            if background is not None:
                # Noise is wider than any cluster.
                rows = sample.rows[0].T
                sample = sample.only(clean(rows, np.random.RandomState(0)))
            whole = sample.whole
        else:
            coordinates = coordinates.beside_ridge(float(reg_covar))
            whole = as_one(looked_at, coordinates, structure)
        if sample is not None and looked_at is not blocks:
            total = sample.total
        else:
            total = total_statistics(looked_at, coordinates, structure, whole)
        regularization: Regularization
        if sample is not None:
            every, part, squares = total, sample.total, None
            completed = blocks.incomplete
            if sample.hides_null:
                points, squares = sample.points, sample.mean_squares
                every, part, completed = points.total, points.total, False
                if looked_at is blocks:
                    every = total_statistics(blocks, points.coordinates, structure)
            regularization = ScaleFreePenalty.of_data(
                sample.scale(n_components),
                one_scatter(every, incomplete=completed),
                blocks.total_weight,
                one_scatter(part, incomplete=completed),
                squares,
            )
        else:
            with np.errstate(over="ignore"):
                origin = -coordinates.shift * coordinates.scale
            variances = coordinates.of_variance(float(reg_covar))
            regularization = Ridge(variances, origin)
        check_volume(noise, regularization.null_basis)
        return cls(
            blocks,
            coordinates,
            structure,
            regularization,
            total,
            sample,
            whole,
            background=background,
            **more,
        )

    @cached_property
    def null_space(self) -> NullSpace | None:
        """Where the data have no variance, if there is such a direction."""
        return self.coordinates.null_space(self.regularization.null_basis)

    @property
    def quick_fits(self) -> dict[int, QuickFit]:
        """Quick fits that scales are taken from, by the number of components."""
        return {} if self.sample is None else self.sample.quick_fits

    def clusters(self, n_components: int) -> Parameters | None:
        """Return where the quick fit has its components, if there was one."""
        found = self.quick_fits.get(n_components)
        if found is None or found.clusters is None:
            return None
        return self.constrained(found.clusters, roughly=True)

    def reopened(self, blocks: ArrayBlocks) -> Self:
        """Return the same problem of the same array, opened anew."""
        sample = self.sample
        if sample is not None:
            again = replace(sample.blocks, workers=blocks.workers)
            sample = replace(sample, blocks=again)
        return replace(self, blocks=blocks, sample=sample)

    def for_components(self, n_components: int) -> Self:
        """Return the same problem for another number of components.

        Of what is given only equal weights may be.
        """
        em = self if self.fixed is None else self.with_equal_weights(n_components)
        if em.sample is None:
            return em
        scale = em.sample.scale(n_components)
        return replace(em, regularization=em.regularization.rescaled(scale))

    def with_equal_weights(self, n_components: int) -> Self:
        """Return the same problem with weights of 1/K each."""
        d, noise = self.blocks.n_features, self.background is not None
        equal = Fixed.equal_weights(self.structure, n_components, d, noise)
        return replace(self, fixed=equal)

    @cached_property
    def total_second(self) -> np.ndarray:
        """Σ v z zᵀ of the rows of `total`."""
        d = self.blocks.n_features
        return self.total.quadratic.unpack(self.total.sums[:, 1 + d :], d)[0]

    def restricted(self, most: int, rng: np.random.RandomState) -> Self:
        """Return the same problem for at most so many rows, chosen at random.

        The penalty shrinks with the weight, so that the optimum is about the same.
        """
        return self.with_blocks(self.blocks.take(self.random_rows(most, rng)))

    def with_blocks(self, blocks: ArrayBlocks) -> Self:
        """Return the same problem for some of the rows, with weights of their own."""
        share = blocks.total_weight / self.blocks.total_weight
        return replace(
            self,
            blocks=blocks,
            regularization=self.regularization.scaled(share),
            total=total_statistics(
                blocks, self.coordinates, self.structure, self.whole
            ),
        )

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight, and of known ones.

        Of each known component there are some, however few they are.
        """
        rows = self.blocks.random_rows(most, rng)
        if not self._any_known or len(rows) == self.blocks.n_observed:
            return rows
        return np.union1d(rows, self.blocks.known_rows(LABELLED, rng))

    def rows(self, most: int, rng: np.random.RandomState) -> Rows:
        """Return at most so many rows of positive weight, chosen by index.

        All of them, if they are few, are loaded once.
        """
        values = self.blocks.n_observed * self.blocks.n_features
        if self.blocks.n_observed <= most and values <= KEPT:
            return self.all_rows
        return Rows.of(self, self.blocks.take(self.random_rows(most, rng)))

    @cached_property
    def all_rows(self) -> Rows:
        """All rows of positive weight, loaded."""
        every = self.blocks.rows_at(np.arange(self.blocks.n_observed))
        return Rows.of(self, self.blocks.take(every))

    @property
    def _any_known(self) -> bool:
        return len(self.blocks.known_components) > 0

    def movable(self, n_components: int) -> np.ndarray:
        """Mask of components that may be taken away: nothing is known or given."""
        known, free = self.blocks.known_components, np.ones(n_components, bool)
        free[known[known < n_components]] = False
        return free if self.fixed is None else free & ~self.fixed.placed

    def with_noise(self, start: Parameters) -> Parameters:
        """Leave something for noise, if there is: nothing would stay nothing."""
        if self.background is None or start.noise_weight >= LEAST_NOISE:
            return start
        weights = (1 - STARTING_NOISE) * shares(start.weights)
        return replace(start, weights=weights)

    def ready(self, start: Parameters) -> Parameters:
        """Return a start as the structure, noise and what is given allow it."""
        return self.with_fixed(self.with_noise(self.constrained(start)))

    def with_fixed(self, parameters: Parameters) -> Parameters:
        """Put what is given in its place."""
        return parameters if self.fixed is None else self.fixed.restored(parameters)

    @property
    def exchangeable(self) -> bool:
        """Whether components may come in any order."""
        alike = self.fixed is None or self.fixed.alike
        return alike and not self._any_known

    @property
    def restores(self) -> bool:
        """Whether something of a mixture must not change."""
        return self.regularization.pins or self.fixed is not None

    def restored(self, parameters: Parameters) -> Parameters:
        """Put back what of a mixture must not change."""
        if self.regularization.pins:
            cholesky = parameters.precisions_cholesky
            cholesky = self.regularization.pinned(self.structure, cholesky)
            parameters = replace(parameters, precisions_cholesky=cholesky)
        return self.with_fixed(parameters)

    def constrained(
        self, parameters: Parameters, *, roughly: bool = False
    ) -> Parameters:
        """Return parameters with the nearest covariances that the structure allows.

        Roughly, where they are a start among many: axes that components have in common
        are the best ones that one of them has.
        """
        before, d = parameters.precisions_cholesky, self.blocks.n_features
        structure = self.structure.rough if roughly else self.structure
        cholesky = structure.constrained(before, parameters.weights, d)
        if cholesky is before:
            return parameters
        return replace(parameters, precisions_cholesky=cholesky)

    def filled(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw data (d, n) as `filled_rows` does."""
        return filled_rows(data, self.coordinates, self.structure, self.whole)

    def gathered(self, Z: np.ndarray) -> np.ndarray:
        """Return rows (n, d) as clusterings that go by distances may see them."""
        return Z

    def views(self, Z: np.ndarray) -> list[np.ndarray]:
        """Return what distances between rows (n, d) may be measured in, in turn.

        Where axes may turn, but no feature be scaled by itself, clusters are often seen
        in standardised features only.
        """
        seen = self.gathered(Z)
        structure = self.structure
        if structure.scales_features or not structure.matrices:
            return [seen]
        spread = seen.std(axis=0)
        return [seen / np.where(spread > 0, spread, 1.0), seen]
