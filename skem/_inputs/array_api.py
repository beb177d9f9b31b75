"""Arrays of other libraries than NumPy, where scikit-learn dispatches to them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn import get_config

from skem._inputs.frames import arrow_values, is_arrow_column
from skem._inputs.gaps import unmasked
from skem._inputs.sklearn import convert_to_numpy, get_namespace_and_device, move_to

LIBRARIES = ("torch", "cupy", "jax")
"""Those with arrays that do not name their namespace, or have not always done so."""


def _library_of(X: Any) -> str:
    return type(X).__module__.partition(".")[0]


def is_foreign(X: Any) -> bool:
    """Whether X is an array of another library."""
    return not isinstance(X, np.ndarray) and (
        hasattr(X, "__array_namespace__") or _library_of(X) in LIBRARIES
    )


def _is_dispatched(X: Any) -> bool:
    """Whether X is an array of another library, and scikit-learn dispatches."""
    return get_config()["array_api_dispatch"] and is_foreign(X)


def as_numpy(X: Any) -> Any:
    """Return an array of another library as NumPy's; what is none, as it is.

    What is masked is NaN. So are columns of Arrow.
    """
    if is_arrow_column(X):
        return arrow_values(X)
    return numpy_of(X) if _is_dispatched(X) else unmasked(X)


def numpy_of(values: Any, dtype: Any = None) -> np.ndarray:
    """Return values as an array of NumPy, also where nothing is dispatched any more."""
    if is_foreign(values):
        library = sys.modules[_library_of(values)]
        values = convert_to_numpy(values, library)
    return np.asarray(values, dtype=dtype)


def like_given(X: Any, values: Any) -> Any:
    """Return an array of NumPy as X was given: of its library, on its device."""
    if not _is_dispatched(X):
        return values
    xp, _, device = get_namespace_and_device(X)
    if move_to is None:
        return xp.asarray(values, device=device)
    return move_to(values, xp=xp, device=device)
