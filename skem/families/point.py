"""Points of a mixture of a table, one or several of them stacked; sums of a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skem.core.gaussian.parameters import TINY
from skem.families.model import Laws


@dataclass(frozen=True)
class Point:
    """The parameters of a mixture: weights, and the laws of each group of columns.

    Or of S mixtures at once, if `stack` is (S,): the components of all of them stand
    one behind the other, S·K of them.
    """

    weights: np.ndarray
    laws: tuple[Laws, ...]
    stack: tuple[int, ...] = ()

    @property
    def log_weights(self) -> np.ndarray:
        """Log w, finite also where a weight is zero."""
        return np.log(np.maximum(self.weights, TINY))

    @classmethod
    def stacked(cls, points: Sequence[Point]) -> Point:
        """Put mixtures of as many components each behind one another."""
        laws = tuple(
            {name: np.concatenate([law[name] for law in group]) for name in group[0]}
            for group in zip(*(point.laws for point in points), strict=True)
        )
        weights = np.concatenate([point.weights for point in points])
        return cls(weights, laws, (len(points),))

    @property
    def mixtures(self) -> list[Point]:
        """Undo `stacked`."""
        if not self.stack:
            return [self]
        K = len(self.weights) // self.stack[0]
        cuts = [slice(i * K, (i + 1) * K) for i in range(self.stack[0])]
        return [
            Point(
                self.weights[cut],
                tuple(
                    {name: law[cut] for name, law in group.items()}
                    for group in self.laws
                ),
            )
            for cut in cuts
        ]


@dataclass
class Sums:
    """What a pass adds up: Σ v log p, R Fᵀ, and the sums of other families."""

    loglik: float | np.ndarray
    linear: np.ndarray
    own: list[np.ndarray | None]

    def __add__(self, other: Sums) -> Sums:
        own = [
            None if a is None or b is None else a + b
            for a, b in zip(self.own, other.own, strict=True)
        ]
        return Sums(self.loglik + other.loglik, self.linear + other.linear, own)

    def __mul__(self, factor: float) -> Sums:
        own = [None if each is None else each * factor for each in self.own]
        return Sums(self.loglik * factor, self.linear * factor, own)


@dataclass(frozen=True)
class Given:
    """Which parts of a point a fit leaves as they are: weights, and groups' laws."""

    point: Point
    weights: bool
    groups: tuple[bool, ...]

    def restored(self, point: Point) -> Point:
        """Put what is given in its place."""
        chosen = zip(self.groups, self.point.laws, point.laws, strict=True)
        laws = tuple(own if given else found for given, own, found in chosen)
        return Point(self.point.weights if self.weights else point.weights, laws)
