"""Labels to start from: heavy rows count for more."""

import numpy as np
import pytest

from skem.core.mixture import seeds as seeds_module
from skem.core.mixture.seeds import (
    KMEANS_STEPS,
    clusters,
    far_apart,
    kmeans,
    kmeans_seeds,
    nearest_kmeans_seed,
    of_peer,
)

# The middle row is nearer to the first, but the last one is dear to leave.
Z = np.array([[0.0], [4.0], [10.0]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("weight", "expected"), [([1, 1, 1], [0, 0, 1]), ([100, 100, 1], [0, 1, 1])]
)
def test_weights_move_the_centres_of_k_means(seed, weight, expected):
    rng = np.random.RandomState(seed)
    resp = kmeans(Z, np.array(weight, float), 2, rng, n_init=10)
    labels = resp.argmax(axis=0)
    np.testing.assert_array_equal(labels != labels[0], expected)
    np.testing.assert_array_equal(resp.sum(axis=0), 1)


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_the_chances_to_be_a_seed(seed, rng):
    rows = rng.normal(size=(50, 2))
    weight = np.full(50, 1e-12)
    weight[[7, 31]] = 1.0
    seeds = kmeans_seeds(rows, weight, 2, np.random.RandomState(seed))
    assert sorted(seeds.argmax(axis=1)) == [7, 31]
    near = nearest_kmeans_seed(rows, weight, 2, np.random.RandomState(seed))
    distances = np.linalg.norm(rows - rows[seeds.argmax(axis=1), None], axis=2)
    np.testing.assert_array_equal(near.argmax(axis=0), distances.argmin(axis=0))


@pytest.fixture(params=[1, 3, 12])
def K(request):
    return request.param


def of_scikit_learn(Z, weight, K, rng, steps):
    return of_peer(Z, weight, far_apart(Z, weight, K, rng), steps)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("steps", [0, 2, KMEANS_STEPS])
def test_clusters_are_those_of_scikit_learn(K, weighted, steps, rng):
    """Of the same random numbers; also where clusters have not come to rest."""
    rows = rng.normal(size=(200, 3)) + 4 * rng.integers(0, 2, size=(200, 3))
    weight = rng.integers(1, 4, 200).astype(float) if weighted else np.ones(200)
    one, other = np.random.RandomState(K), np.random.RandomState(K)
    for _ in range(5):
        found = clusters(rows, weight, K, one, steps)
        expected = of_scikit_learn(rows, weight, K, other, steps)
        np.testing.assert_array_equal(found.seeds, expected.seeds)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.inertia == pytest.approx(expected.inertia, rel=1e-10)
    assert one.rand() == other.rand()


def test_fewer_distinct_rows_than_clusters_are_left_to_scikit_learn(rng):
    """As clusters are then empty."""
    rows = np.repeat(rng.normal(size=(4, 2)), 5, axis=0)
    found = clusters(rows, np.ones(20), 6, np.random.RandomState(0))
    assert found.inertia == pytest.approx(0, abs=1e-12)
    assert len(np.unique(found.labels)) == 4
    for each in np.unique(found.labels):
        assert len(np.unique(rows[found.labels == each], axis=0)) == 1


def test_many_rows_are_left_to_scikit_learn(rng, monkeypatch):
    rows = rng.normal(size=(100, 2))
    quick = clusters(rows, np.ones(100), 3, np.random.RandomState(0))
    monkeypatch.setattr(seeds_module, "FEW", 100)
    slow = clusters(rows, np.ones(100), 3, np.random.RandomState(0))
    np.testing.assert_array_equal(quick.labels, slow.labels)
