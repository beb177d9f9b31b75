"""How far rows are from clusters, whatever outliers these have."""

from __future__ import annotations

import numpy as np

from skem.core.mixture.bulk import weighted_quantiles

MEDIAN_TO_SD = 1.4826
"""Standard deviation of a normal variable, in median absolute deviations."""


def robust_distances(
    Z: np.ndarray, resp: np.ndarray, squares: np.ndarray | None
) -> np.ndarray:
    """Squared distances of rows (n, d) from the medians of clusters (K, n), scaled.

    Feature by feature, in median absolute deviations times `MEDIAN_TO_SD`; where more
    than half of a cluster's rows are equal, in units of the coordinates.
    """
    K, (n, d) = len(resp), Z.shape
    order = np.argsort(Z, axis=0, kind="stable")
    distances = np.zeros((K, n))
    half = np.array([0.5])
    for k, r in enumerate(resp):
        if not r.any():
            continue
        for j in range(d):
            rows = order[:, j]
            rows = rows[r[rows] > 0]
            (median,) = weighted_quantiles(Z[rows, j], r[rows], half)
            away = np.abs(Z[:, j] - median)
            rows = rows[np.argsort(away[rows], kind="stable")]
            (deviation,) = weighted_quantiles(away[rows], r[rows], half)
            variance = (MEDIAN_TO_SD * deviation) ** 2
            if squares is not None:
                variance = variance + np.broadcast_to(squares, (d, n))[j].mean()
            distances[k] += away**2 / (variance if variance > 0 else 1.0)
    return distances
