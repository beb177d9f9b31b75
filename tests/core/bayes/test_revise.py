"""Moves of Bayesian mixtures: what they keep, and what they come to."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.bayes.alive import alive, order_of_size, ordered
from skem.core.bayes.clusterings import Labels, hierarchical
from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.bayes.revise import BayesianSearch, Revisions
from skem.core.gaussian.posterior import Sticks
from skem.core.mixture.seeds import DIVERSE, kmeans
from skem.core.search.climb import height
from skem.core.search.follow import follow
from skem.core.search.initialize import initialize
from skem.core.solve.lbfgs import LBFGS

K, D = 6, 2


def blobs(rng, n=300):
    means = np.array([[0.0, 0.0], [6.0, 1.0], [0.0, 7.0]])
    return means[rng.integers(3, size=n)] + rng.normal(size=(n, D))


@pytest.fixture
def em(structure, make_blocks, rng):
    blocks = make_blocks(blobs(rng))
    return VariationalMap.of_data(blocks, structure, Beliefs(Sticks(1 / K, K)), "auto")


def finish(em, start, earlier=None, *, rough=0.0):
    return follow(LBFGS, 1e-2, 500, em, start, earlier, rough=rough)


def search(seed=0):
    return BayesianSearch(DIVERSE, K, np.random.RandomState(seed), finish, LBFGS)


def revisions(em, q, rng):
    rows = Labels.of(em, K, rng).rows
    return Revisions.away_from(em, rows, alive(em, q), K)


def test_moves_hand_all_rows_on(em):
    rng = np.random.RandomState(0)
    q = initialize(em, kmeans, K, rng)
    found = list(revisions(em, q, rng).drawn(12, rng))
    for resp in found:
        np.testing.assert_allclose(resp.sum(axis=0), 1, atol=1e-9)
    # All six are taken: a split has no empty place, and makes one.
    assert [len(resp) for resp in found] == 4 * [K - 1] + 8 * [K]


def test_no_component_is_deleted_twice(em):
    rng = np.random.RandomState(0)
    q = initialize(em, kmeans, K, rng)
    ways = revisions(em, q, rng)
    deleted = list(ways.drawn(6 * (K - 1), rng))[: K - 1]
    assert len({resp.tobytes() for resp in deleted}) == K - 1


def test_a_split_takes_an_empty_place(em):
    rng = np.random.RandomState(0)
    q = initialize(em, kmeans, 1, rng)
    for resp in revisions(em, q, rng).drawn(4, rng):
        assert len(resp) == 2
        assert (resp.sum(axis=1) > 0).all()


def test_deletes_raise_the_bound_where_components_are_superfluous(em):
    # Six clusters of which each blob has two, the second one of a few rows.
    labels = Labels.of(em, K, np.random.RandomState(0))
    (three,) = hierarchical(labels.rows.Z, np.ones(300), [3], np.random.RandomState(0))
    first = np.arange(300) % 10 > 0
    resp = np.concatenate([three * first, three * ~first])
    (start,) = labels.posteriors([labels.statistics(resp)])
    single = replace(finish(em, start), evaluation=em.evaluate(start))
    assert (start.counts > 0.5).sum() == 6
    improved = search().improved(em, single)
    assert height(improved) > height(single) + 1
    assert (improved.evaluation.parameters.counts > 0.5).sum() == 3


def test_search_finds_the_clusters(em):
    found = search().optimum(em).evaluation.parameters
    assert (found.counts > 0.5).sum() == 3
    assert np.array_equal(order_of_size(found.counts), np.arange(K))


def test_sticks_are_sorted(em):
    found = search().optimum(em)
    q = found.evaluation.parameters
    reverse = np.arange(K)[::-1]
    unsorted = finish(em, ordered(em, q, reverse))
    assert height(unsorted) < height(found) - 1
    end = search().completed(em, unsorted)
    assert height(end) == pytest.approx(height(found), abs=0.05)


def test_starts_have_from_one_to_all_clusters(em):
    labels = Labels.of(em, K, np.random.RandomState(0))
    found = [len(resp) for resp in search().clustered(em, labels.rows)]
    assert {1, K} <= set(found)
    assert set(found) <= set(range(1, K + 1))


def test_many_rows_are_searched_in_part(make_blocks, structure, rng):
    em = VariationalMap.of_data(
        make_blocks(blobs(rng, 9000)), structure, Beliefs(Sticks(1 / K, K)), "auto"
    )
    part = search().part(em)
    assert part.blocks.n_samples == 2000
    heavy = part.weighing(9000.0)
    assert heavy.blocks.total_weight == pytest.approx(9000)
    assert heavy.total.counts == pytest.approx(9000)
    assert part.weighing(2000.0) is part
    found = search().optimum(em)
    q = found.evaluation.parameters
    assert found.evaluation.em is em
    assert len(q.counts) == K
    assert (q.counts > 0.5).sum() == 3
    assert found.converged
