"""Data that users pass in, validated and cut into blocks: the one place that knows how.

Whatever is folded or evaluated goes through here, so that arrays in memory, mapped
files and Dask collections are all alike to the estimators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
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
    if is_dask(X):
        with Workers() as workers:
            yield dask_blocks(estimator, X, sample_weight, workers, reset=reset)
    else:
        X = check_data(estimator, X, reset=reset)
        with array_blocks(X, check_sample_weight(sample_weight, X)) as blocks:
            yield blocks


def unthreaded_blocks(estimator: Any, X: Any, sample_weight: Any) -> Blocks:
    """Validate data and weights, as blocks in float64 that leave threads to BLAS."""
    double = np.dtype(float)
    # Not entered, they are the calling thread.
    workers: Workers = Workers()
    if is_dask(X):
        blocks = dask_blocks(estimator, X, sample_weight, workers, reset=False)
        return replace(blocks, dtype=double)
    X = check_data(estimator, X, reset=False)
    return ArrayBlocks(X, check_sample_weight(sample_weight, X), workers, double)


@contextmanager
def array_blocks(X: np.ndarray, weight: np.ndarray | None) -> Iterator[ArrayBlocks]:
    """Hold a validated array ready as blocks."""
    with Workers() as workers:
        yield ArrayBlocks(X, weight, workers, computing_dtype(X))


def reopening(
    blocks: Blocks,
) -> tuple[Callable[[], AbstractContextManager[Blocks]], bool]:
    """Return how to hold validated data ready again, and whether elsewhere too.

    Arrays are opened anew, in other processes too. Dask collections, whose blocks have
    a cluster's processes of their own, are used as they are.
    """
    if isinstance(blocks, ArrayBlocks):
        return partial(array_blocks, blocks.X, blocks.weight), True
    return lambda: nullcontext(blocks), False


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
    with Workers.for_work(len(X) * expectation.multiplications_per_sample) as workers:
        blocks = ArrayBlocks(X, None, workers, computing)
        return blocks.fill(
            out, partial(write, expectation), expectation.values_per_sample
        )
