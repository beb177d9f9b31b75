"""Starts that are made and followed together."""

import numpy as np
import pytest

from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.core.search.climb import height
from skem.core.search.follow import follow, plainly, swiftly
from skem.core.search.initialize import subsample
from skem.core.search.many import KINDS, about_means, best_end, labelled, many
from skem.core.solve.registry import ACCELERATORS


@pytest.fixture
def X(rng):
    return rng.normal(size=(150, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 50, axis=0)


def test_clusters_far_apart_are_found(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 3, "auto")
    rows = subsample(em, 3, np.random.RandomState(0))
    kinds = np.full(20, KINDS - 1)
    labels = labelled(rows, 3, kinds, np.random.RandomState(0))
    true = np.repeat([0, 1, 2], 50)
    right = [
        len({*zip(true.tolist(), each.tolist(), strict=True)}) == 3 for each in labels
    ]
    assert np.mean(right) > 0.8


@pytest.mark.parametrize("weighted", [False, True])
def test_starts_are_mixtures_of_all_rows(structure, X, weighted, make_blocks, rng):
    weight = rng.integers(0, 3, len(X)) * 0.7 if weighted else None
    em = EMMap.prepare(make_blocks(X, weight), structure, 4, "auto")
    found = many(em, 4, 7, np.random.RandomState(0))
    assert len(found) == 7
    for start in found:
        assert start.shape == (4, 2)
        assert start.weights.sum() == pytest.approx(1)
        mean = em.total.means[0]
        np.testing.assert_allclose(start.weights @ start.means, mean, atol=1e-9)
    assert len({round(float(each.means.sum()), 6) for each in found}) > 1


def test_equal_rows_are_fewer_than_components(make_blocks):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["diag"], 3, "auto")
    for start in many(em, 3, 6, np.random.RandomState(0)):
        assert np.isfinite(em.evaluate(start).objective)


def finish(em, start):
    return follow(ACCELERATORS["auto"], 1e-6, 1000, em, start)


def test_the_best_end_is_that_of_the_clusters(structure, X, make_blocks):
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    end = best_end(em, many(em, 3, 9, np.random.RandomState(0)), finish)
    means = end.evaluation.parameters.means / em.coordinates.scale
    means = means + em.coordinates.shift
    centres = X.reshape(3, 50, 2).mean(axis=1)
    distances = np.linalg.norm(means[:, None] - centres, axis=-1)
    assert distances.min(axis=0).max() < 0.1


@pytest.mark.parametrize("quick", [True, False])
def test_plain_steps_are_those_of_single_evaluations(structure, X, make_blocks, quick):
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    (start,) = many(em, 3, 1, np.random.RandomState(0))
    if not quick:
        em.__dict__["_stepper"] = None
    here, values = em.climbed(start, 12)
    single = em.evaluate(start)
    for loglik, objective in values:
        assert loglik == pytest.approx(single.loglik, rel=1e-9)
        assert objective == pytest.approx(single.objective, rel=1e-9)
        single, last = em.evaluate(single.successor), single
    assert len(values) == 13
    np.testing.assert_allclose(here.parameters.means, last.parameters.means, atol=1e-8)
    # What gains less than is asked for is the end.
    _, few = em.climbed(start, 1000, 1e-3)
    gains = np.diff(few[:, 1])
    assert (gains[:-1] > 1e-3).all()
    assert len(few) == 1001 or gains[-1] <= 1e-3


@pytest.mark.parametrize("most", [0, 3, 1000])
def test_swift_ends_are_those_of_accelerated_steps(structure, X, make_blocks, most):
    em = EMMap.prepare(make_blocks(X), structure, 3, "auto")
    start = best_end(em, many(em, 3, 9, np.random.RandomState(0)), finish)
    start = start.evaluation.parameters
    start = type(start)(start.weights, start.means * 1.05, start.precisions_cholesky)
    found = swiftly(ACCELERATORS["auto"], 1e-4, most, em, start)
    assert len(found.values) == found.n_iter <= most
    if most == 1000:
        assert found.converged
        assert height(found) == pytest.approx(height(finish(em, start)), abs=1e-3)
    else:
        assert found.n_iter == most


def test_slow_plain_steps_are_not_taken_for_an_end(make_blocks, rng):
    """A component cut in halves that are nearly the same leaves them slowly."""
    X = np.concatenate([rng.normal(-2, 1, 100), rng.normal(2, 1, 100)])[:, None]
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 2, "auto")
    (start,) = many(em, 2, 1, np.random.RandomState(0))
    whole = em.maximise(em.total)
    start = type(start)(
        np.array([0.5, 0.5]),
        np.array([[-0.1], [0.1]]) + whole.means,
        np.repeat(whole.precisions_cholesky, 2, axis=0),
    )
    # Gains grow at first.
    assert not plainly(em, start, 0.01, 25).converged
    found = swiftly(ACCELERATORS["auto"], 1e-2, 1000, em, start)
    assert height(found) == pytest.approx(height(finish(em, start)), abs=0.05)


def test_clusters_are_about_the_means_of_their_rows_with_weights():
    Z, labels = np.array([[0.0], [4.5], [6.0], [10.0]]), np.array([[0, 0, 1, 1]])
    # The mean of the first two is 2.25, or nearly zero if the first one is heavy.
    assert about_means(Z, np.ones(4), labels, 2).tolist() == [[0, 0, 1, 1]]
    heavy = np.array([100.0, 1, 1, 1])
    assert about_means(Z, heavy, labels, 2).tolist() == [[0, 1, 1, 1]]


def test_clusters_without_rows_stay_without():
    Z = np.array([[-1.0], [0.1], [1.0]])
    assert about_means(Z, np.ones(3), np.zeros((1, 3), int), 2).tolist() == [[0, 0, 0]]


def test_what_was_found_stays_where_no_start_is_better(X, make_blocks):
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 3, "auto")
    starts = many(em, 3, 9, np.random.RandomState(0))
    best = best_end(em, starts, finish)
    assert best_end(em, starts, finish, best) is best
    assert best_end(em, [], finish, best) is best
