"""Tables of Dask: few rows are read at once, many chunk by chunk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property, partial
from threading import Lock
from typing import Any

import numpy as np

from skem._inputs.dask import check_two_dimensions, frame_of
from skem._inputs.gaps import unmasked
from skem.core.blocks.graph import Chunks

KEPT_CHUNKS = 3
"""Chunks that are kept, for the threads of a pass that are not in the same one."""


class DaskRows:
    """Rows (n, d) of a Dask array of numbers.

    Passes are computed where the chunks are, and statistics alone come back. Of chunks
    that are read here a few are held.
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self.chunks = [X[start:stop] for start, stop in _edges(X.chunks[0])]
        self.starts = np.cumsum([0, *X.chunks[0]])
        self.shape = X.shape
        self.dtype = X.dtype
        self._lock = Lock()
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return int(self.shape[0])

    def _chunk(self, i: int) -> np.ndarray:
        with self._lock:
            if i not in self._held:
                while len(self._held) >= KEPT_CHUNKS:
                    self._held.popitem(last=False)
                self._held[i] = np.asarray(self.chunks[i].compute())
            self._held.move_to_end(i)
            return self._held[i]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows of a slice without a step, or of sorted numbers."""
        consecutive = isinstance(rows, slice)
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            rows = np.arange(first, last)
        which = np.searchsorted(self.starts, rows, side="right") - 1
        own = {int(i): rows[which == i] - self.starts[i] for i in np.unique(which)}
        if not own:
            return np.empty((0, self.shape[1]))
        if consecutive:
            return np.concatenate([self._chunk(i)[some] for i, some in own.items()])
        return np.concatenate(self._graph.only(own).each(_taken, own))

    @cached_property
    def _graph(self) -> Chunks:
        """The chunks that have rows."""
        return self.beside()

    def sweep(self, function: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
        """Return a function of each chunk, and of its parts of arrays (n,)."""
        own = {
            i: [array[start:stop] for array in arrays]
            for i, (start, stop) in enumerate(_edges(self.X.chunks[0]))
            if stop > start
        }
        return self._graph.each(partial(_applied, function), own)

    def beside(self, *arrays: np.ndarray) -> Chunks:
        """Return the chunks that have rows, with those of arrays (n,) beside them."""
        import dask.array as da

        sizes = (self.X.chunks[0],)
        others = [da.from_array(array, chunks=sizes) for array in arrays]
        found = Chunks.of(self.X, *others)
        return found.only(np.flatnonzero(self.X.chunks[0]).tolist())


def _applied(
    function: Callable[..., Any], x: np.ndarray, arrays: list[np.ndarray]
) -> Any:
    return function(x, *arrays)


def _taken(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return x[rows]


def _edges(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = np.cumsum(sizes).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _of_column(
    function: Callable[..., Any], j: int, x: np.ndarray, *arrays: np.ndarray
) -> Any:
    return function(x[:, j], *arrays)


class DaskColumn:
    """A column of these rows."""

    def __init__(self, rows: DaskRows, j: int) -> None:
        self.rows, self.j = rows, j

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.rows[rows][:, self.j]

    def sweep(self, function: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
        """Return a function of each chunk of the column, and of its parts of arrays."""
        return self.rows.sweep(partial(_of_column, function, self.j), *arrays)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype=dtype)


def rows_of(X: Any, most: int) -> Any:
    """Return a Dask collection of fewer rows than `most` in memory, else `DaskRows`.

    Chunks of unknown size are counted. Raises `NotImplementedError` for many rows of a
    data frame with columns that are not of numbers.
    """
    if hasattr(X, "to_dask_array"):
        if len(X) < most:
            return X.compute()
        odd = [c for c, dtype in X._meta.dtypes.items() if dtype.kind not in "iuf"]
        if odd:
            raise NotImplementedError(
                f"Column {str(odd[0])!r} of the Dask data frame has the dtype "
                f"{X._meta.dtypes[odd[0]]}. Of {most} rows and more, Dask tables are "
                "of numbers: turn categories into numbers, as .cat.codes, and name "
                "the family 'categorical' for them; or use partial_fit for the "
                "partitions."
            )
        if not all(isinstance(dtype, np.dtype) for dtype in X._meta.dtypes):
            # Nullable columns beside others would make an array of objects.
            X = frame_of(X, np.dtype(float))
        X = X.to_dask_array(lengths=True)
    X = wide_rows(X)
    if any(np.isnan(size) for size in X.chunks[0]):
        X = X.compute_chunk_sizes()
    if len(X) < most or X.dtype.kind not in "iuf":
        return X.compute()
    return DaskRows(X)


def wide_rows(X: Any) -> Any:
    """Return a Dask array whose chunks have all columns, and no masks."""
    check_two_dimensions(X)
    return unmasked(X).rechunk({1: -1})
