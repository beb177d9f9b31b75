"""Arrays of other libraries than NumPy, where scikit-learn dispatches to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import get_config

from skem._inputs.sklearn import convert_to_numpy, get_namespace_and_device, move_to

LIBRARIES = ("torch", "cupy", "jax")
"""Those with arrays that do not name their namespace, or have not always done so."""


def _is_dispatched(X: Any) -> bool:
    """Whether X is an array of another library, and scikit-learn dispatches."""
    return (
        not isinstance(X, np.ndarray)
        and get_config()["array_api_dispatch"]
        and (
            hasattr(X, "__array_namespace__")
            or type(X).__module__.partition(".")[0] in LIBRARIES
        )
    )


def as_numpy(X: Any) -> Any:
    """Return an array of another library as NumPy's; what is none, as it is."""
    if not _is_dispatched(X):
        return X
    xp, _, _ = get_namespace_and_device(X)
    return np.asarray(convert_to_numpy(X, xp))


def like_given(X: Any, values: Any) -> Any:
    """Return an array of NumPy as X was given: of its library, on its device."""
    if not _is_dispatched(X):
        return values
    xp, _, device = get_namespace_and_device(X)
    if move_to is None:
        return xp.asarray(values, device=device)
    return move_to(values, xp=xp, device=device)
