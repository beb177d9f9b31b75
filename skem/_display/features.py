"""Which features, or directions, to draw."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from skem._display.marginal import marginal, projected
from skem._display.projection import directions
from skem._inputs.array_api import numpy_of
from skem._inputs.features import check_features
from skem.gaussian_mixture import GaussianMixture

MOST_PAIRED = 10
"""Features of a pairs grid that nobody has chosen, and directions."""


class Shown(NamedTuple):
    """What is drawn of a mixture: the mixture of p variables, and their names.

    They are some of the features, or directions (d, p).
    """

    mixture: GaussianMixture
    names: list[str]
    chosen: list[int]
    directions: np.ndarray | None
    mean: np.ndarray

    @classmethod
    def of(
        cls,
        fitted: Any,
        features: Sequence[int | str] | int | str | None,
        n_directions: int | None,
        names: list[str],
    ) -> Shown:
        """Take the features that are asked for, all if they are few, or directions."""
        d = len(names)
        mean = numpy_of(fitted.weights_) @ numpy_of(fitted.means_)
        if n_directions is not None:
            most = min(d, MOST_PAIRED)
            if features is not None:
                raise ValueError("Give either features or n_directions, not both.")
            if not isinstance(n_directions, Integral) or not 1 <= n_directions <= most:
                raise ValueError(
                    f"n_directions should be an integer from 1 to {most}, got "
                    f"{n_directions!r}"
                )
        elif features is not None or d <= MOST_PAIRED:
            chosen = list(range(d))
            if features is not None:
                chosen = check_features(features, names)
            own = marginal(fitted, chosen)
            return cls(own, [names[j] for j in chosen], chosen, None, mean)
        V = directions(fitted, 2 if n_directions is None else int(n_directions))
        called = [f"direction {i}" for i in range(1, V.shape[1] + 1)]
        return cls(projected(fitted, V), called, [], V, mean)

    def of_rows(self, X: np.ndarray) -> np.ndarray:
        """Return the variables of rows; a row with a gap has no directions."""
        if self.directions is None:
            return X[:, self.chosen]
        with np.errstate(over="ignore", invalid="ignore"):
            return (X - self.mean) @ self.directions
