"""How values were recorded, so that simulated ones are recorded alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from skem.core.blocks.arrays import Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.mixture.scale import Sample


@dataclass(frozen=True)
class Recording:
    """Steps and shared values of data, and how many of those nearby have them.

    `shares` are those of the rows near each shared value that have it: some people give
    their age in fives, and others in years.
    """

    coordinates: Coordinates
    shares: list[np.ndarray]

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        coordinates: Coordinates,
        structure: Structure,
        X: np.ndarray,
        weight: np.ndarray | None,
    ) -> Self:
        """Look at the data, whatever penalty they are fitted with."""
        coordinates = Sample.of(blocks, coordinates, structure).coordinates
        v = np.ones(len(X)) if weight is None else weight
        shares = []
        for atoms, place in coordinates.near_shared(X.T):
            near, size = place >= 0, len(atoms.values)
            has = near & (X[:, atoms.feature] == atoms.values[place])
            own, every = (np.bincount(place[of], v[of], size) for of in (has, near))
            shares.append(np.divide(own, every, out=np.zeros(size), where=every > 0))
        return cls(coordinates, shares)

    def recorded(self, values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return values (d, n) as the data would have them.

        In their steps, between their ends, and some of those near shared values there.
        """
        out = self.coordinates.in_steps(values)
        found = list(self.coordinates.near_shared(out))
        for (atoms, place), shares in zip(found, self.shares, strict=True):
            moved = (place >= 0) & (rng.random_sample(len(place)) < shares[place])
            own = atoms.values[place]
            out[atoms.feature] = np.where(moved, own, out[atoms.feature])
        return out
