"""Log-densities of samples at any distance from the components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters

ROOT_OF_LARGEST = 1e150
"""Size of a number whose square is in range."""
CENTRED = 1e8
"""Size of rows up to which means are subtracted first, which loses nothing."""
LOG_2PI = float(np.log(2 * np.pi))


def without_empty(structure: Structure, parameters: Parameters) -> Parameters:
    """Return parameters in which components without weight are like the heaviest one.

    As logarithms of weights are finite, they would have all rows that are far enough.
    """
    weights = parameters.weights
    empty = weights == 0
    if not empty.any() or empty.all():
        return parameters
    order = np.where(empty, weights.argmax(), np.arange(len(weights)))
    cholesky = structure.ordered(parameters.precisions_cholesky, order)
    return replace(parameters.ordered(order, cholesky), weights=weights)


def log_constants(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Log w_k + log|U_k| − (d/2) log 2π: the log-density's peaks, shape (K,)."""
    n_features = parameters.means.shape[-1]
    log_det = structure.log_det(parameters.precisions_cholesky, n_features)
    return parameters.log_weights + log_det - 0.5 * n_features * LOG_2PI


def within_widths(
    structure: Structure, parameters: Parameters, squares: np.ndarray
) -> np.ndarray:
    """−½ Σ_j P_jj w_j²/12, what widths take from the log-density: (…, K, b)."""
    cholesky = parameters.precisions_cholesky
    return -0.5 * structure.precision_diagonals(cholesky, parameters.shape) @ squares


def common_term(
    structure: Structure, parameters: Parameters, z: np.ndarray
) -> np.ndarray:
    """−½ zᵀΣ⁻¹z, of a covariance that all components share."""
    cholesky = parameters.precisions_cholesky.astype(z.dtype)
    white = structure.whiten(cholesky, 0, z)
    return -0.5 * np.einsum("db,db->b", white, white)


def distances(parameters: Parameters, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the size t of rows z (d, b), and which are near: these have t = 1.

    Not beyond the components, where an expansion would cancel.
    """
    t = np.maximum(np.abs(z).max(axis=0), 1.0)
    near = t < max(CENTRED, 1e3 * float(np.abs(parameters.means).max()))
    return np.where(near, 1.0, t), near


def expansion(
    structure: Structure, parameters: Parameters, u: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A, B and C (K, b) of log w_k N = −½ A t² + B t + C, for rows t u.

    Of those that are near, C has it all.
    """
    cholesky, K = parameters.precisions_cholesky, len(parameters.means)
    A, B = np.zeros((2, K, u.shape[1]))
    C = np.repeat(log_constants(structure, parameters)[:, None], u.shape[1], axis=1)
    for k, mean in enumerate(parameters.means[..., None]):
        offset = structure.whiten(cholesky, k, mean)
        white = structure.whiten(cholesky, k, u[:, ~near])
        A[k, ~near] = np.einsum("db,db->b", white, white)
        B[k, ~near] = np.einsum("db,d->b", white, offset[:, 0])
        C[k, ~near] -= 0.5 * np.sum(offset**2)
        # Nearby, centring first loses nothing to cancellation.
        white = structure.whiten(cholesky, k, u[:, near] - mean)
        C[k, near] -= 0.5 * np.einsum("db,db->b", white, white)
    return A, B, C


def evaluate_far(
    structure: Structure,
    parameters: Parameters,
    z: np.ndarray,
    squares: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-density (b,) and responsibilities (K, b) at any distance, never NaN.

    With z = t u, |u| ≤ 1: log w_k N = −½ A_k t² + B_k t + C_k. Differences between
    components are taken coefficient by coefficient, before t can overflow them.
    """
    z = np.nan_to_num(z, nan=0.0)
    z = z / np.maximum(np.abs(z).max(axis=0, initial=0.0) / 1e300, 1.0)
    t, near = distances(parameters, z)
    A, B, C = expansion(structure, parameters, z / t, near)
    if squares is not None:
        C += within_widths(structure, parameters, squares)
    order = np.lexsort((-C, -B, A), axis=0)[0]
    columns = np.arange(z.shape[1])
    a, b, c = A[order, columns], B[order, columns], C[order, columns]
    with np.errstate(all="ignore"):
        logits = -0.5 * (A - a) * t * t + (B - b) * t + (C - c)
        logits = np.nan_to_num(logits, nan=-np.inf, posinf=np.finfo(float).max)
        top = logits.max(axis=0)
        resp = np.exp(logits - top)
        total = resp.sum(axis=0)
        log_density = -0.5 * a * t * t + b * t + c
        log_density = np.nan_to_num(log_density, nan=-np.inf) + top + np.log(total)
    limit = np.finfo(float).max
    return np.clip(log_density, -limit, limit), resp / total
