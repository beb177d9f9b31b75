"""How covariances are kept: matrices or variances, of each component or of all.

A storage has the linear algebra, and does not know how covariances are estimated. What
it keeps for K components and d features has the public shape of scikit-learn's
attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dtrtri

from skem.core.gaussian.quadratic import (
    Norm,
    Nothing,
    Pairs,
    Quadratic,
    Squares,
    diagonal_positions,
    upper_triangle,
)

SQRT2 = float(np.sqrt(2))
PAIRS = Pairs()
ROUNDED = 1e-6
"""Eigenvalues of correlations that may be negative by rounding, in float32 too."""
NO_COVARIANCE = "A covariance to draw from has a negative or undefined variance."


class Storage(ABC):
    """What can be done with covariances.

    A precision Cholesky factor U, Σ⁻¹ = U Uᵀ, has the shape of the covariance. What an
    EM step needs (`factor` to `trace_precision`) also takes arrays with leading axes,
    one entry of which is a mixture by itself.
    """

    quadratic: ClassVar[Quadratic]
    """The statistic that the M-step needs."""
    logit_quadratic: ClassVar[Quadratic]
    """The part of it that differs between components in the log-density."""
    shared: ClassVar[bool] = False
    """Whether there is one covariance for all components."""
    matrices: ClassVar[bool]
    """Whether covariances are matrices, or else variances."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the covariances."""

    @abstractmethod
    def add_to_diagonal(
        self, covariances: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """Return covariances with `values`, shape (d,) added to the diagonals."""

    @abstractmethod
    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return U, and which covariances are not positive definite.

        U is undefined for those.
        """

    @abstractmethod
    def covariances(self, cholesky: np.ndarray) -> np.ndarray:
        """Return Σ from U."""

    @abstractmethod
    def precisions(self, cholesky: np.ndarray) -> np.ndarray:
        """Return Σ⁻¹ = U Uᵀ."""

    @abstractmethod
    def factor_precisions(self, precisions: np.ndarray) -> np.ndarray:
        """Return U from Σ⁻¹."""

    @abstractmethod
    def upper_factor(self, roots: np.ndarray) -> np.ndarray:
        """Return U from any roots A of the precisions, Σ⁻¹ = A Aᵀ.

        Roots that are upper triangular, with a positive diagonal, are returned as
        they are.
        """

    @abstractmethod
    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        """Give noise, (d, b), the covariance of component k, singular or not.

        Raises `ValueError` if that is not a covariance.
        """

    @abstractmethod
    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        """Return log |U| = −½ log |Σ|, shape (K,), or (1,) if shared."""

    @abstractmethod
    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return the coefficients of [x, q(x)] in −½(x−μ)ᵀΣ⁻¹(x−μ), (K, d + size)."""

    @abstractmethod
    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        """Uᵀz for component k; z is (d, b)."""

    @abstractmethod
    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        """Undo `whiten`: U⁻ᵀ noise, shape (d, b)."""

    @abstractmethod
    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Uᵀ x of one row for each component, shape (K, d)."""

    @abstractmethod
    def color_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Undo `whiten_rows`: U⁻ᵀ x."""

    def ordered(self, cholesky: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Return U of the components in another order."""
        return cholesky if self.shared else cholesky[order]

    @abstractmethod
    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        """Return U for features divided by `factor`, shape (d,)."""

    @abstractmethod
    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return the marginal standard deviations, shape (K, d)."""

    @abstractmethod
    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return the diagonals of Σ⁻¹, shape (K, d)."""

    @abstractmethod
    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Σ_k tr(Λ Σ_k⁻¹), once if shared; Λ without component axis."""

    @abstractmethod
    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        """Log-Cholesky coordinates of Σ about a base point, (K or 1, parameters).

        With Σ = L Lᵀ and C = L₀⁻¹ L: the entries of C below the diagonal, and
        √2 log C_ii. For data from the base point their information is the count.
        """

    @abstractmethod
    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return U from its coordinates; undo `to_chart`."""


def transposed(matrices: np.ndarray) -> np.ndarray:
    """Swap the last two axes."""
    return np.swapaxes(matrices, -1, -2)


def diagonals(matrices: np.ndarray) -> np.ndarray:
    """Return the diagonals of matrices, a view that can be written to."""
    return np.einsum("...ii->...i", matrices)


def _inverse(upper: np.ndarray) -> np.ndarray:
    """Inverses of upper triangular matrices."""
    inverse = np.empty(upper.shape)
    d = upper.shape[-1]
    flat = inverse.reshape(-1, d, d)
    for out, factor in zip(flat, upper.reshape(-1, d, d), strict=True):
        out[...] = dtrtri(factor)[0]
    return inverse


def _factor_matrices(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return U with Σ⁻¹ = U Uᵀ, and which Σ are not positive definite."""
    try:
        lower = np.linalg.cholesky(covariances)
        failed = ~np.isfinite(diagonals(lower).sum(axis=-1))
    except np.linalg.LinAlgError:
        lower, failed = _factor_what_can_be(covariances)
    # L⁻ᵀ, so that Σ⁻¹ = L⁻ᵀ L⁻¹.
    return _inverse(transposed(lower)), failed


def _factor_what_can_be(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lower Cholesky factors, and which of them are missing."""
    d = covariances.shape[-1]
    factors = [dpotrf(each, lower=1, clean=1) for each in covariances.reshape(-1, d, d)]
    failed = np.array([info != 0 for _, info in factors])
    lower = np.stack([np.eye(d) if info else factor for factor, info in factors])
    return lower.reshape(covariances.shape), failed.reshape(covariances.shape[:-2])


def _matrix_covariances(cholesky: np.ndarray) -> np.ndarray:
    """Σ = U⁻ᵀ U⁻¹."""
    inverse = _inverse(cholesky)
    return transposed(inverse) @ inverse


def _factor_matrix_precisions(precisions: np.ndarray) -> np.ndarray:
    """Return U with P = U Uᵀ: the Cholesky factor with rows and columns reversed."""
    return np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1]


@lru_cache(maxsize=64)
def _above_diagonal(n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices."""
    return np.triu_indices(n_features, 1)


def _upper_factor(roots: np.ndarray) -> np.ndarray:
    """Return U, with a positive diagonal, from A with P = A Aᵀ."""
    j, i = _above_diagonal(roots.shape[-1])
    if (diagonals(roots) > 0).all() and not roots[..., i, j].any():
        return roots
    # With J the reversal of the order and (J A)ᵀ = Q R: J P J = Rᵀ R, and U = J Rᵀ J.
    reversed_rows = transposed(roots[..., ::-1, :])
    upper = np.asarray(np.linalg.qr(reversed_rows, mode="r"))
    factor = transposed(upper)[..., ::-1, ::-1]
    return factor * np.where(diagonals(factor) < 0, -1.0, 1.0)[..., None, :]


def _draw(covariance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Multiply noise by a root of a matrix, of features of any unit."""
    variances = np.diagonal(covariance)
    units = _deviations(variances)
    safe = np.where(units > 0, units, 1.0)
    values, vectors = np.linalg.eigh(covariance / safe[:, None] / safe)
    if values.min() < -ROUNDED:
        raise ValueError(NO_COVARIANCE)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return safe[:, None] * (root @ noise)


def _deviations(variances: np.ndarray) -> np.ndarray:
    if not (variances >= 0).all():
        raise ValueError(NO_COVARIANCE)
    return np.sqrt(variances)


def _matrix_standard_deviations(cholesky: np.ndarray) -> np.ndarray:
    """√Σ_jj, also where Σ_jj itself would leave the range."""
    unit = np.abs(cholesky).max(axis=-1)
    scaled = cholesky / unit[..., None]
    return np.sqrt(np.square(_inverse(scaled)).sum(axis=-2)) / unit


def _matrices_to_chart(base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
    # C = L₀⁻¹ L = U₀ᵀ U⁻ᵀ, so that Cᵀ = U⁻¹ U₀ is upper triangular.
    ratio = _inverse(cholesky) @ base
    values = PAIRS.pack(ratio)
    diagonal = diagonal_positions(base.shape[-1])
    values[..., diagonal] = SQRT2 * np.log(values[..., diagonal])
    return values


def _ratio_from_chart(values: np.ndarray, d: int) -> np.ndarray:
    """Return Cᵀ."""
    i, j = upper_triangle(d)
    ratio = np.zeros((*values.shape[:-1], d, d))
    ratio[..., i, j] = values
    diagonal = diagonals(ratio)
    diagonal[...] = np.exp(diagonal / SQRT2)
    return ratio


def _matrices_from_chart(base: np.ndarray, values: np.ndarray) -> np.ndarray:
    return base @ _inverse(_ratio_from_chart(values, base.shape[-1]))


class Matrices(Storage):
    """A matrix, or one for each component."""

    quadratic = PAIRS
    matrices = True

    def add_to_diagonal(
        self, covariances: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        return covariances + np.diag(values)

    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _factor_matrices(covariances)

    def covariances(self, cholesky: np.ndarray) -> np.ndarray:
        return _matrix_covariances(cholesky)

    def precisions(self, cholesky: np.ndarray) -> np.ndarray:
        return cholesky @ transposed(cholesky)

    def factor_precisions(self, precisions: np.ndarray) -> np.ndarray:
        return _factor_matrix_precisions(precisions)

    def upper_factor(self, roots: np.ndarray) -> np.ndarray:
        return _upper_factor(roots)

    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (rows[:, None, :] @ cholesky)[:, 0]

    def color_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.linalg.solve(transposed(cholesky), rows[:, :, None])[:, :, 0]

    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        return cholesky * factor[:, None]


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


class OwnMatrices(Matrices):
    """A matrix of each component, (K, d, d)."""

    logit_quadratic = PAIRS

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_components, n_features, n_features)

    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        return np.log(diagonals(cholesky)).sum(axis=-1)

    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        precisions = self.precisions(cholesky)
        linear = (precisions @ means[..., None])[..., 0]
        # −½P_ii for x_i², −P_ij for x_i x_j.
        quadratic = self.quadratic.pack(precisions) * -1
        quadratic[..., diagonal_positions(means.shape[-1])] *= 0.5
        return np.concatenate([linear, quadratic], axis=-1)

    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        return cholesky[k].T @ z

    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        # Without BLAS, whose threads would share products of so few numbers.
        return np.einsum("ki,kij->kj", rows, cholesky)

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return solve_triangular(cholesky[k], noise, trans="T")

    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return _draw(covariances[k], noise)

    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return _matrix_standard_deviations(cholesky)

    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        return np.square(cholesky).sum(axis=-1)

    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        return ((target @ cholesky) * cholesky).sum(axis=(-3, -2, -1))

    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        return _matrices_to_chart(base, cholesky)

    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        return _matrices_from_chart(base, values)


class OneMatrix(Matrices):
    """One matrix for all components, (d, d)."""

    logit_quadratic = Nothing()
    shared = True

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        return (n_features, n_features)

    def log_det(self, cholesky: np.ndarray, n_features: int) -> np.ndarray:
        return np.log(diagonals(cholesky)).sum(axis=-1, keepdims=True)

    def natural(self, cholesky: np.ndarray, means: np.ndarray) -> np.ndarray:
        return means @ self.precisions(cholesky)

    def whiten(self, cholesky: np.ndarray, k: int, z: np.ndarray) -> np.ndarray:
        return cholesky.T @ z

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return solve_triangular(cholesky, noise, trans="T")

    def draw(self, covariances: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return _draw(covariances, noise)

    def standard_deviations(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        shared = _matrix_standard_deviations(cholesky)
        return np.broadcast_to(shared[..., None, :], shape)

    def precision_diagonals(
        self, cholesky: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        shared = np.square(cholesky).sum(axis=-1)
        return np.broadcast_to(shared[..., None, :], shape)

    def trace_precision(self, cholesky: np.ndarray, target: np.ndarray) -> np.ndarray:
        return ((target @ cholesky) * cholesky).sum(axis=(-2, -1))

    def to_chart(self, base: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
        return _matrices_to_chart(base[None], cholesky[None])

    def from_chart(self, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        return _matrices_from_chart(base[None], values)[0]


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
        return _deviations(covariances[k, :, None]) * noise

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
        return _deviations(covariances[k]) * noise

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
