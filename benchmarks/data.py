"""Data that the benchmarks share."""

from __future__ import annotations

import numpy as np

GRID = [
    (100_000, 1, 2),
    (1_000_000, 2, 8),
    (100_000, 10, 10),
    (100_000, 10, 50),
    (200_000, 16, 100),
    (50_000, 50, 20),
    (10_000, 200, 10),
]
"""n, d, K."""

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]


def mixture_sample(n: int, d: int, K: int, seed: int = 0, spread: float = 3.0):
    """Rows from K unit Gaussians with means N(0, spread²), and the means."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, spread, (K, d))
    X = means[rng.integers(K, size=n)]
    X += rng.normal(size=(n, d))
    return X, means


def start(means: np.ndarray, covariance_type: str, seed: int = 1) -> dict:
    """Initial parameters near the truth, as keyword arguments of the estimators."""
    K, d = means.shape
    rng = np.random.default_rng(seed)
    precisions = {
        "full": np.broadcast_to(np.eye(d), (K, d, d)),
        "tied": np.eye(d),
        "diag": np.ones((K, d)),
        "spherical": np.ones(K),
    }
    return {
        "weights_init": np.full(K, 1 / K),
        "means_init": means + rng.normal(0, 0.5, means.shape),
        "precisions_init": precisions[covariance_type].copy(),
    }
