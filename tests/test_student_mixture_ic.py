"""The choice of a t mixture by a criterion."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import CriterionDisplay, GaussianMixtureIC, StudentMixture, StudentMixtureIC

CENTRES = np.array([[0.0, 0.0], [14.0, 0.0], [0.0, 14.0]])


@parametrize_with_checks(
    [StudentMixtureIC((1,), covariance_type="spherical", df=5, tol=1e-9)]
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    """Three clusters with the tails of a t with three degrees of freedom."""
    rng = np.random.default_rng(0)
    z = rng.integers(3, size=240)
    return CENTRES[z] + rng.standard_t(3, size=(240, 2)), z


@pytest.fixture(scope="module")
def selection(data):
    return StudentMixtureIC(
        (2, 3, 4), covariance_type=("full", "EII"), df="common", random_state=0
    ).fit(data[0])


def test_the_number_of_clusters_is_found_where_gaussians_need_more(data, selection):
    X, z = data
    assert (selection.n_components_, selection.covariance_type_) == (3, "EII")
    assert 2 < selection.df_[0] < 5
    labels = selection.predict(X)
    pairs = np.unique(np.column_stack([z, labels]), axis=0, return_counts=True)[1]
    assert np.sort(pairs)[-3:].sum() >= 236
    gaussian = GaussianMixtureIC((3, 4, 5), covariance_type="full", random_state=0)
    assert gaussian.fit(X).n_components_ > 3


def test_candidates_are_as_good_as_fits_of_their_own(data, selection):
    X, _ = data
    results = selection.results_
    assert results["param_n_components"].tolist() == [2, 2, 3, 3, 4, 4]
    assert results["param_covariance_type"].tolist() == ["full", "EII"] * 3
    for i, K in enumerate(results["param_n_components"]):
        if results["param_covariance_type"][i] == "EII" and K < 4:
            own = StudentMixture(K, covariance_type="EII", df="common", random_state=0)
            own.fit(X)
            # What is far behind the best may leave a nat.
            left = 0.02 if K == 3 else 1.0
            for name in ("bic", "aic"):
                assert results[name][i] < getattr(own, name)(X) + 2 * left
            assert results["n_parameters"][i] == own.n_parameters_
    best = selection.best_estimator_
    for name in ("bic", "aic", "icl"):
        found = getattr(best, name)(X)
        assert results[name][selection.best_index_] == pytest.approx(found, rel=1e-12)
    assert selection.criterion_ == results["criterion"].min()
    assert results["rank"][selection.best_index_] == 1


@pytest.mark.parametrize(
    "criterion", [pytest.param("aic", marks=pytest.mark.slow), "icl"]
)
def test_other_criteria_choose_by_themselves(data, criterion):
    X, _ = data
    found = StudentMixtureIC(
        (2, 3), covariance_type="tied", criterion=criterion, df=3, random_state=0
    ).fit(X)
    assert found.n_components_ == 3
    best = found.best_estimator_
    assert found.criterion_ == pytest.approx(getattr(best, criterion)(X))
    assert (best.df_ == 3).all()


def test_the_methods_are_those_of_the_chosen_one(data, selection):
    X, _ = data
    best = selection.best_estimator_
    assert isinstance(best, StudentMixture)
    np.testing.assert_array_equal(selection.score_samples(X), best.score_samples(X))
    np.testing.assert_array_equal(selection.labels_, best.labels_)
    assert selection.score(X) == best.score(X)
    assert selection.marginal([0]).means_.shape == (3, 1)
    assert str(selection.summary()) == str(best.summary())
    # scikit-learn has no t mixtures.
    assert not hasattr(selection, "to_sklearn")
    again = pickle.loads(pickle.dumps(selection))
    np.testing.assert_array_equal(again.predict(X), selection.predict(X))


@pytest.mark.slow
def test_integer_weights_are_repeated_rows(data):
    X, _ = data
    weight = np.random.default_rng(1).integers(1, 3, len(X))
    options = dict(covariance_type="tied", df="common", random_state=0, tol=1e-6)
    ours = StudentMixtureIC((2, 3), **options).fit(X, sample_weight=weight)
    theirs = StudentMixtureIC((2, 3), **options).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(
        ours.results_["bic"], theirs.results_["bic"], rtol=1e-6, atol=1e-3
    )
    assert ours.n_components_ == theirs.n_components_ == 3


def test_missing_values_and_labels(data):
    X, z = data
    gappy = X.copy()
    gappy[np.random.default_rng(2).random(X.shape) < 0.15] = np.nan
    known = np.where(np.arange(len(z)) < 60, 2 - z, -1)
    found = StudentMixtureIC(
        (1, 2, 3, 4), covariance_type="EII", df="common", random_state=0
    ).fit(gappy, labels=known)
    # Labels name three components.
    assert found.results_["param_n_components"].tolist() == [3, 4]
    assert found.n_components_ == 3
    whole = ~np.isnan(gappy).any(axis=1)
    assert (found.predict(gappy)[whole] == 2 - z[whole]).mean() > 0.98


def test_results_depend_neither_on_processes_nor_on_the_order_of_rows(data):
    X, _ = data
    options = dict(covariance_type=("full", "spherical"), random_state=0)
    one = StudentMixtureIC((2, 3, 4), **options).fit(X)
    two = clone(one).set_params(n_jobs=2).fit(X)
    np.testing.assert_array_equal(one.results_["bic"], two.results_["bic"])
    other = clone(one).fit(X[np.random.default_rng(3).permutation(len(X))])
    assert other.best_index_ == one.best_index_
    assert other.criterion_ == pytest.approx(one.criterion_, abs=0.04)


@pytest.mark.parametrize("df", ["estimate", "common", 4])
def test_the_choice_is_as_good_as_the_best_of_many_fits(data, df):
    X, _ = data
    found = StudentMixtureIC((2, 3, 4), covariance_type="full", df=df, random_state=1)
    found.fit(X)
    for K, own in enumerate(found.results_["bic"], 2):
        best = StudentMixture(K, df=df, n_init=5, random_state=0).fit(X).bic(X)
        # Ten nats behind, one may be left.
        assert own <= best + (0.1 if own < found.criterion_ + 20 else 2.0)


def test_candidates_that_fail_are_marked():
    # Two of three features are one.
    X = np.random.default_rng(0).normal(size=(60, 2)) @ np.eye(2, 3)
    found = StudentMixtureIC(
        (1, 2), covariance_type=("full", "EII"), reg_covar=0.0, df=30, random_state=0
    ).fit(X)
    assert found.covariance_type_ == "EII"
    failed = found.results_["param_covariance_type"] == "full"
    np.testing.assert_array_equal(np.isnan(found.results_["bic"]), failed)
    assert "ill-defined" in found.results_["warning"][0]


def test_a_display_shows_the_candidates(selection):
    pytest.importorskip("matplotlib")
    display = CriterionDisplay.from_estimator(selection)
    assert len(display.lines_) == 2


def test_bad_parameters_are_named(data):
    with pytest.raises(ValueError, match="'df' parameter of StudentMixtureIC"):
        StudentMixtureIC((1, 2), df=[3.0, 4.0]).fit(data[0])
    with pytest.raises(ValueError, match="'n_components' parameter must be an int"):
        StudentMixtureIC((0, 2)).fit(data[0])


def test_components_that_peak_at_a_row_are_not_chosen():
    """Of 13 features five of one scale were chosen, with ν = 0.1 on a row."""
    X, grower = load_wine(return_X_y=True)
    with pytest.warns(UserWarning, match="has a lower bic .* component . rests on row"):
        found = StudentMixtureIC((4, 5), covariance_type="tied", random_state=0).fit(X)
    assert found.n_components_ == 4 and found.df_.min() > 1
    assert found.results_["eligible"].tolist() == [True, False]
    assert adjusted_rand_score(grower, found.predict(X)) > 0.9
