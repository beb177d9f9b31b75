"""Starts of EM: seed labels on a subsample, for the same M-step as everyone else."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.blocks import Block
from skem.core.em import EMMap
from skem.core.noise import clean
from skem.core.parameters import Parameters
from skem.core.seeds import Initializer, on_checked_data
from skem.core.statistics import Statistics

SEED_ROWS = 20_000
SEED_ROWS_PER_COMPONENT = 200


class Rows(NamedTuple):
    """A block, its standardised rows (n, d), weights, w²/12 of shared values.

    Rows are completed, and what completes them has its variance beside w²/12. Those
    that are `kept`, a mask, are no noise.
    """

    block: Block
    Z: np.ndarray
    weight: np.ndarray
    squares: np.ndarray | None
    kept: np.ndarray | None = None

    def labelled(self, em: EMMap, resp: np.ndarray) -> Statistics:
        """Statistics with given (weighted) responsibilities, about the means."""
        return em.of_part(em.of_labels(self.Z, resp, self.squares))


def initialize(
    em: EMMap, method: Initializer, n_components: int, rng: np.random.RandomState
) -> Parameters:
    """Seed by `method` on at most a subsample, then take one M-step."""
    rows = without_noise(em, subsample(em, n_components, rng), n_components, rng)
    return em.admitted(seeded(em, method, n_components, rng, rows))


def seeded(
    em: EMMap,
    method: Initializer,
    n_components: int,
    rng: np.random.RandomState,
    rows: Rows,
) -> Parameters:
    """Seed by `method` on a subsample, then take one M-step."""
    Z, weight, kept = rows.Z, rows.weight, rows.kept
    # Every second time, on the average, noise begins with none of the rows.
    if kept is not None and rng.uniform() < 0.5:
        kept = None
    with on_checked_data():
        near = em.gathered(Z)
        if kept is None:
            resp = method(near, weight, n_components, rng)
        else:
            # What is noise has no label.
            resp = np.zeros((n_components, len(Z)))
            resp[:, kept] = method(near[kept], weight[kept], n_components, rng)
        resp *= weight
    statistics = rows.labelled(em, resp)
    if kept is not None:
        statistics = replace(statistics, noise=weight[~kept].sum())
    return em.started(statistics)


def without_noise(
    em: EMMap, rows: Rows, n_components: int, rng: np.random.RandomState
) -> Rows:
    """Find the rows that are no noise, if there is noise and they are enough."""
    if em.background is None or rows.block.known is not None:
        return rows
    kept = clean(rows.Z, rng)
    enough = len(np.unique(rows.Z[kept], axis=0)) >= n_components
    return rows._replace(kept=kept) if enough else rows


def of_known(rows: Rows) -> Initializer:
    """Return a starting method that begins with the rows whose component is known.

    If there are some of each component, all others are left out. Else those go to the
    nearest of the means of the known and of rows chosen far from them. If there are no
    others, components without a label are empty.
    """
    known = rows.block.known
    assert known is not None

    def method(
        Z: np.ndarray,
        weight: np.ndarray,
        n_components: int,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        resp = (known == np.arange(n_components)[:, None]).astype(float)
        sizes = resp @ weight
        found = sizes > 0
        if found.all():
            return resp
        seeds = resp @ (Z * weight[:, None]) / np.where(found, sizes, 1)[:, None]
        others = np.flatnonzero(known == -1)
        if not len(others):
            return resp
        for k in np.flatnonzero(~found):
            apart = np.ones(len(others))
            if found.any():
                apart = cdist(Z[others], seeds[found], "sqeuclidean").min(axis=1)
            apart = apart * weight[others] + np.finfo(float).tiny
            seeds[k] = Z[others[rng.choice(len(others), p=apart / apart.sum())]]
            found[k] = True
        nearest = cdist(Z[others], seeds, "sqeuclidean").argmin(axis=1)
        resp[nearest, others] = 1
        return resp

    return method


def subsample(em: EMMap, n_components: int, rng: np.random.RandomState) -> Rows:
    """Rows of positive weight, chosen by index."""
    most = max(SEED_ROWS, SEED_ROWS_PER_COMPONENT * n_components)
    taken = em.blocks.take(em.random_rows(most, rng))
    z, squares = em.filled(taken.X.T)
    weight = np.ones(taken.n_samples) if taken.weight is None else taken.weight
    block = taken.block(0, taken.n_samples)._replace(weight=None)
    return Rows(block, np.ascontiguousarray(z.T), weight, squares)
