"""Standard errors at parameters that are no maximum for the rows: a warning."""

import warnings

import numpy as np
import pytest
from sklearn import mixture

from skem import GaussianMixture, MixtureModel, StudentMixture

SAID = "not at a maximum of the likelihood of these rows: pass the sample_weight and"


@pytest.fixture
def rows(rng):
    """Of two clusters, and which one."""
    k = rng.integers(2, size=400)
    return np.column_stack([rng.normal(2.0 * k), rng.poisson(2 + 3 * k)]), k


KINDS = (MixtureModel, GaussianMixture, StudentMixture)


@pytest.mark.parametrize("method", ["sandwich", "hessian", "opg", "survey"])
@pytest.mark.parametrize("name", ["sample_weight", "labels"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_fit_had_and_errors_have_not_is_asked_for(kind, rows, name, method):
    X, k = rows
    passed = {"sample_weight": 1.0 + 2 * k, "labels": np.where(X[:, 0] > 1, 0, 1)}
    with_it = {name: passed[name]}
    model = kind(2, random_state=0).fit(X, **with_it)
    with pytest.warns(UserWarning, match=SAID) as said:
        model.standard_errors(X, method=method)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.standard_errors(X, method=method, **with_it)


def test_it_is_said_in_place_of_what_rows_do_not_determine(rng):
    k = rng.integers(2, size=300)
    X = (rng.random((300, 5)) < np.array([0.2, 0.8])[k][:, None]).astype(float)
    weight = rng.exponential(size=300) ** 3
    model = MixtureModel(3, families="bernoulli", random_state=0)
    model.fit(X, sample_weight=weight)
    with pytest.warns(UserWarning) as said:
        errors = model.standard_errors(X)
    assert [SAID in str(each.message) for each in said] == [True]
    assert np.isnan(errors.weights).any()


FITTED = {
    "full": (GaussianMixture, {}),
    "shared shape": (GaussianMixture, dict(covariance_type="VVE")),
    "ridge": (GaussianMixture, dict(reg_covar=0.1)),
    "noise": (GaussianMixture, dict(noise=True)),
    "student": (StudentMixture, dict(covariance_type="diag")),
    "table": (MixtureModel, {}),
    "families": (MixtureModel, dict(families={0: "student", 1: "negative_binomial"})),
    "answers": (MixtureModel, dict(families={1: "categorical"})),
}


@pytest.mark.filterwarnings("ignore:Some standard errors of")
@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize("name", list(FITTED))
@pytest.mark.parametrize("more", [{}, {"max_iter": 1}, {"tol": 30, "algorithm": "em"}])
def test_fits_are_not_accused_stopped_or_loose_as_they_may_be(rows, name, more):
    """With heaps, gaps, and rows that weigh nothing."""
    X, _ = rows
    X[::9, 0], X[::11, 1] = 1.0, np.nan
    kind, options = FITTED[name]
    weight = np.arange(400) % 3
    model = kind(3, random_state=0, **options, **more).fit(X, sample_weight=weight)
    model.standard_errors(X, weight, method="hessian")


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("kind", KINDS)
def test_sampling_weights_may_be_in_any_unit(kind, rows, scale):
    X, k = rows
    weight = 1.0 + 2 * k
    model = kind(2, random_state=0).fit(X, sample_weight=weight)
    errors = model.standard_errors(X, scale * weight, method="survey")
    assert np.isfinite(errors.weights).all()


@pytest.mark.filterwarnings("ignore:Some standard errors of")
@pytest.mark.parametrize("kind", KINDS)
def test_streams_and_parts_of_a_mixture_are_at_no_maximum_and_not_accused(kind, rows):
    X, _ = rows
    model = kind(2, random_state=0).fit(X)
    model.marginal([0]).standard_errors(X[:, :1])
    model.partial_fit(X[:200]).standard_errors(X)


def test_mixtures_of_others_are_not_accused(rows):
    X, _ = rows
    theirs = mixture.GaussianMixture(2, tol=0.1, random_state=0).fit(X)
    GaussianMixture.from_sklearn(theirs).standard_errors(X)
