"""Sketches of t mixtures: moments in which rows count as they do in an M-step."""

import numpy as np
import pytest

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.gaussian.covariance import STRUCTURES
from skem.core.mixture.seeds import kmeans
from skem.core.search.initialize import initialize
from skem.core.search.sketch import Sketch, stacked
from skem.core.student.em import StudentMap
from skem.core.student.parameters import Freedom, StudentParameters

K = 3
CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])


@pytest.fixture
def X(rng):
    X = CENTRES[rng.integers(K, size=300)] + rng.standard_t(2, size=(300, 2))
    X[0] = [3e3, -500.0]
    return X


@pytest.fixture(params=["in memory", "in blocks", "gaps", "noise"])
def em(request, X, rng, make_blocks, structure):
    blocks = make_blocks(X, rng.uniform(0.5, 2, len(X)))
    if request.param == "gaps":
        X[rng.random(X.shape) < 0.1] = np.nan
        blocks = ArrayBlocks(
            X, blocks.weight, blocks.workers, blocks.dtype, incomplete=True
        )
    freedom = Freedom(np.array([3.0]), fixed=True)
    noise = True if request.param == "noise" else None
    em = StudentMap.of_data(blocks, structure, 1, "auto", freedom, noise)
    em = em.for_components(K)
    if request.param == "in blocks":
        em.__dict__["_stepper"] = None
    return em


def test_the_start_from_a_sketch_is_the_next_step(em, structure):
    here = initialize(em, kmeans, K, np.random.RandomState(0))
    sketch = Sketch.of_mixture(em, here)
    start = em.started(stacked([sketch], structure.quadratic))[0]
    expected = em.evaluate(here).successor
    assert isinstance(start, StudentParameters)
    assert (start.df == 3).all()
    np.testing.assert_allclose(
        start.weights / start.weights.sum(),
        expected.weights / expected.weights.sum(),
        rtol=1e-6,
    )
    # Without responsibilities that are of no account.
    np.testing.assert_allclose(start.means, expected.means, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        start.precisions_cholesky, expected.precisions_cholesky, rtol=1e-6, atol=1e-9
    )


def test_a_far_row_does_not_move_the_sketch_of_labels(X, make_blocks):
    freedom = Freedom(np.array([5.0]), fixed=False)
    em = StudentMap.of_data(make_blocks(X), STRUCTURES["full"], 1, "auto", freedom)
    rows = em.all_rows
    nearest = np.square(X[:, None] - CENTRES).sum(axis=-1).argmin(axis=1)
    resp = (nearest == np.arange(K)[:, None]) * 1.0
    sketch = Sketch.of_labels(em, rows, resp)
    assert sketch.counts.sum() == len(X)
    found = sketch.means / em.coordinates.scale + em.coordinates.shift
    np.testing.assert_allclose(found, CENTRES, atol=0.4)
    # The plain ones of the first cluster are above a hundred.
    deviations = np.sqrt(sketch.covariances[:, [0, 1], [0, 1]]) / em.coordinates.scale
    assert deviations.max() < 2
