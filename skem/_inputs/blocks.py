"""Data that users pass in, validated and cut into blocks: the one place that knows how.

Whatever is folded or evaluated goes through here, so that arrays in memory, mapped
files and Dask collections are all alike to the estimators.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from skem._inputs.array_api import like_given
from skem._inputs.callers import users_level
from skem._inputs.dask import dask_blocks, evaluate_lazily
from skem._inputs.frames import is_dask
from skem._inputs.validation import (
    Data,
    check_data,
    check_labels,
    check_n_filled,
    check_n_values,
    check_sample_weight,
    computing_dtype,
    without_empty_rows,
)
from skem.core.blocks.arrays import ArrayBlocks, Block, Blocks
from skem.core.blocks.threads import Workers, Workspace
from skem.core.mixture.kernel import Kernel

Writer = Callable[[Kernel, np.ndarray, Block, Workspace], None]
"""Fills the rows of an output that belong to one block, from its expectation."""
LARGE = 2.0
"""Mean of weights from which those that are not whole are hardly counts of rows."""
NO_COUNTS = "The sample weights add up to"
"""How the warning of such weights begins."""


@contextmanager
def open_blocks(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    *,
    reset: bool,
    labels: Any = None,
    n_components: int = 0,
) -> Iterator[Blocks]:
    """Validate data and weights, and hold them ready as blocks.

    With ``reset=True``, as in a fit, the features are remembered by the estimator;
    else they must be those that it remembers. `labels` are components that rows are
    known to belong to, of so many.
    """
    if is_dask(X):
        with Workers() as workers:
            chunks = dask_blocks(
                estimator, X, sample_weight, labels, n_components, workers, reset=reset
            )
            if reset:
                check_all_features(estimator, chunks)
            yield chunks
    else:
        data = check_data(estimator, X, reset=reset)
        weight = check_sample_weight(sample_weight, data.X)
        known = check_labels(labels, len(data.X), n_components)
        with array_blocks(data, weight, known=known) as blocks:
            yield to_be_fitted(estimator, blocks) if reset else blocks


def unthreaded_blocks(
    estimator: Any, X: Any, sample_weight: Any, labels: Any, n_components: int
) -> Blocks:
    """Validate data and weights, as blocks in float64 that leave threads to BLAS."""
    double = np.dtype(float)
    # Not entered, they are the calling thread.
    workers: Workers = Workers()
    if is_dask(X):
        blocks = dask_blocks(
            estimator, X, sample_weight, labels, n_components, workers, reset=False
        )
        return replace(blocks, dtype=double)
    data = check_data(estimator, X, reset=False)
    weight = check_sample_weight(sample_weight, data.X)
    known = check_labels(labels, len(data.X), n_components)
    return replace(blocks_of(data, weight, workers, known), dtype=double)


def warn_unless_counts(weights: Blocks | np.ndarray | None, what: str) -> None:
    """Say so if weights, of blocks or of an array, have the scale of a population."""
    if weights is None:
        return
    if isinstance(weights, np.ndarray):
        rows = Data(np.empty((len(weights), 0)), False)
        weights = blocks_of(rows, weights, Workers())
    total, n = weights.total_weight, weights.n_observed
    if total > LARGE * n and not weights.whole_weights:
        warnings.warn(
            f"{NO_COUNTS} {total:.3g}, {total / n:.3g} times the number of rows, and "
            f"are not whole numbers: {what} take them for counts of rows. Multiply "
            "them by v.sum() / (v**2).sum() of weights v (see the guide on weights).",
            UserWarning,
            stacklevel=users_level(),
        )


@contextmanager
def array_blocks(
    data: Data,
    weight: np.ndarray | None,
    empty_weight: float = 0.0,
    known: np.ndarray | None = None,
) -> Iterator[ArrayBlocks]:
    """Hold a validated array ready as blocks."""
    with Workers() as workers:
        blocks = blocks_of(data, weight, workers, known)
        yield replace(blocks, empty_weight=empty_weight)


def blocks_of(
    data: Data,
    weight: np.ndarray | None,
    workers: Workers,
    known: np.ndarray | None = None,
) -> ArrayBlocks:
    """Return a validated array, weights and known components as blocks."""
    X, incomplete = data
    dtype = computing_dtype(X)
    return ArrayBlocks(X, weight, workers, dtype, incomplete, known=known)


def to_be_fitted(estimator: Any, blocks: ArrayBlocks) -> ArrayBlocks:
    """Return what a fit goes by: rows without a value have the weight zero.

    Raises `ValueError` if there is no other row, or no value of a feature.
    """
    if not blocks.incomplete:
        return blocks
    weight = without_empty_rows(blocks.X, blocks.weight)
    if weight is not None and blocks.known is not None:
        # What is known of a row without a value tells of the weights.
        before = 1.0 if blocks.weight is None else blocks.weight
        weight = np.where(blocks.known >= 0, before, weight)
    filled = replace(blocks, weight=weight)
    check_n_filled(filled.n_observed)
    check_all_features(estimator, filled)
    return replace(filled, empty_weight=blocks.total_weight - filled.total_weight)


def check_all_features(estimator: Any, blocks: Blocks) -> None:
    """Require that every feature has a value, in a pass over incomplete data."""
    if blocks.incomplete:
        n_values = blocks.fold(_count_values, 2 * blocks.n_features)
        check_n_values(n_values, getattr(estimator, "feature_names_in_", None))


def _count_values(block: Block, workspace: Workspace) -> np.ndarray:
    return np.count_nonzero(~np.isnan(block.data), axis=1)


def reopening(
    blocks: Blocks,
) -> tuple[Callable[[], AbstractContextManager[Blocks]], bool]:
    """Return how to hold validated data ready again, and whether elsewhere too.

    Arrays are opened anew, in other processes too. Dask collections, whose blocks have
    a cluster's processes of their own, are used as they are.
    """
    if isinstance(blocks, ArrayBlocks):
        data = Data(blocks.X, blocks.incomplete)
        opened = partial(
            array_blocks, data, blocks.weight, blocks.empty_weight, blocks.known
        )
        return opened, True
    return lambda: nullcontext(blocks), False


def evaluate_rows(
    estimator: Any,
    X: Any,
    expectation_of: Callable[[np.dtype], Kernel],
    write: Writer,
    shape: tuple[int, ...],
    dtype: Any = None,
) -> Any:
    """Return an array (n_samples, *shape) that `write` has filled by blocks.

    `dtype` is by default the type that blocks are computed in. Of a Dask collection,
    a Dask array, of which nothing is computed yet; of an array that scikit-learn
    dispatches, one of its library.
    """
    if is_dask(X):
        return evaluate_lazily(estimator, X, expectation_of, write, shape, dtype)
    data = check_data(estimator, X, reset=False)
    return like_given(X, evaluate_array(data, expectation_of, write, shape, dtype))


def evaluate_array(
    data: Data,
    expectation_of: Callable[[np.dtype], Kernel],
    write: Writer,
    shape: tuple[int, ...],
    dtype: Any = None,
) -> np.ndarray:
    """Return the same of an array that needs no validation."""
    X, incomplete = data
    computing = computing_dtype(X)
    expectation = expectation_of(computing)
    out = np.empty((len(X), *shape), dtype or computing)
    work = len(X) * expectation.multiplications_per_sample
    if not incomplete and expectation.alone(len(X)):
        work = 0
    with Workers.for_work(work) as workers:
        blocks = ArrayBlocks(X, None, workers, computing, incomplete)
        return blocks.fill(
            out, partial(write, expectation), expectation.values_per_sample
        )
