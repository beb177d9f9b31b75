"""Data without their outliers: coordinates, and rows to learn scales from.

Means and standard deviations say nothing of the bulk of data where one value is far
from all others, so quantiles decide which values are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import Coordinates, standardising_coordinates
from skem.core.gaussian.covariance import Structure

ROWS = 5_000
"""Rows that are looked at, at most."""
TAILS = (0.1, 0.05, 0.01, 0.0)
"""Shares of a feature's values on either side that may be outliers: the first of them
that leaves a width."""
RARE = 50
"""Rows with another value than all rows that are looked at, beside these."""
WIDTHS = 10.0
"""Widths of the others beyond which such a value is one."""


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
        rows, low, high = without_outliers(blocks)
        coordinates = standardising_coordinates(rows, structure)
        with np.errstate(over="ignore"):
            limits = coordinates.load(
                np.stack([low, high], axis=1), np.empty((len(low), 2))
            )
        return cls(rows, coordinates, *np.nan_to_num(limits).T)


def looked_at(blocks: Blocks, most: int = ROWS) -> ArrayBlocks:
    """Return at most so many rows, the same ones in every fit; and some rare ones.

    Where all of them have the same value of a feature, or none, and others have not,
    a few of these are there, too. They have the weight that such rows have among all:
    a feature that seems to be constant would have no width.
    """
    rows = rows_looked_at(blocks, most)
    taken = replace(blocks.take(rows), known=None)
    if len(rows) == blocks.n_observed:
        return taken
    low, high = (f.reduce(taken.X, axis=0) for f in (np.fmin, np.fmax))
    same = np.flatnonzero(~(high > low))
    if not len(same):
        return taken
    rare = blocks.fold(partial(_rare, same, low[same]), blocks.n_features)
    if not len(rare.weight):
        return taken
    own = np.bincount(rare.place, rare.weight, len(same))
    share = taken.total_weight / blocks.total_weight
    stands_for = share * rare.total / np.where(own > 0, own, 1.0)
    more = rare.weight * stands_for[rare.place]
    return replace(
        taken,
        X=np.concatenate([taken.X, rare.X]),
        weight=np.concatenate([taken.weight_of_each, more]),
    )


@dataclass(frozen=True)
class _Rare:
    """Some rows in which features have other values, and the first of these features.

    `total` is the weight of all such rows, by the place of that feature.
    """

    X: np.ndarray
    weight: np.ndarray
    place: np.ndarray
    total: np.ndarray

    def __add__(self, other: _Rare) -> _Rare:
        place = np.concatenate([self.place, other.place])
        kept = _first_of_each(place)
        return _Rare(
            np.concatenate([self.X, other.X])[kept],
            np.concatenate([self.weight, other.weight])[kept],
            place[kept],
            self.total + other.total,
        )


def _first_of_each(place: np.ndarray) -> np.ndarray:
    """Return the sorted indices of the first rows of each feature, at most `RARE`."""
    order = np.argsort(place, kind="stable")
    begins = np.searchsorted(place[order], place[order])
    return np.sort(order[np.arange(len(order)) - begins < RARE])


def _rare(
    features: np.ndarray, values: np.ndarray, block: Block, workspace: Workspace
) -> _Rare:
    """Find rows in which a feature is there, and not that value."""
    others = block.data[features]
    other = ~np.isnan(others) & (others != values[:, None])
    rows = np.flatnonzero(other.any(axis=0))
    place = other[:, rows].argmax(axis=0)
    weight = block.weight_of_each[rows]
    total = np.bincount(place, weight, len(features))
    kept = _first_of_each(place)
    return _Rare(block.data[:, rows[kept]].T, weight[kept], place[kept], total)


def rows_looked_at(blocks: Blocks, most: int = ROWS) -> np.ndarray:
    """Return sorted indices of at most so many rows, the same ones in every fit."""
    n = blocks.n_observed
    if n <= most:
        # Making random numbers ready would take longer than many rows do.
        return blocks.rows_at(np.arange(n))
    return blocks.random_rows(most, np.random.RandomState(0))


def without_outliers(blocks: Blocks) -> tuple[ArrayBlocks, np.ndarray, np.ndarray]:
    """Return rows that are looked at, without outliers, and where these begin.

    With outliers moved there, if most rows have one, or a feature nothing else.
    """
    taken = looked_at(blocks)
    X = np.asarray(taken.X, dtype=float)
    weight = taken.weight_of_each
    low, high = bounds_of(X, weight)
    kept = np.flatnonzero(~((X < low) | (X > high)).any(axis=1))
    enough = 2 * weight[kept].sum() >= weight.sum()
    if enough and (~np.isnan(X[kept])).any(axis=0).all():
        return taken.take(kept), low, high
    clipped = np.clip(X, low, high).astype(taken.dtype)
    return replace(taken, X=clipped), low, high


def bounds_of(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where outliers of features begin; infinite of those without a width."""
    columns = np.ascontiguousarray(X.T)
    if (weight == weight[0]).all():
        ordered, weights = np.sort(columns, axis=1), weight
    else:
        order = np.argsort(columns, axis=1, kind="stable")
        ordered, weights = np.take_along_axis(columns, order, axis=1), weight[order]
    # Missing values are last.
    there = ~np.isnan(ordered)
    cumulated = np.cumsum(np.where(there, weights, 0.0), axis=1)
    last = np.maximum(there.sum(axis=1) - 1, 0)
    low, high = np.full((2, len(columns)), [[-np.inf], [np.inf]])
    left = np.arange(len(columns))
    for tail in TAILS:
        wanted = np.array([tail, 1 - tail]) * cumulated[left, -1:]
        places = [(cumulated[left] < each[:, None]).sum(axis=1) for each in wanted.T]
        first, end = (ordered[left, np.minimum(place, last[left])] for place in places)
        with np.errstate(over="ignore"):
            width = end - first
            wide = width > 0
            low[left[wide]] = (first - WIDTHS * width)[wide]
            high[left[wide]] = (end + WIDTHS * width)[wide]
        left = left[~wide]
    return low, high
