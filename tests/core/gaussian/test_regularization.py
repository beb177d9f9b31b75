"""What the regularizations add, against dense formulas."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.gaussian.covariance import SHAPES, STRUCTURES, Scatter
from skem.core.gaussian.maximisation import factor
from skem.core.gaussian.regularization import (
    COLLINEAR,
    IllDefinedCovarianceError,
    ScaleFreePenalty,
    cluster_scale,
    elsewhere,
    null_directions,
)
from skem.core.gaussian.ridge import Ridge
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import diagonals
from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize

K, D = 3, 2


def dense_covariance(structure, X, weight):
    """S, restricted to what the structure can express."""
    S = np.cov(X.T, aweights=weight, ddof=0).reshape(X.shape[1], -1)
    if structure.name == "diag":
        S = np.diag(np.diag(S))
    if structure.name == "spherical":
        S = np.eye(len(S)) * np.trace(S) / len(S)
    return S


def prepared(blocks, structure, reg_covar="auto", n_components=K):
    return EMMap.prepare(blocks, structure, n_components, reg_covar)


def test_penalty_is_chen_and_tans(structure, make_mixture, make_blocks, rng):
    mixture = make_mixture(structure, K, D)
    X, weight = mixture.sample(50, rng), rng.uniform(size=50)
    # Of one cluster, Λ is the covariance of the data.
    em = prepared(make_blocks(X, weight), structure, n_components=1)
    inward = em.coordinates.inward(structure, mixture.parameters)

    # tr(ΛΣ⁻¹) does not depend on units; log|Σ| does, by 2 log|dz/dx|.
    target = dense_covariance(structure, X, weight)
    components = mixture.dense[:1] if structure.shared else mixture.dense
    trace = np.trace(np.linalg.solve(components, target[None]), axis1=1, axis2=2)
    log_det = np.linalg.slogdet(components)[1] + 2 * em.coordinates.log_slope
    epsilon = 2 / np.sqrt(weight.sum())
    found = em.regularization.penalty(structure, inward)
    expected = epsilon / 2 * np.sum(trace + log_det)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_ridge_has_no_penalty(structure, make_mixture):
    parameters = make_mixture(structure, K, D).parameters
    assert Ridge(np.ones(D)).penalty(structure, parameters) == 0


def test_penalty_adds_epsilon_observations_of_the_target(structure, rng):
    # Σ_k = (W_k + εΛ) / (n_k + ε)
    counts = rng.uniform(1, 9, size=K)
    scatter = np.stack([np.cov(rng.standard_normal((D, 9))) for _ in range(K)])
    target = np.cov(rng.standard_normal((D, 9)))
    epsilon = 0.3
    pack, unpack = structure.quadratic.pack, structure.quadratic.unpack

    def restricted(matrices):
        sums = [
            structure.quadratic.weighted_sum(np.linalg.cholesky(matrix), np.ones(D))
            for matrix in matrices
        ]
        return unpack(np.stack(sums), D)

    penalty = ScaleFreePenalty(epsilon, restricted(target[None])[0])
    found = penalty.covariances(structure, Scatter(restricted(scatter), counts), D)
    if structure.shared:
        counts, scatter = counts.sum(keepdims=True), scatter.sum(axis=0)[None]
        found = found[None]
    expected = (scatter + epsilon * target) / (counts + epsilon)[:, None, None]
    size = D if structure.name == "spherical" else 1
    np.testing.assert_allclose(
        pack(found), pack(restricted(expected)) / size, rtol=1e-12
    )


def test_empty_component_gets_the_target(structure):
    values = structure.quadratic.unpack(np.zeros((1, structure.quadratic.size(D))), D)
    target = structure.quadratic.unpack(
        structure.quadratic.weighted_sum(np.diag([2.0, 2.0]), np.ones(2))[None], D
    )[0]
    penalty = ScaleFreePenalty(0.1, target)
    found = penalty.covariances(structure, Scatter(values, np.zeros(1)), D)
    cholesky, _ = structure.factor(found)
    np.testing.assert_allclose(
        structure.standard_deviations(cholesky, (1, D)), 2, rtol=1e-14
    )


@pytest.mark.parametrize(
    "columns",
    [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]],
    ids=["collinear", "constant", "all constant"],
)
def test_target_is_positive_definite_for_singular_data(
    structure, columns, make_blocks, rng
):
    X = rng.standard_normal((20, 1)) * columns
    em = prepared(make_blocks(X), structure)
    target = em.regularization.target
    if target.ndim == 2:
        units = np.sqrt(np.diagonal(target))
        target = np.linalg.eigvalsh(target / np.outer(units, units))
    # Rounding of eigenvectors takes ε of the largest eigenvalue.
    assert np.min(target) >= COLLINEAR * K ** (-2 / D) * (1 - 1e-6)


@pytest.mark.parametrize("columns", ["constant", "collinear"])
def test_variance_where_there_is_none_depends_on_no_component(
    structure, columns, make_blocks, rng
):
    X = rng.standard_normal((50, 2)) * [1.0, 3.0]
    extra = np.full(50, 7.0) if columns == "constant" else X @ [2.0, 1.0]
    em = prepared(make_blocks(np.c_[X, extra]), structure)
    penalty = em.regularization
    if (not structure.matrices and columns == "collinear") or penalty.target.ndim == 0:
        assert penalty.null is None
        return
    # Components of any size and shape have it, and other directions are left alone.
    d = 3
    Z = em.coordinates.load(np.c_[X, extra].T, np.empty((d, 50)))
    resp = rng.dirichlet(np.full(K, 0.1), 50).T * rng.random(50)
    counts = resp.sum(axis=1)
    means = resp @ Z.T / counts[:, None]
    quadratic = structure.quadratic
    values = quadratic.unpack(
        np.stack(
            [
                quadratic.weighted_sum(Z - mean[:, None], r)
                for mean, r in zip(means, resp, strict=True)
            ]
        ),
        d,
    )
    found = penalty.covariances(structure, Scatter(values, counts), d)
    plain = replace(penalty, null=None).covariances(
        structure, Scatter(values, counts), d
    )
    if structure.matrices:
        null = np.linalg.svd(Z.T)[2][-1]
        variances = np.einsum("...ij,i,j->...", found, null, null)
        others = np.eye(d) - np.outer(null, null)
        found, plain = others @ found @ others, others @ plain @ others
    else:
        variances, found, plain = found[..., 2], found[..., :2], plain[..., :2]
    np.testing.assert_allclose(variances, COLLINEAR, rtol=1e-6)
    np.testing.assert_allclose(found, plain, atol=1e-12)


def broken(structure, covariances):
    """Make one covariance, or the shared one, singular by a hair."""
    covariances = covariances.copy()
    if not structure.matrices:
        covariances[1] = -1e-17
    else:
        singular = np.array([[1.0, 1.0], [1.0, 1.0 - 1e-15]])
        covariances[() if structure.shared else 1] = singular
    return covariances


def test_penalty_repairs_what_rounding_broke(structure, make_covariances):
    covariances = make_covariances(structure, K, D)
    intact, _ = structure.factor(covariances)
    covariances = broken(structure, covariances)
    unit = structure.quadratic.weighted_sum(np.eye(D), np.ones(D))[None]
    penalty = ScaleFreePenalty(0.1, structure.quadratic.unpack(unit, D)[0])
    cholesky = factor(structure, penalty, covariances, D)
    assert np.isfinite(cholesky).all()
    np.testing.assert_allclose(
        structure.covariances(cholesky), covariances, rtol=1e-8, atol=1e-8
    )
    if not structure.shared:
        np.testing.assert_array_equal(cholesky[[0, 2]], intact[[0, 2]])


def test_ridge_raises_where_a_covariance_is_singular(structure, make_covariances):
    covariances = broken(structure, make_covariances(structure, K, D))
    with pytest.raises(IllDefinedCovarianceError):
        factor(structure, Ridge(np.full(D, 1e-6)), covariances, D)


@pytest.mark.parametrize("name", ["diag", "spherical"])
def test_without_a_ridge_one_row_has_the_variance_of_scikit_learns_counts(name):
    """What 10 ε rows at zero would give it: none if the row is there too."""
    structure = STRUCTURES[name]
    shape, one = structure.shape(2, D), np.ones(2)
    ridge = Ridge(np.zeros(D), origin=np.full(D, -3.0))
    scatter = Scatter(np.zeros(shape), one)
    means = np.stack([np.full(D, 1.0), np.full(D, -3.0)])
    found = ridge.covariances(structure, scatter, D, means)
    expected = 10 * np.finfo(float).eps * np.array([16.0, 0.0])
    np.testing.assert_allclose(found.reshape(2, -1).max(axis=1), expected)
    np.testing.assert_allclose(found.reshape(2, -1).min(axis=1), expected)
    several = ridge.covariances(structure, Scatter(np.zeros(shape), 2 * one), D, means)
    np.testing.assert_array_equal(several, np.zeros(shape))
    unknown = Ridge(np.zeros(D)).covariances(structure, scatter, D, means)
    np.testing.assert_array_equal(unknown, np.zeros(shape))


def test_ridge_is_a_variance_in_units_of_the_data(
    structure, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, K, D)
    X = mixture.sample(50, rng) * 1e3
    em = prepared(make_blocks(X), structure, reg_covar=5.0)
    np.testing.assert_allclose(
        em.regularization.variances, 5.0 * em.coordinates.slope**2, rtol=1e-14
    )


def test_renewed_penalty_is_that_of_the_other_data(structure, make_blocks, rng):
    X, other = rng.standard_normal((50, D)), 3 * rng.standard_normal((80, D))
    em, expected = (
        prepared(make_blocks(rows), structure, n_components=1) for rows in (X, other)
    )
    total = expected.total.scatter()
    found = em.regularization.renewed(structure, total, total, 80, D)
    assert found.epsilon == expected.regularization.epsilon
    # The sample's rows are in another order.
    np.testing.assert_allclose(
        found.target, expected.regularization.target, rtol=1e-12, atol=1e-13
    )


def test_renewed_ridge_is_the_same(structure, make_blocks, rng):
    em = prepared(make_blocks(rng.standard_normal((50, D))), structure, 0.1)
    ridge, total = em.regularization, em.total.scatter()
    assert ridge.renewed(structure, total, total, 80, D) is ridge


def test_a_large_covariance_that_rounding_broke_is_repaired():
    # Rank one but for rounding, at 1e100 standard deviations.
    u = np.array([1.0, 0.3])
    broken = 1e200 * np.outer(u, u) * (1 - np.diag([0, 1e-15]))
    covariances = np.stack([np.eye(2), broken])
    penalty = ScaleFreePenalty(0.1, np.eye(2))
    assert STRUCTURES["full"].factor(covariances)[1].tolist() == [False, True]
    cholesky = factor(STRUCTURES["full"], penalty, covariances, 2)
    assert np.isfinite(cholesky).all()
    np.testing.assert_array_equal(cholesky[0], np.eye(2))


@pytest.mark.parametrize("columns", ["constant", "collinear"])
def test_no_step_changes_a_variance_that_is_given(structure, columns, make_blocks, rng):
    X = rng.standard_normal((50, 2)) * [1.0, 3.0]
    extra = np.full(50, 7.0) if columns == "constant" else X @ [2.0, 1.0]
    X = np.c_[X, extra]
    em = prepared(make_blocks(X), structure)
    if em.regularization.null is None:
        assert not em.regularization.pins
        return
    base = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    chart = em.chart(base)
    vector = rng.normal(0, 3, chart.pack(base).size)
    found, free = (
        structure.covariances(each.unpack(vector).precisions_cholesky)
        for each in (chart, replace(chart, restored=None))
    )
    if structure.matrices:
        Z = em.coordinates.load(X.T, np.empty((3, 50)))
        null = np.linalg.svd(Z.T)[2][-1]
        variances = np.einsum("...ij,i,j->...", found, null, null)
        others = np.eye(3) - np.outer(null, null)
        found, free = others @ found @ others, others @ free @ others
    else:
        variances, found, free = found[..., 2], found[..., :2], free[..., :2]
    # Of 1e-8, from matrices of order one.
    np.testing.assert_allclose(variances, COLLINEAR, rtol=1e-6)
    np.testing.assert_allclose(found, free, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("total_weight", [1e3, 1e12])
@pytest.mark.parametrize("scale", ["round", "line"])
def test_penalty_is_not_lost_to_rounding(scale, total_weight, rng):
    """Across a line of however many rows there is the variance that it gives."""
    full, n = STRUCTURES["full"], 100
    along, across = np.array([[0.8, 0.6], [0.6, -0.8]])
    Z = rng.standard_normal((n, 1)) * along + [1.0, 2.0]
    resp = np.full((1, n), total_weight / 2 / n)
    scatter = Statistics.of_labels(full.quadratic, Z, resp).scatter()
    total = Scatter(total_weight * np.eye(2)[None], np.array([total_weight]))
    target = np.eye(2) if scale == "round" else np.outer(along, along)
    penalty = ScaleFreePenalty.of_data(target, total, total_weight)
    covariances = penalty.covariances(full, scatter, 2)
    cholesky = factor(full, penalty, covariances, 2)
    epsilon = penalty.epsilon
    expected = epsilon * (across @ penalty.target @ across)
    expected /= total_weight / 2 + epsilon
    found = across @ full.covariances(cholesky)[0] @ across
    # Of 1e-12 or more, from a matrix of order one.
    assert found == pytest.approx(expected, rel=1e-2, abs=0)


def test_a_cluster_without_variance_and_huge_weights_has_all_the_say():
    """Its variance underflows, which had been a warning."""
    within = Scatter(np.array([[0.0, 1e200], [1e200, 1e200]]), np.full(2, 1e200))
    before = np.array([1e-200, 1.0])
    scale = cluster_scale(STRUCTURES["diag"], within, 2, before)
    np.testing.assert_allclose(scale, [0, 1])


@pytest.mark.parametrize("value", [1e8, 1e12])
@pytest.mark.parametrize("name", ["full", "tied", "EVE"])
def test_beside_remote_rows_others_have_variance(name, value, make_blocks, rng):
    """Only the direction in which no row has any is null."""
    X = rng.standard_normal((500, 4))
    X[0, :3] = value
    em = prepared(make_blocks(X), SHAPES[name])
    assert em.regularization.null is None
    collinear = np.c_[X, X[:, 2] + X[:, 3]]
    null = prepared(make_blocks(collinear), SHAPES[name]).regularization.null
    assert np.trace(null) == pytest.approx(1, rel=1e-9)
    constant = np.c_[X, np.full(500, 0.1)]
    null = prepared(make_blocks(constant), SHAPES[name]).regularization.null
    np.testing.assert_allclose(null, np.diag([0, 0, 0, 0, 1]), atol=1e-9)


def test_a_remote_component_of_a_stream_does_not_hide_variance():
    near, far = np.diag([1e-20, 2e-20, 0.0]), np.ones((3, 3)) - np.diag([0, 0, 1])
    far[2] = far[:, 2] = 0
    within = Scatter(np.stack([1e3 * near, 2 * far]), np.array([1e3, 2.0]))
    total = Scatter(within.values.sum(axis=0)[None], np.array([1002.0]))
    before = ScaleFreePenalty(0.1, np.eye(3))
    found = before.renewed(STRUCTURES["full"], within, total, 1002, 3)
    np.testing.assert_allclose(found.null, np.diag([0, 0, 1]), atol=1e-9)


def test_a_repair_is_in_units_of_each_variance():
    """It leaves narrow features as they are beside wide ones."""
    wide = np.array([[1.0, 1.0], [1.0, 1.0 - 1e-15]])
    broken = np.zeros((1, 3, 3))
    broken[0, :2, :2], broken[0, 2, 2] = wide, 1e-20
    full, penalty = STRUCTURES["full"], ScaleFreePenalty(0.1, np.eye(3))
    assert full.factor(broken)[1].all()
    found = full.covariances(factor(full, penalty, broken, 3))[0]
    assert found[2, 2] == pytest.approx(1e-20, rel=1e-8)
    np.testing.assert_allclose(found, broken[0], rtol=1e-8, atol=1e-30)


@pytest.mark.parametrize("scale", [1e-150, 1e-300])
def test_beside_a_ridge_data_may_have_no_width(structure, scale, make_blocks, rng):
    """The covariances are the ridge, which had been beyond the range."""
    X = scale * rng.normal(size=(60, D))
    em = prepared(make_blocks(X), structure, reg_covar=0.25)
    start = initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))
    found = em.coordinates.covariances(structure, start, np.dtype(float))
    sizes = np.diagonal(found, axis1=-2, axis2=-1) if structure.matrices else found
    np.testing.assert_allclose(sizes, 0.25, rtol=1e-9)


def test_clusters_have_their_scale_beside_a_collinear_feature():
    """Inverses of the scatter in all directions had no digit left in the others."""
    counts = np.array([40.0, 60.0, 100.0])
    variances = np.array([[1.0, 4.0], [2.0, 0.5], [0.3, 1.0]])
    T = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    values = np.einsum("if,kf,jf->kij", T, counts[:, None] * variances, T)
    # Λ = 1 / Σ w / Σ_k with d + 1 pseudo-observations, feature by feature.
    expected = counts @ variances / counts.sum()
    for _ in range(5):
        each = (counts[:, None] * variances + 4 * expected) / (counts[:, None] + 4)
        expected = counts.sum() / (counts @ (1 / each))
    found = cluster_scale(STRUCTURES["full"], Scatter(values, counts), 3)
    null = np.outer([1.0, 1.0, -1.0], [1.0, 1.0, -1.0]) / 3
    np.testing.assert_allclose(
        elsewhere(null, found), T * expected @ T.T, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("name", ["full", "tied", "VVE"])
def test_factors_beside_a_collinear_feature_are_exact(name, rng):
    """The volume of a floor of 1e-8 had eight digits."""
    structure = SHAPES[name]
    T = np.array([[1.0, 0.0], [0.3, 1.0], [1.0, 1.0]])
    variances = np.array([1.0, 0.3]) if structure.shared else rng.uniform(size=(3, 2))
    values = (T * variances[..., None, :]) @ T.T
    null = null_directions(T @ T.T)
    penalty = ScaleFreePenalty(0.1, np.eye(3), null, COLLINEAR)
    cholesky, failed = penalty.factored(structure, values + COLLINEAR * null)
    assert not failed.any()
    assert not np.tril(cholesky, -1).any()
    # |T Λ Tᵀ + f N| = |TᵀT| |Λ| f.
    volumes = np.linalg.slogdet(T.T @ T)[1] + np.log(variances).sum(axis=-1)
    np.testing.assert_allclose(
        structure.log_det(cholesky, 3),
        -(volumes + np.log(COLLINEAR)) / 2,
        rtol=0,
        atol=1e-11,
    )
    inverse = np.linalg.inv(T.T @ T) @ T.T
    np.testing.assert_allclose(
        elsewhere(null, structure.precisions(cholesky)),
        (inverse.T / variances[..., None, :]) @ inverse,
        rtol=0,
        atol=1e-7,
    )


@pytest.mark.parametrize("name", ["full", "tied"])
@pytest.mark.parametrize("variance", [1e20, 1e100, 1e200])
def test_factors_beside_a_variance_out_of_proportion_have_a_volume(name, variance):
    """Beside the floor of another direction its own part was zero."""
    structure = STRUCTURES[name]
    along, null = np.full((2, 2), 0.5), np.array([[0.5, -0.5], [-0.5, 0.5]])
    penalty = ScaleFreePenalty(0.1, np.eye(2), null, COLLINEAR)
    covariances = variance * along + COLLINEAR * null
    if not structure.shared:
        covariances = np.stack([along + COLLINEAR * null, covariances])
    found = factor(structure, penalty, covariances, 2)
    assert np.isfinite(structure.log_det(found, 2)).all()
    assert (diagonals(found) > 0).all()


def test_features_without_variance_are_null_by_themselves(rng):
    """Rounding mixed them among forty others, and then no step was compiled."""
    d, empty = 40, [0, 7, 39]
    rows = rng.normal(size=(500, d)) @ rng.normal(size=(d, d)) / d
    rows[:, empty] = 0
    values = rows.T @ rows / len(rows)
    null = null_directions(values)
    expected = np.zeros(d)
    expected[empty] = 1
    np.testing.assert_array_equal(null, np.diag(expected))
    penalty = ScaleFreePenalty(0.1, values, null, COLLINEAR)
    np.testing.assert_array_equal(penalty.constants, COLLINEAR * expected)
    np.testing.assert_array_equal(elsewhere(null, values), values)
    cholesky, _ = penalty.factored(STRUCTURES["full"], values + COLLINEAR * null)
    others = np.ix_(expected == 0, expected == 0)
    alone, _ = STRUCTURES["full"].factor(values[others])
    np.testing.assert_allclose(cholesky[others], alone, rtol=1e-9, atol=1e-9)
    assert cholesky[7, 7] == pytest.approx(COLLINEAR**-0.5, rel=1e-12)
    # Beside a direction that is none of the features.
    rows[:, 3] = rows[:, 4]
    both = null_directions(rows.T @ rows / len(rows))
    axis = np.zeros(d)
    axis[3], axis[4] = 0.5**0.5, -(0.5**0.5)
    np.testing.assert_allclose(both, null + np.outer(axis, axis), rtol=0, atol=1e-12)
    assert null_directions(np.zeros((3, 3))).tolist() == np.eye(3).tolist()
    assert null_directions(np.eye(3)) is None
