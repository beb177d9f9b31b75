"""Variances: one for each feature and component, or one for each component."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from skem.core.gaussian.quadratic import Norm, Quadratic, Squares
from skem.core.gaussian.storage import SQRT2, Storage, deviations


class Variances(Storage):
    """Variances of each component."""

    matrices = False

    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positive = covariances > 0
        cholesky = 1 / np.sqrt(np.where(positive, covariances, 1.0))
        return cholesky, ~positive

    def covariances(self, cholesky: np.ndarray) -> np.ndarray:
        return cholesky**-2

    def precisions(self, cholesky: np.ndarray) -> np.ndarray:
        return cholesky**2

    def factor_precisions(self, precisions: np.ndarray) -> np.ndarray:
        return np.sqrt(precisions)

    def upper_factor(self, roots: np.ndarray) -> np.ndarray:
        return np.abs(roots)

    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return rows * cholesky.reshape(len(rows), -1)

    def color_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return rows / cholesky.reshape(len(rows), -1)


class Diagonals(Variances):
    """Variances of the features, of each component, (K, d)."""

    quadratic: ClassVar[Quadratic] = Squares()
    logit_quadratic: ClassVar[Quadratic] = quadratic

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features)

    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cholesky, failed = super().factor(covariances)
        return cholesky, np.asarray(failed.any(axis=-1))

    def add_to_diagonal(
        self, covariances: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        return covariances + values

    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        return np.log(cholesky).sum(axis=-1)

    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        precisions = cholesky**2
        return np.concatenate([precisions * means, -0.5 * precisions], axis=-1)

    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        return cholesky[k, :, None] * z

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return noise / cholesky[k, :, None]

    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return deviations(covariances[k, :, None]) * noise

    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        return cholesky * factor

    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return 1 / cholesky

    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return cholesky**2

    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        return (target * cholesky**2).sum(axis=(-2, -1))

    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        return SQRT2 * np.log(base / cholesky)

    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        return base * np.exp(-values / SQRT2)


class Spheres(Variances):
    """One variance of each component, (K,)."""

    quadratic: ClassVar[Quadratic] = Norm()
    logit_quadratic: ClassVar[Quadratic] = quadratic

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components,)

    def add_to_diagonal(
        self, covariances: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        return covariances + values.mean()

    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        return n_features * np.log(cholesky)

    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        precisions = cholesky[..., None] ** 2
        return np.concatenate([precisions * means, -0.5 * precisions], axis=-1)

    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        return cholesky[k] * z

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return noise / cholesky[k]

    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return deviations(covariances[k]) * noise

    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        return cholesky * factor[0]

    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return np.broadcast_to(1 / cholesky[..., None], shape)

    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return np.broadcast_to(cholesky[..., None] ** 2, shape)

    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.asarray((target * cholesky**2).sum(axis=-1))

    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        return SQRT2 * np.log(base / cholesky)[:, None]

    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        return base * np.exp(-values[:, 0] / SQRT2)
