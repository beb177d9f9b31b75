"""Mixtures of multivariate t components."""

import pickle

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import GaussianMixture, MixtureDisplay, StudentMixture
from skem.core.mixture.seeds import INITIALIZERS

CENTRES = np.array([[0, 0], [6, 0], [0, 6.0]])


def clusters(rng, n=240):
    y = rng.integers(0, 3, n)
    return CENTRES[y] + rng.normal(size=(n, 2)), y


def by_place(means):
    return means[np.lexsort(means.round(1).T)]


def labels_by_place(Z, weight, n_components, rng):
    """Labels that do not depend on the order of rows, nor on how often they are."""
    bounds = np.linspace(-1, 1, n_components + 1)[1:-1]
    return (np.digitize(Z[:, 0], bounds) == np.arange(n_components)[:, None]) * 1.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentsWarning")
@parametrize_with_checks([StudentMixture(), StudentMixture(2, df="common", n_init=1)])
def test_estimator_checks(estimator, check, monkeypatch):
    name = "check_sample_weight_equivalence_on_dense_data"
    if estimator.n_components > 1 and check.func.__name__ == name:
        # Seeds are drawn at random from rows, and repeated rows are other rows.
        monkeypatch.setitem(INITIALIZERS, "kmeans", labels_by_place)
        # There are more features than rows.
        estimator = clone(estimator).set_params(reg_covar=0.01)
    check(estimator)


# 300 rows, and what EM in plain code finds from the start, checked against tgmm 0.4.3:
# log-likelihoods, degrees of freedom, and the locations of the first feature.
ORACLE = {
    ("full", 5.0): (-1325.572208294783, [5, 5], [0.1902537374, 6.1722940462]),
    ("full", "common"): (-1325.161629326902, [4.15960537, 4.15960537], None),
    ("full", "estimate"): (-1323.57613781813, [3.12339229, 6.83616064], None),
    ("tied", 5.0): (-1350.5843706786707, [5, 5], None),
    ("tied", "common"): (-1349.7445178056762, [3.8283, 3.8283], None),
    ("tied", "estimate"): (-1348.1024835177836, [5.66896246, 3.01344263], None),
    ("diag", 5.0): (-1328.031347343353, [5, 5], None),
    ("diag", "common"): (-1327.6488514131265, [4.18055081, 4.18055081], None),
    ("diag", "estimate"): (-1326.3876221728647, [3.19024279, 6.37720228], None),
    ("spherical", 5.0): (-1338.3584435359992, [5, 5], None),
    ("spherical", "common"): (-1338.0441138766655, [4.2304, 4.2304], None),
    ("spherical", "estimate"): (-1336.8890039170328, [3.22008723, 6.36705963], None),
}


def oracle_data():
    """Two t clusters of 3 and 8 degrees of freedom."""
    r = np.random.default_rng(11)
    mu = r.normal(size=(2, 2)) * 5
    A = r.normal(size=(2, 2, 2)) / np.sqrt(2) + np.eye(2)
    z = r.integers(2, size=300)
    nu = np.array([3.0, 8.0])[z]
    g = r.chisquare(nu) / nu
    noise = np.einsum("ide,ie->id", A[z], r.normal(size=(300, 2)))
    return mu[z] + noise / np.sqrt(g)[:, None]


@pytest.mark.parametrize(("covariance_type", "df"), ORACLE)
def test_fits_are_those_of_an_oracle(covariance_type, df):
    X = oracle_data()
    order = np.argsort(X[:, 0], kind="stable")
    means = X[order[np.linspace(0, 299, 5).astype(int)[1::2]]]
    v = X.var(axis=0)
    start = {
        "full": np.array([np.diag(1 / v)] * 2),
        "tied": np.diag(1 / v),
        "diag": np.array([1 / v] * 2),
        "spherical": np.full(2, 1 / v.mean()),
    }
    mixture = StudentMixture(
        2,
        covariance_type=covariance_type,
        df=df,
        df_init=10.0,
        reg_covar=0.0,
        tol=1e-8,
        weights_init=[0.5, 0.5],
        means_init=means,
        precisions_init=start[covariance_type],
    ).fit(X)
    loglik, freedom, first = ORACLE[covariance_type, df]
    assert mixture.lower_bound_ * 300 == pytest.approx(loglik, abs=1e-7)
    np.testing.assert_allclose(mixture.df_, freedom, rtol=1e-4)
    if first is not None:
        np.testing.assert_allclose(mixture.means_[:, 0], first, atol=1e-5)
    # Far fewer steps than the 23 to 180 of plain EM, in which ν is slow.
    assert mixture.n_iter_ <= 40


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_many_degrees_of_freedom_are_the_gaussian_fit(covariance_type, rng):
    X, _ = clusters(rng)
    params = {"covariance_type": covariance_type, "random_state": 0, "tol": 1e-6}
    gaussian = GaussianMixture(3, **params).fit(X)
    # The penalties differ a little, as their scales come from other coordinates.
    student = StudentMixture(3, df=np.inf, **params).fit(X)
    assert student.lower_bound_ == pytest.approx(gaussian.lower_bound_, abs=1e-4)
    assert np.allclose(by_place(student.means_), by_place(gaussian.means_), atol=1e-2)
    assert student.n_parameters_ == gaussian.n_parameters_
    nearly = StudentMixture(3, df=1e5, **params).fit(X)
    assert nearly.lower_bound_ == pytest.approx(student.lower_bound_, abs=1e-3)


@pytest.mark.parametrize(
    "covariance_type", ["full", pytest.param("tied", marks=pytest.mark.slow)]
)
def test_a_far_outlier_has_no_say(covariance_type, rng):
    X, y = clusters(rng)
    params = {"covariance_type": covariance_type, "random_state": 0}
    alone = StudentMixture(3, **params).fit(X)
    for far in (1e8, 1e160):
        Z = np.vstack([X, [[far, -far]]])
        found = StudentMixture(3, **params).fit(Z)
        assert adjusted_rand_score(y, found.predict(X)) > 0.95
        # Less than two standard errors of 80 rows a cluster.
        away = by_place(found.means_) - by_place(alone.means_)
        assert np.abs(away).max() < 0.2
        assert np.isfinite(found.score_samples(Z)).all()
        assert found.lower_bound_ == pytest.approx(found.score(Z), rel=1e-9)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_outliers_take_no_component(rng, seed):
    X, y = clusters(rng)
    Z = np.vstack([X, rng.standard_cauchy((50, 2)) * 20])
    params = {"covariance_type": "spherical", "random_state": seed}
    found = StudentMixture(3, **params).fit(Z)
    assert adjusted_rand_score(y, found.predict(X)) > 0.9
    assert (
        adjusted_rand_score(y, GaussianMixture(3, **params).fit_predict(Z)[:240]) < 0.7
    )


def test_missing_values_weights_and_places_of_rows(rng):
    X, _ = clusters(rng)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[0] = np.nan
    X[1] = [1e160, np.nan]
    v = rng.integers(0, 3, len(X)).astype(float)
    params = {"random_state": 0, "n_init": 1, "tol": 1e-6}
    found = StudentMixture(3, **params).fit(X, sample_weight=v)
    # Weights that are normalised are not the same, repeated rows are.
    repeated = StudentMixture(3, **params).fit(np.repeat(X, v.astype(int), axis=0))
    assert found.lower_bound_ == pytest.approx(repeated.lower_bound_, abs=1e-5)
    assert found.lower_bound_ == pytest.approx(found.score(X, sample_weight=v))
    assert np.isfinite(found.impute(X)).all()
    assert np.array_equal(np.isnan(found.score_samples(X)), np.zeros(len(X), bool))


def test_dask_and_memmaps_give_the_same_fit(rng, tmp_path):
    da = pytest.importorskip("dask.array")
    X, _ = clusters(rng)
    X[0] = 1e12
    params = {"random_state": 0, "n_init": 1}
    here = StudentMixture(3, **params).fit(X)
    mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    mapped[:] = X
    for there in (np.asfortranarray(X), mapped, da.from_array(X, chunks=(70, 2))):
        found = StudentMixture(3, **params).fit(there)
        assert found.lower_bound_ == pytest.approx(here.lower_bound_, rel=1e-8)
        assert np.allclose(by_place(found.means_), by_place(here.means_), atol=1e-3)


def test_streams_come_to_the_fit_of_all(rng):
    centres = CENTRES * 2
    X = centres[rng.integers(0, 3, 12_000)] + rng.standard_t(3, size=(12_000, 2))
    stream = StudentMixture(3, df="common", random_state=0)
    for batch in np.array_split(X, 24):
        batch[0] = 1e160
        stream.partial_fit(batch)
    assert np.allclose(by_place(stream.means_), by_place(centres), atol=0.2)
    assert 2 < stream.df_[0] < 4
    assert np.ptp(stream.df_) == 0


def test_single_precision_is_kept(rng):
    X, _ = clusters(rng)
    X = X.astype(np.float32)
    found = StudentMixture(3, random_state=0).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "df_"):
        assert getattr(found, name).dtype == np.float32
    assert found.score_samples(X).dtype == np.float32


NASTY = {
    "constant": lambda r, X: np.c_[X, np.full(len(X), 7.0)],
    "collinear": lambda r, X: np.c_[X, X @ [1.0, 2.0]],
    "repeated": lambda r, X: X[r.integers(0, 5, len(X))],
    "one row": lambda r, X: np.repeat(X[:1], 30, axis=0),
    "two rows": lambda r, X: np.repeat(X[:2], 30, axis=0),
    "few rows": lambda r, X: r.normal(size=(4, 10)),
    "zeros": lambda r, X: np.c_[X, np.where(r.random(len(X)) < 0.7, 0, X[:, 0])],
    "bits": lambda r, X: r.integers(0, 2, X.shape),
    "tiny and huge": lambda r, X: X * [1e-200, 1e200],
    "heavy": lambda r, X: r.standard_cauchy(X.shape) ** 5,
    "rare values": lambda r, X: np.c_[X, (np.arange(len(X)) % 100 == 0) * 1e5],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skem.exceptions.DegenerateComponentsWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("change", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
def test_nasty_data_give_numbers(change, covariance_type, rng):
    X = change(rng, clusters(rng, 120)[0])
    found = StudentMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    for values in (
        found.means_, found.covariances_, found.df_, found.score_samples(X),
        found.predict_proba(X), found.lower_bound_,
    ):  # fmt: skip
        assert np.isfinite(values).all()
    assert found.lower_bound_ == pytest.approx(found.score(X), rel=1e-6)


@pytest.fixture
def mixture():
    return StudentMixture.from_parameters(
        [0.3, 0.7], [[0.0, 1.0], [5.0, -2.0]], [np.eye(2), [[2, 1], [1, 2.0]]],
        df=[3.0, 8.0], random_state=0,
    )  # fmt: skip


def test_draws_follow_the_density(mixture):
    X, labels = mixture.sample(4000)
    first = mixture.marginal(0)
    assert isinstance(first, StudentMixture) and first.df_.tolist() == [3, 8]
    assert stats.kstest(X[:, 0], first.cdf).pvalue > 0.01
    assert labels.mean() == pytest.approx(0.7, abs=0.03)
    q = np.array([0, 1e-3, 0.4, 1])
    assert np.allclose(first.cdf(first.quantile(q)), q)
    # Of draws the mass below is uniform.
    below = mixture.support_probability(X, random_state=1)
    assert stats.kstest(below, "uniform").statistic < 0.04


def test_missing_values_get_conditional_means(mixture):
    x = np.array([[2.0, np.nan]])
    weights = mixture.predict_proba(x)[0]
    expected = weights @ [1.0, -2 + 0.5 * (2 - 5)]
    assert mixture.impute(x)[0, 1] == pytest.approx(expected)


def test_standard_errors_are_those_of_a_t_location(rng):
    X = rng.standard_t(5, size=(400, 1))
    fitted = StudentMixture(1, df=5.0).fit(X)
    errors = fitted.standard_errors(X, n_boot=40, random_state=0)
    # Information (ν + 1)/(ν + 3) of each row.
    assert errors.means[0, 0] == pytest.approx(np.sqrt(8 / 6 / 400), rel=0.3)


def test_summary_tells_degrees_of_freedom_and_overlap(mixture, rng):
    X, _ = mixture.sample(300)
    summary = mixture.summary(X)
    assert summary.df.tolist() == [3, 8]
    assert "Scales" in str(summary) and " df " in str(summary)
    assert summary.n_parameters == 1 + 4 + 6 + 2
    assert summary.bic == pytest.approx(mixture.bic(X))
    one = StudentMixture.from_parameters(
        [0.5, 0.5], [[0.0], [2.0]], [1.0, 1.0], np.inf, "spherical"
    )
    # exp(−δ²/8) of Gaussians.
    assert one.summary().overlap[0, 1] == pytest.approx(np.exp(-0.5), abs=0.015)


def test_pictures_are_of_t_densities(mixture):
    pytest.importorskip("matplotlib")
    display = MixtureDisplay.from_estimator(mixture, features=[0])
    assert display.mixture.df_.tolist() == [3, 8]


def test_starts_go_on_and_copies_are_the_same(mixture, rng):
    X, _ = mixture.sample(500)
    fitted = StudentMixture(2, random_state=0, warm_start=True).fit(X)
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    before = fitted.lower_bound_
    # A hundredth of a nat is left, and the penalty may take as much.
    assert fitted.fit(X).lower_bound_ == pytest.approx(before, abs=0.02 / len(X))
    assert fitted.n_iter_ <= 5
    assert fitted.set_params(df=4.0).fit(X).df_.tolist() == [4, 4]
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"df": -1.0}, "The 'df' parameter of StudentMixture"),
        ({"df": "some"}, "The 'df' parameter of StudentMixture"),
        ({"df": [1.0, 2.0, 3.0]}, r"shape of \(2,\), but got \(3,\)"),
        ({"df": [1.0, np.nan]}, "should be positive"),
        ({"df_init": [0.0, 1.0]}, "'df_init' should be positive"),
    ],
)
def test_bad_degrees_of_freedom_are_errors(params, message, rng):
    mixture = StudentMixture(2, **params)
    with pytest.raises(ValueError, match=message):
        mixture.fit(rng.normal(size=(30, 2)))
    assert not hasattr(mixture, "means_") and not hasattr(mixture, "n_features_in_")


def test_given_degrees_of_freedom_stay_with_their_components(rng):
    X, _ = clusters(rng)
    found = StudentMixture(3, df=[2.0, 9.0, 4.0], random_state=0).fit(X)
    assert found.df_.tolist() == [2, 9, 4]
    assert found.n_parameters_ == 2 + 6 + 9


def test_overlap_of_components_far_apart_is_zero_without_a_warning():
    mixture = StudentMixture.from_parameters(
        [0.5, 0.5], [[0.0], [1e4]], [1.0, 1.0], df=np.inf, covariance_type="spherical"
    )
    overlap = mixture.summary().overlap
    assert 0 <= overlap[0, 1] < 1e-100
