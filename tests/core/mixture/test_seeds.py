"""Labels to start from: heavy rows count for more."""

import numpy as np
import pytest

from skem.core.mixture import seeds
from skem.core.mixture.seeds import kmeans, kmeans_seeds, nearest_kmeans_seed

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
    chosen = kmeans_seeds(rows, weight, 2, np.random.RandomState(seed))
    assert sorted(chosen.argmax(axis=1)) == [7, 31]
    near = nearest_kmeans_seed(rows, weight, 2, np.random.RandomState(seed))
    distances = np.linalg.norm(rows - rows[chosen.argmax(axis=1), None], axis=2)
    np.testing.assert_array_equal(near.argmax(axis=0), distances.argmin(axis=0))


@pytest.mark.parametrize("n_components", [2, 5])
def test_many_values_are_left_to_a_library_that_finds_the_same(
    n_components, rng, monkeypatch
):
    labels = np.arange(300) % n_components
    rows = rng.normal(size=(300, 3)) + 20 * labels[:, None]
    for quick in (seeds.QUICK, 0):
        monkeypatch.setattr(seeds, "QUICK", quick)
        random = np.random.RandomState(0)
        resp = kmeans(rows, np.ones(300), n_components, random, n_init=5)
        found = resp.argmax(axis=0)
        np.testing.assert_array_equal(found, found[:n_components][labels])
        assert len(set(found)) == n_components
        chosen = kmeans_seeds(rows, np.ones(300), n_components, random)
        assert len(set(labels[chosen.argmax(axis=1)])) == n_components
