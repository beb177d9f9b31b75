"""Cells without a value, however they are told: masks, None, pandas' NA and NaT."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """Whether a cell has no value."""
    if value is None or value is np.ma.masked:
        return True
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Real) and bool(value != value)


def with_nan(X: Any) -> Any:
    """Return objects with NaN where there is no value; frames keep their names."""
    objects = np.array(X, dtype=object)
    objects[np.frompyfunc(is_missing, 1, 1)(objects).astype(bool)] = np.nan
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return type(X)(objects, index=X.index, columns=X.columns)
    return objects


def with_gaps(convert: Callable[..., Any], X: Any, *args: Any, **options: Any) -> Any:
    """Convert X to numbers, of which pandas' NA is none, but NaN is."""
    try:
        return convert(X, *args, **options)
    except TypeError as error:
        if not str(error).endswith(("'NAType'", "'NaTType'")):
            raise
    return convert(with_nan(X), *args, **options)


def is_masked(values: Any) -> bool:
    """Whether values are a masked array of NumPy, or one of Dask made of them."""
    return isinstance(getattr(values, "_meta", values), np.ma.MaskedArray)


def unmasked(values: Any) -> Any:
    """Return a masked array as one with NaN where it is masked; others as they are.

    Integers become float64, and what is no number an array of objects.
    """
    if not is_masked(values):
        return values
    if hasattr(values, "map_blocks"):
        meta = unmasked(values._meta)
        return values.map_blocks(unmasked, dtype=meta.dtype, meta=meta)
    kind = values.dtype.kind
    if kind not in "fc":
        values = values.astype(float if kind in "iu" else object)
    return values.filled(np.nan)


def check_each(values: Any, name: str) -> None:
    """Require a value in every row, of texts and of nullable types too."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuUSmM":
        return
    if any(is_missing(value) for value in np.asarray(values, dtype=object).flat):
        raise ValueError(
            f"Values of {name} are missing, and every row needs one. Fill them, or "
            "leave these rows out."
        )


def whole(values: Any, name: str) -> Any:
    """Return values of which every row needs one: none may be masked."""
    if not is_masked(values):
        return values
    if hasattr(values, "map_blocks"):
        meta = values._meta.data
        return values.map_blocks(whole, name, dtype=meta.dtype, meta=meta)
    if np.ma.is_masked(values):
        raise ValueError(
            f"Values of {name} are masked, and every row needs one. Fill them, or "
            "leave these rows out."
        )
    return values.data
