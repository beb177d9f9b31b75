"""What keeps covariances away from singularity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from skem.core.covariance import Scatter, Structure
from skem.core.parameters import Parameters

COLLINEAR = 1e-8
"""Smallest eigenvalue of the correlation matrix that the penalty's target keeps."""
NULL = 1e-13
"""Variance of a standardised direction up to which all of it is rounding."""
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

    @property
    def pins(self) -> bool:
        """Whether part of the covariances is given, and no parameter."""

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        """Restore that part in precision Cholesky factors."""

    def scaled(self, share: float) -> Regularization:
        """Return the same for a share of the data."""

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> Regularization:
        """Return the same for other data in the same coordinates."""

    def for_components(self, n_components: int, n_features: int) -> Regularization:
        """Turn that of one component into that of so many."""

    def pseudo_squares(self, n_features: int) -> np.ndarray:
        """Return the sums of squares that each component gets on top, (d,)."""

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        """Return what is subtracted from the log-likelihood."""


def null_directions(values: np.ndarray) -> np.ndarray | None:
    """Return where a covariance has no variance, as `ScaleFreePenalty` has it.

    `values` are a covariance matrix or the variances of features. A single variance,
    of all features, is taken as it is.
    """
    if values.ndim == 0:
        return None
    if values.ndim == 1:
        null = (values <= NULL).astype(float)
        return null if null.any() else None
    eigenvalues, vectors = np.linalg.eigh(values)
    null = vectors[:, eigenvalues <= NULL * max(1.0, eigenvalues[-1])]
    return null @ null.T if null.size else None


@dataclass(frozen=True)
class ScaleFreePenalty:
    """(ε/2) Σ_k [tr(Λ Σ_k⁻¹) + log|Σ_k|], after Chen & Tan (2009).

    The M-step becomes Σ_k = (W_k + εΛ) / (n_k + ε): ε pseudo-observations of
    covariance Λ. `target` is Λ as the structure's scatter, without component axis.

    Where all the data have one value, every component has the same `floor` of a
    variance: εΛ / (n_k + ε) would depend on the size of the component, and the
    likelihood on the number of components. `null` says where, as the target has it: a
    projector on these directions, or 1 for these features; None if there are none.
    """

    epsilon: float
    target: np.ndarray
    null: np.ndarray | None = None
    floor: float = 0.0

    @property
    def repairs(self) -> bool:
        return True

    @classmethod
    def of_data(
        cls,
        structure: Structure,
        core: Scatter,
        total: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> ScaleFreePenalty:
        """ε = 2/√N and Λ = S K^(−2/d), S the covariance of a core of the data.

        Directions in which S has no variance (constant or collinear columns, fewer
        rows than features) get `COLLINEAR` times the variance of a feature, or more
        where εΛ would drown in the rounding of W_k, which grows with N.

        `total` is the scatter of all the data, as one component.
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
        null = null_directions(total.values[0] / total.counts[0])
        one = cls(epsilon, values, null, least)
        return one.for_components(n_components, n_features)

    def covariances(
        self, structure: Structure, scatter: Scatter, n_features: int
    ) -> np.ndarray:
        prior = Scatter(self.epsilon * self.target, np.asarray(self.epsilon))
        covariances = structure.estimate(scatter, prior, n_features)
        return covariances if self.null is None else self._floored(covariances)

    def _floored(self, covariances: np.ndarray) -> np.ndarray:
        """Give the null directions the floor's variance, and no correlation."""
        assert self.null is not None
        if self.null.ndim == 2:
            others = np.eye(len(self.null)) - self.null
            covariances = others @ covariances @ others
        else:
            covariances = covariances * (1 - self.null)
        return covariances + self.floor * self.null

    @property
    def pins(self) -> bool:
        return self.null is not None

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        # Else rounding makes them drift, and the likelihood with them.
        covariances = self._floored(structure.covariances(cholesky))
        restored, failed = structure.factor(covariances)
        return cholesky if failed.any() else restored

    def scaled(self, share: float) -> ScaleFreePenalty:
        return replace(self, epsilon=self.epsilon * share)

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> ScaleFreePenalty:
        return self.of_data(
            structure, core, total, total_weight, n_components, n_features
        )

    def for_components(self, n_components: int, n_features: int) -> ScaleFreePenalty:
        shrinkage = n_components ** (-2.0 / n_features)
        return replace(self, target=self.target * shrinkage)

    def pseudo_squares(self, n_features: int) -> np.ndarray:
        if self.target.ndim == 0:
            return np.full(n_features, self.epsilon * self.target / n_features)
        target = self.target
        return self.epsilon * (np.diagonal(target) if target.ndim == 2 else target)

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        cholesky = parameters.precisions_cholesky
        log_det = structure.log_det(cholesky, parameters.means.shape[-1])
        trace = structure.trace_precision(cholesky, self.target)
        return self.epsilon * (0.5 * trace - log_det.sum(axis=-1))


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

    @property
    def pins(self) -> bool:
        return False

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        return cholesky

    def scaled(self, share: float) -> Ridge:
        return self

    def renewed(
        self,
        structure: Structure,
        core: Scatter,
        total: Scatter,
        total_weight: float,
        n_components: int,
        n_features: int,
    ) -> Ridge:
        return self

    def for_components(self, n_components: int, n_features: int) -> Ridge:
        return self

    def pseudo_squares(self, n_features: int) -> np.ndarray:
        return np.zeros(n_features)

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        return 0.0
