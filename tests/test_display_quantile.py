"""QuantileDisplay: quantiles of data against those of a mixture."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as Peer

from skem import GaussianMixture, MixtureModel, QuantileDisplay

NORMAL = GaussianMixture.from_parameters([1.0], [[3.0, -1.0]], [[4.0, 1.0]], "diag")


@pytest.fixture
def ax():
    return Figure((3.4, 2.6)).add_subplot()


@pytest.fixture
def X(rng):
    return np.c_[rng.normal(3, 2, 50), rng.normal(-1, 1, 50)]


def test_quantiles_are_those_of_the_normal_in_scipy(ax, X):
    display = QuantileDisplay.from_estimator(NORMAL, X, ax=ax)
    np.testing.assert_array_equal(display.data, np.sort(X[:, 0]))
    prob = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(display.mixture, stats.norm(3, 2).ppf(prob))
    np.testing.assert_array_equal(display.points_.get_xdata(), display.mixture)
    np.testing.assert_array_equal(display.points_.get_ydata(), display.data)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("quantiles of the mixture", "x0")
    ends = display.line_.get_xdata()
    assert ends[0] <= display.data[0] < display.data[-1] <= ends[1]
    other = Figure().add_subplot()
    assert display.plot(other).ax_ is other


def test_weights_and_gaps(ax, X):
    weight = np.arange(50) % 3
    X[4, 1] = np.nan
    weighted = QuantileDisplay.from_estimator(
        NORMAL, X, feature=1, sample_weight=weight, ax=ax
    )
    there = (weight > 0) & ~np.isnan(X[:, 1])
    np.testing.assert_array_equal(weighted.data, np.sort(X[there, 1]))
    # A row of weight two is in the middle of its two copies.
    repeated = QuantileDisplay.from_estimator(
        NORMAL, np.repeat(X, weight, axis=0), feature=1, ax=ax
    )
    low = np.searchsorted(repeated.data, weighted.data, "left")
    high = np.searchsorted(repeated.data, weighted.data, "right") - 1
    cdf = stats.norm(-1, 1).cdf
    middle = (cdf(repeated.mixture[low]) + cdf(repeated.mixture[high])) / 2
    np.testing.assert_allclose(cdf(weighted.mixture), middle)


def test_many_rows_are_drawn_by_evenly_spaced_quantiles(ax, X):
    display = QuantileDisplay.from_estimator(NORMAL, X, max_points=10, ax=ax)
    prob = (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(display.mixture, stats.norm(3, 2).ppf(prob))
    np.testing.assert_allclose(display.data, np.quantile(X[:, 0], prob, method="hazen"))


def test_scikit_learn_mixtures_are_drawn_too(ax, X):
    peer = Peer(1).fit(X)
    display = QuantileDisplay.from_estimator(peer, X, ax=ax)
    normal = stats.norm(peer.means_[0, 0], np.sqrt(peer.covariances_[0, 0, 0]))
    np.testing.assert_allclose(display.mixture, normal.ppf((np.arange(50) + 0.5) / 50))


def test_bad_input_is_refused(ax, X, monkeypatch):
    with pytest.raises(ValueError, match="max_points should be a positive integer"):
        QuantileDisplay.from_estimator(NORMAL, X, max_points=0, ax=ax)
    with pytest.raises(ValueError, match=r"integers in \[0, 1\], got 2"):
        QuantileDisplay.from_estimator(NORMAL, X, feature=2, ax=ax)
    with pytest.raises(ValueError, match=r"integers in \[0, 1\], got \[True, False\]"):
        QuantileDisplay.from_estimator(NORMAL, X, feature=[True, False], ax=ax)
    with pytest.raises(ValueError, match="X has 1 features"):
        QuantileDisplay.from_estimator(NORMAL, X[:, :1], ax=ax)
    with pytest.raises(NotFittedError):
        QuantileDisplay.from_estimator(GaussianMixture(), X, ax=ax)
    assert not ax.has_data()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="requires matplotlib"):
        QuantileDisplay.from_estimator(NORMAL, X)


def test_columns_of_a_table_are_drawn(ax):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], 300), "visits": rng.poisson(4, 300) + 0.0}
    )
    table.loc[::9, "visits"] = np.nan
    model = MixtureModel(families={"visits": "poisson"}).fit(table)
    display = QuantileDisplay.from_estimator(model, table, feature="visits", ax=ax)
    seen = np.sort(table["visits"].dropna())
    np.testing.assert_array_equal(display.data, seen)
    prob = (np.arange(len(seen)) + 0.5) / len(seen)
    rate = model.parameters_["visits"]["rate"][0]
    np.testing.assert_array_equal(display.mixture, stats.poisson(rate).ppf(prob))
    with pytest.raises(ValueError, match="column 'sex' has categories"):
        QuantileDisplay.from_estimator(model, table, feature="sex", ax=ax)
