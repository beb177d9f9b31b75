"""The regularization of scikit-learn: a number on the diagonal of covariances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skem.core.gaussian.covariance import NOTHING, Scatter, Structure
from skem.core.gaussian.far import ROOT_OF_LARGEST
from skem.core.gaussian.parameters import Parameters

ADDED = 10 * float(np.finfo(float).eps)
"""What scikit-learn adds to the counts of components."""


class Unchanging:
    """What a regularization does that is the same for all data and all sizes."""

    def factored(
        self, structure: Structure, covariances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return structure.factor(covariances)

    @property
    def null_basis(self) -> np.ndarray | None:
        return None

    @property
    def n_null(self) -> int:
        return 0

    @property
    def pins(self) -> bool:
        return False

    def pinned(self, structure: Structure, cholesky: np.ndarray) -> np.ndarray:
        return cholesky

    def scaled(self, share: float) -> Self:
        return self

    def rescaled(self, scale: np.ndarray) -> Self:
        return self

    def renewed(
        self,
        structure: Structure,
        within: Scatter,
        total: Scatter,
        total_weight: float,
        n_features: int,
    ) -> Self:
        return self


@dataclass(frozen=True)
class Ridge(Unchanging):
    """A constant on the diagonal: scikit-learn's `reg_covar`.

    `origin` is where the zero of the data is. scikit-learn adds 10 ε to each count
    (ε the rounding of one), which for variances is as if so many rows were there: with
    a constant of zero, a component on one row, or on a part n of one, has a variance of
    10 ε x̄² / n. Of several equal rows the sums there are rounded, one way or the other.
    """

    variances: np.ndarray
    origin: np.ndarray | None = None

    @property
    def repairs(self) -> bool:
        return False

    def covariances(
        self,
        structure: Structure,
        scatter: Scatter,
        n_features: int,
        means: np.ndarray | None = None,
        previous: np.ndarray | None = None,
    ) -> np.ndarray:
        counts = scatter.counts + ADDED
        if structure.constraint is not None:
            # Added to a covariance it would change its shape.
            values = structure.quadratic.unpack(
                structure.quadratic.of_matrices(np.diag(self.variances)), n_features
            )
            added = counts.reshape(counts.shape + (1,) * values.ndim) * values
            raised = Scatter(scatter.values + added, counts)
            return structure.estimate(raised, NOTHING, n_features, previous)
        covariances = structure.estimate(
            Scatter(scatter.values, counts), NOTHING, n_features
        )
        covariances = structure.add_to_diagonal(covariances, self.variances)
        if structure.matrices or means is None or (covariances > 0).all():
            return covariances
        alone = self._of_origin(covariances, counts, means)
        return np.where(covariances > 0, covariances, alone)

    def _of_origin(
        self, covariances: np.ndarray, counts: np.ndarray, means: np.ndarray
    ) -> np.ndarray:
        """Return the variances of components on one row; none for the others."""
        if self.origin is None:
            return np.zeros_like(covariances)
        away = np.abs(means - self.origin)
        rounding = 100 * np.finfo(float).eps * (1 + np.abs(self.origin))
        # A mean too far for its square is not a variance either.
        away = np.where((away > rounding) & (away < ROOT_OF_LARGEST), away, 0.0)
        squares = np.square(away)
        squares *= ((counts > 2 * ADDED) & (counts < 1.5))[..., None]
        variances = ADDED * squares / counts[..., None]
        return variances.mean(axis=-1) if covariances.ndim < means.ndim else variances

    def penalty(self, structure: Structure, parameters: Parameters) -> Any:
        return 0.0
