"""Standard errors of latent classes: beside numerical Hessians, and simulated samples.

What is compared with has a parameter for each that is free, and no derivatives of its
own: log-weights less the first one's, and logits of what each rater says.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_expit, logsumexp, softmax

from skem import MixtureModel

METHODS = ["hessian", "sandwich", "opg"]


def drawn(seed, n, p):
    """Answers of classes that are equally likely, and the classes."""
    rng = np.random.default_rng(seed)
    z = rng.integers(len(p), size=n)
    answers = (rng.random((n, p.shape[1])) < p[z]).astype(float)
    return pd.DataFrame(answers).add_prefix("x"), z


def probabilities(model):
    return np.transpose([each["probability"] for each in model.parameters_.values()])


def errors_of_probabilities(errors):
    return np.transpose([each["probability"] for each in errors.parameters.values()])


class Numerical:
    """Errors from differences of log-likelihoods in parameters that are free."""

    def __init__(self, model, table, epsilon, weight=None, labels=None):
        self.p, self.X = probabilities(model), table.to_numpy()
        K, d = self.p.shape
        n = len(self.X)
        self.v = np.ones(n) if weight is None else weight
        self.known = np.full(n, -1) if labels is None else labels
        there = ~np.isnan(self.X)
        seen = self.v @ there
        yes = self.v @ np.where(there, self.X, 0.0) / seen
        pooled = np.array([1 - yes, yes])
        # Pseudo-observations are rows, too: of each answer in each class.
        self.v = np.r_[self.v, np.repeat(epsilon * pooled[None], K, axis=0).ravel()]
        w = model.weights_
        with np.errstate(divide="ignore"):
            logits = np.log(self.p) - np.log(1 - self.p)
        full = np.r_[np.log(w[1:] / w[0]), logits.ravel()]
        # What is zero is held there, without a penalty.
        rows = w[:, None] * n * np.minimum(self.p, 1 - self.p)
        self.free = np.r_[np.ones(K - 1, bool), (rows + epsilon > 0.05).ravel()]
        self.full, self.K, self.d = np.clip(full, -700, 700), K, d
        self.slopes, self.A = self._derivatives()
        self.B = (self.slopes * self.v) @ self.slopes.T

    def _unpacked(self, theta):
        full = self.full.copy()
        full[self.free] = theta
        return np.r_[0, full[: self.K - 1]], full[self.K - 1 :].reshape(self.K, -1)

    def terms(self, theta):
        a, t = self._unpacked(theta)
        yes, no = log_expit(t)[:, None], log_expit(-t)[:, None]
        cells = np.where(self.X == 1, yes, no) * ~np.isnan(self.X)
        logits = (a - logsumexp(a))[:, None] + cells.sum(axis=2)
        others = self.known != np.arange(self.K)[:, None]
        logits[others & (self.known >= 0)] = -np.inf
        pseudo = np.stack([log_expit(-t), log_expit(t)], axis=1)
        return np.r_[logsumexp(logits, axis=0), pseudo.ravel()]

    def _derivatives(self):
        theta, h = self.full[self.free], 1e-3
        steps = h * np.eye(len(theta))

        def total(step):
            return self.terms(theta + step) @ self.v

        slopes = [self.terms(theta + s) - self.terms(theta - s) for s in steps]
        A = np.empty((len(theta),) * 2)
        for i, a in enumerate(steps):
            for j, b in enumerate(steps[: i + 1]):
                found = total(a + b) - total(a - b) - total(b - a) + total(-a - b)
                A[i, j] = A[j, i] = -found / (4 * h**2)
        return np.array(slopes) / (2 * h), A

    def errors(self, method):
        """Errors of weights and probabilities, infinite where these are zero or one."""
        inverse = np.linalg.inv(self.B if method == "opg" else self.A)
        covariance = inverse
        if method == "sandwich":
            covariance = inverse @ self.B @ inverse
        w = softmax(np.r_[0, self.full[: self.K - 1]])
        jacobian = (np.diag(w) - np.outer(w, w))[:, 1:]
        of_weights = jacobian @ covariance[: self.K - 1, : self.K - 1] @ jacobian.T
        found = np.full(self.free.size, np.inf)
        found[self.free] = np.sqrt(np.diag(covariance))
        found = found[self.K - 1 :].reshape(self.p.shape)
        inner = np.where(np.isfinite(found), self.p * (1 - self.p), 1.0)
        return np.sqrt(np.diag(of_weights)), found * inner


def check_errors(model, table, epsilon, methods=METHODS, **known):
    numerical = Numerical(model, table, epsilon, *known.values())
    names = dict(zip(("sample_weight", "labels"), known.values(), strict=False))
    for method in methods:
        errors = model.standard_errors(table, method=method, **names)
        weights, p = numerical.errors(method)
        # Differences of a thousandth of a logit, and a fit to a thousandth of a nat.
        np.testing.assert_allclose(errors.weights, weights, rtol=1e-3)
        np.testing.assert_allclose(errors_of_probabilities(errors), p, rtol=1e-3)


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("epsilon", [2 / np.sqrt(118), 0])
def test_errors_of_carcinoma_are_numbers(carcinoma, n_components, epsilon):
    """Raters who agree had left weights without errors: all were NaN."""
    table, options = pd.DataFrame(carcinoma), dict(random_state=0, tol=1e-9)
    if not epsilon:
        options["pseudo_observations"] = 0
    model = MixtureModel(n_components, families="bernoulli", **options).fit(table)
    check_errors(model, table, epsilon)
    same = MixtureModel(n_components, families="categorical", **options).fit(table)
    errors = same.standard_errors(table)
    np.testing.assert_allclose(
        errors.weights, model.standard_errors(table).weights, rtol=1e-4
    )
    for each in errors.parameters.values():
        # Of one proportion and its complement they are the same.
        np.testing.assert_allclose(*each["proportions"].T, rtol=1e-6)


def test_errors_of_carcinoma_are_near_those_of_the_bootstrap(carcinoma):
    table = pd.DataFrame(carcinoma)
    model = MixtureModel(2, families="bernoulli", random_state=0).fit(table)
    # The bootstrap, of 200 samples, has 0.051 of the first.
    assert model.standard_errors(table).weights == pytest.approx([0.0468] * 2, abs=5e-4)


@pytest.mark.parametrize("n", [60, 118, 300])
def test_classes_that_are_almost_certain_have_errors(n):
    """Of 118 rows of probabilities .99 and .01 no fit had had one of the weights."""
    p = np.array([[0.99] * 7, [0.01] * 7])
    for seed in range(2):
        table, z = drawn(seed, n, p)
        model = MixtureModel(2, families="bernoulli", random_state=0).fit(table)
        own = np.sqrt(z.mean() * (1 - z.mean()) / n)
        for method in METHODS:
            errors = model.standard_errors(table, method=method)
            # As if classes had been seen.
            np.testing.assert_allclose(errors.weights, own, rtol=0.02)
            assert (errors_of_probabilities(errors) < 0.1).all()
            low, high = errors.confidence_interval().weights
            assert (low > 0.2).all() and (high < 0.8).all()
        check_errors(model, table, 2 / np.sqrt(n), METHODS[:2])


def test_gaps_weights_and_labels_of_classes_count(rng):
    table, z = drawn(
        1, 250, np.array([[0.97] * 6, [0.03] * 6, [0.97] * 3 + [0.03] * 3])
    )
    table = table.mask(rng.random(table.shape) < 0.1)
    weight = rng.integers(1, 4, size=250).astype(float)
    labels = np.where(rng.random(250) < 0.2, z, -1)
    model = MixtureModel(3, families="bernoulli", tol=1e-9, random_state=0)
    model.fit(table, sample_weight=weight, labels=labels)
    epsilon = 2 / np.sqrt(weight.sum())
    check_errors(model, table, epsilon, weight=weight, labels=labels)


@pytest.mark.parametrize("method", METHODS)
def test_categories_beside_numbers_have_the_errors_of_classes(method, rng):
    """Levels that a class never has leave the errors of all else."""
    z = rng.integers(2, size=300)
    table = pd.DataFrame(
        {
            "c": np.where(z, rng.choice(list("abc"), 300), rng.choice(list("de"), 300)),
            "count": rng.poisson(np.where(z, 9, 2)),
            "x": rng.normal(9 * z),
        }
    )
    for options in ({}, {"pseudo_observations": 0}):
        model = MixtureModel(
            2, families={"count": "poisson"}, random_state=0, **options
        )
        errors = model.fit(table).standard_errors(table, method=method)
        own = np.sqrt(z.mean() * (1 - z.mean()) / 300)
        np.testing.assert_allclose(errors.weights, own, rtol=0.03)
        p, found = model.parameters_["c"]["proportions"], errors.parameters["c"]
        n = 300 * model.weights_[:, None]
        expected = np.sqrt(p * (1 - p) / (n + (0 if options else 2 / np.sqrt(300))))
        zero = p < 1e-6
        assert zero.sum() == (5 if options else 0)
        expected[zero] = np.inf
        # Of one class, whose rows are known, all three are those of a multinomial, but
        # that the other columns' scores are correlated by chance.
        np.testing.assert_allclose(found["proportions"], expected, rtol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_zero_without_a_penalty_is_held_there(method, rng):
    """Of the halves of one proportion one had had an error of NaN, the other of 0."""
    z = rng.integers(2, size=200)
    table = pd.DataFrame(
        {
            "a": np.where(z, "yes", np.where(rng.random(200) < 0.3, "yes", "no")),
            "b": np.where(z, rng.choice(list("uv"), 200), rng.choice(list("uvw"), 200)),
            "n": np.where(z, 0, rng.poisson(5, 200)),
            "m": rng.poisson(np.where(z, 9, 1)),
        }
    )
    families = {"n": "poisson", "m": "poisson"}
    options = dict(families=families, pseudo_observations=0, random_state=0)
    model = MixtureModel(2, **options).fit(table)
    k = int(model.parameters_["m"]["rate"].argmax())
    errors = model.standard_errors(table, method=method)
    assert np.isfinite(errors.weights).all()
    a, b, n = (next(iter(errors.parameters[c].values())) for c in "abn")
    assert np.isinf(a[k]).all() and a[1 - k, 0] == pytest.approx(a[1 - k, 1])
    assert (
        np.isinf(b[k]).tolist() == [False, False, True] and np.isfinite(b[1 - k]).all()
    )
    assert np.isinf(n[k]) and np.isfinite(n[1 - k])
    intervals = errors.confidence_interval()
    assert intervals.parameters["a"]["proportions"].lower[k].tolist() == [0, 0]
    assert intervals.parameters["n"]["rate"].lower[k] == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("apart", [0.0, 1e-7])
def test_classes_that_are_equal_are_told(method, apart):
    table, _ = drawn(0, 200, np.full((1, 5), 0.4))
    rate = table.mean().to_numpy()
    start = {
        name: {"probability": np.array([p + apart, p - apart])}
        for name, p in zip(table, rate, strict=True)
    }
    options = dict(families="bernoulli", parameters_init=start, max_iter=1, tol=1e9)
    model = MixtureModel(2, weights_init=[0.5, 0.5], **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table)
    assert np.ptp(probabilities(model), axis=0).max() < 1e-5
    with pytest.warns(UserWarning, match="of 'weights', 'x0', .* are NaN"):
        errors = model.standard_errors(table, method=method)
    assert np.isnan(errors.weights).all()
    assert np.isnan(errors_of_probabilities(errors)).all()


@pytest.mark.parametrize("method", METHODS)
def test_classes_that_are_almost_certain_have_errors_beside_numbers(method, rng):
    table, z = drawn(3, 100, np.array([[0.99] * 6, [0.01] * 6]))
    table["n"] = rng.poisson(3, 100)
    families = dict.fromkeys(table, "bernoulli") | {"n": "poisson"}
    model = MixtureModel(2, families=families, random_state=0).fit(table)
    errors = model.standard_errors(table, method=method)
    np.testing.assert_allclose(errors.weights, z.std() / 10, rtol=0.02)


def test_what_scores_alone_do_not_tell_is_told_with_what_to_take():
    # Of a Gaussian column whose values are the same in a component no score varies.
    table, _ = drawn(3, 100, np.array([[0.99] * 6, [0.01] * 6]))
    model = MixtureModel(2, families="gaussian", random_state=0).fit(table)
    with pytest.warns(UserWarning, match="NaN: scores .* Take method='hessian'"):
        assert np.isnan(model.standard_errors(table, method="opg").weights).all()
    errors = model.standard_errors(table, method="hessian")
    np.testing.assert_allclose(errors.weights, 0.05, rtol=0.02)
    # As Gaussians that have the width of the values have them.
    sd, counts = model.parameters_["x0"]["standard_deviation"], 100 * model.weights_
    found = errors.parameters["x0"]["mean"]
    np.testing.assert_allclose(found, sd / np.sqrt(counts), rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("high", [0.9, 0.97])
@pytest.mark.parametrize("method", ["hessian", "sandwich"])
def test_errors_are_the_spread_of_samples(high, method):
    p = np.array([[high] * 7, [1 - high] * 7])
    weights, found, stated, said = [], [], [], []
    for seed in range(200):
        table, _ = drawn([2026, seed], 300, p)
        model = MixtureModel(2, families="bernoulli", random_state=0).fit(table)
        errors = model.standard_errors(table, method=method)
        order = np.argsort(-probabilities(model).sum(axis=1))
        weights.append(model.weights_[order])
        found.append(probabilities(model)[order])
        stated.append(errors.weights)
        said.append(errors_of_probabilities(errors)[order])
    # The deviation of 200 is itself known to five per cent, and that of the least
    # certain of 14 to ten or so.
    ratio = np.mean(stated, axis=0) / np.std(weights, axis=0)
    assert (np.abs(ratio - 1) < 0.15).all()
    ratios = np.mean(said, axis=0) / np.std(found, axis=0)
    assert (np.abs(ratios - 1) < 0.15).all()
    assert ratios.mean() == pytest.approx(1, abs=0.05)
