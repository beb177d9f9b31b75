"""Standard errors of a mixture's parameters, from the scores of its samples.

The scores are taken in coordinates in which the information of a sample with known
labels is diagonal: log-weights, whitened means U⁻ᵀ a, and the log-Cholesky coordinates
of `Structure.to_chart`. Whatever the units and the conditioning of the covariances, the
information matrix is then as well-conditioned as the mixture's overlap lets it be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from skem.core.blocks import Block, Blocks
from skem.core.covariance import Structure
from skem.core.expectation import Expectation
from skem.core.parameters import Parameters
from skem.core.threads import Workspace

SQRT2 = float(np.sqrt(2))
FARTHEST = 1e70
"""Standard deviations from a mean: the fourth power, summed, is still a number."""
NO_WEIGHT = 1e-100
"""Weights below this are taken for zero, and are not estimated."""
UNKNOWN = 1e-6
"""Share of a parameter's gradient in directions without information, from which on
the parameter is not identified."""


class StandardErrors(NamedTuple):
    """Standard errors in the shapes of `weights_`, `means_` and `covariances_`."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Scores:
    """∂ log p(x) / ∂θ at parameters θ, one column for each sample.

    With responsibilities r and y = Uᵀ(x − μ), the rows are (r − w)/√w for each
    component, r y for each mean, and r (q(y) − E q) for each covariance, with q the
    structure's statistic. Entries of q that have a logarithm for a coordinate,
    √2 log C_ii, are divided by √2.
    """

    structure: Structure
    parameters: Parameters

    @cached_property
    def expected(self) -> np.ndarray:
        """E q(y) for y of covariance one, shape (size, 1)."""
        d = self.parameters.means.shape[1]
        return self.structure.quadratic.weighted_sum(np.eye(d), np.ones(d))[:, None]

    @property
    def logarithmic(self) -> np.ndarray:
        """Which coordinates of a covariance are logarithms, shape (size,)."""
        return self.expected[:, 0] > 0

    @cached_property
    def root_weights(self) -> np.ndarray:
        """√w, shape (K,)."""
        weights = self.parameters.weights / self.parameters.weights.sum()
        return np.sqrt(np.where(weights < NO_WEIGHT, 0.0, weights))

    @property
    def n_covariances(self) -> int:
        """Number of covariances that are free."""
        return 1 if self.structure.shared else len(self.parameters.weights)

    def means(self, k: int) -> slice:
        """Return the rows of a component's mean."""
        K, d = self.parameters.shape
        return slice(K + k * d, K + (k + 1) * d)

    def covariance(self, row: int) -> slice:
        """Return the rows of a covariance."""
        K, d = self.parameters.shape
        size = len(self.expected)
        return slice(K + K * d + row * size, K + K * d + (row + 1) * size)

    @property
    def n_rows(self) -> int:
        """Number of coordinates, one more than there are free parameters."""
        return self.covariance(self.n_covariances - 1).stop

    def of_block(
        self, data: np.ndarray, resp: np.ndarray, workspace: Workspace
    ) -> np.ndarray:
        """Return the scores of a block (d, b) with responsibilities (K, b)."""
        quadratic = self.structure.quadratic
        scores = workspace.array("scores", (self.n_rows, len(resp[0])), float)
        root = self.root_weights[:, None]
        scores[: len(root)] = resp / np.where(root > 0, root, np.inf) - root
        scores[self.covariance(0).start :] = 0
        q = workspace.array("q", (len(self.expected), len(resp[0])), float)
        unit = np.where(self.logarithmic, 1 / SQRT2, 1.0)[:, None]
        for k, r in enumerate(resp):
            y = self._whitened(data, k)
            np.multiply(y, r, out=scores[self.means(k)])
            quadratic.expand(y, q)
            q -= self.expected
            q *= unit * r
            scores[self.covariance(min(k, self.n_covariances - 1))] += q
        return scores

    def _whitened(self, data: np.ndarray, k: int) -> np.ndarray:
        cholesky = self.parameters.precisions_cholesky
        with np.errstate(over="ignore", invalid="ignore"):
            centred = data - self.parameters.means[k, :, None]
            y = self.structure.whiten(cholesky, k, centred)
        return np.clip(np.nan_to_num(y, nan=FARTHEST), -FARTHEST, FARTHEST)


@dataclass(frozen=True)
class InverseInformation:
    """Steps whose outer products sum to the inverse information.

    `steps` has one column for each direction in which there is information, scaled by
    its standard error, and `unknown` one for each direction without. `unit` is the
    standard error of each coordinate by itself, and makes directions comparable.
    """

    steps: np.ndarray
    unknown: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, information: np.ndarray) -> InverseInformation:
        """Split the directions of a matrix that may be singular."""
        diagonal = np.diagonal(information)
        unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        # With ones on the diagonal, eigenvalues do not depend on units or sizes.
        eigenvalues, vectors = np.linalg.eigh(unit[:, None] * information * unit)
        rounding = len(unit) * np.finfo(float).eps * max(eigenvalues[-1], 1.0)
        known = eigenvalues > rounding
        vectors *= unit[:, None]
        steps = vectors[:, known] / np.sqrt(eigenvalues[known])
        return cls(steps, vectors[:, ~known], unit)

    def errors(
        self, rows: slice, push: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return standard errors of what `push` makes of steps in some coordinates."""
        # Parameters may be out of the floating-point range.
        with np.errstate(over="ignore", invalid="ignore"):
            errors = _norms(push(self.steps[rows]))
            lost = _norms(push(self.unknown[rows]))
            whole = _norms(push(np.diag(self.unit[rows])))
        return np.where(lost > UNKNOWN * whole, np.inf, errors)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Return the norms of rows, of any magnitude."""
    rows = np.nan_to_num(rows, nan=np.finfo(float).max)
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    relative = rows / np.where(largest > 0, largest, 1.0)
    return largest[..., 0] * np.linalg.norm(relative, axis=-1)


def standard_errors(
    structure: Structure,
    parameters: Parameters,
    expectation: Expectation,
    blocks: Blocks,
) -> StandardErrors:
    """Invert Σ v s sᵀ, s the score of a sample, and map it to the public parameters."""
    scores = Scores(structure, parameters)
    # Weights relative to their mean: sums of squares stay in range.
    mean = blocks.total_weight / blocks.n_observed

    def kernel(block: Block, workspace: Workspace) -> np.ndarray:
        resp = expectation.responsibilities(block, workspace)
        columns = scores.of_block(block.data, resp, workspace)
        if block.weight is not None:
            columns *= np.sqrt(block.weight / mean)
        return columns @ columns.T

    information = blocks.fold(kernel, scores.n_rows + expectation.values_per_sample)
    # Σ (r − w) is zero: log-weights have a common constant that is of no effect on the
    # weights. Information about it, which is also of none, makes the matrix regular.
    root = scores.root_weights
    K = len(root)
    information[:K, :K] += np.outer(root, root) * blocks.n_observed
    inverse = InverseInformation.of(information)
    found = _public(scores, inverse)
    return StandardErrors(*(errors / np.sqrt(mean) for errors in found))


def _public(scores: Scores, inverse: InverseInformation) -> tuple[np.ndarray, ...]:
    """Map steps to the public parameters by the delta method."""
    structure, parameters = scores.structure, scores.parameters
    cholesky, (K, d) = parameters.precisions_cholesky, parameters.shape
    root = scores.root_weights
    # The differential of the softmax of log w + a / √w.
    softmax = np.diag(root) - np.outer(root**2, root)
    weights = inverse.errors(slice(K), partial(np.matmul, softmax))
    means = [
        inverse.errors(scores.means(k), partial(structure.color, cholesky, k))
        for k in range(K)
    ]
    covariances = [
        inverse.errors(scores.covariance(row), partial(np.matmul, slope))
        for row, slope in enumerate(_covariance_slopes(scores))
    ]
    shaped = structure.quadratic.unpack(np.stack(covariances), d)
    return weights, np.stack(means), shaped.reshape(structure.shape(K, d))


def _covariance_slopes(scores: Scores) -> np.ndarray:
    """Return ∂Σ/∂t for the coordinates t of each covariance, (rows, size, size).

    A central difference of step one is exact up to a factor: along a logarithm √2 log C
    Σ is a constant plus C², and along the others it is quadratic.
    """
    structure, cholesky = scores.structure, scores.parameters.precisions_cholesky
    n_rows, size = scores.n_covariances, len(scores.expected)

    def packed(step: np.ndarray) -> np.ndarray:
        moved = structure.from_chart(cholesky, np.broadcast_to(step, (n_rows, size)))
        covariances = structure.covariances(moved)
        return structure.quadratic.pack(
            covariances[None] if structure.shared else covariances
        )

    slopes = np.empty((n_rows, size, size))
    factors = np.where(scores.logarithmic, SQRT2 / (2 * np.sinh(SQRT2)), 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        for j, (step, factor) in enumerate(zip(np.eye(size), factors, strict=True)):
            slopes[:, :, j] = factor * (packed(step) - packed(-step))
    # Covariances out of the floating-point range, with room to be multiplied.
    limit = np.finfo(float).max * 1e-20
    return np.clip(np.nan_to_num(slopes, nan=limit), -limit, limit)
