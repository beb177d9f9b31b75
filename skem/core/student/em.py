"""The EM map of t mixtures: θ → (θ⁺, ℓ(θ)), with ν among the parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gamma import shape_information
from skem.core.gaussian.chart import SMALLEST_WEIGHT, Chart
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import Regularization
from skem.core.gaussian.statistics import Statistics
from skem.core.mixture.bulk import Bulk
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.mixture.scale import Clusterings
from skem.core.mixture.step import Stepper
from skem.core.mixture.stream import Stream
from skem.core.mixture.totals import classified, scored
from skem.core.student.expectation import AS_FAR, StudentExpectation
from skem.core.student.parameters import (
    LABELLED,
    LEAST,
    MOST,
    Freedom,
    StudentParameters,
    StudentStatistics,
)
from skem.core.student.robust import robust_distances
from skem.core.student.step import StudentSamples

LARGEST_VALUE = 1e100
"""Size of a coordinate beyond which a value counts as being there, in starts."""


@dataclass(frozen=True)
class StudentMap(EMMap):
    """The data in robust coordinates, with what the degrees of freedom may be.

    `low` and `high` (d,) are where outliers begin.
    """

    allows_single: ClassVar[bool] = False
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
        noise: float | None = None,
        clusterings: Clusterings | None = None,
    ) -> StudentMap:
        """Standardise the data, and set the regularization to suit their bulk.

        `clusterings` of the data may be known.
        """
        bulk = Bulk.of(blocks, structure)
        return cls.of_rows(
            blocks,
            bulk.blocks,
            bulk.coordinates,
            structure,
            n_components,
            reg_covar,
            noise,
            clusterings,
            freedom=freedom,
            low=bulk.low,
            high=bulk.high,
        )

    def for_components(self, n_components: int) -> StudentMap:
        """Return the same problem for another number of components."""
        start = np.resize(self.freedom.start, n_components)
        found: Any = super().for_components(n_components)
        found = replace(found, freedom=replace(self.freedom, start=start))
        return found if self.freedom.tells_apart else found._beside(self)

    def clusters(self, n_components: int) -> StudentParameters | None:
        """Return the quick fit, with the degrees of freedom that starts have."""
        found = super().clusters(n_components)
        if found is None:
            return None
        df = np.resize(self.freedom.start, len(found.weights))
        if not self.freedom.fixed:
            df = np.clip(df, LEAST, MOST)
        return StudentParameters.of(found, df)

    def restricted(self, most: int, rng: np.random.RandomState) -> StudentMap:
        """Return the same problem for at most so many rows, chosen at random.

        `total` stays: sums of t components have squares of their own.
        """
        blocks = self.blocks.take(self.random_rows(most, rng))
        share = blocks.total_weight / self.blocks.total_weight
        return replace(
            self, blocks=blocks, regularization=self.regularization.scaled(share)
        )

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        return self._chart_of(StudentChart, base, freedom=self.freedom)

    @property
    def exchangeable(self) -> bool:
        """Whether components may come in any order."""
        return super().exchangeable and not self.freedom.tells_apart

    def admitted(self, start: Parameters) -> Parameters:
        """Return a start in the order of what is known or given."""
        found = super().admitted(start)
        if not self.freedom.tells_apart:
            return found
        assert isinstance(found, StudentParameters)
        return replace(found, df=np.resize(self.freedom.start, len(found.df)))

    def filled(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw data (d, n) as `filled_rows` does, none of them out of range."""
        with np.errstate(all="ignore"):
            z, squares = super().filled(data)
        return np.clip(np.nan_to_num(z), -LARGEST_VALUE, LARGEST_VALUE), squares

    def gathered(self, Z: np.ndarray) -> np.ndarray:
        """Return rows (n, d), outliers where they begin."""
        return np.clip(Z, self.low, self.high)

    def of_labels(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> Statistics:
        """Return the statistics of rows (n, d) with weighted responsibilities.

        Rows far from the median of those of their label count for less.
        """
        times = resp * self.labelled_scales(Z, resp, squares)
        found = Statistics.of_labels(self.structure.quadratic, Z, times, squares)
        return self._with_sizes(found, resp.sum(axis=-1))

    def labelled_scales(
        self, Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
    ) -> np.ndarray:
        """Return what rows (n, d) count for with their label, (…, K, n)."""
        d = Z.shape[1] - self.regularization.n_null
        flat = resp.reshape(-1, len(Z))
        distances = robust_distances(Z, flat, squares).reshape(resp.shape)
        scales = (LABELLED + d) / (LABELLED + distances)
        scales[distances > AS_FAR**2] = 0
        return scales

    def _with_sizes(self, found: Statistics, sizes: np.ndarray) -> StudentStatistics:
        """Return statistics of labels of so many rows, (…, K)."""
        owned = np.zeros((*sizes.shape, 3))
        owned[..., 0] = sizes
        owned[..., 1] = self.freedom.labelled(sizes)
        return StudentStatistics(
            0.0, found.sums, found.reference, found.quadratic, owned=owned
        )

    def started(self, statistics: Statistics) -> Parameters:
        """M-step of labelled rows, for a start; or of moments of clusters."""
        if not isinstance(statistics, StudentStatistics):
            statistics = self._with_sizes(statistics, statistics.counts)
        return super().started(statistics)

    def expectation(
        self, parameters: Parameters, dtype: np.dtype | None = None
    ) -> StudentExpectation:
        """Return the kernels that evaluate a block at `parameters`, in float64."""
        assert isinstance(parameters, StudentParameters)
        return StudentExpectation(
            self.structure,
            parameters,
            self.coordinates,
            AS_FAR,
            self._log_widths,
            self.null_space,
        )

    def of_points(self, parameters: Parameters) -> StudentExpectation:
        """Return those that take shared values for points, and have no reach."""
        assert isinstance(parameters, StudentParameters)
        coordinates = replace(self.coordinates, ties=None)
        return StudentExpectation(
            self.structure,
            parameters,
            coordinates,
            background=self._log_widths,
            null=self.null_space,
        )

    def weights(
        self, parameters: Parameters, block: Block
    ) -> tuple[np.ndarray, np.ndarray]:
        """Posterior probabilities, and what rows count for with each component."""
        return self.expectation(parameters).weights(block, Workspace())

    def sketched(self, parameters: Parameters, no_account: float) -> None:
        """Moments are found row by row."""

    @cached_property
    def _stepper(self) -> Stepper | None:
        def of(blocks: Blocks, *data: Any) -> Stepper | None:
            own = self.freedom, AS_FAR, self.regularization.n_null
            return Stepper.on(blocks, StudentSamples.of_freedom(*own, blocks, *data))

        return self._compiled(of)

    @cached_property
    def _wide(self) -> None:
        """Steps on many samples are those of blocks."""

    @property
    def _evaluation(self) -> type[Evaluation]:
        return StudentEvaluation

    def moved(self, parameters: Parameters, *how: Any) -> Parameters | None:
        """Leave a mixture in several ways in one call, if no component is another."""
        return None if self.freedom.tells_apart else super().moved(parameters, *how)

    def maximise(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> StudentParameters:
        """M-step. A component without rows within reach keeps its location."""
        assert isinstance(statistics, StudentStatistics)
        df = self.freedom.maximise(statistics.sizes, statistics.owned[..., 1])
        return StudentParameters.of(super().maximise(statistics, previous), df)


@dataclass(frozen=True)
class StudentEvaluation(Evaluation):
    """What one pass has found. What users see has no reach."""

    @property
    def _within_reach(self) -> bool:
        """Whether no row is farther than densities reach."""
        assert isinstance(self.statistics, StudentStatistics)
        return not self.statistics.owned[:, 2].any()

    @cached_property
    def score(self) -> float:
        """Σ v log p(x | θ) in units of the data; shared values are points."""
        if self.em.coordinates.ties is None and self._within_reach:
            return super().score
        return scored(self.em.of_points(self.parameters), self.em.blocks).loglik

    @cached_property
    def certainty(self) -> float:
        """Σ v log max_k r_k; shared values are points."""
        if self._within_reach:
            return super().certainty
        return classified(self.em.of_points(self.parameters), self.em.blocks).certainty


@dataclass(frozen=True)
class StudentChart(Chart):
    """Those of Gaussian mixtures, and √(n ι) (log ν − log ν⁰) of each free ν.

    With ι the information of a row on log ν: that of its τ ~ Gamma(ν/2, ν/2).
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
        return np.sqrt(sizes * shape_information(self._own / 2))

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
        self, batch: Blocks, regularization: Regularization, total: Statistics
    ) -> EMMap:
        """Return the map of a batch."""
        assert self.freedom is not None
        found: Any = super().map_of(batch, regularization, total)
        return replace(found, freedom=self.freedom)
