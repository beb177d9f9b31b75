"""The variational map q → (q⁺, L(q)): the E-step of EM, and the M-step of a prior.

L(q) = Σ v log Σ_k exp E log w_k N(x | μ_k, Λ_k⁻¹) − KL(q ‖ p) is a lower bound on the
log-evidence log p(X) (Bishop 2006, section 10.2). Where components share a covariance,
and where it is diagonal or spherical, it is the bound of full precisions with priors of
their own, under a q that is restricted to one W for all, to diagonal ones, or to
multiples of the identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.chart import Chart
from skem.core.gaussian.coordinates import (
    Coordinates,
    extent_of,
    standardising_coordinates,
)
from skem.core.gaussian.covariance import Scatter, Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import Posterior, WeightPrior
from skem.core.gaussian.prior import Prior, of_variances, public_covariance
from skem.core.gaussian.regularization import (
    COLLINEAR,
    elsewhere,
    floor_above,
    n_directions,
    null_beside,
    null_directions,
    with_floor,
)
from skem.core.gaussian.ridge import ADDED
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import TINY, variances_of
from skem.core.mixture.bulk import without_outliers
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.mixture.expectation import total_statistics
from skem.core.mixture.scale import Sample, as_one, one_scatter
from skem.core.mixture.totals import scored

WIDER = 4.0
"""Times a variance of the bulk that one of all rows must be to do without outliers."""
WIDEST = 1e12
"""Times that a variance of the bulk goes into one beside it, with digits left."""


@dataclass(frozen=True)
class Beliefs:
    """A prior in units of the data; what is None comes from the data.

    `covariance` has the structure's shape, without a component axis. Where it is None,
    it is as wide as one of so many `clusters` that together fill what the data do.
    `mean_of_bulk` and `covariance_of_bulk` say whether these are the data without
    outliers.
    """

    weights: WeightPrior
    mean_precision: float | None = None
    mean: np.ndarray | None = None
    degrees_of_freedom: float | None = None
    covariance: np.ndarray | None = None
    clusters: int = 1
    mean_of_bulk: bool = True
    covariance_of_bulk: bool = True

    def prior(
        self,
        structure: Structure,
        coordinates: Coordinates,
        pooled: Pooled,
        ridge: np.ndarray | None,
        *,
        incomplete: bool = False,
    ) -> Prior:
        """Return the prior in the coordinates that `pooled` are in.

        That of `incomplete` data has a floor, which the prior does not come from.
        `ridge` (d,) are variances added to the covariance of each component's rows.
        None: rows get `COLLINEAR` in directions in which the data have no variance.
        """
        d, quadratic = pooled.all.n_features, structure.quadratic
        row = of_variances(quadratic, np.zeros(d) if ridge is None else ridge)
        null, floor = None, COLLINEAR
        if ridge is None and self.covariance is None:
            null = pooled.null_directions(incomplete=incomplete)
        # If nothing varies, that is all the same.
        varying = d - n_directions(null) or d
        degrees = float(varying)
        if self.degrees_of_freedom is not None:
            degrees = self.degrees_of_freedom
        if self.covariance is not None:
            scatter = _inward(structure, coordinates, np.asarray(self.covariance), d)
        else:
            scatter = self._width(pooled, varying, incomplete=incomplete)
            if ridge is None:
                scatter, row, floor = _floored(
                    null, scatter, degrees, pooled.mean_squares
                )
        # Where V_0 is singular, components without rows have as much of it.
        scatter = scatter + (0.0 if ridge is None else ADDED) * row
        mean = (pooled.bulk if self.mean_of_bulk else pooled.all).means[0]
        if self.mean is not None:
            unit = 1.0 if coordinates.unit is None else coordinates.unit
            given = (self.mean * unit - coordinates.shift) * coordinates.scale
            # Where the data have no variance the mean is known.
            known = 0.0 if null is None else _part(null, mean - given)
            mean = given + known
        return Prior.of(
            structure,
            self.weights,
            self._mean_precision(structure, pooled),
            mean,
            degrees,
            scatter,
            row,
            repairs=ridge is None,
            null=null,
            floor=floor,
        )

    def _width(
        self, pooled: Pooled, dimensions: int, *, incomplete: bool
    ) -> np.ndarray:
        """V_0 from the data, as wide as one of the clusters."""
        total = pooled.bulk if self.covariance_of_bulk else pooled.all
        scatter = one_scatter(total, incomplete=incomplete)
        width, N = self.clusters ** (-2 / dimensions), float(scatter.counts[0])
        return np.asarray(
            _within(scatter) * (width * N / (N - 1) if N >= 2 else 2.0 * width)
        )

    def _mean_precision(self, structure: Structure, pooled: Pooled) -> float:
        """β_0.

        A covariance is as wide as the way from m_0 to each mean, β_0 rows of it. That
        of all components must not have it from outliers, and none may lose its digits.
        """
        if self.mean_precision is not None:
            return self.mean_precision
        if pooled.narrowing == 1 or not (structure.matrices and self.mean_of_bulk):
            return 1.0
        N, d = float(pooled.all.counts[0]), pooled.all.n_features
        # One row so far away would widen the covariance of all of them as much.
        least = pooled.narrowing * (1 / N if structure.shared else WIDEST)
        least = min(max(least, TINY), 1.0)
        # What that costs each mean must not be more than the rows have to say.
        return 1.0 if -0.5 * d * np.log(least) > N else least


@dataclass(frozen=True)
class Pooled:
    """Statistics of `all` rows as one component, and of their `bulk`.

    Those are the same where outliers hardly widen a feature. `narrowing` is the
    variance of the bulk over that of all rows, of the feature with the smallest.
    """

    all: Statistics
    bulk: Statistics
    narrowing: float = 1.0
    points: Pooled | None = None
    """The same of points, if it is widths of values that hide null directions."""
    mean_squares: np.ndarray | None = None
    """Those of widths then, (d,)."""

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        looked_at: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        whole: Parameters | None,
    ) -> Pooled:
        """Fold all rows, and those without outliers of some that are looked at."""
        total = total_statistics(blocks, coordinates, structure, whole)
        rows, _, _ = without_outliers(looked_at)
        rows = replace(rows, weight=rows.weight_of_each)
        its_whole = as_one(rows, coordinates, structure)
        sample = Sample(structure, coordinates, rows, its_whole)
        bulk, points, squares = sample.total, None, None
        if sample.hides_null:
            beside = sample.points
            every = total_statistics(blocks, beside.coordinates, structure)
            points, squares = cls(every, beside.total), sample.mean_squares
        # A feature of one value in the bulk says nothing.
        extent = extent_of(rows)
        before, after = (
            variances_of(_within(each.scatter())) for each in (total, bulk)
        )
        wide = (extent.high > extent.low) & (before > 0)
        ratio = np.where(wide, after / np.where(wide, before, 1.0), 1.0)
        narrowing = float(ratio.min())
        if narrowing * WIDER > 1:
            bulk, narrowing = total, 1.0
        return cls(total, bulk, narrowing, points, squares)

    def null_directions(self, *, incomplete: bool) -> np.ndarray | None:
        """Return where the data have no variance, and their bulk has none, either."""
        if self.points is not None:
            return self.points.null_directions(incomplete=False)
        null = null_directions(_within(one_scatter(self.all, incomplete=incomplete)))
        if null is None or self.bulk is self.all:
            return null
        bulk = _within(one_scatter(self.bulk, incomplete=incomplete))
        return null_beside(null, bulk)


def _within(scatter: Scatter) -> np.ndarray:
    """Return the covariance of data that are one component."""
    return scatter.values[0] / scatter.counts[0]


def _part(null: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the part of an offset that is along null directions."""
    return null @ offset if null.ndim == 2 else null * offset


def _floored(
    null: np.ndarray | None,
    scatter: np.ndarray,
    degrees: float,
    squares: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return V_0 that is not singular, and what its null directions need of rows.

    In these all components have the same variance f, which is returned too, whatever
    their counts: (ν_0 f + n f) / (ν_0 + n) = f, of which rows have `squares` already.
    """
    floored, floor = with_floor(scatter, COLLINEAR), COLLINEAR
    if null is None:
        return floored, np.zeros_like(scatter), floor
    row = COLLINEAR * null
    if squares is not None:
        floor = floor_above(null, squares, COLLINEAR)
        row = floor * null - null * squares @ null
    return elsewhere(null, floored) + degrees * floor * null, row, floor


def _inward(
    structure: Structure, coordinates: Coordinates, covariance: np.ndarray, d: int
) -> np.ndarray:
    """Covariance in units of the data -> scatter of one row."""
    # d for a variance that d features share, else 1.
    times = of_variances(structure.quadratic, np.ones(d)).ravel()[0]
    slope = coordinates.slope
    if structure.matrices:
        covariance = covariance * slope[:, None] * slope
    else:
        slope = slope if structure.scales_features else slope[0]
        covariance = covariance * slope * slope
    return np.asarray(times * covariance)


def outward(
    structure: Structure, coordinates: Coordinates, prior: Prior
) -> tuple[np.ndarray, np.ndarray]:
    """Return m_0 and V_0 in units of the data, without a component axis."""
    d = len(prior.mean)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        mean = prior.mean / coordinates.scale + coordinates.shift
        if coordinates.unit is not None:
            mean = mean / coordinates.unit
        covariance = public_covariance(structure, prior.scatter, d)
        covariance = covariance.reshape(prior.scatter.shape)
        # One slope after the other: their product may be out of range.
        slope = coordinates.slope
        if structure.matrices:
            covariance = covariance / slope[:, None] / slope
        elif structure.scales_features:
            covariance = covariance / slope / slope
        else:
            covariance = covariance / slope[0] / slope[0]
    limit = np.finfo(float).max
    return np.clip(mean, -limit, limit), np.clip(covariance, -limit, limit)


@dataclass(frozen=True)
class VariationalMap(EMMap):
    """The data in coordinates, with a structure and, as regularization, a prior."""

    allows_single: ClassVar[bool] = False
    regularization: Prior

    @classmethod
    def of_data(
        cls,
        blocks: Blocks,
        structure: Structure,
        beliefs: Beliefs,
        reg_covar: float | str,
    ) -> VariationalMap:
        """Standardise the data, and express the prior in their coordinates."""
        coordinates = standardising_coordinates(blocks, structure)
        ridge, looked_at = None, blocks
        if reg_covar == "auto":
            sample = Sample.of(blocks, coordinates, structure)
            coordinates, whole = sample.coordinates, sample.whole
            looked_at = sample.blocks
        else:
            coordinates = coordinates.beside_ridge(float(reg_covar))
            ridge = coordinates.of_variance(float(reg_covar))
            whole = as_one(blocks, coordinates, structure)
        pooled = Pooled.of(blocks, looked_at, coordinates, structure, whole)
        prior = beliefs.prior(
            structure, coordinates, pooled, ridge, incomplete=blocks.incomplete
        )
        return cls(blocks, coordinates, structure, prior, pooled.all, None, whole)

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        return PosteriorChart(
            self.structure,
            base,
            self.blocks.total_weight,
            prior=self.regularization,
        )

    def evaluate(self, parameters: Parameters) -> Evaluation:
        """Fold one pass over the data at `parameters`."""
        found = super().evaluate(parameters)
        bound = Bound(found.em, found.parameters, found.statistics)
        if "successor" in vars(found):
            bound.__dict__.update(
                data_term=found.loglik,
                objective=found.objective,
                successor=found.successor,
            )
        return bound

    def maximise(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """M-step: the posterior of the statistics."""
        scatter = self._scatter(statistics)
        return self.regularization.posterior(self.structure, statistics, scatter)

    def weighing(self, total_weight: float) -> VariationalMap:
        """Return the same rows with weights that are so much together."""
        times = total_weight / self.blocks.total_weight
        if times == 1:
            return self
        assert isinstance(self.blocks, ArrayBlocks)
        blocks = replace(self.blocks, weight=self.blocks.weight_of_each * times)
        return replace(self, blocks=blocks, total=self.total * times)

    def of_part(self, statistics: Statistics) -> Statistics:
        """Let statistics of a part of the rows stand for all of them."""
        share = statistics.counts.sum(axis=-1)[..., None, None]
        share = share / self.blocks.total_weight
        return replace(statistics, sums=statistics.sums / share)

    def adopted(self, parameters: Parameters) -> Parameters:
        """Return q of a part of the rows, with the counts of all of them."""
        assert isinstance(parameters, Posterior)
        counts = parameters.counts
        counts = counts * (self.blocks.total_weight / counts.sum())
        return self.regularization.of_counts(
            self.structure, counts, parameters.means, parameters.precisions_cholesky
        )


@dataclass(frozen=True)
class Bound(Evaluation):
    """What one pass at q has found. What the loop reports is the bound."""

    @cached_property
    def data_term(self) -> Any:
        """Σ v log Σ_k exp E log w_k N(z | μ_k, Λ_k⁻¹), of the standardised data."""
        return super().loglik

    @property
    def loglik(self) -> Any:
        """L(q), of the standardised data."""
        return self.objective

    @cached_property
    def _divergence(self) -> Any:
        return self.em.regularization.penalty(self.em.structure, self.parameters)

    @cached_property
    def objective(self) -> Any:
        """L(q)."""
        return self.data_term - self._divergence

    @cached_property
    def score(self) -> float:
        """L(q) in units of the data, with shared values taken for points."""
        em = self.em
        if em.coordinates.ties is None:
            total = em.blocks.total_weight
            return float(self.objective + total * em.coordinates.log_slope)
        data = scored(em.of_points(self.parameters), em.blocks).loglik
        return data - float(self._divergence)

    @cached_property
    def successor(self) -> Parameters:
        """q⁺. Rows without a value tell nothing, and the counts are without them."""
        return self.em.maximise(self.statistics, self.parameters)


@dataclass(frozen=True)
class PosteriorChart(Chart):
    """Coordinates of q: those of EM, with shares of the counts in place of weights.

    A component that dies may lose many orders of magnitude of its count in a step;
    steps are measured by what they change of q, which has 1 + n_k in it.
    """

    prior: Prior | None = None

    @cached_property
    def _scale(self) -> np.ndarray:
        assert isinstance(self.base, Posterior)
        return np.sqrt(np.maximum(self.base.counts, self.total_weight * 1e-10))[:, None]

    @cached_property
    def _mean_scale(self) -> np.ndarray:
        assert self.prior is not None and isinstance(self.base, Posterior)
        return np.sqrt(self.prior.precision(self.base.counts))[:, None]

    @cached_property
    def _covariance_scale(self) -> np.ndarray:
        assert self.prior is not None and isinstance(self.base, Posterior)
        degrees = self.prior.degrees(self.structure, self.base.counts)
        if self.structure.shared:
            degrees = degrees * self.prior.size(self.base.counts)
        features = 1 if self.structure.scales_features else self.base.means.shape[1]
        return np.sqrt(degrees * features)[:, None]

    def _shares(self, parameters: Parameters) -> np.ndarray:
        assert isinstance(parameters, Posterior)
        return parameters.counts / self.total_weight

    def _assembled(
        self, shares: np.ndarray, means: np.ndarray, cholesky: np.ndarray
    ) -> Parameters:
        assert self.prior is not None
        counts = self.total_weight * shares
        return self.prior.of_counts(self.structure, counts, means, cholesky)

    def _size_of(self, log_ratio: np.ndarray) -> float:
        assert isinstance(self.base, Posterior)
        before = self.base.counts
        after = np.exp(np.minimum(self._log_shares(self.base) + log_ratio, 700))
        after = np.minimum(after, 1e6) * self.total_weight
        return float(np.max(np.abs(np.log((1 + after) / (1 + before)))))
