"""Say which column of the data is not of numbers, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np

from skem._inputs.frames import arrow_columns, arrow_kinds, arrow_values, is_arrow_table
from skem._inputs.gaps import is_missing

DATES = (
    "dates",
    "turn them into numbers first, such as the days since the first of them",
)
DURATIONS = ("durations", "turn them into numbers first, such as seconds")
CATEGORIES = (
    "categories",
    "turn them into columns of numbers first, for instance by "
    "sklearn.preprocessing.OneHotEncoder; skem.MixtureModel takes tables with "
    "categories",
)
TEXT = (
    "text",
    "turn it into numbers first: pandas.to_numeric reads numbers, "
    "sklearn.preprocessing.OneHotEncoder encodes categories; skem.MixtureModel takes "
    "tables with categories",
)
COMPLEX = (
    "complex numbers",
    "split them into their real and imaginary parts",
)
SAID = ("could not convert", "float()", "Complex data")
"""Beginnings of errors that stay the beginning."""
OF_KIND = {"M": DATES, "m": DURATIONS, "c": COMPLEX}


def check_kinds(X: Any) -> None:
    """Raise `TypeError` for dates or durations, which would be taken for integers.

    And `ValueError` for a table with complex numbers.
    """
    # A single column has one type, whether or not it is called `dtypes` as well.
    table = hasattr(X, "columns") and hasattr(X, "dtypes")
    kinds = _kinds(X, table)
    if kinds & {"M", "m"}:
        raise explained(X, TypeError())
    # Of complex columns beside nullable ones, the real part would be taken.
    if table and "c" in kinds:
        raise explained(X, ValueError("Complex data not supported"))


def check_targets(y: Any) -> None:
    """Raise `TypeError` for dates or durations, which would be taken for integers."""
    y = getattr(y, "_meta", y)
    table = hasattr(y, "columns") and hasattr(y, "dtypes")
    kinds = _kinds(y, table)
    if not table and hasattr(y, "to_numpy"):
        # Types of polars and Arrow have no kind.
        kinds = {y[:0].to_numpy().dtype.kind}
    for kind in "Mm":
        if kind in kinds:
            what, advice = OF_KIND[kind]
            raise TypeError(f"y has {what}, and targets are real numbers: {advice}.")


def _kinds(X: Any, table: bool) -> set[str | None]:
    if is_arrow_table(X):
        return {*arrow_kinds(X)}
    if hasattr(X, "get_column"):
        # Polars' own types have no kind.
        empty = [X.get_column(name).head(0).to_numpy() for name in X.columns]
        return {column.dtype.kind for column in empty}
    dtypes = X.dtypes if table else [getattr(X, "dtype", None)]
    return {getattr(dtype, "kind", None) for dtype in dtypes}


def explained(X: Any, error: Exception) -> Exception:
    """Return the error of a conversion to numbers, with the column that it is of."""
    if isinstance(X, np.matrix):
        return error
    for name, column in _columns(X):
        found = _what_is_there(column)
        if found is None:
            continue
        what, advice, value = found
        example = "" if value is None else f", such as {value!r}"
        # Promotion of types is told in the terms of NumPy; complex data are shown.
        said = str(error).partition("\n")[0].rstrip(".")
        told = f"{said}. " if said.startswith(SAID) else ""
        kind = TypeError if isinstance(error, TypeError) else ValueError
        return kind(
            f"{told}Column {name!r} of X has {what}{example}, and a mixture takes real "
            f"numbers. Leave the column out, or {advice}."
        )
    return error


def _columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the name or the index of each column, and the column."""
    if is_arrow_table(X):
        yield from ((name, arrow_values(own)) for name, own in arrow_columns(X))
        return
    names = getattr(X, "columns", None)
    if names is not None:
        at = getattr(X, "iloc", X)
        for j, name in enumerate(names):
            yield name, at[:, j]
        return
    try:
        array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    except ValueError:  # rows of different lengths
        return
    if array.ndim == 2:
        yield from enumerate(array.T)


def _what_is_there(column: Any) -> tuple[str, str, Any] | None:
    """Return what a column has in place of numbers, advice, and a value; or None."""
    kind = getattr(column.dtype, "kind", None)
    if kind in OF_KIND:
        return (*OF_KIND[kind], None)
    for value in column:
        try:
            if not is_missing(value):
                float(value)
        except (TypeError, ValueError):
            return _what_it_is(column, value)
    return None


def _what_it_is(column: Any, value: Any) -> tuple[str, str, Any]:
    if isinstance(value, date) or type(value).__name__ == "Period":
        return (*DATES, None)
    if isinstance(value, timedelta):
        return (*DURATIONS, None)
    if str(column.dtype).lower().startswith("categor"):
        return (*CATEGORIES, value)
    if isinstance(value, str):
        return (*TEXT, str(value))
    advice = "turn them into numbers first"
    return f"objects of type {type(value).__name__}", advice, None
