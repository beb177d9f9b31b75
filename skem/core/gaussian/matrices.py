"""Covariance matrices, of each component or of all."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg import get_blas_funcs
from scipy.linalg.lapack import dpotrf, dtrtri

from skem.core.gaussian.quadratic import Nothing, diagonal_positions, upper_triangle
from skem.core.gaussian.storage import (
    NO_COVARIANCE,
    PAIRS,
    SQRT2,
    Storage,
    deviations,
    diagonals,
    transposed,
)

ROUNDED = 1e-6
"""Eigenvalues of correlations that may be negative by rounding, in float32 too."""


def _inverse(upper: np.ndarray) -> np.ndarray:
    """Inverses of upper triangular matrices."""
    inverse = np.empty(upper.shape)
    d = upper.shape[-1]
    flat = inverse.reshape(-1, d, d)
    for out, factor in zip(flat, upper.reshape(-1, d, d), strict=True):
        out[...] = dtrtri(factor)[0]
    return inverse


def _factor_what_can_be(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lower Cholesky factors, and which of them are missing."""
    d = covariances.shape[-1]
    factors = [dpotrf(each, lower=1, clean=1) for each in covariances.reshape(-1, d, d)]
    failed = np.array([info != 0 for _, info in factors])
    lower = np.stack([np.eye(d) if info else factor for factor, info in factors])
    return lower.reshape(covariances.shape), failed.reshape(covariances.shape[:-2])


@lru_cache(maxsize=64)
def _above_diagonal(n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column indices."""
    return np.triu_indices(n_features, 1)


def _draw(covariance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Multiply noise by a root of a matrix, of features of any unit."""
    variances = np.diagonal(covariance)
    units = deviations(variances)
    safe = np.where(units > 0, units, 1.0)
    values, vectors = np.linalg.eigh(covariance / safe[:, None] / safe)
    if values.min() < -ROUNDED:
        raise ValueError(NO_COVARIANCE)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return safe[:, None] * (root @ noise)


def _solve_transposed(upper: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return U⁻ᵀ times rows (d, n).

    By BLAS: LAPACK's solution shares even two rows out among threads, and waits for
    them. Where the cores are busy, that takes some milliseconds.
    """
    (solve,) = get_blas_funcs(("trsm",), (upper, rows))
    return solve(1.0, upper, rows, trans_a=1)


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
        return covariances + values[..., None] * np.eye(values.shape[-1])

    def factor(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            lower = np.linalg.cholesky(covariances)
            failed = ~np.isfinite(diagonals(lower).sum(axis=-1))
        except np.linalg.LinAlgError:
            lower, failed = _factor_what_can_be(covariances)
        # L⁻ᵀ, so that Σ⁻¹ = L⁻ᵀ L⁻¹.
        return _inverse(transposed(lower)), failed

    def covariances(self, cholesky: np.ndarray) -> np.ndarray:
        inverse = _inverse(cholesky)
        return transposed(inverse) @ inverse

    def precisions(self, cholesky: np.ndarray) -> np.ndarray:
        return cholesky @ transposed(cholesky)

    def factor_precisions(self, precisions: np.ndarray) -> np.ndarray:
        # With rows and columns reversed, as P = U Uᵀ.
        return np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1]

    def upper_factor(self, roots: np.ndarray) -> np.ndarray:
        j, i = _above_diagonal(roots.shape[-1])
        if (diagonals(roots) > 0).all() and not roots[..., i, j].any():
            return roots
        # With J the reversal of the order and (J A)ᵀ = Q R: J P J = Rᵀ R, U = J Rᵀ J.
        reversed_rows = transposed(roots[..., ::-1, :])
        upper = np.asarray(np.linalg.qr(reversed_rows, mode="r"))
        factor = transposed(upper)[..., ::-1, ::-1]
        return factor * np.where(diagonals(factor) < 0, -1.0, 1.0)[..., None, :]

    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (rows[:, None, :] @ cholesky)[:, 0]

    def color_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.linalg.solve(transposed(cholesky), rows[:, :, None])[:, :, 0]

    def rescale_precisions_cholesky(
        self, cholesky: np.ndarray, factor: np.ndarray
    ) -> np.ndarray:
        return cholesky * factor[:, None]


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

    def matrix(self, cholesky: np.ndarray, k: int, d: int) -> np.ndarray:
        return cholesky[k]

    def whiten_rows(self, cholesky: np.ndarray, rows: np.ndarray) -> np.ndarray:
        # Without BLAS, whose threads would share products of so few numbers.
        return np.einsum("ki,kij->kj", rows, cholesky)

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return _solve_transposed(cholesky[k], noise)

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

    def matrix(self, cholesky: np.ndarray, k: int, d: int) -> np.ndarray:
        return cholesky

    def color(self, cholesky: np.ndarray, k: int, noise: np.ndarray) -> np.ndarray:
        return _solve_transposed(cholesky, noise)

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
