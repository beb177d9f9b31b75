"""The scale of the penalty is that of clusters."""

import numpy as np
import pytest

from skem.core.gaussian.coordinates import standardising_coordinates
from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES, Scatter
from skem.core.gaussian.regularization import COLLINEAR, cluster_scale, with_floor
from skem.core.mixture import scale as scale_module
from skem.core.mixture.em import EMMap
from skem.core.mixture.scale import Clusterings, Sample
from skem.core.mixture.step import Stepper
from skem.kernels import native

K, D = 3, 2
CENTRES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def clusters(rng, separation, widths=(1.0, 1.0, 1.0), n=600):
    y = rng.integers(K, size=n)
    noise = rng.normal(size=(n, D)) * np.asarray(widths)[y][:, None]
    return separation * CENTRES[y] + noise


def sample_of(blocks, structure):
    return Sample.of(blocks, standardising_coordinates(blocks, structure), structure)


def variances(structure, scale):
    """Λ as variances of the features."""
    if structure.name == "spherical":
        return np.full(D, scale / D)
    return np.diagonal(scale) if scale.ndim == 2 else scale


def in_units(structure, sample, n_components=K):
    found = variances(structure, sample.scale(n_components))
    return found / sample.coordinates.scale**2


@pytest.mark.parametrize("separation", [8.0, 1e2, 1e4, 1e6])
def test_it_does_not_grow_with_the_separation(structure, make_blocks, rng, separation):
    blocks = make_blocks(clusters(rng, separation))
    found = in_units(structure, sample_of(blocks, structure))
    # Two hundred rows a cluster; shares differ by a tenth.
    np.testing.assert_allclose(found, 1, rtol=0.25)


@pytest.mark.parametrize("seed", range(8))
def test_two_clusters_are_seen_among_several_directions(make_blocks, seed):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(60, 4))
    Z[:30] += [3, 200, 10, 0]
    full = STRUCTURES["full"]
    blocks = make_blocks(Z @ rng.normal(size=(4, 4)))
    sample = Sample.of(blocks, standardising_coordinates(blocks, full), full)
    wide = EMMap.prepare(blocks, full, 1, "auto").regularization.target
    volume = np.linalg.slogdet(sample.scale(2))[1] - np.linalg.slogdet(wide)[1]
    # Clusters are a hundredth as wide as all of the data, in one of the directions.
    assert volume < -2 * np.log(50)


def test_the_narrowest_of_clusters_bounds_it(structure, make_blocks, rng):
    blocks = make_blocks(clusters(rng, 1e4, widths=[1, 30, 1000]))
    found = in_units(structure, sample_of(blocks, structure))
    if structure.shared:
        assert (found > 1e4).all()
    else:
        # w_k Λ ≤ Σ_k, with a third of the rows in each.
        assert (found < 4).all()


def test_of_one_component_it_is_the_covariance(structure, make_blocks, rng):
    blocks = make_blocks(clusters(rng, 5.0))
    found = in_units(structure, sample_of(blocks, structure), 1)
    expected = blocks.X.var(axis=0)
    if structure.name == "spherical":
        expected = np.full(D, expected.mean())
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_few_rows_make_few_clusters(structure, make_blocks, rng):
    """Clusters must have rows enough to determine their covariance."""
    blocks = make_blocks(rng.normal(size=(20, D)))
    sample = sample_of(blocks, structure)
    most = 3 if structure.matrices else 5
    expected = sample.scale(most) * (20 / most) ** (-2 / D)
    np.testing.assert_allclose(sample.scale(20), expected, rtol=1e-10)


def test_integer_weights_are_repeated_rows(structure, make_blocks, rng):
    X, weight = clusters(rng, 6.0, n=150), rng.integers(0, 4, 150)
    weighted = make_blocks(X, weight.astype(float))
    coordinates = standardising_coordinates(weighted, structure)
    scales = [
        Sample.of(blocks, coordinates, structure).scale(K)
        for blocks in (weighted, make_blocks(np.repeat(X, weight, axis=0)))
    ]
    # Sums in another order.
    np.testing.assert_allclose(*scales, rtol=1e-10, atol=1e-12)


def test_the_order_of_rows_does_not_matter(structure, make_blocks, rng):
    X = clusters(rng, 6.0)
    blocks = make_blocks(X)
    coordinates = standardising_coordinates(blocks, structure)
    shuffled = make_blocks(rng.permutation(X))
    scales = [
        Sample.of(each, coordinates, structure).scale(K) for each in (blocks, shuffled)
    ]
    np.testing.assert_allclose(*scales, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("value", [1e3, 1e8, 1e12])
def test_an_outlier_does_not_set_it(structure, make_blocks, rng, value):
    X = clusters(rng, 6.0)
    expected = in_units(structure, sample_of(make_blocks(X), structure))
    X[0] = value
    sample = sample_of(make_blocks(X), structure)
    found = variances(structure, sample.scale(K)) / sample.coordinates.slope**2
    # One row less, and the clusters may be told apart a little differently.
    np.testing.assert_allclose(found, expected, rtol=0.1)


def test_for_other_components_the_problem_is_that_prepared_for_them(
    structure, make_blocks, rng
):
    blocks = make_blocks(clusters(rng, 6.0))
    one = EMMap.prepare(blocks, structure, 1, "auto").for_components(K)
    many = EMMap.prepare(blocks, structure, K, "auto")
    np.testing.assert_array_equal(one.regularization.target, many.regularization.target)


def test_pooled_scale_is_no_wider_than_a_cluster_of_its_share(rng):
    structure = STRUCTURES["full"]
    counts = np.array([500.0, 300.0, 200.0])
    factors = rng.normal(size=(3, D, 4)) * np.array([1, 10, 100.0])[:, None, None]
    covariances = factors @ np.swapaxes(factors, 1, 2)
    scatter = Scatter(covariances * counts[:, None, None], counts)
    scale = cluster_scale(structure, scatter, D)
    for weight, covariance in zip(counts / 1000, covariances, strict=True):
        # A few pseudo-observations of the scale itself are in it.
        largest = np.linalg.eigvals(np.linalg.solve(covariance, scale)).real.max()
        assert weight * largest < 1.05


def test_equal_clusters_pool_to_themselves(structure, rng):
    values = structure.quadratic.unpack(
        structure.quadratic.weighted_sum(rng.normal(size=(D, 9)), np.ones(9))[None], D
    )[0]
    counts = np.array([9.0, 90.0, 30.0])
    scatter = Scatter(np.stack([values * n for n in counts]), counts)
    np.testing.assert_allclose(cluster_scale(structure, scatter, D), values, rtol=1e-10)


def test_floor_is_in_units_of_the_features():
    scale = np.array([[1e-12, 1e-6], [1e-6, 1.0]])  # a correlation of one
    raised = with_floor(scale, 1e-3)
    units = np.sqrt(np.diagonal(scale))
    relative = np.linalg.eigvalsh(raised / np.outer(units, units))
    np.testing.assert_allclose(relative, [1e-3, 2], rtol=1e-9)
    sound = np.diag([1e-12, 1.0])
    np.testing.assert_array_equal(with_floor(sound, 1e-3), sound)


def test_features_without_variance_get_one():
    np.testing.assert_allclose(
        with_floor(np.diag([2.0, 0.0]), 1e-8), np.diag([2.0, COLLINEAR]), rtol=1e-9
    )
    np.testing.assert_array_equal(with_floor(np.array([2.0, 0.0]), 1e-8)[1], COLLINEAR)
    assert with_floor(np.array(0.0), 1e-8) == COLLINEAR


def test_shapes_take_the_scale_of_free_covariances(make_blocks, rng):
    blocks = make_blocks(clusters(rng, 5.0))
    known = Clusterings()
    for name, constraint in FOURTEEN.items():
        coordinates = standardising_coordinates(blocks, constraint)
        free = constraint if constraint.constraint is None else constraint.free
        expected = Sample.of(blocks, coordinates, free).scale(K)
        found = Sample.of(blocks, coordinates, constraint, known).scale(K)
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=name)


def test_clusterings_are_known_of_rows_that_are_whitened_alike(make_blocks, rng):
    blocks, known = make_blocks(clusters(rng, 5.0)), Clusterings()
    found = {}
    for name in ("full", "tied", "diag"):
        coordinates = standardising_coordinates(blocks, FOURTEEN[name])
        sample = Sample.of(blocks, coordinates, FOURTEEN[name], known)
        found[name] = known.of(sample.white, sample.blocks.weight, K)
    assert found["full"] is found["tied"]
    assert found["full"] is not found["diag"]


@pytest.mark.skipif(native.library() is None, reason="there is no compiled pass")
@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_scale_of_one_call_is_that_of_numpy(
    structure, d, weighted, make_blocks, monkeypatch, rng
):
    X = rng.normal(size=(250, d)) + 4 * rng.integers(0, 3, size=(250, 1))
    blocks = make_blocks(X, rng.integers(1, 4, 250) if weighted else None)
    fast, slow = (sample_of(blocks, structure) for _ in range(2))
    done = []
    cluster = Stepper.cluster

    def counted(*args):
        done.append(cluster(*args))
        return done[-1]

    monkeypatch.setattr(Stepper, "cluster", counted)
    found = fast.scale(3)
    assert len(done) == 1
    assert None not in done
    monkeypatch.setattr(Stepper, "of", lambda *args: None)
    np.testing.assert_allclose(found, slow.scale(3), rtol=1e-8, atol=1e-10)
    fits = [each.quick_fits[3].clusters.arrays for each in (fast, slow)]
    for one, other in zip(*fits, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.skipif(native.library() is None, reason="there is no compiled pass")
def test_scales_that_need_a_floor_are_left_to_numpy(make_blocks, monkeypatch, rng):
    """A column is another one but for a part in 10⁵."""
    X = rng.normal(size=(200, 2)) + 4 * rng.integers(0, 3, size=(200, 1))
    X = np.column_stack([X, X[:, 0] + 1e-5 * rng.normal(size=200)])
    done = []
    cluster = Stepper.cluster

    def counted(*args):
        done.append(cluster(*args))
        return done[-1]

    monkeypatch.setattr(Stepper, "cluster", counted)
    scale = sample_of(make_blocks(X), STRUCTURES["full"]).scale(3)
    assert done == [None]
    units = np.sqrt(np.diagonal(scale))
    assert np.linalg.eigvalsh(scale / np.outer(units, units))[0] > 0


@pytest.mark.parametrize(("structure", "rows"), [("diag", 2000), ("full", 2500)])
def test_fewer_rows_are_looked_at_where_they_have_many_values(
    make_blocks, rng, monkeypatch, structure, rows
):
    monkeypatch.setattr(scale_module, "VALUES", 3 * 1500)
    blocks = make_blocks(rng.normal(size=(2500, 3)))
    assert sample_of(blocks, STRUCTURES[structure]).blocks.n_samples == rows


@pytest.mark.parametrize("n_outliers", [1, 3])
def test_outliers_at_the_end_of_precision_leave_the_others(make_blocks, n_outliers):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(500, 12))
    far = 1e12 * rng.normal(size=(n_outliers, 12))
    blocks = make_blocks(np.vstack([Z, far]))
    sample = sample_of(blocks, STRUCTURES["full"])
    assert sample.blocks.n_samples == 500
    found = sample.scale(1) / np.outer(*[sample.coordinates.scale] * 2)
    # Rounding in units of the outliers is 1e-4 of the others' widths.
    np.testing.assert_allclose(found, np.cov(Z.T, bias=True), atol=0.05)


@pytest.mark.parametrize("value", [1e8, 1e12, 1e20, 1e40])
def test_coordinates_are_those_of_the_bulk_beside_a_remote_row(
    value, structure, make_blocks, rng
):
    """Else the others would lose all their digits beside it."""
    X = rng.normal(3.0, 2.0, size=(400, 2))
    X[7] = value
    blocks, others = make_blocks(X), make_blocks(np.delete(X, 7, axis=0))
    before = standardising_coordinates(blocks, structure)
    found = Sample.of(blocks, before, structure).coordinates
    expected = standardising_coordinates(others, structure)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)
    np.testing.assert_allclose(found.shift, expected.shift, rtol=1e-12)


@pytest.mark.parametrize("value", [1e14, -1e16, 1e40])
def test_many_rows_far_away_leave_the_scale_and_the_digits_of_the_others(
    value, structure, make_blocks, rng
):
    """One of twelve rows is not far from their mean in standard deviations."""
    X = clusters(rng, 20.0, n=400)
    X[::12] = value
    expected = sample_of(make_blocks(np.delete(X, np.s_[::12], axis=0)), structure)
    found = sample_of(make_blocks(X), structure)
    scale = expected.coordinates.scale
    np.testing.assert_allclose(found.coordinates.scale, scale, rtol=1e-12)
    np.testing.assert_allclose(found.scale(3), expected.scale(3), rtol=1e-9, atol=1e-9)


def test_coordinates_stay_where_remote_rows_take_no_digits(structure, make_blocks, rng):
    X = rng.normal(3.0, 2.0, size=(400, 2))
    X[7] = 1e4
    blocks = make_blocks(X)
    before = standardising_coordinates(blocks, structure)
    found = Sample.of(blocks, before, structure).coordinates
    np.testing.assert_array_equal(found.scale, before.scale)
