"""Warnings point to the line of users, whoever stands between."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureImputer,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureIC,
    MixtureModel,
    MixtureOutlierDetector,
    StudentMixture,
    StudentMixtureIC,
)
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.usefixtures("short_search")

SHORT = {"max_iter": 1, "tol": 1e-9, "random_state": 0}
MIXTURES = [
    GaussianMixture(2, **SHORT),
    StudentMixture(2, **SHORT),
    BayesianGaussianMixture(2, **SHORT),
    MixtureModel(2, **SHORT),
    GaussianMixtureIC(2, covariance_type="full", **SHORT),
    StudentMixtureIC(2, covariance_type="full", **SHORT),
    MixtureIC(2, covariance_type="full", **SHORT),
]


@pytest.fixture
def caught():
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        yield record


def name_of(estimator):
    return type(estimator).__name__


def check(caught, category):
    assert category in {each.category for each in caught}
    assert {each.filename for each in caught} == {__file__}


@pytest.mark.parametrize("method", ["fit", "fit_predict", "fit_transform"])
@pytest.mark.parametrize("mixture", MIXTURES, ids=name_of)
def test_warnings_of_mixtures(mixture, method, X, caught):
    getattr(clone(mixture), method)(X)
    check(caught, ConvergenceWarning)


@pytest.mark.parametrize("mixture", MIXTURES, ids=name_of)
def test_warnings_where_output_is_set(mixture, X, caught):
    clone(mixture).set_output(transform="pandas").fit_transform(X)
    check(caught, ConvergenceWarning)


@pytest.mark.parametrize("mixture", MIXTURES, ids=name_of)
def test_warnings_of_the_last_step_of_a_pipeline(mixture, X, caught):
    make_pipeline(StandardScaler(), clone(mixture)).fit(X)
    check(caught, ConvergenceWarning)


@pytest.mark.parametrize("mixture", MIXTURES, ids=name_of)
def test_warnings_in_a_search_of_scikit_learn(mixture, X, caught):
    GridSearchCV(clone(mixture), {"tol": [1e-9]}, cv=2).fit(X)
    check(caught, ConvergenceWarning)


@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (GaussianMixtureRegressor(2, random_state=0), "fit"),
        (GaussianMixtureImputer(2, random_state=0), "fit"),
        (GaussianMixtureImputer(2, random_state=0), "fit_transform"),
        (GaussianMixtureRegressor(random_state=0), "fit"),
        (MixtureOutlierDetector(2, random_state=0), "fit"),
        (MixtureOutlierDetector(2, random_state=0), "fit_predict"),
        (MixtureDiscriminantAnalysis(2, random_state=0), "fit"),
    ],
    ids=str,
)
def test_warnings_of_estimators_that_hold_a_mixture(estimator, method, X, caught):
    X[:2] += 1e3
    getattr(estimator, method)(X, np.arange(len(X)) % 2)
    check(caught, DegenerateComponentsWarning)
