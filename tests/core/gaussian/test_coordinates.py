"""Standardisation, its inverse, and data at the edge of the floating-point range."""

import numpy as np
import pytest

from skem.core.gaussian.coordinates import (
    Coordinates,
    scoring_coordinates,
    standardising_coordinates,
)
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import total_statistics

FLOAT64 = np.dtype(float)


def load(coordinates, X):
    return coordinates.load(X.T, np.empty(X.T.shape)).T


def standardised(blocks, structure):
    coordinates = standardising_coordinates(blocks, structure)
    return coordinates, load(coordinates, blocks.X)


def weighted_sd(z, weight):
    return np.sqrt(
        np.average(
            (z - np.average(z, axis=0, weights=weight)) ** 2, axis=0, weights=weight
        )
    )


@pytest.mark.parametrize("unit", [None, 2.0**-500])
def test_inward_undoes_outward(structure, unit, make_mixture, rng):
    parameters = make_mixture(structure, 3, 2).parameters
    scale = rng.uniform(0.1, 10, size=2)
    if not structure.scales_features:
        scale[:] = scale[0]
    units = None if unit is None else np.full(2, unit)
    coordinates = Coordinates(rng.standard_normal(2), scale, units)
    outward = coordinates.outward(structure, parameters, FLOAT64)
    inward = coordinates.inward(structure, outward)
    for actual, expected in zip(
        vars(inward).values(), vars(parameters).values(), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def test_the_same_place_is_that_of_shift_scale_and_unit():
    shift, scale, unit = np.zeros(2), np.ones(2), np.full(2, 2.0)
    plain, doubled = Coordinates(shift, scale), Coordinates(shift, scale, unit)
    for one in (plain, doubled):
        for other in (plain, doubled):
            assert one.same(other) == (one is other)
        assert not one.same(Coordinates(shift + 1, scale, one.unit))
    assert not doubled.same(Coordinates(shift, scale, unit * 2))
    assert doubled.same(Coordinates(shift, scale, unit.copy()))


def test_parameters_follow_the_data(structure, make_mixture, rng):
    mixture = make_mixture(structure, 3, 2)
    coordinates = scoring_coordinates(structure, mixture.parameters, np.dtype(float))
    inward = coordinates.inward(structure, mixture.parameters)
    mean = load(coordinates, mixture.parameters.means)
    np.testing.assert_allclose(inward.means, mean, rtol=1e-12, atol=1e-13)
    expected = mixture.dense * np.outer(coordinates.slope, coordinates.slope)
    found = coordinates.covariances(structure, inward, FLOAT64)
    np.testing.assert_allclose(found, mixture.covariances, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        structure.standard_deviations(inward.precisions_cholesky, (3, 2)),
        np.sqrt(np.einsum("kii->ki", expected)),
        rtol=1e-12,
    )


def test_log_slope_is_the_log_determinant_of_the_map():
    coordinates = Coordinates(np.zeros(2), np.array([3.0, 0.5]), np.array([0.25, 8.0]))
    np.testing.assert_array_equal(coordinates.slope, [0.75, 4.0])
    assert coordinates.log_slope == pytest.approx(np.log(3.0), rel=1e-14)


def test_outward_stays_in_the_range_of_the_dtype(structure, make_mixture):
    parameters = make_mixture(structure, 3, 2).parameters
    for scale in (1e-300, 1e300):
        coordinates = Coordinates(np.zeros(2), np.full(2, scale))
        outward = coordinates.outward(structure, parameters, np.dtype(np.float32))
        covariances = coordinates.covariances(
            structure, parameters, np.dtype(np.float32)
        )
        for values in (*vars(outward).values(), covariances):
            assert values.dtype == np.float32
            assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_standardised_data_have_mean_zero_and_deviation_one(
    structure, dtype, weighted, make_blocks, rng
):
    X = (rng.standard_normal((60, 3)) * [0.1, 1, 20] + [5, -3, 0]).astype(dtype)
    weight = rng.uniform(size=60) if weighted else None
    coordinates, z = standardised(make_blocks(X, weight), structure)
    # The shift is rounded to the data's dtype.
    tolerance = 100 * np.finfo(dtype).eps
    mean = np.average(z, axis=0, weights=weight)
    np.testing.assert_allclose(mean, 0, atol=tolerance)
    sd = weighted_sd(z, np.ones(60) if weight is None else weight)
    if structure.scales_features:
        np.testing.assert_allclose(sd, 1, rtol=tolerance)
    else:
        assert len(set(coordinates.scale)) == 1
        np.testing.assert_allclose(np.mean(sd**2), 1, rtol=tolerance)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers_are_standardised_as_floats_are(structure, dtype, make_blocks, rng):
    X = rng.integers(0, 2, size=(30, 2)).astype(dtype)
    _, z = standardised(make_blocks(X), structure)
    _, expected = standardised(make_blocks(X.astype(float)), structure)
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("factor", [1e-160, 1e-8, 1e8, 1e160])
def test_units_do_not_matter(structure, factor, make_blocks, rng):
    X = rng.standard_normal((40, 3))
    _, expected = standardised(make_blocks(X), structure)
    coordinates, z = standardised(make_blocks(X * factor), structure)
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-13)
    assert coordinates.log_slope == pytest.approx(
        standardising_coordinates(make_blocks(X), structure).log_slope
        - 3 * np.log(factor),
        rel=1e-12,
    )


@pytest.mark.parametrize(
    "structure",
    [structure for structure in STRUCTURES.values() if structure.scales_features],
    ids=lambda structure: structure.name,
)
def test_mixed_units_do_not_matter_where_features_scale(structure, make_blocks, rng):
    X = rng.standard_normal((40, 4))
    _, expected = standardised(make_blocks(X), structure)
    _, z = standardised(make_blocks(X * [1e-160, 1, 1e8, 1e160]), structure)
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-13)


def test_shift_costs_only_the_digits_that_it_takes(structure, make_blocks, rng):
    X = rng.standard_normal((40, 2))
    _, expected = standardised(make_blocks(X), structure)
    _, z = standardised(make_blocks(X + 1e8), structure)
    # 1e8 · ε = 2e-8 of the data's digits are gone before they come here.
    np.testing.assert_allclose(z, expected, atol=1e-7)


def column(*values):
    return lambda rng: np.resize(np.array(values, dtype=float), (12, 2))


def with_row(value):
    def make(rng):
        X = rng.standard_normal((12, 2))
        X[4] = value
        return X

    return make


HARD = {
    "constant column": lambda rng: np.column_stack(
        [rng.standard_normal(12), np.full(12, 7.0)]
    ),
    "zero column": lambda rng: np.column_stack([rng.standard_normal(12), np.zeros(12)]),
    "constant column of 1e200": lambda rng: np.column_stack(
        [rng.standard_normal(12), np.full(12, 1e200)]
    ),
    "identical rows": column(3.0, -1e5),
    "all zero": column(0.0, 0.0),
    "identical rows of 1e-200": column(1e-200, 1e-200),
    "identical rows of 1e300": column(1e300, -1e300),
    "shift 1e8": lambda rng: rng.standard_normal((12, 2)) + 1e8,
    "shift 1e8, scale 1e-8": lambda rng: rng.standard_normal((12, 2)) * 1e-8 + 1e8,
    "scale 1e160": lambda rng: rng.standard_normal((12, 2)) * 1e160,
    "scale 1e-160": lambda rng: rng.standard_normal((12, 2)) * 1e-160,
    "scales 1e-160 and 1e160": lambda rng: (
        rng.standard_normal((12, 2)) * [1e-160, 1e160]
    ),
    "subnormal": lambda rng: rng.integers(0, 9, size=(12, 2)) * 5e-324,
    "the whole range": lambda rng: rng.choice([-1.7e308, 0, 1.7e308], size=(12, 2)),
    "outlier at 1e160": with_row(1e160),
    "outlier at 1e300": with_row(-1e300),
    "one row": lambda rng: rng.standard_normal((1, 2)),
}


@pytest.mark.each_pair
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", HARD)
def test_everything_is_finite(structure, name, weighted, make_blocks, rng):
    X = HARD[name](rng)
    weight = rng.uniform(0.5, 2, size=len(X)) if weighted else None
    blocks = make_blocks(X, weight)
    coordinates, z = standardised(blocks, structure)
    for values in (coordinates.shift, coordinates.scale, coordinates.log_slope, z):
        assert np.isfinite(values).all()
    assert (coordinates.scale > 0).all()
    # No more than all the weight can be at one side.
    assert np.abs(z).max() < 10
    total = total_statistics(blocks, coordinates, structure)
    assert np.isfinite(total.sums).all()
    assert np.isfinite(total.scatter().values).all()


@pytest.mark.parametrize("outlier", [10.0, 1e160, 1e300])
def test_rows_of_weight_zero_are_not_seen(structure, outlier, make_blocks, rng):
    X, weight = rng.standard_normal((30, 2)), np.ones(30)
    weight[4:8] = 0
    expected = standardising_coordinates(
        make_blocks(X[weight > 0], weight[weight > 0]), structure
    )
    X[4:8] = outlier
    found = standardising_coordinates(make_blocks(X, weight), structure)
    np.testing.assert_array_equal(found.shift, expected.shift)
    np.testing.assert_array_equal(found.scale, expected.scale)
    assert found.unit is None


def test_shift_is_representable_in_the_data_type(structure, make_blocks, rng):
    X = (rng.standard_normal((30, 2)) + 1000).astype(np.float32)
    shift = standardising_coordinates(make_blocks(X), structure).shift
    np.testing.assert_array_equal(shift.astype(np.float32), shift)


def test_scoring_coordinates_bring_the_mixture_to_order_one(structure, make_mixture):
    mixture = make_mixture(structure, 3, 2)
    wide = Coordinates(np.full(2, -7e6), np.full(2, 1e-5)).outward(
        structure, mixture.parameters, FLOAT64
    )
    coordinates = scoring_coordinates(structure, wide, np.dtype(float))
    inward = coordinates.inward(structure, wide)
    sd = structure.standard_deviations(inward.precisions_cholesky, (3, 2))
    np.testing.assert_allclose(inward.weights @ inward.means, 0, atol=1e-10)
    assert np.abs(inward.means).max() < 10
    assert 0.01 < sd.max() < 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_scales_fit_the_range_of_the_type(structure, make_mixture, dtype):
    """Variances of a narrow column had become zero, precisions of a wide one a limit
    a thousand times short of that of the type."""
    parameters = make_mixture(structure, 3, 2).parameters
    info = np.finfo(dtype)
    scale = float(info.max) / 10
    for slope in (1 / scale, scale):
        coordinates = Coordinates(np.zeros(2), np.full(2, slope))
        covariances = coordinates.covariances(structure, parameters, dtype)
        found = coordinates.outward(structure, parameters, dtype).precisions_cholesky
        assert np.isfinite(covariances).all()
        assert np.isfinite(found).all()
        if structure.matrices:
            covariances, found = (
                np.einsum("...ii->...i", x) for x in (covariances, found)
            )
        assert (covariances > 0).all()
        assert (found > 0).all()
    # Precision Cholesky factors of the widest data are within the range.
    wide = Coordinates(np.zeros(2), np.full(2, 1 / scale))
    found = wide.outward(structure, parameters, dtype).precisions_cholesky
    # A subnormal number has at least nine bits here.
    np.testing.assert_allclose(
        found.astype(float) * scale, parameters.precisions_cholesky, rtol=0.01, atol=0.1
    )


def test_constant_columns_of_any_size_share_one_scale(structure, make_blocks):
    """It had been in units that differed between columns."""
    X = np.tile([1e-146, -1e106, 1e208], (4, 1))
    coordinates, z = standardised(make_blocks(X), structure)
    np.testing.assert_array_equal(z, 0)
    # Logarithms of up to 690 lose three digits.
    np.testing.assert_allclose(coordinates.slope, 1e-208, rtol=1e-12)


def test_constant_column_beside_denormals_leaves_them_their_scale(make_blocks):
    """With one scale for all features they had vanished, and left 0/0."""
    X = np.array([[5e-324, 0.0], [-2.5e-323, 0.0], [1.5e-323, 0.0]])
    coordinates, z = standardised(make_blocks(X), STRUCTURES["spherical"])
    np.testing.assert_allclose(coordinates.scale, coordinates.scale[0])
    # The constant feature counts as one that is as wide as the other. Its scale goes
    # through a logarithm.
    np.testing.assert_allclose(z.std(axis=0), [1, 0], rtol=1e-12)


def test_mixtures_at_the_ends_of_the_range_are_scored(structure):
    """A difference from their mean had overflowed."""
    means = np.array([[1.5e308], [-1.5e308]])
    cholesky = np.full(structure.shape(2, 1), 1e-307)
    parameters = Parameters(np.array([0.75, 0.25]), means, cholesky)
    coordinates = scoring_coordinates(structure, parameters, FLOAT64)
    # In units of 1e308: the mean distance from the mean is 1.125, the deviation 0.1.
    expected = np.array([0.75, -2.25]) / 1.225
    np.testing.assert_allclose(load(coordinates, means).ravel(), expected)
    inward = coordinates.inward(structure, parameters)
    np.testing.assert_allclose(inward.means.ravel(), expected)
    np.testing.assert_allclose(np.ravel(inward.precisions_cholesky)[0], 12.25)


@pytest.mark.parametrize("far", [1e6, 1e12, 1e17, 1e200])
def test_rows_of_narrow_components_far_apart_keep_their_digits(structure, far):
    """About the mean of both, rows beside the first one were as one."""
    cholesky = np.ones(structure.shape(2, 1))
    parameters = Parameters(np.full(2, 0.5), np.array([[0.25], [far]]), cholesky)
    coordinates = scoring_coordinates(structure, parameters, FLOAT64)
    x = np.array([[0.25], [1.5], [-3.0]])
    z = load(coordinates, x)
    sd = coordinates.slope[0]
    np.testing.assert_allclose(z.ravel() / sd, [0, 1.25, -3.25], rtol=1e-12)


def test_covariances_stay_positive_definite_when_rounded(rng):
    """The smallest eigenvalue, of collinear features, is below a rounding."""
    full = STRUCTURES["full"]
    axes, _ = np.linalg.qr(rng.standard_normal((20, 3, 3)))
    covariances = axes @ (np.array([[1e-12], [1], [1]]) * np.swapaxes(axes, 1, 2))
    cholesky, failed = full.factor(covariances)
    assert not failed.any()
    parameters = Parameters(np.full(20, 0.05), np.zeros((20, 3)), cholesky)
    unchanged = Coordinates(np.zeros(3), np.ones(3))
    found = unchanged.covariances(full, parameters, np.dtype(np.float32))
    assert (np.linalg.eigvalsh(found.astype(float)) > 0).all()
    # Four roundings.
    np.testing.assert_allclose(found, covariances, rtol=0, atol=5e-7)


def test_starts_are_in_range_of_the_data(structure, make_mixture):
    """Squares of what is brought into them are numbers; what was near stays."""
    near = make_mixture(structure, 3, 2).parameters
    unchanged = Coordinates(np.zeros(2), np.ones(2))
    found = unchanged.start(structure, near)
    np.testing.assert_array_equal(found.means, near.means)
    np.testing.assert_array_equal(found.precisions_cholesky, near.precisions_cholesky)
    far = Coordinates(np.zeros(2), np.full(2, 1e200)).start(structure, near)
    sd = structure.standard_deviations(far.precisions_cholesky, far.shape)
    # Of each component the widest feature, or of those that share it that of all.
    np.testing.assert_allclose(sd.max(), 1e100, rtol=1e-12)
    np.testing.assert_array_equal(far.means, np.sign(near.means) * 1e100)
    narrow = Coordinates(np.zeros(2), np.full(2, 1e-200)).start(structure, near)
    sd = structure.standard_deviations(narrow.precisions_cholesky, narrow.shape)
    np.testing.assert_allclose(sd.min(), 1e-100, rtol=1e-12)
