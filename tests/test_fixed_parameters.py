"""Parts of a mixture that a fit leaves as they are."""

import numpy as np
import pytest
from sklearn.base import clone

from skem import GaussianMixture, GaussianMixtureIC, StudentMixture

TYPES = ["full", "tied", "diag", "spherical"]
CENTRES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.5]])
RESTRICTED = {
    "full": lambda within, w: within,
    "tied": lambda within, w: np.einsum("k,kij->ij", w, within) / w.sum(),
    "diag": lambda within, w: np.einsum("kii->ki", within),
    "spherical": lambda within, w: np.einsum("kii->k", within) / within.shape[1],
}


@pytest.fixture
def X(rng):
    z = rng.choice(3, p=[0.5, 0.3, 0.2], size=300)
    return CENTRES[z] + rng.normal(size=(300, 2)) * [1.0, 0.7]


def precisions(covariance_type):
    whole = np.broadcast_to(np.eye(2), (3, 2, 2))
    return RESTRICTED[covariance_type](whole, np.ones(3))


def within(X, resp, means):
    """Σ r (x − m)(x − m)ᵀ / Σ r about any means."""
    y = X[:, None] - means
    return np.einsum("nk,nki,nkj->kij", resp, y, y) / resp.sum(axis=0)[:, None, None]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_given_means(covariance_type, X):
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        fixed="means",
        means_init=CENTRES,
        reg_covar=0.0,
        tol=1e-9,
        random_state=0,
    ).fit(X)
    np.testing.assert_array_equal(mixture.means_, CENTRES)
    # The M-step about given means, at its fixed point.
    resp = mixture.predict_proba(X)
    np.testing.assert_allclose(mixture.weights_, resp.mean(axis=0), atol=1e-6)
    expected = RESTRICTED[covariance_type](within(X, resp, CENTRES), resp.sum(axis=0))
    np.testing.assert_allclose(mixture.covariances_, expected, atol=1e-5)
    free = GaussianMixture(3, covariance_type=covariance_type).fit(X[:50])
    assert mixture.n_parameters_ == free.n_parameters_ - 6
    bic = -2 * mixture.score(X) * len(X) + mixture.n_parameters_ * np.log(len(X))
    assert mixture.bic(X) == pytest.approx(bic)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_equal_weights(covariance_type, X):
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        fixed="weights",
        reg_covar=0.0,
        tol=1e-9,
        random_state=0,
    ).fit(X)
    np.testing.assert_array_equal(mixture.weights_, np.full(3, 1 / 3))
    resp = mixture.predict_proba(X)
    means = resp.T @ X / resp.sum(axis=0)[:, None]
    np.testing.assert_allclose(mixture.means_, means, atol=1e-5)
    expected = RESTRICTED[covariance_type](within(X, resp, means), resp.sum(axis=0))
    np.testing.assert_allclose(mixture.covariances_, expected, atol=1e-4)
    free = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    assert mixture.n_parameters_ == free.n_parameters_ - 2
    assert mixture.score(X) < free.score(X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_given_covariances(covariance_type, X):
    given = 0.8 * precisions(covariance_type)
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        fixed="covariances",
        precisions_init=given,
        tol=1e-9,
        random_state=0,
    ).fit(X)
    np.testing.assert_allclose(mixture.precisions_, given, atol=1e-12)
    resp = mixture.predict_proba(X)
    means = resp.T @ X / resp.sum(axis=0)[:, None]
    np.testing.assert_allclose(mixture.means_, means, atol=1e-5)
    assert mixture.n_parameters_ == 2 + 6


def test_masks_of_components(X):
    unit = np.stack([np.eye(2)] * 3)
    mixture = GaussianMixture(
        3,
        fixed={
            "weights": [True, False, False],
            "means": np.array([False, True, False]),
            "covariances": [False, False, True],
        },
        weights_init=[0.5, 0.25, 0.25],
        means_init=CENTRES + 0.2,
        precisions_init=unit,
        reg_covar=0.0,
        tol=1e-9,
    ).fit(X)
    resp = mixture.predict_proba(X)
    n = resp.sum(axis=0)
    assert mixture.weights_[0] == 0.5
    np.testing.assert_allclose(mixture.weights_[1:], n[1:] / n[1:].sum() / 2, atol=1e-6)
    np.testing.assert_array_equal(mixture.means_[1], CENTRES[1] + 0.2)
    np.testing.assert_allclose(
        mixture.means_[[0, 2]], (resp.T @ X / n[:, None])[[0, 2]], atol=1e-5
    )
    np.testing.assert_allclose(mixture.covariances_[2], np.eye(2), atol=1e-12)
    expected = within(X, resp, mixture.means_)
    np.testing.assert_allclose(mixture.covariances_[:2], expected[:2], atol=1e-4)
    assert mixture.n_parameters_ == 17 - 1 - 2 - 3


def test_the_search_finds_the_components_that_are_not_given(rng):
    centres = 6 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [2, 0]])
    X = centres[rng.integers(6, size=600)] + rng.normal(size=(600, 2))
    mixture = GaussianMixture(
        6, fixed="means", means_init=centres[::-1], random_state=0
    )
    mixture.fit(X)
    free = GaussianMixture(6, random_state=0).fit(X)
    assert 0 < (free.score(X) - mixture.score(X)) * len(X) < 30
    equal = GaussianMixture(6, fixed=("weights",), random_state=0).fit(X)
    assert 0 < (free.score(X) - equal.score(X)) * len(X) < 10
    # Equal weights do not tell components apart: the order is that of the means.
    assert (np.diff(equal.means_[:, 0].round(9)) > 0).all()


@pytest.mark.parametrize("algorithm", ["em", "squarem", "lbfgs"])
def test_solvers_leave_it_alone(algorithm, X):
    given = {"weights": [True, False, True], "means": [False, True, True]}
    mixture = GaussianMixture(
        3,
        fixed=given,
        weights_init=[0.3, 0.3, 0.4],
        means_init=CENTRES,
        algorithm=algorithm,
        tol=1e-8,
        max_iter=5000,
        random_state=0,
    ).fit(X)
    assert mixture.converged_
    np.testing.assert_allclose(mixture.weights_, [0.3, 0.3, 0.4], rtol=1e-12)
    np.testing.assert_array_equal(mixture.means_[1:], CENTRES[1:])
    em = clone(mixture).set_params(algorithm="em").fit(X)
    assert mixture.score(X) == pytest.approx(em.score(X), abs=1e-8)


def test_gaps_weights_labels_single_precision_and_streams(X, rng):
    mixture = GaussianMixture(
        3, fixed="means", means_init=CENTRES, covariance_type="tied", random_state=0
    )
    expected = mixture.fit(X).covariances_
    gaps = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    mixture.fit(gaps, sample_weight=np.ones(len(X)))
    np.testing.assert_array_equal(mixture.means_, CENTRES)
    np.testing.assert_allclose(mixture.covariances_, expected, atol=0.2)
    single = mixture.fit(X.astype(np.float32))
    np.testing.assert_array_equal(single.means_, CENTRES.astype(np.float32))
    np.testing.assert_allclose(single.covariances_, expected, atol=1e-3)
    labels = np.full(len(X), -1)
    labels[:5] = mixture.predict(X[:5])
    mixture.fit(X, labels=labels).partial_fit(X[:100])
    np.testing.assert_array_equal(mixture.means_, CENTRES)
    stream = clone(mixture)
    for batch in np.array_split(X, 3):
        stream.partial_fit(batch)
    np.testing.assert_array_equal(stream.means_, CENTRES)
    np.testing.assert_allclose(stream.covariances_, expected, atol=0.2)
    # What is fixed is so for the whole stream.
    stream.set_params(means_init=CENTRES + 1).partial_fit(X[:50])
    np.testing.assert_array_equal(stream.means_, CENTRES)


@pytest.mark.parametrize("method", ["sandwich", "bootstrap"])
def test_standard_errors_of_what_is_fixed_are_zero(X, method):
    mixture = GaussianMixture(3, fixed="means", means_init=CENTRES, random_state=0)
    mixture.fit(X)
    errors = mixture.standard_errors(X, method=method, n_boot=5, random_state=0)
    assert (errors.means == 0).all()
    assert (errors.weights > 0).all()


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("method", ["sandwich", "hessian", "opg", "bootstrap"])
@pytest.mark.parametrize("weights", [True, [True, True, False]])
def test_nothing_free_has_no_errors(kind, method, weights, X):
    params = {} if kind is GaussianMixture else {"df": 5.0}
    mixture = kind(
        3,
        fixed={"weights": weights, "means": True, "covariances": True},
        weights_init=[0.5, 0.3, 0.2],
        means_init=CENTRES,
        precisions_init=precisions("full"),
        **params,
    ).fit(X)
    errors = mixture.standard_errors(X, method=method, n_boot=3)
    for each in errors:
        np.testing.assert_allclose(each, 0, atol=1e-12)


def test_another_fit_counts_anew(X):
    mixture = GaussianMixture(3, fixed="weights", random_state=0).fit(X)
    fewer = mixture.n_parameters_
    assert mixture.set_params(fixed=None).fit(X).n_parameters_ == fewer + 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fixed": "means"}, "means_init is None"),
        ({"fixed": ("covariances",)}, "precisions_init is None"),
        ({"fixed": ("weights", "shapes")}, "shapes"),
        ({"fixed": {"means": [True, False]}, "means_init": CENTRES}, r"shape \(3,\)"),
        ({"fixed": {"weights": 0.5}}, "bool"),
        (
            {
                "fixed": {"covariances": [True, False, True]},
                "covariance_type": "tied",
                "precisions_init": np.eye(2),
            },
            "all of the covariances, or none",
        ),
        ({"fixed": 3}, "fixed"),
    ],
)
def test_what_cannot_be_fixed_is_an_error(params, message, X):
    mixture = GaussianMixture(3, **params)
    with pytest.raises(ValueError, match=message):
        mixture.fit(X)
    assert not hasattr(mixture, "means_")


def test_a_given_mean_may_be_as_far_as_can_be():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 6])
    given = [[1e160, 0.0], [6.0, 6.0]]
    mixture = GaussianMixture(2, fixed="means", means_init=given).fit(X)
    np.testing.assert_allclose(mixture.means_, given)
    assert np.isfinite(mixture.lower_bound_)


OTHERS = ["EII", "EEI", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"]


@pytest.mark.parametrize(
    ("covariance_type", "kind"),
    [
        *((name, GaussianMixture) for name in OTHERS),
        ("EVI", StudentMixture),
        pytest.param("VVE", StudentMixture, marks=pytest.mark.slow),
    ],
)
def test_a_given_mean_of_every_shape(covariance_type, kind, X, rng):
    given = np.array([[0.2, 0.1], [4.0, 1.0], [1.0, 4.0]])
    data = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    params = {"covariance_type": covariance_type, "tol": 1e-5, "random_state": 0}
    free = kind(3, means_init=given, **params).fit(data)
    some = {"means": [True, False, False]}
    mixture = kind(3, fixed=some, means_init=given, **params).fit(data)
    np.testing.assert_array_equal(mixture.means_[0], given[0])
    assert mixture.n_parameters_ == free.n_parameters_ - 2
    # From the free optimum, with that mean put back, one comes no higher.
    means = np.vstack([given[:1], free.means_[1:]])
    other = kind(
        3,
        fixed=some,
        means_init=means,
        weights_init=free.weights_,
        precisions_init=free.precisions_,
        **params,
    ).fit(data)
    n = len(data)
    assert other.lower_bound_ * n == pytest.approx(mixture.lower_bound_ * n, abs=0.01)
    assert mixture.lower_bound_ <= free.lower_bound_
    before = mixture.means_[0].copy()
    mixture.partial_fit(X[:100])
    np.testing.assert_array_equal(mixture.means_[0], before)


@pytest.mark.parametrize("noise", [None, True])
def test_a_selection_with_equal_weights(noise, X):
    params = {"noise": noise, "fixed": "weights", "random_state": 0}
    selection = GaussianMixtureIC((1, 2, 3), covariance_type=["tied", "VEV"], **params)
    selection.fit(X)
    assert np.ptp(selection.weights_) < 1e-12
    name = selection.covariance_type_
    single = GaussianMixture(selection.n_components_, covariance_type=name, **params)
    assert selection.criterion_ <= single.fit(X).bic(X) + 0.05
    numbers = selection.results_["n_parameters"]
    expected = [
        GaussianMixture(int(K), covariance_type=str(name), **params)
        .fit(X)
        .n_parameters_
        for K, name in zip(
            selection.results_["param_n_components"],
            selection.results_["param_covariance_type"],
            strict=True,
        )
    ]
    np.testing.assert_array_equal(numbers, expected)
    with pytest.raises(ValueError, match="'fixed' parameter"):
        selection.set_params(fixed="means").fit(X)
