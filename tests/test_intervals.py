"""Intervals of weights and probabilities: Wilson's, beside those of binomial counts."""

import numpy as np
import pytest
from scipy import stats

from skem import MixtureModel
from skem._errors.confidence import about, of_positive, of_shares

Z = stats.norm.ppf(0.975)


@pytest.mark.parametrize(("count", "n"), [(1, 1000), (7, 20), (499, 500)])
def test_intervals_of_a_binomial_share_are_wilsons(count, n):
    p = np.array([count / n])
    lower, upper = of_shares(p, np.sqrt(p * (1 - p) / n), Z)
    expected = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert (lower[0], upper[0]) == pytest.approx(tuple(expected), rel=1e-9)


def test_a_probability_that_no_row_of_a_class_has_is_at_most_a_few_per_cent():
    """The interval of its logit was [0.00000, 0.99993]."""
    p, n = np.array([0.0006]), 256
    lower, upper = of_shares(p, np.sqrt(p / n), Z)
    assert 0 < lower[0] < 1e-4
    assert upper[0] == pytest.approx(Z**2 / (Z**2 + n), rel=0.1)


def test_errors_of_any_size_have_intervals_within_the_range():
    t = np.array([1e-300, 1e-9, 0.5, 1 - 1e-9])
    for error in (1e-320, 1e-20, 1e-3, 1.0, 1e200):
        lower, upper = of_shares(t, np.full(4, error), Z)
        assert ((lower >= 0) & (lower <= t)).all()
        assert ((upper <= 1) & (upper >= t)).all()
    # Those of small ones are symmetric.
    lower, upper = of_shares(np.array([0.3]), np.array([1e-6]), Z)
    assert (0.3 - lower, upper - 0.3) == pytest.approx((Z * 1e-6, Z * 1e-6), rel=1e-4)


@pytest.mark.parametrize("error", [np.nan, np.inf, 0.0])
def test_what_is_not_known_has_the_whole_range_and_nan_errors_nan(error):
    share = np.array([0.0, 0.4, 1.0])
    whole = {of_shares: (0, 1), of_positive: (0, np.inf), about: (-np.inf, np.inf)}
    for of, (low, high) in whole.items():
        lower, upper = of(share, np.full(3, error), Z)
        if error == 0:
            low, high = share, share
        elif np.isnan(error):
            low, high = error, error
        np.testing.assert_array_equal(lower, np.broadcast_to(low, 3))
        np.testing.assert_array_equal(upper, np.broadcast_to(high, 3))


def test_intervals_of_rare_answers_cover():
    """Of classes in which one row in 200 has the rarer answer."""
    p = np.array([[0.995] * 7, [0.005] * 7])
    covered, wide = [], []
    for seed in range(20):
        rng = np.random.default_rng([2027, seed])
        X = (rng.random((300, 7)) < p[rng.integers(2, size=300)]).astype(float)
        model = MixtureModel(2, families="bernoulli", random_state=0).fit(X)
        found = model.standard_errors(X).confidence_interval().parameters
        high = model.parameters_["x0"]["probability"].argmax()
        for each in found.values():
            lower, upper = each["probability"]
            truth = np.where(np.arange(2) == high, 0.995, 0.005)
            covered.append((lower <= truth) & (truth <= upper))
            wide.append(upper - lower)
    assert 0.9 < np.mean(covered)
    assert np.max(wide) < 0.1
