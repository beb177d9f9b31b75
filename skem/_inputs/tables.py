"""Tables as users have them: columns of numbers and of categories, with gaps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, partial, reduce
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from skem._inputs.array_api import as_numpy
from skem._inputs.callers import users_level
from skem._inputs.columns import OF_KIND
from skem._inputs.dask import check_two_dimensions
from skem._inputs.dask_tables import DaskColumn, DaskRows, rows_of
from skem._inputs.frames import (
    arrow_codes,
    arrow_columns,
    arrow_values,
    check_container,
    is_arrow_table,
    is_dask,
    is_dictionary,
    with_names,
)
from skem._inputs.gaps import is_missing
from skem._inputs.validation import weight_of_each
from skem.core.blocks.arrays import is_mapped

NUMBERS, CATEGORIES = "numbers", "categories"
ROWS_IN_BLOCKS = 2**18
"""Rows from which a file is read by blocks; fewer are read at once."""
READ = 2**15
"""Rows that are read at once."""


class TakesTables(BaseEstimator):
    """What estimators say of themselves that take tables."""

    def __sklearn_tags__(self) -> Tags:
        """Say that NaN is a missing value, and that there may be categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


@dataclass(frozen=True)
class Column:
    """A column as it was read: numbers with NaN, or codes of labels with −1.

    `objects` are Python's, of any types.
    """

    name: str
    kind: str
    numbers: Any = None
    codes: np.ndarray | None = None
    labels: tuple[Any, ...] = ()
    objects: bool = False

    def as_categories(self) -> Column:
        """Take different numbers for categories, in their order."""
        if self.numbers is None:
            return self
        seen = ~np.isnan(self.numbers)
        labels, places = np.unique(self.numbers[seen], return_inverse=True)
        codes = np.full(len(seen), -1)
        codes[seen] = places
        return Column(self.name, CATEGORIES, None, codes, category_names(labels))

    def labels_of(self, weight: np.ndarray | None) -> tuple[Any, ...]:
        """Return the categories of rows that have weight; of all rows without."""
        if weight is None or weight.all():
            return self.as_categories().labels
        if self.numbers is not None:
            heavy = replace(self, numbers=self.numbers[weight > 0])
            return heavy.as_categories().labels
        assert self.codes is not None
        seen = np.unique(self.codes[weight > 0])
        return tuple(self.labels[i] for i in seen[seen >= 0])

    @cached_property
    def _reads(self) -> np.ndarray:
        """Whether each label reads as a number; and no gap does."""
        return np.array([*map(_reads_as_number, self.labels), False])

    def example(self, weight: np.ndarray | None = None) -> str:
        """Name a category and its row: one that reads as no number, if there is one."""
        assert self.codes is not None
        there = self.codes >= 0 if weight is None else (self.codes >= 0) & (weight > 0)
        odd = there & ~self._reads[self.codes]
        rows = np.flatnonzero(odd if odd.any() else there)
        if not len(rows):
            return ""
        label = self.labels[self.codes[rows[0]]]
        return f", such as {label!r} in row {rows[0]}"

    def counted(self) -> tuple[int, int]:
        """Return how many cells of objects read as numbers, and how many there are."""
        if not self.objects:
            return 0, 0
        assert self.codes is not None
        return int(self._reads[self.codes].sum()), int((self.codes >= 0).sum())

    def weighed(self, weight: np.ndarray) -> Column:
        """Take objects for numbers if those are that have weight; others are gaps."""
        if not self.objects or not all(map(_is_number, self.labels_of(weight))):
            return self
        assert self.codes is not None
        values = [label if _is_number(label) else np.nan for label in self.labels]
        numbers = np.array([*values, np.nan], dtype=float)[self.codes]
        return Column(self.name, NUMBERS, finite(self.name, numbers))


def category_names(labels: np.ndarray) -> tuple[Any, ...]:
    """Return numbers that are taken for categories, as ints if all are whole."""
    whole = bool((labels == np.floor(labels)).all()) and bool(
        (np.abs(labels) < 2**53).all()
    )
    return tuple(labels.astype(int).tolist() if whole else labels.tolist())


def parts(n: int) -> Iterator[slice]:
    """Cut rows."""
    for start in range(0, n, READ):
        yield slice(start, min(start + READ, n))


def different(x: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the different numbers, without NaN, of rows that have weight."""
    x = np.asarray(x, dtype=float)
    found = np.unique(x if weight is None else x[weight > 0])
    return found[~np.isnan(found)]


class FileColumn(Column):
    """A column of a file, as a view."""

    def as_categories(self) -> Column:
        """Take different numbers for categories; without the codes of rows."""
        return Column(self.name, CATEGORIES, None, None, self.labels_of(None))

    def labels_of(self, weight: np.ndarray | None) -> tuple[Any, ...]:
        """Return the categories of rows that have weight; of all rows without."""
        assert self.numbers is not None
        arrays = [self.numbers] if weight is None else [self.numbers, weight]
        sweep = getattr(self.numbers, "sweep", None)
        found = (
            sweep(different, *arrays[1:])
            if sweep is not None
            else (
                different(*(array[part] for array in arrays))
                for part in parts(len(self.numbers))
            )
        )
        return category_names(reduce(np.union1d, found, np.empty(0)))


def is_file(X: np.ndarray) -> bool:
    """Whether an array is one of numbers, in a file, with many rows."""
    return X.dtype.kind in "iuf" and len(X) >= ROWS_IN_BLOCKS and is_mapped(X)


@dataclass(frozen=True)
class Table:
    """Columns, and what they came in: 'pandas', 'polars' or 'array'.

    `file` is the array of numbers that columns are views of, if it is in a file; or
    the rows of Dask.
    """

    columns: list[Column]
    n_rows: int
    container: str
    dtypes: Any = None
    file: Any = None

    def weighed(self, weight: np.ndarray) -> Table:
        """Let rows without weight have no say on what columns are of."""
        columns = [column.weighed(weight) for column in self.columns]
        return replace(self, columns=columns)


def read_weighed(
    estimator: BaseEstimator,
    X: Any,
    sample_weight: Any,
    *,
    reset: bool,
    min_samples: int = 1,
) -> tuple[Table, np.ndarray]:
    """Read a table and the weights of its rows, and let those decide on columns."""
    table = read_table(estimator, X, reset=reset, min_samples=min_samples)
    weight = weight_of_each(sample_weight, table.n_rows)
    return table.weighed(weight), weight


def read_table(
    estimator: BaseEstimator, X: Any, *, reset: bool, min_samples: int = 1
) -> Table:
    """Validate a table, and read its columns."""
    if is_dask(X):
        check_two_dimensions(X)
        frame = X._meta if hasattr(X, "to_dask_array") else None
        X = rows_of(X, ROWS_IN_BLOCKS)
        if isinstance(X, DaskRows):
            return _dask_table(estimator, X, frame, reset)
    check_container(X)
    if is_arrow_table(X):
        return _arrow_table(estimator, with_names(X), reset, min_samples)
    if hasattr(X, "iloc") and hasattr(X, "dtypes") and hasattr(X, "columns"):
        container = "pandas"
    elif hasattr(X, "get_column") and hasattr(X, "columns"):
        container = "polars"
    else:
        return _read_array(estimator, X, reset, min_samples)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    n, d = X.shape
    _check_size(estimator, n, d, min_samples)
    columns = [
        _read_column(
            str(name), X.iloc[:, j] if container == "pandas" else X.get_column(name)
        )
        for j, name in enumerate(X.columns)
    ]
    return Table(columns, n, container, X.dtypes if container == "pandas" else None)


def _dask_table(
    estimator: BaseEstimator, rows: DaskRows, frame: Any, reset: bool
) -> Table:
    """Return the table of rows of Dask, of a data frame if there is an empty one."""
    like = rows if frame is None else frame
    validate_data(estimator, like, reset=reset, skip_check_array=True)
    d = rows.shape[1]
    names = [f"x{j}" for j in range(d)] if frame is None else map(str, frame.columns)
    columns: list[Column] = [
        FileColumn(name, NUMBERS, DaskColumn(rows, j)) for j, name in enumerate(names)
    ]
    container = "array" if frame is None else "pandas"
    dtypes = None if frame is None else frame.dtypes
    return Table(columns, len(rows), container, dtypes, rows)


def _arrow_table(
    estimator: BaseEstimator, X: Any, reset: bool, min_samples: int
) -> Table:
    """Read a table of Arrow by columns; those of dictionaries are of categories."""
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    n, d = X.shape
    _check_size(estimator, n, d, min_samples)
    columns = [
        _of_labels(name, *arrow_codes(column))
        if is_dictionary(column)
        else _read_values(name, arrow_values(column))
        for name, column in arrow_columns(X)
    ]
    return Table(columns, n, "array")


def _check_size(estimator: BaseEstimator, n: int, d: int, min_samples: int) -> None:
    name = type(estimator).__name__
    for found, least, what in ((n, min_samples, "sample"), (d, 1, "feature")):
        if found < least:
            raise ValueError(
                f"Found array with {found} {what}(s) (shape=({n}, {d})) while a "
                f"minimum of {least} is required by {name}."
            )


def _read_array(
    estimator: BaseEstimator, X: Any, reset: bool, min_samples: int
) -> Table:
    X = as_numpy(X)
    validated = partial(
        validate_data,
        estimator,
        X,
        reset=reset,
        ensure_all_finite=False,
        ensure_min_samples=min_samples,
    )
    found = validated(dtype=None)
    if not hasattr(X, "dtype") and _has_other_types(X, found):
        found = validated(dtype=object)
    X = found
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(X.shape[1])]
    file = X if is_file(X) else None
    columns = [
        _read_column(str(name), x)
        if file is None
        else FileColumn(str(name), NUMBERS, x)
        for name, x in zip(names, X.T, strict=True)
    ]
    return Table(columns, len(X), "array", file=file)


def _has_other_types(X: Any, found: np.ndarray) -> bool:
    """Whether cells of a list may be of other types than those of its array.

    Numbers beside text are text there, and bools beside numbers are numbers.
    """
    kind = found.dtype.kind
    if kind not in "iuf" or not isinstance(X, list | tuple):
        return kind in "US"
    rows = (row for row in X if isinstance(row, list | tuple))
    return any(isinstance(value, bool | np.bool_) for row in rows for value in row)


def _read_column(name: str, column: Any) -> Column:
    """Read a column of an array, of pandas or of polars."""
    if hasattr(column, "cat") and hasattr(column.cat, "codes"):
        return _of_pandas_categories(name, column)
    if hasattr(column, "array") and column.dtype.kind in "biuf":
        if column.dtype.kind == "b":
            return _of_pandas_categories(name, column.astype("category"))
        dtype = column.dtype if column.dtype == np.float32 else float
        numbers = column.to_numpy(dtype=dtype, na_value=np.nan)
        return Column(name, NUMBERS, finite(name, numbers))
    if hasattr(column, "array") and column.dtype.kind in "OUT":
        return _read_values(name, column.to_numpy(dtype=object), column.dtype)
    if hasattr(column, "array") and column.dtype.kind in "Mm":
        raise _neither(name, column.dtype)
    values = column.to_numpy() if hasattr(column, "to_numpy") else column
    return _read_values(name, np.asarray(values))


def _of_pandas_categories(name: str, column: Any) -> Column:
    labels = list(map(_plain, column.cat.categories.tolist()))
    return _of_labels(name, np.asarray(column.cat.codes), labels)


def _of_labels(name: str, codes: np.ndarray, labels: Sequence[Any]) -> Column:
    seen = np.unique(codes[codes >= 0])
    # A category without a row is none.
    place = np.full(len(labels) + 1, -1)
    place[seen] = np.arange(len(seen))
    kept = tuple(labels[i] for i in seen)
    return Column(name, CATEGORIES, None, place[codes], kept)


def _neither(name: str, dtype: Any) -> ValueError:
    """Return the error of a column of a dtype that no family takes."""
    kind = "M" if str(dtype).startswith("period") else getattr(dtype, "kind", "")
    if kind in OF_KIND:
        what, advice = OF_KIND[kind]
        return ValueError(
            f"Column {name!r} has {what}, and families are of numbers and categories. "
            f"Leave the column out, or {advice}."
        )
    return ValueError(
        f"Column {name!r} has the dtype {dtype}, which is neither of numbers nor of "
        "categories. Turn it into one of them, or leave it out."
    )


def _read_values(name: str, values: np.ndarray, dtype: Any = "object") -> Column:
    """Read values; `dtype` is that of the column, if they are objects."""
    kind = values.dtype.kind
    if kind in "iuf":
        if values.dtype != np.float32:
            values = values.astype(float)
        return Column(name, NUMBERS, finite(name, values))
    if kind in "bUS":
        labels, codes = np.unique(values, return_inverse=True)
        plain = tuple(map(_plain, labels.tolist()))
        return Column(name, CATEGORIES, None, codes.ravel(), plain)
    if kind != "O":
        raise _neither(name, values.dtype)
    missing = np.array([is_missing(value) for value in values], dtype=bool)
    present = values[~missing]
    if all(map(_is_number, present)):
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = present.astype(float)
        return Column(name, NUMBERS, finite(name, numbers))
    return _of_objects(name, values, missing, dtype)


def _of_objects(
    name: str, values: np.ndarray, missing: np.ndarray, dtype: Any
) -> Column:
    found: dict[Any, int] = {}
    codes = np.full(len(values), -1)
    for i in np.flatnonzero(~missing):
        value: Any = _plain(values[i])
        if not isinstance(value, str | bytes | bool | Real):
            if str(dtype) != "object":
                raise _neither(name, dtype)
            raise TypeError(
                f"A value of column {name!r} is a {type(value).__name__}: the argument "
                "must be a string, a bool or a number. Turn the column into one of "
                "them, or leave it out."
            )
        codes[i] = found.setdefault(value, len(found))
    return replace(in_order(name, codes, list(found)), objects=True)


def in_order(name: str, codes: np.ndarray, labels: list[Any]) -> Column:
    """Return categories with their labels sorted, those of one type together."""
    order = sorted(range(len(labels)), key=lambda i: (str(type(labels[i])), labels[i]))
    place = np.full(len(labels) + 1, -1)
    place[order] = np.arange(len(labels))
    return Column(name, CATEGORIES, None, place[codes], tuple(labels[i] for i in order))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)


def _reads_as_number(label: Any) -> bool:
    try:
        float(label)
    except (TypeError, ValueError):
        return False
    return not isinstance(label, bool)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def finite(name: str, numbers: np.ndarray) -> np.ndarray:
    """Require numbers without infinity, and return them."""
    if np.isinf(numbers).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float64'), in "
            f"column {name!r}."
        )
    return numbers


def check_known(name: str, found: Sequence[Any], labels: Sequence[Any]) -> None:
    """Require that categories of a column are among the labels."""
    known = set(labels)
    unknown = [label for label in found if label not in known]
    if unknown:
        others = f" and {len(labels) - 5} others" if len(labels) > 5 else ""
        raise ValueError(
            f"Found unknown categories {unknown[:5]} in column {name!r}; the fit has "
            f'seen {[*labels][:5]}{others}. With handle_unknown="missing" unknown '
            "ones count as gaps."
        )


def _warn_of_other_types(
    name: str, found: Sequence[Any], labels: Sequence[Any]
) -> None:
    """Warn of unknown categories that are known ones in another type, as '1' and 1."""
    known = set(labels)
    written = {_as_written(label): label for label in labels}
    for label in found:
        meant = written.get(_as_written(label))
        if meant is not None and label not in known:
            warnings.warn(
                f"Categories of column {name!r} such as {label!r} are unknown, and "
                f"count as gaps, but the fit has seen {meant!r}: give the column the "
                "same type.",
                UserWarning,
                stacklevel=users_level(),
            )
            return


def _as_written(label: Any) -> float | str:
    return float(label) if _reads_as_number(label) else str(label)


def encoded(column: Column, labels: Sequence[Any], handle_unknown: str) -> np.ndarray:
    """Codes of categories that are known, as floats, NaN for what is missing."""
    own = column.as_categories()
    assert own.codes is not None
    if handle_unknown == "error":
        check_known(column.name, own.labels, labels)
    else:
        _warn_of_other_types(column.name, own.labels, labels)
    known = {label: code for code, label in enumerate(labels)}
    place = np.array([known.get(label, np.nan) for label in own.labels] + [np.nan])
    return place[own.codes]


def with_unknown(
    values: np.ndarray, categories: dict[str, np.ndarray], table: Table
) -> dict[str, np.ndarray]:
    """Put the codes of categories that are not known into values (d, n).

    Return the categories with them.
    """
    every = dict(categories)
    for row, column in zip(values, table.columns, strict=True):
        if column.name not in categories:
            continue
        own, known = column.as_categories(), categories[column.name].tolist()
        assert own.codes is not None
        new = [label for label in own.labels if label not in known]
        if not new:
            continue
        places = {label: len(known) + i for i, label in enumerate(new)}
        place = np.array([places.get(label, -1) for label in own.labels] + [-1])
        found = place[own.codes]
        row[found >= 0] = found[found >= 0]
        every[column.name] = np.array([*known, *new], dtype=object)
    return every


def rebuilt(
    names: Sequence[str],
    values: np.ndarray,
    categories: dict[str, np.ndarray],
    container: str,
    dtypes: Any = None,
) -> Any:
    """Return values (d, n) as a table of the kind that was read."""
    columns = [
        _decoded(row, categories[name]) if name in categories else row
        for name, row in zip(names, values, strict=True)
    ]
    if container == "array":
        if all(column.dtype == float for column in columns):
            return np.column_stack(columns)
        return np.column_stack([column.astype(object) for column in columns])
    frame = dict(zip(names, columns, strict=True))
    if container == "polars":
        import polars

        return polars.DataFrame(
            {name: column.tolist() for name, column in frame.items()}
        )
    import pandas

    table = pandas.DataFrame(frame)
    for name, dtype in zip(names, dtypes, strict=True):
        if str(dtype) == "category":
            if table[name].dropna().isin(dtype.categories).all():
                table[name] = table[name].astype(dtype)
        elif dtype.kind in "iu" and _are_of(table[name].to_numpy(), dtype):
            table[name] = table[name].astype(dtype)
        elif (
            dtype.kind in "bOUT" and not table[name].isna().any() and name in categories
        ):
            table[name] = table[name].astype(dtype)
    return table


def _are_of(values: np.ndarray, dtype: Any) -> bool:
    """Whether floats are integers of a type of NumPy's or pandas', without gaps."""
    limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    # One above the largest one is a float, if that itself is not.
    inside = (values >= limits.min) & (values < float(limits.max) + 1)
    return bool((inside & (values == np.floor(values))).all())


def _decoded(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of codes; numbers stay numbers, and gaps are None or NaN."""
    missing = np.isnan(codes)
    found = labels[np.where(missing, 0, codes).astype(int)]
    if missing.any():
        found = found.astype(float if labels.dtype.kind in "iuf" else object)
        found[missing] = np.nan if found.dtype == float else None
        return found
    return found.astype(float) if labels.dtype.kind in "iuf" else found
