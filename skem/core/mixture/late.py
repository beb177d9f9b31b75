"""Features of a stream that had one value, and have others from some batch on.

A component could stand on the one value alone, and the likelihood would have no bound.
So it stands for a width, as a value that many rows share does in a fit: see `widths`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.regularization import VANISHING
from skem.core.gaussian.statistics import Statistics
from skem.core.gaussian.storage import variances_of
from skem.core.gaussian.ties import Ties
from skem.core.gaussian.widths import find_ties

SAME = 1e-9
"""Coordinates that differ by less are those of one value."""


def with_late_widths(
    coordinates: Coordinates,
    averages: Statistics,
    pooled: Statistics,
    size: float,
    X: np.ndarray,
    weight: np.ndarray | None,
) -> tuple[Coordinates, Statistics] | None:
    """Return coordinates and averages in which such a value has its width.

    The averages stand for as many rows as have the weight `size`, and are `pooled` as
    one component. `X` (n, d) are the rows of a batch. None if there is no such feature.
    """
    d = averages.n_features
    if not pooled.counts[0] > 0:
        return None
    variances = variances_of(pooled.scatter().values[0] / pooled.counts[0])
    if np.shape(variances) != (d,):
        # One variance of all features is none of a single value.
        return None
    features = np.flatnonzero(variances <= VANISHING)
    if not len(features):
        return None
    z = coordinates.load(X.T, np.empty(X.T.shape))[features]
    middle = pooled.means[0, features, None]
    with np.errstate(invalid="ignore"):
        other = np.abs(z - middle) > SAME * np.maximum(1, np.abs(middle))
    late = other.any(axis=1)
    features, z, other, middle = features[late], z[late], other[late], middle[late]
    if not len(features):
        return None
    columns = X.T[features]
    same = ~other & ~np.isnan(z)
    # To the last digit, if the batch has it.
    value = np.where(
        same.any(axis=1),
        columns[np.arange(len(features)), same.argmax(axis=1)],
        coordinates.raw(pooled.means.T)[features, 0],
    ).astype(columns.dtype)[:, None]
    weight = np.ones(len(X)) if weight is None else weight
    ties = find_ties(
        np.hstack([value, columns]), np.hstack([middle, z]), np.r_[size, weight]
    )
    if ties is None:
        return None
    squares = np.zeros(d)
    squares[features] = ties.squares(value)[:, 0]
    sums = averages.sums.copy()
    for row, count in zip(sums, averages.counts, strict=True):
        averages.quadratic.add_squares(row[1 + d :], count * squares)
    widths = _joined(coordinates.ties, ties, features, d)
    return replace(coordinates, ties=widths), replace(averages, sums=sums)


def _joined(known: Ties | None, more: Ties, features: np.ndarray, d: int) -> Ties:
    """Put widths of some features beside those of others."""
    steps = np.zeros(d) if known is None else known.steps.copy()
    steps[features] = more.steps
    own = [atoms._replace(feature=int(features[atoms.feature])) for atoms in more.atoms]
    others = () if known is None else known.atoms
    kept = [atoms for atoms in others if atoms.feature not in features]
    return Ties(steps, (*kept, *own))
