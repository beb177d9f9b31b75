"""How far rows are from clusters, whatever outliers these have."""

from __future__ import annotations

import numpy as np

NO_ACCOUNT = 1e-6
"""Share of the largest weight of a cluster up to which rows have no say in medians."""
MEDIAN_ROWS = 500
"""Rows of a cluster, at least, that medians are of, where it has more."""
MEDIAN_TO_SD = 1.4826
"""Standard deviation of a normal variable, in median absolute deviations."""


def robust_distances(
    Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
) -> np.ndarray:
    """Squared distances of rows (n, d) from the medians of clusters (K, n), scaled.

    Feature by feature, in median absolute deviations times `MEDIAN_TO_SD`; where more
    than half of a cluster's rows are equal, in units of the coordinates.
    """
    columns = np.ascontiguousarray(Z.T)
    within: np.ndarray | float = 0.0
    if squares is not None:
        within = np.broadcast_to(squares, columns.shape).mean(axis=1)
    distances = np.zeros(resp.shape)
    for k, r in enumerate(resp):
        own = np.flatnonzero(r > NO_ACCOUNT * r.max())
        if not len(own):
            continue
        own = own[:: max(1, len(own) // MEDIAN_ROWS)]
        values, weight = columns[:, own], r[own]
        middle = medians(values, weight)[:, None]
        deviation = medians(np.abs(values - middle), weight)
        variance = (MEDIAN_TO_SD * deviation) ** 2 + within
        unit = np.where(variance > 0, variance, 1.0)[:, None]
        away = np.square(columns - middle)
        distances[k] = np.divide(away, unit, out=away).sum(axis=0)
    return distances


def medians(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the lowest values (d, n) that half of the weight is up to, (d,)."""
    if (weight == weight[0]).all():
        middle = (len(weight) - 1) // 2
        return np.partition(values, middle, axis=1)[:, middle]
    order = np.argsort(values, axis=1)
    cumulated = np.cumsum(weight[order], axis=1)
    places = (cumulated < cumulated[:, -1:] / 2).sum(axis=1, keepdims=True)
    found = np.take_along_axis(order, places, axis=1)
    return np.take_along_axis(values, found, axis=1)[:, 0]
