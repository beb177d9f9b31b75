"""Which features rows have: rows in the order of their patterns.

NaN is a missing value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

FEW_COLUMNS = 32
"""Columns by which rows are sorted one by one: it is quicker than by whole rows."""


def distinct_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, sorted, and which of them each row is.

    As `np.unique` does, for which no NaN is like another one.
    """
    order = np.argsort(X[:, 0], kind="stable")
    ordered = X[order, 0]
    if (ordered[1:] > ordered[:-1]).all():
        # No two are alike. Sorting whole rows takes much longer.
        return X[order], np.argsort(order)
    missing = np.isnan(X)
    keys = np.hstack([np.where(missing, 0, X), missing]) if missing.any() else X
    some = keys[:, :FEW_COLUMNS]
    order = np.lexsort(some.T[::-1])
    ordered = some[order]
    new = np.ones(len(X), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    if some.shape < keys.shape and not new.all():
        _, first, inverse = np.unique(
            keys, axis=0, return_index=True, return_inverse=True
        )
        return X[first], inverse.ravel()
    inverse = np.empty(len(X), np.intp)
    inverse[order] = np.cumsum(new) - 1
    return X[order[new]], inverse


@dataclass(frozen=True)
class Patterns:
    """Which features rows have: rows in the `order` of their patterns.

    Those of pattern p are `order[starts[p]:starts[p + 1]]`, and have the features
    `observed[p]`. Iteration is over the patterns: what is observed, and the rows.
    """

    order: np.ndarray
    starts: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, missing: np.ndarray) -> Patterns:
        """Group the columns of a mask, (d, b); the pattern without a gap is first."""
        d, b = missing.shape
        words = -(-d // 64)
        codes = np.zeros((b, 8 * words), np.uint8)
        codes[:, : -(-d // 8)] = np.packbits(missing, axis=0).T
        keys = codes.view(np.uint64)
        if words == 1:
            order = np.argsort(keys[:, 0], kind="stable")
        else:
            order = np.lexsort(keys.T)
        ordered = keys[order]
        new = np.ones(b, np.bool_)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        starts = np.append(np.flatnonzero(new), b)
        return cls(order, starts, ~missing[:, order[starts[:-1]]].T)

    def pieces(self, most: int) -> Iterator[Patterns]:
        """Cut into consecutive parts of at most so many rows."""
        b = len(self.order)
        for begin in range(0, b, most):
            end = min(begin + most, b)
            first = int(np.searchsorted(self.starts, begin, side="right")) - 1
            last = int(np.searchsorted(self.starts, end, side="left"))
            starts = np.clip(self.starts[first : last + 1], begin, end) - begin
            yield Patterns(self.order[begin:end], starts, self.observed[first:last])

    def place(self, p: int | np.integer) -> slice:
        """Where the rows of a pattern are in the order."""
        return slice(self.starts[p], self.starts[p + 1])

    def rows(self, p: int | np.integer) -> np.ndarray:
        """Return the rows of a pattern, which are in the order of the data."""
        return self.order[self.place(p)]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((seen, self.rows(p)) for p, seen in enumerate(self.observed))

    @property
    def counts(self) -> np.ndarray:
        """Number of rows of each pattern."""
        return np.diff(self.starts)

    @cached_property
    def of_row(self) -> np.ndarray:
        """Pattern of each row, in order."""
        return np.repeat(np.arange(len(self.observed)), self.counts)


class Piece(NamedTuple):
    """Rows in the order of their patterns, as components need them.

    `z` (d, b) is zero where nothing was observed, and so are `squares`, w²/12.
    """

    patterns: Patterns
    z: np.ndarray
    squares: np.ndarray | None
    weight: np.ndarray | None
