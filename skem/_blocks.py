"""Data that users pass in, validated and cut into blocks: the one place that knows how.

Whatever is folded or evaluated goes through here, so that arrays in memory, mapped
files and Dask collections are all alike to the estimators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from skem._dask import dask_blocks, evaluate_lazily, is_dask
from skem._validation import check_data, check_sample_weight, computing_dtype
from skem.core.blocks import ArrayBlocks, Block, Blocks
from skem.core.expectation import Expectation
from skem.core.threads import Workers, Workspace

Writer = Callable[[Expectation, np.ndarray, Block, Workspace], None]
"""Fills the rows of an output that belong to one block, from its expectation."""


@contextmanager
def open_blocks(
    estimator: Any, X: Any, sample_weight: Any = None, *, reset: bool
) -> Iterator[Blocks]:
    """Validate data and weights, and hold them ready as blocks.

    With ``reset=True``, as in a fit, the features are remembered by the estimator;
    else they must be those that it remembers.
    """
    with Workers() as workers:
        if is_dask(X):
            yield dask_blocks(estimator, X, sample_weight, workers, reset=reset)
        else:
            X = check_data(estimator, X, reset=reset)
            weight = check_sample_weight(sample_weight, X)
            yield ArrayBlocks(X, weight, workers, computing_dtype(X))


def evaluate_rows(
    estimator: Any,
    X: Any,
    expectation_of: Callable[[np.dtype], Expectation],
    write: Writer,
    shape: tuple[int, ...],
    dtype: Any = None,
) -> Any:
    """Return an array (n_samples, *shape) that `write` has filled by blocks.

    `dtype` is by default the type that blocks are computed in. Of a Dask collection,
    a Dask array, of which nothing is computed yet.
    """
    if is_dask(X):
        return evaluate_lazily(estimator, X, expectation_of, write, shape, dtype)
    X = check_data(estimator, X, reset=False)
    return evaluate_array(X, expectation_of, write, shape, dtype)


def evaluate_array(
    X: np.ndarray,
    expectation_of: Callable[[np.dtype], Expectation],
    write: Writer,
    shape: tuple[int, ...],
    dtype: Any = None,
) -> np.ndarray:
    """Return the same of an array that needs no validation."""
    computing = computing_dtype(X)
    expectation = expectation_of(computing)
    out = np.empty((len(X), *shape), dtype or computing)
    with Workers() as workers:
        blocks = ArrayBlocks(X, None, workers, computing)
        return blocks.fill(
            out, partial(write, expectation), expectation.values_per_sample
        )
