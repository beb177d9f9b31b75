"""The EM map of t mixtures: θ → (θ⁺, ℓ(θ)), with ν among the parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from skem.core.blocks import ArrayBlocks, Blocks
from skem.core.chart import SMALLEST_WEIGHT, Chart
from skem.core.covariance import Structure
from skem.core.em import EMMap, Evaluation
from skem.core.expectation import total_statistics
from skem.core.maximisation import factor
from skem.core.parameters import Parameters
from skem.core.regularization import Regularization, Ridge, ScaleFreePenalty
from skem.core.robust import Bulk, robust_distances
from skem.core.scale import Sample, as_one, one_scatter
from skem.core.statistics import Statistics
from skem.core.stream import Stream
from skem.core.student import (
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    StudentStatistics,
    information,
)
from skem.core.tails import REACH, StudentExpectation
from skem.core.totals import scored

HEAVY = 4.0
"""Degrees of freedom by which rows of a label count for less the farther they are."""
FARTHEST = 1e100
"""Size of a coordinate beyond which a value counts as being there, in starts."""


@dataclass(frozen=True)
class StudentMap(EMMap):
    """The data in robust coordinates, with what the degrees of freedom may be.

    `low` and `high` (d,) are where outliers begin.
    """

    freedom: Freedom = field(default_factory=lambda: Freedom(np.ones(1), True))
    low: np.ndarray | float = -np.inf
    high: np.ndarray | float = np.inf

    @classmethod
    def of_data(
        cls,
        blocks: Blocks,
        structure: Structure,
        n_components: int,
        reg_covar: float | str,
        freedom: Freedom,
    ) -> StudentMap:
        """Standardise the data, and set the regularization to suit their bulk."""
        bulk = Bulk.of(blocks, structure)
        coordinates, sample = bulk.coordinates, None
        regularization: Regularization
        if reg_covar == "auto":
            sample = Sample.of(bulk.blocks, coordinates, structure)
            coordinates, whole, total = sample.coordinates, sample.whole, sample.total
            regularization = ScaleFreePenalty.of_data(
                sample.scale(n_components),
                one_scatter(total, incomplete=blocks.incomplete),
                blocks.total_weight,
            )
        else:
            whole = as_one(bulk.blocks, coordinates, structure)
            total = total_statistics(bulk.blocks, coordinates, structure, whole)
            with np.errstate(over="ignore"):
                origin = -coordinates.shift * coordinates.scale
            regularization = Ridge(float(reg_covar) * coordinates.slope**2, origin)
        return cls(
            blocks,
            coordinates,
            structure,
            regularization,
            total,
            sample,
            whole,
            freedom=freedom,
            low=bulk.low,
            high=bulk.high,
        )

    def clusters(self, n_components: int) -> StudentParameters | None:
        """Return the quick fit, with the degrees of freedom that starts have."""
        found = super().clusters(n_components)
        if found is None:
            return None
        df = self.freedom.start
        if not self.freedom.fixed:
            df = np.clip(df, LEAST, MOST)
        return StudentParameters.of(found, df)

    def restricted(self, most: int, rng: np.random.RandomState) -> StudentMap:
        """Return the same problem for at most so many rows, chosen at random."""
        blocks = self.blocks.take(self.blocks.random_rows(most, rng))
        share = blocks.total_weight / self.blocks.total_weight
        return replace(
            self, blocks=blocks, regularization=self.regularization.scaled(share)
        )

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        return StudentChart(
            self.structure,
            base,
            self.blocks.total_weight,
            self.restored if self.regularization.pins else None,
            freedom=self.freedom,
        )

    def filled(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw data (d, n) as `filled_rows` does, none of them out of range."""
        with np.errstate(all="ignore"):
            z, squares = super().filled(data)
        return np.clip(np.nan_to_num(z), -FARTHEST, FARTHEST), squares

    def gathered(self, Z: np.ndarray) -> np.ndarray:
        """Return rows (n, d), outliers where they begin."""
        return np.clip(Z, self.low, self.high)

    def of_labels(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> Statistics:
        """Return the statistics of rows (n, d) with weighted responsibilities.

        Rows far from the median of those of their label count for less.
        """
        d = Z.shape[1]
        flat = resp.reshape(-1, len(Z))
        distances = robust_distances(Z, flat, squares).reshape(resp.shape)
        scales = (HEAVY + d) / (HEAVY + distances)
        scales[distances > REACH**2] = 0
        found = Statistics.of_labels(
            self.structure.quadratic, Z, resp * scales, squares
        )
        owned = np.zeros((*resp.shape[:-1], 3))
        owned[..., 0] = resp.sum(axis=-1)
        owned[..., 1] = self.freedom.labelled(owned[..., 0])
        return StudentStatistics(
            0.0, found.sums, found.reference, found.quadratic, owned=owned
        )

    def expectation(self, parameters: Parameters, dtype: np.dtype | None = None) -> Any:
        """Return the kernels that evaluate a block at `parameters`, in float64."""
        assert isinstance(parameters, StudentParameters)
        return StudentExpectation(self.structure, parameters, self.coordinates, REACH)

    def of_points(self, parameters: Parameters) -> Any:
        """Return those that take shared values for points, and have no reach."""
        assert isinstance(parameters, StudentParameters)
        coordinates = replace(self.coordinates, ties=None)
        return StudentExpectation(self.structure, parameters, coordinates)

    def evaluate(self, parameters: Parameters) -> Evaluation:
        """Fold one pass over the data at `parameters`."""
        expectation = self.expectation(parameters)
        statistics = self.blocks.fold(
            expectation.statistics, expectation.values_per_sample
        )
        return StudentEvaluation(self, parameters, statistics)

    def maximise(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> StudentParameters:
        """M-step. A component without rows within reach keeps its location."""
        assert isinstance(statistics, StudentStatistics)
        d, sizes, means = statistics.n_features, statistics.sizes, statistics.means
        before = None if previous is None else previous.precisions_cholesky
        covariances = self.regularization.covariances(
            self.structure, statistics.scatter(), d, means, before
        )
        cholesky = factor(self.structure, self.regularization, covariances, d)
        if previous is not None:
            means = np.where(statistics.counts[..., None] > 0, means, previous.means)
        df = self.freedom.maximise(sizes, statistics.owned[..., 1])
        weights = sizes / sizes.sum(axis=-1, keepdims=True)
        return StudentParameters(weights, means, cholesky, df)


@dataclass(frozen=True)
class StudentEvaluation(Evaluation):
    """What one pass has found. What users see has no reach."""

    @cached_property
    def score(self) -> float:
        """Σ v log p(x | θ) in units of the data; shared values are points."""
        assert isinstance(self.statistics, StudentStatistics)
        if self.em.coordinates.ties is None and not self.statistics.owned[:, 2].any():
            return super().score
        return scored(self.em.of_points(self.parameters), self.em.blocks).loglik


@dataclass(frozen=True)
class StudentChart(Chart):
    """Those of Gaussian mixtures, and √(n ι) (log ν − log ν⁰) of each free ν.

    With ι the information of a row and its τ on log ν.
    """

    freedom: Freedom | None = None

    @cached_property
    def _own(self) -> np.ndarray:
        """Degrees of freedom of the base that are free, (size,)."""
        assert self.freedom is not None and isinstance(self.base, StudentParameters)
        return self.base.df[: self.freedom.size]

    @cached_property
    def _freedom_scale(self) -> np.ndarray:
        assert self.freedom is not None
        share = np.maximum(self.base.weights, SMALLEST_WEIGHT)
        if self.freedom.common:
            share = np.ones(1)
        sizes = self.total_weight * share[: len(self._own)]
        return np.sqrt(sizes * information(self._own))

    def pack(self, parameters: Parameters) -> np.ndarray:
        """Parameters -> vector; the base point is the origin."""
        assert isinstance(parameters, StudentParameters)
        size = len(self._own)
        own = self._freedom_scale * np.log(parameters.df[:size] / self._own)
        return np.concatenate([super().pack(parameters), own])

    def unpack(self, vector: np.ndarray) -> Parameters:
        """Vector -> parameters."""
        assert isinstance(self.base, StudentParameters)
        size = len(self._own)
        found = super().unpack(vector[: len(vector) - size])
        df = self.base.df
        if size:
            move = np.clip(vector[len(vector) - size :] / self._freedom_scale, -50, 50)
            df = np.broadcast_to(
                np.clip(self._own * np.exp(move), LEAST, MOST), df.shape
            )
        return StudentParameters(
            found.weights, found.means, found.precisions_cholesky, df
        )

    def farthest(self, step: np.ndarray) -> float:
        """Return the largest move of a step, in standard deviations or logarithms."""
        size = len(self._own)
        own = np.abs(step[len(step) - size :] / self._freedom_scale)
        return max(super().farthest(step[: len(step) - size]), own.max(initial=0.0))


@dataclass(frozen=True)
class StudentStream(Stream):
    """A t mixture and the statistics that stand for what it has seen."""

    farthest: ClassVar[dict[Any, float]] = {
        np.dtype(np.float64): 1e4,
        np.dtype(np.float32): 1e4,
    }
    freedom: Freedom | None = None

    @classmethod
    def begin(cls, evaluation: Evaluation) -> StudentStream:
        """Begin as if what has been fitted had been the stream so far."""
        assert isinstance(evaluation.em, StudentMap)
        return replace(super().begin(evaluation), freedom=evaluation.em.freedom)

    def map_of(
        self, batch: ArrayBlocks, regularization: Regularization, total: Statistics
    ) -> EMMap:
        """Return the map of a batch."""
        assert self.freedom is not None
        return StudentMap(
            batch,
            self.coordinates,
            self.structure,
            regularization,
            total,
            freedom=self.freedom,
        )
