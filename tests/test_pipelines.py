"""Mixtures as steps of pipelines: labels, membership probabilities, feature names."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from skem import BayesianGaussianMixture, GaussianMixture, GaussianMixtureIC
from skem.core.gaussian.covariance import STRUCTURES

pytestmark = pytest.mark.usefixtures("short_search")

KINDS = [
    *(GaussianMixture(2, covariance_type=name, random_state=0) for name in STRUCTURES),
    BayesianGaussianMixture(2, random_state=0),
    GaussianMixtureIC((1, 2), covariance_type="full", n_init=1, random_state=0),
]


@pytest.fixture(params=KINDS, ids=lambda kind: getattr(kind, "covariance_type", None))
def mixture(request):
    return clone(request.param)


@pytest.mark.slow
def test_labels_are_those_of_predict(mixture, X):
    X[::7, 0] = np.nan
    weight = np.arange(100) % 3
    found = mixture.fit_predict(X, sample_weight=weight)
    assert mixture.labels_.dtype == np.int32
    assert np.array_equal(mixture.labels_, mixture.predict(X))
    assert np.array_equal(found, mixture.labels_) and found.dtype == np.intp
    assert len(set(mixture.labels_)) == 2
    assert np.array_equal(pickle.loads(pickle.dumps(mixture)).labels_, found)
    # A fit to other rows has other labels, and one that fails leaves them.
    with pytest.raises(ValueError, match="infinity"):
        mixture.fit(np.full((3, 2), np.inf))
    assert len(mixture.labels_) == 100
    assert len(mixture.fit(X[:50]).labels_) == 50


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_there_are_no_labels_of_what_is_not_in_memory(kind, X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mixture = kind(2, random_state=0).fit(X)
    mixture.fit(np.load(tmp_path / "X.npy", mmap_mode="r")[:90])
    assert not hasattr(mixture, "labels_")
    assert mixture.fit(X).partial_fit(X).n_iter_ and not hasattr(mixture, "labels_")


def test_a_search_in_a_file_has_no_labels(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    selection = GaussianMixtureIC((1, 2), n_init=1, random_state=0)
    labels = selection.fit_predict(mapped)
    assert not hasattr(selection, "labels_")
    assert np.array_equal(labels, selection.predict(X))


def test_transform_gives_membership_probabilities(mixture, X):
    X = X.astype(np.float32)
    found = mixture.fit_transform(X)
    assert found.dtype == np.float32
    assert np.array_equal(found, mixture.predict_proba(X))
    name = type(mixture).__name__.lower()
    names = [f"{name}{k}" for k in range(2)]
    assert list(mixture.get_feature_names_out()) == names
    frame = pd.DataFrame(X, columns=["a", "b"], index=range(100, 200))
    mixture.set_output(transform="pandas").fit(frame)
    assert list(mixture.transform(frame)) == names
    assert mixture.transform(frame).index.equals(frame.index)
    assert not hasattr(clone(mixture), "_n_features_out")


def test_regression_on_memberships_finds_the_levels_of_clusters(mixture, X):
    y = np.repeat([1.0, 9.0], [60, 40])
    pipeline = make_pipeline(StandardScaler(), mixture, LinearRegression())
    assert pipeline.fit(X, y).score(X, y) > 0.95
    union = make_union(StandardScaler(), clone(mixture)).fit(X)
    assert union.transform(X).shape == (100, 4)


def test_weights_reach_a_fit_within_a_pipeline(X):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0))
    weight = np.repeat([1.0, 0.0], [60, 40])
    pipeline.fit_transform(X, gaussianmixture__sample_weight=weight)
    mixture = clone(pipeline[-1]).fit(pipeline[0].transform(X)[:60])
    np.testing.assert_allclose(pipeline[-1].means_, mixture.means_, rtol=1e-3)


def test_lazy_rows_are_transformed_lazily(X):
    array = pytest.importorskip("dask.array")
    mixture = GaussianMixture(2, random_state=0).fit(X)
    lazy = mixture.transform(array.from_array(X, chunks=30))
    np.testing.assert_allclose(lazy.compute(scheduler="sync"), mixture.transform(X))
