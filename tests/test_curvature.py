"""Standard errors against second differences of the likelihood, and a jackknife."""

from copy import copy

import numpy as np
import pytest

from skem import GaussianMixture, StudentMixture

CENTRES = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
STEP = 1e-3
TYPES = ["full", "tied", "diag", "spherical"]


def sample(n=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    X = CENTRES[labels] + rng.standard_t(4, size=(n, 2))
    noise = rng.random(n) < 0.15
    X[noise] = rng.uniform(-10, 15, size=(noise.sum(), 2))
    return X, labels


def with_gaps(X):
    X = X.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    return X


def inverse_information(log_likelihood, point):
    steps = STEP * np.eye(len(point))
    middle = log_likelihood(point)
    ahead = [log_likelihood(point + step) for step in steps]
    behind = [log_likelihood(point - step) for step in steps]
    hessian = np.diag(np.add(ahead, behind) - 2 * middle)
    for i, j in zip(*np.triu_indices(len(point), 1), strict=True):
        both = log_likelihood(point + steps[i] + steps[j])
        both += log_likelihood(point - steps[i] - steps[j])
        alone = ahead[i] + ahead[j] + behind[i] + behind[j]
        hessian[i, j] = hessian[j, i] = (both + 2 * middle - alone) / 2
    return np.linalg.inv(-hessian / STEP**2)


def by_differences(mixture, X, labels=None, weight=None):
    """Errors of weights, means, covariances and degrees of freedom that are free."""
    (K, d), shape = mixture.means_.shape, mixture.covariances_.shape
    masks = {} if mixture.fixed is None else mixture.fixed
    free = {
        name: ~np.broadcast_to(masks.get(name, False), K)
        for name in ("weights", "means", "covariances")
    }
    places = np.flatnonzero(free["weights"])
    if mixture.noise is None:
        # The last one has what the others leave.
        places = places[:-1]
    upper = np.triu_indices(d)
    matrices = shape[-2:] == (d, d)
    own = mixture.covariances_.reshape(-1, *shape[-2:] if matrices else shape[1:])
    chosen = free["covariances"][: len(own)]
    df = getattr(mixture, "df_", None)
    estimated = df is not None and isinstance(mixture.df, str)
    degrees = df[:1] if estimated and mixture.df == "common" else df

    def entries(values):
        values = values.reshape(own.shape)[chosen]
        return (values[..., *upper] if matrices else values).ravel()

    parts = [
        mixture.weights_[places],
        mixture.means_[free["means"]].ravel(),
        entries(mixture.covariances_),
        *([degrees] if estimated else []),
    ]
    ends = np.cumsum([len(part) for part in parts])[:-1]

    def log_likelihood(point):
        weights, means, covariances, *more = np.split(point, ends)
        moved = copy(mixture)
        moved.weights_ = mixture.weights_.copy()
        moved.weights_[places] = weights
        if mixture.noise is None and len(places):
            last = np.flatnonzero(free["weights"])[-1]
            moved.weights_[last] += 1 - moved.weights_.sum()
        moved.means_ = mixture.means_.copy()
        moved.means_[free["means"]] = means.reshape(-1, d)
        values = own.copy()
        if matrices:
            mirrored = np.zeros((chosen.sum(), d, d))
            mirrored[..., *upper] = covariances.reshape(len(mirrored), -1)
            mirrored[..., *upper[::-1]] = mirrored[..., *upper]
            values[chosen] = mirrored
        else:
            values[chosen] = covariances.reshape(values[chosen].shape)
        moved.covariances_ = values.reshape(shape)
        del moved.precisions_cholesky_
        if more:
            moved.df_ = np.broadcast_to(more[0], K)
        return moved._totals(X, weight, labels=labels).loglik

    covariance = inverse_information(log_likelihood, np.concatenate(parts))
    expected = np.sqrt(np.diag(covariance))
    errors = mixture.standard_errors(X, weight, method="hessian", labels=labels)
    found = [
        errors.weights[places],
        errors.means[free["means"]].ravel(),
        entries(errors.covariances),
        *([errors.df[: len(degrees)]] if estimated else []),
    ]
    fixed = [
        errors.means[~free["means"]].ravel(),
        errors.weights[~free["weights"]],
    ]
    assert not np.concatenate(fixed).any()
    return np.concatenate(found), expected


def fit(kind, X, labels=None, weight=None, **params):
    return kind(3, random_state=0, tol=1e-9, reg_covar=0.0, **params).fit(
        X, sample_weight=weight, labels=labels
    )


def check(mixture, X, labels=None, weight=None):
    found, expected = by_differences(mixture, X, labels, weight)
    # Differences have errors of the square of their step.
    np.testing.assert_allclose(found, expected, rtol=3e-4)


@pytest.mark.parametrize("df", ["estimate", "common", 4.0])
def test_errors_of_t_mixtures_are_those_of_the_curvature(df):
    X, _ = sample(200)
    check(fit(StudentMixture, X, df=df, covariance_type="spherical"), X)


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", TYPES)
def test_errors_with_gaps_weights_and_labels_too(covariance_type):
    X, labels = sample()
    X, known = with_gaps(X), np.where(np.arange(len(X)) < 100, labels, -1)
    weight = np.random.default_rng(2).integers(1, 4, len(X)).astype(float)
    given = {"labels": known, "weight": weight}
    mixture = fit(StudentMixture, X, covariance_type=covariance_type, **given)
    check(mixture, X, **given)


@pytest.mark.each_value
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize(
    "fixed",
    [
        {"weights": True},
        {"means": [True, False, True], "weights": [True, False, False]},
        {"covariances": [False, True, False], "means": True},
    ],
)
def test_what_is_fixed_has_no_error(kind, fixed):
    X, _ = sample(200)
    given = {
        "weights_init": [0.4, 0.3, 0.3],
        "means_init": CENTRES,
        "precisions_init": [0.5, 0.5, 0.5],
    }
    params = {"df": 4.0} if kind is StudentMixture else {}
    mixture = fit(kind, X, covariance_type="spherical", fixed=fixed, **given, **params)
    check(mixture, X)


@pytest.mark.each_value
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("mask", [[True] * 3, [True, False, False]])
def test_fixed_weights_are_shares_of_what_noise_leaves(kind, mask):
    X, labels = sample(250)
    given = {
        "weights_init": [0.4, 0.3, 0.3],
        "fixed": {"weights": mask},
        "labels": np.where(np.arange(250) < 30, labels, -1),
        "covariance_type": "spherical",
        "noise": True,
    }
    params = {"df": 6.0} if kind is StudentMixture else {}
    mixture = fit(kind, X, **given, **params)
    shares = mixture.weights_ / mixture.weights_.sum()
    places = [*mixture.means_.ravel(), *mixture.covariances_]
    free = [] if all(mask) else [shares[1]]
    point = np.array([*places, mixture.noise_weight_, *free])

    def weights(point):
        noise, *share = point[9:]
        second = share[0] if share else shares[1]
        last = 1 - shares[0] - second
        return (1 - noise) * np.array([shares[0], second, last])

    def log_likelihood(point):
        moved = copy(mixture)
        moved.weights_ = weights(point)
        moved.means_, moved.covariances_ = point[:6].reshape(3, 2), point[6:9]
        del moved.precisions_cholesky_
        return moved._totals(X, None, labels=given["labels"]).loglik

    covariance = inverse_information(log_likelihood, point)
    steps = 1e-6 * np.eye(len(point))
    slopes = [(weights(point + s) - weights(point - s)) / 2e-6 for s in steps]
    of_weights = np.transpose(slopes) @ covariance @ slopes
    errors = mixture.standard_errors(X, method="hessian", labels=given["labels"])
    right = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(errors.weights, np.sqrt(np.diag(of_weights)), rtol=3e-4)
    np.testing.assert_allclose(errors.means.ravel(), right[:6], rtol=3e-4)
    np.testing.assert_allclose(errors.covariances, right[6:9], rtol=3e-4)


@pytest.mark.each_value
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("covariance_type", ["tied", "spherical"])
def test_errors_beside_noise(kind, covariance_type):
    X, _ = sample(250)
    params = {"df": 6.0} if kind is StudentMixture else {}
    start = {"means_init": CENTRES}
    noisy = fit(kind, X, covariance_type=covariance_type, noise=True, **start, **params)
    assert 0.05 < noisy.noise_weight_ < 0.4
    check(noisy, X)


def test_sandwich_of_a_t_mixture_is_what_a_jackknife_finds():
    rng = np.random.default_rng(0)
    X = rng.standard_t(4, size=(60, 1)) * 2 + 3
    mixture = StudentMixture(1, df=4.0, tol=1e-8, reg_covar=0.0).fit(X)
    again = copy(mixture).set_params(warm_start=True)
    left_out = []
    for i in range(len(X)):
        again = copy(again).fit(np.delete(X, i, axis=0))
        left_out.append([again.means_[0, 0], again.covariances_.ravel()[0]])
    spread = np.sqrt((len(X) - 1) * np.var(left_out, axis=0))
    errors = mixture.standard_errors(X)
    found = [errors.means[0, 0], errors.covariances.ravel()[0]]
    # They differ by 1/n, times what a few rows far out do.
    np.testing.assert_allclose(found, spread, rtol=0.1)
    assert errors.df.tolist() == [0.0]


@pytest.mark.slow
def test_errors_of_degrees_of_freedom_by_the_bootstrap():
    X = np.random.default_rng(0).standard_t(3, size=(500, 1))
    mixture = StudentMixture(1, random_state=0).fit(X)
    by_refits = mixture.standard_errors(X, method="bootstrap", n_boot=30)
    errors = mixture.standard_errors(X)
    assert errors.df[0] == pytest.approx(by_refits.df[0], rel=0.4)
    assert errors.means[0, 0] == pytest.approx(by_refits.means[0, 0], rel=0.4)


def test_many_degrees_of_freedom_have_the_errors_of_a_gaussian():
    X, _ = sample(300)
    params = {"covariance_type": "tied", "n_init": 1}
    gaussian = fit(GaussianMixture, X, **params)
    student = fit(StudentMixture, X, df=np.inf, **params)
    np.testing.assert_allclose(
        student.weights_, gaussian.weights_, rtol=1e-6, err_msg="another optimum"
    )
    for ours, theirs in zip(
        student.standard_errors(X), gaussian.standard_errors(X), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
