"""Standard errors for sampling weights: of how many others a row stands for."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit, logsumexp

from skem import GaussianMixture, MixtureModel, StudentMixture


def sampled(rng, n=1200):
    """Two clusters, of which rows with large first values are drawn rarely."""
    y = rng.integers(2, size=n)
    X = np.array([[0.0, 0.0], [5.0, 3.0]])[y] + rng.normal(size=(n, 2))
    return X, 300 * np.exp(0.4 * X[:, 1]) * rng.uniform(0.5, 1.5, n)


def errors_of(mixture, X, weight, method="survey"):
    errors = mixture.standard_errors(X, weight, method=method)
    if isinstance(mixture, MixtureModel):
        means = [errors.parameters[name]["mean"] for name in ("x0", "x1")]
        return errors.weights, np.transpose(means)
    return errors.weights, errors.means


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, MixtureModel])
def test_errors_of_a_mean_are_those_of_survey_statistics(kind, rng):
    """√(Σ v² (x − μ)²) / Σ v, of one component."""
    X, weight = sampled(rng)
    options = {"df": np.inf} if kind is StudentMixture else {}
    mixture = kind(1, **options).fit(X, sample_weight=weight / weight.mean())
    mean = np.average(X, axis=0, weights=weight)
    expected = np.sqrt((weight[:, None] ** 2 * (X - mean) ** 2).sum(axis=0))
    _, found = errors_of(mixture, X, weight)
    np.testing.assert_allclose(found[0], expected / weight.sum(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The mixture is not at a maximum")
@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture, MixtureModel])
def test_the_scale_of_weights_is_of_no_effect(kind, rng):
    X, weight = sampled(rng)
    mixture = kind(2, random_state=0).fit(X, sample_weight=weight / weight.mean())
    with warnings.catch_warnings():
        # Population weights are what they are for.
        warnings.simplefilter("error")
        whole = errors_of(mixture, X, weight)
    for other in (weight / weight.sum(), 1e-200 * weight):
        for one, same in zip(whole, errors_of(mixture, X, other), strict=True):
            np.testing.assert_allclose(one, same, rtol=1e-6)
    # Weights that are equal are none.
    plain = errors_of(mixture, X, np.ones(len(X)), "sandwich")
    for one, same in zip(
        plain, errors_of(mixture, X, np.full(len(X), 50.0)), strict=True
    ):
        np.testing.assert_allclose(one, same, rtol=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
def test_exact_matrices_are_those_of_differences(gaps, rng):
    """Tables have numeric derivatives, and the mixture the same model."""
    X, weight = sampled(rng)
    unit = weight / weight.mean()
    if gaps:
        X[rng.random(X.shape) < 0.2] = np.nan
    tight = {"random_state": 0, "tol": 1e-9}
    mixture = GaussianMixture(2, **tight).fit(X, sample_weight=unit)
    model = MixtureModel(2, **tight).fit(X, sample_weight=unit)
    order = np.argsort(mixture.means_[:, 0])
    other = np.argsort(model.parameters_["x0"]["mean"])
    pairs = zip(errors_of(mixture, X, weight), errors_of(model, X, weight), strict=True)
    for one, same in pairs:
        np.testing.assert_allclose(one[order], same[other], rtol=2e-3)


def test_errors_of_classes_are_those_of_the_definition(rng):
    n = 1500
    y = (rng.random(n) < 0.4).astype(int)
    A = (rng.random((n, 5)) < np.array([0.25, 0.8])[y, None]).astype(float)
    weight = np.where(A[:, 0] > 0, 7.0, 35.0)
    model = MixtureModel(
        2, families="bernoulli", random_state=0, pseudo_observations=0, tol=1e-9
    ).fit(A, sample_weight=weight / weight.mean())
    names = [f"x{j}" for j in range(5)]
    p = np.transpose([model.parameters_[name]["probability"] for name in names])
    start = np.r_[logit(model.weights_[0]), logit(p).ravel()]

    def log_density(theta):
        w = np.log(expit(np.array([theta[0], -theta[0]])))
        q = expit(theta[1:]).reshape(2, 5)
        each = np.log(q) @ A.T + np.log(1 - q) @ (1 - A).T
        return logsumexp(w[:, None] + each, axis=0)

    def differences(function, at, step=1e-4):
        steps = step * np.eye(len(at))
        return np.array([(function(at + h) - function(at - h)) for h in steps]) / (
            2 * step
        )

    scores = differences(log_density, start)
    hessian = differences(
        lambda t: differences(lambda s: log_density(s) @ weight, t), start
    )
    inverse = np.linalg.inv(hessian)
    covariance = inverse @ (scores * weight**2) @ scores.T @ inverse
    slopes = np.r_[np.prod(model.weights_), (p * (1 - p)).ravel()]
    expected = np.sqrt(np.diag(covariance)) * slopes
    errors = model.standard_errors(A, weight, method="survey")
    found = np.transpose([errors.parameters[name]["probability"] for name in names])
    np.testing.assert_allclose(
        np.r_[errors.weights[0], found.ravel()], expected, rtol=1e-3
    )


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_units_of_weights_and_rows_without_weight_are_of_no_effect(family, rng):
    y = rng.random(300) < 0.4
    X = (rng.random((300, 4)) < np.where(y, 0.8, 0.25)[:, None]).astype(float)
    weight = rng.uniform(1, 3, 300)
    if family == "gaussian":
        X, model = 3 * X[:, :1] + rng.normal(size=(300, 2)), GaussianMixture(2)
    else:
        model = MixtureModel(2, families=family)
    model.set_params(random_state=0).fit(X, sample_weight=weight)
    padded, more = np.vstack([X, X[:100]]), np.r_[1e3 * weight, np.zeros(100)]
    one = model.standard_errors(X, weight, method="survey").to_frame()
    other = model.standard_errors(padded, more, method="survey").to_frame()
    np.testing.assert_allclose(one["error"], other["error"], rtol=1e-6)


def test_errors_are_the_spread_of_samples():
    """Rows are drawn with chances that depend on one of the answers."""
    estimates, found, plain = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.normal(3 * rng.integers(2, size=(4000, 1)), 1, (4000, 2))
        chance = expit(1.2 * X[:, 0] - 3)
        kept = rng.random(len(X)) < chance
        X, weight = X[kept], 1 / chance[kept]
        mixture = GaussianMixture(1).fit(X, sample_weight=weight / weight.mean())
        estimates.append(mixture.means_[0, 0])
        found.append(mixture.standard_errors(X, weight, method="survey").means[0, 0])
        equal = mixture.standard_errors(X, weight / weight.mean())
        plain.append(equal.means[0, 0])
    spread = np.std(estimates)
    # Of 40 samples a spread is known to 11 %.
    assert 0.7 < np.mean(found) / spread < 1.4
    assert np.mean(plain) / spread < 0.75


def test_it_prints_what_it_is(rng):
    X, weight = sampled(rng, 200)
    mixture = GaussianMixture(2, random_state=0).fit(X, sample_weight=weight)
    errors = mixture.standard_errors(X, weight, method="survey")
    assert str(errors).startswith(
        "Standard errors by the sandwich for sampling weights"
    )
    with pytest.raises(ValueError, match="The 'method' parameter of"):
        MixtureModel(1).fit(X).standard_errors(X, method="design")
