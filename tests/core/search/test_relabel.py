"""Moves as labellings of rows."""

import numpy as np

from skem.core.search.relabel import Relabelling

Z = np.array([[0.0], [1.0], [10.0], [11.0], [20.0], [21.0]])


def groups(labels, n_components):
    return (np.array(labels) == np.arange(n_components)[:, None]).astype(float)


def test_a_component_is_split_between_two_of_its_rows():
    relabelling = Relabelling(Z, np.ones(6), groups([0, 0, 0, 0, 1, 1], 2))
    seen = set()
    for seed in range(40):
        resp = relabelling.split(relabelling.resp, np.random.RandomState(seed))
        np.testing.assert_array_equal(resp.sum(axis=0), 1)
        seen.add(tuple(sorted(tuple(np.flatnonzero(row)) for row in resp)))
    # Halves of the first four rows, cut between any two of them, or of the last two;
    # a row and itself leave one half empty.
    for cut in (1, 2, 3):
        assert ((*range(cut),), (*range(cut, 4),), (4, 5)) in seen
    assert ((0, 1, 2, 3), (4,), (5,)) in seen


def test_rows_without_weight_are_not_drawn():
    weight = np.array([1.0, 1, 1, 1, 0, 0])
    relabelling = Relabelling(Z, weight, groups([0, 0, 0, 0, 1, 1], 2))
    for seed in range(20):
        resp = relabelling.split(relabelling.resp, np.random.RandomState(seed))
        assert resp[0].tolist() == [0, 0, 0, 0, 1, 1]


def test_rows_of_a_component_go_to_the_others_by_what_these_have():
    resp = np.array([[0.5] * 6, [0.4] * 6, [0.1] * 6])
    found = Relabelling(Z, np.ones(6), resp).without(0)
    np.testing.assert_allclose(found, np.array([[0.8] * 6, [0.2] * 6]), rtol=1e-9)
    # Where nothing is left, all have the same.
    alone = Relabelling(Z, np.ones(6), groups([0] * 6, 3)).without(0)
    np.testing.assert_allclose(alone, 0.5)


def test_a_component_is_half_as_likely_to_go_as_one_that_is_missed_less():
    resp = np.array([[0.98] * 6, [0.01] * 6, [0.01] * 5 + [0.0]])
    relabelling = Relabelling(Z, np.ones(6), resp)
    rng = np.random.RandomState(0)
    first = [relabelling.dispensable(1, rng)[0] for _ in range(3500)]
    shares = np.bincount(first, minlength=3) / 3500
    # The last is missed the least. Deviations of shares are 0.01 at most.
    np.testing.assert_allclose(shares, [1 / 7, 2 / 7, 4 / 7], atol=0.04)
    assert sorted(relabelling.dispensable(3, rng)) == [0, 1, 2]


def test_a_move_keeps_the_number_of_components():
    resp = groups([0, 0, 1, 1, 2, 2], 3)
    for seed in range(10):
        moved = Relabelling(Z, np.ones(6), resp).moved(np.random.RandomState(seed))
        assert moved.shape == (3, 6)
        np.testing.assert_allclose(moved.sum(axis=0), 1)


def test_splits_are_between_two_heavy_rows_of_one_component():
    Z = np.array([[0.0], [10.1], [20.0], [21.0], [21.5]])
    weight = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    relabelling = Relabelling(Z, weight, groups([0, 0, 0, 1, 1], 2))
    seen = set()
    for seed in range(60):
        resp = relabelling.split(relabelling.resp, np.random.RandomState(seed))
        seen |= {tuple(np.flatnonzero(row).tolist()) for row in resp}
    # A row and itself leave one half empty.
    halves = {(0,), (1, 2), (3,), (4,)}
    assert seen == halves | {(0, 1, 2), (3, 4), ()}


def test_a_component_of_light_rows_is_missed_less():
    weight = np.array([1, 1, 0, 0.1, 0.1, 0.1])
    relabelling = Relabelling(Z, weight, groups([0, 0, 0, 1, 1, 1], 2))
    rng = np.random.RandomState(0)
    first = [relabelling.dispensable(1, rng)[0] for _ in range(300)]
    # Two in three, within five standard errors.
    assert np.mean(np.equal(first, 1)) > 0.53
