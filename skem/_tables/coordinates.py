"""Free coordinates of a mixture of a table, and how log-densities move with them.

Derivatives of shares, weights and proportions, are those of a softmax. Others are
central differences in coordinates in which the information is about the identity. Most
coordinates move one component alone, so that those of different components are moved
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any, Protocol

import numpy as np

from skem.families.categories import CategoricalModel
from skem.families.hurdle import ZERO
from skem.families.model import Laws, Model

DIFFERENCE = 1e-2
"""Of coordinates in which the information of the data is about one."""
LOGARITHM = 1e-3
"""Of logarithms of shares, at most: those that few rows have are far from linear."""

Curvature = tuple[int, int, np.ndarray]
"""Two directions, and for each component the sum of second derivatives along them."""


class Logits(Protocol):
    """A part of log w p(x), a function of weights or laws: (K, b)."""

    def __call__(self, laws: Any) -> np.ndarray:
        """Return its values."""

    @property
    def chosen(self) -> np.ndarray:
        """Which share it is the logarithm of: one-hot (C, K or 1, b), or zero."""


@dataclass(frozen=True)
class WeightLogits:
    """Log w of each component, for so many rows."""

    n_components: int
    n: int

    def __call__(self, laws: np.ndarray) -> np.ndarray:
        """Return them."""
        return np.repeat(np.log(laws)[:, None], self.n, axis=1)

    @property
    def chosen(self) -> np.ndarray:
        """Each component's own."""
        K = self.n_components
        return np.broadcast_to(np.eye(K)[:, :, None], (K, K, self.n))


@dataclass(frozen=True)
class ModelLogits:
    """Log p(x) of columns, less what does not depend on the laws."""

    model: Model
    rows: np.ndarray

    def __call__(self, laws: Laws) -> np.ndarray:
        """Return it."""
        return self.model.logits(laws, self.rows)

    @property
    def chosen(self) -> np.ndarray:
        """That of a row's category, none where it is missing."""
        return self.rows[:, None]


class HurdleLogits:
    """Log-probabilities of a zero, and of another value."""

    def __call__(self, laws: Laws) -> np.ndarray:
        """Return them, (K, 2)."""
        return np.log(np.column_stack([laws[ZERO], 1 - laws[ZERO]]))

    @property
    def chosen(self) -> np.ndarray:
        """They are no shares."""
        return np.zeros((2, 1, 2))


@dataclass(frozen=True)
class FreeCoordinates:
    """Coordinates of weights, or of one model's laws, and what they move.

    `moves` has, for each direction, the coordinate that moves each component: one of
    its own, or one that they share; −1 where there is none.
    """

    unpack: Callable[[np.ndarray], Any]
    size: int
    moves: np.ndarray

    @classmethod
    def none(cls, value: Any, n_components: int) -> FreeCoordinates:
        """None, of what is given."""
        return cls(lambda _: value, 0, np.empty((0, n_components), int))

    @classmethod
    def of_model(cls, model: Any, laws: Laws, counts: np.ndarray) -> FreeCoordinates:
        """Those of a model, with the coordinates of different components together."""
        size, K = len(model.pack(laws, laws, counts)), len(counts)

        def unpack(vector: np.ndarray) -> Laws:
            return model.unpack(vector, laws, counts)

        here = unpack(np.zeros(size))
        own: list[list[int]] = [[] for _ in range(K)]
        shared = []
        for c, step in enumerate(np.eye(size) * DIFFERENCE):
            there = unpack(step)
            moved = np.zeros(K, dtype=bool)
            for name, law in here.items():
                changed = law != there[name]
                of_each = len(law) == K and (law.ndim == 1 or model.apart)
                if of_each:
                    moved |= changed.reshape(K, -1).any(axis=1)
                else:
                    moved |= bool(changed.any())
            if moved.sum() == 1:
                own[int(moved.argmax())].append(c)
            else:
                shared.append(np.full(K, c))
        most = max(map(len, own))
        together = [[o[a] if a < len(o) else -1 for o in own] for a in range(most)]
        moves = np.array([*together, *shared], dtype=int).reshape(-1, K)
        return cls(unpack, size, moves)

    @property
    def reach(self) -> np.ndarray:
        """Steps of differences, of each coordinate."""
        return np.full(self.size, DIFFERENCE)

    def _steps(self) -> Iterator[np.ndarray]:
        """Yield a step along each direction."""
        for move in self.moves:
            step = np.zeros(self.size)
            step[move[move >= 0]] = DIFFERENCE
            yield step

    def slopes(self, logits: Logits) -> list[np.ndarray]:
        """Return derivatives along each direction, (K, b)."""
        return [
            (logits(self.unpack(step)) - logits(self.unpack(-step))) / (2 * DIFFERENCE)
            for step in self._steps()
        ]

    def curvatures(self, logits: Logits, weighted: np.ndarray) -> Iterator[Curvature]:
        """Yield Σ v r ∂D of pairs of directions."""

        def total(step: np.ndarray) -> np.ndarray:
            return np.einsum("kb,kb->k", weighted, logits(self.unpack(step)))

        pairs = combinations_with_replacement(enumerate(self._steps()), 2)
        for (i, a), (j, b) in pairs:
            found = total(a + b) - total(a - b) - total(b - a) + total(-a - b)
            yield i, j, found / (4 * DIFFERENCE**2)


@dataclass(frozen=True)
class ShareCoordinates(FreeCoordinates):
    """√n log p of shares p (K, C), of which those of a component add up to one.

    `scale` (K, C) is what a coordinate is, in units of its logarithm.
    """

    shares: np.ndarray
    scale: np.ndarray

    @classmethod
    def of_weights(cls, weights: np.ndarray, counts: np.ndarray) -> ShareCoordinates:
        """Of weights, which all components depend on."""
        logs = np.log(np.maximum(weights, 1e-300))

        def unpack(vector: np.ndarray) -> np.ndarray:
            shares = np.exp(logs + vector / np.sqrt(counts))
            return shares / shares.sum()

        K = len(weights)
        moves = np.repeat(np.arange(K)[:, None], K, axis=1)
        scale = np.broadcast_to(np.sqrt(counts), (K, K))
        return cls(unpack, K, moves, np.broadcast_to(weights, (K, K)), scale)

    @classmethod
    def of_categories(
        cls, model: CategoricalModel, laws: Laws, counts: np.ndarray
    ) -> ShareCoordinates:
        """Of the proportions of each component."""
        chart = model.alone.chart([laws], counts)

        def unpack(vector: np.ndarray) -> Laws:
            return next(chart.unpack(vector))

        places = np.arange(chart.scale.size).reshape(chart.scale.shape)
        return cls(unpack, places.size, places.T, chart.origin, chart.scale)

    @cached_property
    def reach(self) -> np.ndarray:
        """Steps of differences, that logarithms are about linear in."""
        scale = np.empty(self.size)
        scale[self.moves] = self.scale.T
        return np.minimum(DIFFERENCE, LOGARITHM * scale)

    def slopes(self, logits: Logits) -> list[np.ndarray]:
        """1[x = c] − p_c, where there is an x."""
        chosen = logits.chosen
        there = chosen.sum(axis=0)
        pairs = zip(chosen, self.shares.T[..., None], strict=True)
        scales = self.scale.T[..., None]
        return [
            (own - p * there) / scale
            for (own, p), scale in zip(pairs, scales, strict=True)
        ]

    def curvatures(self, logits: Logits, weighted: np.ndarray) -> Iterator[Curvature]:
        """−(1[c = d] p_c − p_c p_d), for all that there is."""
        n = (weighted * logits.chosen.sum(axis=0)).sum(axis=1)
        directions = list(zip(self.shares.T, self.scale.T, strict=True))
        pairs = combinations_with_replacement(enumerate(directions), 2)
        for (i, (p, scale)), (j, (q, other)) in pairs:
            yield i, j, -n * ((i == j) * p - p * q) / (scale * other)
