"""Where data have no variance: features that are constant, or sums of others.

Such directions say nothing about components, and are no dimensions of what varies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ALONE = 1e-6
"""Part of a direction along other features up to which it is rounding."""

Color = Callable[[int, np.ndarray], np.ndarray]
"""Gives noise (d, b) the covariance of a component."""


@dataclass(frozen=True)
class NullSpace:
    """Directions in which all rows have one value.

    `basis` (q, d) is orthonormal, in features times `slope` (d,).
    """

    basis: np.ndarray
    slope: np.ndarray

    @property
    def size(self) -> int:
        """Number of directions."""
        return len(self.basis)

    @property
    def normals(self) -> np.ndarray:
        """The directions (q, d) in units of the data, and of any length."""
        return self.basis * self.relative_slope

    @property
    def relative_slope(self) -> np.ndarray:
        """`slope` in a unit that is in range."""
        return self.slope / self.slope.max()

    @property
    def features(self) -> np.ndarray:
        """Mask (d,) of the features that are such directions by themselves."""
        return np.linalg.norm(self.basis, axis=0) > 1 - ALONE

    def others(self, *, along_features: bool) -> np.ndarray:
        """Return an orthonormal basis (d, r) of the other directions.

        That of features, where the null directions are features as well.
        """
        if along_features:
            return np.eye(len(self.slope))[:, ~self.basis.any(axis=0)]
        return np.linalg.qr(self.basis.T, mode="complete")[0][:, self.size :]

    def within(self, observed: np.ndarray) -> np.ndarray:
        """Return how many directions some features have by themselves.

        `observed` (…, d) are masks of these features.
        """
        masks = np.atleast_2d(observed).reshape(-1, observed.shape[-1])
        parts = self.basis * ~masks[:, None]
        lengths = np.linalg.svd(parts, compute_uv=False)
        found = self.size - np.count_nonzero(lengths > ALONE, axis=1)
        return found.reshape(observed.shape[:-1])

    def marginal(self, features: np.ndarray) -> NullSpace | None:
        """Return that of some features, by index; None if they have none."""
        others = np.delete(self.basis, features, axis=1)
        vectors, lengths, _ = np.linalg.svd(others)
        rest = vectors[:, np.count_nonzero(lengths > ALONE) :]
        return self._of(rest.T @ self.basis[:, features], features)

    def given(self, features: np.ndarray) -> NullSpace | None:
        """Return that of some features, by index, where all others are given."""
        _, lengths, axes = np.linalg.svd(self.basis[:, features], full_matrices=False)
        return self._of(axes[lengths > ALONE], features)

    def _of(self, basis: np.ndarray, features: np.ndarray) -> NullSpace | None:
        return NullSpace(basis, self.slope[features]) if len(basis) else None

    def without(self, color: Color) -> Color:
        """Return what colors noise so that it has no part in these directions."""
        slope = self.slope[:, None]

        def flat(k: int, noise: np.ndarray) -> np.ndarray:
            z = color(k, noise) * slope
            return (z - self.basis.T @ (self.basis @ z)) / slope

        return flat
