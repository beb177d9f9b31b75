"""The compiled step of incomplete rows against rows completed one by one in NumPy."""

import pickle

import numpy as np
import pytest

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.ties import Atoms, Ties
from skem.core.incomplete import gaps
from skem.core.incomplete.expectation import Incomplete
from skem.core.incomplete.gaps import MAX_FEATURES, GapsStep
from skem.core.mixture.expectation import Expectation
from skem.core.passes.forms import Centred
from skem.kernels import native

TAILS = [1, 7, 8, 16, 31, 33, 127, 129, 300]
"""Rows about the lengths of registers, and of tiles."""


@pytest.fixture(
    params=native.runnable()
    or [pytest.param(None, marks=pytest.mark.skip("no library was compiled"))],
    ids=lambda library: f"level-{library.level}" if library else "none",
)
def library(request, monkeypatch):
    monkeypatch.setattr(gaps.native, "library", lambda: request.param)


@pytest.fixture(params=["full", "tied"])
def structure(request):
    return STRUCTURES[request.param]


def with_gaps(X, rng, share):
    return np.where(rng.random(X.shape) < share, np.nan, X)


def coordinates_of(d, rng, ties=None):
    return Coordinates(rng.normal(size=d), rng.uniform(0.5, 2, d), None, ties)


def check(step, block, scale=1.0):
    """Compare with rows that are completed one by one."""
    assert isinstance(step._step, GapsStep)
    found = step.statistics(block, Workspace())
    expected = step._by_row(block, Workspace())
    # Condition numbers are below about a hundred.
    most = 1e-12 * scale * max(1, block.data.shape[1])
    np.testing.assert_allclose(found.loglik, expected.loglik, rtol=1e-12, atol=most)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-11, atol=most)
    np.testing.assert_allclose(found.noise, expected.noise, rtol=1e-11, atol=most)
    np.testing.assert_array_equal(found.reference, expected.reference)
    assert found.quadratic == expected.quadratic
    return found


@pytest.mark.parametrize("b", TAILS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_rows_of_any_number(library, structure, make_mixture, rng, b, share):
    mixture = make_mixture(structure, 5, 4)
    coordinates = coordinates_of(4, rng)
    X = with_gaps(mixture.sample(b, rng), rng, share)
    inward = coordinates.inward(structure, mixture.parameters)
    step = Incomplete(structure, inward, coordinates)
    check(step, Block(0, b, X.T, None, True))
    weight = rng.uniform(size=b) * (rng.random(b) < 0.7)
    check(step, Block(0, b, X.T, weight, True))


@pytest.mark.parametrize("K", [1, 2, 3, 4, 8, 9, 17])
@pytest.mark.parametrize("d", [1, 2, 5, 12])
def test_any_number_of_components_and_features(
    library, structure, make_mixture, rng, K, d
):
    mixture = make_mixture(structure, K, d)
    X = with_gaps(mixture.sample(150, rng), rng, 0.3)
    X[rng.random(150) < 0.1] = np.nan
    step = Incomplete(structure, mixture.parameters, coordinates_of(d, rng))
    check(step, Block(0, 150, X.T, rng.uniform(size=150), True))


@pytest.mark.parametrize("d", [20, 63, 64, 65, MAX_FEATURES])
def test_masks_of_several_words(library, structure, make_mixture, rng, d):
    mixture = make_mixture(structure, 3, d)
    X = with_gaps(mixture.sample(70, rng), rng, 0.1)
    # More than there is room for in a tile.
    X[20:40] = with_gaps(X[20:40], rng, 0.9)
    step = Incomplete(structure, mixture.parameters, coordinates_of(d, rng))
    check(step, Block(0, 70, X.T, None, True), scale=d)


@pytest.mark.parametrize("atoms", [False, True])
@pytest.mark.parametrize("layout", ["rows", "columns", "float32"])
def test_widths_layouts_and_types(library, structure, make_mixture, rng, atoms, layout):
    d = 5
    mixture = make_mixture(structure, 6, d)
    X = mixture.sample(200, rng).round(1).astype("f4" if layout == "float32" else "f8")
    X = with_gaps(X, rng, 0.3).astype(X.dtype)
    values = np.unique(X[~np.isnan(X[:, 1]), 1])[::2].astype(float)
    steps = np.array([0.04, 0, 0, 0.3, 0.1])
    ties = Ties(steps, (Atoms(1, values, np.full(len(values), 0.2)),) if atoms else ())
    data = np.asfortranarray(X).T if layout == "columns" else X.T
    step = Incomplete(structure, mixture.parameters, coordinates_of(d, rng, ties))
    check(step, Block(0, 200, data, rng.uniform(size=200), True))


def test_noise_has_the_density_of_what_was_observed(
    library, structure, make_mixture, rng
):
    mixture = make_mixture(structure, 3, 4)
    parameters = Parameters(
        0.8 * mixture.parameters.weights,
        mixture.parameters.means,
        mixture.parameters.precisions_cholesky,
    )
    X = with_gaps(mixture.sample(150, rng), rng, 0.3)
    X[::5] *= 3
    widths = np.log(rng.uniform(5, 20, 4))
    step = Incomplete(structure, parameters, coordinates_of(4, rng), widths)
    found = check(step, Block(0, 150, X.T, rng.uniform(size=150), True))
    assert found.noise > 1


def test_a_stack(library, structure, make_mixture, rng):
    mixtures = [make_mixture(structure, 5, 3) for _ in range(3)]
    parameters = Parameters.stacked([each.parameters for each in mixtures])
    X = with_gaps(mixtures[0].sample(200, rng), rng, 0.3)
    X[11] = [1e170, np.nan, 0]
    step = Incomplete(structure, parameters, coordinates_of(3, rng))
    block = Block(0, 200, X.T, rng.uniform(size=200), True)
    check(step, block.only(np.arange(200) != 11))
    _, lost = step._step.statistics(block, Workspace())
    assert lost.tolist() == [11]
    assert np.isfinite(step.statistics(block, Workspace()).loglik).all()


def test_rows_that_are_far_are_left_to_the_caller(
    library, structure, make_mixture, rng
):
    mixture = make_mixture(structure, 5, 3)
    X = with_gaps(mixture.sample(200, rng), rng, 0.3)
    X[3], X[40], X[150] = [1e4, np.nan, 0], [np.nan, -1e100, 1], [1e200, 1, 1]
    step = Incomplete(structure, mixture.parameters, coordinates_of(3, rng))
    block = Block(0, 200, X.T, rng.uniform(size=200), True)
    found, lost = step._step.statistics(block, Workspace())
    assert lost.tolist() == [3, 40, 150]
    kept = block.only(np.delete(np.arange(200), lost))
    np.testing.assert_array_equal(found.sums, check(step, kept).sums)
    assert np.isfinite(step.statistics(block, Workspace()).loglik)


def test_ill_conditioned_components_keep_their_digits(library, rng):
    """As many as the expanded form has of complete rows."""
    tiny = 1e-3
    lower = np.array([[1, 0, 0], [1, tiny, 0], [0.5, 0.5, 0.7]])
    cholesky = np.stack([np.linalg.inv(lower).T, np.linalg.inv(lower + np.eye(3)).T])
    means = 0.5 * rng.normal(size=(2, 3))
    parameters = Parameters(np.array([0.3, 0.7]), means, cholesky)
    step = Incomplete(
        STRUCTURES["full"], parameters, Coordinates(np.zeros(3), np.ones(3))
    )
    X = means[0] + rng.normal(size=(300, 3)) @ lower.T
    block = Block(0, 300, with_gaps(X, rng, 0.3).T, None, True)
    check(step, block, scale=100)


def test_there_is_none_of_too_many_features_or_extreme_units(make_mixture, rng):
    mixture = make_mixture(STRUCTURES["full"], 1, MAX_FEATURES + 1)
    here = coordinates_of(MAX_FEATURES + 1, rng)
    assert GapsStep.of(mixture.structure, mixture.parameters, here, None) is None
    mixture = make_mixture(STRUCTURES["full"], 1, 2)
    here = Coordinates(np.zeros(2), np.ones(2), np.full(2, 0.5))
    assert GapsStep.of(mixture.structure, mixture.parameters, here, None) is None


def test_expectations_travel_without_it(structure, make_mixture, rng):
    mixture = make_mixture(structure, 2, 3)
    X = with_gaps(mixture.sample(50, rng), rng, 0.3)
    form = Centred(structure, mixture.parameters, np.dtype(float))
    expectation = Expectation(form, Coordinates(np.zeros(3), np.ones(3)))
    block = Block(0, 50, X.T, None, True)
    found = expectation.statistics(block, Workspace())
    there = pickle.loads(pickle.dumps(expectation))
    np.testing.assert_array_equal(found.sums, there.statistics(block, Workspace()).sums)
