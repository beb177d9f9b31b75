"""Labels of rows to start from: k-means, and rows chosen at random or far apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from skem.core.blocks.threads import single_threaded_blas, single_threaded_openmp
from skem.core.mixture.kmeans import (
    SHIFT,
    STEPS,
    clustered,
    far_apart,
    random_numbers,
)

QUICK = 2**20
"""Values (rows × features × clusters) up to which libraries are no faster."""


def kmeans(
    Z: np.ndarray,
    weight: np.ndarray,
    n_components: int,
    rng: np.random.RandomState,
    n_init: int = 1,
) -> np.ndarray:
    """One-hot labels of a k-means clustering, the best of some, (K, n)."""
    if Z.size * n_components <= QUICK:
        random = random_numbers(n_init, n_components, rng)
        return memberships(clustered(Z, weight, random), n_components)
    model = KMeans(
        n_components, n_init=n_init, max_iter=STEPS, tol=SHIFT, random_state=rng
    )
    with on_checked_data(), warnings.catch_warnings():
        # Fewer distinct rows than components: the components left over stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(Z, sample_weight=weight)
    return memberships(model.labels_, n_components)


def chosen_far_apart(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Choose rows far apart, one for each component."""
    if Z.size * n_components <= QUICK:
        return far_apart(Z, weight, random_numbers(1, n_components, rng)[0])
    with on_checked_data():
        _, rows = kmeans_plusplus(
            Z, n_components, sample_weight=weight, random_state=rng
        )
    return rows


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
    return _one_hot(chosen_far_apart(Z, weight, n_components, rng), len(Z))


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


def _nearest(Z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One-hot labels of the nearest of some rows, (K, n)."""
    distances = cdist(Z, Z[rows], "sqeuclidean")
    return memberships(distances.argmin(axis=1), len(rows))


def nearest_kmeans_seed(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One-hot labels of the nearest of rows chosen far apart."""
    return _nearest(Z, chosen_far_apart(Z, weight, n_components, rng))


def nearest_random_row(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One-hot labels of the nearest of rows chosen evenly."""
    return _nearest(Z, rng.choice(len(Z), n_components, replace=False))


@contextmanager
def on_checked_data() -> Iterator[None]:
    """Spare scikit-learn's functions what is for users' data, and threads."""
    with (
        config_context(assume_finite=True, skip_parameter_validation=True),
        single_threaded_blas,
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
