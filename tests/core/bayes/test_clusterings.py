"""Starts of Bayesian mixtures: rows labelled by nested clusterings."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from skem.core.bayes.clusterings import Labels, hierarchical, merged, unions
from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.gaussian.posterior import Sticks
from skem.core.mixture.seeds import kmeans

NUMBERS = [1, 2, 5, 12]


@pytest.fixture
def blobs(rng):
    means = np.array([[0.0, 0.0], [20.0, 1.0], [0.0, 30.0]])
    labels = rng.integers(3, size=150)
    return means[labels] + rng.normal(size=(150, 2)), labels


def partition(resp):
    return {frozenset(np.flatnonzero(row)) for row in resp}


def test_unions_are_the_cuts_of_a_tree(rng):
    points = rng.normal(size=(40, 3))
    tree = linkage(points, "ward")
    for number, of in zip(sorted(NUMBERS)[::-1], unions(points, NUMBERS), strict=True):
        labels = fcluster(tree, number, "maxclust")
        expected = {frozenset(np.flatnonzero(labels == k)) for k in set(labels)}
        assert partition(of) == expected
        assert len(of) == number


def test_one_point_is_one_cluster():
    (of,) = unions(np.zeros((1, 2)), [1])
    assert np.array_equal(of, [[1.0]])


@pytest.mark.parametrize("clustering", [hierarchical, merged(kmeans)])
def test_clusterings_find_what_is_far_apart(clustering, blobs):
    X, labels = blobs
    found = clustering(X, np.ones(150), [3, 6], np.random.RandomState(0))
    expected = {frozenset(np.flatnonzero(labels == k)) for k in range(3)}
    assert [len(resp) for resp in found] == [6, 3]
    assert partition(found[1]) == expected
    for resp in found:
        assert np.array_equal(resp.sum(axis=0), np.ones(150))


@pytest.mark.parametrize("rounded", [False, True])
def test_posteriors_are_the_m_step_of_the_labels(structure, make_blocks, rng, rounded):
    X = rng.normal(size=(200, 2))
    X = X.round(1) if rounded else X
    weight = rng.integers(1, 4, size=200).astype(float)
    em = VariationalMap.of_data(
        make_blocks(X, weight), structure, Beliefs(Sticks(0.5)), "auto"
    )
    assert (em.coordinates.ties is not None) == rounded
    labels = Labels.of(em, 4, np.random.RandomState(0))
    resp = rng.dirichlet(np.ones(4), size=200).T
    resp = resp[np.argsort(-(resp @ weight))]
    few, found = labels.posteriors(
        [labels.statistics(resp[:1]), labels.statistics(resp)]
    )
    expected = em.maximise(labels.rows.labelled(em, resp * weight))
    for name in ("counts", "means", "precisions_cholesky", "log_effective"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-9
        )
    # One cluster stands for all rows, and three are empty.
    np.testing.assert_allclose(few.counts, [weight.sum(), 0, 0, 0])


def test_posteriors_have_the_width_of_clusters_beside_rows_far_away(
    structure, make_blocks, blobs
):
    """Squares of far rows had left no digits of what all components share."""
    X, y = blobs
    X = np.vstack([X, np.full((8, 2), 2.0**33)])
    blocks = make_blocks(X, np.ones(len(X)))
    em = VariationalMap.of_data(blocks, structure, Beliefs(Sticks(0.5)), "auto")
    labels = Labels.of(em, 4, np.random.RandomState(0))
    resp = np.eye(4)[np.append(y, np.full(8, 3))].T
    (found,) = labels.posteriors([labels.statistics(resp)])
    means, cholesky = found.means, found.precisions_cholesky
    widths = structure.standard_deviations(cholesky, means.shape)
    widths = widths / em.coordinates.scale
    assert (widths[found.counts > 10] < 10).all()
