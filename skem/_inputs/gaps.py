"""Cells without a value, however they are told: None, pandas' NA and NaT."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np


def is_missing(value: Any) -> bool:
    """Whether a cell has no value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
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
