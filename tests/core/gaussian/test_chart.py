"""Charts: every vector is a mixture, and the plain step is the gradient."""

import numpy as np
import pytest

from skem.core.mixture.em import EMMap
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.search.initialize import initialize

K, D = 3, 2


def blobs(rng, n=400):
    means = np.array([[0.0, 0.0], [3.0, 1.0], [0.0, 4.0]])
    return means[rng.integers(K, size=n)] + rng.normal(size=(n, D))


@pytest.fixture
def em(structure, make_blocks, rng):
    return EMMap.prepare(make_blocks(blobs(rng)), structure, K, "auto")


@pytest.fixture
def base(em):
    return initialize(em, INITIALIZERS["kmeans"], K, np.random.RandomState(0))


def test_base_is_the_origin(em, base):
    assert np.allclose(em.chart(base).pack(base), 0, atol=1e-12)


def test_pack_undoes_unpack(em, base, rng):
    chart = em.chart(base)
    n_parameters = chart.pack(base).size
    assert n_parameters == K + K * D + em.structure.n_parameters(K, D)
    vector = chart.pack(chart.unpack(rng.normal(0, 3, n_parameters)))
    again = chart.unpack(vector)
    assert np.allclose(chart.pack(again), vector, atol=1e-10)
    assert again.weights.sum() == pytest.approx(1)
    assert (again.weights > 0).all()
    assert np.isfinite(em.structure.covariances(again.precisions_cholesky)).all()


def test_combinations_of_packed_points_need_no_packing(em, base):
    chart = em.chart(base)
    first = em.evaluate(base).successor
    second = em.evaluate(first).successor
    vector = 2.5 * chart.pack(second) - 1.5 * chart.pack(first)
    assert np.allclose(chart.pack(chart.unpack(vector)), vector, atol=1e-10)


def test_plain_step_is_the_gradient_at_the_base(em, base):
    """Near the optimum, where the step is small against the chart's bending."""
    evaluation = em.evaluate(base)
    for _ in range(60):
        evaluation = em.evaluate(evaluation.successor)
    # A twentieth of a standard error from the optimum, in a fixed direction.
    chart = em.chart(evaluation.parameters)
    size = chart.pack(base).size
    offset = np.linspace(-0.05, 0.05, size)
    point = em.evaluate(chart.unpack(offset))
    chart = em.chart(point.parameters)
    step = chart.pack(point.successor)
    h = 1e-3
    gradient = np.array(
        [
            em.evaluate(chart.unpack(h * e)).objective
            - em.evaluate(chart.unpack(-h * e)).objective
            for e in np.eye(size)
        ]
    ) / (2 * h)
    # Log-weights are free up to a constant: only what changes them counts.
    scale = np.sqrt(em.blocks.total_weight * point.parameters.weights)
    gradient[:K] -= scale * (gradient[:K] @ scale) / (scale @ scale)
    assert np.linalg.norm(step - gradient) < 0.1 * np.linalg.norm(gradient)


def test_farthest_is_in_standard_deviations_or_logarithms(em, base):
    chart = em.chart(base)
    vector = np.zeros(chart.pack(base).size)
    vector[K] = np.sqrt(em.blocks.total_weight * base.weights[0])
    assert chart.farthest(vector) == pytest.approx(1.0)
    moved = chart.unpack(vector)
    white = em.structure.whiten_rows(base.precisions_cholesky, moved.means - base.means)
    assert np.abs(white).max() == pytest.approx(1.0)
