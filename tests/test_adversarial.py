"""Nasty data through the public estimator under its default settings."""

import re
import warnings
from copy import copy
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

from skem import GaussianMixture
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.em import EMMap
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.slow

TYPES = ["full", "tied", "diag", "spherical"]
covariance_types = pytest.mark.parametrize("covariance_type", TYPES)


def fit(X, n_components, covariance_type, sample_weight=None, **params):
    """Fit; warnings of convergence and degenerate components are tolerated."""
    model = GaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0, **params
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        return model.fit(X, sample_weight=sample_weight)


@cache
def _fitted_blobs(covariance_type):
    return fit(blobs()[0], 3, covariance_type)


def fitted_blobs(covariance_type="full"):
    """Return a mixture of the blobs that the caller may change."""
    return copy(_fitted_blobs(covariance_type))


@cache
def scikit_learn_blobs():
    return mixture.GaussianMixture(3, covariance_type="diag").fit(blobs()[0])


def same_partition(a, b):
    return adjusted_rand_score(a, b) == 1


@cache
def blobs(n_samples=150, seed=0):
    """Three unit clusters with centres 8√3 apart, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_samples) % 3
    angle = 2 * np.pi * y / 3
    X = 8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X + rng.normal(size=(n_samples, 2)), y


@cache
def clusters_apart(first_scale, second_scale, distance):
    rng = np.random.default_rng(1)
    first = rng.normal(scale=first_scale, size=(60, 2))
    second = distance + rng.normal(scale=second_scale, size=(60, 2))
    return np.vstack([first, second]), np.repeat([0, 1], 60)


def appended(column):
    return np.column_stack([blobs()[0], column])


def with_outlier(value, cell=False):
    X = blobs()[0].copy()
    X[7, : 1 if cell else None] = value
    return X


def nasty_data():
    """Name -> (X, number of components)."""
    rng = np.random.default_rng(2)
    X, _ = blobs()
    one_hot = np.eye(50)[rng.integers(0, 50, 500)]
    cases = {
        f"{kind} {value:g}": (data, 3)
        for kind, values, make in [
            ("shift", [1e8, -1e12], lambda v: X + v),
            ("scale", [1e-8, 1e8, 1e-150, 1e150, 1e-300, 1e300], lambda v: X * v),
            ("all rows equal", [0, 0.1, 1e8, 1e-300, 1e300], lambda v: 0 * X + v),
            ("constant column", [0, 0.1, 1e8, 1e300], lambda v: appended(0 * X + v)),
            ("outlier", [1e8, 1e20, 1e160, -1e300], with_outlier),
            ("outlying cell", [1e8, 1e160], lambda v: with_outlier(v, cell=True)),
            (
                "nearly collinear",
                [1e-5, 1e-9, 1e-13],
                lambda v: appended(X[:, 0] + v * rng.normal(size=len(X))),
            ),
        ]
        for value in values
        for data in [make(value)]
    }
    cases |= {
        "a scale per column": (X * [1e-12, 1e12], 3),
        "an extreme scale per column": (X * [1e-150, 1e150], 3),
        "duplicates": (np.repeat(X[:10], 15, axis=0), 3),
        "collinear columns": (appended(X.sum(axis=1)), 3),
        "repeated column in other units": (appended(1e6 * X[:, 0]), 3),
        "one-hot": (one_hot, 20),
        "n < d": (rng.normal(size=(20, 50)), 3),
        "n = K": (rng.normal(size=(8, 3)), 8),
        "n = K, one feature": (rng.normal(size=(30, 1)), 30),
        "K > distinct rows": (np.repeat(rng.normal(size=(3, 2)), 5, axis=0), 7),
        "float32 shift 1e4": ((X + 1e4).astype(np.float32), 3),
        "float32 scale 1e-20": ((X * 1e-20).astype(np.float32), 3),
        "float32 scale 1e20": ((X * 1e20).astype(np.float32), 3),
        "float32 constant column": (appended(0 * X + 0.1).astype(np.float32), 3),
        "float32 collinear": (appended(X.sum(axis=1)).astype(np.float32), 3),
        "int64 at 2**40": ((100 * X).astype(np.int64) + 2**40, 3),
        "int8 extremes": (rng.choice([-128, 127], (60, 3)).astype(np.int8), 3),
        "bool": (rng.random((100, 6)) < 0.4, 4),
        "Cauchy": (rng.standard_cauchy((200, 2)), 4),
        "Cauchy cubed": (rng.standard_cauchy((200, 2)) ** 3, 4),
        "clusters of scale 1e-6 and 1e6": (clusters_apart(1e-6, 1e6, 0)[0], 2),
        "clusters 1e10 apart": (clusters_apart(1, 1, 1e10)[0], 2),
        "more components than clusters 1e10 apart": (
            clusters_apart(1e-5, 1e-5, 1e5)[0],
            4,
        ),
        "one row off by 1e-8": (np.append(np.zeros(50), 1e-8)[:, None] + 1, 2),
        "two rows": (np.array([[0.0, 1.0], [2.0, 3.0]]), 2),
        "two rows, one component": (np.array([[0.0, 1.0], [2.0, 3.0]]), 1),
        "two equal rows": (np.ones((2, 2)), 2),
        "two rows at the ends of float64": (np.array([[1e300], [-1e300]]), 2),
    }
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, "u8"):
        cases[f"{np.dtype(dtype)}"] = ((3 * X + 40).astype(dtype), 3)
    return cases


NASTY = nasty_data()
nasty = pytest.mark.parametrize("name", NASTY)


def check_parameters(model):
    """Finite, weights sum to one, covariances positive definite."""
    eps = float(np.finfo(model.means_.dtype).eps)
    for name in ("weights_", "means_", "precisions_cholesky_", "precisions_"):
        assert np.isfinite(getattr(model, name)).all(), name
    # A sum of K rounded numbers.
    assert model.weights_.sum() == pytest.approx(1, abs=len(model.weights_) * eps)
    assert (model.weights_ >= 0).all()
    covariances = model.covariances_.astype(float)
    assert np.isfinite(covariances).all()
    if model.covariance_type in ("diag", "spherical"):
        assert (covariances > 0).all()
        return
    # Factored in units of the standard deviations: Σ itself may be near a limit of
    # the floating-point range.
    diagonal = np.einsum("...ii->...i", covariances)
    assert (diagonal > 0).all()
    sd = np.sqrt(diagonal)
    correlations = covariances / sd[..., :, None] / sd[..., None, :]
    np.linalg.cholesky(correlations)
    assert (np.einsum("...ii->...i", model.precisions_cholesky_) > 0).all()


def check_outputs(model, X):
    """Finite scores, probabilities that sum to one, labels that are their argmax."""
    scores, resp = model.score_samples(X), model.predict_proba(X)
    assert np.isfinite(scores).all()
    # A sum of K rounded numbers.
    atol = model.n_components * np.finfo(resp.dtype).eps
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=0, atol=4 * atol)
    assert (resp >= 0).all()
    np.testing.assert_array_equal(model.predict(X), resp.argmax(axis=1))


def check_scores(model, X, sample_weight=None):
    """`lower_bound_` is the score, and the criteria are finite."""
    score = model.score(X, sample_weight=sample_weight)
    # What the rounding of the attributes, and of data to them, may change: their
    # first-order effect vanishes at an optimum. The shift of 1e12 standard deviations
    # needs the most.
    rtol = 1e-4 if model.means_.dtype == np.float32 else 1e-7
    assert model.lower_bound_ == pytest.approx(score, rel=rtol, abs=rtol)
    assert len(model.lower_bounds_) == model.n_iter_
    assert np.isfinite(model.lower_bounds_).all()
    for criterion in (model.aic, model.bic, model.icl):
        assert np.isfinite(criterion(X, sample_weight=sample_weight))


def far_queries(n_features, dtype):
    if dtype == np.float32:
        values = [0, 1e37, -3e38]
    else:
        values = [0, 1e160, -1e300]
    queries = np.array(values, dtype)[:, None] * np.ones(n_features, dtype)
    signs = np.where(np.arange(n_features) % 2, -1, 1).astype(dtype)
    return np.vstack([queries, queries * signs])


@nasty
@covariance_types
def test_nasty_data_give_a_sound_mixture(name, covariance_type):
    X, n_components = NASTY[name]
    model = fit(X, n_components, covariance_type)
    check_parameters(model)
    check_outputs(model, X)
    check_outputs(model, far_queries(X.shape[1], model.means_.dtype))
    check_scores(model, X)


@pytest.mark.parametrize("scale", [1e-37, 1e37])
@covariance_types
def test_float32_data_near_the_ends_of_the_range(scale, covariance_type):
    """Precisions or covariances are out of range, and at its limit."""
    X, _ = clusters_apart(1e-4, 1e-4, 1)
    X = (X * scale).astype(np.float32)
    model = fit(X, 2, covariance_type)
    check_parameters(model)
    check_outputs(model, X)
    check_outputs(model, far_queries(2, np.float32))


@covariance_types
def test_denormal_data_give_a_sound_mixture(covariance_type):
    """Precisions overflow and are at the limit, so that scores are not exact."""
    X = np.array([[5e-324], [1e-323], [0.0]] * 5)
    model = fit(X, 2, covariance_type)
    check_parameters(model)
    check_outputs(model, X)
    check_outputs(model, far_queries(1, float))


# The same problem in other units or another type ------------------------------------

SAME_PROBLEM = {
    "shift 1e8": lambda X: X + 1e8,
    "shift -1e12": lambda X: X - 1e12,
    "another shift per column": lambda X: X + np.array([1e10, -3e3]),
    "scale 1e-8": lambda X: X * 1e-8,
    "scale 1e8": lambda X: X * 1e8,
    "scale 1e-150": lambda X: X * 1e-150,
    "scale 1e150": lambda X: X * 1e150,
    "scale 1e-300": lambda X: X * 1e-300,
    "scale 1e300": lambda X: X * 1e300,
    "reflection": lambda X: -X,
    "float32 at 1e4": lambda X: (X + 1e4).astype(np.float32),
    "float32 scale 1e-20": lambda X: (X * 1e-20).astype(np.float32),
    "float32 scale 1e20": lambda X: (X * 1e20).astype(np.float32),
    "int8": lambda X: np.rint(5 * X).astype(np.int8),
    "int16": lambda X: np.rint(1000 * X).astype(np.int16),
    "uint64": lambda X: np.rint(1000 * (X + 50)).astype(np.uint64),
    "int64 at 2**40": lambda X: np.rint(1000 * X).astype(np.int64) + 2**40,
}


@pytest.mark.parametrize("change", SAME_PROBLEM.values(), ids=SAME_PROBLEM)
@covariance_types
def test_labels_do_not_depend_on_units_or_type(change, covariance_type):
    X, y = blobs()
    assert same_partition(fitted_blobs(covariance_type).predict(X), y)
    X = change(X)
    assert same_partition(fit(X, 3, covariance_type).predict(X), y)


@pytest.mark.parametrize("change", [[1e-12, 1e12], [1e-150, 1e150]], ids=str)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_labels_do_not_depend_on_the_scale_of_a_column(change, covariance_type):
    X, y = blobs()
    assert same_partition(fit(X * change, 3, covariance_type).predict(X * change), y)


@pytest.mark.parametrize(
    ("seed", "exponent"),
    [(0, -100), (1, -7), (2, 40), (3, 300), (4, 17), (5, -30), (6, 17), (7, -30)],
)
@covariance_types
def test_scaling_by_a_power_of_two_is_exact(seed, exponent, covariance_type):
    """Also where rows are equally far from two seeds, and rounding would decide."""
    X = np.random.default_rng(seed).integers(0, 3, (24, 3)).astype(float)
    model = fit(X, 4, covariance_type)
    factor = 2.0**exponent
    scaled = fit(X * factor, 4, covariance_type)
    assert scaled.n_iter_ == model.n_iter_
    np.testing.assert_array_equal(scaled.predict(X * factor), model.predict(X))
    # No rounding happens that did not happen before, but that of the logarithm.
    np.testing.assert_allclose(
        scaled.means_, model.means_ * factor, rtol=1e-12, atol=1e-12 * factor
    )
    shift = X.shape[1] * exponent * np.log(2)
    assert scaled.lower_bound_ + shift == pytest.approx(model.lower_bound_, abs=1e-10)


@pytest.mark.parametrize("constant", [0, 0.1, 1e8, 1e300])
@covariance_types
def test_a_constant_column_changes_no_label(constant, covariance_type):
    X = appended(np.full(150, constant))
    assert same_partition(fit(X, 3, covariance_type).predict(X), blobs()[1])


@covariance_types
def test_float32_constant_column_is_scored_about_a_representable_point(covariance_type):
    """Rounding 1e22 to float32 moves it by 1e17 of the other columns' units."""
    X, y = blobs()
    X = np.column_stack([1e-3 * X, np.full(150, 1e22)]).astype(np.float32)
    model = fit(X, 3, covariance_type)
    assert same_partition(model.predict(X), y)
    check_scores(model, X)


@covariance_types
def test_float32_labels_at_the_resolution_of_the_type(covariance_type):
    """At 1e4, float32 values are 1e-3 apart: a tenth of a standard deviation."""
    X, y = blobs()
    X = (1e-2 * X + 1e4).astype(np.float32)
    model = fit(X, 3, covariance_type)
    assert same_partition(model.predict(X), y)
    # Means are rounded by up to 5e-4, a twentieth of a standard deviation δ; the mean
    # log-likelihood changes by up to δ²/2 per feature.
    assert model.lower_bound_ == pytest.approx(model.score(X), abs=5e-3)


@pytest.mark.parametrize("noise", [0, 1e-13, 1e-9, 1e-5])
@covariance_types
def test_a_repeated_column_changes_no_label(noise, covariance_type):
    rng = np.random.default_rng(4)
    X = appended(blobs()[0][:, 0] + noise * rng.normal(size=150))
    assert same_partition(fit(X, 3, covariance_type).predict(X), blobs()[1])


@covariance_types
def test_clusters_far_apart_are_found(covariance_type):
    X, y = clusters_apart(1, 1, 1e10)
    model = fit(X, 2, covariance_type)
    assert same_partition(model.predict(X), y)
    for k in range(2):
        mean = X[model.predict(X) == k].mean(axis=0)
        # 1e-16 of the distance is 1e-6 standard deviations.
        np.testing.assert_allclose(model.means_[k], mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_clusters_of_very_different_scale_are_found(covariance_type):
    X, y = clusters_apart(1e-6, 1e6, 0)
    labels = fit(X, 2, covariance_type).predict(X)
    # The penalty widens the narrow cluster to √(ε/n_k) ≈ 1/20 of the other one's
    # standard deviation, which may hold a row or two of that.
    assert adjusted_rand_score(labels, y) > 0.9


@pytest.mark.parametrize("far", [1e2, -1e3])
@covariance_types
def test_a_component_to_spare_takes_the_outlier(far, covariance_type):
    X, y = blobs()
    model = fit(np.vstack([X, [far, far]]), 4, covariance_type, n_init=5)
    labels = model.predict(np.vstack([X, [far, far]]))
    if covariance_type != "tied":
        assert same_partition(labels[:-1], y)
    assert labels[-1] not in labels[:-1]


@pytest.mark.parametrize("far", [1e9, 1e160, -1e300])
@covariance_types
def test_a_far_query_belongs_to_the_component_on_its_side(far, covariance_type):
    X, _ = clusters_apart(1, 1, 50)
    means = fit(X, 2, covariance_type).means_
    # Equal spreads, so that only the means decide.
    model = GaussianMixture.from_parameters(
        [0.5, 0.5],
        means,
        {
            "full": np.tile(np.eye(2), (2, 1, 1)),
            "tied": np.eye(2),
            "diag": np.ones((2, 2)),
            "spherical": np.ones(2),
        }[covariance_type],
        covariance_type,
    )
    nearest = (means.sum(axis=1) * np.sign(far)).argmax()
    assert model.predict(np.full((1, 2), far))[0] == nearest


@pytest.mark.parametrize("seed", range(5))
def test_queries_whose_squares_nearly_overflow(seed):
    """Of x², xy and y² times their coefficients, some overflow, to either sign."""
    rng = np.random.default_rng(seed)
    rotations = np.linalg.qr(rng.normal(size=(3, 3, 3)))[0]
    variances = 10 ** rng.uniform(-5, 1, (3, 3))
    model = GaussianMixture.from_parameters(
        np.full(3, 1 / 3),
        rng.normal(size=(3, 3)),
        (rotations * variances[:, None]) @ np.swapaxes(rotations, 1, 2),
    )
    sizes = 10 ** rng.uniform(150, 156, (200, 1))
    check_outputs(model, rng.normal(size=(200, 3)) * sizes)


@covariance_types
def test_far_queries_are_scored_to_a_relative_precision(covariance_type):
    """Against extended precision, from one to 1e14 standard deviations."""
    X, _ = blobs()
    model = fit(X, 3, covariance_type)
    rng = np.random.default_rng(9)
    queries = rng.normal(size=(100, 2)) * 10 ** rng.uniform(0, 14, (100, 1))
    dense = {
        "full": model.precisions_,
        "tied": np.tile(model.precisions_, (3, 1, 1)),
        "diag": np.stack([np.diag(p) for p in np.atleast_2d(model.precisions_)]),
        "spherical": np.ravel(model.precisions_)[:, None, None] * np.eye(2),
    }
    precisions = dense[covariance_type].astype(np.longdouble)
    offsets = queries[:, None] - model.means_.astype(np.longdouble)
    squares = np.einsum("nki,kij,nkj->nk", offsets, precisions, offsets)
    log_dets = np.linalg.slogdet(precisions.astype(float))[1]
    constants = np.log(model.weights_) + 0.5 * log_dets - np.log(2 * np.pi)
    joint = constants - 0.5 * squares
    top = joint.max(axis=1)
    expected = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    # Condition numbers here are below a hundred: 1e-16 of each term.
    np.testing.assert_allclose(
        model.score_samples(queries), expected.astype(float), rtol=1e-12, atol=1e-12
    )


def test_an_outlier_beside_an_emptied_component_has_no_positive_log_density():
    """A point 1e10 standard deviations off, near a component of no weight."""
    model = GaussianMixture.from_parameters(
        [1, 0], [[0.0], [1e12]], [1.0, 1e4], covariance_type="spherical"
    )
    assert np.isfinite(model.score_samples([[1e12]])).all()
    assert (model.score_samples([[1e12], [1e12 + 50], [1e15]]) < 0).all()


@covariance_types
@pytest.mark.parametrize("size", [1e3, 1e5, 1e8])
def test_an_outlier_does_not_hide_the_clusters(covariance_type, size):
    """Its share in the covariance of the data once drowned them in the penalty."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [14.0, 0.0], [0.0, 14.0]])
    labels = np.repeat([0, 1, 2], 200)
    X = np.vstack([centres[labels] + rng.normal(size=(600, 2)), [[size, size]]])
    model = GaussianMixture(
        4, covariance_type=covariance_type, n_init=3, random_state=0
    )
    if covariance_type == "tied":
        # A mean alone is what a component needs there.
        assert len(model.fit(X).degenerate_components_) == 0
    else:
        with pytest.warns(DegenerateComponentsWarning, match="rests on row 600 alone"):
            model.fit(X)
        outlier = model.predict(X[600:]).tolist()
        assert model.degenerate_components_.tolist() == outlier
    assert adjusted_rand_score(labels, model.predict(X[:600])) == 1
    assert model.predict(X[600:]) not in model.predict(X[:600])


# The objective ----------------------------------------------------------------------


def penalised_loglik(model, X, make_blocks):
    """ℓ_p of Chen & Tan (2009) for full covariances, from the public attributes."""
    K = len(model.means_)
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], K, "auto")
    # Λ is that of clusters, in coordinates.
    widths = 1 / em.coordinates.scale
    target = em.regularization.target * np.outer(widths, widths)
    epsilon = 2 / np.sqrt(len(X))
    precisions = np.linalg.inv(model.covariances_)
    traces = np.einsum("ij,kji->k", target, precisions)
    log_dets = np.linalg.slogdet(model.covariances_)[1]
    loglik = model.score_samples(X).sum()
    return loglik - 0.5 * epsilon * (traces + log_dets).sum()


@pytest.mark.parametrize("name", ["Cauchy", "outlier 1e+08", "shift 1e+08"])
def test_no_step_lowers_the_penalised_likelihood(name, make_blocks):
    X, n_components = NASTY[name]
    model = fit(X, n_components, "full", max_iter=1, warm_start=True)
    objectives = []
    for _ in range(15):
        objectives.append(penalised_loglik(model, X, make_blocks))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", DegenerateComponentsWarning)
            model.fit(X)
    # What the rounding of means at 1e8 standard deviations changes.
    tolerance = 1e-8 * abs(objectives[-1])
    assert np.diff(objectives).min() > -tolerance
    assert objectives[-1] >= objectives[0] - tolerance


@pytest.mark.parametrize("weight", [1, 1e4, 1e8])
@pytest.mark.parametrize("noise", [0, 1e-9, 1e-5])
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_collinear_columns_of_many_samples_converge(noise, weight, covariance_type):
    """150 rows of weight w stand for 150 w samples."""
    rng = np.random.default_rng(5)
    X = appended(blobs()[0].sum(axis=1) + noise * rng.normal(size=150))
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    model.fit(X, sample_weight=np.full(150, weight))
    check_parameters(model)
    assert same_partition(model.predict(X), blobs()[1])
    assert model.n_iter_ < 50
    # The penalty may lower the mean log-likelihood by about εK/N, and rounding of W_k
    # in the collinear direction by 1e-16/1e-12. Noise there was 0.1 to 4 nats.
    assert np.diff(model.lower_bounds_).min() > -1e-4


# Weights ----------------------------------------------------------------------------


@pytest.mark.parametrize("wild", [1e200, -1e300])
@covariance_types
def test_rows_of_weight_zero_are_as_if_left_out(wild, covariance_type):
    X, _ = blobs()
    rows = np.vstack([X, np.full((5, 2), wild), X[:3] + 100])
    weight = np.append(np.ones(150), np.zeros(8))
    model = fit(rows, 3, covariance_type, sample_weight=weight)
    expected = fitted_blobs(covariance_type)
    # The sums are the same; BLAS may order them differently, and rounding decides
    # which of two equally good moves is tried, and so the order of the components.
    order, theirs = (np.argsort(m.means_[:, 0]) for m in (model, expected))
    np.testing.assert_allclose(model.means_[order], expected.means_[theirs], rtol=1e-10)
    if covariance_type == "tied":
        order = theirs = slice(None)
    np.testing.assert_allclose(
        model.covariances_[order],
        expected.covariances_[theirs],
        rtol=1e-10,
        atol=1e-10,
    )
    assert model.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-10)
    check_outputs(model, rows)
    check_scores(model, rows, weight)


WEIGHTS = {
    "total 1e-12": lambda n, rng: np.full(n, 1e-12 / n),
    "total 1e12": lambda n, rng: np.full(n, 1e12 / n),
    "spread over six decades": lambda n, rng: 10 ** rng.uniform(-3, 3, n),
    "spread over twenty decades": lambda n, rng: 10 ** rng.uniform(-10, 10, n),
    "one row of weight": lambda n, rng: np.arange(n) == 7,
    "denormal": lambda n, rng: np.where(np.arange(n) % 2, 5e-324, 1.0),
    "integers": lambda n, rng: rng.integers(0, 3, n),
}
WEIGHTED = [
    "shift 1e+08",
    "constant column 0.1",
    "Cauchy",
    "duplicates",
    "outlier 1e+08",
]


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@covariance_types
def test_nasty_weights_give_a_sound_mixture(weights, name, covariance_type):
    X, n_components = NASTY[name]
    weight = weights(len(X), np.random.default_rng(6))
    n_components = min(n_components, np.count_nonzero(weight))
    model = fit(X, n_components, covariance_type, sample_weight=weight)
    check_parameters(model)
    check_outputs(model, X)
    check_outputs(model, far_queries(X.shape[1], float))
    check_scores(model, X, weight)


@pytest.mark.parametrize(
    ("covariance_type", "weights"),
    [("diag", "spread over six decades"), ("full", "total 1e12")],
)
def test_a_flat_objective_ends_the_fit(covariance_type, weights):
    """One component dies out, which changes no digit of the objective."""
    X, n_components = NASTY["outlier 1e+08"]
    weight = WEIGHTS[weights](len(X), np.random.default_rng(6))
    model = fit(X, n_components, covariance_type, sample_weight=weight)
    # The last digit is reached within 30 steps.
    assert model.n_iter_ < 150


@covariance_types
def test_the_total_weight_changes_no_label_of_clear_clusters(covariance_type):
    X, y = blobs()
    model = fit(X, 3, covariance_type, sample_weight=np.full(150, 1e10))
    assert same_partition(model.predict(X), y)


# Input variety ----------------------------------------------------------------------


class Convertible:
    """Known only by `__array__`."""

    def __init__(self, X):
        self._X = X

    def __array__(self, dtype=None, copy=None):
        return np.array(self._X, dtype=dtype)


def strided(X):
    wide = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mixed_frame(X):
    columns = {"a": X[:, 0].astype(int), "b": X[:, 1], "c": X[:, 2].astype(np.int8)}
    return pd.DataFrame(columns)


VARIETY = {
    "int8": lambda X: X.astype(np.int8),
    "int32": lambda X: X.astype(np.int32),
    "int64": lambda X: X.astype(np.int64),
    "big-endian int32": lambda X: X.astype(">i4"),
    "big-endian float64": lambda X: X.astype(">f8"),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "object": lambda X: X.astype(object),
    "Fortran order": np.asfortranarray,
    "Fortran int16": lambda X: np.asfortranarray(X.astype(np.int16)),
    "non-contiguous": strided,
    "negative strides": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "DataFrame": lambda X: pd.DataFrame(X, columns=["a", "b", "c"]),
    "DataFrame of mixed types": mixed_frame,
    "DataFrame of Int64": lambda X: pd.DataFrame(X).astype("Int64"),
    "nested lists": lambda X: X.tolist(),
    "list of rows": list,
    "__array__": Convertible,
}
METHODS = ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"]


@cache
def integer_blobs():
    """Small integers, which every type holds exactly; the third column is 0 or 1."""
    X, _ = blobs()
    rng = np.random.default_rng(7)
    return np.column_stack([np.rint(4 * X), rng.integers(0, 2, 150)])


@cache
def fitted_integer_blobs(covariance_type):
    return fit(integer_blobs(), 3, covariance_type)


def check_same_results(expected, X, variant):
    """Check fits and results of `variant` against those of X, which is float64."""
    n_components, covariance_type = expected.n_components, expected.covariance_type
    model = fit(variant, n_components, covariance_type)
    # One computation in float64; the layout may change the order of summation.
    tolerances = {"rtol": 1e-9, "atol": 1e-9}
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        actual = getattr(model, name)
        assert np.asarray(actual).dtype == float
        np.testing.assert_allclose(actual, getattr(expected, name), **tolerances)
    for name in METHODS:
        actual = getattr(model, name)(variant)
        np.testing.assert_allclose(actual, getattr(expected, name)(X), **tolerances)


@pytest.mark.parametrize("make", VARIETY.values(), ids=VARIETY)
@covariance_types
def test_every_kind_of_input_gives_what_float64_gives(make, covariance_type):
    X = integer_blobs()
    check_same_results(fitted_integer_blobs(covariance_type), X, make(X))


@covariance_types
def test_bool_gives_what_float64_gives(covariance_type):
    X = np.random.default_rng(8).random((100, 5)) < 0.4
    check_same_results(fit(X.astype(float), 2, covariance_type), X.astype(float), X)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_a_memmap_gives_what_an_array_gives(tmp_path, dtype):
    X = integer_blobs()
    path = tmp_path / "X.npy"
    np.save(path, X.astype(dtype))
    check_same_results(fitted_integer_blobs("full"), X, np.load(path, mmap_mode="r"))


def test_float32_gives_what_float64_gives_beyond_rounding():
    X = integer_blobs()
    single = fit(X.astype(np.float32), 3, "full")
    double = fit(X, 3, "full")
    assert single.means_.dtype == np.float32
    # Rounding may decide about the order of the components.
    means = [m.means_[np.argsort(m.means_[:, 1])] for m in (single, double)]
    # 150 terms of 1e-7 each, at values of up to 40.
    np.testing.assert_allclose(*means, rtol=1e-4, atol=1e-4)
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-4)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, bool, np.float32, np.float16])
def test_weights_of_any_type_give_what_float64_gives(dtype):
    X = integer_blobs()
    weight = (np.arange(150) % 5 > 0).astype(float)
    actual = fit(X, 3, "full", sample_weight=weight.astype(dtype))
    expected = fit(X, 3, "full", sample_weight=weight)
    np.testing.assert_array_equal(actual.means_, expected.means_)
    listed = fit(X, 3, "full", sample_weight=weight.tolist())
    np.testing.assert_array_equal(listed.means_, expected.means_)


def test_neither_data_nor_parameters_are_written_to():
    X, weight = integer_blobs(), np.ones(150)
    starts = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": X[:3].copy(),
        "precisions_init": np.tile(np.eye(3), (3, 1, 1)),
    }
    kept = SimpleNamespace(X=X.copy(), starts={k: v.copy() for k, v in starts.items()})
    fit(X, 3, "full", sample_weight=weight, **starts)
    np.testing.assert_array_equal(X, kept.X)
    np.testing.assert_array_equal(weight, 1)
    for name, value in starts.items():
        np.testing.assert_array_equal(value, kept.starts[name])


# Errors -----------------------------------------------------------------------------


def replaced(value):
    X = blobs()[0].copy()
    X[3, 1] = value
    return X


BAD_DATA = {
    "inf": replaced(np.inf),
    "-inf": replaced(-np.inf),
    "None": None,
    "scalar": 3.0,
    "one dimension": np.arange(5.0),
    "three dimensions": np.ones((4, 3, 2)),
    "no rows": np.empty((0, 2)),
    "no columns": np.empty((5, 0)),
    "empty list": [],
    "one row": np.ones((1, 2)),
    "too few rows": np.ones((2, 2)),
    "complex": blobs()[0] + 1j,
    "sparse": sparse.csr_array(blobs()[0]),
    "strings": np.array([["a", "b"], ["c", "d"], ["e", "f"]]),
    "objects": np.array([[1, "b"], [2, None], [3, {}]], dtype=object),
    "ragged": [[1.0, 2.0], [3.0]],
    "inf in a DataFrame": pd.DataFrame(replaced(np.inf)),
}


def failure(call, *args, **kwargs):
    """Return the type and the message of what a call raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with pytest.raises((ValueError, TypeError)) as raised:
            call(*args, **kwargs)
    # Where a column is named, that follows what scikit-learn says.
    told = re.sub(r", in column .+\.$", ".", str(raised.value))
    message, _, column = told.partition(". Column ")
    return raised.type, message.partition("\n")[0] if column else message


def said(call, *args, **kwargs):
    """Return what scikit-learn raises, without the data that it shows."""
    kind, message = failure(call, *args, **kwargs)
    shows_data = message.startswith("Complex data")
    return kind, message.partition("\n")[0] if shows_data else message


def state(model):
    return dict(vars(model))


def check_unchanged(model, before):
    after = state(model)
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert after[name] is value, name


@pytest.mark.parametrize("X", BAD_DATA.values(), ids=BAD_DATA)
@covariance_types
def test_bad_data_fail_as_in_scikit_learn_and_change_nothing(X, covariance_type):
    params = {"n_components": 3, "covariance_type": covariance_type}
    expected = said(mixture.GaussianMixture(**params).fit, X)
    new = GaussianMixture(**params)
    before = state(new)
    assert failure(new.fit, X) == expected
    check_unchanged(new, before)
    fitted = fitted_blobs(covariance_type)
    before = state(fitted)
    assert failure(fitted.fit, X) == expected
    check_unchanged(fitted, before)


BAD_QUERIES = ["inf", "one dimension", "no rows", "complex", "sparse"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "X",
    [*(BAD_DATA[name] for name in BAD_QUERIES), np.ones((4, 3)), np.ones((4, 1))],
    ids=[*BAD_QUERIES, "too many columns", "too few columns"],
)
def test_bad_queries_fail_as_in_scikit_learn(X, method):
    model, peer = fitted_blobs("diag"), scikit_learn_blobs()
    like = "bic" if method == "icl" else method
    expected = said(getattr(peer, like), X)
    before = state(model)
    assert failure(getattr(model, method), X) == expected
    check_unchanged(model, before)


@pytest.mark.parametrize("method", METHODS)
def test_an_unfitted_mixture_says_so_as_in_scikit_learn(method):
    like = "bic" if method == "icl" else method
    with pytest.raises(NotFittedError) as expected:
        getattr(mixture.GaussianMixture(), like)(blobs()[0])
    with pytest.raises(NotFittedError) as raised:
        getattr(GaussianMixture(), method)(blobs()[0])
    assert str(raised.value) == str(expected.value)


def test_sample_fails_for_no_rows():
    model = GaussianMixture().fit(blobs()[0])
    assert failure(model.sample, 0) == (
        ValueError,
        "Invalid value for 'n_samples': 0 . The sampling requires at least one sample.",
    )


BAD_PARAMETERS = [
    {"n_components": 0},
    {"n_components": 1.5},
    {"n_components": "2"},
    {"covariance_type": "diagonal"},
    {"covariance_type": ["full"]},
    {"tol": -1},
    {"tol": None},
    {"tol": np.nan},
    {"max_iter": -1},
    {"max_iter": 10.0},
    {"n_init": 0},
    {"weights_init": "even"},
    {"random_state": "zero"},
    {"warm_start": 1},
    {"verbose": -1},
    {"verbose_interval": 0},
]


@pytest.mark.parametrize("params", BAD_PARAMETERS, ids=str)
def test_bad_parameters_fail_as_in_scikit_learn(params):
    X, _ = blobs()
    if params == {"tol": np.nan} or {"covariance_type", "n_init"} & set(params):
        # NaN passes scikit-learn's interval; a set of names has no order; n_init may
        # be "auto" as well.
        expected = None
    else:
        expected = failure(mixture.GaussianMixture(**params).fit, X)
    fitted = fitted_blobs().set_params(**params)
    before = state(fitted)
    actual = failure(fitted.fit, X)
    check_unchanged(fitted, before)
    assert expected in (None, actual)


@pytest.mark.parametrize("reg_covar", [-1e-6, "none", None, np.inf, np.nan])
def test_bad_reg_covar_fails(reg_covar):
    fitted = fitted_blobs().set_params(reg_covar=reg_covar)
    before = state(fitted)
    kind, message = failure(fitted.fit, blobs()[0])
    assert kind is not TypeError
    assert "reg_covar" in message
    check_unchanged(fitted, before)


def bad_starts(covariance_type):
    """Yield starts that do not fit three components in two features."""
    good = {
        "full": np.tile(np.eye(2), (3, 1, 1)),
        "tied": np.eye(2),
        "diag": np.ones((3, 2)),
        "spherical": np.ones(3),
    }[covariance_type]
    yield {"weights_init": [0.5, 0.5]}
    yield {"weights_init": [0.5, 0.4, 0.4]}
    yield {"weights_init": [[0.2, 0.3, 0.5]]}
    yield {"weights_init": [0.2, np.nan, 0.5]}
    yield {"means_init": np.ones((2, 2))}
    yield {"means_init": np.ones((3, 3))}
    yield {"means_init": np.ones(3)}
    yield {"means_init": np.full((3, 2), np.inf)}
    yield {"precisions_init": np.concatenate([good, good])}
    yield {"precisions_init": good * np.nan}
    yield {"precisions_init": -good}
    yield {"precisions_init": 0 * good}
    if covariance_type in ("full", "tied"):
        yield {"precisions_init": good * [[1, 1], [0, 1]] + [[0, 1], [0, 0]]}


@pytest.mark.parametrize(
    ("covariance_type", "start"),
    [(name, start) for name in TYPES for start in bad_starts(name)],
    ids=str,
)
def test_bad_starts_fail_as_in_scikit_learn(covariance_type, start):
    X, _ = blobs()
    params = {"n_components": 3, "covariance_type": covariance_type, **start}
    expected = failure(mixture.GaussianMixture(**params).fit, X)
    fitted = fitted_blobs(covariance_type).set_params(**start)
    before = state(fitted)
    assert failure(fitted.fit, X) == expected
    check_unchanged(fitted, before)


def test_a_negative_weight_to_start_from_fails():
    """In scikit-learn's words, but for its exchange of the two values."""
    model = GaussianMixture(3, weights_init=[-0.5, 0.5, 1.0])
    assert failure(model.fit, blobs()[0]) == (
        ValueError,
        "The parameter 'weights' should be in the range [0, 1], but got max value "
        "1.00000, min value -0.50000",
    )


BAD_WEIGHTS = {
    "negative": (np.where(np.arange(150) == 4, -1.0, 1.0), "Negative values"),
    "all zero": (np.zeros(150), "at least one non-zero"),
    "too short": (np.ones(149), r"sample_weight.shape == \(149,\)"),
    "too long": (np.ones(151), r"sample_weight.shape == \(151,\)"),
    "matrix": (np.ones((150, 1)), "1D array|1d array"),
    "NaN": (np.full(150, np.nan), "contains NaN"),
    "inf": (np.full(150, np.inf), "contains infinity"),
    "complex": (np.ones(150) * 1j, "Complex data not supported"),
    "strings": (np.full(150, "heavy"), "could not convert"),
    "denormal sum": (np.full(150, 5e-324), "Sample weights add up to 7.41e-322"),
    "infinite sum": (np.full(150, 1e307), "Sample weights add up to inf"),
    "positive for two rows of three components": (
        (np.arange(150) < 2).astype(float),
        "Expected n_samples >= n_components but got n_components = 3, n_samples = 2",
    ),
}


@pytest.mark.parametrize(("weight", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights_fail_and_change_nothing(weight, message):
    X, _ = blobs()
    fitted = fitted_blobs()
    before = state(fitted)
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, sample_weight=weight)
    check_unchanged(fitted, before)
    if not message.startswith("Expected"):
        for method in ("score", "bic", "aic", "icl"):
            with pytest.raises(ValueError, match=message):
                getattr(fitted, method)(X, sample_weight=weight)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@covariance_types
def test_without_regularisation_degenerate_data_fail_as_in_scikit_learn(
    dtype, covariance_type
):
    X = np.ones((12, 2), dtype)
    params = {"covariance_type": covariance_type, "n_components": 2, "reg_covar": 0.0}
    fitted = fit(X, 2, covariance_type).set_params(reg_covar=0.0)
    before = state(fitted)
    kind, message = failure(mixture.GaussianMixture(random_state=0, **params).fit, X)
    assert message.startswith("Fitting the mixture model failed because some")
    # scikit-learn's advice after this has grown from version to version.
    head = "Try to decrease the number of components, "
    found, words = failure(fitted.fit, X)
    assert found is kind
    assert words.partition(head)[:2] == message.partition(head)[:2]
    check_unchanged(fitted, before)


@covariance_types
def test_without_regularisation_a_constant_column_fails(covariance_type):
    """scikit-learn finds variances of 1e-15 here, from rounding."""
    X = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    model = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.0)
    kind, message = failure(model.fit, X)
    assert kind is ValueError
    assert "ill-defined empirical covariance" in message


# What random data sets found (the search is in test_nasty_data.py) --------------------


@covariance_types
def test_finite_data_whose_sum_overflows_fit_without_a_warning(covariance_type):
    # Partial sums are infinite, of either sign.
    X = np.tile(np.repeat([1.5e308, -1.6e308], 4), 2)[:, None]
    model = fit(X, 2, covariance_type)
    check_parameters(model)
    check_outputs(model, X)
    assert same_partition(model.predict(X), X[:, 0] > 0)


@covariance_types
def test_a_huge_constant_column_is_scored_without_a_warning(covariance_type):
    """Its rounded mean makes precisions overflow in the scoring's coordinates."""
    X = np.random.default_rng(0).normal(size=(23, 2))
    X = np.column_stack([X, np.full(23, -3.47864563e196)])
    model = fit(X, 8, covariance_type)
    check_parameters(model)
    check_outputs(model, X)


@pytest.mark.parametrize("n_samples", [3, 150])
@covariance_types
def test_single_precision_does_not_drown_small_eigenvalues(n_samples, covariance_type):
    """Scatter rounded to float32 had, and the likelihood jumped by nats per sample."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 3)).astype(np.float32)
    X[:, 2] = X[:, 0] + X[:, 1]
    expected = fit(X.astype(float), 1, covariance_type).lower_bound_
    model = fit(X, 1, covariance_type)
    # Statistics of float32 logits, where these are precise enough.
    np.testing.assert_allclose(model.lower_bounds_, expected, rtol=1e-5)


def test_a_start_in_mixed_units_is_positive_definite():
    """Eigenvalues of its precisions are 1e22 apart, and one was rounded below zero."""
    X, y = blobs()
    X = appended(np.random.default_rng(0).normal(size=(150, 2)))
    units = np.array([1e3, 1e8, 1e-8, 1.0])
    precision = (1.3 * np.eye(4) - 0.3) / np.outer(units, units)
    starts = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": units * [X[y == k].mean(axis=0) for k in range(3)],
    }
    model = fit(X * units, 3, "full", precisions_init=[precision] * 3, **starts)
    assert same_partition(model.predict(X * units), y)
    model = fit(X * units, 3, "tied", precisions_init=precision, **starts)
    assert same_partition(model.predict(X * units), y)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[0, 1e8], [1e-307, 1e300]]),
        np.array([[1e-300, 0, 1e8], [-1e-307, -1e-92, 1e8]]),
        np.array([[1e-92, 0, 1e300], [-1e-92, 1, 1e300]]),
    ],
    ids=["narrow", "denormal", "wide"],
)
@pytest.mark.parametrize("n_components", [1, 2])
@covariance_types
def test_two_rows_at_both_ends_of_the_range_and_tiny_weights(
    X, n_components, covariance_type
):
    """Scales and precisions had overflowed, with a warning, in scoring."""
    model = fit(X, n_components, covariance_type, sample_weight=[8e-9, 1.5e-10])
    check_parameters(model)
    check_outputs(model, X)


# A few rows far from all others -----------------------------------------------------


def beside_outliers(value, n_features, n_outliers, dtype=float):
    """Three clusters with some rows far away in some features, and which are not."""
    rng = np.random.default_rng(0)
    centers = 6 * rng.normal(size=(3, n_features))
    X = centers[np.arange(900) % 3] + rng.normal(size=(900, n_features))
    rows = rng.choice(900, n_outliers, replace=False)
    cells = rng.random((n_outliers, n_features)) < 0.4
    cells[:, 0] = True
    signs = rng.choice([-value, value], cells.shape)
    X[rows] = np.where(cells, signs, X[rows])
    ordinary = np.ones(900, bool)
    ordinary[rows] = False
    return X.astype(dtype), ordinary


@pytest.mark.parametrize(
    # Searches in 30 features beside three of them take up to ten seconds.
    "n_features, n_outliers",
    [(5, 1), (5, 3), (12, 1), (12, 3), (24, 3), (30, 1)],
)
@pytest.mark.parametrize("value", [1e8, 1e14, 1e20])
def test_outliers_leave_full_covariances_of_the_others(value, n_features, n_outliers):
    """At worst a component is lost to them; the others had been as wide as they are."""
    X, ordinary = beside_outliers(value, n_features, n_outliers)
    found = fit(X, 4, "full").score(X[ordinary])
    assert found > fit(X[ordinary], 2, "full").score(X[ordinary]) - 0.1
    assert found < fit(X[ordinary], 3, "full").score(X[ordinary]) + 0.1


@pytest.mark.parametrize("n_features", [2, 12])
@pytest.mark.parametrize("value", [1e4, 1e12, 1e40, 1e100, 1e140])
@pytest.mark.parametrize("covariance_type", ["tied", "EEV", "diag"])
def test_outliers_have_components_to_themselves(covariance_type, value, n_features):
    """Else their distance would be in the covariances of all."""
    X, ordinary = beside_outliers(value, n_features, 2)
    found = fit(X, 5, covariance_type)
    expected = fit(X[ordinary], 3, covariance_type).score(X[ordinary])
    assert found.score(X[ordinary]) == pytest.approx(expected, rel=0.03)
    if covariance_type != "diag":
        apart = set(found.predict(X[~ordinary]))
        assert not apart & set(found.predict(X[ordinary]))


@pytest.mark.parametrize("value", [1e9, 1e20])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_outliers_leave_a_feature_that_is_constant_for_others(covariance_type, value):
    X, ordinary = beside_outliers(value, 3, 1)
    X[:, 2] = np.where(ordinary, 0.1, X[:, 2])
    found = fit(X, 4, covariance_type)
    check_parameters(found)
    check_outputs(found, X)
    labels = fit(X[ordinary], 3, covariance_type).predict(X[ordinary])
    assert adjusted_rand_score(found.predict(X[ordinary]), labels) > 0.95


@pytest.mark.parametrize("value", [1e3, 1e9, 1e20])
@pytest.mark.parametrize("covariance_type", ["spherical", "EII", "EEV", "VVE"])
def test_outliers_leave_a_constant_feature_of_the_same_scale(covariance_type, value):
    """Rows that share its value had been taken for as wide as the outlier is far."""
    centers = 6 * np.eye(3)[np.arange(600) % 3, :2]
    X = centers + np.random.default_rng(0).normal(size=(600, 2))
    X = np.c_[X, np.full(len(X), 0.1)]
    expected = fit(X, 3, covariance_type)
    X[0, 2] = value
    found = fit(X, 4, covariance_type)
    check_outputs(found, X)
    labels = found.predict(X)
    assert np.sum(labels == labels[0]) == 1
    assert adjusted_rand_score(labels[1:], expected.predict(X[1:])) > 0.98
    if covariance_type in ("spherical", "EII"):
        score = expected.score(X[1:])
        assert found.score(X[1:]) == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize("n_features", [1, 2, 12])
@pytest.mark.parametrize("value, weighted", [(1e60, False), (1e140, True)])
def test_outliers_near_the_end_of_the_range(value, n_features, weighted):
    """From 1e50 on all other rows had been taken for one point."""
    X, ordinary = beside_outliers(value, n_features, 2)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X)) if weighted else None
    inner = None if weight is None else weight[ordinary]
    for covariance_type in ("full", "tied", "diag", "spherical"):
        found = fit(X, 5, covariance_type, sample_weight=weight)
        expected = fit(X[ordinary], 3, covariance_type, sample_weight=inner)
        score = expected.score(X[ordinary])
        assert found.score(X[ordinary]) == pytest.approx(score, abs=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [-9999.0, 1e14, 1e20, -1e30])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "EEV", "VVE"])
def test_a_value_for_no_data_in_many_rows(covariance_type, value, dtype):
    """Where 3 or 7 rows of 150 had it, all others had been one component."""
    y = blobs()[1]
    # The mean of seven is rounded by more than a volume that all share can bear.
    rounded = abs(value) >= 1e20 and covariance_type in ("tied", "EEV")
    for rows in [[7, 30, 31], *([] if rounded else [np.arange(7)])]:
        X = blobs()[0].astype(dtype)
        X[rows] = value
        labels = fit(X, 4, covariance_type).predict(X)
        assert len(set(labels[rows])) == 1
        others = np.delete(np.arange(len(X)), rows)
        assert adjusted_rand_score(y[others], labels[others]) > 0.98


@pytest.mark.parametrize("value", [1e9, 1e20, 1e40])
def test_outliers_and_single_precision_and_noise(value):
    """Rows that are enough for steps in single precision, and with noise."""
    X, ordinary = beside_outliers(value, 12, 1)
    X, ordinary = np.tile(X, (20, 1)), np.tile(ordinary, 20)
    labels = np.arange(len(X)) % 900 % 3
    for K, noise in ((4, None), (3, 1e-15)):
        found = fit(X, K, "full", noise=noise).predict(X[ordinary])
        assert adjusted_rand_score(found, labels[ordinary]) > 0.95


@pytest.mark.parametrize("kind", ["float32", "Dask", "stream"])
def test_outliers_leave_full_covariances_wherever_rows_are(kind):
    value = 1e7 if kind == "float32" else 1e12
    X, ordinary = beside_outliers(value, 12, 1, "f4" if kind == "float32" else float)
    expected = fit(X[ordinary], 3, "full").score(X[ordinary])
    model = GaussianMixture(4, random_state=0)
    if kind == "stream":
        for _ in range(3):
            model.partial_fit(X)
    elif kind == "Dask":
        model.fit(pytest.importorskip("dask.array").from_array(X, chunks=(250, 12)))
    else:
        model.fit(X)
    assert model.score(X[ordinary]) == pytest.approx(expected, abs=0.2)
