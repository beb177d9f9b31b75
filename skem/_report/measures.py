"""Measures of a mixture: correlations, overlap, agreement with data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.kernel import Kernel
from skem.core.mixture.totals import Totals


def correlations(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Return the different correlation matrices: (K, d, d), (1, d, d) or (0, d, d)."""
    _, d = parameters.shape
    cholesky = parameters.precisions_cholesky
    if not structure.matrices:
        return np.empty((0, d, d))
    deviations = structure.standard_deviations(cholesky, parameters.shape)
    cholesky = cholesky.reshape(-1, d, d)
    # Of features in units of their deviations, the covariances are the correlations.
    inverse = np.linalg.inv(cholesky * deviations[: len(cholesky), :, None])
    return np.swapaxes(inverse, 1, 2) @ inverse


def bhattacharyya(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Bhattacharyya coefficients of all pairs of components, (K, K).

    With Σ = (Σ_j + Σ_k)/2 and δ = μ_j − μ_k, minus the logarithm of a coefficient is
    ⅛ δᵀΣ⁻¹δ + ½ log(|Σ| / √(|Σ_j| |Σ_k|)).
    """
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    K, d = inward.shape
    covariances = structure.covariances(inward.precisions_cholesky)
    log_det = np.broadcast_to(structure.log_det(inward.precisions_cholesky, d), K)
    overlap = np.eye(K)
    for j in range(K):
        middle = covariances
        if not structure.shared:
            middle = covariances[j] / 2 + covariances / 2
        cholesky, _ = structure.factor(middle)
        with np.errstate(over="ignore"):
            offsets = structure.whiten_rows(cholesky, inward.means - inward.means[j])
            distances = np.square(offsets).sum(axis=1) / 8
        # log|U| is −½ log|Σ|.
        distances += (log_det + log_det[j]) / 2 - structure.log_det(cholesky, d)
        overlap[j, j + 1 :] = np.exp(-np.maximum(distances, 0.0))[j + 1 :]
    return np.maximum(overlap, overlap.T)


@dataclass(frozen=True)
class Certainty:
    """How sure the labels of data are: sums over them; adding joins two parts of it.

    `sizes` are weights of the rows of each label, and `shared` (K, K) sums of the
    responsibilities of the components in these rows: labels along the first axis.
    """

    entropy: float
    sizes: np.ndarray
    shared: np.ndarray

    @classmethod
    def of(cls, resp: np.ndarray, weight: np.ndarray) -> Certainty:
        """Sum over rows with responsibilities (K, n), those of noise among them."""
        K, found = len(resp), resp.argmax(axis=0)
        weighed = resp * weight
        shared = np.stack([np.bincount(found, own, K) for own in weighed], axis=1)
        entropy = float(entr(resp).sum(axis=0) @ weight)
        return cls(entropy, np.bincount(found, weight, K), shared)

    def __add__(self, other: Certainty) -> Certainty:
        return Certainty(
            self.entropy + other.entropy,
            self.sizes + other.sizes,
            self.shared + other.shared,
        )

    @property
    def relative_entropy(self) -> float | None:
        """1 − E/(N log K); None of one component."""
        K, total = len(self.sizes), self.sizes.sum()
        return None if K == 1 else float(1 - self.entropy / (total * np.log(K)))

    @property
    def mean_probabilities(self) -> np.ndarray:
        """Mean responsibilities of the rows of each label, NaN where there are none."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.shared / self.sizes[:, None])


@dataclass(frozen=True)
class Agreement:
    """Sums over data of what a summary says of them; adding joins two parts of it."""

    totals: Totals
    certainty: Certainty

    @classmethod
    def of(
        cls, log_density: np.ndarray, resp: np.ndarray, weight: np.ndarray
    ) -> Agreement:
        """Add up what is said of rows, with responsibilities (K, n)."""
        sure = float(weight @ np.log(resp.max(axis=0)))
        totals = Totals(float(weight.sum()), float(weight @ log_density), sure)
        return cls(totals, Certainty.of(resp, weight))

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.totals + other.totals, self.certainty + other.certainty)


def agreement(expectation: Kernel, blocks: Blocks) -> Agreement:
    """Evaluate the mixture on data, in one pass."""

    def kernel(block: Block, workspace: Workspace) -> Agreement:
        log_density, log_largest, resp = expectation.classified(block, workspace)
        return Agreement(
            Totals.of(block, log_density, log_largest),
            Certainty.of(resp, block.weight_of_each),
        )

    found = blocks.fold(kernel, 2 * expectation.values_per_sample)
    return replace(found, totals=found.totals.finite())
