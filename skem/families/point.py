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

    def __getitem__(self, index: int | np.ndarray) -> Point:
        """Return one or several mixtures of a stack."""
        numbers = np.arange(self.weights.size).reshape(*self.stack, -1)[index].ravel()
        laws = self.laws
        if self.stack != (1,):
            # One mixture may have parameters that its components share.
            laws = tuple(
                {name: law[numbers] for name, law in each.items()} for each in laws
            )
        stack = () if np.ndim(index) == 0 else (np.size(index),)
        return Point(self.weights[numbers], laws, stack)

    @property
    def mixtures(self) -> list[Point]:
        """Undo `stacked`."""
        return [self[i] for i in range(*self.stack)] if self.stack else [self]


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
        weights = self.point.weights if self.weights else point.weights
        return Point(weights, laws, point.stack)
