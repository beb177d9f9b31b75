"""What shapes of covariances allow: Σ_k = λ_k D_k A_k D_kᵀ, |A_k| = 1.

λ is the volume (to the power 1/d), A the shape and D the orientation of a covariance.
A name of three letters says of each whether it is equal in all components (E), varies
(V), or is the identity (I), after Banfield & Raftery (1993) and Celeux & Govaert (1995,
Pattern Recognition 28(5)), whose M-steps these are; those of common axes (EVE, VVE) are
by Newton's method instead.

Scatters W are matrices (…, K, d, d) or diagonals (…, K, d), with counts n (…, K).
`previous` are covariances to start from, where there is no closed form: what is
returned has at least their likelihood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import ClassVar

import numpy as np

from skem.core.gaussian.axes import ROTATIONS, common_axes, rotated, turned
from skem.core.gaussian.storage import diagonals
from skem.core.gaussian.volumes import (
    above_rounding,
    geometric_means,
    of_equal_volume,
    proportional_diagonals,
    proportional_matrices,
    volumes,
    with_eigenvalues,
)


def least_of_spread(d: int) -> int:
    """Return how many points it takes to tell how far a component spreads.

    As many as a full covariance takes, up to three: any two points have variances, also
    where they are outliers in different features, with nothing in common.
    """
    return min(d + 1, 3)


class Constraint(ABC):
    """One of the fourteen shapes."""

    name: ClassVar[str]
    scales_features: ClassVar[bool]
    """Whether each feature may be scaled by itself, or else all by one factor."""
    has_marginals: ClassVar[bool] = False
    """Whether marginals and conditionals have the shape as well."""
    iterates: ClassVar[bool] = False
    """Whether the M-step has no closed form."""

    @property
    def rough(self) -> Constraint:
        """The same, but that axes in common are not turned."""
        return self

    @abstractmethod
    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        """Return the covariances that maximise Σ_k −½ [n_k log|Σ_k| + tr(W_k Σ_k⁻¹)].

        Undefined where there are none.
        """

    def n_parameters(self, K: int, d: int) -> int:
        """Return the number of free covariance parameters."""
        volume, shape, orientation = (
            {"E": 1, "V": K, "I": 0}[letter] for letter in self.name
        )
        return volume + shape * (d - 1) + orientation * d * (d - 1) // 2

    def least_points(self, d: int) -> int:
        """Return how many points it takes to determine what a component has alone."""
        of_spread = least_of_spread(d) if "V" in self.name[:2] else 1
        of_axes = d + (self.name[1] == "V") if self.name[2] == "V" else 1
        return max(of_spread, of_axes)


class EII(Constraint):
    """One variance for all features of all components; W are traces (…, K)."""

    name = "EII"
    scales_features = False
    has_marginals = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        total = n.sum(axis=-1, keepdims=True)
        return np.broadcast_to(W.sum(axis=-1, keepdims=True) / (d * total), W.shape)


class EEI(Constraint):
    """One variance of each feature for all components."""

    name = "EEI"
    scales_features = True
    has_marginals = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        total = n.sum(axis=-1)[..., None, None]
        return np.broadcast_to(W.sum(axis=-2, keepdims=True) / total, W.shape)


class VEI(Constraint):
    """Variances that are proportional: λ_k A."""

    name = "VEI"
    scales_features = True
    has_marginals = True
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else volumes(previous, 1)
        return proportional_diagonals(W, n, before)


class EVI(Constraint):
    """Variances of equal product: λ A_k."""

    name = "EVI"
    scales_features = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        return of_equal_volume(W, n, geometric_means(W))


class VEE(Constraint):
    """Matrices that are proportional: λ_k C."""

    name = "VEE"
    scales_features = True
    has_marginals = True
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else volumes(previous, 2)
        return proportional_matrices(W, n, before)


class EVV(Constraint):
    """Matrices of equal determinant: λ C_k."""

    name = "EVV"
    scales_features = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        least = np.finfo(float).eps * diagonals(W).max(axis=-1)
        return of_equal_volume(W, n, np.maximum(volumes(W, 2), least))


class EEV(Constraint):
    """The same eigenvalues, each component with axes of its own: λ D_k A D_kᵀ."""

    name = "EEV"
    scales_features = False

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        eigenvalues, axes = np.linalg.eigh(W)
        eigenvalues = above_rounding(eigenvalues)
        total = n.sum(axis=-1)[..., None, None]
        common = eigenvalues.sum(axis=-2, keepdims=True) / total
        return with_eigenvalues(axes, common)


class VEV(Constraint):
    """Proportional eigenvalues, each component with axes of its own: λ_k D_k A D_kᵀ."""

    name = "VEV"
    scales_features = False
    iterates = True

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        # In the order of their sizes they fit best, whatever the volumes are.
        eigenvalues, axes = np.linalg.eigh(W)
        eigenvalues = above_rounding(eigenvalues)
        before = None if previous is None else volumes(previous, 2)
        found = proportional_diagonals(eigenvalues, n, before)
        return with_eigenvalues(axes, found)


class VVE(Constraint):
    """Common axes, each component with eigenvalues of its own: λ_k D A_k Dᵀ."""

    name = "VVE"
    scales_features = False
    iterates = True
    equal_volumes: ClassVar[bool] = False
    rotations = ROTATIONS

    @property
    def rough(self) -> Constraint:
        found = copy(self)
        found.rotations = 0
        return found

    def estimate(
        self, W: np.ndarray, n: np.ndarray, d: int, previous: np.ndarray | None
    ) -> np.ndarray:
        before = None if previous is None else common_axes(previous)
        axes = rotated(W, n, self.equal_volumes, before, self.rotations)
        variances = above_rounding(diagonals(turned(W, axes)))
        if self.equal_volumes:
            variances = of_equal_volume(variances, n, geometric_means(variances))
        else:
            variances = variances / n[..., None]
        return with_eigenvalues(axes[..., None, :, :], variances)


class EVE(VVE):
    """Common axes and equal volumes: λ D A_k Dᵀ."""

    name = "EVE"
    equal_volumes = True


CONSTRAINTS: dict[str, Constraint] = {
    each.name: each
    for each in (
        EII(), EEI(), VEI(), EVI(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV()
    )
}  # fmt: skip
