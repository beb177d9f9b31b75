"""The Bayesian mixture: scikit-learn's iterates, a true bound, and what comes with."""

import copy
import itertools
import pickle
import warnings
from itertools import cycle

import numpy as np
import pytest
import sklearn.mixture
from scipy import integrate, stats
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from skem import BayesianGaussianMixture, MixtureDisplay
from skem.core.gaussian.covariance import STRUCTURES

Peer = sklearn.mixture.BayesianGaussianMixture
PRIORS = ["dirichlet_process", "dirichlet_distribution"]
# Weights and covariances know nothing of each other: the priors take turns.
PAIRED = list(zip(STRUCTURES, cycle(PRIORS), strict=False))
CENTRES = np.array([[0.0, 0.0, 0.0], [4.0, 1.0, 0.0], [0.0, 3.0, 3.0]])
ATTRIBUTES = [
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "weight_concentration_",
    "mean_precision_",
    "degrees_of_freedom_",
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
]


@pytest.fixture
def X(rng):
    """Three clusters, in units that differ by a factor of fifty."""
    rows = np.concatenate([centre + rng.normal(size=(100, 3)) for centre in CENTRES])
    return rows * [1.0, 5.0, 0.1] + [10.0, 0.0, 1.0]


def quietly(fit, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*args, **kwargs)


def started(X, covariance_type, prior, reg_covar=1e-6, **params):
    """scikit-learn's mixture after one step."""
    peer = Peer(
        n_components=5,
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior,
        reg_covar=reg_covar,
        tol=0,
        max_iter=1,
        init_params="random_from_data",
        random_state=0,
        **params,
    )
    return quietly(peer.fit, X)


def continued(peer, X, steps):
    """Both mixtures, so many steps later."""
    ours = BayesianGaussianMixture.from_sklearn(
        peer,
        warm_start=True,
        algorithm="em",
        tol=0,
        reg_covar=peer.reg_covar,
        max_iter=steps,
    )
    quietly(ours.fit, X)
    theirs = copy.deepcopy(peer).set_params(warm_start=True, max_iter=steps)
    return ours, quietly(theirs.fit, X)


@pytest.mark.each_pair
@pytest.mark.parametrize("steps", [1, 5, 50])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_plain_steps_are_those_of_scikit_learn(X, covariance_type, prior, steps):
    ours, theirs = continued(started(X, covariance_type, prior), X, steps)
    for name in ATTRIBUTES:
        here, there = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        assert here.shape == there.shape, name
        assert np.abs(here - there).max() <= 1e-7 * np.abs(there).max(), name
    assert ours.n_iter_ == theirs.n_iter_ == steps
    assert np.allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-9)
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_a_prior_of_ones_own_is_that_of_scikit_learn(X, covariance_type):
    # In other units than the steps are computed in.
    covariance = {
        "full": np.cov(X.T) + np.eye(3) * 0.1,
        "tied": np.cov(X.T) * 0.1,
        "diag": np.array([3.0, 2.0, 0.1]),
        "spherical": 2.5,
    }[covariance_type]
    params = {
        "weight_concentration_prior": 0.3,
        "mean_precision_prior": 2.5,
        "mean_prior": [9.0, -1.0, 2.0],
        "degrees_of_freedom_prior": 4.5,
        "covariance_prior": covariance,
    }
    peer = started(X, covariance_type, PRIORS[0], **params)
    ours, theirs = continued(peer, X, 5)
    for name in ATTRIBUTES:
        here, there = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        assert np.abs(here - there).max() <= 1e-7 * np.abs(there).max(), name


def constant_of(peer, X):
    """Our bound less scikit-learn's: what theirs leaves out.

    That is −(N d / 2) log 2π of the data, and their bound of the prior itself.
    """
    n, d = X.shape
    K, prior = peer.n_components, copy.deepcopy(peer)
    gamma = peer.weight_concentration_prior_
    if isinstance(peer.weight_concentration_, tuple):
        prior.weight_concentration_ = np.ones(K), np.full(K, gamma)
    else:
        prior.weight_concentration_ = np.full(K, gamma)
    prior.mean_precision_ = np.full(K, float(peer.mean_precision_prior_))
    degrees = float(peer.degrees_of_freedom_prior_)
    structure = STRUCTURES[peer.covariance_type]
    covariance = np.asarray(peer.covariance_prior_, dtype=float) / degrees
    if not structure.shared:
        covariance = np.broadcast_to(covariance, structure.shape(K, d))
    prior.degrees_of_freedom_ = degrees if structure.shared else np.full(K, degrees)
    prior.precisions_cholesky_, _ = structure.factor(covariance)
    nothing = prior._compute_lower_bound(np.zeros((1, K)), 0.0)
    return -0.5 * n * d * np.log(2 * np.pi) - np.ravel(nothing)[0]


@pytest.mark.slow
@pytest.mark.parametrize(("covariance_type", "prior"), PAIRED)
def test_the_bound_rises_as_that_of_scikit_learn(X, covariance_type, prior):
    """Theirs is that of the new q and the old responsibilities: between two of ours."""
    peer = started(X, covariance_type, prior, reg_covar=0)
    ours, theirs = continued(peer, X, 400)
    if not hasattr(theirs, "lower_bounds_"):
        pytest.skip("scikit-learn before 1.7 does not keep its bounds")
    bounds = np.array(ours.lower_bounds_)
    # Theirs of tied covariances are arrays of one number.
    between = np.ravel(theirs.lower_bounds_)[-400:] + constant_of(theirs, X)
    rounding = 1e-12 * np.abs(bounds).max()
    assert (between[1:] >= bounds[:-1] - rounding).all()
    assert (between <= bounds + rounding).all()
    # At the optimum responsibilities and q fit each other.
    assert between[-1] == pytest.approx(bounds[-1], abs=1e-5)
    assert bounds[-1] - bounds[0] > 10


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("change", [0.0, 1e-300])
def test_a_number_suffices_where_data_have_no_variance(X, covariance_type, change):
    """Where the prior has none, either, components without rows had been an error."""
    rows = change * X[::10]
    params = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 50}
    peer = quietly(Peer(n_components=2, **params).fit, rows)
    mixture = BayesianGaussianMixture(2, reg_covar=1e-6, n_init=1, **params)
    mixture = quietly(mixture.fit, rows)
    own, theirs = (np.sort(each.covariances_.ravel()) for each in (mixture, peer))
    np.testing.assert_allclose(own, theirs, rtol=1e-10, atol=1e-21)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_the_bound_of_one_component_is_the_evidence(rng, covariance_type):
    """Row by row, each has the predictive density given those before it."""
    X = rng.normal(size=(12, 2)) * [1.0, 30.0]
    m, beta, nu, V = np.array([0.5, 1.0]), 0.7, 3.5, np.array([[2.0, 1.0], [1.0, 90.0]])
    mixture = BayesianGaussianMixture(
        covariance_type=covariance_type,
        weight_concentration_prior_type="dirichlet_distribution",
        mean_prior=m,
        mean_precision_prior=beta,
        degrees_of_freedom_prior=nu,
        covariance_prior=V,
        reg_covar=0,
    ).fit(X)
    evidence = 0.0
    for x in X:
        shape = V * (1 + beta) / (beta * (nu - 1))
        evidence += stats.multivariate_t(m, shape, nu - 1).logpdf(x)
        V = V + beta / (1 + beta) * np.outer(x - m, x - m)
        m, beta, nu = (beta * m + x) / (1 + beta), beta + 1, nu + 1
    assert mixture.lower_bound_ == pytest.approx(evidence, rel=1e-10)
    assert np.allclose(mixture.covariances_.reshape(2, 2), V / nu, rtol=1e-10)


@pytest.mark.each_value
@pytest.mark.parametrize("algorithm", ["squarem", "lbfgs"])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_accelerated_steps_end_at_the_optimum_of_plain_ones(
    X, covariance_type, algorithm
):
    peer = started(X, covariance_type, PRIORS[0])
    params = {"warm_start": True, "reg_covar": 0, "max_iter": 3000}
    ends = [
        BayesianGaussianMixture.from_sklearn(
            peer, algorithm=each, tol=tol, **params
        ).fit(X)
        for each, tol in [("em", 1e-6), (algorithm, 1e-2)]
    ]
    assert ends[1].converged_
    # What is left is estimated within a factor of a few; a better optimum may be
    # found on the way.
    assert ends[1].lower_bound_ >= ends[0].lower_bound_ - 0.05
    assert np.diff(ends[1].lower_bounds_).min() >= -1e-8


@pytest.mark.each_value
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_superfluous_components_vanish(rng, covariance_type, prior):
    centres = np.array([[0.0, 0.0], [7.0, 0.0], [0.0, 7.0], [7.0, 7.0]])
    X = np.concatenate([centre + rng.normal(size=(120, 2)) for centre in centres])
    mixture = BayesianGaussianMixture(
        12,
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior,
        random_state=0,
    ).fit(X)
    assert mixture.n_effective_components_ == 4
    found = mixture.means_[:4]
    distances = np.linalg.norm(found[:, None] - centres, axis=2)
    assert (distances.min(axis=0) < 0.5).all()
    # The dead have the prior for a posterior.
    assert np.allclose(mixture.means_[4:], mixture.mean_prior_, atol=0.1)
    assert (np.diff(mixture.mean_precision_) <= 1e-6).all()


def test_a_start_with_too_many_components_is_left(X):
    one_start = BayesianGaussianMixture(10, n_init=1, random_state=0).fit(X)
    searched = BayesianGaussianMixture(10, random_state=0).fit(X)
    assert searched.lower_bound_ > one_start.lower_bound_ + 1
    assert searched.n_effective_components_ == 3


def test_weights_are_repeated_rows(X, rng):
    weight = rng.integers(0, 4, size=len(X))
    peer = started(X, "full", PRIORS[0])
    params = {"warm_start": True, "algorithm": "em", "tol": 0, "max_iter": 5}
    weighted, repeated = (
        BayesianGaussianMixture.from_sklearn(peer, reg_covar=0, **params)
        for _ in range(2)
    )
    quietly(weighted.fit, X, sample_weight=weight)
    quietly(repeated.fit, np.repeat(X, weight, axis=0))
    for name in ATTRIBUTES:
        here = np.asarray(getattr(weighted, name))
        there = np.asarray(getattr(repeated, name))
        assert np.allclose(here, there, rtol=1e-9, atol=1e-9), name
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-10)


def test_single_precision_gives_about_the_same(X):
    double = BayesianGaussianMixture(5, random_state=0).fit(X)
    single = BayesianGaussianMixture(5, random_state=0).fit(X.astype(np.float32))
    for name in ("weights_", "means_", "covariances_", "mean_precision_"):
        assert getattr(single, name).dtype == np.float32
    # Sums of 300 rows, each rounded at 1e-7, and a tenth of a nat of the optimum.
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, abs=0.1)
    assert np.allclose(single.means_[:3], double.means_[:3], atol=0.02)


def test_files_give_the_same(X, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, X)
    here = BayesianGaussianMixture(5, random_state=0).fit(X)
    there = BayesianGaussianMixture(5, random_state=0).fit(np.load(path, mmap_mode="r"))
    assert here.lower_bound_ == there.lower_bound_


def test_dask_arrays_give_the_same(X):
    da = pytest.importorskip("dask.array")
    rows = da.from_array(X, chunks=(70, 2))
    here = BayesianGaussianMixture(5, random_state=0).fit(X)
    there = BayesianGaussianMixture(5, random_state=0).fit(rows)
    assert there.lower_bound_ == pytest.approx(here.lower_bound_, abs=0.01)
    assert there.n_effective_components_ == here.n_effective_components_ == 3
    found = there.score_samples(rows, posterior_predictive=True).compute()
    expected = here.score_samples(X, posterior_predictive=True)
    assert np.allclose(found, expected, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("covariance_type", "size"), list(zip(STRUCTURES, cycle([50, 400]), strict=False))
)
def test_streams_come_to_the_posterior_of_all_rows(rng, covariance_type, size):
    X = np.concatenate([rng.normal(size=(1000, 2)) + c for c in ([0, 0], [6, 3])])
    X = X[rng.permutation(len(X))]
    params = {"covariance_type": covariance_type, "random_state": 0}
    stream = BayesianGaussianMixture(4, learning_decay=1, **params)
    for start in range(0, len(X), size):
        stream.partial_fit(X[start : start + size])
    batch = BayesianGaussianMixture(4, **params).fit(X)
    assert stream.n_effective_components_ == batch.n_effective_components_ == 2
    order = np.argsort(-stream.mean_precision_)[:2], np.argsort(-batch.mean_precision_)
    assert stream.mean_precision_.sum() == pytest.approx(len(X) + 4, rel=1e-6)
    # In no order when the clusters have as many rows.
    here = np.sort(stream.means_[order[0], 0])
    assert np.allclose(here, np.sort(batch.means_[order[1][:2], 0]), atol=0.05)
    assert not stream.converged_
    assert stream.lower_bound_ == pytest.approx(batch.lower_bound_, rel=0.02)


def nasty(rng):
    normal = rng.normal(size=(30, 2))
    return {
        "constant": np.ones((20, 3)),
        "duplicates": np.repeat(normal[:2], 10, axis=0),
        "constant column": np.c_[normal, np.ones(30)],
        "collinear": normal[:, :1] * [1.0, 2.0, 3.0],
        "fewer rows than features": rng.normal(size=(5, 12)),
        "two rows": normal[:2],
        "huge": normal * 1e200,
        "tiny": normal * 1e-200,
        "far": normal + 1e9,
        "whole numbers": rng.integers(0, 3, size=(50, 2)),
        "bits": rng.integers(0, 2, size=(60, 4)).astype(bool),
        "outlier": np.vstack([normal, [[1e9, -1e9]]]),
        "single": normal.astype(np.float32),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "covariance_type", "prior"),
    [
        pytest.param(
            *(name, *pair), marks=[] if (i + j) % 4 == 0 else [pytest.mark.slow]
        )
        for i, name in enumerate(nasty(np.random.default_rng(0)))
        for j, pair in enumerate(itertools.product(STRUCTURES, PRIORS))
    ],
)
def test_nasty_data_give_finite_numbers(rng, covariance_type, prior, name):
    X = nasty(rng)[name]
    mixture = BayesianGaussianMixture(
        min(len(X), 5),
        covariance_type=covariance_type,
        weight_concentration_prior_type=prior,
        random_state=0,
    ).fit(X)
    for attribute in ATTRIBUTES:
        values = getattr(mixture, attribute)
        values = values if isinstance(values, tuple) else (values,)
        assert all(np.isfinite(value).all() for value in values), attribute
    assert np.isfinite(mixture.lower_bound_)
    assert np.isfinite(mixture.score_samples(X)).all()
    assert np.isfinite(mixture.score_samples(X, posterior_predictive=True)).all()
    assert np.allclose(mixture.predict_proba(X).sum(axis=1), 1)


def test_a_constant_column_tells_nothing(X):
    plain = BayesianGaussianMixture(6, random_state=0).fit(X)
    beside = BayesianGaussianMixture(6, random_state=0).fit(
        np.c_[X, np.full(len(X), 3.0)]
    )
    assert plain.n_effective_components_ == beside.n_effective_components_ == 3
    assert np.allclose(plain.means_[:3], beside.means_[:3, :3], atol=0.1)


def test_predictive_density_integrates_to_one_and_the_others_to_less(rng):
    X = np.concatenate([rng.normal(size=(15, 1)), rng.normal(6, 1, size=(10, 1))])
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)

    # The line as tan(angle): far away its points are as rare as the density is low.
    angles = (np.arange(20_000) + 0.5) / 20_000 * np.pi - np.pi / 2

    def mass(**params):
        density = np.exp(mixture.score_samples(np.tan(angles)[:, None], **params))
        return np.pi * np.mean(density / np.cos(angles) ** 2)

    assert mass(posterior_predictive=True) == pytest.approx(1, abs=1e-6)
    assert mass() < 0.95
    rows = np.linspace(-10, 15, 30)[:, None]
    predictive = mixture.score_samples(rows, posterior_predictive=True)
    assert (predictive >= mixture.score_samples(rows)).all()


def test_predictive_density_is_that_of_students(X):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    expected = 0.0
    for w, m, S, beta, nu in zip(
        mixture.weights_,
        mixture.means_,
        mixture.covariances_,
        mixture.mean_precision_,
        mixture.degrees_of_freedom_,
        strict=True,
    ):
        shape = S * nu * (1 + beta) / (beta * (nu - 2))
        expected = expected + w * stats.multivariate_t(m, shape, nu - 2).pdf(X)
    found = mixture.score_samples(X, posterior_predictive=True)
    assert np.allclose(found, np.log(expected), rtol=1e-8)
    assert np.isfinite(mixture.score_samples(1e200 + 0 * X, True)).all()


def test_predictive_samples_have_the_predictive_density(rng):
    X = rng.normal(size=(6, 1))
    mixture = BayesianGaussianMixture(1, random_state=0).fit(X)
    rows, _ = mixture.sample(20_000, random_state=0, posterior_predictive=True)
    nu, beta = mixture.degrees_of_freedom_[0], mixture.mean_precision_[0]
    scale = np.sqrt(mixture.covariances_[0, 0, 0] * (1 + beta) / beta)
    student = stats.t(nu, mixture.means_[0, 0], scale)
    assert stats.kstest(rows[:, 0], student.cdf).pvalue > 0.01
    gaussian, _ = mixture.sample(20_000, random_state=0)
    assert stats.kstest(gaussian[:, 0], student.cdf).pvalue < 1e-6


def test_predictive_samples_are_those_of_the_seed(X):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)

    def drawn(seed):
        return mixture.sample(5, random_state=seed, posterior_predictive=True)[0]

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1) != drawn(2)).all()
    # None is that of the estimator.
    np.testing.assert_array_equal(drawn(None), drawn(0))


def test_predictive_samples_are_not_given_values(X):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match="given needs posterior_predictive=False"):
        mixture.sample(2, given={0: 1.0}, posterior_predictive=True)


def test_a_constant_column_is_no_feature_of_the_predictive_density(rng):
    rows = rng.normal(size=(8, 2))
    mixture = BayesianGaussianMixture(random_state=0).fit(np.c_[rows, np.full(8, 3.0)])
    here = np.c_[[-9.0, 0.0, 30.0], np.full(3, np.nan), np.full(3, 3.0)]
    without = np.where(here == 3, np.nan, here)
    difference = np.subtract(
        *(
            mixture.score_samples(at, posterior_predictive=True)
            for at in (here, without)
        )
    )
    # It is as likely wherever the others are.
    np.testing.assert_allclose(difference, difference[0])


def test_what_likelihood_is_for_is_not_here(X):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    for name in ("bic", "aic", "icl", "standard_errors"):
        assert not hasattr(mixture, name)
    summary = mixture.summary(X)
    assert summary.bic is None
    assert summary.sizes.sum() == len(X)
    assert summary.lower_bound == mixture.lower_bound_
    assert "BIC" not in str(summary)


def test_support_is_uniform_for_draws_of_the_plug_in_mixture(X):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    rows, _ = mixture.sample(2000, random_state=1)
    found = mixture.support_probability(rows)
    # Compared with 100 000 other draws.
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_pictures_take_it(X):
    pytest.importorskip("matplotlib")
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, features=(0, 1))
    assert display.figure_ is not None


def test_pickles_predict_the_same(X):
    mixture = BayesianGaussianMixture(4, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(mixture))
    assert np.array_equal(again.predict_proba(X), mixture.predict_proba(X))


def test_warm_starts_continue(X):
    params = {"algorithm": "em", "tol": 0, "n_init": 1, "random_state": 0}
    once = quietly(BayesianGaussianMixture(4, max_iter=6, **params).fit, X)
    twice = BayesianGaussianMixture(4, max_iter=3, warm_start=True, **params)
    quietly(twice.fit, X)
    quietly(twice.fit, X)
    assert np.allclose(once.means_, twice.means_, rtol=1e-9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"degrees_of_freedom_prior": 2.0}, "should be greater than 2, but got 2.000"),
        ({"mean_prior": [0.0, 1.0]}, r"'means' should have the shape of \(3,\)"),
        (
            {"covariance_prior": np.eye(2)},
            r"'full covariance_prior' should have the shape of \(3, 3\)",
        ),
        ({"covariance_prior": -np.eye(3)}, "should be symmetric, positive-definite"),
        (
            {"covariance_type": "diag", "covariance_prior": [1.0, 0.0, 1.0]},
            "should be positive",
        ),
        ({"mean_precision_prior": 0}, "mean_precision_prior"),
    ],
)
def test_wrong_priors_are_errors(X, params, message):
    mixture = BayesianGaussianMixture(2, **params)
    with pytest.raises(ValueError, match=message):
        mixture.fit(X)
    with pytest.raises(NotFittedError):
        mixture.predict(X)


def test_only_bayesian_mixtures_of_theirs_are_taken(X):
    with pytest.raises(TypeError, match="BayesianGaussianMixture"):
        BayesianGaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture())
    with pytest.raises(NotFittedError):
        BayesianGaussianMixture.from_sklearn(Peer())


@parametrize_with_checks([BayesianGaussianMixture()])
def test_estimator_checks(estimator, check):
    check(estimator)


# Missing values ---------------------------------------------------------------------


@pytest.fixture
def holed(X, rng):
    holed = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    holed[np.isnan(holed).all(axis=1), 0] = 10.0
    return holed


@pytest.mark.parametrize(
    "covariance_type", ["full", pytest.param("tied", marks=pytest.mark.slow), "diag"]
)
def test_fits_of_rows_with_gaps_find_the_clusters(X, holed, covariance_type):
    params = {"covariance_type": covariance_type, "random_state": 0}
    mixture = BayesianGaussianMixture(6, **params).fit(holed)
    assert np.diff(mixture.lower_bounds_).min() >= -1e-8
    assert mixture.n_effective_components_ == 3
    # No worse than from where the complete rows lead to.
    warm = BayesianGaussianMixture(6, warm_start=True, **params).fit(X).fit(holed)
    assert mixture.lower_bound_ > warm.lower_bound_ - mixture.tol


def test_rows_without_a_value_tell_nothing(holed):
    padded = np.concatenate([holed, np.full((40, 3), np.nan)])
    found, expected = (
        BayesianGaussianMixture(3, random_state=0).fit(rows) for rows in (padded, holed)
    )
    assert found.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-10)
    for name in ATTRIBUTES:
        for a, b in zip(
            np.atleast_1d(getattr(found, name)),
            np.atleast_1d(getattr(expected, name)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("posterior_predictive", [False, True])
def test_what_is_missing_is_integrated_out(X, posterior_predictive):
    mixture = BayesianGaussianMixture(3, random_state=0).fit(X)
    row, grid = X[0].copy(), np.linspace(-2000, 2000, 400_001)
    rows = np.tile(row, (len(grid), 1))
    rows[:, 1], row[1] = grid, np.nan
    density = np.exp(mixture.score_samples(rows, posterior_predictive))
    expected = np.log(integrate.trapezoid(density, grid))
    found = mixture.score_samples(row[None], posterior_predictive)[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_stream_takes_gaps(holed, rng):
    mixture = BayesianGaussianMixture(3, random_state=0)
    holed = rng.permutation(holed)
    for part in np.array_split(holed, 5):
        mixture.partial_fit(part)
    mixture.partial_fit(np.full((3, 3), np.nan))
    assert mixture.n_effective_components_ == 3
    assert mixture.score(holed) > BayesianGaussianMixture(1).fit(holed).score(holed)


@pytest.mark.parametrize("value", [-9999.0, 1e10, 1e20])
@pytest.mark.parametrize("columns", [[0], [0, 1]], ids=["one", "all"])
@pytest.mark.parametrize(("covariance_type", "prior"), PAIRED)
def test_values_that_stand_for_no_data(covariance_type, prior, columns, value):
    """The others are clustered as without them; adjusted Rand indices had been 0.56."""
    if covariance_type == "tied" and value == 1e20:
        pytest.skip("a mean so far away costs the prior more than a covariance")
    rng, y = np.random.default_rng(0), np.arange(150) % 3
    centres = 8 * np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])
    X = centres[y] + rng.normal(size=(150, 2))
    for rows in ([7], [7, 30, 31], np.arange(7)):
        given = X.copy()
        given[np.ix_(rows, columns)] = value
        mixture = BayesianGaussianMixture(
            6,
            covariance_type=covariance_type,
            weight_concentration_prior_type=prior,
            random_state=0,
        ).fit(given)
        labels, others = mixture.predict(given), np.delete(np.arange(150), rows)
        assert adjusted_rand_score(y[others], labels[others]) > 0.95
        assert not set(labels[rows]) & set(labels[others])


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_none_is_the_prior_of_scikit_learn_also_beside_outliers(X, covariance_type):
    given = np.vstack([X, np.full((3, 3), -9999.0)])
    params = {"n_components": 2, "covariance_type": covariance_type, "random_state": 0}
    ours = BayesianGaussianMixture(mean_prior=None, covariance_prior=None, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = Peer(**params).fit(given)
    ours.fit(given)
    np.testing.assert_allclose(ours.mean_prior_, theirs.mean_prior_)
    # Rows of one value have a width.
    covariance = theirs.covariance_prior_
    np.testing.assert_allclose(ours.covariance_prior_, covariance, rtol=1e-6)
    assert ours.mean_precision_prior_ == 1
    auto = BayesianGaussianMixture(**params).fit(given)
    np.testing.assert_allclose(auto.mean_prior_, X.mean(axis=0), atol=1e-9)
    assert (auto.mean_precision_prior_ < 1) == (covariance_type == "tied")
    again = auto.to_sklearn()
    assert again.mean_precision_prior == auto.mean_precision_prior_
    np.testing.assert_array_equal(again.mean_prior, auto.mean_prior_)
