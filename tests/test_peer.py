"""Mixtures of scikit-learn, and code that was written for them."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from sklearn.exceptions import NotFittedError

from skem import GaussianMixture
from skem._saving.peer import HOOKS

PARAMETERS = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
)
OTHERS = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_")


@pytest.fixture
def X(rng):
    return np.concatenate([rng.normal(-2, 1, (150, 2)), rng.normal(2, 2, (150, 2))])


@pytest.fixture(params=["full", "tied", "diag", "spherical"])
def fitted(request, X):
    return GaussianMixture(2, covariance_type=request.param, random_state=0).fit(X)


def test_to_sklearn_is_the_same_mixture(fitted, X):
    theirs = fitted.to_sklearn()
    assert isinstance(theirs, sklearn.mixture.GaussianMixture)
    params = fitted.get_params()
    expected = sklearn.mixture.GaussianMixture().get_params() | {
        name: params[name]
        for name in ("n_components", "covariance_type", "random_state")
    }
    assert theirs.get_params() == expected
    for name in PARAMETERS + OTHERS:
        np.testing.assert_array_equal(getattr(theirs, name), getattr(fitted, name))
    np.testing.assert_array_equal(theirs.predict(X), fitted.predict(X))
    for method in ("predict_proba", "score_samples"):
        ours, found = getattr(fitted, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(found, ours, rtol=1e-10, atol=1e-10)
    assert theirs.bic(X) == pytest.approx(fitted.bic(X), rel=1e-12)
    assert theirs.sample(5)[0].shape == (5, 2)


def test_to_sklearn_copies(fitted, X):
    theirs, before = fitted.to_sklearn(), fitted.score_samples(X)
    for name in PARAMETERS:
        getattr(theirs, name)[:] = 0
    np.testing.assert_array_equal(fitted.score_samples(X), before)


def test_from_sklearn_copies_and_takes_any_root_of_the_precisions(X):
    theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit(X)
    expected = theirs.score_samples(X)
    values, vectors = np.linalg.eigh(theirs.precisions_)
    theirs.precisions_cholesky_ = vectors * np.sqrt(values)[:, None]
    ours = GaussianMixture.from_sklearn(theirs)
    n_bounds = len(ours.lower_bounds_) if hasattr(ours, "lower_bounds_") else 0
    for name in PARAMETERS:
        getattr(theirs, name)[:] = 0
    getattr(theirs, "lower_bounds_", []).append(0.0)
    np.testing.assert_allclose(ours.score_samples(X), expected)
    assert not np.tril(ours.precisions_cholesky_, -1).any()
    assert len(getattr(ours, "lower_bounds_", [])) == n_bounds


def test_the_round_trip_changes_nothing(fitted, X):
    there_and_back = GaussianMixture.from_sklearn(fitted.to_sklearn())
    assert there_and_back.covariance_type == fitted.covariance_type
    for name in PARAMETERS + OTHERS:
        np.testing.assert_array_equal(
            getattr(there_and_back, name), getattr(fitted, name)
        )
    np.testing.assert_array_equal(
        there_and_back.score_samples(X), fitted.score_samples(X)
    )


def test_edited_covariances_are_drawn_from_there_and_back(fitted):
    fitted.covariances_ = fitted.covariances_ * 0
    theirs = fitted.to_sklearn()
    for mixture in (fitted, theirs, GaussianMixture.from_sklearn(theirs)):
        X, y = mixture.sample(5)
        np.testing.assert_allclose(X, fitted.means_[y], atol=1e-12)


def test_types_and_names_are_kept(X):
    frame = pd.DataFrame(X, columns=["a", "b"]).astype(np.float32)
    fitted = GaussianMixture(2, random_state=0).fit(frame)
    theirs = fitted.to_sklearn()
    again = GaussianMixture.from_sklearn(theirs)
    for mixture in (theirs, again):
        assert list(mixture.feature_names_in_) == ["a", "b"]
        for name in PARAMETERS:
            assert getattr(mixture, name).dtype == np.float32
    np.testing.assert_allclose(
        theirs.score_samples(frame), fitted.score_samples(frame), rtol=1e-4
    )


def test_to_sklearn_of_any_root(X):
    covariance = np.array([[2.0, 1.2], [1.2, 1.0]])
    built = GaussianMixture(1)
    built.weights_, built.means_ = np.ones(1), np.zeros((1, 2))
    built.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(covariance))[None]
    theirs = built.to_sklearn()
    np.testing.assert_allclose(theirs.covariances_[0], covariance)
    np.testing.assert_allclose(
        theirs.score_samples(X), built.score_samples(X), rtol=1e-10
    )
    with pytest.raises(NotFittedError):
        GaussianMixture().to_sklearn()


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_from_sklearn_is_ready_for_everything(covariance_type, X):
    theirs = sklearn.mixture.GaussianMixture(
        2, covariance_type=covariance_type, random_state=3
    ).fit(X)
    ours = GaussianMixture.from_sklearn(theirs, warm_start=True, tol=0.1)
    assert ours.get_params()["random_state"] == 3
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    for method in ("predict_proba", "score_samples"):
        found, expected = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert ours.n_parameters_ == theirs._n_parameters()
    before = theirs.means_.copy()
    ours.fit(X)
    np.testing.assert_allclose(ours.means_, before, atol=0.3)
    streamed = GaussianMixture.from_sklearn(theirs)
    for batch in np.array_split(X, 3):
        streamed.partial_fit(batch)
    np.testing.assert_allclose(streamed.means_, before, atol=0.6)
    np.testing.assert_array_equal(theirs.means_, before)


def test_from_sklearn_says_what_it_takes(X):
    with pytest.raises(NotFittedError):
        GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture(2))
    others = (
        sklearn.mixture.BayesianGaussianMixture(),
        GaussianMixture(2).fit(X),
        {"weights_": [1.0]},
        None,
    )
    for other, kind in zip(
        others,
        ("sklearn.mixture.*BayesianG", "skem.*GaussianMixture", "dict", "NoneType"),
        strict=True,
    ):
        with pytest.raises(TypeError, match=f"object of type {kind}"):
            GaussianMixture.from_sklearn(other)


class Quiet(GaussianMixture):
    def _helper(self):
        return 1

    def predict(self, X):
        return super().predict(X)


def test_hooks_of_scikit_learn_are_told_of_once(X):
    class Damped(GaussianMixture):
        def _m_step(self, X, log_resp):
            raise AssertionError

        def _e_step(self, X):
            raise AssertionError

    class Lazy(Damped):
        pass

    for kind in (Damped, Lazy):
        text = f"{kind.__name__} defines _e_step, _m_step"
        with pytest.warns(UserWarning, match=text) as caught:
            kind(1).fit_predict(X)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Damped(1).fit(X)
        Quiet(1).fit(X)
        GaussianMixture(1).fit(X)


def test_hooks_in_a_mixin_are_told_of_by_a_stream(X):
    class Mixin:
        def _estimate_log_prob(self, X):
            raise AssertionError

    class Mixed(Mixin, GaussianMixture):
        pass

    with pytest.warns(UserWarning, match="defines _estimate_log_prob,"):
        Mixed(1).partial_fit(X)


def test_hooks_are_names_of_theirs_and_not_of_ours():
    for name in HOOKS:
        assert hasattr(sklearn.mixture.GaussianMixture, name)
        assert not hasattr(GaussianMixture, name)
