"""Containers of data beside arrays: Dask collections, tables and columns of Arrow."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from skem._inputs.gaps import is_missing


def is_dask(X: Any) -> bool:
    """Whether X is a Dask array or DataFrame. Does not import Dask."""
    # `Delayed` objects have attributes of any name, but for private ones.
    return (
        type(X).__module__.partition(".")[0] == "dask"
        and hasattr(X, "_meta")
        and (hasattr(X, "rechunk") or hasattr(X, "to_dask_array"))
    )


def in_memory(X: Any) -> Any:
    """Return what a Dask collection holds; what is none, as it is."""
    return X.compute() if is_dask(X) else X


def check_container(X: Any) -> None:
    """Refuse what holds data and is no array, with what to make of it."""
    advice, kind = None, type(X).__name__
    if isinstance(X, Iterator):
        # It can be read once only.
        advice = (
            "For all rows at once, make a list of them; give batches to `partial_fit`, "
            "one by one."
        )
    elif isinstance(X, Mapping) and not hasattr(X, "shape"):
        # Of SciPy's sparse arrays, some are dicts.
        advice = (
            "`pandas.DataFrame(X)` makes one of columns, and `pandas.DataFrame([X])` "
            "of a single row."
        )
    elif isinstance(X, list | tuple) and len(X) and isinstance(X[0], Mapping):
        advice, kind = "`pandas.DataFrame(X)` makes one.", f"{kind} of rows with names"
    elif kind == "LazyFrame":
        advice = "`X.collect()` returns one."
    if advice is not None:
        raise TypeError(
            f"X is a {kind}, and should be an array or a data frame. {advice}"
        )


def _is_of_arrow(X: Any) -> bool:
    return type(X).__module__.partition(".")[0] == "pyarrow"


def is_arrow_table(X: Any) -> bool:
    """Whether X is a table or a batch of records of Arrow. Does not import Arrow."""
    return _is_of_arrow(X) and hasattr(X, "column_names") and hasattr(X, "num_rows")


def with_names(X: Any) -> Any:
    """Return data in memory, in what scikit-learn finds the names of columns in.

    It finds none in data frames of Dask and in batches of records of Arrow.
    """
    if is_arrow_table(X) and not hasattr(X, "to_batches"):
        return sys.modules["pyarrow"].Table.from_batches([X])
    return in_memory(X)


def is_arrow_column(X: Any) -> bool:
    """Whether X is an array of Arrow, in chunks or not."""
    return _is_of_arrow(X) and hasattr(X, "to_pylist") and hasattr(X, "null_count")


def arrow_columns(X: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and the columns of a table of Arrow."""
    return zip(X.column_names, X.columns, strict=True)


def arrow_kinds(X: Any) -> set[str]:
    """Return the kinds of NumPy's types that the columns of a table have."""
    return {arrow_values(column.slice(0, 0)).dtype.kind for column in X.columns}


def arrow_values(column: Any) -> np.ndarray:
    """Return the values of a column, and NaN, NaT or None where there is none.

    `numpy.asarray` is not asked for values of dictionaries: it puts the last one into
    every gap.
    """
    try:
        if is_dictionary(column):
            column = column.cast(column.type.value_type)
        return np.asarray(column)
    except NotImplementedError:
        return np.fromiter(column.to_pylist(), dtype=object, count=len(column))


def arrow_array(X: Any) -> np.ndarray:
    """Return the values of a table, of one type."""
    columns = [arrow_values(column) for column in X.columns]
    return np.column_stack(columns) if columns else np.empty((X.num_rows, 0))


def is_dictionary(column: Any) -> bool:
    """Whether a column of Arrow has codes of values, as categories in pandas have."""
    return hasattr(column.type, "value_type") and hasattr(column.type, "index_type")


def arrow_codes(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the codes of such a column, −1 for none, and the values."""
    place: dict[Any, int] = {}
    found = [np.empty(0, int)]
    for chunk in getattr(column, "chunks", [column]):
        own = [
            -1 if is_missing(value) else place.setdefault(value, len(place))
            for value in chunk.dictionary.to_pylist()
        ]
        # As numbers with NaN: integers have no code that could stand for a gap.
        codes = np.asarray(chunk.indices, dtype=float)
        codes = np.where(np.isnan(codes), len(own), codes).astype(int)
        found.append(np.array([*own, -1])[codes])
    return np.concatenate(found), list(place)
