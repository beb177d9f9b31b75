"""Which features to draw."""

from __future__ import annotations

from collections.abc import Sequence

from skem._features import check_features

MOST_FEATURES = 10
"""Features of a pairs grid that nobody has chosen."""


def features_to_draw(
    features: Sequence[int | str] | int | str | None, names: Sequence[str]
) -> list[int]:
    """Return the indices of the features to draw."""
    n_features = len(names)
    if features is not None:
        return check_features(features, names)
    if n_features > MOST_FEATURES:
        raise ValueError(
            f"A grid of all {n_features} features would not be legible; choose "
            "some with the parameter features."
        )
    return list(range(n_features))
