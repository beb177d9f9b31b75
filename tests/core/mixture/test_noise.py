"""Noise in the core: its region, its rows, and its part of every computation."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.noise import Background, clean
from skem.core.mixture.problem import STARTING_NOISE
from skem.core.passes.forms import Centred, Expanded, uncancelled
from skem.kernels import native


@pytest.mark.parametrize("compiled", [False, True])
def test_expanded_and_centred_statistics_agree(
    structure, compiled, make_mixture, make_blocks, rng, monkeypatch
):
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    mixture = make_mixture(structure, 3, 2)
    X = np.vstack([mixture.sample(150, rng), rng.uniform(-9, 9, size=(50, 2))])
    em = EMMap.prepare(make_blocks(X), structure, 3, 0.0, noise=True)
    parameters = em.coordinates.inward(structure, mixture.parameters)
    parameters = replace(parameters, weights=0.8 * parameters.weights)
    stack = Parameters.stacked([parameters, em.with_noise(mixture.parameters)])
    twin, own = uncancelled(structure, stack)
    widths = em.background.inward(em.coordinates)
    found = []
    for kind in (Expanded, Centred):
        form = kind(twin, own, np.dtype(float), widths)
        kernels = Expectation(form, em.coordinates)
        found.append(em.blocks.fold(kernels.statistics, kernels.values_per_sample))
    one, other = found
    np.testing.assert_allclose(one.noise, other.noise, rtol=1e-9)
    np.testing.assert_allclose(one.counts, other.counts, rtol=1e-9)
    np.testing.assert_allclose(one.noise + one.counts.sum(axis=1), 200)
    np.testing.assert_allclose(one.loglik, other.loglik, rtol=1e-11)
    np.testing.assert_allclose(one.means, other.means, atol=1e-9)
    np.testing.assert_allclose(
        one.scatter().values, other.scatter().values, rtol=1e-7, atol=1e-9
    )
    # By hand, in units of the data.
    joint = np.exp(mixture.joint(X)) * 0.8
    noise = 0.2 / em.background.volume
    total = joint.sum(axis=1) + noise
    loglik = one.loglik[0] + 200 * em.coordinates.log_slope
    assert loglik == pytest.approx(np.log(total).sum())
    assert one.noise[0] == pytest.approx((noise / total).sum())
    resp = joint / total[:, None]
    np.testing.assert_allclose(one.counts[0], resp.sum(axis=0))
    successor = em.evaluate(parameters).successor
    np.testing.assert_allclose(successor.weights, resp.mean(axis=0))
    block = em.blocks.block(0, 200)
    rows = em.expectation(parameters).responsibilities(block, Workspace())
    np.testing.assert_allclose(rows[:3].T, resp, atol=1e-9)
    np.testing.assert_allclose(rows.sum(axis=0), 1)


def test_steps_climb_and_the_chart_knows_the_weight_of_noise(
    structure, make_mixture, make_blocks, rng
):
    mixture = make_mixture(structure, 2, 2)
    X = np.vstack([mixture.sample(150, rng), rng.uniform(-9, 9, size=(50, 2))])
    em = EMMap.prepare(make_blocks(X), structure, 2, "auto", noise=True)
    start = em.with_noise(em.coordinates.inward(structure, mixture.parameters))
    assert start.noise_weight == pytest.approx(STARTING_NOISE)
    here = em.evaluate(start)
    for _ in range(5):
        before, here = here, em.evaluate(here.successor)
        assert here.objective > before.objective - 1e-9
    chart = em.chart(start)
    parameters = here.parameters
    same = chart.unpack(chart.pack(parameters))
    np.testing.assert_allclose(same.weights, parameters.weights)
    assert same.noise_weight == pytest.approx(float(parameters.noise_weight))
    np.testing.assert_allclose(same.means, parameters.means)
    assert len(chart.pack(start)) == em.structure.n_free(2, 2) + 2


def test_regions(make_blocks, rng):
    X = rng.uniform(size=(400, 2)) * [10.0, 1.0] + [5.0, -3.0]
    X[:2] = [[5.0, -3.0], [15.0, -2.0]]
    em = EMMap.prepare(make_blocks(X), STRUCTURES["full"], 1, 0.0)
    whole = Background.of(em.blocks, em.coordinates, True)
    assert whole.volume < 10 + 1e-9
    assert whole.volume == pytest.approx(10, rel=0.02)
    given = Background.of(em.blocks, em.coordinates, 0.05)
    assert given.volume == pytest.approx(20)
    np.testing.assert_allclose(given.half_edges, np.sqrt(2) * np.diag([5.0, 0.5]))
    np.testing.assert_allclose(given.centre, [10.0, -2.5])
    drawn = given.draw(1000, np.random.RandomState(0))
    middle, half = np.array([10.0, -2.5]), np.sqrt(2) * np.array([5.0, 0.5])
    np.testing.assert_allclose(drawn.min(axis=0), middle - half, atol=0.05)
    np.testing.assert_allclose(drawn.max(axis=0), middle + half, atol=0.05)


@pytest.mark.parametrize("d", [1, 2, 6])
def test_near_neighbours_tell_noise(d, rng):
    clusters = rng.normal(size=(600, d)) + 15 * rng.integers(2, size=(600, 1))
    noise = rng.uniform(-60, 75, size=(300, d))
    found = clean(np.vstack([clusters, noise]), np.random.RandomState(0))
    assert found[:600].mean() > 0.9
    # In one dimension, much of the noise lies among the clusters.
    assert found[600:].mean() < 0.25


def test_few_or_equal_rows_are_all_kept():
    rng = np.random.RandomState(0)
    assert clean(np.zeros((3, 2)), rng).all()
    assert clean(np.zeros((50, 2)), rng).dtype == bool


def test_squares_that_overflow_leave_the_box_along_the_features(make_blocks, rng):
    X = np.vstack([rng.normal(size=(20, 2)), [1e160, 1e160]])
    standard = Coordinates(np.zeros(2), np.ones(2))
    found = Background.of(make_blocks(X), standard, noise=True)
    np.testing.assert_allclose(found.log_widths, np.log(1e160))
    assert found.along_features
