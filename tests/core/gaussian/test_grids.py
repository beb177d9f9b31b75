"""Columns with few decimals that others determine up to the last one."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    MixtureModel,
    StudentMixture,
)
from skem.core.gaussian.widths import find_ties

CENTRES = np.array([[0, 0], [6, 0], [0, 6.0]])
SHARES = 1.2 * np.array([[50, 30, 20], [30, 50, 20], [30, 30, 40]])


def percentages(rng, decimals=1):
    y = np.repeat([0, 1, 2], 100)
    return np.round([100 * rng.dirichlet(SHARES[k]) for k in y], decimals), y


def sensors(rng):
    y = np.repeat([0, 1, 2], 100)
    own = CENTRES[y] + rng.normal(size=(300, 2))
    one = 20 + 2 * own[:, 0]
    other = one + 0.003 * rng.normal(size=300)
    return np.c_[one.round(2), other.round(2), 50 + 5 * own[:, 1]], y


def durations(rng):
    y = np.repeat([0, 1, 2], 100)
    own = CENTRES[y] + rng.normal(size=(300, 2))
    start, length = 20 + 2 * own[:, 0], 3 + 0.5 * own[:, 1]
    return np.c_[start, start + length, length].round(2), y


def steps_of(X, **how):
    """Widths, in units of the data, as find_ties has them."""
    sd = np.nanstd(X, axis=0)
    z = ((X - np.nanmean(X, axis=0)) / sd).T.copy()
    found = find_ties(X.T, z, np.ones(len(X)), **how)
    return np.zeros(X.shape[1]) if found is None else np.sqrt(12 * found.steps) * sd


@pytest.mark.parametrize("data", [percentages, sensors, durations])
@pytest.mark.parametrize("unit", [1.0, 0.393701, 1e-7])
def test_the_step_is_found_in_any_unit(data, unit, rng):
    X, _ = data(rng)
    decimals = 0.1 if data is percentages else 0.01
    expected = [decimals] * 2 + [0.0 if data is sensors else decimals]
    np.testing.assert_allclose(steps_of(unit * X), unit * np.array(expected), rtol=1e-6)
    shuffled = rng.permutation(len(X))
    np.testing.assert_allclose(steps_of(unit * X[shuffled]), steps_of(unit * X))


def test_single_precision_and_gaps_do_not_hide_it(rng):
    X, _ = percentages(rng)
    np.testing.assert_allclose(steps_of(X.astype(np.float32)), 0.1, rtol=1e-3)
    X[rng.random(X.shape) < 0.05] = np.nan
    np.testing.assert_allclose(steps_of(X), 0.1, rtol=1e-6)
    X[0, 0] = 1e9
    np.testing.assert_allclose(steps_of(X), [0.1, 0.1, 0.1], rtol=1e-3)


def test_it_is_of_no_account_where_columns_say_something_of_their_own(rng):
    X = np.c_[rng.normal(size=(300, 3)).round(3), rng.normal(size=300)]
    assert not steps_of(X).any()
    # Nor where they determine each other exactly, which has no noise.
    assert not steps_of(np.c_[X, X[:, 0] + X[:, 1]]).any()
    assert not steps_of(X[:, :1]).any()


def test_numbers_that_are_not_rounded_have_none(rng):
    X = rng.normal(size=(300, 2))
    X = np.c_[X, X.sum(axis=1) + 1e-3 * rng.normal(size=300)]
    for rows in (X, X.astype(np.float32), rng.random((300, 2)), X[:8], X[:2], 1e8 + X):
        assert not steps_of(rows).any()


@pytest.mark.parametrize("data", [percentages, sensors, durations])
@pytest.mark.parametrize(
    "model",
    [
        GaussianMixture(3, random_state=0),
        StudentMixture(3, random_state=0),
        BayesianGaussianMixture(8, random_state=0),
        MixtureModel(3, random_state=0),
        GaussianMixtureIC(range(1, 6), random_state=0),
    ],
)
def test_clusters_are_not_those_of_rounding_errors(data, model):
    X, y = data(np.random.default_rng(1))
    assert adjusted_rand_score(y, model.fit(X).predict(X)) > 0.9
