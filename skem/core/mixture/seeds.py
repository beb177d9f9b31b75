"""Labels of rows to start from: k-means, and rows chosen at random or far apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from skem.core.blocks.threads import single_threaded_openmp
from skem.kernels import native
from skem.kernels.native import CLUSTERS, address

KMEANS_STEPS = 50
"""Steps of k-means, at most: EM goes on from there."""
SHIFT = 1e-4
"""Share of the mean variance; k-means ends where centers move by less, squared."""
FEW = 2**22
"""Values (rows × clusters × features) up to which it is done in one call."""


class Clusters(NamedTuple):
    """Rows that clusters began from, labels, and the sum of squared distances."""

    seeds: np.ndarray
    labels: np.ndarray
    inertia: float


def clusters(
    Z: np.ndarray,
    weight: np.ndarray,
    n_components: int,
    rng: np.random.RandomState,
    steps: int = KMEANS_STEPS,
) -> Clusters:
    """Cluster rows by so many steps of k-means, from rows that lie far apart.

    On few rows scikit-learn's functions take longer for what is around them; compiled
    code does the same with the same random numbers.
    """
    library = native.library()
    if library is None or Z.size * n_components > FEW:
        return of_peer(Z, weight, far_apart(Z, weight, n_components, rng), steps)
    (n, d), K = Z.shape, n_components
    columns = np.ascontiguousarray(Z.T, dtype=float)
    weight = np.ascontiguousarray(weight, dtype=float)
    trials = 2 + int(math.log(K))
    random = rng.random_sample(1 + (K - 1) * trials)
    memory = np.empty(K + n + 1 + 5 * n + (2 * d + 1) * K)
    at = address(memory)
    found = [at, at + 8 * K, at + 8 * (K + n), at + 8 * (K + n + 1)]
    arrays = map(address, (columns, weight, random))
    done = library.kmeans(CLUSTERS.pack(n, d, K, trials, steps, SHIFT, *arrays, *found))
    whole = memory[: K + n].view(np.int64)
    seeds, labels, inertia = whole[:K], whole[K:], float(memory[K + n])
    if done:
        return Clusters(seeds, labels, inertia)
    return of_peer(Z, weight, seeds, steps)


def of_peer(
    Z: np.ndarray, weight: np.ndarray, seeds: np.ndarray, steps: int
) -> Clusters:
    """Cluster rows from seeds, by scikit-learn."""
    if steps == 0:
        distances = cdist(Z, Z[seeds], "sqeuclidean")
        return Clusters(seeds, distances.argmin(axis=1), distances.min(axis=1) @ weight)
    with on_checked_data(), warnings.catch_warnings():
        # Fewer distinct rows than components: the components left over stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(len(seeds), init=Z[seeds], n_init=1, max_iter=steps, tol=SHIFT)
        model.fit(Z, sample_weight=weight)
    return Clusters(seeds, model.labels_, model.inertia_)


def far_apart(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Choose rows far apart, one for each component."""
    with on_checked_data():
        _, rows = kmeans_plusplus(
            Z, n_components, sample_weight=weight, random_state=rng
        )
    return rows


def kmeans(
    Z: np.ndarray,
    weight: np.ndarray,
    n_components: int,
    rng: np.random.RandomState,
    n_init: int = 1,
) -> np.ndarray:
    """One-hot labels of a k-means clustering, the best of some, (K, n)."""
    runs = [clusters(Z, weight, n_components, rng) for _ in range(n_init)]
    best = min(runs, key=lambda run: run.inertia)
    return memberships(best.labels, n_components)


def memberships(labels: np.ndarray, n_components: int) -> np.ndarray:
    """Label of each sample -> one-hot responsibilities, (K, n)."""
    return (labels == np.arange(n_components)[:, None]).astype(float)


def _one_hot(rows: np.ndarray, n_samples: int) -> np.ndarray:
    resp = np.zeros((len(rows), n_samples))
    resp[np.arange(len(rows)), rows] = 1
    return resp


def kmeans_seeds(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One row for each component, chosen far apart."""
    return _one_hot(clusters(Z, weight, n_components, rng, 0).seeds, len(Z))


def random_rows(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One row for each component, chosen evenly."""
    return _one_hot(rng.choice(len(Z), n_components, replace=False), len(Z))


def random_responsibilities(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Uniform random numbers, normalised."""
    resp = rng.uniform(size=(len(Z), n_components)).T
    return resp / resp.sum(axis=0)


def nearest_kmeans_seed(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One-hot labels of the nearest of rows chosen far apart."""
    labels = clusters(Z, weight, n_components, rng, 0).labels
    return memberships(labels, n_components)


def nearest_random_row(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One-hot labels of the nearest of rows chosen evenly."""
    rows = rng.choice(len(Z), n_components, replace=False)
    distances = cdist(Z, Z[rows], "sqeuclidean")
    return memberships(distances.argmin(axis=1), n_components)


@contextmanager
def on_checked_data() -> Iterator[None]:
    """Spare scikit-learn's functions what is for users' data, and threads."""
    with (
        config_context(assume_finite=True, skip_parameter_validation=True),
        single_threaded_openmp(),
    ):
        yield


Initializer = Callable[[np.ndarray, np.ndarray, int, np.random.RandomState], np.ndarray]
INITIALIZERS: dict[str, Initializer] = {
    "kmeans": kmeans,
    "k-means++": kmeans_seeds,
    "random": random_responsibilities,
    "random_from_data": random_rows,
}
DIVERSE: list[Initializer] = [kmeans, nearest_random_row, nearest_kmeans_seed]
"""What takes turns when several starts are to be made and none is asked for."""


def starting_methods(name: str) -> list[Initializer]:
    """Return what makes starts, if `name` is asked for: "kmeans" leaves it open."""
    return DIVERSE if name == "kmeans" else [INITIALIZERS[name]]
