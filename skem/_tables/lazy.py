"""Predictions of a mixture of a table for Dask collections, chunk by chunk."""

from __future__ import annotations

import copy
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skem._inputs.dask import (
    check_dask_labels,
    check_dask_weight,
    check_two_dimensions,
)
from skem._inputs.dask_tables import wide_rows
from skem._inputs.validation import check_each_weight, check_total_weight
from skem._report.measures import Agreement


def _of_chunk(mixture: Any, method: str, nothing: np.ndarray, x: Any) -> np.ndarray:
    """Call a method of a mixture for a chunk, unless there are no rows."""
    if not len(x):
        return nothing
    return np.asarray(getattr(mixture, method)(x), nothing.dtype)


def _validated(mixture: Any, X: Any) -> tuple[Any, Any]:
    """Return what workers need of a mixture, and the collection."""
    mixture._check_is_fitted()
    framed = hasattr(X, "to_dask_array")
    check_two_dimensions(X)
    X = X if framed else wide_rows(X)
    like = X._meta if framed else X
    validate_data(mixture, like, reset=False, skip_check_array=True)
    lean = copy.copy(mixture)
    # A worker needs no labels; and arrays have no names, which was said above.
    for name in ("labels_", *(() if framed else ("feature_names_in_",))):
        lean.__dict__.pop(name, None)
    return lean, X


def lazily(
    mixture: Any, X: Any, method: str, shape: tuple[int, ...] = (), dtype: Any = float
) -> Any:
    """Return a Dask array (n_samples, *shape), of which nothing is computed yet.

    Values are checked when it is.
    """
    framed = hasattr(X, "to_dask_array")
    lean, X = _validated(mixture, X)
    meta = np.empty((0, *shape), dtype)
    function = partial(_of_chunk, lean, method, meta)
    if framed:
        return X.map_partitions(function, meta=meta)
    return X.map_blocks(
        function,
        dtype=dtype,
        chunks=(X.chunks[0], *((size,) for size in shape)),
        drop_axis=[] if shape else [1],
        meta=meta,
    )


def agreement_of(mixture: Any, X: Any, sample_weight: Any, labels: Any) -> Agreement:
    """Add up what is said of rows, where they are."""
    import dask

    lean, X = _validated(mixture, X)
    rows = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    _, weight = check_dask_weight(sample_weight, rows)
    _, known = check_dask_labels(labels, rows)
    chunks = np.ravel(X.to_delayed())
    beside = (
        [None] * len(chunks) if each is None else each.to_delayed()
        for each in (weight, known)
    )
    lean, summed = dask.delayed(lean, traverse=False), dask.delayed(_summed)
    sums = [summed(lean, *parts) for parts in zip(chunks, *beside, strict=True)]
    found: Agreement = reduce(add, dask.compute(*sums))
    if weight is not None:
        check_total_weight(found.totals.weight)
    return found


def _summed(
    mixture: Any, x: Any, weight: np.ndarray | None, known: np.ndarray | None
) -> Agreement:
    """Add up what is said of the rows of a chunk."""
    if weight is None:
        weight = np.ones(len(x))
    elif len(x):
        weight, _ = check_each_weight(weight, x)
    if not np.any(weight):
        nothing = np.empty(0)
        return Agreement.of(nothing, np.ones((len(mixture.weights_), 0)), nothing)
    log_density, resp = mixture._posterior(x, known, weight > 0)
    return Agreement.of(log_density, resp, weight)
