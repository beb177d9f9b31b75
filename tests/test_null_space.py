"""Columns that are constant, or sums of others, say nothing about components."""

import numpy as np
import pytest
from scipy.stats import multivariate_t
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import skem
from skem import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureIC,
    MixtureIC,
    MixtureModel,
    MixtureOutlierDetector,
    StudentMixture,
    StudentMixtureIC,
)
from skem.core.gaussian.constraint import CONSTRAINTS

KINDS = {
    "constants": lambda X: np.c_[np.full(len(X), 5.0), X, np.full((len(X), 2), -1e9)],
    "sums": lambda X: np.c_[X, X.sum(axis=1), X[:, 0] - X[:, 1], X.mean(axis=1)],
    "units": lambda X: np.c_[X, 2.54 * X[:, 0], 1e6 * X],
}
PLACES = {"constants": [1, 2], "sums": [0, 1], "units": [0, 1]}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=["points", "shared values"])
def plain(request, rng):
    """Two clusters with heavy tails, of two features."""
    scales = np.sqrt(rng.chisquare(4, size=(400, 1)) / 4)
    X = rng.normal(size=(400, 2)) / scales + 9 * rng.integers(0, 2, size=(400, 1))
    return X.round(1) if request.param == "shared values" else X


def both(model, plain, kind):
    """Fits without the columns and with them, and which features they share."""
    fits = [clone(model).fit(X) for X in (plain, KINDS[kind](plain))]
    return *fits, PLACES[kind]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VVE"])
@pytest.mark.parametrize("df", ["estimate", "common", 3])
def test_degrees_of_freedom_are_those_without_the_columns(
    plain, kind, covariance_type, df
):
    if covariance_type == "VVE" and kind != "constants":
        pytest.skip("the shape is one of other directions")
    model = StudentMixture(2, covariance_type=covariance_type, df=df, random_state=0)
    one, other, places = both(model, plain, kind)
    np.testing.assert_allclose(other.df_, one.df_, rtol=0.02)
    np.testing.assert_allclose(other.means_[:, places], one.means_, atol=0.01)
    assert other.n_parameters_ == one.n_parameters_
    marginal = other.marginal(places)
    np.testing.assert_allclose(
        marginal.score_samples(plain), one.score_samples(plain), atol=0.05
    )
    np.testing.assert_allclose(
        other.marginal(places[0]).quantile(0.99),
        one.marginal(0).quantile(0.99),
        rtol=1e-2,
    )
    given = other.conditional({places[0]: 1.0})
    np.testing.assert_allclose(given.df_, other.df_ + 1)


def test_diagonal_components_leave_constants_out(plain):
    model = StudentMixture(2, covariance_type="diag", random_state=0)
    one, other, _ = both(model, plain, "constants")
    np.testing.assert_allclose(other.df_, one.df_, rtol=0.02)
    assert other.n_parameters_ == one.n_parameters_ == 1 + 2 * (2 + 2 + 1)


def test_constants_beside_gaps_are_no_dimensions_either(plain, rng):
    gaps = np.where(rng.random(plain.shape) < 0.2, np.nan, plain)
    model = StudentMixture(2, random_state=0)
    one, other, _ = both(model, gaps, "constants")
    np.testing.assert_allclose(other.df_, one.df_, rtol=0.02)
    # Rows that have a constant alone, and rows without it.
    row = np.full((2, 5), np.nan)
    row[0, 0], row[1, 1:3] = 5, plain[0]
    alone, both_there = np.exp(other.score_samples(row))
    assert alone > 1
    assert both_there == pytest.approx(np.exp(one.score_samples(plain[:1]))[0], 1e-2)


def test_fewer_rows_than_features_are_that_many_dimensions(rng):
    X = rng.normal(size=(30, 100))
    with pytest.warns(skem.exceptions.DegenerateComponentsWarning):
        mixture = StudentMixture(1, random_state=0).fit(X)
    assert mixture.df_[0] > 100


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_standard_errors_are_those_without_the_columns(plain, kind, model):
    one, other, places = both(model(2, random_state=0), plain, kind)
    X = KINDS[kind](plain)
    for method in ("sandwich", "hessian", "opg"):
        errors = one.standard_errors(plain, method=method)
        found = other.standard_errors(X, method=method)
        np.testing.assert_allclose(found.weights, errors.weights, rtol=0.02)
        np.testing.assert_allclose(found.means[:, places], errors.means, rtol=0.03)
        np.testing.assert_allclose(
            found.covariances[:, places][:, :, places], errors.covariances, rtol=0.05
        )
        if kind == "constants":
            np.testing.assert_allclose(found.means[:, [0, 3, 4]], 0, atol=1e-12)
    if kind == "sums":
        # Of a sum, by hand.
        hand = model(2, random_state=0).fit(plain @ np.array([[1, 1], [0, 1]]))
        its = hand.standard_errors(plain @ np.array([[1, 1], [0, 1]]))
        np.testing.assert_allclose(
            other.standard_errors(X).means[:, 2], its.means[:, 1], rtol=0.03
        )


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "VVE"])
@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_standard_errors_need_no_memory_for_constants(rng, model, covariance_type):
    X, _ = three_clusters(rng, 200)
    X = X[:, np.r_[2:100, 0, 1, 100:202]]
    mixture = model(3, covariance_type=covariance_type, random_state=0)
    if model is StudentMixture:
        mixture.set_params(df=5)
    plain = clone(mixture).fit(X[:, 98:100])
    mixture.fit(X)
    for method in ("sandwich", "hessian", "opg"):
        errors = plain.standard_errors(X[:, 98:100], method=method)
        found = mixture.standard_errors(X, method=method)
        np.testing.assert_allclose(found.weights, errors.weights, rtol=0.02)
        np.testing.assert_allclose(found.means[:, 98:100], errors.means, rtol=0.03)
        covariances = found.covariances[..., 98:100]
        if covariance_type != "diag":
            covariances = covariances[..., 98:100, :]
        np.testing.assert_allclose(covariances, errors.covariances, rtol=0.1)
        assert np.count_nonzero(found.means) == errors.means.size
        assert np.count_nonzero(found.covariances) == errors.covariances.size
        assert found.covariances.shape == mixture.covariances_.shape


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_standard_errors_beside_gaps_leave_constants_out(plain, model):
    gaps, X = plain.copy(), KINDS["constants"](plain)
    gaps[:60, 0] = X[:60, 1] = np.nan
    X[50:90, 3] = np.nan
    errors = model(2, random_state=0).fit(gaps).standard_errors(gaps)
    found = model(2, random_state=0).fit(X).standard_errors(X)
    np.testing.assert_allclose(found.weights, errors.weights, rtol=0.02)
    np.testing.assert_allclose(found.means[:, [1, 2]], errors.means, rtol=0.03)
    assert not found.means[:, [0, 3, 4]].any()


SHAPES = ["EEI", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"]
MODELS = [
    GaussianMixture(2, random_state=0),
    StudentMixture(2, df=5, tol=1e-9, random_state=0),
]


def assert_same_errors(model, X, others, places):
    """Of fits of X, and of others that have its features at some places."""
    mixtures = [clone(model).fit(rows) for rows in (X, others)]
    for method in ("sandwich", "hessian", "opg"):
        errors, found = (
            mixture.standard_errors(rows, method=method)
            for mixture, rows in zip(mixtures, (X, others), strict=True)
        )
        np.testing.assert_allclose(found.weights, errors.weights, rtol=0.01)
        n = len(places)
        its, own = found.covariances[:, places], errors.covariances[:, :n]
        if own.ndim == 3:
            its, own = its[:, :, places], own[:, :, :n]
        np.testing.assert_allclose(found.means[:, places], errors.means[:, :n], 0.02)
        np.testing.assert_allclose(its, own, rtol=0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("model", MODELS)
def test_standard_errors_of_shapes_are_those_without_constants(rng, shape, model):
    X, _ = three_clusters(rng, 0)
    X = X / np.sqrt(rng.chisquare(6, size=(300, 1)) / 6) * [1.0, 100.0]
    mixture = clone(model).set_params(covariance_type=shape)
    assert_same_errors(mixture, X, KINDS["constants"](X), PLACES["constants"])


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[-1] != "I"])
@pytest.mark.parametrize("model", MODELS)
def test_standard_errors_of_shapes_are_those_in_the_plane_of_sums(rng, shape, model):
    X, _ = three_clusters(rng, 0)
    X = X / np.sqrt(rng.chisquare(6, size=(300, 1)) / 6)
    X = np.c_[X, X.sum(axis=1)]
    # Axes of the plane of which the first is along the first feature, and no other is.
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    plane = np.linalg.svd(X, full_matrices=False)[2][:2]
    turned = np.linalg.qr(np.c_[plane[:, 0], np.eye(2)])[0].T @ plane
    mixture = clone(model).set_params(covariance_type=shape)
    assert_same_errors(mixture, X @ turned.T * turned[0, 0], X, [0])


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_of_shapes_of_constants_are_zero(shape):
    X = np.full((9, 150), 3.0)
    mixture = GaussianMixture(1, covariance_type=shape, random_state=0).fit(X)
    errors = mixture.standard_errors(X)
    assert not errors.means.any() and not errors.covariances.any()
    assert errors.means.shape == (1, 150)


def test_errors_beside_a_category_are_those_of_means(rng):
    """Scores of a category vary in no more directions than it has values."""
    category = np.eye(3)[rng.integers(3, size=500)]
    X = np.c_[rng.normal(size=(500, 2)), category]
    mixture = GaussianMixture(1, random_state=0).fit(X)
    errors = mixture.standard_errors(X).means[0]
    np.testing.assert_allclose(errors, X.std(axis=0) / np.sqrt(500), rtol=1e-6)


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("n_components", [1, 2])
def test_regions_have_their_mass(plain, kind, model, n_components):
    one, other, _ = both(model(n_components, random_state=0), plain, kind)
    X = KINDS[kind](plain)
    found = other.support_probability(X, random_state=0)
    expected = one.support_probability(plain, random_state=0)
    np.testing.assert_allclose(found, expected, atol=0.02)
    within = other.score_samples(X) >= other.hdr_level(0.5, random_state=0)
    inside = one.score_samples(plain) >= one.hdr_level(0.5, random_state=0)
    assert within.mean() == pytest.approx(inside.mean(), abs=0.02)
    # Off the plane there is nothing.
    X[0, -1] = 2 * X[0, -1] + 1
    assert other.support_probability(X[:1], random_state=0) < 1e-4


def test_regions_of_rows_with_gaps_leave_constants_out(rng):
    X = rng.normal(size=(50, 2))
    one = GaussianMixture(random_state=0).fit(X)
    other = GaussianMixture(random_state=0).fit(np.c_[X, np.full(50, 3.0)])
    rows = np.c_[[0.0, 1.0, 4.0], np.full(3, np.nan)]
    found = other.support_probability(np.c_[rows, np.full(3, 3.0)])
    np.testing.assert_allclose(found, one.support_probability(rows))


def test_all_mass_of_constants_is_where_they_are():
    X = np.full((9, 3), [1.0, 2.0, 3.0])
    for model in (GaussianMixture, StudentMixture):
        mixture = model(1, random_state=0).fit(X)
        assert mixture.n_parameters_ == (1 if model is StudentMixture else 0)
        rows = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.1]])
        assert mixture.support_probability(rows).tolist() == [1.0, 0.0]
        assert mixture.hdr_level(0.5) == pytest.approx(mixture.score_samples(X[:1])[0])


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_draws_have_the_values_that_all_rows_have(plain, kind, model):
    mixture = model(2, random_state=0).fit(KINDS[kind](plain))
    X, _ = mixture.sample(50, random_state=0)
    expected = KINDS[kind](X[:, PLACES[kind]])
    np.testing.assert_allclose(X, expected, rtol=1e-9, atol=1e-9)
    X, _ = mixture.sample(50, random_state=0, given={PLACES[kind][0]: 1.0})
    expected = KINDS[kind](X[:, PLACES[kind]])
    np.testing.assert_allclose(X, expected, rtol=0.02, atol=0.02)


def three_clusters(rng, n_constants):
    y = np.repeat([0, 1, 2], 100)
    X = rng.normal(size=(300, 2)) + np.array([[0, 0], [6, 0], [0, 6]])[y]
    return np.c_[X, np.full((300, n_constants), 5.0)], y


@pytest.mark.parametrize(
    "search",
    [
        GaussianMixtureIC(range(1, 5), covariance_type="full", random_state=0),
        StudentMixtureIC(range(1, 4), covariance_type="full", random_state=0),
        MixtureIC(range(1, 5), random_state=0),
        BayesianGaussianMixture(8, random_state=0),
        BayesianGaussianMixture(8, covariance_type="diag", random_state=0),
        BayesianGaussianMixture(8, covariance_type="tied", random_state=0),
        BayesianGaussianMixture(8, mean_prior=np.zeros(32), random_state=0),
    ],
)
def test_thirty_constants_take_no_cluster_away(rng, search):
    X, y = three_clusters(rng, 30)
    labels = clone(search).fit(X).predict(X)
    assert adjusted_rand_score(y, labels) > 0.95


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_bayesian_mixtures_are_those_without_the_columns(rng, covariance_type):
    X, _ = three_clusters(rng, 3)
    plain, constants = (
        BayesianGaussianMixture(
            5, covariance_type=covariance_type, tol=1e-6, random_state=0
        ).fit(rows)
        for rows in (X[:, :2], X)
    )
    np.testing.assert_allclose(constants.weights_, plain.weights_, atol=1e-4)
    np.testing.assert_allclose(constants.means_[:, :2], plain.means_, atol=1e-3)
    assert constants.degrees_of_freedom_prior_ == plain.degrees_of_freedom_prior_ == 2
    # What is left is the density of the constants, which is the same for all rows.
    peak = constants.score_samples(X) - plain.score_samples(X[:, :2])
    np.testing.assert_allclose(peak, peak[0], atol=1e-3)
    bounds = constants.lower_bound_ - plain.lower_bound_
    assert bounds == pytest.approx(len(X) * peak[0], abs=1e-2)
    predictive = [
        mixture.score_samples(rows, posterior_predictive=True)
        for mixture, rows in ((constants, X), (plain, X[:, :2]))
    ]
    np.testing.assert_allclose(predictive[0] - predictive[1], peak[0], atol=2e-3)


def test_outlier_detectors_keep_their_rate(rng):
    X = np.c_[rng.normal(size=(400, 2)), np.full((400, 3), 5.0)]
    detector = MixtureOutlierDetector(false_alarm_rate=0.05, random_state=0).fit(X)
    new = np.c_[rng.normal(size=(20_000, 2)), np.full((20_000, 3), 5.0)]
    assert 0.03 < (detector.predict(new) == -1).mean() < 0.07


@pytest.mark.parametrize("model", [StudentMixture, GaussianMixture])
def test_files_know_of_them(plain, kind, model, tmp_path):
    X = KINDS[kind](plain)
    mixture = model(2, random_state=0).fit(X)
    mixture.save(tmp_path / "mixture.json")
    loaded = skem.load(tmp_path / "mixture.json")
    np.testing.assert_array_equal(loaded.score_samples(X), mixture.score_samples(X))
    assert loaded.bic(X) == mixture.bic(X)
    np.testing.assert_array_equal(
        loaded.sample(9, random_state=0)[0], mixture.sample(9, random_state=0)[0]
    )


@pytest.mark.parametrize("mixture", [GaussianMixture, StudentMixture, MixtureModel])
@pytest.mark.parametrize("covariance_type", CONSTRAINTS)
def test_files_of_shapes_know_of_them(plain, kind, mixture, covariance_type, tmp_path):
    X = KINDS[kind](plain)
    options = {"families": "gaussian"} if mixture is MixtureModel else {}
    model = mixture(2, covariance_type=covariance_type, random_state=0, **options)
    model.fit(X).save(tmp_path / "model.json")
    again = skem.load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))


@pytest.mark.parametrize("covariance_type", CONSTRAINTS)
def test_files_of_shapes_at_the_limits_of_the_range_had_been_refused(
    plain, covariance_type, tmp_path
):
    X = np.c_[1e-200 * plain, np.full(len(plain), -1e-12)]
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    mixture.fit(X).save(tmp_path / "mixture.json")
    loaded = skem.load(tmp_path / "mixture.json")
    np.testing.assert_array_equal(loaded.score_samples(X), mixture.score_samples(X))


def test_what_comes_later_in_a_stream_is_a_dimension(rng):
    X = rng.standard_t(5, size=(3000, 2))
    X[:1000, 1] = 4.0
    stream = StudentMixture(1, random_state=0).partial_fit(X[:1000])
    assert stream.n_parameters_ == 1 + 1 + 1
    stream.partial_fit(X[1000:])
    assert stream.n_parameters_ == 2 + 3 + 1


LATER = {
    "sum": lambda X, e: np.c_[X, X.sum(axis=1) + e],
    "copies": lambda X, e: np.c_[X, X[:, 0] + e, 2 * X[:, 1]],
    "constants": lambda X, e: np.c_[X, 7 + e, np.full(len(X), 4.0)],
}


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
@pytest.mark.parametrize("degrees", [None, 3.5])
def test_priors_let_go_of_what_varies_later(rng, later, covariance_type, degrees):
    X = rng.normal(size=(3000, 2)) + 9 * rng.integers(0, 3, size=(3000, 1))
    X = LATER[later](X, np.r_[np.zeros(1000), rng.normal(size=2000)])
    stream, whole = (
        BayesianGaussianMixture(
            3,
            covariance_type=covariance_type,
            degrees_of_freedom_prior=degrees,
            random_state=0,
        )
        for _ in range(2)
    )
    for part in np.split(X, 6):
        stream.partial_fit(part)
    whole.fit(X)
    # Without what is still null, whose density depends on the unit of the others.
    found, expected = (m.marginal([0, 1, 2]).score(X[:, :3]) for m in (stream, whole))
    assert found == pytest.approx(expected, abs=0.1)
    assert adjusted_rand_score(stream.predict(X), whole.predict(X)) > 0.95
    assert stream.degrees_of_freedom_prior_ == whole.degrees_of_freedom_prior_
    prior, null = stream._stream.regularization, whole._null_space
    assert prior.n_null == (0 if null is None else null.size)
    if null is None and covariance_type != "diag":
        log_det = np.linalg.slogdet(prior.scatter)[1]
        assert prior.log_det == pytest.approx(log_det, rel=1e-6)


def test_the_density_is_a_t_in_what_varies(plain):
    X = KINDS["sums"](plain)
    mixture = StudentMixture(1, random_state=0).fit(X)
    marginal = multivariate_t(
        mixture.means_[0, :2], mixture.covariances_[0, :2, :2], mixture.df_[0]
    )
    difference = mixture.score_samples(X) - marginal.logpdf(plain)
    # Widths of values are a little in all directions.
    shared = (plain == plain.round(1)).all()
    np.testing.assert_allclose(difference, difference[0], atol=0.1 if shared else 1e-5)


@pytest.mark.parametrize("family", ["gaussian", "student", "lognormal"])
def test_constant_columns_of_tables_have_no_parameters(rng, family):
    X, y = three_clusters(rng, 12)
    families = [("gaussian", [0, 1]), (family, list(range(2, 14)))]
    search = MixtureIC((2, 3), families=families, random_state=0).fit(X)
    assert search.n_components_ == 3
    assert search.n_parameters_ == 2 + 3 * (2 + 2)
    assert adjusted_rand_score(y, search.predict(X)) > 0.9


def test_what_is_given_is_counted_in_what_varies(rng):
    X, y = three_clusters(rng, 2)
    X[:, 3] = X[:, 0] + X[:, 1]
    for fixed in (
        "means",
        "covariances",
        ["means", "covariances"],
        {"means": [True, False, False]},
    ):
        counts = []
        for rows in (X[:, :2], X):
            means = np.array([rows[y == k].mean(axis=0) for k in range(3)])
            mixture = GaussianMixture(
                3,
                fixed=fixed,
                means_init=means,
                precisions_init=[np.eye(rows.shape[1])] * 3,
                random_state=0,
            )
            counts.append(mixture.fit(rows).n_parameters_)
        assert counts[0] == counts[1] > 0


def test_three_rows_determine_a_component_beside_constants(rng):
    few = [[8, 8], [8.5, 8], [8.2, 8.6]]
    X = np.r_[rng.normal(size=(97, 2)), few]
    for rows in (X, np.c_[X, np.full((100, 5), 3.0)], np.c_[X, X.sum(axis=1)]):
        mixture = GaussianMixture(2, random_state=0).fit(rows)
        assert not len(mixture.degenerate_components_)
        search = GaussianMixtureIC((1, 2), covariance_type="full", random_state=0)
        assert search.fit(rows).n_components_ == 2
        assert not len(MixtureModel(2, random_state=0).fit(rows).degenerate_components_)


@pytest.mark.parametrize("model", [GaussianMixture, StudentMixture])
def test_rows_that_count_several_times_do_not_hide_them(rng, kind, model):
    X, _ = three_clusters(rng, 0)
    weight = rng.standard_gamma(1.0, size=300)
    fits = [
        model(3, random_state=0).fit(rows, sample_weight=weight)
        for rows in (X, KINDS[kind](X))
    ]
    assert fits[0].n_parameters_ == fits[1].n_parameters_
    np.testing.assert_allclose(fits[0].weights_, fits[1].weights_, atol=0.05)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_bayesian_mixtures_of_shared_values_are_those_without_a_copy(covariance_type):
    X = skem.datasets.load_faithful().data
    model = BayesianGaussianMixture(5, covariance_type=covariance_type, random_state=0)
    one, other = (clone(model).fit(rows) for rows in (X, np.c_[X, X[:, 0]]))
    np.testing.assert_allclose(one.weights_, other.weights_, atol=0.01)
    np.testing.assert_allclose(one.means_[:2], other.means_[:2, :2], rtol=0.01)


@pytest.mark.parametrize(
    "model", [GaussianMixture, StudentMixture, BayesianGaussianMixture]
)
@pytest.mark.parametrize("share", [0.002, 0.1])
def test_gaps_do_not_hide_them(rng, kind, model, share):
    X, _ = three_clusters(rng, 0)
    wide = KINDS[kind](X)
    wide[5, :2] = np.nan
    wide[6:][rng.random(wide[6:].shape) < share] = np.nan
    one, other = (model(3, random_state=0).fit(rows) for rows in (X, wide))
    if model is not BayesianGaussianMixture:
        assert one.n_parameters_ == other.n_parameters_
    assert other._null_space.size == wide.shape[1] - 2
    assert adjusted_rand_score(one.predict(X), other.predict(wide)) > 0.85


@pytest.mark.parametrize("family", ["gaussian", "student", "lognormal"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "VVE", "EVI"])
def test_errors_of_tables_leave_constants_out(rng, family, covariance_type):
    X, _ = three_clusters(rng, 30)
    families = [("gaussian", [0, 1]), (family, list(range(2, 32)))]
    if family == "gaussian":
        families = "gaussian"
    plain, model = (
        MixtureModel(
            3, families=each, covariance_type=covariance_type, tol=1e-8, random_state=0
        )
        for each in ("gaussian", families)
    )
    errors = plain.fit(X[:, :2]).standard_errors(X[:, :2])
    found = model.fit(X).standard_errors(X)
    np.testing.assert_allclose(found.weights, errors.weights, rtol=0.01)
    for name in ("x0", "x1"):
        for key, values in errors.parameters[name].items():
            np.testing.assert_allclose(found.parameters[name][key], values, rtol=0.05)
    for name in ("x2", "x31"):
        assert not any(values.any() for values in found.parameters[name].values())


@pytest.mark.parametrize(
    "model", [GaussianMixture, StudentMixture, BayesianGaussianMixture]
)
def test_streams_know_of_them_beside_shared_values(rng, model):
    X, _ = three_clusters(rng, 0)
    X = np.tile(X.round(1), (4, 1))
    wide = np.c_[X, X[:, 0] - X[:, 1]]
    stream = model(3, random_state=0)
    for rows in np.array_split(rng.permutation(wide), 4):
        stream.partial_fit(rows)
    assert stream._null_space.size == 1
    wide[:, 2] += rng.normal(size=len(wide))
    stream.partial_fit(wide)
    assert stream._null_space is None
