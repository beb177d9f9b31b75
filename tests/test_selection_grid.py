"""Which candidates there are, and which may yet be the best."""

from types import SimpleNamespace

import numpy as np
import pytest

from skem._selection.grid import (
    Candidate,
    check_covariance_types,
    check_numbers_of_components,
    worth_refining,
)


@pytest.mark.parametrize(
    "asked", [[3, 1, 2, 1], (3, 2, 1), np.array([2, 3, 1]), range(1, 4), {3, 1, 2}]
)
def test_numbers_of_components_rise_and_are_different(asked):
    assert check_numbers_of_components(asked) == [1, 2, 3]


def test_structures_keep_their_order_and_are_different():
    assert check_covariance_types(["tied", "full", "tied"]) == ["tied", "full"]
    # Two of these have another name, and the first is kept.
    names = ["VVI", "full", "diag", "VVV"]
    assert check_covariance_types(names) == ["VVI", "full"]
    assert check_covariance_types(names[::-1]) == ["VVV", "diag"]


def candidate(K, height, n_parameters=0, excess=0.0, warning=""):
    """Return a candidate of such a log-likelihood; of None if it has failed."""
    if height is None:
        return Candidate(K, "full", warning="failed")
    mixture = SimpleNamespace(n_parameters_=n_parameters)
    return Candidate(K, "full", mixture, 1.0, height, 0.0, excess, warning)


# There is no log N of one row: BIC is twice the likelihood.
@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([(50.0,), (40.0,), (39.9,)], {1, 2}),
        # Ten nats, and half of one for each of its own parameters.
        ([(50.0, 8), (38.0, 4), (37.9, 4), (36.0, 8)], {1, 2, 4}),
        ([(50.0,), (None,), (45.0,)], {1, 3}),
        ([(None,), (None,)], set()),
        # Shared values do not count, neither for the best nor for others.
        ([(90.0, 0, 40.0), (45.0,), (90.0, 0, 60.0)], {1, 2}),
        # What is not eligible is not the best, and may become so.
        ([(90.0, 0, 0.0, "few rows"), (50.0,), (39.0,)], {1, 2}),
        # One of these will have to be chosen where there are no others.
        ([(90.0, 0, 0.0, "few rows"), (50.0, 0, 0.0, "few rows")], {1}),
    ],
)
def test_what_is_near_the_best_that_may_be_chosen_is_worth_it(candidates, expected):
    fitted = [candidate(K, *each) for K, each in enumerate(candidates, 1)]
    assert worth_refining([fitted], "bic", 10.0, 0.5) == [expected]


def test_the_best_is_that_of_all_structures():
    fitted = [[candidate(1, 50.0), candidate(2, 45.0)], [candidate(2, 70.0)], []]
    assert worth_refining(fitted, "bic", 22.0, 0.0) == [{1}, {2}, set()]
