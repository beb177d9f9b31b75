"""Steps whose ends are compiled, and the pass between them is shared by threads."""

from dataclasses import replace

import numpy as np
import pytest

from skem.core.bayes.em import Beliefs, VariationalMap
from skem.core.blocks import arrays as blocks_module
from skem.core.gaussian.covariance import FOURTEEN, STRUCTURES
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.posterior import WEIGHT_PRIORS
from skem.core.mixture.em import EMMap
from skem.core.mixture.expectation import total_statistics
from skem.core.mixture.seeds import INITIALIZERS
from skem.core.mixture.wide import WORTH_SHARING, WideStep
from skem.core.search.initialize import initialize
from skem.kernels import native

pytestmark = pytest.mark.skipif(
    native.library() is None, reason="there is no compiled pass"
)


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch):
    """Let data of a few thousand rows be in several blocks, and not in one step."""
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(blocks_module, "MIN_ROWS", 700)
    monkeypatch.setattr("skem.core.mixture.step.Stepper.__call__", lambda *_: None)


@pytest.fixture
def X(rng):
    rows = rng.normal(size=(WORTH_SHARING, 3)) + 3 * rng.integers(
        0, 3, size=(WORTH_SHARING, 1)
    )
    rows[7, 0] += 1e4  # so far that the pass leaves it
    return rows


def start_of(em):
    random = INITIALIZERS["random"]
    return initialize(em, random, 3, np.random.RandomState(0))


def prepared(blocks, structure, reg_covar="auto"):
    """Return the problem in coordinates of rows without the far one."""
    weight = None if blocks.weight is None else blocks.weight[8:]
    near = replace(blocks, X=blocks.X[8:], weight=weight)
    em = EMMap.prepare(near, structure, 3, reg_covar)
    total = total_statistics(blocks, em.coordinates, structure)
    return replace(em, blocks=blocks, total=total)


def in_numpy(em):
    """The same map, without ends of compiled code."""
    em = replace(em)
    em.__dict__["_wide"] = None
    return em


def assert_same_step(em, parameters, rtol=1e-11):
    """To rounding: both ways do the same arithmetic in another order."""
    fast, slow = em.evaluate(parameters), in_numpy(em).evaluate(parameters)
    assert "successor" in vars(fast)
    assert "successor" not in vars(slow)
    for name in ("loglik", "objective"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=rtol)
    size = np.abs(slow.statistics.sums).max()
    np.testing.assert_allclose(
        fast.statistics.sums, slow.statistics.sums, rtol=rtol, atol=rtol * size
    )
    for one, other in zip(fast.successor.arrays, slow.successor.arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * rtol, atol=10 * rtol)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("reg_covar", ["auto", 0.3])
def test_a_step_is_that_of_numpy(
    structure, weighted, stacked, reg_covar, X, make_blocks, rng
):
    weight = rng.integers(0, 3, len(X)) * 0.7 if weighted else None
    em = prepared(make_blocks(X, weight), structure, reg_covar)
    parameters = start_of(em)
    if stacked:
        following = in_numpy(em).evaluate(parameters).successor
        parameters = Parameters.stacked([parameters, following])
    assert_same_step(em, parameters)


@pytest.mark.parametrize("name", ["VEI", "EVV", "VVE"])
def test_a_step_of_a_shape_is_that_of_numpy(name, X, make_blocks):
    em = prepared(make_blocks(X), FOURTEEN[name])
    assert_same_step(em, start_of(em), 1e-9)


def test_single_precision_is_that_of_numpy(structure, X, make_blocks):
    rows = np.delete(X, 7, axis=0).astype(np.float32)
    em = EMMap.prepare(make_blocks(np.vstack([rows, rows])), structure, 3, "auto")
    assert_same_step(em, start_of(em), 1e-6)


def test_a_variational_step_is_that_of_numpy(structure, X, make_blocks):
    beliefs = Beliefs(WEIGHT_PRIORS["dirichlet_process"](1 / 3), 0.7, np.ones(3), 3.5)
    em = VariationalMap.of_data(make_blocks(X), structure, beliefs, 1e-6)
    following = in_numpy(em).evaluate(start_of(em)).successor
    assert_same_step(em, following)


def test_weights_beyond_the_range_of_squares(X, make_blocks):
    small, large = (make_blocks(X, np.full(len(X), value)) for value in (1e-200, 1e200))
    for blocks in (small, large):
        em = prepared(blocks, STRUCTURES["full"], 1e-3)
        assert_same_step(em, start_of(em))


def test_the_number_of_threads_changes_nothing(structure, X, make_blocks):
    found = []
    for n_threads in (1, 2, 4):
        blocks = make_blocks(X)
        blocks.workers.n_threads = n_threads
        em = prepared(blocks, structure)
        here = em.evaluate(start_of(em))
        found.append([here.loglik, here.statistics.sums, *here.successor.arrays])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_what_has_another_way(X, make_blocks):
    blocks = make_blocks(X)
    em = prepared(blocks, STRUCTURES["full"])

    def of(blocks):
        return WideStep.of(blocks, em.coordinates, em.structure, em.total_second)

    assert of(blocks) is not None
    assert of(make_blocks(X[:-1])) is None
    assert of(replace(blocks, incomplete=True)) is None
    assert of(replace(blocks, known=np.full(len(X), -1))) is None
    assert of(make_blocks(np.tile(X, (1, 6)))) is None
