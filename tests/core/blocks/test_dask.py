"""Dask blocks beside the same rows in memory, and what their graphs carry."""

import pickle

import numpy as np
import pytest

da = pytest.importorskip("dask.array")

from skem.core.blocks import graph as dask_graph  # noqa: E402
from skem.core.blocks.arrays import ArrayBlocks  # noqa: E402
from skem.core.blocks.dask import DaskBlocks, Tally  # noqa: E402
from skem.core.blocks.graph import Chunks  # noqa: E402
from skem.core.blocks.threads import Workers  # noqa: E402
from skem.core.gaussian.covariance import STRUCTURES  # noqa: E402

FLOAT64 = np.dtype(float)


def tally(x, weight=None):
    weight = np.ones(len(x)) if weight is None else weight
    return Tally(len(x), int(np.count_nonzero(weight)), float(weight.sum()))


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def pair(request, rng):
    """Return the same 103 rows as Dask blocks and in memory."""
    X = rng.standard_normal((103, 2))
    arrays = [X]
    if request.param:
        weight = rng.integers(0, 3, 103).astype(float)
        weight[20:50] = 0
        arrays.append(weight)
    rows = ((20, 0, 30, 1, 42, 10),)
    chunks = Chunks.of(
        *(da.from_array(a, chunks=(*rows, *a.shape[1:])) for a in arrays)
    )
    with Workers() as workers:
        yield (
            DaskBlocks(chunks, chunks.each(tally), 2, FLOAT64, workers),
            ArrayBlocks(X, arrays[1] if request.param else None, workers, FLOAT64),
        )


def test_sizes(pair):
    lazy, memory = pair
    for name in ("n_samples", "n_observed", "n_features", "dtype", "total_weight"):
        assert getattr(lazy, name) == getattr(memory, name)


@pytest.mark.parametrize("fan_in", [2, 3, 16])
def test_fold(pair, fan_in, monkeypatch):
    monkeypatch.setattr(dask_graph, "FAN_IN", fan_in)
    lazy, memory = pair

    def kernel(block, workspace):
        v = np.ones(block.data.shape[1]) if block.weight is None else block.weight
        return np.array([*(block.data @ v), v.sum(), np.count_nonzero(v)])

    # Sums of 103 terms of order one.
    np.testing.assert_allclose(
        lazy.fold(kernel, 3), memory.fold(kernel, 3), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("most", [1, 10, 40, 1000])
def test_the_same_rows_are_chosen_and_taken(pair, most):
    lazy, memory = pair
    rows = lazy.random_rows(most, np.random.RandomState(0))
    expected = memory.random_rows(most, np.random.RandomState(0))
    np.testing.assert_array_equal(rows, expected)
    taken, expected = lazy.take(rows), memory.take(rows)
    np.testing.assert_array_equal(taken.X, expected.X)
    np.testing.assert_array_equal(taken.weight, expected.weight)


def test_kinds_of_quadratic_statistics_survive_pickling():
    # Statistics come from other processes, and are compared by their kind.
    kinds = {
        kind
        for structure in STRUCTURES.values()
        for kind in (structure.quadratic, structure.logit_quadratic)
    }
    assert len(kinds) == 4
    for kind in kinds:
        assert pickle.loads(pickle.dumps(kind)) == kind
        assert sum(kind == other for other in kinds) == 1
