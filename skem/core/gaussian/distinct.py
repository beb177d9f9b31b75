"""Distinct values of several columns, with their weights, in order."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np


class DistinctValues(NamedTuple):
    """Distinct values of some features, one feature after the other, ascending.

    Numbers of features and values are the real and imaginary parts of `keys`, which
    NumPy sorts by the one and then by the other. For each value: its weight, that of
    its feature's smaller ones, and both together; and its place among the feature's
    rows. `ends` is the index of the last value of each feature that has any.
    """

    keys: np.ndarray
    masses: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    place: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, ordered: np.ndarray, weight: np.ndarray) -> DistinctValues:
        """Take sorted rows with their weights; missing values are last, and no values.

        A row without a value has none.
        """
        there = ~np.isnan(ordered)
        cumulated = np.zeros((len(ordered), ordered.shape[1] + 1))
        np.cumsum(np.where(there, weight, 0.0), axis=1, out=cumulated[:, 1:])
        there[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        row, place = np.nonzero(there)
        ends = np.append(changes(row)[1:], len(row))[: len(row)] - 1
        below = cumulated[row, place]
        upto = np.append(below[1:], 0.0)
        upto[ends] = cumulated[row[ends], -1]
        keys = keys_of(row, ordered[row, place])
        return cls(keys, upto - below, below, upto, place, ends)

    @property
    def values(self) -> np.ndarray:
        """The values."""
        return self.keys.imag

    @property
    def starts(self) -> np.ndarray:
        """Index of the first value of each feature that has any."""
        return np.append(0, self.ends[:-1] + 1)

    def row_of(self, atoms: np.ndarray) -> np.ndarray:
        """Return the number of the feature of some values."""
        return self.keys.real[atoms].astype(int)

    def around(self, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the first and last value of each one's feature."""
        which = np.searchsorted(self.ends, atoms)
        return self.starts[which], self.ends[which]

    def spread(
        self, atoms: np.ndarray, least: np.ndarray, most: np.ndarray
    ) -> np.ndarray:
        """Return the distance between the quartiles of what has ranks in between.

        These are cumulated weights (..., m) of the features of some values.
        """
        keys, rows = keys_of(self.keys.real, self.upto), self.keys.real[atoms]
        quarter = (most - least) / 4
        # Between two values either is a quartile: the one that is nearer to the other.
        low = np.searchsorted(keys, keys_of(rows, least + quarter), side="right")
        high = np.searchsorted(keys, keys_of(rows, most - quarter))
        last = self.around(atoms)[1]
        between = (
            self.values[np.minimum(high, last)] - self.values[np.minimum(low, last)]
        )
        return np.maximum(between, 0.0)

    def search(
        self, atoms: np.ndarray, wanted: np.ndarray, side: Literal["left", "right"]
    ) -> np.ndarray:
        """Return where each value would be among those of an atom's feature."""
        keys = keys_of(self.keys.real[atoms], wanted)
        return np.searchsorted(self.keys, keys, side=side)


def changes(values: np.ndarray) -> np.ndarray:
    """Return the places of sorted values that differ from the one before."""
    new = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return np.flatnonzero(new)


def keys_of(row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return numbers that sort by the row first."""
    keys = np.empty(values.shape, complex)
    keys.real, keys.imag = row, values
    return keys
