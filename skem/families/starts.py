"""Labels of rows that the search for a table's mixture starts from.

Rows are few, and a start gets steps of EM: that takes NumPy less than a library's
careful functions.
"""

from __future__ import annotations

import numpy as np

from skem.core.mixture.seeds import memberships

CLUSTERED = 2000
"""Rows that k-means sees, at least."""
CLUSTERED_PER_COMPONENT = 200
KMEANS_STEPS = 10
"""Steps of k-means: EM goes on from there."""
LIKELY = 0.3
"""Share of a row that random labels leave to all components."""


def squared_distances(Z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """‖z − c‖² less ‖z‖², (K, n)."""
    return (centres**2).sum(axis=1)[:, None] - 2 * (centres @ Z.T)


def spread_rows(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Rows far apart: k-means++ (Arthur and Vassilvitskii 2007), the best of some."""
    squares = (Z**2).sum(axis=1)
    cumulative = np.cumsum(weight)
    candidates = 2 + int(np.log(n_components))
    nearest = np.full(len(Z), np.inf)
    found: list[int] = []
    for _ in range(n_components):
        draws = rng.uniform(size=candidates if found else 1) * cumulative[-1]
        rows = np.searchsorted(cumulative, draws).clip(max=len(Z) - 1)
        distances = squared_distances(Z, Z[rows]) + squares
        distances = np.minimum(np.maximum(distances, 0.0), nearest)
        best = int(np.argmin(distances @ weight))
        found.append(int(rows[best]))
        nearest = distances[best]
        cumulative = np.cumsum(nearest * weight)
    return np.array(found)


def nearest_spread_row(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Labels of the nearest of rows chosen far apart."""
    seeds = Z[spread_rows(Z, weight, n_components, rng)]
    return memberships(squared_distances(Z, seeds).argmin(axis=0), n_components)


def nearest_random_row(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Labels of the nearest of rows chosen evenly."""
    seeds = Z[rng.choice(len(Z), n_components, replace=False)]
    return memberships(squared_distances(Z, seeds).argmin(axis=0), n_components)


def kmeans(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Labels by k-means of a part of many rows, and the nearest centre of the others.

    A cluster that loses all of its rows keeps its centre.
    """
    rows: slice | np.ndarray = slice(None)
    most = max(CLUSTERED, CLUSTERED_PER_COMPONENT * n_components)
    if len(Z) > most:
        rows = np.sort(rng.permutation(len(Z))[:most])
    part, own = Z[rows], weight[rows]
    centres = part[spread_rows(part, own, n_components, rng)]
    labels = np.full(len(part), -1)
    for _ in range(KMEANS_STEPS):
        before, labels = labels, squared_distances(part, centres).argmin(axis=0)
        if (labels == before).all():
            break
        resp = memberships(labels, n_components) * own
        sizes = resp.sum(axis=1, keepdims=True)
        means = resp @ part / np.where(sizes > 0, sizes, 1.0)
        centres = np.where(sizes > 0, means, centres)
    return memberships(squared_distances(Z, centres).argmin(axis=0), n_components)


def random_labels(
    Z: np.ndarray, weight: np.ndarray, n_components: int, rng: np.random.RandomState
) -> np.ndarray:
    """Uniform draws from the simplex, in part, as latent classes are started."""
    draws = rng.exponential(size=(n_components, len(Z)))
    return (1 - LIKELY) * draws / draws.sum(axis=0) + LIKELY / n_components
