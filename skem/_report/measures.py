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
class Agreement:
    """Sums over data of what a summary says of them; adding joins two parts of it."""

    totals: Totals
    entropy: float
    sizes: np.ndarray
    effective_sizes: np.ndarray

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.totals + other.totals,
            self.entropy + other.entropy,
            self.sizes + other.sizes,
            self.effective_sizes + other.effective_sizes,
        )


def agreement(expectation: Kernel, blocks: Blocks) -> Agreement:
    """Evaluate the mixture on data, in one pass."""
    K = len(expectation.parameters.weights)

    def kernel(block: Block, workspace: Workspace) -> Agreement:
        log_density, log_largest, resp = expectation.classified(block, workspace)
        weight = block.weight_of_each
        return Agreement(
            Totals.of(block, log_density, log_largest),
            float(entr(resp).sum(axis=0) @ weight),
            # Without noise, the last row.
            np.bincount(resp.argmax(axis=0), weights=weight, minlength=K)[:K],
            resp[:K] @ weight,
        )

    found = blocks.fold(kernel, 2 * expectation.values_per_sample)
    return replace(found, totals=found.totals.finite())
