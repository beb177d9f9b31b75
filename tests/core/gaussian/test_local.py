"""Charts of the shapes: every vector is allowed, and information is as they say."""

import numpy as np
import pytest

from skem.core.gaussian.constraint import CONSTRAINTS
from skem.core.gaussian.covariance import FOURTEEN, SHAPES
from skem.core.gaussian.local import skew_of, zero_sums

K = 3


@pytest.fixture(params=[1, 2, 4], ids="d={}".format)
def d(request):
    return request.param


def random_factors(structure, d, rng):
    """Return factors of covariances that the structure allows."""
    matrices = rng.normal(size=(K, d, d + 2))
    matrices = matrices @ np.swapaxes(matrices, 1, 2) / d
    quadratic = structure.quadratic
    values = quadratic.unpack(quadratic.of_matrices(matrices), d)
    if structure.shared:
        values = values[0]
    elif values.ndim == 1:
        values = values / d
    cholesky, _ = structure.factor(values)
    return structure.constrained(cholesky, np.full(K, 1 / K), d)


@pytest.mark.parametrize("name", FOURTEEN)
def test_there_are_as_many_coordinates_as_parameters(name, d, rng):
    structure = FOURTEEN[name]
    base = random_factors(structure, d, rng)
    values = structure.local(base, d).pack(base)
    assert values.size == structure.n_parameters(K, d)
    np.testing.assert_allclose(values, 0, atol=1e-12)


@pytest.mark.parametrize("name", FOURTEEN)
def test_pack_undoes_unpack(name, d, rng):
    structure = FOURTEEN[name]
    base = random_factors(structure, d, rng)
    local = structure.local(base, d)
    values = rng.uniform(-0.2, 0.2, size=local.pack(base).shape)
    cholesky = local.unpack(values)
    np.testing.assert_allclose(local.pack(cholesky), values, atol=1e-8)
    assert structure.allows(cholesky, d)


@pytest.mark.parametrize("name", FOURTEEN)
def test_any_two_allowed_ones_are_in_reach_of_each_other(name, d, rng):
    structure = FOURTEEN[name]
    base = random_factors(structure, d, rng)
    there = random_factors(structure, d, rng)
    local = structure.local(base, d)
    reached = local.unpack(local.pack(there))
    covariances = structure.covariances(there)
    np.testing.assert_allclose(structure.covariances(reached), covariances, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-170, 1e170])
@pytest.mark.parametrize("name", FOURTEEN)
def test_units_do_not_matter_whatever_their_squares(name, factor, rng):
    structure, d = FOURTEEN[name], 3
    base, there = (random_factors(structure, d, rng) for _ in range(2))
    expected = structure.local(base, d).pack(there)
    local = structure.local(factor * base, d)
    np.testing.assert_allclose(local.pack(factor * there), expected, atol=1e-7)
    reached = local.unpack(expected) / factor
    np.testing.assert_allclose(reached, there, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FOURTEEN)
def test_information_is_that_of_samples_from_the_base(name, rng):
    """The expected log-likelihood falls by ½ Σ (scale · values)²."""
    d, structure = 3, FOURTEEN[name]
    base = random_factors(structure, d, rng)
    local, counts = structure.local(base, d), np.array([10.0, 30.0, 60.0])
    scale = local.scale(counts, counts.sum())
    shape = local.pack(base).shape
    weights = counts.sum() if structure.shared else counts

    def expected(values):
        """Σ_k n_k E log N(x | 0, Σ_k) at values, for x from the base."""
        cholesky = local.unpack(values)
        if structure.matrices:
            ratio = np.linalg.solve(base, cholesky)
            trace = np.square(ratio).sum(axis=(-2, -1))
        else:
            ratio = cholesky / base
            squares = np.square(ratio)
            trace = squares.sum(axis=1) if squares.ndim == 2 else d * squares
        return (weights * (structure.log_det(ratio, d) - trace / 2)).sum()

    middle = expected(np.zeros(shape))
    for _ in range(10):
        step = 1e-3 * rng.normal(size=shape)
        lost = middle - (expected(step) + expected(-step)) / 2
        assert lost == pytest.approx(0.5 * np.square(scale * step).sum(), rel=1e-4)


def test_axes_are_matched_whatever_their_order_and_signs(rng):
    structure = SHAPES["VVE"]
    base = random_factors(structure, 4, rng)
    # Factors that are no triangles have the same covariances.
    turned = base @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    values = structure.local(base, 4).pack(structure.upper_factor(turned))
    np.testing.assert_allclose(values, 0, atol=1e-9)


@pytest.mark.parametrize("name", ["EVE", "VVE", "EEV"])
def test_axes_of_equal_variances_have_no_angle(name, rng):
    """As in directions without variance, where rounding had told how they lie."""
    structure = SHAPES[name]
    others = random_factors(structure, 2, rng)
    there = random_factors(structure, 2, rng)
    frame = np.linalg.qr(rng.normal(size=(5, 5)))[0]

    def beside(factors, turn):
        within = np.zeros((K, 5, 5))
        within[:, :2, :2], within[:, 2:, 2:] = factors, 1e4 * turn
        return structure.upper_factor(frame @ within)

    turns = np.linalg.qr(rng.normal(size=(2, 3, 3)))[0]
    local = structure.local(beside(others, np.eye(3)), 5)
    found, again = (local.pack(beside(there, turn)) for turn in turns)
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-9)
    # One angle of the two other axes, or one of each component.
    angles = found[0, -10 * (1 if name[2] == "E" else K) :]
    assert np.sum(np.abs(angles) > 1e-6) == len(angles) // 10
    covariances = structure.covariances(beside(there, turns[0]))
    reached = structure.covariances(local.unpack(found))
    np.testing.assert_allclose(reached, covariances, rtol=1e-6, atol=1e-12)


def test_half_turns_have_coordinates():
    assert np.isfinite(skew_of(np.diag([-1.0, -1.0, 1.0])[None])).all()


def test_zero_sums_are_orthonormal():
    basis = zero_sums(5)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-14)
    assert zero_sums(1).shape == (0, 1)


def test_constraints_have_a_chart_each():
    assert set(CONSTRAINTS) < set(FOURTEEN)
