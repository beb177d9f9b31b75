"""Moves of Bayesian mixtures: what they keep, and what they come to."""

import numpy as np
import pytest

from skem.core.accelerate import LBFGS
from skem.core.bayes import Beliefs, VariationalMap
from skem.core.initialize import initialize
from skem.core.path import follow
from skem.core.posterior import Sticks
from skem.core.revise import (
    BayesianSearch,
    Revisions,
    order_of_size,
    spread_starts,
    with_fewer,
)
from skem.core.search import height
from skem.core.seeds import DIVERSE, INITIALIZERS, kmeans

K, D = 6, 2


def blobs(rng, n=300):
    means = np.array([[0.0, 0.0], [6.0, 1.0], [0.0, 7.0]])
    return means[rng.integers(3, size=n)] + rng.normal(size=(n, D))


@pytest.fixture
def em(structure, make_blocks, rng):
    blocks = make_blocks(blobs(rng))
    return VariationalMap.of_data(blocks, structure, Beliefs(Sticks(1 / K)), "auto")


def finish(em, start, earlier=None, *, rough=0.0):
    return follow(LBFGS, 1e-2, 500, em, start, earlier, rough=rough)


def search(seed=0):
    methods = spread_starts(DIVERSE, K, 10)
    return BayesianSearch(methods, K, np.random.RandomState(seed), finish, LBFGS)


def test_moves_hand_all_rows_on(em):
    rng = np.random.RandomState(0)
    q = initialize(em, INITIALIZERS["kmeans"], K, rng)
    revisions = Revisions.away_from(em, q, rng)
    owning = []
    for _ in range(30):
        moved = revisions.draw(rng)
        assert moved.counts.sum() == pytest.approx(300)
        assert (np.diff(moved.counts) <= 1e-9).all()
        owning.append(int((moved.counts > 0.5).sum()))
    # All six are taken: a split has no empty place, and makes one.
    assert {K - 1, K} <= set(owning)


def test_a_split_takes_an_empty_place(em):
    rng = np.random.RandomState(0)
    q = initialize(em, with_fewer(kmeans, 1), K, rng)
    assert (q.counts > 0).sum() == 1
    moved = Revisions.away_from(em, q, rng).draw(rng)
    assert (moved.counts > 0.5).sum() == 2


def test_deletes_raise_the_bound_where_components_are_superfluous(em):
    start = initialize(em, kmeans, K, np.random.RandomState(0))
    single = finish(em, start)
    improved = search().improved(em, single)
    assert height(improved) > height(single)
    assert (improved.evaluation.parameters.counts > 0.5).sum() == 3


def test_search_finds_the_clusters(em):
    found = search().optimum(em).evaluation.parameters
    assert (found.counts > 0.5).sum() == 3
    assert np.array_equal(order_of_size(found.counts), np.arange(K))


def test_sticks_are_sorted(em):
    found = search().optimum(em)
    q = found.evaluation.parameters
    reverse = np.arange(K)[::-1]
    cholesky = em.structure.ordered(q.precisions_cholesky, reverse)
    unsorted = finish(
        em,
        em.regularization.of_counts(
            em.structure, q.counts[reverse], q.means[reverse], cholesky
        ),
    )
    assert height(unsorted) < height(found) - 1
    end = search().sorted(em, unsorted)
    assert height(end) == pytest.approx(height(found), abs=0.05)


def test_starts_have_from_one_to_all_clusters(rng):
    Z, weight = rng.normal(size=(50, D)), np.ones(50)
    numbers = []
    for method in spread_starts(DIVERSE, K, 10):
        resp = method(Z, weight, K, np.random.RandomState(0))
        assert resp.shape == (K, 50)
        assert np.allclose(resp.sum(axis=0), 1)
        sizes = resp.sum(axis=1)
        assert (np.diff(sizes) <= 0).all()
        numbers.append(int((sizes > 0).sum()))
    assert {1, K} <= set(numbers)
    # Where few starts are made, they are not all of one size.
    assert max(numbers[:3]) >= K - 1
    assert min(numbers[:3]) <= 2
