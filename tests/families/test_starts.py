"""Labels that the search for a table's mixture starts from."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from skem.families import starts
from skem.families.starts import (
    kmeans,
    nearest_random_row,
    nearest_spread_row,
    random_labels,
    spread_rows,
)

METHODS = [kmeans, nearest_random_row, nearest_spread_row, random_labels]


@pytest.fixture
def Z(rng):
    centres = np.array([[0.0, 0], [20, 0], [0, 20], [20, 20]])
    return centres[rng.integers(4, size=500)] + rng.normal(size=(500, 2))


@pytest.mark.parametrize("method", METHODS)
def test_each_row_is_shared_among_the_components(method, Z):
    resp = method(Z, np.ones(len(Z)), 3, np.random.RandomState(0))
    assert resp.shape == (3, 500)
    np.testing.assert_allclose(resp.sum(axis=0), 1)
    assert (resp >= 0).all()


@pytest.mark.parametrize("method", [kmeans, nearest_spread_row])
def test_clusters_far_apart_are_found(method, Z):
    resp = method(Z, np.ones(len(Z)), 4, np.random.RandomState(0))
    corner = (Z > 10) @ [1, 2]
    pairs = {(int(a), int(b)) for a, b in zip(corner, resp.argmax(axis=0), strict=True)}
    assert len(pairs) == 4


def test_weights_count_as_rows(Z):
    weight = np.zeros(len(Z))
    weight[:50] = 1
    rows = spread_rows(Z, weight, 4, np.random.RandomState(0))
    assert (rows < 50).all()


def test_kmeans_is_about_as_good_as_that_of_scikit_learn(rng):
    Z = rng.normal(size=(400, 5))

    def inertia(labels):
        return sum(
            ((Z[labels == k] - Z[labels == k].mean(axis=0)) ** 2).sum()
            for k in np.unique(labels)
        )

    ours = kmeans(Z, np.ones(400), 6, np.random.RandomState(0)).argmax(axis=0)
    theirs = KMeans(6, n_init=1, random_state=0).fit(Z).labels_
    assert inertia(ours) < 1.05 * inertia(theirs)


def test_many_rows_go_to_the_nearest_centre_of_some(Z, monkeypatch):
    monkeypatch.setattr(starts, "CLUSTERED", 100)
    monkeypatch.setattr(starts, "CLUSTERED_PER_COMPONENT", 10)
    resp = kmeans(Z, np.ones(len(Z)), 4, np.random.RandomState(0))
    corner = (Z > 10) @ [1, 2]
    assert len(set(zip(corner, resp.argmax(axis=0), strict=True))) == 4


def test_equal_rows_leave_clusters_empty():
    resp = kmeans(np.ones((10, 2)), np.ones(10), 3, np.random.RandomState(0))
    np.testing.assert_array_equal(resp.sum(axis=0), np.ones(10))
