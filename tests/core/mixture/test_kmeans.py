"""k-means of few rows, compiled and not: the same clusters, and those of others."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from skem.core.mixture import kmeans
from skem.core.mixture.kmeans import (
    SHIFT,
    STEPS,
    _clustered,
    clustered,
    far_apart,
    lloyd,
    nearest_center,
    random_numbers,
)
from skem.kernels import native


def inertia(Z, weight, labels):
    """Return the sum of squared distances from the clusters' means."""
    total = 0.0
    for k in np.unique(labels):
        own, v = Z[labels == k], weight[labels == k]
        total += v @ np.square(own - v @ own / v.sum()).sum(axis=1)
    return total


@pytest.mark.skipif(native.library() is None, reason="no library runs")
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("n", "d", "K"), [(1, 1, 1), (7, 1, 3), (150, 4, 3), (400, 2, 12), (300, 17, 5)]
)
def test_compiled_clusters_are_those_of_numpy(n, d, K, whole, rng):
    for seed in range(5):
        # Rows in whole numbers are often as near to one center as to another.
        Z = (
            rng.integers(0, 6, (n, d)).astype(float)
            if whole
            else rng.normal(size=(n, d))
        )
        weight = rng.integers(1, 4, n).astype(float)
        random = random_numbers(3, K, np.random.RandomState(seed))
        still = SHIFT * Z.var(axis=0).mean()
        found = clustered(Z, weight, random)
        np.testing.assert_array_equal(found, _clustered(Z, weight, random, still))


def test_steps_lead_where_those_of_a_library_do(rng):
    Z, weight = rng.normal(size=(200, 3)), rng.integers(1, 4, 200).astype(float)
    centers = Z[:5]
    labels, found = lloyd(Z, weight, centers, 0.0)
    model = KMeans(5, init=centers, n_init=1, max_iter=STEPS, tol=0)
    model.fit(Z, sample_weight=weight)
    np.testing.assert_array_equal(labels, model.labels_)
    assert found == pytest.approx(model.inertia_, rel=1e-10)
    assert found == pytest.approx(inertia(Z, weight, labels), rel=1e-10)


def test_rows_between_two_centers_go_to_the_first():
    Z, centers = np.array([[1.0], [2.0], [3.0]]), np.array([[3.0], [1.0]])
    labels, nearest = nearest_center(Z, centers)
    np.testing.assert_array_equal(labels, [1, 0, 0])
    np.testing.assert_array_equal(nearest, [0, 1, 0])


def test_the_best_of_the_starts_is_found(rng):
    Z, weight = rng.normal(size=(90, 2)), np.ones(90)
    random = random_numbers(8, 6, np.random.RandomState(0))
    each = [inertia(Z, weight, clustered(Z, weight, one[None])) for one in random]
    assert len(set(np.round(each, 9))) > 1
    best = inertia(Z, weight, clustered(Z, weight, random))
    assert best == pytest.approx(min(each), rel=1e-9)


def test_rows_are_chosen_by_weight_and_far_from_each_other(rng):
    labels = np.repeat(np.arange(4), 25)
    Z = rng.normal(size=(100, 2)) + 50 * np.c_[labels % 2, labels // 2]
    weight = np.where(np.arange(100) % 25 == 7, 1.0, 1e-12)
    for seed in range(5):
        random = random_numbers(1, 4, np.random.RandomState(seed))[0]
        assert sorted(far_apart(Z, weight, random)) == [7, 32, 57, 82]


def test_equal_rows_are_enough_for_more_clusters():
    Z, weight = np.zeros((6, 2)), np.ones(6)
    random = random_numbers(2, 3, np.random.RandomState(0))
    assert set(clustered(Z, weight, random)) <= {0, 1, 2}
    assert set(_clustered(Z, weight, random, 0.0)) <= {0, 1, 2}


def test_it_ends_where_it_finds_the_best_again(monkeypatch, rng):
    outcomes = [(3, 5.0), (2, 2.0), (1, 3.0), (0, 2.0), (4, 1.0)]
    found = iter(outcomes)
    monkeypatch.setattr(kmeans, "lloyd", lambda *_: next(found))
    rows, weight = rng.normal(size=(9, 2)), np.ones(9)
    random = random_numbers(5, 3, np.random.RandomState(0))
    assert _clustered(rows, weight, random, 0.0) == 2
    assert next(found) == outcomes[-1]
