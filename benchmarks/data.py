"""Data that the benchmarks share."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA

from benchmarks.timing import TINY
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters
from skem.datasets import load_acidity, load_faithful, load_galaxies

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
if TINY:
    GRID = [(2000, 2, 3)]

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


def parameters_of(structure: Structure, given: dict) -> Parameters:
    """Return what `start` gives to the estimators, in the units of the data."""
    return Parameters(
        given["weights_init"],
        given["means_init"],
        structure.factor_precisions(given["precisions_init"]),
    )


def rows_of(labels: np.ndarray, means: np.ndarray, shapes: np.ndarray, rng):
    """Gaussian rows of labelled components: means, and noise times their shapes."""
    noise = rng.normal(size=(len(labels), means.shape[1]))
    return means[labels] + np.einsum("nij,nj->ni", shapes[labels], noise)


def overlapping_sample(n: int, d: int, K: int, spread: float, seed: int):
    """Rows from K components of random shapes; a small `spread` makes them overlap."""
    rng = np.random.default_rng(seed)
    means = spread * rng.normal(size=(K, d))
    shapes = np.eye(d) + 0.3 * rng.normal(size=(K, d, d))
    return rows_of(rng.integers(K, size=n), means, shapes, rng)


def real_data() -> dict[str, np.ndarray]:
    """Small data sets that ship with skem and scikit-learn."""
    digits = load_digits().data
    return {
        "faithful": load_faithful().data,
        "galaxies": load_galaxies().data,
        "acidity": load_acidity().data,
        "iris": load_iris().data,
        "wine": load_wine().data,
        "cancer": load_breast_cancer().data[:, :10],
        "digits": PCA(10, random_state=0).fit_transform(digits),
    }


REAL = [
    ("faithful", 3),
    ("faithful", 5),
    ("galaxies", 3),
    ("acidity", 2),
    ("iris", 3),
    ("iris", 5),
    ("wine", 3),
    ("cancer", 2),
    ("cancer", 4),
    ("digits", 10),
]
OVERLAPPING = [
    (2000, 1, 2, 1.0),
    (2000, 2, 3, 0.8),
    (1000, 2, 5, 2.0),
    (2000, 5, 4, 1.0),
    (3000, 10, 6, 0.7),
    (2000, 20, 3, 0.5),
    (3000, 3, 8, 1.2),
    (5000, 2, 20, 3.0),
]
"""n, d, K and spread: overlap from slight to heavy."""
if TINY:
    REAL, OVERLAPPING = REAL[:1], [(500, 2, 2, 1.0)]


def problems():
    """Yield name, data, K and covariance type of the convergence problems."""
    real = real_data()
    for covariance_type in COVARIANCE_TYPES[:1] if TINY else COVARIANCE_TYPES:
        # For one feature, diag and spherical are the same as full.
        univariate = covariance_type in ("full", "tied")
        for name, K in REAL:
            if real[name].shape[1] > 1 or univariate:
                yield f"{name}, {K}, {covariance_type}", real[name], K, covariance_type
        for n, d, K, spread in OVERLAPPING:
            if d > 1 or univariate:
                X = overlapping_sample(n, d, K, spread, seed=n + d + K)
                label = f"{n} × {d}, overlap {spread}, {K}, {covariance_type}"
                yield label, X, K, covariance_type
