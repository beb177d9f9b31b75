"""Weights on the scale of a population, which are not counts of rows."""

import warnings

import numpy as np
import pytest

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    GaussianMixtureRegressor,
    MixtureDiscriminantAnalysis,
    MixtureIC,
    MixtureModel,
    MixtureOutlierDetector,
    StudentMixture,
    StudentMixtureIC,
)

pytestmark = pytest.mark.usefixtures("short_search")


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(9, 1, (60, 2))])


@pytest.fixture
def weight(X):
    """Weights of mean 50, without counts among them, and of ten rows that are out."""
    weight = np.random.default_rng(1).uniform(0.5, 1.5, len(X))
    weight[:10] = 0
    return 50 * weight / weight[weight > 0].mean()


def told(ask, *args, **options):
    """Return what is said of weights, all of it from here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ask(*args, **options)
    of_weights = [each for each in caught if "sample weights" in str(each.message)]
    return [str(each.message) for each in of_weights], [
        each.filename for each in of_weights
    ]


def choices(X):
    y = np.arange(len(X)) % 2
    auto = {"n_components": "auto", "covariance_type": "diag"}
    return {
        "gaussian": (GaussianMixtureIC((1, 2)), (X,)),
        "student": (StudentMixtureIC((1, 2)), (X,)),
        "table": (MixtureIC((1, 2)), (X,)),
        "outliers": (MixtureOutlierDetector(**auto), (X,)),
        "classes": (MixtureDiscriminantAnalysis(**auto), (X, y)),
        "regression": (GaussianMixtureRegressor(**auto), (X[:, :1], X[:, 1])),
    }


@pytest.mark.parametrize("name", choices(np.empty((0, 2))))
def test_choices_tell_weights_from_counts(name, X, weight):
    estimator, data = choices(X)[name]
    (text,), (file,) = told(estimator.fit, *data, sample_weight=weight)
    assert text == (
        "The sample weights add up to 5.5e+03, 50 times the number of rows, and are "
        "not whole numbers: criteria take them for counts of rows. Multiply them by "
        "v.sum() / (v**2).sum() of weights v (see the guide on weights)."
    )
    assert file == __file__
    for counts in (np.ceil(weight), weight / 50):
        assert told(estimator.fit, *data, sample_weight=counts) == ([], [])


@pytest.mark.parametrize(
    "ask",
    [
        GaussianMixture(2).fit,
        StudentMixture(2).fit,
        MixtureModel(2).fit,
        MixtureDiscriminantAnalysis(2).fit,
    ],
    ids=lambda ask: type(ask.__self__).__name__,
)
def test_fits_of_a_given_size_say_nothing(ask, X, weight):
    y = np.arange(len(X)) % 2
    assert told(ask, X, y, sample_weight=weight) == ([], [])


@pytest.mark.parametrize("method", ["sandwich", "bootstrap"])
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, MixtureModel])
def test_standard_errors_tell_weights_from_counts(kind, method, X, weight):
    mixture = kind(2, random_state=0).fit(X)
    options = {"method": method}
    if method == "bootstrap":
        if kind is MixtureModel:
            pytest.skip("it has no bootstrap")
        options["n_boot"] = 2
    ask = mixture.standard_errors
    (text,), (file,) = told(ask, X, sample_weight=weight, **options)
    assert "50 times the number of rows" in text
    assert "standard errors take them for counts of rows" in text
    assert file == __file__
    assert told(ask, X, sample_weight=np.ceil(weight), **options) == ([], [])


def test_weights_of_dask_collections(X, weight):
    da = pytest.importorskip("dask.array")
    chunks, weights = da.from_array(X, chunks=50), da.from_array(weight, chunks=50)
    selection = GaussianMixtureIC((1, 2), covariance_type="diag", refit=False)
    (text,), (file,) = told(selection.fit, chunks, sample_weight=weights)
    assert "add up to 5.5e+03, 50 times" in text
    assert file == __file__
    assert told(selection.fit, chunks, sample_weight=da.ceil(weights)) == ([], [])
