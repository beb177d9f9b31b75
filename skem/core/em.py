"""The EM map θ → (θ⁺, ℓ(θ)): fold the E-step over blocks, then the M-step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from skem.core.blocks import Block, Blocks
from skem.core.chart import Chart
from skem.core.coordinates import Coordinates, standardising_coordinates
from skem.core.covariance import Scatter, Structure
from skem.core.expectation import Expectation, choose_form
from skem.core.parameters import Parameters
from skem.core.regularization import (
    IllDefinedCovarianceError,
    Regularization,
    Ridge,
    ScaleFreePenalty,
)
from skem.core.resolution import excess, resolution
from skem.core.statistics import Statistics
from skem.core.threads import Workspace

REMOTE = 25.0
"""Squared distance per feature, in standard deviations, of rows that are left out."""
MAX_TRIMS = 5
JITTERS = 10.0 ** np.arange(-14, 3, 2)
"""Variances of standardised features added to a covariance that rounding broke, times
the largest covariance if that is beyond one."""


def total_statistics(
    blocks: Blocks,
    coordinates: Coordinates,
    structure: Structure,
    reweight: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Statistics:
    """Statistics of all the data as one component, about zero, in float64.

    `reweight` may change the weights of a block, given its rows and weights.
    """
    quadratic = structure.quadratic
    d = blocks.n_features

    def kernel(block: Block, workspace: Workspace) -> Statistics:
        shape = block.data.shape
        z = coordinates.load(block.data, workspace.array("z", shape, np.float64))
        v = np.ones(shape[1]) if block.weight is None else block.weight.astype(float)
        if reweight is not None:
            v = reweight(z, v)
        sums = np.concatenate([[v.sum()], z @ v, quadratic.weighted_sum(z, v)])
        return Statistics(0.0, sums[None], np.zeros((1, d)), quadratic)

    return blocks.fold(kernel, 2 * d + 1)


def factor(
    structure: Structure,
    regularization: Regularization,
    covariances: np.ndarray,
    d: int,
) -> np.ndarray:
    """Return the precision Cholesky factors, repairing what rounding broke.

    Raises `IllDefinedCovarianceError` where the regularization has no repair.
    """
    cholesky, failed = structure.factor(covariances)
    if not failed.any():
        return cholesky
    if not regularization.repairs:
        raise IllDefinedCovarianceError
    for jitter in JITTERS * max(1.0, float(np.abs(covariances).max())):
        raised = structure.add_to_diagonal(covariances, np.full(d, jitter))
        candidate, still_failed = structure.factor(raised)
        mask = failed.reshape(failed.shape + (1,) * (cholesky.ndim - failed.ndim))
        cholesky = np.where(mask, candidate, cholesky)
        failed = failed & still_failed
        if not failed.any():
            return cholesky
    raise IllDefinedCovarianceError


def scale_factor(
    structure: Structure, total: Statistics, total_weight: float
) -> np.ndarray:
    """Precision Cholesky factor of the covariance of one-component statistics."""
    d = total.n_features
    scatter = total.scatter()
    penalty = ScaleFreePenalty.of_data(structure, scatter, scatter, total_weight, 1, d)
    nothing = Scatter(np.zeros_like(scatter.values), np.zeros(1))
    covariances = penalty.covariances(structure, nothing, d)
    return factor(structure, penalty, covariances, d)


def core_statistics(
    blocks: Blocks,
    coordinates: Coordinates,
    structure: Structure,
    total: Statistics,
) -> Statistics:
    """Statistics of the data without remote rows, for the scale of the penalty.

    A row is remote if its squared Mahalanobis distance exceeds `REMOTE` times the
    number of features. One such row could make the penalty outweigh real clusters.
    """
    for _ in range(MAX_TRIMS):
        cholesky = scale_factor(structure, total, blocks.total_weight)
        near = partial(_within, structure, cholesky, total.means.T)
        kept = total_statistics(blocks, coordinates, structure, near)
        if kept.counts[0] >= total.counts[0] * (1 - 1e-12):
            break
        total = kept
    return total


def _within(
    structure: Structure,
    cholesky: np.ndarray,
    mean: np.ndarray,
    z: np.ndarray,
    v: np.ndarray,
) -> np.ndarray:
    """Weights, zero for remote rows."""
    white = structure.whiten(cholesky, 0, z - mean)
    return v * (np.einsum("db,db->b", white, white) <= REMOTE * len(z))


@dataclass(frozen=True)
class EMMap:
    """The data, in coordinates, with a structure and a regularization.

    `total` are the one-component statistics of the data, and `core` those that the
    regularization takes the scale of the data from. `resolution` is the least distance
    between different values of each feature, 0 if it is not known.
    """

    blocks: Blocks
    coordinates: Coordinates
    structure: Structure
    regularization: Regularization
    total: Statistics
    core: Statistics
    resolution: np.ndarray | float = 0.0

    @classmethod
    def prepare(
        cls,
        blocks: Blocks,
        structure: Structure,
        n_components: int,
        reg_covar: float | str,
    ) -> EMMap:
        """Standardise the data, and set the regularization to suit them.

        `reg_covar` is "auto", or a variance in squared units of the data.
        """
        coordinates = standardising_coordinates(blocks, structure)
        total = total_statistics(blocks, coordinates, structure)
        core = total
        regularization: Regularization
        if reg_covar == "auto":
            core = core_statistics(blocks, coordinates, structure, total)
            regularization = ScaleFreePenalty.of_data(
                structure,
                core.scatter(),
                total.scatter(),
                blocks.total_weight,
                n_components,
                blocks.n_features,
            )
        else:
            regularization = Ridge(float(reg_covar) * coordinates.slope**2)
        return cls(
            blocks,
            coordinates,
            structure,
            regularization,
            total,
            core,
            resolution(blocks, coordinates),
        )

    @cached_property
    def total_second(self) -> np.ndarray:
        """Σ v z zᵀ of all the data."""
        d = self.blocks.n_features
        return self.total.quadratic.unpack(self.total.sums[:, 1 + d :], d)[0]

    def restricted(self, most: int, rng: np.random.RandomState) -> EMMap:
        """Return the same problem for at most so many rows, chosen at random.

        The penalty shrinks with the weight, so that the optimum is about the same.
        """
        blocks = self.blocks.take(self.blocks.random_rows(most, rng))
        share = blocks.total_weight / self.blocks.total_weight
        return replace(
            self,
            blocks=blocks,
            regularization=self.regularization.scaled(share),
            total=total_statistics(blocks, self.coordinates, self.structure),
            resolution=resolution(blocks, self.coordinates),
        )

    def for_components(self, n_components: int) -> EMMap:
        """Turn the problem of one component into that of so many."""
        regularization = self.regularization.for_components(
            n_components, self.blocks.n_features
        )
        return replace(self, regularization=regularization)

    def excess(self, parameters: Parameters, penalised: bool = True) -> Any:
        """Return the nats that components gain by being narrower than the data tell.

        Of the penalised log-likelihood, or of the plain one. With scikit-learn's
        constant nothing is made of that, as it does.
        """
        if not self.regularization.repairs:
            return 0.0
        pseudo = self.regularization.pseudo_squares(self.blocks.n_features)
        return excess(
            self.structure,
            parameters,
            self.resolution,
            self.blocks.total_weight,
            0.0 if penalised else pseudo,
        )

    def chart(self, base: Parameters) -> Chart:
        """Return unconstrained coordinates about `base`."""
        pinned = (
            partial(self.regularization.pinned, self.structure)
            if self.regularization.pins
            else None
        )
        return Chart(self.structure, base, self.blocks.total_weight, pinned)

    def expectation(self, parameters: Parameters) -> Expectation:
        """Return the kernels that evaluate a block at `parameters`."""
        form = choose_form(self.structure, parameters, self.blocks.dtype)
        return Expectation(form, self.coordinates)

    def evaluate(self, parameters: Parameters) -> Evaluation:
        """Fold one pass over the data at `parameters`."""
        expectation = self.expectation(parameters)
        statistics = self.blocks.fold(
            expectation.statistics, expectation.values_per_sample
        )
        return Evaluation(self, parameters, statistics)

    def maximise(
        self, statistics: Statistics, previous: Parameters | None = None
    ) -> Parameters:
        """M-step. An empty component keeps its previous mean."""
        d = statistics.n_features
        if statistics.quadratic == self.structure.quadratic:
            scatter = statistics.scatter()
        else:
            scatter = statistics.within(self.total)
        covariances = self.regularization.covariances(self.structure, scatter, d)
        cholesky = factor(self.structure, self.regularization, covariances, d)
        counts = statistics.counts
        means = statistics.means
        if previous is not None:
            means = np.where(counts[..., None] > 0, means, previous.means)
        weights = counts / counts.sum(axis=-1, keepdims=True)
        return Parameters(weights, means, cholesky)


@dataclass(frozen=True)
class Evaluation:
    """What one pass at `parameters` has found; one value a mixture, if stacked."""

    em: EMMap
    parameters: Parameters
    statistics: Statistics

    @cached_property
    def loglik(self) -> Any:
        """ℓ(θ) = Σ v log p(x | θ), of the standardised data."""
        loglik = self.statistics.loglik
        structure = self.em.structure
        if self.statistics.quadratic != structure.quadratic:
            cholesky = self.parameters.precisions_cholesky
            loglik -= 0.5 * structure.trace_precision(cholesky, self.em.total_second)
        return loglik

    @cached_property
    def complete(self) -> Statistics:
        """The statistics with all that the data contribute, whatever the form."""
        statistics = replace(self.statistics, loglik=self.loglik)
        if statistics.quadratic == self.em.structure.quadratic:
            return statistics
        return statistics.completed(self.em.total)

    @cached_property
    def objective(self) -> Any:
        """ℓ_p(θ): the log-likelihood less the regularization's penalty."""
        em = self.em
        return self.loglik - em.regularization.penalty(em.structure, self.parameters)

    @cached_property
    def worth(self) -> Any:
        """What mixtures are compared by: the objective less the excess."""
        return self.objective - self.em.excess(self.parameters)

    @cached_property
    def successor(self) -> Parameters:
        """θ⁺, the next EM iterate."""
        return self.em.maximise(self.statistics, self.parameters)
