"""The EM map: monotone, stationary at its limit, and scikit-learn's where it ought."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.totals import classified
from skem.core.passes.forms import condition
from skem.core.search.initialize import initialize

K = 3


def clusters(rng, n=60, d=2):
    return rng.standard_normal((n, d)) + 3 * rng.integers(0, 3, size=(n, 1))


DATA = {
    "clusters": lambda rng: (clusters(rng), None),
    "noise": lambda rng: (rng.standard_normal((60, 2)), None),
    "one feature": lambda rng: (clusters(rng, d=1), None),
    "weighted": lambda rng: (clusters(rng), rng.integers(0, 4, size=60) / 2),
    "tiny weights": lambda rng: (clusters(rng), rng.uniform(size=60) * 1e-6),
    "float32": lambda rng: (clusters(rng).astype(np.float32), None),
    "tiny": lambda rng: (rng.standard_normal((4, 2)), None),
    "fewer rows than features": lambda rng: (rng.standard_normal((5, 8)), None),
    "duplicates": lambda rng: (np.repeat(clusters(rng, 4), 10, axis=0), None),
    "two distinct rows": lambda rng: (np.repeat(np.eye(2), 10, axis=0), None),
    "constant column": lambda rng: (clusters(rng) * [1.0, 0.0] + 5.0, None),
    "collinear": lambda rng: (clusters(rng)[:, [0, 1, 1]] * [1.0, 1.0, -2.0], None),
    "outlier": lambda rng: (np.vstack([clusters(rng), [[1e9, -1e9]]]), None),
}


@pytest.fixture(params=DATA)
def data(request, rng):
    return DATA[request.param](rng)


def prepared(blocks, structure, seed=0, method="random_from_data", reg_covar="auto"):
    em = EMMap.prepare(blocks, structure, K, reg_covar)
    return em, initialize(em, INITIALIZERS[method], K, np.random.RandomState(seed))


def follow(em, start, n_steps):
    evaluation = em.evaluate(start)
    for _ in range(n_steps):
        evaluation = em.evaluate(evaluation.successor)
    return evaluation


@pytest.mark.each_pair
@pytest.mark.parametrize("method", ["random_from_data", "random"])
def test_penalised_likelihood_never_falls(structure, data, method, make_blocks):
    X, weight = data
    em, start = prepared(make_blocks(X, weight), structure, method=method)
    evaluation = em.evaluate(start)
    values, cancelling = [evaluation.objective], 0.0
    for _ in range(30):
        evaluation = em.evaluate(evaluation.successor)
        values.append(evaluation.objective)
        cancelling = max(cancelling, condition(structure, evaluation.parameters))
    assert np.isfinite(values).all()
    # Each sample's log-density is rounded by ε of the terms that cancel in it.
    terms = em.blocks.total_weight * cancelling + np.abs(values).max()
    assert np.diff(values).min() >= -30 * np.finfo(em.blocks.dtype).eps * terms


def parts(parameters):
    """The arrays that define parameters."""
    return (
        parameters.weights,
        parameters.means,
        parameters.precisions_cholesky,
    )


def perturbed(parameters, direction, step):
    """Move log-weights, means and the factors' entries along a direction."""
    weights, means, cholesky = (step * part for part in parts(direction))
    weights = parameters.weights * np.exp(weights)
    support = parameters.precisions_cholesky != 0
    return Parameters(
        weights / weights.sum(),
        parameters.means + means,
        parameters.precisions_cholesky + cholesky * support,
    )


def gain_along(em, parameters, direction, step=1e-3):
    """Nats to be gained along a direction, g²/2h, and whether it is a maximum."""
    low, middle, high = (
        em.evaluate(perturbed(parameters, direction, s * step)).objective
        for s in (-1, 0, 1)
    )
    gradient = (high - low) / (2 * step)
    curvature = (high - 2 * middle + low) / step**2
    return gradient**2 / (2 * abs(curvature)), curvature < 0


@pytest.mark.parametrize("weighted", [False, True])
def test_limit_is_a_stationary_point(structure, weighted, make_blocks, rng):
    X = clusters(rng, n=100)
    weight = rng.integers(0, 4, size=100) / 2 if weighted else None
    em, start = prepared(make_blocks(X, weight), structure, method="kmeans")
    limit = follow(em, start, 600).parameters
    gains = []
    for _ in range(10):
        direction = Parameters(
            *(rng.standard_normal(np.shape(part)) for part in parts(limit))
        )
        gain, maximum = gain_along(em, limit, direction)
        assert maximum
        # Third derivatives of order 100 leave 1e-4 of gradient, 1e-10 nats.
        assert gain < 1e-8
        gains.append(gain_along(em, start, direction)[0])
    assert max(gains) > 1e-3


def test_log_likelihood_is_that_of_scipy(structure, make_mixture, make_blocks, rng):
    mixture = make_mixture(structure, K, 2)
    X, weight = mixture.sample(50, rng), rng.uniform(size=50)
    em = EMMap.prepare(make_blocks(X, weight), structure, K, "auto")
    evaluation = em.evaluate(em.coordinates.inward(structure, mixture.parameters))
    loglik = evaluation.loglik + weight.sum() * em.coordinates.log_slope
    expected = weight @ mixture.log_density(X)
    np.testing.assert_allclose(loglik, expected, rtol=1e-11)
    penalty = em.regularization.penalty(structure, evaluation.parameters)
    assert evaluation.objective == evaluation.loglik - penalty


@pytest.mark.parametrize("reg_covar", ["auto", 0.0, 0.3])
def test_one_component_is_the_empirical_distribution(
    structure, reg_covar, make_blocks, dense, rng
):
    X, weight = clusters(rng) * [1, 50] + 100, rng.uniform(size=60)
    em = EMMap.prepare(make_blocks(X, weight), structure, 1, reg_covar)
    start = initialize(em, INITIALIZERS["random"], 1, np.random.RandomState(0))
    found = em.evaluate(start).successor
    outward = em.coordinates.outward(structure, found, np.dtype(float))
    covariances = em.coordinates.covariances(structure, found, np.dtype(float))

    np.testing.assert_allclose(outward.weights, [1], rtol=1e-14)
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(outward.means, [mean], rtol=1e-12)
    # For K = 1 the penalty's target is S itself: (NS + εS) / (N + ε) = S.
    S = np.cov(X.T, aweights=weight, ddof=0)
    ridge = 0.0 if reg_covar == "auto" else reg_covar
    expected = {
        "full": S,
        "tied": S,
        "diag": np.diag(np.diag(S)),
        "spherical": np.eye(2) * np.trace(S) / 2,
    }[structure.name] + ridge * np.eye(2)
    np.testing.assert_allclose(
        dense(structure, covariances, 1, 2)[0], expected, rtol=1e-10, atol=1e-10
    )


def sklearn_iterate(mixture, X, n_steps, reg_covar):
    precisions = mixture.structure.precisions(mixture.parameters.precisions_cholesky)
    model = GaussianMixture(
        len(mixture.dense),
        covariance_type=mixture.structure.name,
        tol=0,
        reg_covar=reg_covar,
        max_iter=n_steps,
        weights_init=mixture.parameters.weights,
        means_init=mixture.parameters.means,
        precisions_init=precisions,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X)


@pytest.mark.each_pair
@pytest.mark.parametrize("n_steps", [1, 5, 50])
@pytest.mark.parametrize("reg_covar", [1e-6, 1e-2])
def test_iterates_with_a_ridge_are_those_of_scikit_learn(
    structure, n_steps, reg_covar, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, K, 3)
    X = mixture.sample(150, rng)
    expected = sklearn_iterate(mixture, X, n_steps, reg_covar)
    em = EMMap.prepare(make_blocks(X), structure, K, reg_covar)
    found = follow(
        em, em.coordinates.inward(structure, mixture.parameters), n_steps
    ).parameters
    outward = em.coordinates.outward(structure, found, np.dtype(float))
    covariances = em.coordinates.covariances(structure, found, np.dtype(float))
    # Rounding grows along EM's path by less than 1e8.
    for actual, desired in [
        (outward.weights, expected.weights_),
        (outward.means, expected.means_),
        (covariances, expected.covariances_),
        (outward.precisions_cholesky, expected.precisions_cholesky_),
    ]:
        scale = np.abs(desired).max()
        np.testing.assert_allclose(actual, desired, rtol=1e-7, atol=1e-7 * scale)


@pytest.mark.parametrize("distance", [50.0, 1e4])  # expanded and centred form
def test_empty_component_keeps_its_mean_and_relaxes_to_the_target(
    structure, distance, make_blocks, rng
):
    em, start = prepared(make_blocks(clusters(rng)), structure, method="kmeans")
    means = start.means.copy()
    means[-1] = distance  # so that nothing is left to it
    start = Parameters(start.weights, means, start.precisions_cholesky)
    after = follow(em, start, 5).parameters
    assert after.weights[-1] == 0
    np.testing.assert_array_equal(after.means[-1], means[-1])
    for part in parts(after):
        assert np.isfinite(part).all()
    if not structure.shared:
        target = em.regularization.target
        size = 2 if structure.name == "spherical" else 1
        covariances = structure.covariances(after.precisions_cholesky)
        np.testing.assert_allclose(
            covariances[-1], target / size, rtol=1e-12, atol=1e-14
        )


def test_component_of_weight_zero_stays_finite(structure, make_blocks, rng):
    # It sits amidst the data, so that only its weight keeps it empty.
    em, start = prepared(make_blocks(clusters(rng)), structure, method="kmeans")
    weights = start.weights.copy()
    weights[1] = 0
    weights /= weights.sum()
    start = Parameters(weights, start.means, start.precisions_cholesky)
    evaluation = follow(em, start, 5)
    assert np.isfinite(evaluation.objective)
    for part in parts(evaluation.parameters):
        assert np.isfinite(part).all()
    assert evaluation.parameters.weights[1] < 1e-100
    assert np.abs(evaluation.parameters.means).max() < 10


# The maps under which each structure is closed.
MAPS = {
    "full": lambda rng: rng.standard_normal((2, 2)),
    "tied": lambda rng: rng.standard_normal((2, 2)),
    "diag": lambda rng: np.diag(rng.uniform(0.01, 100, size=2)),
    "spherical": lambda rng: (
        rng.uniform(0.01, 100) * np.linalg.qr(rng.standard_normal((2, 2)))[0]
    ),
}


def test_penalised_iterates_follow_affine_maps(
    structure, make_mixture, make_blocks, dense, rng
):
    mixture = make_mixture(structure, K, 2)
    X, A, b = mixture.sample(80, rng), MAPS[structure.name](rng), np.array([30.0, -2])
    covariances = A @ mixture.dense @ A.T
    restricted = {
        "full": covariances,
        "tied": covariances[0],
        "diag": np.einsum("kii->ki", covariances),
        "spherical": covariances[:, 0, 0],
    }[structure.name]
    moved = Parameters(
        mixture.parameters.weights,
        mixture.parameters.means @ A.T + b,
        structure.factor(restricted)[0],
    )
    results = []
    for data, parameters in [(X, mixture.parameters), (X @ A.T + b, moved)]:
        em = EMMap.prepare(make_blocks(data), structure, K, "auto")
        inward = em.coordinates.inward(structure, parameters)
        found = follow(em, inward, 10).parameters
        results.append(
            (
                em.coordinates.outward(structure, found, np.dtype(float)),
                em.coordinates.covariances(structure, found, np.dtype(float)),
            )
        )
    (first, first_covariances), (second, second_covariances) = results
    # Condition numbers of A up to a hundred, squared in the covariances.
    np.testing.assert_allclose(second.weights, first.weights, rtol=1e-8)
    np.testing.assert_allclose(second.means, first.means @ A.T + b, rtol=1e-8)
    expected = A @ dense(structure, first_covariances, K, 2) @ A.T
    np.testing.assert_allclose(
        dense(structure, second_covariances, K, 2),
        expected,
        rtol=1e-7,
        atol=1e-9 * np.abs(expected).max(),
    )


@pytest.mark.each_pair
@pytest.mark.parametrize("d", [1, 3, 40])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_stack_is_evaluated_as_each_of_its_mixtures(
    structure, make_mixture, make_blocks, rng, d, dtype
):
    """Also in the centred form, which many features take, and far from all means."""
    mixtures = [make_mixture(structure, 3, d).parameters for _ in range(4)]
    X = np.vstack([rng.normal(size=(200, d)), np.full((1, d), 100.0)]).astype(dtype)
    em = EMMap.prepare(make_blocks(X, rng.uniform(size=201)), structure, 3, "auto")
    stack = em.evaluate(Parameters.stacked(mixtures))
    assert stack.objective.shape == (4,)
    for i, mixture in enumerate(mixtures):
        alone = em.evaluate(mixture)
        rtol = 1e-10 if dtype == np.float64 else 1e-4
        np.testing.assert_allclose(stack.objective[i], alone.objective, rtol=rtol)
        np.testing.assert_allclose(
            stack.successor[i].weights, alone.successor.weights, atol=10 * rtol
        )
        np.testing.assert_allclose(
            stack.successor[i].means, alone.successor.means, atol=100 * rtol
        )
        after = [
            em.evaluate(each).objective
            for each in (stack.successor[i], alone.successor)
        ]
        np.testing.assert_allclose(*after, rtol=10 * rtol)


def test_single_precision_hardly_changes_the_objective(structure, make_blocks, rng):
    X = 100.0 + clusters(rng, n=2000, d=3)
    em, start = prepared(make_blocks(X), structure)
    single = em.in_single()
    assert single.blocks.dtype == np.float32
    found, precise = single.evaluate(start), em.evaluate(start)
    assert found.objective != precise.objective
    assert found.objective == pytest.approx(precise.objective, rel=1e-6)


def test_single_precision_is_for_complete_data_in_memory(structure, make_blocks, rng):
    """Nor is it for rows that it would round."""
    X = clusters(rng)
    gaps = X.copy()
    gaps[0, 0] = np.nan
    incomplete = replace(make_blocks(gaps), incomplete=True)
    far = make_blocks(1e4 + X)
    for blocks in (make_blocks(X.astype(np.float32)), incomplete, far):
        em, _ = prepared(blocks, structure)
        assert em.in_single() is em


@pytest.mark.parametrize("value", [1e30, -3e38])
def test_squares_that_leave_single_precision_are_computed_in_double(
    value, structure, make_blocks, rng
):
    """The others' coordinates make a row far away farther than its own units do."""
    X = clusters(rng).astype(np.float32)
    X[7, 0] = value
    at = []
    for dtype in (np.float32, np.float64):
        em = EMMap.prepare(make_blocks(X.astype(dtype)), structure, 1, "auto")
        start = initialize(em, INITIALIZERS["kmeans"], 1, np.random.RandomState(0))
        at.append(em.evaluate(em.evaluate(start).successor))
    assert np.isfinite(at[1].objective)
    assert at[0].objective == pytest.approx(at[1].objective, rel=1e-6)


@pytest.mark.parametrize("name", ["VVE", "EVE"])
def test_rough_common_axes_are_those_of_a_component(name, make_blocks, rng):
    X = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))
    em = EMMap.prepare(make_blocks(X), FOURTEEN[name], 2, "auto")
    factors = np.triu(rng.normal(size=(2, 3, 3)), 1) + np.diag([0.3, 1.0, 3.0])
    start = Parameters(np.array([0.95, 0.05]), rng.normal(size=(2, 3)), factors)
    found = em.constrained(start, roughly=True)
    before, after = (
        em.structure.covariances(each.precisions_cholesky) for each in (start, found)
    )
    # The heavier one's fit best here.
    axes = np.linalg.eigh(before[0])[1]
    turned = axes.T @ after @ axes
    apart = turned - np.stack([np.diag(np.diagonal(each)) for each in turned])
    assert np.abs(apart).max() < 1e-9 * np.abs(turned).max()
    # They are not the nearest ones, but allowed.
    nearest = em.structure.covariances(em.constrained(start).precisions_cholesky)
    assert np.abs(nearest - after).max() > 1e-3
    again = em.constrained(found, roughly=True).precisions_cholesky
    np.testing.assert_allclose(again, found.precisions_cholesky, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_certainty_of_few_rows_is_that_of_a_pass(weighted, structure, make_blocks, rng):
    X = rng.normal(size=(60, 2))
    weight = rng.integers(0, 3, 60).astype(float) if weighted else None
    blocks = make_blocks(X, weight)
    em = EMMap.prepare(blocks, structure, 1, "auto").for_components(3)
    method = INITIALIZERS["random_from_data"]
    start = initialize(em, method, 3, np.random.RandomState(0))
    expected = classified(em.of_points(start), blocks).certainty
    assert em.evaluate(start).certainty == pytest.approx(expected, rel=1e-12)


def test_numbers_of_components_share_rows_and_steps(make_blocks, rng):
    em = EMMap.prepare(make_blocks(clusters(rng)), STRUCTURES["full"], 1, "auto")
    two, three = em.for_components(2), em.for_components(3)
    assert two.quick == em.quick
    if em.quick:
        assert two.all_rows is three.all_rows
        assert two._stepper is three._stepper
