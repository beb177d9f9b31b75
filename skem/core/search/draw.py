"""Rows that are drawn by their weights, and those that are nearer to one of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist


def nearer(
    seen: Sequence[np.ndarray], here: np.ndarray, there: np.ndarray
) -> np.ndarray:
    """Tell which rows are nearer to the one than to the other, for each pair, (m, n).

    Pairs of indices take turns in what is `seen` of the rows, which distances are of.
    """
    found = np.empty((len(here), len(seen[0])), bool)
    for view, Z in enumerate(seen):
        own = slice(view, None, len(seen))
        found[own] = cdist(Z[here[own]], Z) < cdist(Z[there[own]], Z)
    return found


def drawn_of_each(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Draw an index of each row of weights, in proportion to them."""
    return at_shares(weights, rng.uniform(size=len(weights)))


def at_shares(weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the index in each row of weights up to which they have such a share."""
    cumulated = np.cumsum(weights, axis=1)
    places = shares * cumulated[:, -1]
    return (cumulated <= places[:, None]).sum(axis=1).clip(max=weights.shape[1] - 1)
