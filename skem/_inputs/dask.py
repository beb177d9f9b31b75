"""What users pass in as Dask collections: checked lazily, or in one first pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.utils import check_array

from skem._inputs.columns import explained
from skem._inputs.gaps import unmasked, whole, with_gaps
from skem._inputs.validation import (
    FLOATS,
    as_labels,
    check_each_label,
    check_each_weight,
    check_n_filled,
    check_scalar_weight,
    check_total_weight,
    computing_dtype,
    has_missing,
    is_scalar,
    kind_of,
    validate_rows,
)
from skem.core.blocks.arrays import ArrayBlocks, Write, are_whole, observed_and_known
from skem.core.blocks.dask import CallingThread, DaskBlocks, Tally, weight_and_known
from skem.core.blocks.graph import Chunks
from skem.core.blocks.threads import Workers
from skem.core.mixture.kernel import Kernel

OF_OTHER_RULES = np.matrix | np.ma.MaskedArray
"""Arrays of NumPy that do not compute as others do."""


def check_dask_data(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Validate number, names and types of features; return a Dask array of rows.

    Nothing is computed. Integer and boolean arrays stay as they are, but for the order
    of bytes.
    """
    if hasattr(X, "to_dask_array"):
        meta = _validated(estimator, X._meta, reset=reset)
        return frame_of(X, meta.dtype).to_dask_array()
    X = unmasked(X)
    check_two_dimensions(X)
    if any(math.isnan(size) for size in X.shape[1:]):
        raise ValueError(
            f"The number of columns of X is unknown, its shape is {X.shape}. "
            "Call `X.compute_chunk_sizes()` first."
        )
    if not isinstance(X._meta, np.ndarray) or isinstance(X._meta, OF_OTHER_RULES):
        raise TypeError(_not_numpy(X._meta))
    native = X.dtype.newbyteorder("=")
    meta = _validated(estimator, np.empty((0, *X.shape[1:]), native), reset=reset)
    if X.dtype != meta.dtype:
        X = X.map_blocks(_of_numbers, meta.dtype, dtype=meta.dtype, meta=meta)
    return X.rechunk({1: -1})


def check_two_dimensions(X: Any) -> None:
    """Require rows and columns, in the words of scikit-learn; it would show values."""
    if X.ndim > 2:
        raise ValueError(f"Found array with dim {X.ndim}, while dim <= 2 is required.")
    if X.ndim < 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead. Reshape your data either "
            "using array.reshape(-1, 1) if your data has a single feature or "
            "array.reshape(1, -1) if it contains a single sample."
        )


def frame_of(X: Any, dtype: np.dtype) -> Any:
    """Return a data frame whose columns have one type; nothing is computed."""
    if all(each == dtype for each in X._meta.dtypes):
        return X
    # The type of empty columns of text may be none that text converts to.
    nothing = np.empty((0, X.shape[1]), dtype)
    empty = type(X._meta)(nothing, columns=X._meta.columns)
    return X.map_partitions(_of_numbers, dtype, meta=empty)


def _of_numbers(part: Any, dtype: np.dtype) -> Any:
    """Convert a part of the data; errors name the column that is no numbers."""
    try:
        return with_gaps(lambda own: own.astype(dtype), part)
    except (TypeError, ValueError) as error:
        raise explained(part, error) from None


def _validated(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Validate an empty array or frame of the same features."""
    keep = isinstance(X, np.ndarray) and X.dtype.kind in "biu"
    return validate_rows(
        estimator,
        X,
        reset=reset,
        dtype=None if keep else FLOATS,
        ensure_all_finite=False,
        ensure_min_samples=0,
    )


def _not_numpy(block: Any) -> str:
    return (
        f"Expected NumPy arrays as blocks of X, got {kind_of(block)} instead. Convert "
        "them first, for instance by `X.map_blocks(np.asarray)`, by `toarray` if they "
        "are sparse, or by `X.map_blocks(np.ma.filled, np.nan)` if they are masked."
    )


def check_dask_weight(sample_weight: Any, X: Any) -> tuple[Any, Any | None]:
    """Return X, and the weights cut into the same chunks; values are not looked at."""
    import dask.array as da

    if sample_weight is None:
        return X, None
    if hasattr(sample_weight, "to_dask_array"):
        sample_weight = sample_weight.to_dask_array()
    sample_weight = whole(sample_weight, "sample_weight")
    if is_scalar(sample_weight):
        full = partial(_constant_weight, check_scalar_weight(sample_weight))
        return X, X.map_blocks(full, dtype=float, drop_axis=1, meta=np.empty(0))
    if not isinstance(sample_weight, da.Array):
        sample_weight = check_array(
            sample_weight,
            ensure_2d=False,
            ensure_min_samples=0,
            dtype=np.float64,
            input_name="sample_weight",
        )
        sample_weight = da.from_array(sample_weight, chunks=sample_weight.shape)
    if sample_weight.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {sample_weight.ndim}D "
            "array."
        )
    if sample_weight.dtype.kind == "c":
        check_array(np.empty(0, complex), ensure_2d=False, ensure_min_samples=0)
    return _beside(X, sample_weight.astype(np.float64), "sample_weight")


def check_dask_labels(labels: Any, X: Any) -> tuple[Any, Any | None]:
    """Return X, and known components cut into the same chunks, of any type."""
    import dask.array as da

    if labels is None:
        return X, None
    if hasattr(labels, "to_dask_array"):
        labels = labels.to_dask_array()
    labels = whole(labels, "labels")
    if not isinstance(labels, da.Array):
        labels = as_labels(labels)
        labels = da.from_array(labels, chunks=labels.shape)
    if labels.ndim != 1:
        raise ValueError(f"labels.shape == {labels.shape}, expected {(X.shape[0],)}!")
    check_each_label(np.empty(0, labels.dtype), 0)
    return _beside(X, labels, "labels")


def _beside(X: Any, values: Any, name: str) -> tuple[Any, Any]:
    """Return X, and one value of each row cut into the same chunks.

    Chunks of unknown size are counted, unless both have the same number of them.
    """
    unknown = [any(map(math.isnan, array.chunks[0])) for array in (X, values)]
    if all(unknown) and X.numblocks[0] == values.numblocks[0]:
        return X, values
    X, values = _counted(X), _counted(values)
    if values.shape[0] != X.shape[0]:
        raise ValueError(f"{name}.shape == {values.shape}, expected {(X.shape[0],)}!")
    return X, values.rechunk((X.chunks[0],))


def _constant_weight(value: float, x: np.ndarray) -> np.ndarray:
    return np.full(len(x), value)


def _counted(array: Any) -> Any:
    """Count the rows of chunks of unknown size."""
    import dask.array as da

    if not any(map(math.isnan, array.chunks[0])):
        return array
    rows = tuple(Chunks.of(array).each(len))
    return da.Array(array.dask, array.name, (rows, *array.chunks[1:]), meta=array._meta)


class Fault(NamedTuple):
    """What is wrong with a chunk, and at which of its rows, if it is at one."""

    error: Exception
    row: int | None = None
    column: int | None = None

    def located(self, number: int) -> Exception:
        """Return the error, with the place: in the chunk of a number."""
        place = f"block {number} of X"
        if self.row is not None:
            place += f", row {self.row} of the block"
        if self.column is not None:
            place += f", column {self.column}"
        return type(self.error)(f"{self.error}\nFound in {place}.")


@dataclass(frozen=True)
class Inspection:
    """Count a chunk and look at its values, for the first pass."""

    n_features: int
    estimator_name: str
    assume_finite: bool
    n_components: int | None = None

    @classmethod
    def of(cls, estimator: Any, X: Any, n_components: int | None = None) -> Inspection:
        """Expect chunks of a Dask array, with labels of so many components if any."""
        name = type(estimator).__name__
        return cls(X.shape[1], name, get_config()["assume_finite"], n_components)

    def __call__(self, x: np.ndarray, *beside: np.ndarray) -> Tally | Fault:
        """Return what there is in the chunk, or what is wrong with it."""
        labels = None if self.n_components is None else beside[-1]
        weights = beside if labels is None else beside[:-1]
        weight = weights[0] if weights else None
        problem = self._problem(x, weight, labels)
        if problem is not None:
            return problem
        incomplete = not self.assume_finite and has_missing(x, self.estimator_name)
        if weight is None and labels is None and not incomplete:
            return Tally(len(x), len(x), float(len(x)))
        weight = np.ones(len(x)) if weight is None else weight
        empty, counts = weight[:0], np.empty(0, int)
        if incomplete:
            empty = weight[_to_be_left_out(x, labels)]
        if labels is not None:
            known = labels[observed_and_known(weight, labels)].astype(np.intp)
            counts = np.bincount(known, minlength=self.n_components or 0)
        with np.errstate(over="ignore"):
            return Tally(
                len(x),
                int(np.count_nonzero(weight)),
                float(weight.sum()),
                incomplete,
                int(np.count_nonzero(empty)),
                float(empty.sum()),
                tuple(counts.tolist()),
                are_whole(weight),
            )

    def _problem(
        self, x: np.ndarray, weight: np.ndarray | None, labels: np.ndarray | None
    ) -> Fault | None:
        if not isinstance(x, np.ndarray) or isinstance(x, OF_OTHER_RULES):
            return Fault(TypeError(_not_numpy(x)))
        if x.ndim != 2 or x.shape[1] != self.n_features or x.dtype.kind not in "fbiu":
            return Fault(
                ValueError(
                    f"Expected blocks of X of shape (rows, {self.n_features}) and of "
                    f"real numbers, got shape {x.shape} and {x.dtype}."
                )
            )
        if not self.assume_finite:
            try:
                has_missing(x, self.estimator_name)
            except ValueError as error:
                return Fault(error, *np.argwhere(np.isinf(x))[0].tolist())
        problem = None if weight is None else self._weight_problem(weight, x)
        if problem is None and labels is not None:
            problem = self._label_problem(labels, x)
        return problem

    def _label_problem(self, labels: np.ndarray, x: np.ndarray) -> Fault | None:
        if labels.shape != (len(x),):
            message = f"labels.shape == {labels.shape}, expected {(len(x),)}!"
            return Fault(ValueError(message))
        try:
            check_each_label(labels, self.n_components or 0)
        except ValueError as error:
            return Fault(error)
        return None

    def _weight_problem(self, weight: np.ndarray, x: np.ndarray) -> Fault | None:
        if len(weight) == len(x) == 0:
            return None
        try:
            check_each_weight(weight, x)
        except ValueError as error:
            invalid = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
            return Fault(error, *invalid[:1].tolist())
        return None


def dask_blocks(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    labels: Any,
    n_components: int,
    workers: Workers,
    *,
    reset: bool,
) -> DaskBlocks:
    """Validate data, weights and labels in a first pass; return them as blocks."""
    X = check_dask_data(estimator, X, reset=reset)
    X, weight = check_dask_weight(sample_weight, X)
    X, labels = check_dask_labels(labels, X)
    arrays = [array for array in (X, weight, labels) if array is not None]
    labelled = labels is not None
    chunks = Chunks.of(*arrays)
    inspection = Inspection.of(estimator, X, n_components if labelled else None)
    tallies = _checked(chunks.each(inspection))
    empty_weight = 0.0
    if reset and any(tally.n_empty for tally in tallies):
        beside = [each for array in arrays[1:] for each in (array, "i")]
        filled = _number_of_each(partial(_filled_weights, labelled), X, "ij", *beside)
        chunks = Chunks.of(X, filled, *([labels] if labelled else []))
        empty_weight = float(sum(tally.empty_weight for tally in tallies))
        tallies = [tally.without_empty_rows() for tally in tallies]
        check_n_filled(sum(tally.n_observed for tally in tallies))
    blocks = DaskBlocks(
        chunks,
        tallies,
        X.shape[1],
        computing_dtype(X),
        workers,
        empty_weight,
        labelled,
    )
    least = 2 if reset else 1
    if blocks.n_samples < least:
        empty = np.zeros((blocks.n_samples, blocks.n_features))
        check_array(empty, ensure_min_samples=least, estimator=estimator)
    if weight is not None:
        check_total_weight(blocks.total_weight)
    return blocks


def _number_of_each(function: Callable[..., np.ndarray], *arrays: Any) -> Any:
    """Return a number of each row, lazily; arrays are followed by their axes."""
    import dask.array as da

    return da.blockwise(
        function,
        "i",
        *arrays,
        concatenate=True,
        # Chunks of unknown size are alike, too.
        align_arrays=False,
        dtype=float,
        meta=np.empty(0),
    )


def _filled_weights(labelled: bool, x: np.ndarray, *beside: np.ndarray) -> np.ndarray:
    """Return weights that are zero for rows without a value or a label."""
    weight, known = weight_and_known(beside, labelled)
    filled = np.ones(len(x)) if weight is None else weight.astype(float)
    if x.dtype.kind == "f":
        filled[_to_be_left_out(x, known)] = 0
    return filled


def _to_be_left_out(x: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Mask of the rows without a value or a label."""
    empty = np.isnan(x).all(axis=1)
    # What is known of a row without a value tells of the weights.
    return empty if labels is None else empty & (labels < 0)


def _checked(found: list[Tally | Fault]) -> list[Tally]:
    """Raise the first problem, if there is any."""
    for number, tally in enumerate(found):
        if isinstance(tally, Fault):
            raise tally.located(number)
    return [tally for tally in found if isinstance(tally, Tally)]


@dataclass(frozen=True)
class FillChunk:
    """Evaluate a chunk like an array in memory: fill an array with its rows."""

    write: Write
    values_per_sample: int
    shape: tuple[int, ...]
    computing: np.dtype
    dtype: np.dtype
    inspection: Inspection

    def __call__(self, x: np.ndarray, number: int) -> np.ndarray:
        """Return an array (rows, *shape) for the chunk of a number."""
        found = self.inspection(x)
        if isinstance(found, Fault):
            raise found.located(number)
        out = np.empty((len(x), *self.shape), self.dtype)
        with CallingThread() as thread:
            blocks = ArrayBlocks(x, None, thread, self.computing, found.incomplete)
            return blocks.fill(out, self.write, self.values_per_sample)


def evaluate_lazily(
    estimator: Any,
    X: Any,
    expectation_of: Callable[[np.dtype], Kernel],
    write: Callable[..., None],
    shape: tuple[int, ...],
    dtype: Any = None,
) -> Any:
    """Return a Dask array (n_samples, *shape), of which nothing is computed yet."""
    import dask

    X = check_dask_data(estimator, X, reset=False)
    computing = computing_dtype(X)
    expectation = expectation_of(computing)
    fill = FillChunk(
        partial(write, expectation),
        expectation.values_per_sample,
        shape,
        computing,
        np.dtype(dtype or computing),
        Inspection.of(estimator, X),
    )
    return X.map_blocks(
        _evaluate_chunk,
        # A node of the graph: a worker gets it once, not once a chunk.
        fill=dask.delayed(fill, pure=True),
        dtype=fill.dtype,
        chunks=(X.chunks[0], *((size,) for size in shape)),
        drop_axis=[] if shape else [1],
        meta=np.empty((0,) * (1 + len(shape)), fill.dtype),
    )


def map_lazily(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray], values: Any, X: Any
) -> Any:
    """Return a function of a value and features of each row, as floats.

    Of Dask arrays, of which nothing is computed yet. It is not called for chunks
    without rows.
    """
    return _number_of_each(partial(_call_for_rows, function), values, "i", X, "ij")


def _call_for_rows(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    values: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    return function(values, x) if len(values) else np.empty(0)


def _evaluate_chunk(
    x: np.ndarray, fill: FillChunk, block_id: tuple[int, ...] = (0,)
) -> np.ndarray:
    return fill(x, block_id[0])
