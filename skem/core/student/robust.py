"""Data without their outliers: coordinates, and rows to learn scales from.

Means and standard deviations say nothing of the bulk of data where one value is far
from all others, so quantiles decide which values are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates, standardising_coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.mixture.scale import ROWS

TAILS = (0.05, 0.01, 0.0)
"""Shares of a feature's values on either side that may be outliers: the first of them
that leaves a width."""
WIDTHS = 10.0
"""Widths of the others beyond which such a value is one."""
MEDIAN_TO_SD = 1.4826
"""Standard deviation of a normal variable, in median absolute deviations."""


@dataclass(frozen=True)
class Bulk:
    """Rows that are looked at, without outliers, and coordinates that suit them.

    `low` and `high` (d,) are where outliers begin, in these coordinates.
    """

    blocks: ArrayBlocks
    coordinates: Coordinates
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, blocks: Blocks, structure: Structure) -> Bulk:
        """Look at rows, the same ones in every fit."""
        taken = blocks.take(blocks.random_rows(ROWS, np.random.RandomState(0)))
        X = np.asarray(taken.X, dtype=float)
        weight = np.ones(len(X)) if taken.weight is None else taken.weight
        bounds = np.array([_bounds(column, weight) for column in X.T])
        low, high = bounds.T
        kept = (~((X < low) | (X > high)).any(axis=1)).nonzero()[0]
        enough = 2 * weight[kept].sum() >= weight.sum()
        if enough and (~np.isnan(X[kept])).any(axis=0).all():
            rows = taken.take(kept)
        else:
            rows = replace(taken, X=np.clip(X, low, high).astype(taken.dtype))
        coordinates = standardising_coordinates(rows, structure)
        with np.errstate(over="ignore"):
            limits = coordinates.load(
                np.stack([low, high], axis=1), np.empty((len(low), 2))
            )
        return cls(rows, coordinates, *np.nan_to_num(limits).T)


def weighted_quantiles(
    ordered: np.ndarray, weight: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Values of a sorted array that a share of the weight is up to."""
    cumulated = np.cumsum(weight)
    places = np.searchsorted(cumulated, shares * cumulated[-1])
    return ordered[np.minimum(places, len(ordered) - 1)]


def _bounds(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return where outliers of a feature begin; infinite if it has no width."""
    order = np.argsort(values, kind="stable")
    # Missing values are last.
    order = order[: np.count_nonzero(~np.isnan(values))]
    if len(order):
        values, weight = values[order], weight[order]
        for tail in TAILS:
            low, high = weighted_quantiles(values, weight, np.array([tail, 1 - tail]))
            with np.errstate(over="ignore"):
                width = high - low
                if width > 0:
                    return low - WIDTHS * width, high + WIDTHS * width
    return -np.inf, np.inf


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
