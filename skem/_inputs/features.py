"""Names or indices of features, resolved in one place."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

MOST_NAMED = 12
"""Names that an error lists, at most."""


def names_of(
    estimator: Any, n_features: int, given: Sequence[str] | None = None
) -> list[str]:
    """Return the names of all features: as given, as seen in fit, or x0, x1, x2."""
    if given is None:
        seen = getattr(estimator, "feature_names_in_", None)
        return [f"x{j}" for j in range(n_features)] if seen is None else list(seen)
    names = [str(name) for name in given]
    if len(names) != n_features:
        raise ValueError(
            f"feature_names should have {n_features} names, got {len(names)}"
        )
    return names


def check_features(
    features: Sequence[int | str] | int | str,
    names: Sequence[str],
    called: str = "features",
) -> list[int]:
    """Return the indices of distinct features, at least one, in the order given.

    A boolean mask of all features has them in their own order.
    """
    each = np.array(features, dtype=object)
    if each.ndim and all(isinstance(value, bool | np.bool_) for value in each.flat):
        if each.size not in (0, len(names)):
            raise ValueError(
                f"A boolean mask of {called} must have one value for each of the "
                f"{len(names)} features, got {each.size}"
            )
        each = np.flatnonzero(each)
    chosen = [feature_index(feature, names, called) for feature in each.flat]
    if not chosen:
        raise ValueError(f"{called} should have at least one feature")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{called} should be distinct, got {features!r}")
    return chosen


def feature_index(feature: Any, names: Sequence[str], called: str = "features") -> int:
    """Return the index of a feature, given by that or by its name."""
    if isinstance(feature, str):
        if feature not in names:
            known = ", ".join(map(repr, names[:MOST_NAMED]))
            others = ", …" if len(names) > MOST_NAMED else ""
            raise ValueError(
                f"Feature {feature!r} not in feature_names; there are {known}{others}"
            )
        return list(names).index(feature)
    index = isinstance(feature, Integral) and not isinstance(feature, bool)
    if not index or int(feature) not in range(len(names)):
        raise ValueError(
            f"All entries of {called} must be names, or integers in [0, "
            f"{len(names) - 1}], got {feature!r}"
        )
    return int(feature)
