"""Mixtures whose attributes were set by hand."""

import re

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from scipy import stats
from scipy.linalg import sqrtm
from scipy.special import logsumexp

from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureRegressor,
    MixtureModel,
    StudentMixture,
)

pytestmark = pytest.mark.usefixtures("short_search")

ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_cholesky_")


@pytest.fixture
def mixture(structure, make_mixture):
    """Return a mixture as `from_parameters` makes it, with its dense twin."""
    twin = make_mixture(structure, 3, 2)
    mixture = GaussianMixture.from_parameters(
        twin.parameters.weights,
        twin.parameters.means,
        twin.covariances,
        covariance_type=structure.name,
        random_state=0,
    )
    return mixture, twin


def by_hand(mixture, cls=GaussianMixture, without=(), **changed):
    """Set the attributes of a mixture, as scripts do."""
    built = cls(
        len(mixture.weights_), covariance_type=mixture.covariance_type, random_state=0
    )
    values = {name: getattr(mixture, name) for name in ATTRIBUTES} | changed
    for name in set(values) - set(without):
        setattr(built, name, values[name])
    return built


ROOTS = {
    "lower": lambda precision: np.linalg.cholesky(precision),
    "symmetric": lambda precision: np.real(sqrtm(precision)),
    "negative": lambda precision: -np.linalg.cholesky(precision),
}


def roots(mixture, kind):
    """Return roots of the precisions, P = A Aᵀ, that are not upper triangular."""
    precisions = np.asarray(mixture.precisions_)
    if mixture.covariance_type in ("diag", "spherical"):
        return -np.sqrt(precisions) if kind == "negative" else np.sqrt(precisions)
    if precisions.ndim == 2:
        return ROOTS[kind](precisions)
    return np.stack([ROOTS[kind](precision) for precision in precisions])


@pytest.mark.each_value
@pytest.mark.parametrize("kind", ROOTS)
def test_any_root_of_the_precisions_is_the_same_mixture(mixture, kind):
    fitted, twin = mixture
    X, _ = fitted.sample(200)
    built = by_hand(fitted, precisions_cholesky_=roots(fitted, kind))
    np.testing.assert_allclose(
        built.score_samples(X), twin.log_density(X), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(
        built.predict_proba(X), fitted.predict_proba(X), atol=1e-10
    )
    # Both from the same draws.
    assert built.hdr_level(0.9, 1000) == pytest.approx(fitted.hdr_level(0.9, 1000))
    np.testing.assert_allclose(
        built.support_probability(X[:5], 1000), fitted.support_probability(X[:5], 1000)
    )
    for name in ("standard_deviations", "correlations", "overlap", "bic"):
        np.testing.assert_allclose(
            getattr(built.summary(X), name), getattr(fitted.summary(X), name), rtol=1e-9
        )
    errors = zip(built.standard_errors(X), fitted.standard_errors(X), strict=True)
    for ours, expected in errors:
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ROOTS)
def test_samples_have_the_covariances(mixture, kind):
    fitted, twin = mixture
    built = by_hand(fitted, precisions_cholesky_=roots(fitted, kind))
    X, y = built.sample(60_000)
    for k, covariance in enumerate(twin.dense):
        rows = X[y == k]
        # Six standard errors of a covariance, and of a mean.
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        bound = 6 * scale * np.sqrt(2 / len(rows))
        assert (np.abs(np.cov(rows.T) - covariance) < bound).all()
        offset = np.abs(rows.mean(axis=0) - twin.parameters.means[k])
        assert (offset < 6 * np.sqrt(np.diag(covariance) / len(rows))).all()


def test_a_factor_alone_is_a_mixture(mixture):
    fitted, _ = mixture
    built = by_hand(fitted, without=["covariances_"])
    X, y = built.sample(100)
    expected, labels = fitted.sample(100)
    np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(y, labels)


def test_covariances_alone_are_a_mixture(mixture):
    fitted, twin = mixture
    built = by_hand(fitted, without=["precisions_cholesky_"])
    X, y = built.sample(40_000)
    covariance = np.cov(X[y == 0].T)
    np.testing.assert_allclose(covariance, twin.dense[0], rtol=0.2, atol=0.1)
    np.testing.assert_allclose(
        built.score_samples(X[:50]), twin.log_density(X[:50]), rtol=1e-10
    )
    np.testing.assert_array_equal(built.predict(X[:50]), fitted.predict(X[:50]))


def test_lists_are_attributes_too():
    built = GaussianMixture(2, covariance_type="spherical", random_state=0)
    built.weights_, built.means_ = [0.3, 0.7], [[0.0], [5.0]]
    built.covariances_ = [1.0, 4.0]
    X, y = built.sample(20_000)
    assert X[y == 1].std() == pytest.approx(2, rel=0.05)
    np.testing.assert_array_equal(built.predict([[0.0], [5.0]]), [0, 1])


@pytest.mark.parametrize("in_place", [False, True])
def test_edited_covariances_are_those_of_samples(mixture, in_place):
    fitted, _ = mixture
    X, _ = fitted.sample(50)
    before = fitted.score_samples(X), fitted.hdr_level(0.9, 1000)
    if in_place:
        fitted.covariances_ *= 1e-4
    else:
        fitted.covariances_ = fitted.covariances_ * 1e-4
    drawn, y = fitted.sample(4000)
    theirs = by_hand(fitted, sklearn.mixture.GaussianMixture)
    expected, labels = theirs.sample(4000)
    for k in range(3):
        np.testing.assert_allclose(
            drawn[y == k].std(axis=0), expected[labels == k].std(axis=0), rtol=0.15
        )
    # What is not drawn goes by the factor, as in scikit-learn.
    np.testing.assert_array_equal(fitted.score_samples(X), before[0])
    assert fitted.hdr_level(0.9, 1000) == before[1]


def test_covariances_may_be_singular_where_they_are_drawn_from(mixture):
    fitted, _ = mixture
    built = by_hand(fitted, without=["precisions_cholesky_"])
    built.covariances_ = built.covariances_ * 0
    X, y = built.sample(10)
    np.testing.assert_array_equal(X, fitted.means_[y])
    with pytest.raises(ValueError, match="positive-definite"):
        built.predict(X)


@pytest.mark.parametrize("covariance", [[[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0], [0, 1]]])
def test_what_is_no_covariance_is_not_drawn_from(covariance):
    built = GaussianMixture(1)
    built.weights_, built.means_ = np.ones(1), np.zeros((1, 2))
    built.covariances_ = np.array([covariance])
    with pytest.raises(ValueError, match="negative or undefined variance"):
        built.sample()


def test_features_in_small_units_are_drawn_as_well_as_others():
    units = np.array([1e-12, 1e12])
    correlation = np.array([[1.0, 0.9], [0.9, 1.0]])
    built = GaussianMixture(1, random_state=0)
    built.weights_, built.means_ = np.ones(1), np.zeros((1, 2))
    built.covariances_ = (correlation * np.outer(units, units))[None]
    X, _ = built.sample(50_000)
    np.testing.assert_allclose(np.corrcoef(X.T), correlation, atol=0.01)
    np.testing.assert_allclose(X.std(axis=0), units, rtol=0.02)


def test_warm_start_continues_from_any_root(mixture):
    fitted, _ = mixture
    X, _ = fitted.sample(500)
    params = {"warm_start": True, "tol": 0, "max_iter": 2}
    means = []
    for built in (by_hand(fitted), by_hand(fitted)):
        if means and fitted.covariance_type in ("full", "tied"):
            built.precisions_cholesky_ = roots(fitted, "lower")
        built.set_params(**params)
        with pytest.warns(match="did not converge"):
            means.append(built.fit(X).means_)
    np.testing.assert_allclose(means[1], means[0], rtol=1e-9)


def test_pictures_show_any_root():
    pytest.importorskip("matplotlib").use("agg")
    from skem._display.marginal import marginal

    covariance = np.array([[2.0, 1.2], [1.2, 1.0]])
    fitted = GaussianMixture.from_parameters([1.0], [[0.0, 0.0]], [covariance])
    built = by_hand(fitted, precisions_cholesky_=roots(fitted, "lower"))
    np.testing.assert_allclose(marginal(built, [0]).covariances_, [[[2.0]]])
    np.testing.assert_allclose(marginal(built, [1]).covariances_, [[[1.0]]])


def draws_of(n_samples):
    """Yield what asks for a number of draws, and what says how many there were."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    table = MixtureModel(1, random_state=0).fit(X)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    regressor = GaussianMixtureRegressor(1, random_state=0).fit(X[:, :1], X[:, 1])
    yield lambda: table.sample(n_samples)[0]
    yield lambda: mixture.sample(n_samples)[0]
    yield lambda: BayesianGaussianMixture(1).fit(X).sample(n_samples)[0]
    yield lambda: regressor.sample_y(X[:1, :1], n_samples).T
    yield lambda: table.support_probability(X[:3], n_samples=n_samples)
    yield lambda: mixture.support_probability(X[:3], n_samples=n_samples)
    yield lambda: 3 * [mixture.hdr_level(0.5, n_samples=n_samples)]


def test_all_take_whole_numbers_of_draws_and_name_others():
    """Some said what Python says of an argument."""
    for draw in draws_of(3.0):
        assert len(draw()) == 3
    for n_samples, shown, reason in [
        (2.5, "2.5", "It should be a whole number."),
        (np.nan, "nan", "It should be a whole number."),
        ("3", "'3'", "It should be a whole number."),
        (None, "None", "It should be a whole number."),
        (0, "0", "The sampling requires at least one sample."),
        (-1, "-1", "The sampling requires at least one sample."),
    ]:
        said = re.escape(f"Invalid value for 'n_samples': {shown} . {reason}")
        for draw in draws_of(n_samples):
            with pytest.raises(ValueError, match=said):
                draw()


@pytest.mark.parametrize("n_samples", [3, 3.0, np.float32(3), np.int8(3)])
def test_whole_numbers_of_rows_are_taken(mixture, n_samples):
    fitted, _ = mixture
    X, y = fitted.sample(n_samples)
    assert len(X) == len(y) == 3
    np.testing.assert_array_equal(X, fitted.sample(3)[0])


@pytest.mark.parametrize(
    ("n_samples", "reason"),
    [
        (2.5, "whole number"),
        (0.5, "whole number"),
        (np.nan, "whole number"),
        (np.inf, "whole number"),
        (0.0, "at least one sample"),
        (-1, "at least one sample"),
    ],
)
def test_other_numbers_of_rows_are_named(mixture, n_samples, reason):
    fitted, _ = mixture
    with pytest.raises(ValueError, match=f"Invalid value for 'n_samples'.*{reason}"):
        fitted.sample(n_samples)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_component_log_density_is_that_of_scipy(mixture, dtype):
    fitted, twin = mixture
    X = fitted.sample(300)[0].astype(dtype)
    expected = twin.joint(X) - np.log(twin.parameters.weights)
    found = fitted.component_log_density(X)
    assert found.dtype == dtype
    # float32: squared distances of up to a few hundred, in single precision.
    rtol, atol = (1e-11, 1e-11) if dtype == np.float64 else (3e-6, 1e-5)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def test_component_log_density_adds_up_to_the_log_density(mixture):
    fitted, _ = mixture
    X, _ = fitted.sample(100)
    joint = fitted.component_log_density(X) + np.log(fitted.weights_)
    np.testing.assert_allclose(
        logsumexp(joint, axis=1), fitted.score_samples(X), rtol=1e-11
    )


@pytest.mark.each_pair
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("far", [1e10, 1e30, 1e160, -1e308])
def test_component_log_density_is_finite_for_far_rows(mixture, far, dtype):
    fitted, twin = mixture
    limit = float(np.finfo(dtype).max)
    X = np.array([[0.0, 0.0], [far, 1.0]]).clip(-limit, limit).astype(dtype)
    found = fitted.component_log_density(X)
    assert np.isfinite(found).all()
    assert (found[1] < -1e15).all()
    if abs(far) == 1e10:
        np.testing.assert_allclose(found[1], twin.joint(X)[1], rtol=1e-5)


def test_component_log_density_does_not_need_a_weight():
    fitted = GaussianMixture.from_parameters(
        [0.0, 1.0], [[0.0], [3.0]], [1.0, 1.0], covariance_type="spherical"
    )
    expected = -0.5 * np.array([[0.0, 9.0]]) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(
        fitted.component_log_density([[0.0]]), expected, rtol=1e-14
    )


def test_narrow_components_have_their_density_beside_wide_ones():
    sd = np.array([1e-6, 1e6])
    fitted = GaussianMixture.from_parameters(
        [0.5, 0.5], [[0.0], [1.0]], sd**2, covariance_type="spherical"
    )
    X = np.array([[2e-6], [0.5], [5e5]])
    expected = stats.norm([0.0, 1.0], sd).logpdf(X)
    np.testing.assert_allclose(fitted.component_log_density(X), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["weights_", "means_", "precisions_cholesky_"])
def test_attributes_edited_in_place_are_seen_by_the_next_row(mixture, name):
    fitted, _ = mixture
    row = fitted.means_[:1] + 0.1
    fitted.score_samples(row)
    values = getattr(fitted, name)
    values *= np.linspace(0.5, 0.9, values.size).reshape(values.shape)
    expected = by_hand(fitted).score_samples(np.repeat(row, 5000, axis=0))[:1]
    np.testing.assert_allclose(fitted.score_samples(row), expected, rtol=1e-12)


def test_a_row_gives_what_it_gives_among_others(mixture):
    fitted, _ = mixture
    X, _ = fitted.sample(5000)
    for method in (
        "predict",
        "predict_proba",
        "score_samples",
        "component_log_density",
    ):
        every = getattr(fitted, method)(X)
        alone = np.concatenate(
            [getattr(fitted, method)(X[i : i + 1]) for i in range(9)]
        )
        np.testing.assert_allclose(alone, every[:9], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([[np.inf, 0.0]], "contains infinity"),
        ([[0.0]], "1 features, but .* 2 features"),
        ([0.0, 0.0], "Expected 2D array"),
        (np.empty((0, 2)), "0 sample"),
        ([[0.0, 1j]], "Complex data"),
    ],
)
def test_a_row_is_checked_as_more_rows_are(mixture, row, message):
    fitted, _ = mixture
    with pytest.raises(ValueError, match=message):
        fitted.predict(np.array(row))


def test_a_row_without_names_is_told_of():
    frame = pd.DataFrame({"a": [0.0, 1.0, 5.0], "b": [0.0, 2.0, 5.0]})
    fitted = GaussianMixture(1).fit(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(frame.to_numpy()[:1])


def test_criteria_of_rows_that_are_too_far_are_infinite():
    mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], "spherical")
    assert np.isfinite(mixture.score_samples([[1e160]])).all()
    assert mixture.bic([[1e160]]) == np.inf
    assert np.isfinite(mixture.bic([[1e150]]))


@pytest.mark.parametrize("far", [3.0, 40.0, 1e5])
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
def test_a_component_without_weight_has_no_row_however_far(kind, far):
    """The wide one had rows that are 37 standard deviations away from the other."""
    covariances, df = np.array([1e4 * np.eye(2), np.eye(2)]), {}
    law = stats.multivariate_normal(np.zeros(2))
    if kind is StudentMixture:
        df, law = {"df": [1.0, 1e3]}, stats.multivariate_t(np.zeros(2), df=1e3)
    mixture = kind.from_parameters(
        [0.0, 1.0], [[5.0, 5.0], [0.0, 0.0]], covariances, **df
    )
    X = np.array([[far, far], [0.0, far]])
    np.testing.assert_allclose(mixture.score_samples(X), law.logpdf(X), rtol=1e-9)
    assert mixture.predict(X).tolist() == [1, 1]
    np.testing.assert_allclose(mixture.predict_proba(X), [[0, 1], [0, 1]], atol=1e-300)
    given = mixture.conditional({1: far})
    np.testing.assert_allclose(given.weights_, [0, 1], atol=1e-300)
    np.testing.assert_allclose(mixture.impute([[np.nan, far]]), [[0, far]], atol=1e-12)
    # Its own density is still there.
    wide = kind.from_parameters(
        [0.5, 0.5], mixture.means_, covariances, **df
    ).component_log_density(X)
    np.testing.assert_allclose(mixture.component_log_density(X), wide, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_a_component_of_a_table_without_weight_has_no_row_however_far(covariance_type):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(900, 30, (50, 2))])
    families = {0: "gaussian", 1: "student"}
    mixture = MixtureModel(
        2, families=families, covariance_type=covariance_type, random_state=0
    ).fit(X)
    narrow = mixture.predict(X[:1])[0]
    mixture.weights_ = np.eye(2)[narrow]
    far = np.array([[300.0, np.nan], [1e5, 1e5]])
    assert mixture.predict(far).tolist() == [narrow, narrow]
    mean, sd = (
        mixture.parameters_["x0"][name][narrow]
        for name in ("mean", "standard_deviation")
    )
    expected = stats.norm(mean, sd).logpdf(300)
    assert mixture.score_samples(far)[0] == pytest.approx(expected, rel=1e-9)
