"""Standard errors where many rows share a value, which has a width in the fit."""

import numpy as np
import pytest
from scipy.special import expit, gammaln, logit, logsumexp

from skem import GaussianMixture, MixtureModel, StudentMixture, load

FAMILIES = ("gaussian", "lognormal", "student")
NAMES = {
    "gaussian": ("mean", "standard_deviation"),
    "lognormal": ("mean", "standard_deviation"),
    "student": ("location", "scale", "df"),
}


@pytest.fixture
def heaped(rng):
    """Ages of which an eighth are 16, that of everybody who did not say."""
    return np.r_[np.full(60, 16.0), rng.gamma(16, 2.5, 440)][:, None]


def squares_of(model, X):
    """w²/12 of the rows, in units of what is Gaussian."""
    seen = model._stream.product.models[0]
    own = getattr(seen, "gaussian", seen)
    found = own.coordinates.squares(own.family.transform(X.T))
    return np.broadcast_to(found[0] / own.coordinates.slope**2, len(X))


def log_density(family, x, squares, theta):
    """Of rows, by logit w, places, log scales and log ν, with widths."""
    w = expit(theta[0])
    place, scale, df = theta[1:3, None], np.exp(theta[3:5, None]), theta[5:, None]
    z2 = ((x - place) ** 2 + squares) / scale**2
    if family == "student":
        df = np.exp(df)
        logs = -(df + 1) / 2 * np.log1p(z2 / df) - np.log(np.pi * df) / 2
        logs += gammaln((df + 1) / 2) - gammaln(df / 2)
    else:
        logs = -0.5 * (z2 + np.log(2 * np.pi))
    return logsumexp(logs - np.log(scale), axis=0, b=[[w], [1 - w]])


def numerical_errors(density, theta, free, weight):
    """By each method, from differences of log-densities of rows."""
    steps = np.diag(np.where(free, 1e-3, 0.0))[free]
    scores = np.array([density(theta + s) - density(theta - s) for s in steps]) / 2e-3

    def total(values):
        return density(values) @ weight

    A = [
        [
            total(theta + a - b)
            + total(theta + b - a)
            - total(theta + a + b)
            - total(theta - a - b)
            for a in steps
        ]
        for b in steps
    ]
    inverse = np.linalg.inv(np.array(A) / 4e-6)
    B, squared = (scores * weight) @ scores.T, (scores * weight**2) @ scores.T
    return {
        "sandwich": inverse @ B @ inverse,
        "survey": inverse @ squared @ inverse,
        "hessian": inverse,
        "opg": np.linalg.inv(B),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_errors_are_those_of_the_likelihood_with_widths(family, heaped, rng):
    weight = rng.integers(1, 3, 500).astype(float)
    options = dict(families=family, pseudo_observations=0, tol=1e-8, random_state=0)
    model = MixtureModel(2, **options).fit(heaped, sample_weight=weight)
    laws = list(model.parameters_["x0"].values())
    logs = np.log([*laws[1:]]).ravel()
    theta = np.r_[logit(model.weights_[0]), laws[0], logs]
    x = np.log(heaped[:, 0]) if family == "lognormal" else heaped[:, 0]
    squares = squares_of(model, heaped)
    assert (squares > 0).sum() == 60
    bound = np.isinf(
        model.standard_errors(heaped, weight).parameters["x0"].get("df", 0)
    )
    free = np.ones(len(theta), bool)
    if family == "student":
        free[5:] = ~bound
    expected = numerical_errors(
        lambda t: log_density(family, x, squares, t), theta, free, weight
    )
    w = model.weights_[0]
    scales = np.r_[w * (1 - w), 1, 1, np.exp(logs)][free]
    for method, covariance in expected.items():
        found = model.standard_errors(heaped, weight, method=method)
        own = [found.parameters["x0"][name] for name in NAMES[family]]
        own = np.r_[found.weights[0], np.ravel(own)][free]
        np.testing.assert_allclose(
            own, scales * np.sqrt(np.diag(covariance)), rtol=2e-2, err_msg=method
        )


def test_columns_beside_a_shared_value_have_the_errors_of_their_rows(
    heaped, rng, tmp_path
):
    y = np.where(heaped[:, 0] == 16, 50.0, 0.0) + rng.normal(size=500)
    X = np.column_stack([heaped, y])
    options = dict(covariance_type="diag", random_state=0)
    model = MixtureModel(2, **options).fit(X)
    errors = model.standard_errors(X)
    counts = np.array([440, 60])
    sd = np.array([y[heaped[:, 0] != 16].std(), y[heaped[:, 0] == 16].std()])
    found = errors.parameters["x1"]["mean"]
    np.testing.assert_allclose(found, sd / np.sqrt(counts), rtol=1e-2)
    np.testing.assert_allclose(errors.weights, np.sqrt(0.12 * 0.88 / 500), rtol=1e-2)
    # Whose rows are all alike has a mean without an error, given the width.
    assert errors.parameters["x0"]["mean"][1] < 1e-3
    model.save(tmp_path / "model.json")
    again = load(tmp_path / "model.json").standard_errors(X)
    np.testing.assert_array_equal(again.to_frame()["error"], errors.to_frame()["error"])
    # Alone, in another unit.
    part = model.marginal(["x0"]).standard_errors(X[:, :1])
    assert np.isfinite(part.parameters["x0"]["mean"]).all()


def test_rows_in_other_units_have_errors_in_these(heaped):
    fits = [MixtureModel(2, random_state=0).fit(scale * heaped) for scale in (1, 365)]
    ages, days = (
        fit.standard_errors(scale * heaped).parameters["x0"]["mean"]
        for fit, scale in zip(fits, (1, 365), strict=True)
    )
    np.testing.assert_allclose(days, 365 * ages, rtol=1e-3)


def test_widths_are_in_units_of_the_mixture_that_errors_are_of(heaped):
    """A mixture of other rows than its own is in other coordinates."""
    model = MixtureModel(2, random_state=0).fit(heaped)
    other = MixtureModel(2, random_state=0).fit(100 + 3 * heaped)
    em, even = model._map(heaped), np.ones(500)
    own = model._with_widths(em, even).product.models[0].coordinates
    there = other._with_widths(em, even).product.models[0].coordinates
    of = (each.squares(heaped.T) / each.slope**2 for each in (own, there))
    np.testing.assert_allclose(*of)


PAIRS = np.triu_indices(2)


def log_density_of_pairs(X, squares, theta):
    """Of rows of two features, some missing, by w, means, covariances and ν if any."""
    n_own, means, df = len(theta) - 1, theta[1:5].reshape(2, 2), theta[11:]
    assert n_own in (10, 12)
    logs = np.empty((2, len(X)))
    for k, entries in enumerate(theta[5:11].reshape(2, 3)):
        covariance = np.empty((2, 2))
        covariance[PAIRS] = covariance[PAIRS[::-1]] = entries
        for seen in np.unique(~np.isnan(X), axis=0):
            rows = (~np.isnan(X) == seen).all(axis=1)
            precision = np.linalg.inv(covariance[np.ix_(seen, seen)])
            y = X[rows][:, seen] - means[k, seen]
            z2 = np.einsum("ni,ij,nj->n", y, precision, y)
            z2 += squares[rows][:, seen] @ np.diag(precision)
            p = seen.sum()
            if len(df):
                whole = df[k] + p
                constant = gammaln(whole / 2) - gammaln(df[k] / 2)
                constant -= p / 2 * np.log(np.pi * df[k])
                logs[k, rows] = constant - whole / 2 * np.log1p(z2 / df[k])
            else:
                logs[k, rows] = -0.5 * (z2 + p * np.log(2 * np.pi))
            logs[k, rows] += 0.5 * np.linalg.slogdet(precision)[1]
    return logsumexp(logs, axis=0, b=[[theta[0]], [1 - theta[0]]])


@pytest.mark.parametrize("kind", [GaussianMixture, StudentMixture])
@pytest.mark.parametrize("incomplete", [False, True])
def test_errors_of_mixtures_are_those_of_the_likelihood_with_widths(
    kind, incomplete, rng
):
    first = rng.random(400) < 0.5
    x = np.where(first, 30 + 6 * rng.standard_t(5, 400), rng.normal(50, 5, 400))
    x[first & (rng.random(400) < 0.4)] = 30.0
    y = np.where(first, 0.3 * x, 25 - 0.2 * x) + 3 * rng.standard_t(5, 400)
    X = np.column_stack([x, y])
    if incomplete:
        X[rng.random(X.shape) < 0.15] = np.nan
        X = X[~np.isnan(X).all(axis=1)]
    weight = rng.integers(1, 3, len(X)).astype(float)
    mixture = kind(2, tol=1e-8, random_state=0).fit(X, sample_weight=weight)
    coordinates = mixture._stream.coordinates
    squares = (coordinates.squares(X.T) / coordinates.slope[:, None] ** 2).T
    assert (squares[X[:, 0] == 30, 0] > 0.5).all()
    theta = [mixture.weights_[:1], mixture.means_.ravel()]
    theta += [covariance[PAIRS] for covariance in mixture.covariances_]
    theta = np.concatenate([*theta, getattr(mixture, "df_", [])])
    free, df = np.ones(len(theta), bool), mixture.standard_errors(X, weight).df
    free[11:] = np.isfinite([] if df is None else df)
    unit = np.where(free, np.maximum(0.1 * np.abs(theta), 0.01), 0.0)
    expected = numerical_errors(
        lambda t: log_density_of_pairs(X, squares, theta + unit * t),
        np.zeros(len(theta)),
        free,
        weight,
    )
    for method, covariance in expected.items():
        found = mixture.standard_errors(X, weight, method=method)
        own = [found.weights[:1], found.means.ravel()]
        own += [each[PAIRS] for each in found.covariances]
        own = np.concatenate([*own, [] if df is None else found.df])[free]
        np.testing.assert_allclose(
            own / unit[free], np.sqrt(np.diag(covariance)), rtol=4e-3, err_msg=method
        )
