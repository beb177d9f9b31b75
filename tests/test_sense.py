"""A default fit makes sense of the data that people have."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skem import (
    GaussianMixture,
    GaussianMixtureIC,
    MixtureModel,
    StudentMixture,
    StudentMixtureIC,
)
from skem.core.gaussian.covariance import STRUCTURES
from skem.datasets import load_faithful
from skem.exceptions import DegenerateComponentsWarning

TRIANGLE = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])


def standard_deviations(mixture):
    """Marginal ones, (K, d), whatever the structure."""
    structure = STRUCTURES[mixture.covariance_type]
    factor, _ = structure.factor(mixture.covariances_)
    return structure.standard_deviations(factor, mixture.means_.shape)


def check_widths(X, y, mixture, rtol=0.02):
    """Every cluster is as wide as its rows, which are far from the others'."""
    for k in np.unique(y):
        found = np.abs(mixture.means_ - X[y == k].mean(axis=0)).sum(axis=1).argmin()
        np.testing.assert_allclose(
            standard_deviations(mixture)[found], X[y == k].std(axis=0), rtol=rtol
        )


def stays(rng):
    """Places where somebody stays, in metres, kilometres apart."""
    y = rng.choice(3, 2000, p=[0.5, 0.3, 0.2])
    centres = np.array([[500_000, 5.2e6], [512_000, 5.207e6], [1_100_000, 5.9e6]])
    sd = np.array([20.0, 30.0, 200.0])[y][:, None]
    return centres[y] + sd * rng.normal(size=(2000, 2)), y


def far_clusters(rng):
    centres = 100 * rng.normal(size=(8, 10))
    y = rng.integers(0, 8, 1000)
    return centres[y] + rng.normal(size=(1000, 10)), y


def power(rng):
    """An appliance: off, at rest, at work; in watts."""
    y = rng.choice(3, 900, p=[0.5, 0.3, 0.2])
    sd = np.array([0.5, 2.1, 8.8])[y]
    return (np.array([0, 90, 2000])[y] + sd * rng.normal(size=900))[:, None], y


def correlated(rng):
    y = rng.integers(0, 3, 600)
    noise = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 600)
    return 300 * TRIANGLE[y] / 6 + noise, y


def very_far(rng):
    y = rng.integers(0, 3, 600)
    return 1e6 * TRIANGLE[y] + rng.normal(size=(600, 2)), y


@pytest.mark.each_value
@pytest.mark.parametrize("draw", [stays, far_clusters, power, correlated, very_far])
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_tight_clusters_are_as_wide_as_they_are(draw, covariance_type, rng):
    X, y = draw(rng)
    K = y.max() + 1
    mixture = GaussianMixture(K, covariance_type=covariance_type, random_state=0)
    check_widths(X, y, mixture.fit(X))


def test_correlation_of_far_clusters_is_kept_and_bic_finds_their_number(rng):
    X, _ = correlated(rng)
    found = GaussianMixtureIC(range(1, 7), random_state=0).fit(X)
    assert found.n_components_ == 3
    covariances = np.reshape(found.best_estimator_.covariances_, (-1, 2, 2))
    root = np.sqrt(np.einsum("kii->ki", covariances))
    np.testing.assert_allclose(covariances[:, 0, 1] / root.prod(axis=1), 0.9, atol=0.03)


def test_lines_on_a_broad_background_are_narrow(rng):
    lines = np.concatenate([rng.normal(x, 0.1, 300) for x in (-20, 5, 30)])
    X = np.concatenate([lines, rng.normal(0, 20, 600)])[:, None]
    mixture = GaussianMixture(4, random_state=0).fit(X)
    widths = np.sort(np.sqrt(mixture.covariances_.ravel()))
    # Three hundred rows determine a width to 4 %.
    np.testing.assert_allclose(widths[:3], 0.1, rtol=0.15)


def test_streams_have_widths_of_clusters(rng):
    X, y = stays(rng)
    mixture = GaussianMixture(3, random_state=0)
    for start in range(0, 2000, 500):
        mixture.partial_fit(X[start : start + 500])
    check_widths(X, y, mixture, rtol=0.1)


def test_fill_values_do_not_hide_clusters(rng):
    y = rng.integers(0, 3, 1000)
    X = TRIANGLE[y] + rng.normal(size=(1000, 2))
    X[:50] = -9999
    labels = GaussianMixture(4, random_state=0).fit_predict(X)
    assert adjusted_rand_score(y[50:], labels[50:]) > 0.95


COLUMNS = {
    "zero-inflated": lambda r, n: np.where(
        r.random(n) < 0.5, 0, r.lognormal(0, 0.5, n)
    ),
    "two zero-inflated": lambda r, n: np.where(
        r.random((n, 2)) < 0.5, 0, r.lognormal(0, 0.5, (n, 2))
    ),
    "logarithms of counts": lambda r, n: np.log1p(r.poisson(1.0, n)),
    "roots of counts": lambda r, n: np.sqrt(r.poisson(1.0, n)),
    "clipped": lambda r, n: np.minimum(r.normal(0, 1, n), 0.8),
    "default value": lambda r, n: np.where(r.random(n) < 0.35, 1.0, r.normal(0, 1, n)),
    "coins": lambda r, n: r.integers(0, 2, (n, 2)),
    "whole numbers, one of them off": lambda r, n: np.append(
        r.poisson(2.0, n - 1), 1.0001
    ),
    "heaped": lambda r, n: np.where(
        r.random(n) < 0.4, np.round(r.normal(0, 1, n)), r.normal(0, 1, n)
    ),
    "zero-inflated counts": lambda r, n: np.where(
        r.random(n) < 0.5, 0, r.poisson(5.0, n)
    ),
    "two of them": lambda r, n: np.where(
        r.random((n, 2)) < 0.5, 0, r.poisson(20.0, (n, 2))
    ),
    "whole changes, mostly none": lambda r, n: np.where(
        r.random(n) < 0.6, 0, np.round(r.normal(0, 20, n))
    ),
    "scores up to a hundred": lambda r, n: np.minimum(
        100, np.round(r.normal(90, 15, n))
    ),
    "ages in years and fives": lambda r, n: np.where(
        r.random(n) < 0.5, r.integers(18, 90, n), 5 * r.integers(4, 18, n)
    ),
}


def beside(column, rng, n=600):
    y = rng.integers(0, 3, n)
    return np.column_stack([TRIANGLE[y] + rng.normal(size=(n, 2)), column(rng, n)]), y


@pytest.mark.each_value
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_shared_values_beside_clear_clusters_do_not_hide_them(
    column, covariance_type, rng
):
    X, y = beside(column, rng)
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    assert adjusted_rand_score(y, mixture.fit_predict(X)) > 0.95


def test_two_indicators_that_nearly_agree_make_two_clusters():
    y = np.repeat([0, 1], 100)
    X = np.c_[y, y].astype(float)
    X[0], X[199] = [1, 0], [0, 1]
    labels = GaussianMixture(2, random_state=0).fit_predict(X)
    assert adjusted_rand_score(y, labels) > 0.9


def test_scores_of_two_raters_make_no_component_of_one_value(rng):
    true = rng.choice([2.0, 4.0], 300)
    X = np.clip(np.round(true[:, None] + 0.5 * rng.normal(size=(300, 2))), 1, 5)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    assert adjusted_rand_score(true, mixture.predict(X)) > 0.9
    # A step of one: a variance of 1/12 at least.
    assert standard_deviations(mixture).min() > 0.28


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("choice", [GaussianMixtureIC, StudentMixtureIC])
@pytest.mark.parametrize("n_features", [4, 8])
@pytest.mark.parametrize("decimals", [1, 15])
def test_a_record_that_was_entered_often_is_no_cluster(
    n_features, decimals, choice, weighted, rng
):
    y = rng.integers(3, size=600)
    X = np.pad(TRIANGLE, ((0, 0), (0, n_features - 2)))[y]
    X += rng.normal(size=X.shape)
    # Not far from its cluster's centre.
    y[0], X[0] = 0, 0.5
    X = X.round(decimals)
    if weighted:
        data, weight = X, np.where(np.arange(600) == 0, 31, 1)
    else:
        data, weight = np.concatenate([X, np.repeat(X[:1], 30, axis=0)]), None
    found = choice(range(2, 6), covariance_type="spherical", random_state=0)
    found.fit(data, sample_weight=weight)
    assert found.n_components_ == 3
    assert adjusted_rand_score(y, found.predict(X)) > 0.95


@pytest.mark.parametrize("covariance_type", list(STRUCTURES))
def test_columns_without_shared_values_are_fitted_as_ever(covariance_type, rng):
    """A shared value in one column adds to the variance of that one alone."""
    X = rng.normal(size=(300, 2))
    one = GaussianMixture(1, covariance_type=covariance_type).fit(X)
    expected = X.var(axis=0)
    if covariance_type == "spherical":
        expected = np.full(2, expected.mean())
    np.testing.assert_allclose(standard_deviations(one)[0] ** 2, expected, rtol=1e-9)


def test_the_lower_bound_is_the_score_where_values_are_shared(rng):
    X, _ = beside(COLUMNS["zero-inflated"], rng)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), rel=1e-12)
    assert mixture.lower_bounds_[-1] == pytest.approx(mixture.lower_bound_, rel=1e-12)


FAITHFUL = load_faithful().data


def blobs(rng):
    return np.vstack([rng.normal(c, 1, (150, 2)) for c in ((0, 0), (8, 0), (0, 8))])


def chosen_and_told(X, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = GaussianMixtureIC(range(1, 6), random_state=0, **options).fit(X)
    told = [
        str(warning.message)
        for warning in caught
        if warning.category is DegenerateComponentsWarning
    ]
    return found, told


@pytest.mark.slow
@pytest.mark.parametrize("typo", [[3.5, 790.0], [36.0, 70.0]])
def test_one_typo_does_not_decide_the_model(typo):
    """A component of one row is a mean alone, where all share a covariance."""
    found, _ = chosen_and_told(np.vstack([FAITHFUL, typo]))
    assert found.covariance_type_ == "tied"
    assert found.n_components_ == 4


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", list(STRUCTURES))
@pytest.mark.parametrize("far", [[[100, 100]], [[100, 100], [-90, 20], [30, -200]]])
def test_a_lower_criterion_is_passed_over_with_a_word(covariance_type, far, rng):
    X = np.vstack([blobs(rng), far])
    found, told = chosen_and_told(X, covariance_type=covariance_type)
    lowest = np.nanmin(found.results_["criterion"])
    if found.criterion_ > lowest:
        (message,) = told
        assert f"by {found.criterion_ - lowest:.1f}, but it is not" in message
        # The first row that is far, or the others.
        assert any(str(450 + i) in message for i in range(len(far)))
    else:
        assert not told
    if covariance_type == "tied":
        assert found.n_components_ >= 4


def test_degenerate_components_are_told_with_their_rows(rng):
    X = np.vstack([blobs(rng), [[100, 100]]])
    with pytest.warns(DegenerateComponentsWarning, match="rests on row 450 alone"):
        GaussianMixture(4, random_state=0).fit(X)
    weight = np.ones(451)
    weight[:10] = 0
    with pytest.warns(DegenerateComponentsWarning, match="rests on row 450 alone"):
        GaussianMixture(4, random_state=0).fit(X, sample_weight=weight)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical", "VEI", "VVE"])
@pytest.mark.parametrize("estimator", [GaussianMixture, MixtureModel])
def test_two_errors_with_nothing_in_common_are_told(estimator, covariance_type, rng):
    X = np.where(rng.integers(2, size=(400, 1)), [30.0, 200.0], [60.0, 500.0])
    X += [5, 30] * rng.normal(size=X.shape)
    X[5, 0], X[9, 1] = 3900, -99999
    mixture = estimator(3, covariance_type=covariance_type, random_state=0)
    with pytest.warns(DegenerateComponentsWarning, match="rests on rows 5 and 9"):
        mixture.fit(X)
    assert mixture.degenerate_components_.tolist() == [2]
    if estimator is GaussianMixture:
        X = np.delete(X, [5, 9], axis=0)
        heavy = np.vstack([X, [[3900.0, 200.0], [3910.0, 190.0]]])
        weight = np.r_[np.ones(len(X)), 100.0, 100.0]
        mixture.fit(heavy, sample_weight=weight)
        assert mixture.degenerate_components_.size == 0


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_two_errors_are_no_component_of_a_choice(covariance_type, rng):
    X = np.vstack([blobs(rng), [[1e3, 0], [0, -1e4]]])
    found, (message,) = chosen_and_told(X, covariance_type=covariance_type)
    sizes = np.bincount(found.labels_)
    assert sizes[sizes > 0].min() > 2
    assert "450" in message and "451" in message


def test_rows_of_dask_arrays_are_told_by_their_place_in_all(rng):
    da = pytest.importorskip("dask.array")
    X = da.from_array(np.vstack([blobs(rng), [[100, 100]]]), chunks=(97, 2))
    with pytest.warns(DegenerateComponentsWarning, match="rests on row 450 alone"):
        GaussianMixture(4, random_state=0).fit(X)


@pytest.mark.parametrize("kind", ["array", "dask", "float32"])
@pytest.mark.parametrize("estimator", [GaussianMixture, StudentMixture, MixtureModel])
def test_rare_values_of_many_rows_do_not_hide_clusters(estimator, kind, rng):
    """The rows that scales are learnt from had one value: 0.57, or -1e11 a row."""
    n = 40_000
    y = rng.integers(3, size=n)
    X = np.c_[TRIANGLE[y] + rng.normal(size=(n, 2)), np.zeros(n), np.full(n, 5.0)]
    X[rng.choice(n, 3, replace=False), 2] = 1
    X[rng.choice(n, 10, replace=False), 3] = rng.normal(5, 3, size=10)
    if kind == "dask":
        da = pytest.importorskip("dask.array")
        X = da.from_array(X, chunks=(7_000, 4))
    elif kind == "float32":
        X = X.astype(np.float32)
    mixture = estimator(3, random_state=0).fit(X)
    labels = np.asarray(mixture.predict(X))
    assert adjusted_rand_score(y, labels) > 0.98


@pytest.mark.parametrize("estimator", [GaussianMixture, StudentMixture])
def test_a_feature_with_few_values_among_many_rows(estimator, rng):
    n = 40_000
    X = rng.normal(size=(n, 2))
    X[n // 2 :, 0] += 6
    X[:, 1] = np.nan
    X[rng.choice(n, 4, replace=False), 1] = [1.0, 2.0, 3.0, 4.0]
    mixture = estimator(2, random_state=0).fit(X)
    assert sorted(mixture.means_[:, 0]) == pytest.approx([0, 6], abs=0.05)
    assert ((mixture.means_[:, 1] > 1) & (mixture.means_[:, 1] < 4)).all()
