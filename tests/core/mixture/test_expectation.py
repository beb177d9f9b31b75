"""The two forms of the E-step against scipy.stats, and far from everything."""

from fractions import Fraction
from math import pi

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates, scoring_coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.far import common_term, evaluate_far, log_constants
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import Expectation, total_statistics
from skem.core.passes import softmax
from skem.core.passes.forms import Centred, Expanded, choose_form, condition
from skem.kernels import native

FORMS = [Expanded, Centred]
SHAPES = [(1, 1), (4, 1), (1, 3), (3, 5)]
FLOAT64 = np.dtype(np.float64)


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__)
def form(request):
    return request.param


@pytest.fixture(params=SHAPES, ids="K={0[0]},d={0[1]}".format)
def mixture(request, structure, make_mixture):
    return make_mixture(structure, *request.param)


def expectation_of(mixture, form, dtype=FLOAT64):
    structure, parameters = mixture.structure, mixture.parameters
    coordinates = scoring_coordinates(structure, parameters, np.dtype(float))
    inward = coordinates.inward(structure, parameters)
    return Expectation(form(structure, inward, np.dtype(dtype)), coordinates)


def block_of(X, weight=None):
    return Block(0, len(X), X.T, weight)


def evaluate(expectation, X):
    """Log-density (n,) and responsibilities (n, K)."""
    return (
        expectation.log_density(block_of(X), Workspace()),
        expectation.responsibilities(block_of(X), Workspace()).T,
    )


@pytest.mark.each_pair
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_density_and_responsibilities_are_those_of_scipy(mixture, form, dtype, rng):
    X = mixture.sample(60, rng).astype(dtype)
    expectation = expectation_of(mixture, form, dtype)
    # The terms that cancel are of the size of `condition`.
    terms = 10 + condition(mixture.structure, expectation.form.parameters)
    tolerance = 10 * terms * np.finfo(dtype).eps
    log_density, resp = evaluate(expectation, X)
    np.testing.assert_allclose(log_density, mixture.log_density(X), atol=tolerance)
    np.testing.assert_allclose(resp, mixture.responsibilities(X), atol=tolerance)


def test_forms_agree(mixture, rng):
    X, weight = mixture.sample(60, rng), rng.uniform(size=60)
    expanded, centred = (expectation_of(mixture, form) for form in FORMS)
    # The house's bound for every place where both forms apply.
    for actual, expected in zip(
        evaluate(expanded, X), evaluate(centred, X), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)

    block = block_of(X, weight)
    first = expanded.statistics(block, Workspace())
    second = centred.statistics(block, Workspace())
    loglik = first.loglik
    if first.quadratic != mixture.structure.quadratic:
        z = expanded.coordinates.load(X.T, np.empty(X.T.shape))
        loglik += common_term(mixture.structure, expanded.form.parameters, z) @ weight
    np.testing.assert_allclose(loglik, second.loglik, rtol=1e-9)
    np.testing.assert_allclose(first.counts, second.counts, rtol=1e-9)
    np.testing.assert_allclose(first.means, second.means, rtol=0, atol=1e-9)


def test_forms_agree_on_scatter(mixture, make_blocks, rng):
    X, weight = mixture.sample(60, rng), rng.uniform(size=60)
    structure = mixture.structure
    expanded, centred = (expectation_of(mixture, form) for form in FORMS)
    first = expanded.statistics(block_of(X, weight), Workspace())
    second = centred.statistics(block_of(X, weight), Workspace())
    actual, expected = first.scatter(), second.scatter()
    if first.quadratic is not structure.quadratic:
        blocks = make_blocks(X, weight)
        total = total_statistics(blocks, expanded.coordinates, structure)
        actual = first.within(total)
        expected = expected._replace(values=expected.values.sum(axis=0, keepdims=True))
    np.testing.assert_allclose(actual.values, expected.values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_imprecise_expansion_is_not_chosen(structure, make_mixture, dtype):
    parameters = make_mixture(structure, 3, 2).parameters
    dtype = np.dtype(dtype)
    assert isinstance(choose_form(structure, parameters, dtype), Expanded)
    shifted = Coordinates(np.full(2, 1e5), np.ones(2)).inward(structure, parameters)
    assert isinstance(choose_form(structure, shifted, dtype), Centred)


def test_centred_form_leaves_out_negligible_rows_without_loss(structure, make_mixture):
    # Far-apart components: most responsibilities are below NEGLIGIBLE.
    mixture = make_mixture(structure, 4, 2, separation=40)
    X = mixture.sample(200, np.random.default_rng(3))
    expectation = expectation_of(mixture, Centred)
    statistics = expectation.statistics(block_of(X), Workspace())
    resp = mixture.responsibilities(X)
    assert np.mean(resp < 1e-16) > 0.5
    np.testing.assert_allclose(statistics.counts, resp.sum(axis=0), rtol=1e-12)
    z = expectation.coordinates.load(X.T, np.empty(X.T.shape)).T
    means = resp.T @ z / resp.sum(axis=0)[:, None]
    np.testing.assert_allclose(statistics.means, means, atol=1e-12)


def exact(mixture, x):
    """Log-density and responsibilities at one point, by rational arithmetic.

    Only the constants log w − ½ log|2πΣ| and the precisions are rounded.
    """
    weights, means = mixture.parameters.weights, mixture.parameters.means
    log_det = np.linalg.slogdet(2 * pi * mixture.dense)[1]
    x = [Fraction(float(value)) for value in x]
    joint = []
    for k, mean in enumerate(means):
        y = [a - Fraction(b) for a, b in zip(x, mean, strict=True)]
        P = np.linalg.inv(mixture.dense[k])
        square = sum(
            y[i] * Fraction(P[i, j]) * y[j]
            for i in range(len(y))
            for j in range(len(y))
        )
        joint.append(Fraction(np.log(weights[k]) - 0.5 * log_det[k]) - square / 2)
    top = max(joint)
    differences = [float(max(value - top, Fraction(-1000))) for value in joint]
    resp = np.exp(differences)
    limit = np.finfo(float).max
    log_density = float(max(top, Fraction(-limit))) + np.log(resp.sum())
    return log_density, resp / resp.sum()


@pytest.mark.each_pair
@pytest.mark.parametrize(
    ("dtype", "distance"),
    [
        (np.float64, 1e3),
        (np.float64, 1e8),
        (np.float64, 1e30),
        (np.float64, 1e160),
        (np.float64, 1e300),
        (np.float32, 1e30),
    ],
)
def test_far_queries_name_the_nearest_component(
    structure, form, dtype, distance, make_mixture
):
    mixture = make_mixture(structure, 3, 2)
    angles = np.arange(0.1, 6.2, 0.5)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    X = (distance * directions).astype(dtype)
    log_density, resp = evaluate(expectation_of(mixture, form, dtype), X)

    assert np.isfinite(resp).all()
    assert np.isfinite(log_density).all()
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=10 * np.finfo(dtype).eps)
    expected = [exact(mixture, x) for x in X]
    nearest = [np.argmax(resp) for _, resp in expected]
    np.testing.assert_array_equal(resp.argmax(axis=1), nearest)
    # Squares of coordinates that were rounded to the dtype; scores beyond its range
    # are as good as its limit.
    limits = np.finfo(dtype).min, np.finfo(dtype).max
    np.testing.assert_allclose(
        np.clip(log_density, *limits),
        np.clip([value for value, _ in expected], *limits),
        rtol=20 * np.finfo(dtype).eps,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_largest_numbers_are_finite(structure, form, dtype, make_mixture):
    mixture = make_mixture(structure, 3, 2)
    X = np.finfo(dtype).max * np.array([[1, 1], [1, -1], [0, -1]], dtype)
    log_density, resp = evaluate(expectation_of(mixture, form, dtype), X)
    assert np.isfinite(log_density).all()
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=10 * np.finfo(dtype).eps)


def test_far_evaluation_agrees_with_the_ordinary_one_nearby(mixture, rng):
    X = np.vstack([mixture.sample(30, rng), 30 * mixture.sample(30, rng)])
    log_density, resp = evaluate_far(mixture.structure, mixture.parameters, X.T)
    # Squared distances up to 1e5 or so.
    np.testing.assert_allclose(log_density, mixture.log_density(X), rtol=1e-10)
    np.testing.assert_allclose(resp.T, mixture.responsibilities(X), atol=1e-8)


@pytest.mark.parametrize("distance", [1e6, 1e9])
def test_far_evaluation_is_exact_near_components_that_are_far_from_zero(
    structure, distance, make_mixture, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(30, rng) + distance
    mixture.parameters.means[...] += distance
    log_density, resp = evaluate_far(structure, mixture.parameters, X.T)
    # Expanded about zero, it would be off by ε·distance², 1e-4 and more.
    tolerance = 1e-13 * distance
    expected = [exact(mixture, x) for x in X]
    np.testing.assert_allclose(log_density, [e for e, _ in expected], atol=tolerance)
    np.testing.assert_allclose(resp.T, [e for _, e in expected], atol=tolerance)


@pytest.mark.each_pair
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("distance", [300, 1e4, 1e15])
def test_one_far_sample_changes_nothing_for_the_others(
    structure, form, dtype, distance, make_mixture, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(40, rng).astype(dtype)
    expectation = expectation_of(mixture, form, dtype)
    before = evaluate(expectation, X)
    X[17] = distance * np.sqrt(np.trace(mixture.dense[0])) * np.array([0.8, -0.6])
    after = evaluate(expectation, X)

    others = np.arange(40) != 17
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a[others], b[others])
    log_density, resp = exact(mixture, X[17])
    np.testing.assert_allclose(after[0][17], log_density, rtol=50 * np.finfo(dtype).eps)
    assert after[1][17].argmax() == resp.argmax()


def test_far_sample_counts_fully_in_the_statistics(structure, form, make_mixture, rng):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(40, rng)
    X[17] = 1e4, -1e4
    statistics = expectation_of(mixture, form).statistics(block_of(X), Workspace())
    np.testing.assert_allclose(statistics.counts.sum(), 40, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_component_of_weight_zero_takes_no_part(
    structure, form, dtype, make_mixture, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(40, rng).astype(dtype)
    weights = mixture.parameters.weights
    weights[1] = 0
    weights /= weights.sum()
    log_density, resp = evaluate(expectation_of(mixture, form, dtype), X)
    with np.errstate(divide="ignore"):
        expected = mixture.log_density(X)
    # The condition of these mixtures is below a thousand.
    tolerance = 1e4 * np.finfo(dtype).eps
    np.testing.assert_allclose(log_density, expected, atol=tolerance)
    assert (resp[:, 1] < np.finfo(dtype).eps ** 2).all()
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=10 * np.finfo(dtype).eps)


def test_far_apart_components_are_evaluated_as_where_nothing_is_left_out(
    structure, make_mixture, rng, monkeypatch
):
    mixture = make_mixture(structure, 6, 2, separation=60)
    X = mixture.sample(200, rng)
    monkeypatch.setattr(native, "library", lambda: None)
    found = []
    for wide in (False, True):
        monkeypatch.setattr(softmax, "_wide_exponential", lambda w=wide: w)
        found.append(evaluate(expectation_of(mixture, Expanded), X))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-300)


@pytest.mark.each_pair
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [1e-290, 1e-60, 1e-20, 1e20, 1e60, 1e290])
def test_weights_of_any_size_are_as_good(
    structure, form, dtype, size, make_mixture, rng
):
    mixture = make_mixture(structure, 3, 2)
    X = mixture.sample(60, rng).astype(dtype)
    expectation = expectation_of(mixture, form, dtype)
    weight = rng.uniform(0.5, 1, 60)
    expected = expectation.statistics(block_of(X, weight), Workspace())
    found = expectation.statistics(block_of(X, weight * size), Workspace())
    # Weights and products with them are rounded once more.
    eps = np.finfo(dtype).eps
    scale = np.abs(expected.sums).max()
    np.testing.assert_allclose(found.sums / size, expected.sums, atol=60 * eps * scale)
    np.testing.assert_allclose(found.loglik / size, expected.loglik, rtol=60 * eps)


def test_log_constants_are_the_log_densities_at_the_means(mixture):
    joint = mixture.joint(mixture.parameters.means)
    found = log_constants(mixture.structure, mixture.parameters)
    np.testing.assert_allclose(found, np.diag(joint), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("distance", [1e3, 1e5])
def test_float32_data_far_from_zero_are_computed_in_float64(
    structure, distance, make_mixture, rng
):
    """Where the terms that cancel are more than single precision can hold."""
    mixture = make_mixture(structure, 3, 2)
    X = (mixture.sample(60, rng) + distance).astype(np.float32)
    mixture.parameters.means[...] += distance
    assert 1e5 < condition(structure, mixture.parameters) < 1e12
    identity = Coordinates(np.zeros(2), np.ones(2))
    found, expected = (
        Expectation(
            choose_form(structure, mixture.parameters, rows.dtype), identity
        ).statistics(block_of(rows), Workspace())
        for rows in (X, X.astype(float))
    )
    # The same sums of the same numbers.
    np.testing.assert_allclose(found.loglik, expected.loglik, rtol=1e-13)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-13)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_float32_data_of_collinear_features_keep_the_smallest_variance(name, rng):
    structure = STRUCTURES[name]
    # Correlated but for a ten thousandth, which single precision of X itself can hold.
    X = rng.standard_normal((200, 2)) @ [[1.0, 1.0], [0.0, 1e-4]]
    covariance = np.cov(X.T, ddof=0)
    cholesky, _ = structure.factor(covariance if structure.shared else covariance[None])
    parameters = Parameters(np.ones(1), X.mean(axis=0, keepdims=True), cholesky)
    assert 1e5 < condition(structure, parameters) < 1e12
    X = X.astype(np.float32)
    form = choose_form(structure, parameters, X.dtype)
    identity = Coordinates(np.zeros(2), np.ones(2))
    scatter = Expectation(form, identity).statistics(block_of(X), Workspace()).scatter()
    found = np.linalg.eigvalsh(scatter.values[0] / 200)[0]
    expected = np.linalg.eigvalsh(np.cov(X.T.astype(float), ddof=0))[0]
    # Rounding of a covariance of order one, 1e-16, to a variance of about 1e-8.
    assert found == pytest.approx(expected, rel=1e-6, abs=0)
