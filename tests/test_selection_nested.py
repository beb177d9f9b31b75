"""A selection among shapes, one of which includes the other."""

import pytest

from skem import GaussianMixtureIC
from skem.datasets import load_faithful


@pytest.mark.parametrize("seed", range(3))
def test_a_shape_is_no_less_likely_than_one_that_it_includes(seed):
    # From where VEI ends, steps of VEE lead to a lower likelihood: its penalty pays.
    model = GaussianMixtureIC(
        [5, 6, 7], covariance_type=["VEI", "VEE"], random_state=seed
    ).fit(load_faithful().data)
    assert model.results_["eligible"].all()
    smaller, larger = model.results_["log_likelihood"].reshape(3, 2).T
    assert (larger >= smaller - 0.01).all()
