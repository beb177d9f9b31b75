"""Many starts at once: rows drawn for all of them together, and one M-step.

Where many plain steps take little time, this is the shortest way to a good optimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.mixture.seeds import memberships
from skem.core.search.climb import Trial, climb, height, highest, ranked
from skem.core.search.draw import drawn_of_each
from skem.core.search.initialize import LABELS, of_rows, subsample
from skem.core.search.onward import FOLLOWED, GAIN
from skem.core.search.search import Follow
from skem.core.solve.loop import Solution

KINDS = 3
"""Rows chosen evenly, rows chosen far apart, and clusters about the latter."""
START_STEPS = 40
"""Steps that each start gets."""
MEANS = 3
"""Times that clusters take the means of their rows."""


def many(
    em: EMMap, n_components: int, count: int, rng: np.random.RandomState
) -> list[Parameters]:
    """Make so many diverse starts; those that fail are left out.

    Each row goes to the nearest of one row of each component.
    """
    rows = subsample(em, n_components, rng)
    most = max(1, LABELS // (n_components * len(rows.Z)))
    found: list[Parameters] = []
    for first in range(0, count, most):
        kinds = np.arange(first, min(first + most, count)) % KINDS
        labels = labelled(rows, n_components, kinds, rng)
        resp = memberships(labels, n_components) * rows.weight
        found += (start for _, start in of_rows(em, rows, resp))
    return found


def labelled(
    rows: Rows, n_components: int, kinds: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Return labels of the rows, (len(kinds), n)."""
    Z, weight = rows.Z, rows.weight
    count, n = len(kinds), len(Z)
    nearest, labels = np.full((count, n), np.inf), np.zeros((count, n), int)
    far_apart = np.asarray(kinds > 0)[:, None]
    for k in range(n_components):
        # Where rows are fewer than components, the last ones get none.
        apart = far_apart & (k > 0)
        chances = np.where(apart, np.minimum(nearest, np.finfo(float).max), 1) * weight
        distances = cdist(Z[drawn_of_each(chances, rng)], Z, "sqeuclidean")
        labels[distances < nearest] = k
        nearest = np.minimum(nearest, distances)
    clusters = kinds == KINDS - 1
    if clusters.any():
        labels[clusters] = about_means(Z, weight, labels[clusters], n_components)
    return labels


def about_means(
    Z: np.ndarray, weight: np.ndarray, labels: np.ndarray, n_components: int
) -> np.ndarray:
    """Give rows to the nearest of the means of clusters, a few times."""
    count, (n, d) = len(labels), Z.shape
    for _ in range(MEANS):
        resp = memberships(labels, n_components) * weight
        sizes = resp.sum(axis=-1, keepdims=True)
        means = (resp @ Z) / np.where(sizes > 0, sizes, 1)
        flat = cdist(means.reshape(-1, d), Z, "sqeuclidean")
        distances = flat.reshape(count, n_components, n)
        labels = np.where(sizes > 0, distances, np.inf).argmin(axis=1)
    return labels


def best_end(
    em: EMMap,
    starts: Sequence[Parameters],
    finish: Follow,
    best: Solution | None = None,
) -> Solution:
    """Follow the most hopeful starts, and return the end of the best.

    If that is not beyond the `best` so far, return this.
    """
    least = -math.inf if best is None else height(best)
    trials = ranked(climb(em, starts, START_STEPS, least), Trial.hope)

    def followed(trial: Trial) -> Solution:
        return finish(em, trial.parameters)

    return highest(trials[:FOLLOWED], followed, Trial.hope, GAIN, best)
