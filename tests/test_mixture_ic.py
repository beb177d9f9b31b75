"""The choice of a table's mixture by a criterion."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import MixtureIC, MixtureModel


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
