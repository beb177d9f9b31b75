"""Covariances of equal volume, and proportional ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from skem.core.gaussian.storage import TINY, diagonals, transposed

NEWTON_STEPS = 30
HALVINGS = 30
LEFT = 1e-14
"""Share of N d nats that an iteration may leave to be gained."""
LONGEST_STEP = 50.0
"""Longest step of log-volumes, so that no trial overflows."""
ROUNDED = (1e-14, 1e-12, 1e-10)
"""Shares of a scatter that may be rounding."""


def scaled(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiply matrices or diagonals of components by factors (…, K)."""
    return values * factors.reshape(
        factors.shape + (1,) * (np.ndim(values) - factors.ndim)
    )


def with_eigenvalues(axes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """D diag(a) Dᵀ."""
    return (axes * values[..., None, :]) @ transposed(axes)


def above_rounding(eigenvalues: np.ndarray) -> np.ndarray:
    """Raise eigenvalues (…, d) to what rounding leaves of them beside the largest."""
    largest = eigenvalues.max(axis=-1, keepdims=True)
    return np.maximum(eigenvalues, np.finfo(float).eps * largest)


def geometric_means(values: np.ndarray) -> np.ndarray:
    """Geometric means along the last axis."""
    return np.exp(np.log(values).mean(axis=-1))


def volumes(covariances: np.ndarray, n_axes: int) -> np.ndarray:
    """|Σ|^{1/d} of matrices (n_axes = 2) or diagonals (1)."""
    if n_axes == 1:
        return geometric_means(covariances)
    d = covariances.shape[-1]
    return np.exp(np.linalg.slogdet(covariances)[1] / d)


def of_equal_volume(W: np.ndarray, n: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """λ W_k / |W_k|^{1/d} with λ = Σ |W_k|^{1/d} / N; sizes are |W_k|^{1/d}."""
    common = sizes.sum(axis=-1, keepdims=True) / n.sum(axis=-1, keepdims=True)
    return scaled(W, common / sizes)


def proportional_diagonals(
    W: np.ndarray, n: np.ndarray, before: np.ndarray | None
) -> np.ndarray:
    """λ_k B with B = Σ W_k / λ_k / N and λ_k = Σ_j W_kj / B_j / (n_k d)."""

    def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = scaled(W, np.exp(x))
        whole = parts.sum(axis=-2, keepdims=True)
        shares = parts / whole
        log_det = np.log(whole[..., 0, :]).sum(axis=-1)
        return log_det, shares.sum(axis=-1), shares @ transposed(shares)

    d = W.shape[-1]
    if before is None:
        before = W.sum(axis=-1) / (n * d)
    x = inverse_volumes(terms, n, d, before)
    common = scaled(W, np.exp(x)).sum(axis=-2, keepdims=True)
    common = common / n.sum(axis=-1)[..., None, None]
    return common * ((W / common).sum(axis=-1) / (n * d))[..., None]


def proportional_matrices(
    W: np.ndarray, n: np.ndarray, before: np.ndarray | None
) -> np.ndarray:
    """λ_k C with C = Σ W_k / λ_k / N and λ_k = tr(W_k C⁻¹) / (n_k d).

    Where C is singular by rounding, λ are those of scatters with more on the diagonal.
    """
    d = W.shape[-1]

    def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = scaled(raised, np.exp(x))
        lower = np.linalg.cholesky(parts.sum(axis=-3))
        root = np.linalg.inv(lower)[..., None, :, :]
        shares = root @ parts @ transposed(root)
        flat = shares.reshape(*shares.shape[:-2], d * d)
        log_det = 2 * np.log(diagonals(lower)).sum(axis=-1)
        return log_det, diagonals(shares).sum(axis=-1), flat @ transposed(flat)

    if before is None:
        before = diagonals(W).sum(axis=-1) / (n * d)
    for more in _more_on_diagonals(W):
        raised = W + more[..., None] * np.eye(d)
        try:
            x = inverse_volumes(terms, n, d, before)
        except np.linalg.LinAlgError:
            continue
        common = scaled(W, np.exp(x)).sum(axis=-3, keepdims=True)
        common = common / n.sum(axis=-1)[..., None, None, None]
        return scaled(np.broadcast_to(common, W.shape), np.exp(-x))
    return np.full_like(W, np.nan)


def _more_on_diagonals(W: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what is added to diagonals: nothing, shares of them, of the largest."""
    own = np.maximum(diagonals(W), 0.0)
    yield np.zeros_like(own)
    largest = np.ones_like(own) * own.max(axis=-1, keepdims=True)
    yield from (share * of for of in (own, largest) for share in ROUNDED)


def inverse_volumes(
    terms: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    n: np.ndarray,
    d: int,
    before: np.ndarray,
) -> np.ndarray:
    """Minimise F(x) = N log|Σ_k exp(x_k) W_k| − d Σ_k n_k x_k, −x the log-volumes.

    F is convex, by Newton's method in a few steps. `terms` returns log|V|,
    p_k = exp(x_k) tr(V⁻¹ W_k), and tr(V⁻¹ W_k V⁻¹ W_l) exp(x_k + x_l).
    """
    total = n.sum(axis=-1, keepdims=True)
    share = n / total

    def objective(x: np.ndarray, log_det: np.ndarray) -> np.ndarray:
        return log_det - d * (share * x).sum(axis=-1)

    x = -np.log(np.maximum(before, TINY))
    x -= x.mean(axis=-1, keepdims=True)
    log_det, p, products = terms(x)
    value = objective(x, log_det)
    K = n.shape[-1]
    # A common factor has no effect.
    eye, ones = 1e-13 * d * np.eye(K), np.full((K, K), d / K**2)
    for _ in range(NEWTON_STEPS):
        gradient = p - d * share
        hessian = p[..., None] * np.eye(K) - products + ones + eye
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        decrement = -(step * gradient).sum(axis=-1)
        going = decrement > LEFT * d
        if not going.any():
            # What is left is in the rounding of F, but not of x.
            return x + step
        step /= np.maximum(np.abs(step).max(axis=-1, keepdims=True) / LONGEST_STEP, 1)
        length = np.where(going, 1.0, 0.0)
        for _ in range(HALVINGS):
            trial = x + length[..., None] * step
            log_det, p, products = terms(trial)
            after = objective(trial, log_det)
            worse = going & ~(after <= value + LEFT)
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        else:
            break
        x, value = trial, after
    return x
