"""Which features to draw, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

MOST_FEATURES = 10
"""Features of a pairs grid that nobody has chosen."""


def names_of(estimator: Any, n_features: int, given: Sequence[str] | None) -> list[str]:
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
    features: Sequence[int | str] | int | str | None, names: Sequence[str]
) -> list[int]:
    """Return the indices of the features to draw."""
    n_features = len(names)
    if features is None:
        if n_features > MOST_FEATURES:
            raise ValueError(
                f"A grid of all {n_features} features would not be legible; choose "
                "some with the parameter features."
            )
        return list(range(n_features))
    if isinstance(features, str | Integral):
        features = [features]
    chosen = [_index(feature, names) for feature in np.array(features, dtype=object)]
    if not chosen:
        raise ValueError("features should have at least one feature")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"features should be distinct, got {features!r}")
    return chosen


def _index(feature: Any, names: Sequence[str]) -> int:
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"Feature {feature!r} not in feature_names")
        return list(names).index(feature)
    if not isinstance(feature, Integral) or int(feature) not in range(len(names)):
        raise ValueError(
            f"All entries of features must be names, or integers in [0, "
            f"{len(names) - 1}], got {feature!r}"
        )
    return int(feature)
