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

try:
    # What these are wrapped in takes longer than they do on a hundred rows.
    from sklearn.cluster._kmeans import _kmeans_plusplus as seed_rows
    from sklearn.cluster._kmeans import _kmeans_single_lloyd as single_lloyd
except ImportError:  # pragma: no cover
    seed_rows = single_lloyd = None

KMEANS_STEPS = 50
"""Steps of k-means, at most: EM goes on from there."""
SHIFT = 1e-4
"""Share of the mean variance; k-means ends where centers move by less, squared."""


def kmeans(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One-hot labels of a k-means clustering, (K, n)."""
    Z, weight = np.ascontiguousarray(Z, float), np.ascontiguousarray(weight, float)
    run = lloyd if single_lloyd is None else quick_lloyd
    with on_checked_data():
        labels = run(Z, weight, Z[far_apart(Z, weight, n_components, rng)])
    return memberships(labels, n_components)


def quick_lloyd(Z: np.ndarray, weight: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return labels by scikit-learn's k-means."""
    shift = SHIFT * float(Z.var(axis=0).mean())
    # It would hold BLAS to one thread anew in each run.
    plain = getattr(single_lloyd, "__wrapped__", single_lloyd)
    labels, *_ = plain(Z, weight, centers, max_iter=KMEANS_STEPS, tol=shift)
    return labels


def lloyd(Z: np.ndarray, weight: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Do the same by what scikit-learn has promised to keep."""
    with warnings.catch_warnings():
        # Fewer distinct rows than components: the components left over stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(
            len(centers), init=centers, n_init=1, max_iter=KMEANS_STEPS, tol=SHIFT
        )
        model.fit(Z, sample_weight=weight)
    return model.labels_


def far_apart(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Choose rows far apart, one for each component."""
    if seed_rows is not None:
        squares = np.einsum("ij,ij->i", Z, Z)
        return seed_rows(Z, n_components, squares, weight, rng)[1]
    _, rows = kmeans_plusplus(Z, n_components, sample_weight=weight, random_state=rng)
    return rows


def memberships(labels: np.ndarray, n_components: int) -> np.ndarray:
    """Label of each sample (…, n) -> one-hot responsibilities, (…, K, n)."""
    return (labels[..., None, :] == np.arange(n_components)[:, None]).astype(float)


def _one_hot(rows: np.ndarray, n_samples: int) -> np.ndarray:
    resp = np.zeros((len(rows), n_samples))
    resp[np.arange(len(rows)), rows] = 1
    return resp


def kmeans_seeds(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """One row for each component, chosen far apart."""
    return _one_hot(chosen_far_apart(Z, weight, n_components, rng), len(Z))


def chosen_far_apart(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Return the indices of rows that are far apart."""
    with on_checked_data():
        return far_apart(Z, weight, n_components, rng)


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
