"""A selection among shapes, one of which includes the other."""

from skem import GaussianMixtureIC
from skem.datasets import load_faithful


def test_a_shape_is_no_less_likely_than_one_that_it_includes():
    # From where VEI ends, steps of VEE lead to a lower likelihood: its penalty pays.
    model = GaussianMixtureIC([6], covariance_type=["VEI", "VEE"], random_state=0)
    model.fit(load_faithful().data)
    assert model.results_["eligible"].all()
    # Waiting times are whole minutes: the likelihood that candidates are compared by.
    results = model.results_
    smaller, larger = results["log_likelihood"] - results["excess"]
    assert larger >= smaller - 0.01
