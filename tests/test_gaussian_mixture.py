"""The estimator."""

import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Peer
from threadpoolctl import threadpool_limits

from skem import GaussianMixture, GaussianMixtureIC, StudentMixture
from skem.core.gaussian.covariance import STRUCTURES
from skem.exceptions import DegenerateComponentsWarning

pytestmark = pytest.mark.usefixtures("short_search")

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(params=COVARIANCE_TYPES)
def covariance_type(request):
    return request.param


def blobs(n=300, d=3, K=3, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    means = rng.normal(0, spread, (K, d))
    return means[rng.integers(K, size=n)] + rng.normal(size=(n, d))


def given_start(X, K, covariance_type, seed=0):
    d = X.shape[1]
    rng = np.random.default_rng(seed)
    precision = np.linalg.inv(np.cov(X.T).reshape(d, d))
    variances = X.var(axis=0)
    precisions = {
        "full": np.stack([precision] * K),
        "tied": precision,
        "diag": np.stack([1 / variances] * K),
        "spherical": np.full(K, 1 / variances.mean()),
    }
    return {
        "weights_init": np.full(K, 1 / K),
        "means_init": X[rng.choice(len(X), K, replace=False)],
        "precisions_init": precisions[covariance_type],
    }


def dense_covariances(mixture):
    K, d = mixture.means_.shape
    return {
        "full": lambda C: C,
        "tied": lambda C: np.stack([C] * K),
        "diag": lambda C: np.stack([np.diag(c) for c in C]),
        "spherical": lambda C: np.stack([c * np.eye(d) for c in C]),
    }[mixture.covariance_type](mixture.covariances_)


def quietly(mixture, *args, **kwargs):
    """Fit without the warning that few steps deserve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DegenerateComponentsWarning)
        return mixture.fit(*args, **kwargs)


def relative_error(a, b):
    return np.max(np.abs(a - b)) / np.max(np.abs(b))


@pytest.mark.each_pair
@pytest.mark.parametrize("load", [load_iris, load_wine])
@pytest.mark.parametrize("max_iter", [1, 5, 50])
def test_iterates_equal_those_of_scikit_learn(covariance_type, load, max_iter):
    X = load().data
    params = {
        "covariance_type": covariance_type,
        "reg_covar": 1e-6,
        "tol": 0,
        "max_iter": max_iter,
        **given_start(X, 3, covariance_type),
    }
    theirs = quietly(Peer(3, **params), X)
    ours = quietly(GaussianMixture(3, algorithm="em", **params), X)
    single = quietly(GaussianMixture(3, algorithm="em", **params), X.astype("f"))
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert relative_error(a, b) < 1e-7
        # 50 steps in float32: about a thousand roundings of 6e-8.
        assert relative_error(getattr(single, name), a) < 1e-4
    assert ours.n_iter_ == theirs.n_iter_ == max_iter
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-10)
    # Since 1.7; scikit-learn's bounds are those before each step.
    if hasattr(theirs, "lower_bounds_"):
        bounds = theirs.lower_bounds_[1:]
        assert np.allclose(ours.lower_bounds_[:-1], bounds, atol=1e-10)


def test_two_component_example_is_recovered():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(-2, 0.5, 600), rng.normal(0.5, 1, 1400)][:, None]
    mixture = GaussianMixture(2, random_state=0).fit(X)
    order = np.argsort(mixture.means_.ravel())
    # Three standard errors of estimates from 2 000 points.
    assert np.allclose(mixture.weights_[order], [0.3, 0.7], atol=0.05)
    assert np.allclose(mixture.means_.ravel()[order], [-2, 0.5], atol=0.15)
    sds = np.sqrt(mixture.covariances_.ravel()[order])
    assert np.allclose(sds, [0.5, 1], atol=0.12)


def test_one_component_is_the_empirical_mean_and_covariance(covariance_type):
    X = blobs(n=500)
    mixture = GaussianMixture(1, covariance_type=covariance_type, tol=1e-9).fit(X)
    S = np.cov(X.T, bias=True)
    expected = {
        "full": S[None],
        "tied": S,
        "diag": np.diag(S)[None],
        "spherical": np.trace(S)[None] / 3,
    }
    # The penalty's target is S itself, so that it changes nothing for K = 1.
    assert np.allclose(mixture.means_[0], X.mean(axis=0), rtol=1e-12)
    assert np.allclose(mixture.covariances_, expected[covariance_type], rtol=1e-12)
    assert mixture.converged_


def test_density_is_that_of_scipy(covariance_type):
    X = blobs()
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    joint = np.stack(
        [
            np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(X)
            for weight, mean, covariance in zip(
                mixture.weights_,
                mixture.means_,
                dense_covariances(mixture),
                strict=True,
            )
        ],
        axis=1,
    )
    log_density = logsumexp(joint, axis=1)
    assert np.allclose(mixture.score_samples(X), log_density, atol=1e-10)
    assert np.allclose(
        mixture.predict_proba(X), np.exp(joint - log_density[:, None]), atol=1e-10
    )
    assert np.array_equal(mixture.predict(X), joint.argmax(axis=1))
    assert mixture.score(X) == pytest.approx(log_density.mean(), abs=1e-12)
    n_parameters = mixture.n_parameters_
    bic = -2 * log_density.sum() + n_parameters * np.log(len(X))
    assert mixture.bic(X) == pytest.approx(bic)
    assert mixture.aic(X) == pytest.approx(-2 * log_density.sum() + 2 * n_parameters)
    entropy = -np.log(mixture.predict_proba(X).max(axis=1)).sum()
    assert mixture.icl(X) == pytest.approx(bic + 2 * entropy)


def test_precisions_are_inverse_covariances(covariance_type):
    X = blobs()
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    if covariance_type in ("full", "tied"):
        inverse = np.linalg.inv(mixture.covariances_)
        factor = mixture.precisions_cholesky_
        product = factor @ np.swapaxes(factor, -1, -2)
        assert np.array_equal(factor, np.triu(factor))
    else:
        inverse = 1 / mixture.covariances_
        product = mixture.precisions_cholesky_**2
    assert np.allclose(mixture.precisions_, inverse)
    assert np.allclose(product, inverse)


@pytest.mark.each_value
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_lower_bound_is_the_score_at_the_returned_parameters(covariance_type, dtype):
    X = blobs().astype(dtype)
    weight = np.random.default_rng(1).uniform(size=len(X))
    for max_iter in (0, 1, 7, 1000):
        mixture = GaussianMixture(
            3, covariance_type=covariance_type, max_iter=max_iter, random_state=0
        )
        quietly(mixture, X, sample_weight=weight)
        # float32: rounding of the parameters and of single densities.
        tolerance = 1e-10 if dtype == "f8" else 1e-5
        score = mixture.score(X, sample_weight=weight)
        assert mixture.lower_bound_ == pytest.approx(score, abs=tolerance)
        assert len(mixture.lower_bounds_) == mixture.n_iter_
        if max_iter:
            assert mixture.lower_bounds_[-1] == mixture.lower_bound_


def test_starts_are_exactly_those_given(covariance_type):
    X = blobs()
    given = given_start(X, 3, covariance_type)
    mixture = GaussianMixture(
        3, covariance_type=covariance_type, max_iter=0, **given
    ).fit(X)
    assert np.allclose(mixture.weights_, given["weights_init"], rtol=1e-14)
    assert np.allclose(mixture.means_, given["means_init"], rtol=1e-12)
    assert np.allclose(mixture.precisions_, given["precisions_init"], rtol=1e-11)
    assert mixture.n_iter_ == 0
    assert not mixture.converged_
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X))


def test_one_part_of_a_start_may_be_given(covariance_type):
    X = blobs()
    given = given_start(X, 3, covariance_type)
    attributes = ("weights_", "means_", "precisions_")
    for name, attribute in zip(given, attributes, strict=True):
        mixture = GaussianMixture(
            3,
            covariance_type=covariance_type,
            max_iter=0,
            random_state=0,
            **{name: given[name]},
        ).fit(X)
        assert np.allclose(getattr(mixture, attribute), given[name], rtol=1e-10)


def test_means_of_seeding_starts_are_rows():
    X = blobs()
    for init_params in ("k-means++", "random_from_data"):
        mixture = GaussianMixture(
            3, init_params=init_params, max_iter=0, random_state=0
        ).fit(X)
        distances = np.abs(X[:, None] - mixture.means_).max(axis=2)
        assert distances.min(axis=0).max() < 1e-12


def test_fit_leaves_parameters_as_they_are():
    X = blobs()
    given = {k: v.tolist() for k, v in given_start(X, 3, "full").items()}
    mixture = GaussianMixture(3, **given)
    before = mixture.get_params()
    mixture.fit(X)
    after = mixture.get_params()
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)


def test_integer_weights_are_repeated_rows(covariance_type):
    X = blobs(n=120)
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    params = {
        "covariance_type": covariance_type,
        **given_start(X, 3, covariance_type),
    }
    repeated = np.repeat(X, weight, axis=0)
    a = GaussianMixture(3, **params).fit(X, sample_weight=weight)
    b = GaussianMixture(3, **params).fit(repeated)
    assert a.n_iter_ == b.n_iter_
    for name in ("weights_", "means_", "covariances_"):
        # Quasi-Newton steps along flat directions magnify rounding.
        assert np.allclose(getattr(a, name), getattr(b, name), rtol=1e-6, atol=1e-7)
    assert a.score(X, sample_weight=weight) == pytest.approx(b.score(repeated))
    assert a.bic(X, sample_weight=weight) == pytest.approx(b.bic(repeated))
    assert a.aic(X, sample_weight=weight) == pytest.approx(b.aic(repeated))
    assert a.icl(X, sample_weight=weight) == pytest.approx(b.icl(repeated))
    labels = GaussianMixture(3, **params).fit_predict(X, sample_weight=weight)
    assert np.array_equal(labels, a.predict(X))


def test_zero_weight_is_an_absent_row(covariance_type):
    X = blobs(n=120)
    wild = np.vstack([X, np.full((5, 3), 1e200), np.full((5, 3), -1e300)])
    weight = np.r_[np.ones(120), np.zeros(10)]
    params = {"covariance_type": covariance_type, "random_state": 0}
    a = GaussianMixture(3, **params).fit(wild, sample_weight=weight)
    b = GaussianMixture(3, **params).fit(X)
    # Quasi-Newton steps along flat directions magnify rounding.
    assert np.allclose(a.means_, b.means_, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="n_samples = 120"):
        GaussianMixture(121).fit(wild, sample_weight=weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(300, -1.0), "Negative values in data passed to `sample_weight`"),
        (np.zeros(300), "Sample weights must contain at least one non-zero number"),
        (np.ones(299), "sample_weight.shape == "),
        (np.full(300, np.nan), "Input sample_weight contains NaN"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(blobs(), sample_weight=weight)


def test_failed_fit_leaves_the_estimator_as_it_was():
    X = blobs()
    mixture = GaussianMixture(2, random_state=0).fit(X)
    before = dict(vars(mixture))
    for bad, weight in [
        (np.full((5, 7), np.nan), None),
        (X[:, :2], -np.ones(len(X))),
        (X[:1], None),
    ]:
        with pytest.raises(ValueError):
            mixture.fit(bad, sample_weight=weight)
        assert vars(mixture) == before
    fresh = GaussianMixture(400)
    with pytest.raises(ValueError):
        fresh.fit(X)
    assert not hasattr(fresh, "n_features_in_")


@pytest.mark.parametrize(
    ("params", "columns"),
    [({"n_components": 2}, 2), ({"covariance_type": "tied"}, 2), ({}, 1)],
)
def test_warm_start_from_another_kind_of_mixture_is_an_error(params, columns):
    X = np.random.default_rng(0).normal(size=(60, 2))
    mixture = GaussianMixture(1, random_state=0, warm_start=True).fit(X)
    before = dict(vars(mixture.set_params(**params)))
    with pytest.raises(ValueError, match="Set warm_start=False to start anew"):
        mixture.fit(X[:, :columns])
    assert vars(mixture) == before


@pytest.mark.parametrize("far", [1e-300, 1e153, 1e300])
def test_warm_start_from_data_at_another_end_of_the_range(far, covariance_type):
    """Squares of distances from the present means had overflowed."""
    X = np.random.default_rng(0).standard_normal((30, 2))
    mixture = GaussianMixture(1, covariance_type=covariance_type, warm_start=True)
    mixture.fit(X * far + far).fit(X)
    fresh = GaussianMixture(1, covariance_type=covariance_type).fit(X)
    np.testing.assert_allclose(mixture.means_, fresh.means_, atol=1e-12)
    np.testing.assert_allclose(mixture.covariances_, fresh.covariances_, rtol=1e-9)


def test_warm_start_resumes():
    X = blobs(100, spread=1.0)
    params = {"random_state": 0, "algorithm": "em", "tol": 1e-4, "n_init": 1}
    whole = quietly(GaussianMixture(3, max_iter=2, **params), X)
    parts = GaussianMixture(3, max_iter=1, warm_start=True, **params)
    quietly(quietly(parts, X), X)
    assert np.allclose(parts.means_, whole.means_, rtol=1e-10)
    assert np.allclose(parts.covariances_, whole.covariances_, rtol=1e-10)

    X = blobs()
    params["tol"] = 0.1
    single = GaussianMixture(3, **params).fit(X)
    parts = GaussianMixture(3, max_iter=1, warm_start=True, **params)
    converged = [quietly(parts, X).converged_ for _ in range(single.n_iter_)]
    assert converged == [False] * (single.n_iter_ - 1) + [True]
    assert single.n_iter_ > 3


def test_convergence_warning_tells_what_is_left():
    X = blobs(spread=1.0)
    with pytest.warns(ConvergenceWarning, match="estimated .* nats of log-likelihood"):
        GaussianMixture(3, n_init=1, max_iter=10, random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning, match="cannot be told yet how many nats"):
        GaussianMixture(3, max_iter=1, random_state=0).fit(X)


@pytest.mark.parametrize("max_iter", [1, 200])
def test_without_a_tolerance_the_warning_does_not_estimate_what_is_left(max_iter):
    mixture = GaussianMixture(3, tol=0, max_iter=max_iter, random_state=0)
    with pytest.warns(ConvergenceWarning, match="tol=0 a fit takes max_iter") as caught:
        mixture.fit(blobs())
    assert "nats" not in str(caught[0].message)


def test_best_of_several_starts_is_kept():
    X = blobs(n=200, K=6)
    params = {"init_params": "random_from_data", "reg_covar": 1e-6}
    singles = [
        quietly(
            GaussianMixture(6, n_init=1, random_state=rng, **params), X
        ).lower_bound_
        for rng in [np.random.RandomState(0)]
        for _ in range(5)
    ]
    best = quietly(GaussianMixture(6, n_init=5, random_state=0, **params), X)
    assert best.lower_bound_ == pytest.approx(max(singles), abs=1e-9)


def test_automatic_starts_are_seeded_and_no_worse_than_one(covariance_type):
    X = blobs(n=400, K=5)
    params = {"covariance_type": covariance_type, "random_state": 0}
    auto = GaussianMixture(5, **params).fit(X)
    again = GaussianMixture(5, n_init="auto", **params).fit(X)
    assert np.array_equal(auto.means_, again.means_)
    assert auto.converged_
    assert auto.lower_bound_ == pytest.approx(auto.score(X))
    single = GaussianMixture(5, n_init=1, **params).fit(X)
    # The objective has the penalty as well, which may trade a few nats.
    assert auto.lower_bound_ > single.lower_bound_ - 0.02


@pytest.mark.parametrize(
    "params",
    [
        {"max_iter": 0, "init_params": "random_from_data"},
        {"means_init": np.eye(3)},
        {"n_components": 1},
    ],
)
def test_automatic_starts_are_one_where_more_make_no_sense(params):
    X = blobs(n=100)
    params = {"n_components": 3, "random_state": 0, **params}
    auto = quietly(GaussianMixture(n_init="auto", **params), X)
    single = quietly(GaussianMixture(n_init=1, **params), X)
    assert np.array_equal(auto.means_, single.means_)


def test_sample_has_the_moments_of_the_mixture(covariance_type):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    mixture.fit(blobs(spread=8.0))
    X, y = mixture.sample(40_000, random_state=1)
    assert X.shape == (40_000, 3)
    assert not (np.diff(y) >= 0).all()
    for k, covariance in enumerate(dense_covariances(mixture)):
        rows = X[y == k]
        assert np.mean(y == k) == pytest.approx(mixture.weights_[k], abs=0.01)
        # Five standard errors.
        error = 5 * np.sqrt(np.diag(covariance) / len(rows))
        assert (np.abs(rows.mean(axis=0) - mixture.means_[k]) < error).all()
        assert np.allclose(np.cov(rows.T), covariance, atol=0.1 * covariance.max())
    refit = GaussianMixture(
        3, covariance_type=covariance_type, means_init=mixture.means_, random_state=0
    ).fit(X)
    assert refit.score(X) == pytest.approx(mixture.score(X), abs=1e-3)


def test_sample_is_seeded_and_refuses_nothing():
    mixture = GaussianMixture(2, random_state=3).fit(blobs())
    assert np.array_equal(mixture.sample(5)[0], mixture.sample(5)[0])
    assert np.array_equal(mixture.sample(5, random_state=3)[0], mixture.sample(5)[0])
    assert not np.array_equal(
        mixture.sample(5, random_state=4)[0], mixture.sample(5)[0]
    )
    with pytest.raises(ValueError, match="at least one sample"):
        mixture.sample(0)


def test_from_parameters_is_a_fitted_mixture(covariance_type):
    X = blobs()
    fitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    built = GaussianMixture.from_parameters(
        fitted.weights_,
        fitted.means_,
        fitted.covariances_,
        covariance_type=covariance_type,
    )
    assert np.allclose(built.score_samples(X), fitted.score_samples(X), atol=1e-9)
    assert built.bic(X) == pytest.approx(fitted.bic(X))
    assert built.sample(4, random_state=0)[0].shape == (4, 3)
    assert np.allclose(built.precisions_, fitted.precisions_)
    built.set_params(warm_start=True, tol=1.0).fit(X)
    # It resumes where the fit ended, whose own tolerance was 0.01 nats of 300 rows.
    assert built.score(X) == pytest.approx(fitted.score(X), abs=1e-3)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([0.5, 0.6], [[0.0], [1.0]], np.ones((2, 1, 1)), "normalized"),
        ([0.5, 0.5], [0.0, 1.0], np.ones((2, 1, 1)), "Expected 2D array"),
        ([0.5, 0.5], [[0.0], [1.0]], np.ones((1, 1)), "should have the shape of"),
        ([0.5, 0.5], [[0.0], [1.0]], -np.ones((2, 1, 1)), "positive-definite"),
        ([0.5, 0.5], [[0.0], [np.nan]], np.ones((2, 1, 1)), "contains NaN"),
    ],
)
def test_from_parameters_refuses_what_is_no_mixture(
    weights, means, covariances, message
):
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_parameters(weights, means, covariances)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("full", "full"),
        ("full", "spherical"),
        ("tied", "diag"),
        ("diag", "tied"),
        ("spherical", "full"),
    ],
)
def test_another_covariance_type_asks_for_another_fit(before, after):
    # As many features as components: precisions of some structures have one shape.
    X = blobs()
    mixture = GaussianMixture(3, covariance_type=before, random_state=0).fit(X)
    expected = mixture.predict(X)
    mixture.set_params(covariance_type=after)
    if before != after:
        for method in ("predict", "score", "summary", "standard_errors"):
            with pytest.raises(ValueError, match=f"from '{before}' to '{after}' since"):
                getattr(mixture, method)(X)
        with pytest.raises(ValueError, match="Call fit, or set it back"):
            mixture.sample()
        mixture.set_params(covariance_type=before)
    assert np.array_equal(mixture.predict(X), expected)
    mixture.set_params(covariance_type=after).fit(X).predict(X)


def test_attributes_set_by_hand_make_a_mixture_as_in_scikit_learn():
    X = blobs()
    fitted = GaussianMixture(3, random_state=0).fit(X)
    by_hand = GaussianMixture(3)
    by_hand.weights_, by_hand.means_ = fitted.weights_, fitted.means_
    by_hand.precisions_cholesky_ = fitted.precisions_cholesky_
    by_hand.n_features_in_ = 3
    assert np.array_equal(by_hand.predict_proba(X), fitted.predict_proba(X))


def test_results_do_not_depend_on_the_number_of_threads(covariance_type, monkeypatch):
    monkeypatch.setattr("skem.core.blocks.arrays.BLOCK_BYTES", 2**16)
    X = blobs(n=5000)
    params = {"covariance_type": covariance_type, "random_state": 0}
    mixtures, scores = [], []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            mixture = GaussianMixture(3, **params).fit(X)
            mixtures.append(mixture)
            scores.append(mixture.score_samples(X))
    for other, score in zip(mixtures[1:], scores[1:], strict=True):
        assert np.array_equal(other.means_, mixtures[0].means_)
        assert np.array_equal(other.covariances_, mixtures[0].covariances_)
        assert np.array_equal(score, scores[0])


def test_two_fits_at_once_give_the_right_answers():
    data = [blobs(n=40_000, seed=seed) for seed in (1, 2)]
    alone = [GaussianMixture(3, random_state=0).fit(X).means_ for X in data]
    mixtures = [GaussianMixture(3, random_state=0) for _ in data]
    threads = [
        threading.Thread(target=mixture.fit, args=(X,))
        for mixture, X in zip(mixtures, data, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mixture, means in zip(mixtures, alone, strict=True):
        assert np.array_equal(mixture.means_, means)


def test_verbose_tells_starts_and_steps(capsys):
    mixture = GaussianMixture(
        3, n_init=2, random_state=0, verbose=1, verbose_interval=1
    ).fit(blobs())
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Initialization") for line in lines) == 2
    steps = [line for line in lines if "mean log-likelihood" in line]
    assert len(steps) >= mixture.n_iter_
    assert "nats to go" in steps[0]


@pytest.mark.parametrize("method", ["fit", "score_samples", "bic"])
def test_no_array_with_a_row_for_each_sample(method):
    n, d, K = 500_000, 2, 16
    X = blobs(n=n, d=d, K=K)
    mixture = GaussianMixture(K, max_iter=2, random_state=0)
    quietly(mixture, X[:1000])
    tracemalloc.start()
    try:
        quietly(mixture, X) if method == "fit" else getattr(mixture, method)(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    result = 0 if method == "fit" else 8 * n
    # A few blocks of 4 MiB for each of two threads, of one mixture and of a stack,
    # k-means on its subsample, and for `fit` the largest subsample of the search, of
    # 10 MB; an n × K array would take 64 MB more.
    assert peak - result < (50e6 if method == "fit" else 30e6)


def test_equivariance_under_shift_and_scale(covariance_type):
    X = blobs(150, spread=2.0)
    params = {"covariance_type": covariance_type, "random_state": 0, "tol": 1e-8}
    base = GaussianMixture(3, **params).fit(X)
    for scale, shift in [(1e8, 0), (1e-8, 0), (1, 1e6), (-3.0, 50.0)]:
        moved = GaussianMixture(3, **params).fit(scale * X + shift)
        labels = moved.predict(scale * X + shift)
        assert adjusted_rand_score(base.predict(X), labels) == 1
        # A shift of 1e6 leaves ten digits of the data.
        expected = np.sort(scale * base.means_ + shift, axis=0)
        tolerance = 1e-6 * abs(scale)
        assert np.allclose(np.sort(moved.means_, axis=0), expected, atol=tolerance)


@pytest.mark.slow
def test_optima_close_by_are_found():
    """Where rows are fewer than parameters, they differ in a few rows."""
    X = load_wine().data
    found = [
        len(X) * GaussianMixture(3, random_state=seed).fit(X).lower_bound_
        for seed in range(5)
    ]
    # The best optimum known; without random weights the median is 12 nats below.
    assert np.median(found) > -2770.5 - 1
    assert min(found) > -2770.5 - 12


def test_degenerate_components_are_reported(rng):
    X = np.concatenate([rng.normal(size=(40, 2)), [[50.0, 50.0]]])
    with pytest.warns(DegenerateComponentsWarning, match="rest on fewer"):
        mixture = GaussianMixture(2, random_state=0).fit(X)
    assert mixture.degenerate_components_.tolist() == [mixture.predict(X[-1:])[0]]
    twin = mixture.means_[:1].repeat(2, axis=0)
    start = GaussianMixture.from_parameters(
        [0.5, 0.5], twin, np.stack([np.eye(2)] * 2), warm_start=True
    )
    with pytest.warns(DegenerateComponentsWarning, match="coincide"):
        start.fit(X)
    assert start.degenerate_components_.tolist() == [0, 1]


def test_sensible_components_are_not_called_degenerate(rng):
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(9, 1, size=(40, 2))])
    mixture = GaussianMixture(2, random_state=0).fit(X)
    assert mixture.degenerate_components_.size == 0


def test_weights_that_were_normalised_are_named_as_the_cause():
    X = blobs()
    weight = np.full(len(X), 1 / len(X))
    mixture = GaussianMixture(2, n_init=1, random_state=0)
    with pytest.warns(DegenerateComponentsWarning, match="add up to 1, as if there"):
        mixture.fit(X, sample_weight=weight)
    with pytest.warns(UserWarning, match="No candidate .* should not be normalised"):
        GaussianMixtureIC((2, 3), n_init=1, random_state=0).fit(X, sample_weight=weight)
    with pytest.warns(DegenerateComponentsWarning, match="Try to decrease") as caught:
        mixture.set_params(n_components=200).fit(X, sample_weight=np.ones(len(X)))
    assert "normalised" not in str(caught[0].message)


# Order of the components


def test_the_largest_component_is_the_first_whatever_the_seed():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(m, 1, n) for m, n in ((0, 30), (9, 60), (18, 90))])
    fits = [GaussianMixture(3, random_state=seed).fit(X[:, None]) for seed in range(4)]
    for fit in fits:
        np.testing.assert_allclose(
            fit.means_.ravel(), fits[0].means_.ravel(), rtol=1e-3
        )
        assert (np.diff(fit.weights_) < 0).all()
        np.testing.assert_array_equal(fit.predict([[18.0], [9.0], [0.0]]), [0, 1, 2])
    in_order = GaussianMixture(3, means_init=[[0.0], [9.0], [18.0]]).fit(X[:, None])
    assert (np.diff(in_order.weights_) > 0).all()
    again = in_order.set_params(warm_start=True, means_init=None).fit(X[:, None])
    assert (np.diff(again.weights_) > 0).all()


def test_components_of_equal_weight_are_in_the_order_of_their_means():
    X = np.concatenate([np.arange(9.0), np.arange(100, 109.0)])[:, None]
    for seed in range(4):
        fit = GaussianMixture(2, random_state=seed).fit(X)
        np.testing.assert_allclose(fit.means_.ravel(), [4, 104], rtol=1e-6)
    np.testing.assert_allclose(fit.lower_bound_, fit.score(X), rtol=1e-12)
    np.testing.assert_allclose(fit.partial_fit(X).means_.ravel(), [4, 104], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_two_components_become_one_to_split_a_third(seed):
    """The optimum that was found before is 81 nats below the best of a hundred."""
    rng = np.random.default_rng(10_014)
    means, shapes = 1.5 * rng.normal(size=(10, 4)), np.eye(4)
    shapes = shapes + 0.3 * rng.normal(size=(10, 4, 4))
    labels = rng.integers(10, size=10_000)
    noise = rng.normal(size=(10_000, 4))
    X = means[labels] + np.einsum("nij,nj->ni", shapes[labels], noise)
    model = GaussianMixture(10, covariance_type="spherical", random_state=seed).fit(X)
    assert model.score(X) * len(X) > -76_149


@pytest.mark.parametrize("covariance_type", [*STRUCTURES, "VEI"])
def test_a_number_may_be_as_small_as_data_are(covariance_type, rng):
    """It had been infinite in units of the data."""
    X = 1e-155 * rng.normal(size=(40, 2))
    mixture = GaussianMixture(1, covariance_type=covariance_type, reg_covar=1e-300)
    covariances = mixture.fit(X).covariances_
    np.testing.assert_allclose(covariances.max(), 1e-300, rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "shape", "wanted", "others"),
    [
        ("spherical", (2, 3, 3), r"\(2,\)", "'full'"),
        ("diag", (2, 3, 3), r"\(2, 3\)", "'full'"),
        ("tied", (2, 3, 3), r"\(3, 3\)", "'full'"),
        ("full", (3, 3), r"\(2, 3, 3\)", "'tied'"),
        ("EVI", (2,), r"\(2, 3\)", "'spherical'"),
    ],
)
def test_covariances_of_another_shape_are_told_their_structure(
    name, shape, wanted, others
):
    weights, means, covariances = [0.5, 0.5], np.zeros((2, 3)), np.ones(shape)
    given = f"but got \\({', '.join(map(str, shape))},?\\)"
    remedy = f"that is the shape of covariance_type={others}"
    message = f"'{name} .*' should have the shape of {wanted}, {given}: {remedy}$"
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_parameters(weights, means, covariances, name)
    with pytest.raises(ValueError, match=message):
        StudentMixture.from_parameters(weights, means, covariances, 3.0, name)
    start = GaussianMixture(2, covariance_type=name, precisions_init=covariances)
    with pytest.raises(ValueError, match=message.replace(f": {remedy}", "")):
        start.fit(np.random.default_rng(0).normal(size=(9, 3)))


def test_shapes_of_no_structure_have_no_remedy():
    with pytest.raises(ValueError, match=r"\(2, 3, 3\), but got \(1, 2\)$"):
        GaussianMixture.from_parameters([0.5, 0.5], np.zeros((2, 3)), np.ones((1, 2)))
