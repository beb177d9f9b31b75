import pickle
from functools import cache
from inspect import get_annotations
from typing import get_args

import numpy as np
import pytest

import skem
from skem._errors.standard_errors import METHODS
from skem._inputs import typing as _typing
from skem._selection.grid import CRITERIA
from skem.core.gaussian.covariance import SHAPES, STRUCTURES
from skem.core.gaussian.posterior import WEIGHT_PRIORS
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.solve.registry import ACCELERATORS
from skem.datasets import load_faithful

pytestmark = pytest.mark.usefixtures("short_search")

X = load_faithful(as_frame=True).data[::4]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("CovarianceType", SHAPES),
        ("SharedCovarianceType", STRUCTURES),
        ("Algorithm", ACCELERATORS),
        ("InitParams", INITIALIZERS),
        ("Criterion", CRITERIA),
        ("WeightPriorType", WEIGHT_PRIORS),
        ("ErrorMethod", {*METHODS, "bootstrap"}),
    ],
)
def test_literal_types_are_what_is_valid(name, values):
    assert sorted(get_args(getattr(_typing, name))) == sorted(values)


@cache
def fitted():
    return {
        type(estimator).__name__: estimator
        for estimator in (
            skem.GaussianMixture(2, random_state=0).fit(X),
            skem.BayesianGaussianMixture(2, random_state=0).fit(X),
            skem.GaussianMixtureIC((1, 2), n_init=1, random_state=0).fit(X),
            skem.GaussianMixtureRegressor(2).fit(X[["eruptions"]], X.waiting),
            skem.GaussianMixtureImputer(2, random_state=0).fit(X),
            skem.MixtureDiscriminantAnalysis(1).fit(X, X.waiting > 68),
            skem.MixtureOutlierDetector(2, random_state=0).fit(X),
            skem.MixtureModel(2, random_state=0).fit(X),
            skem.MixtureIC((1, 2), covariance_type="full", random_state=0).fit(X),
        )
    }


ESTIMATORS = [
    name for name in skem.__all__ if hasattr(getattr(skem, name), "get_params")
]


def declared(kind):
    return {name for each in kind.__mro__ for name in get_annotations(each)}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fitted_attributes_are_declared(name):
    kind = getattr(skem, name)
    estimator = fitted().get(name) or kind(2, random_state=0).fit(X)
    found = {name for name in vars(estimator) if name[0] != "_" and name[-1] == "_"}
    assert {"n_features_in_", "feature_names_in_"} < found
    assert found <= declared(kind)
    # A declaration has no value: before a fit there is no such attribute.
    unfitted = kind()
    assert not [
        name for name in declared(kind) if name[-1:] == "_" and hasattr(unfitted, name)
    ]


def test_declared_attributes_of_pictures():
    pytest.importorskip("matplotlib")
    for display in (
        skem.MixtureDisplay.from_estimator(fitted()["GaussianMixture"], X),
        skem.TableDisplay.from_estimator(fitted()["MixtureModel"]),
        skem.CriterionDisplay.from_estimator(fitted()["GaussianMixtureIC"]),
        skem.ConvergenceDisplay.from_estimator(
            fitted()["GaussianMixture"], X, max_iter=3
        ),
    ):
        drawn = {name for name in vars(display) if name[-1] == "_"}
        assert drawn and drawn <= declared(type(display))


def test_typed_methods_are_available_as_before():
    assert not hasattr(fitted()["BayesianGaussianMixture"], "bic")
    assert np.isfinite(pickle.loads(pickle.dumps(fitted()["GaussianMixture"])).bic(X))
