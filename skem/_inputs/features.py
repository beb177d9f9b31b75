"""Names or indices of features, resolved in one place."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np


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
    """Return the indices of distinct features, at least one, in the order given."""
    if isinstance(features, str | Integral):
        features = [features]
    each = np.array(features, dtype=object).ravel()
    chosen = [feature_index(feature, names, called) for feature in each]
    if not chosen:
        raise ValueError(f"{called} should have at least one feature")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{called} should be distinct, got {features!r}")
    return chosen


def feature_index(feature: Any, names: Sequence[str], called: str = "features") -> int:
    """Return the index of a feature, given by that or by its name."""
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"Feature {feature!r} not in feature_names")
        return list(names).index(feature)
    if not isinstance(feature, Integral) or int(feature) not in range(len(names)):
        raise ValueError(
            f"All entries of {called} must be names, or integers in [0, "
            f"{len(names) - 1}], got {feature!r}"
        )
    return int(feature)
