"""Labels to start from: heavy rows count for more."""

import numpy as np
import pytest
from sklearn.cluster import kmeans_plusplus

from skem.core.mixture import seeds
from skem.core.mixture.seeds import (
    far_apart,
    kmeans,
    kmeans_seeds,
    lloyd,
    nearest_kmeans_seed,
    quick_lloyd,
    seed_rows,
    single_lloyd,
)

has_lloyd = pytest.mark.skipif(
    single_lloyd is None, reason="scikit-learn lacks the function"
)

# The middle row is nearer to the first, and begins with the last one.
Z = np.array([[0.0], [4.0], [13.0]])


@pytest.mark.parametrize("run", [lloyd, pytest.param(quick_lloyd, marks=has_lloyd)])
@pytest.mark.parametrize(
    ("weight", "expected"), [([1, 1, 1], [0, 0, 1]), ([1, 100, 1], [0, 1, 1])]
)
def test_weights_move_the_centres_of_k_means(run, weight, expected):
    labels = run(Z, np.array(weight, float), np.array([[0.0], [7.0]]))
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("seed", range(5))
def test_k_means_tells_clusters_apart(seed, rng):
    labels = rng.integers(0, 2, 60)
    rows = rng.normal(size=(60, 2)) + 20 * labels[:, None]
    resp = kmeans(rows, np.ones(60), 2, np.random.RandomState(seed))
    np.testing.assert_array_equal(resp.sum(axis=0), 1)
    found = resp.argmax(axis=0)
    np.testing.assert_array_equal(found == found[0], labels == labels[0])


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_the_chances_to_be_a_seed(seed, rng):
    rows = rng.normal(size=(50, 2))
    weight = np.full(50, 1e-12)
    weight[[7, 31]] = 1.0
    chosen = kmeans_seeds(rows, weight, 2, np.random.RandomState(seed))
    assert sorted(chosen.argmax(axis=1)) == [7, 31]
    near = nearest_kmeans_seed(rows, weight, 2, np.random.RandomState(seed))
    distances = np.linalg.norm(rows - rows[chosen.argmax(axis=1), None], axis=2)
    np.testing.assert_array_equal(near.argmax(axis=0), distances.argmin(axis=0))


@has_lloyd
@pytest.mark.parametrize("weighted", [False, True])
def test_the_quick_way_is_that_of_kmeans(weighted, rng):
    rows = rng.normal(size=(200, 3)) + 4 * rng.integers(0, 2, size=(200, 3))
    weight = rng.integers(1, 4, 200).astype(float) if weighted else np.ones(200)
    centers = rows[:5]
    labels = quick_lloyd(rows, weight, centers.copy())
    expected = lloyd(rows, weight, centers.copy())
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("n_clusters", [1, 2, 5, 20])
def test_rows_far_apart_are_those_of_kmeans_plusplus(n_clusters, rng):
    rows, weight = rng.normal(size=(200, 3)), rng.integers(1, 4, 200).astype(float)
    found = far_apart(rows, weight, n_clusters, np.random.RandomState(3))
    _, expected = kmeans_plusplus(
        rows, n_clusters, sample_weight=weight, random_state=np.random.RandomState(3)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(seed_rows is None, reason="scikit-learn lacks the function")
def test_the_quick_seeds_are_those_of_kmeans_plusplus(rng, monkeypatch):
    rows, weight = rng.normal(size=(200, 3)), rng.integers(1, 4, 200).astype(float)
    quick = far_apart(rows, weight, 5, np.random.RandomState(3))
    monkeypatch.setattr(seeds, "seed_rows", None)
    expected = far_apart(rows, weight, 5, np.random.RandomState(3))
    np.testing.assert_array_equal(quick, expected)


def test_rows_far_apart_may_be_fewer_than_components(rng):
    rows = np.repeat([[0.0, 0.0], [3.0, 4.0]], 5, axis=0)
    found = far_apart(rows, np.ones(10), 4, np.random.RandomState(0))
    assert set(rows[found, 0]) == {0.0, 3.0}
