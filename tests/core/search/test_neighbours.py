"""Mixtures of one component more, by cutting one in two, or fewer."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.special import entr

from skem.core.blocks.threads import Workspace
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.search.neighbours import divided, likeliest, neighbours
from skem.core.search.sketch import Sketch


@pytest.fixture
def em(structure, make_blocks, rng):
    # Three clusters, of which two are near each other.
    X = rng.normal(size=(150, 2))
    X[:50] += [20, 0]
    X[50:100] += [20, 12]
    return EMMap.prepare(make_blocks(X), structure, 2, "auto")


def start(em, labels, K):
    z = em.coordinates.load(em.blocks.X.T, np.empty(em.blocks.X.T.shape))
    means = np.stack([z[:, labels == k].mean(axis=1) for k in range(K)])
    cholesky = em.maximise(em.total).precisions_cholesky
    if not em.structure.shared:
        cholesky = np.repeat(cholesky, K, axis=0)
    return Parameters(np.bincount(labels) / len(labels), means, cholesky)


def test_each_way_cuts_one_component_and_keeps_the_other(em, rng):
    two = em.evaluate(start(em, np.repeat([1, 0], [100, 50]), 2)).successor
    rows = em.all_rows
    resp = em.responsibilities(two, rows.block) * rows.weight
    found = divided(em, two, 8, np.random.RandomState(0))
    assert len(found) == 8
    owners = set()
    for three in found:
        assert three.shape == (3, 2)
        assert three.weights.sum() == pytest.approx(1)
        owner = int(np.argmax((three.means[:2] != two.means).any(axis=1)))
        owners.add(owner)
        assert np.array_equal(three.means[1 - owner], two.means[1 - owner])
        # The halves have the rows of the one that they were.
        halves, counts = three.weights[[owner, 2]], resp.sum(axis=1)
        share = halves.sum() / three.weights[1 - owner]
        own_share = counts[owner] / len(rows.Z) / two.weights[1 - owner]
        assert share == pytest.approx(own_share)
        np.testing.assert_allclose(
            halves @ three.means[[owner, 2]] / halves.sum(),
            resp[owner] @ rows.Z / counts[owner],
            atol=1e-9,
        )
    assert owners == {0, 1}


def test_clusters_that_were_one_component_are_found(em):
    two = em.evaluate(start(em, np.repeat([1, 0], [100, 50]), 2)).successor
    more = em.for_components(3)
    found = divided(em, two, 15, np.random.RandomState(0))
    # A covariance that all share is as it was, at first.
    best = max(more.evaluate(more.advanced(each, 1)).objective for each in found)
    three = start(em, np.repeat([0, 1, 2], 50), 3)
    optimum = more.evaluate(more.advanced(three, 30)).objective
    assert best > em.evaluate(two).objective + 0.5 * (
        optimum - em.evaluate(two).objective
    )


def test_cuts_of_noise_find_the_cluster_in_it_and_leave_its_weight(make_blocks, rng):
    centres = np.array([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])
    X = centres[np.repeat([0, 1, 2], [100, 100, 40])] + rng.normal(size=(240, 2))
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 2, "auto", noise=True)
    z = em.coordinates.load(X.T, np.empty(X.T.shape)).T
    means = np.stack([z[:100].mean(axis=0), z[100:200].mean(axis=0)])
    narrow = 10 * em.maximise(em.total).precisions_cholesky[[0, 0]]
    two = em.advanced(Parameters(np.array([0.4, 0.4]), means, narrow), 5)
    # The third cluster is noise.
    assert two.noise_weight == pytest.approx(1 / 6, abs=0.02)
    found = divided(em, two, 30, np.random.RandomState(0))
    weights = [three.noise_weight for three in found]
    np.testing.assert_allclose(weights, two.noise_weight)
    low, high = z[200:].min(axis=0), z[200:].max(axis=0)
    inside = [
        three
        for three in found
        if ((low < three.means[2]) & (three.means[2] < high)).all()
    ]
    assert inside
    # The other components do not have these rows.
    for three in inside:
        assert np.array_equal(three.means[:2], two.means)


def test_cuts_that_cannot_be_fitted_are_left_out(make_blocks, rng):
    # Most rows are equal, and nothing is added to a covariance.
    X = rng.normal(size=(40, 2))
    X[:30] = [50.0, 50.0]
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 2, 0.0)
    found = divided(em, em.maximise(em.total), 12, np.random.RandomState(0))
    # Two equal rows cut nothing off; a row far away cuts off all that are equal.
    assert len(found) < 12
    assert all(np.isfinite(each.precisions_cholesky).all() for each in found)


def test_neighbours_have_the_number_of_components(em):
    two = em.evaluate(start(em, np.repeat([1, 0], [100, 50]), 2)).successor
    three = em.evaluate(start(em, np.repeat([0, 1, 2], 50), 3)).successor
    rng = np.random.RandomState(0)
    cuts = neighbours(em, 3, {2: two}, 6, rng)
    assert [len(each.weights) for each in cuts] == [3] * 6
    # There are as many unions as pairs of three components.
    unions = neighbours(em, 2, {3: three}, 6, rng)
    assert [len(each.weights) for each in unions] == [2] * 3


def test_starts_from_neighbours_are_no_more_than_are_affordable(em, monkeypatch):
    two = em.evaluate(start(em, np.repeat([1, 0], [100, 50]), 2)).successor
    asked = []

    def affordable(em, K, most):
        asked.append((K, most))
        return 2

    monkeypatch.setattr("skem.core.search.neighbours.affordable", affordable)
    assert len(neighbours(em, 3, {2: two}, 6, np.random.RandomState(0))) == 2
    assert asked == [(3, 6)]


def loss_of(em, rows, resp, pair):
    """Nats that rows with their labels, and what these tell apart, lose by a union."""

    def likelihood(resp):
        found = em.started(rows.labelled(em, resp))
        density = em.expectation(found).component_log_density(rows.block, Workspace())
        joint = density + np.log(found.weights)[:, None]
        return (resp * joint + entr(resp)).sum()

    i, j = pair
    both = np.delete(resp, [i, j], axis=0)
    return likelihood(resp) - likelihood(np.vstack([both, resp[i] + resp[j]]))


@pytest.mark.parametrize("structure", list(STRUCTURES.values()), ids=STRUCTURES)
def test_unions_that_lose_least_are_first(structure, make_blocks, rng):
    """The pairs that are nearest are not: one of them is narrow."""
    means = np.array([[0, 0], [9, 0], [0, 12], [12, 12], [6, 3], [-4, 5.0]])
    labels = rng.integers(6, size=600)
    X = (
        means[labels]
        + rng.normal(size=(600, 2)) * np.where(labels == 4, 0.05, 2)[:, None]
    )
    em = EMMap.prepare(make_blocks(X), structure, 6, 0.0)
    rows = em.all_rows
    resp = (labels == np.arange(6)[:, None]) * 1.0
    sketch = Sketch.of_labels(em, rows, resp)
    pairs = list(combinations(range(6), 2))
    losses = [loss_of(em, rows, resp, pair) for pair in pairs]
    expected = [pairs[place] for place in np.argsort(losses)]
    assert likeliest(em, sketch, 14) == expected[:14]


def test_unions_of_what_labels_hardly_tell_apart_lose_that_too(
    structure, make_blocks, rng
):
    labels = np.repeat(np.arange(4), 60)
    means = np.array([[0, 0], [0, 0], [30, 0], [32, 0]])
    X = means[labels] + rng.normal(size=(240, 2))
    resp = (labels == np.arange(4)[:, None]) * 1.0
    resp[:2, :120] = 0.5
    em = EMMap.prepare(make_blocks(X), structure, 4, 0.0)
    rows = em.all_rows
    sketch = Sketch.of_labels(em, rows, resp)
    sketch = replace(sketch, overlaps=resp @ resp.T)
    # The union of two of one kind gains weights what it loses in labels: nothing. That
    # of two clusters is a loss that their weights make up for, as each row is of one.
    same, apart = (loss_of(em, rows, resp, pair) for pair in [(0, 1), (2, 3)])
    assert same == pytest.approx(0, abs=1e-6)
    assert apart < -20
    assert likeliest(em, sketch, 2) == [(2, 3), (0, 1)]


def test_what_cannot_be_factored_keeps_the_order_of_overlaps(make_blocks, rng):
    X = np.repeat(rng.normal(size=(5, 2)), 20, axis=0)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 5, 0.0)
    resp = (np.repeat(np.arange(5), 20) == np.arange(5)[:, None]) * 1.0
    sketch = Sketch.of_labels(em, em.all_rows, resp)
    assert likeliest(em, sketch, 3) == sketch.closest(3)
