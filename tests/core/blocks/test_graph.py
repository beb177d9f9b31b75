"""Graphs over chunks: sums in a fixed order, and errors that name the chunk."""

import numpy as np
import pytest

da = pytest.importorskip("dask.array")

from skem.core.blocks import graph as dask_graph  # noqa: E402
from skem.core.blocks.graph import Chunks  # noqa: E402


def test_a_sum_leaves_its_terms_as_they_are():
    # They may be needed once more, if a worker is lost.
    terms = [np.ones(2), np.ones(2), np.ones(2)]
    np.testing.assert_array_equal(dask_graph._sum(terms), [3, 3])
    np.testing.assert_array_equal(terms, np.ones((3, 2)))


def test_an_error_that_is_not_of_a_block_gets_no_note():
    chunks = Chunks.of(da.zeros((6, 1), chunks=(2, 1)))

    def fail(x):
        raise KeyError("kernel")

    with pytest.raises(KeyError, match="kernel") as caught:
        chunks.total(fail)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("number", [0, 3, 6])
def test_a_block_that_raises_is_named(number):
    def fail(x, block_id):
        if block_id[0] == number:
            raise KeyError("broken")
        return x

    X = da.zeros((7, 1), chunks=(1, 1)).map_blocks(fail, meta=np.empty((0, 0)))
    with pytest.raises(KeyError, match="broken") as caught:
        Chunks.of(X).each(len)
    assert caught.value.__notes__ == [
        f"Raised by the computation of block {number} of X."
    ]
