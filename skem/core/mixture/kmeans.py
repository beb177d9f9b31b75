"""k-means of few rows: the best of some starts from rows that are far apart.

Libraries take longer to begin than these rows take. The random numbers are drawn before
all else, and rows that are as near to one center as to another go to the first of them:
so compiled code and NumPy find the same clusters.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.distance import cdist

from skem.kernels import native
from skem.kernels.native import KMEANS, address

STEPS = 50
"""Steps of k-means, at most: EM goes on from there."""
SHIFT = 1e-4
"""Share of the mean variance; k-means ends where centers move by less, squared."""
SAME = 1e-9
"""Relative difference of squared distances, or of sums of them, that are the same."""


def random_numbers(
    n_init: int, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Return what chooses rows: a row is the best of a few that are drawn.

    As many as greedy k-means++ has (D. Arthur and S. Vassilvitskii, 2007).
    """
    trials = 2 + int(math.log(n_components))
    return rng.random_sample((n_init, n_components, trials))


def clustered(Z: np.ndarray, weight: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Return labels of the best clustering of rows (n, d).

    To find the best a second time is enough.
    """
    still = SHIFT * float(Z.var(axis=0).mean()) if len(Z) else 0.0
    library = native.library()
    if library is None:
        return _clustered(Z, weight, random, still)
    (n, d), (n_init, K, trials) = Z.shape, random.shape
    columns = np.ascontiguousarray(Z.T, dtype=float)
    weight, random = (np.ascontiguousarray(a, dtype=float) for a in (weight, random))
    labels = np.empty((2, n), np.int64)
    scratch = np.empty(4 * n + 2 * K * d + K)
    arrays = (columns, weight, random, scratch, labels)
    sizes = (n, d, K, n_init, trials, STEPS)
    library.kmeans(KMEANS.pack(*sizes, still, SAME, *map(address, arrays)))
    return labels[0]


def _clustered(
    Z: np.ndarray, weight: np.ndarray, random: np.ndarray, still: float
) -> np.ndarray:
    best, least = lloyd(Z, weight, Z[far_apart(Z, weight, random[0])], still)
    for numbers in random[1:]:
        labels, inertia = lloyd(Z, weight, Z[far_apart(Z, weight, numbers)], still)
        if inertia < least * (1 - SAME):
            best, least = labels, inertia
        elif inertia <= least * (1 + SAME):
            break
    return best


def far_apart(Z: np.ndarray, weight: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Choose rows by random numbers (K, trials), each far from those before it."""
    chosen = np.empty(len(random), int)
    nearest = np.ones(len(Z))
    for k, numbers in enumerate(random):
        cumulated = np.cumsum(nearest * weight)
        drawn = np.searchsorted(cumulated, numbers * cumulated[-1], side="right")
        rows = np.minimum(drawn, len(Z) - 1)
        if k == 0:
            rows, nearest = rows[:1], np.full(len(Z), np.inf)
        near = np.minimum(cdist(Z[rows], Z, "sqeuclidean"), nearest)
        best, sums = 0, near @ weight
        for trial in range(1, len(rows)):
            best = trial if sums[trial] < sums[best] * (1 - SAME) else best
        chosen[k], nearest = rows[best], near[best]
    return chosen


def lloyd(
    Z: np.ndarray, weight: np.ndarray, centers: np.ndarray, still: float
) -> tuple[np.ndarray, float]:
    """Return the labels that k-means comes to, and the sum of squared distances."""
    labels = np.full(len(Z), -1)
    moved = math.inf
    for step in range(STEPS):
        before, (labels, nearest) = labels, nearest_center(Z, centers)
        if moved <= still or step == STEPS - 1 or (labels == before).all():
            break
        resp = (labels == np.arange(len(centers))[:, None]) * weight
        sizes = resp.sum(axis=1)[:, None]
        means = np.where(sizes > 0, resp @ Z / np.where(sizes > 0, sizes, 1), centers)
        moved, centers = float(np.square(means - centers).sum()), means
    return labels, float(nearest @ weight)


def nearest_center(Z: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which center each row is nearest to, and the squared distances."""
    labels, nearest = np.zeros(len(Z), int), np.full(len(Z), np.inf)
    for k, distances in enumerate(cdist(centers, Z, "sqeuclidean")):
        nearer = distances < nearest * (1 - SAME)
        labels[nearer] = k
        nearest = np.where(nearer, distances, nearest)
    return labels, nearest
