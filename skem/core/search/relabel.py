"""Moves as labellings: the rows of a component go to others, or are split in two.

An M-step of such responsibilities makes a mixture, of whatever family.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skem.core.search.draw import drawn_of_each, nearer
from skem.core.search.move import CERTAIN, missed


@dataclass(frozen=True)
class Relabelling:
    """Rows (n, d) with weights, and responsibilities (K, n) to change at random."""

    Z: np.ndarray
    weight: np.ndarray
    resp: np.ndarray

    def moved(self, rng: np.random.RandomState) -> np.ndarray:
        """Take a dispensable component away, and split another one."""
        return self.split(self.without(self.dispensable(1, rng)[0]), rng)

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(missed(self.resp, self.weight), kind="stable")

    def dispensable(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Choose components, each half as likely as the one that is missed less."""
        order = self._order
        keys = np.log(2) * np.arange(len(order)) - rng.gumbel(size=len(order))
        return order[np.argsort(keys)[:most]]

    def without(self, gone: int) -> np.ndarray:
        """Give all rows of a component to the others, by what these have of each."""
        resp = np.delete(self.resp, gone, axis=0) + CERTAIN
        return resp / resp.sum(axis=0)

    def split(self, resp: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Split the component that owns a random row, between that and another one."""
        here = drawn_of_each(self.weight[None], rng)
        (owner,) = drawn_of_each(resp[:, here].T, rng)
        there = drawn_of_each(resp[None, owner] * self.weight, rng)
        (first,) = nearer([self.Z], here, there)
        halves = np.stack([resp[owner] * first, resp[owner] * ~first])
        return np.concatenate([resp[:owner], resp[owner + 1 :], halves])
