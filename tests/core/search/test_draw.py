"""Rows that are drawn, and those that are nearer to one of two."""

import numpy as np

from skem.core.search.draw import at_shares, drawn_of_each, nearer


def test_each_row_of_weights_has_an_index_by_its_share():
    weights = np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 2.0]])
    assert at_shares(weights, np.array([0.2, 0.0])).tolist() == [0, 2]
    assert at_shares(weights, np.array([0.25, 1.0])).tolist() == [2, 2]


def test_indices_are_drawn_in_proportion_to_weights():
    weights = np.tile([1.0, 0.0, 3.0], (4000, 1))
    drawn = drawn_of_each(weights, np.random.RandomState(0))
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.03)
    assert shares[1] == 0


def test_pairs_take_turns_in_what_distances_are_of():
    wide = np.array([[0.0, 0.0], [0.0, 4.0], [3.0, 1.0]])
    flat = wide * [0.1, 1.0]
    # The second row is nearer to the third one once the first feature hardly counts.
    found = nearer([wide, flat], np.array([0, 0]), np.array([2, 2]))
    assert found.tolist() == [[True, True, False], [True, False, False]]
