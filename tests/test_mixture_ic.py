"""The choice of a table's mixture by a criterion."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import MixtureIC, MixtureModel
from skem.exceptions import DegenerateComponentsWarning


@parametrize_with_checks([MixtureIC((1,), covariance_type="diag")])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(5)
    z = rng.integers(2, size=300)
    X = np.column_stack(
        [rng.normal(4 * z, 1), rng.normal(z, 1), rng.poisson(3 + 9 * z)]
    )
    return X


@pytest.mark.slow
def test_the_right_one_is_chosen(X):
    selection = MixtureIC((1, 2, 3), families={2: "poisson"}, random_state=0).fit(X)
    assert (selection.n_components_, selection.covariance_type_) == (2, "diag")
    results = selection.results_
    assert len(results["bic"]) == 6
    assert results["rank"][selection.best_index_] == 1
    assert selection.criterion_ == results["criterion"].min()
    best = selection.best_estimator_
    assert selection.criterion_ == pytest.approx(best.bic(X))
    assert results["log_likelihood"][selection.best_index_] == pytest.approx(
        best.score(X) * len(X)
    )
    np.testing.assert_array_equal(selection.predict(X), best.predict(X))
    np.testing.assert_array_equal(selection.predict_proba(X), best.predict_proba(X))
    assert selection.score(X) == best.score(X)
    # Never worse than a fit of its own.
    own = MixtureModel(
        2, families={2: "poisson"}, covariance_type="diag", random_state=1
    ).fit(X)
    assert best.lower_bound_ > own.lower_bound_ - 1e-3


def test_structures_are_tried_only_where_they_matter(X):
    selection = MixtureIC((1, 2), families="categorical", random_state=0)
    selection.fit(X[:, 2:])
    assert selection.results_["param_covariance_type"].tolist() == ["full", "full"]


def test_too_many_components_and_too_few_steps_are_told(X):
    with pytest.warns(FitFailedWarning, match="more than 3 components"):
        MixtureIC((1, 4), random_state=0).fit(X[:3])
    with pytest.raises(ValueError, match="n_components = 4, n_samples = 3"):
        MixtureIC((4,)).fit(X[:3])
    with pytest.warns(ConvergenceWarning, match="has not converged"):
        MixtureIC((2,), covariance_type="diag", max_iter=1, random_state=0).fit(X)


@pytest.fixture(scope="module")
def chosen(X):
    families = {2: "poisson"}
    return MixtureIC((1, 2), families=families, covariance_type="diag", random_state=0)


def test_methods_and_attributes_are_those_of_the_best(chosen, X):
    with pytest.raises(NotFittedError, match="MixtureIC has no weights_"):
        _ = clone(chosen).weights_
    labels = chosen.fit_predict(X)
    best = chosen.best_estimator_
    assert len(chosen.weights_) == 2
    np.testing.assert_array_equal(labels, best.predict(X))
    np.testing.assert_array_equal(labels, chosen.labels_)
    for name in ("bic", "aic", "icl"):
        assert getattr(chosen, name)(X) == getattr(best, name)(X)
    np.testing.assert_array_equal(chosen.transform(X), best.predict_proba(X))
    assert chosen.get_feature_names_out().tolist() == ["mixtureic0", "mixtureic1"]
    drawn = [each.sample(5, random_state=0)[0] for each in (chosen, best)]
    np.testing.assert_array_equal(*drawn)
    assert str(chosen.summary()) == str(best.summary())
    gaps = np.where(np.arange(3) == 1, np.nan, X[:4])
    np.testing.assert_array_equal(chosen.impute(gaps), best.impute(gaps))
    errors = [each.standard_errors(X).weights for each in (chosen, best)]
    np.testing.assert_array_equal(*errors)
    for name in ("parameters_", "covariances_", "families_", "categories_"):
        assert getattr(chosen, name) is getattr(best, name)
    for name in ("converged_", "n_iter_", "lower_bound_", "n_parameters_"):
        assert getattr(chosen, name) == getattr(best, name)


def test_a_chosen_mixture_tells_its_degenerate_components():
    X = np.array([[0.0], [0.1], [0.2], [9.0]])
    with pytest.warns(DegenerateComponentsWarning, match=r"\[1\] of the chosen"):
        selection = MixtureIC((2,), random_state=0).fit(X)
    assert selection.degenerate_components_.tolist() == [1]


def test_it_says_what_it_has_chosen(X):
    selection = MixtureIC((2,), covariance_type="diag", random_state=0)
    assert "chosen" not in repr(selection)
    selection.fit(X)
    said = f"2 components, diag, bic {selection.criterion_:.1f}"
    assert repr(selection).endswith(f"# chosen: {said}")
    assert f"best_estimator_: {said}" in selection._repr_html_()
