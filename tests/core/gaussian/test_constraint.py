"""M-steps of the shapes, against a brute-force search, and as maxima."""

import numpy as np
import pytest

from skem.core.gaussian.axes import common_axes, rotation
from skem.core.gaussian.constraint import CONSTRAINTS
from skem.core.gaussian.covariance import FOURTEEN, SHAPES, Scatter

NOTHING = Scatter(np.zeros(()), np.zeros(()))
TEN = [SHAPES[name] for name in CONSTRAINTS]
# Σ_k n_k log w_k − ½ [n_k log|2π Σ_k| + tr(W_k Σ_k⁻¹)] at the maximum for `responsible`
# data: by a quasi-Newton search over volumes, shapes and angles.
LARGEST = {
    "EII": -451.20404779042974,
    "VII": -450.4198060943572,
    "EEI": -436.4694929758029,
    "VEI": -435.8683824614349,
    "EVI": -436.16144509309675,
    "VVI": -435.5318274825287,
    "EEE": -402.4500119082958,
    "VEE": -401.4770842974905,
    "EVE": -402.1676405439272,
    "VVE": -401.1687975729171,
    "EEV": -401.68271166164465,
    "VEV": -400.64720813097193,
    "EVV": -401.42376218646825,
    "VVV": -400.3666268182841,
}
N_PARAMETERS = {
    "EII": 1, "spherical": 3, "EEI": 3, "VEI": 5, "EVI": 7, "diag": 9, "tied": 6,
    "VEE": 8, "EVE": 10, "VVE": 12, "EEV": 12, "VEV": 14, "EVV": 16, "full": 18,
}  # fmt: skip


@pytest.fixture(params=TEN, ids=CONSTRAINTS)
def shape(request):
    return request.param


def responsible(seed=34, n=60, d=3, K=3):
    """Return data with random responsibilities."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(K, d)) * 2
    A = rng.normal(size=(K, d, d))
    z = rng.integers(K, size=n)
    X = means[z] + np.einsum("ide,ie->id", A[z], rng.normal(size=(n, d)))
    return X, rng.dirichlet(np.full(K, 0.3), size=n)


def scatter_of(X, resp):
    """Return scatter matrices about the weighted means, and counts."""
    counts = resp.sum(axis=0)
    centred = X[None] - (resp.T @ X / counts[:, None])[:, None]
    return np.einsum("nk,kni,knj->kij", resp, centred, centred), counts


def kept(structure, matrices):
    """Return what the structure keeps of matrices (…, K, d, d)."""
    quadratic, d = structure.quadratic, matrices.shape[-1]
    return quadratic.unpack(quadratic.of_matrices(matrices), d)


def estimate(structure, W, n, previous=None):
    d = W.shape[-1]
    return structure.estimate(Scatter(kept(structure, W), n), NOTHING, d, previous)


def objective(structure, covariances, W, n):
    """−½ Σ_k n_k log|Σ_k| + tr(W_k Σ_k⁻¹), one for each mixture of a stack."""
    cholesky, failed = structure.factor(covariances)
    assert not failed.any()
    d = W.shape[-1]
    log_det = np.broadcast_to(structure.log_det(cholesky, d), n.shape)
    precisions = structure.precisions(cholesky)
    if structure.shared:
        precisions = np.broadcast_to(precisions, W.shape)
    if not structure.matrices:
        precisions = precisions.reshape(*n.shape, -1)[..., None] * np.eye(d)
    trace = (W * precisions).sum(axis=(-3, -2, -1))
    return (n * log_det).sum(axis=-1) - 0.5 * trace


@pytest.mark.parametrize("name", FOURTEEN)
def test_m_step_finds_the_maximum(name):
    X, resp = responsible()
    W, n = scatter_of(X, resp)
    structure = FOURTEEN[name]
    found = objective(structure, estimate(structure, W, n), W, n)
    found += n @ np.log(n / n.sum()) - 0.5 * X.size * np.log(2 * np.pi)
    assert found == pytest.approx(LARGEST[structure.shape_name], rel=1e-11)


@pytest.mark.parametrize("name", FOURTEEN)
def test_parameters_are_counted(name):
    assert FOURTEEN[name].n_parameters(3, 3) == N_PARAMETERS[name]
    # One feature has a variance alone.
    equal = FOURTEEN[name].shape_name.startswith("E")
    assert FOURTEEN[name].n_parameters(4, 1) == (1 if equal else 4)


def random_scatter(rng, *shape, d):
    factors = rng.normal(size=(*shape, d, d + 3))
    return factors @ np.swapaxes(factors, -1, -2), rng.uniform(5, 20, size=shape)


def test_no_allowed_covariances_near_by_are_better(shape, rng):
    W, n = random_scatter(rng, 4, d=3)
    best = estimate(shape, W, n)
    cholesky, _ = shape.factor(best)
    local = shape.local(cholesky, 3)
    scale = local.scale(n, n.sum())
    top = objective(shape, best, W, n)
    for size in (0.01, 0.1, 1.0):
        for _ in range(10):
            step = size * rng.normal(size=scale.shape) / scale
            moved = shape.covariances(local.unpack(step))
            assert objective(shape, moved, W, n) < top
            assert shape.allows(shape.factor(moved)[0], 3)


def test_a_step_from_any_start_gains(shape, rng):
    for _ in range(5):
        W, n = random_scatter(rng, 4, d=3)
        before = estimate(shape, *random_scatter(rng, 4, d=3))
        cholesky, _ = shape.factor(before)
        after = estimate(shape, W, n, cholesky)
        assert objective(shape, after, W, n) > objective(shape, before, W, n)
        again = estimate(shape, W, n, shape.factor(after)[0])
        least = objective(shape, after, W, n)
        assert objective(shape, again, W, n) >= least - 1e-12 * abs(least)


def test_mixtures_of_a_stack_do_not_know_of_each_other(shape, rng):
    W, n = random_scatter(rng, 5, 4, d=3)
    W[0] *= 1e-6
    for previous in (None, estimate(shape, *random_scatter(rng, 5, 4, d=3))):
        cholesky = None if previous is None else shape.factor(previous)[0]
        stacked = estimate(shape, W, n, cholesky)
        for i in range(5):
            own = None if cholesky is None else cholesky[i]
            alone = estimate(shape, W[i], n[i], own)
            np.testing.assert_allclose(stacked[i], alone, rtol=1e-5)


def test_equal_scatters_have_equal_covariances(shape, rng):
    W, n = random_scatter(rng, 1, d=3)
    found = estimate(shape, np.repeat(W, 3, axis=0), np.repeat(n, 3))
    alone = estimate(FOURTEEN[shape.free.name], W, n)
    np.testing.assert_allclose(found, np.repeat(alone, 3, axis=0), rtol=1e-10)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_scaling_changes_nothing_else(name, rng):
    shape = SHAPES[name]
    W, n = random_scatter(rng, 4, d=3)
    factor = np.array([1e-3, 1.0, 50.0]) if shape.scales_features else np.full(3, 7.0)
    found = estimate(shape, W * factor * factor[:, None], n)
    cholesky, _ = shape.factor(found)
    back, _ = shape.factor(estimate(shape, W, n))
    back = shape.rescale_precisions_cholesky(back, 1 / factor)
    assert np.abs(shape.to_chart(back, cholesky)).max() < 1e-6


def test_common_axes_are_found(rng):
    axes = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    variances = rng.uniform(0.1, 9, size=(4, 5))
    found = common_axes((axes * variances[:, None]) @ axes.T)
    np.testing.assert_allclose(np.abs(axes.T @ found).max(axis=0), 1, atol=1e-12)


def test_rotations_of_skew_matrices_are_rotations(rng):
    skew = rng.normal(size=(4, 4))
    turn = rotation(skew - skew.T)
    np.testing.assert_allclose(turn @ turn.T, np.eye(4), atol=1e-14)
    assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize(
    ("names", "points"),
    [
        ("EII EEI EEE", [1, 1, 1]),
        ("VII VEI EVI VVI VEE EVE VVE VEV", [2, 3, 3]),
        ("EEV", [1, 2, 3]),
        ("EVV VVV", [2, 3, 4]),
    ],
)
def test_points_that_determine_a_component(names, points):
    for name in names.split():
        assert [SHAPES[name].least_points(d) for d in (1, 2, 3)] == points


def test_singular_scatter_is_seen(shape):
    W, n = np.zeros((3, 2, 2)), np.ones(3)
    assert shape.factor(estimate(shape, W, n))[1].all()


@pytest.mark.parametrize("name", FOURTEEN)
def test_what_a_structure_includes_it_can_keep(name, rng):
    larger = FOURTEEN[name]
    matrices, weights = random_scatter(rng, 4, d=3)
    for smaller in FOURTEEN.values():
        if not larger.includes(smaller):
            continue
        within = kept(smaller, matrices)
        if smaller.shared:
            within = within[0]
        cholesky, _ = smaller.factor(within)
        cholesky = smaller.constrained(cholesky, weights, 3)
        found = larger.adopted(smaller, cholesky, (4, 3))
        assert found.shape == larger.shape(4, 3)
        assert larger.allows(found, 3)
        # The same distances.
        rows = rng.normal(size=(4, 3))
        np.testing.assert_allclose(
            np.square(larger.whiten_rows(found, rows)).sum(axis=1),
            np.square(smaller.whiten_rows(cholesky, rows)).sum(axis=1),
        )


def test_structures_include_those_with_less_freedom():
    names = [name for name, one in SHAPES.items() if SHAPES["VEE"].includes(one)]
    expected = {"tied", "spherical", "EII", "EEI", "VEI", "VEE", "EEE", "VII"}
    assert set(names) == expected
    assert all(SHAPES["full"].includes(one) for one in FOURTEEN.values())
    assert not SHAPES["EEV"].includes(SHAPES["VEE"])


@pytest.mark.parametrize("name", ["EEV", "VEV", "EVE", "VVE", "EVV"])
def test_scatter_beyond_the_precision_of_its_eigenvalues(name):
    # All on one line: the other eigenvalues are rounding, some of them negative.
    line = np.array([3.0, -1.0, 0.5, 7.0])
    line /= np.linalg.norm(line)
    W = np.array([2e11, 1e11])[:, None, None] * np.outer(line, line)
    found = CONSTRAINTS[name].estimate(W, np.array([2e12, 1e12]), 4, None)
    assert line @ found @ line == pytest.approx([0.1, 0.1], rel=1e-9)
    assert np.trace(found, axis1=1, axis2=2) == pytest.approx([0.1, 0.1], rel=1e-9)


@pytest.mark.parametrize("name", [n for n in CONSTRAINTS if not SHAPES[n].shared])
def test_a_single_component_that_differs_is_not_allowed(name):
    shape = SHAPES[name]
    X, resp = responsible()
    free = [c * np.cov(X.T, aweights=w) for c, w in zip([1, 3, 9], resp.T, strict=True)]
    free = np.stack(free)
    if not shape.matrices:
        free = free.diagonal(0, 1, 2)
    if name == "EII":
        free = free.mean(axis=1)
    spoilt = shape.factor(free)[0]
    allowed = shape.constrained(spoilt, np.ones(3), 3)
    assert shape.allows(allowed, 3)
    assert not shape.allows(spoilt, 3)
    assert not shape.allows(np.append(allowed[:2], spoilt[2:], axis=0), 3)
