"""What keeps covariances away from singularity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from skem.core.covariance import Scatter, Structure
from skem.core.parameters import Parameters

COLLINEAR = 1e-8
"""Smallest eigenvalue of the correlation matrix that the penalty's target keeps."""
ROUNDING = 1e-12
"""Share of N below which pseudo-observations could be lost to rounding."""


class IllDefinedCovarianceError(ValueError):
    """A covariance is not positive definite and must not be repaired."""


class Regularization(Protocol):
    """How scatter becomes covariances, and what that adds to the objective."""

    @property
    def repairs(self) -> bool:
        """Whether a covariance that cannot be factored is repaired, or an error."""

    def covariances(
        self, structure: Structure, scatter: Scatter, n_features: int
    ) -> np.ndarray:
        """Return the regularized covariances."""

    def scaled(self, share: float) -> Regularization:
        """Return the same for a share of the data."""

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> Regularization:
        """Return the same for other data in the same coordinates."""

    def for_components(self, n_components: int, n_features: int) -> Regularization:
        """Turn that of one component into that of so many."""

    def penalty(self, structure: Structure, parameters: Parameters) -> float:
        """Return what is subtracted from the log-likelihood."""


@dataclass(frozen=True)
class ScaleFreePenalty:
    """(ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|], after Chen & Tan (2009).

    The M-step becomes Σ_k = (W_k + εΛ) / (n_k + ε): ε pseudo-observations of
    covariance Λ. `target` is Λ as the structure's scatter, without component axis.
    """

    epsilon: float
    target: np.ndarray

    @property
    def repairs(self) -> bool:
        return True

    @classmethod
    def of_data(
        cls,
        structure: Structure,
        core: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> ScaleFreePenalty:
        """ε = 2/√N and Λ = S K^(−2/d), S the covariance of a core of the data.

        Directions in which S has no variance (constant or collinear columns, fewer
        rows than features) get `COLLINEAR` times the variance of a feature, or more
        where εΛ would drown in the rounding of W_k, which grows with N.
        """
        N = total_weight
        epsilon = max(2 / math.sqrt(N), ROUNDING * N)
        least = min(1.0, max(COLLINEAR, ROUNDING * N / epsilon))
        values = core.values[0] / core.counts[0]
        if values.ndim == 2:
            eigenvalues, vectors = np.linalg.eigh(values)
            if eigenvalues[0] < least:
                values = (vectors * np.maximum(eigenvalues, least)) @ vectors.T
        else:
            values = np.maximum(values, least)
        one = cls(epsilon, values)
        return one.for_components(n_components, n_features)

    def covariances(
        self, structure: Structure, scatter: Scatter, n_features: int
    ) -> np.ndarray:
        prior = Scatter(self.epsilon * self.target, np.asarray(self.epsilon))
        return structure.estimate(scatter, prior, n_features)

    def scaled(self, share: float) -> ScaleFreePenalty:
        return replace(self, epsilon=self.epsilon * share)

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> ScaleFreePenalty:
        return self.of_data(structure, core, total_weight, n_components, n_features)

    def for_components(self, n_components: int, n_features: int) -> ScaleFreePenalty:
        shrinkage = n_components ** (-2.0 / n_features)
        return replace(self, target=self.target * shrinkage)

    def penalty(self, structure: Structure, parameters: Parameters) -> float:
        cholesky = parameters.precisions_cholesky
        log_det = structure.log_det(cholesky, parameters.means.shape[1])
        trace = structure.trace_precision(cholesky, self.target)
        return self.epsilon * (0.5 * trace - float(np.sum(log_det)))


@dataclass(frozen=True)
class Ridge:
    """A constant on the diagonal: scikit-learn's `reg_covar`."""

    variances: np.ndarray

    @property
    def repairs(self) -> bool:
        return False

    def covariances(
        self, structure: Structure, scatter: Scatter, n_features: int
    ) -> np.ndarray:
        counts = scatter.counts + 10 * np.finfo(float).eps
        covariances = structure.estimate(
            Scatter(scatter.values, counts),
            Scatter(np.zeros(()), np.zeros(())),
            n_features,
        )
        return structure.add_to_diagonal(covariances, self.variances)

    def scaled(self, share: float) -> Ridge:
        return self

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> Ridge:
        return self

    def for_components(self, n_components: int, n_features: int) -> Ridge:
        return self

    def penalty(self, structure: Structure, parameters: Parameters) -> float:
        return 0.0
