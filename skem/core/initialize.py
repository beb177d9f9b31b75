"""Starts of EM: seed labels on a subsample, for the same M-step as everyone else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skem.core.blocks import Block
from skem.core.em import EMMap
from skem.core.parameters import Parameters
from skem.core.seeds import Initializer, on_checked_data
from skem.core.statistics import Statistics

SEED_ROWS = 20_000
SEED_ROWS_PER_COMPONENT = 200


class Rows(NamedTuple):
    """A block, its standardised rows (n, d), weights, w²/12 of shared values.

    Rows are completed, and what completes them has its variance beside w²/12.
    """

    block: Block
    Z: np.ndarray
    weight: np.ndarray
    squares: np.ndarray | None

    def labelled(self, em: EMMap, resp: np.ndarray) -> Statistics:
        """Statistics with given (weighted) responsibilities, about the means."""
        return em.of_part(em.of_labels(self.Z, resp, self.squares))


def initialize(
    em: EMMap, method: Initializer, n_components: int, rng: np.random.RandomState
) -> Parameters:
    """Seed by `method` on at most a subsample, then take one M-step."""
    return seeded(em, method, n_components, rng, subsample(em, n_components, rng))


def seeded(
    em: EMMap,
    method: Initializer,
    n_components: int,
    rng: np.random.RandomState,
    rows: Rows,
) -> Parameters:
    """Seed by `method` on a subsample, then take one M-step."""
    with on_checked_data():
        near = em.gathered(rows.Z)
        resp = method(near, rows.weight, n_components, rng) * rows.weight
    return em.maximise(rows.labelled(em, resp))


def subsample(em: EMMap, n_components: int, rng: np.random.RandomState) -> Rows:
    """Rows of positive weight, chosen by index."""
    most = max(SEED_ROWS, SEED_ROWS_PER_COMPONENT * n_components)
    taken = em.blocks.take(em.blocks.random_rows(most, rng))
    z, squares = em.filled(taken.X.T)
    weight = np.ones(taken.n_samples) if taken.weight is None else taken.weight
    block = taken.block(0, taken.n_samples)._replace(weight=None)
    return Rows(block, np.ascontiguousarray(z.T), weight, squares)
