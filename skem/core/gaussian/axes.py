"""The axes that covariances have in common, D in λ_k D A_k Dᵀ: those that fit best."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from skem.core.gaussian.storage import TINY, diagonals, transposed
from skem.core.gaussian.volumes import HALVINGS, LEFT, scaled

ROTATIONS = 200
SHARE_LEFT = 1e-2
"""Share of what a step gains that axes which are near already may leave."""
FLAT = 1e-10
"""Information of an angle, for each row, below which it is as good as unknown."""
TURN = 0.5
"""Radians that axes are turned by at once, at most."""
GOLDEN = 0.6180339887498949


def common_axes(covariances: np.ndarray) -> np.ndarray:
    """Return the axes (…, d, d) of matrices (…, K, d, d) that have them in common.

    Of a combination in which no two of them have the same variance, but by chance.
    """
    K, d = covariances.shape[-3], covariances.shape[-1]
    sizes = diagonals(covariances).sum(axis=-1) / d
    weights = 1 + (np.arange(1, K + 1) * GOLDEN) % 1
    combined = scaled(covariances, weights / sizes).sum(axis=-3)
    return np.asarray(np.linalg.eigh(combined)[1])


def rotation(skew: np.ndarray) -> np.ndarray:
    """Cayley's map of skew matrices S: (I − S/2)⁻¹ (I + S/2), I + S to first order."""
    eye = np.eye(skew.shape[-1])
    return np.linalg.solve(eye - skew / 2, eye + skew / 2)


def rotated(
    W: np.ndarray,
    n: np.ndarray,
    equal_volumes: bool,
    before: np.ndarray | None,
    rotations: int = ROTATIONS,
) -> np.ndarray:
    """Return the common axes that fit best, from those before, in so many turns.

    With m_k the diagonal of Dᵀ W_k D, they minimise Σ n_k Σ_j log m_kj; or, where
    volumes are equal, N d log Σ_k g_k with g_k the geometric mean of m_k: the same to
    first order, with N g_k / Σ g for n_k. D is turned about all pairs of axes at once,
    by Newton steps for matrices that have the axes nearly in common (Fisher scoring),
    in conjugate directions.
    """
    d = W.shape[-1]
    objective = of_equal_volumes if equal_volumes else partial(of_any_volumes, n)
    axes = _best_start(W, n, objective) if before is None else before
    M = turned(W, axes)
    value, weights = objective(M)
    last = None
    for _ in range(rotations):
        gradient, information = slopes(M, weights)
        scoring = gradient / np.maximum(information, FLAT)
        # Over the pairs, each of which is there twice.
        decrement = 0.5 * (scoring * gradient).sum(axis=(-2, -1))
        if last is None:
            least = LEFT * d
            if before is not None:
                least = np.maximum(least, SHARE_LEFT * decrement)
        going = decrement > least
        if not going.any():
            break
        direction = -scoring
        if last is not None:
            direction = conjugate(scoring, gradient, *last)
        last = gradient, decrement, direction
        length = TURN / np.maximum(np.abs(direction).max(axis=(-2, -1)), TURN)
        length = np.where(going, length, 0.0)
        for _ in range(HALVINGS):
            turn = rotation(length[..., None, None] * direction)
            trial = turned(M, turn)
            after, its_weights = objective(trial)
            worse = going & ~(after <= value)
            if not worse.any():
                break
            length = np.where(worse, length / 4, length)
        else:
            break
        axes = axes @ turn
        M, value, weights = trial, after, its_weights
    # Products of many rotations are not quite one.
    return np.asarray(np.linalg.qr(axes)[0])


def of_any_volumes(n: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the objective, Σ n_k Σ_j log m_kj / N, and the weights of its slope."""
    logs = np.log(np.maximum(diagonals(M), TINY))
    share = n / n.sum(axis=-1)[..., None]
    return (share * logs.sum(axis=-1)).sum(axis=-1), share


def of_equal_volumes(M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the objective, d log Σ_k g_k, and the weights of its slope."""
    logs = np.log(np.maximum(diagonals(M), TINY))
    means = logs.mean(axis=-1)
    top = means.max(axis=-1, keepdims=True)
    sizes = np.exp(means - top)
    whole = sizes.sum(axis=-1, keepdims=True)
    return M.shape[-1] * (np.log(whole) + top)[..., 0], sizes / whole


def conjugate(
    scoring: np.ndarray,
    gradient: np.ndarray,
    last_gradient: np.ndarray,
    last_decrement: np.ndarray,
    last_direction: np.ndarray,
) -> np.ndarray:
    """Polak & Ribière's direction, from the scoring steps; never uphill."""
    change = 0.5 * (scoring * (gradient - last_gradient)).sum(axis=(-2, -1))
    beta = np.maximum(change / np.maximum(last_decrement, TINY), 0.0)
    found = -scoring + beta[..., None, None] * last_direction
    slope = (found * gradient).sum(axis=(-2, -1))
    return np.where((slope < 0)[..., None, None], found, -scoring)


def turned(matrices: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Dᵀ M_k D."""
    axes = axes[..., None, :, :]
    return transposed(axes) @ matrices @ axes


def slopes(M: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of Σ w_k Σ_j log M_kjj in the angles of all pairs, and its information.

    The slope is skew, (…, d, d): that of S_ij, for i before j, is in place (i, j).
    """
    variances = diagonals(M)
    first, second = variances[..., :, None], variances[..., None, :]
    apart = scaled(first - second, 2 * weights) / (first * second)
    return (M * apart).sum(axis=-3), ((first - second) * apart).sum(axis=-3)


def _best_start(
    W: np.ndarray,
    n: np.ndarray,
    objective: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return the best of the axes of each matrix, and of all together."""
    each = np.moveaxis(np.linalg.eigh(W)[1], -3, 0)
    sizes = np.maximum(diagonals(W).sum(axis=-1), TINY)
    together = [W.sum(axis=-3), scaled(W, n / sizes).sum(axis=-3)]
    candidates = [*each, *(np.linalg.eigh(matrix)[1] for matrix in together)]
    values = np.stack([objective(turned(W, axes))[0] for axes in candidates])
    best = values.argmin(axis=0)[None, ..., None, None]
    return np.take_along_axis(np.stack(candidates), best, axis=0)[0]
