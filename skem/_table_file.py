"""Numbers in a file, or of Dask: read block by block, never copied as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from skem._table import NUMBERS, Column, encoded, finite, parts


@dataclass(frozen=True)
class FileValues:
    """Numbers and codes (d, n) of an array (n, d), as `Columns.read` has them.

    Rows are read when they are asked for.
    """

    names: Sequence[str]
    X: Any
    labels: dict[int, tuple[Any, ...]]
    handle_unknown: str

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.X.shape[1], self.X.shape[0]

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        columns, rows = key
        values = np.array(self.X[rows].T, dtype=float, order="C")
        for j in self.labels:
            values[j] = self._codes(j, values[j])
        return values[columns]

    @cached_property
    def _sorted(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Sorted labels, with their codes, of columns whose labels are numbers."""
        found = {}
        for j, labels in self.labels.items():
            if labels and all(isinstance(label, Real) for label in labels):
                numbers = np.array(labels, dtype=float)
                order = np.argsort(numbers)
                found[j] = numbers[order], order
        return found

    def _codes(self, j: int, x: np.ndarray) -> np.ndarray:
        if j in self._sorted:
            numbers, codes = self._sorted[j]
            place = np.minimum(np.searchsorted(numbers, x), len(numbers) - 1)
            known = (numbers[place] == x) | np.isnan(x)
            if known.all():
                return np.where(np.isnan(x), np.nan, codes[place])
        column = Column(self.names[j], NUMBERS, x)
        return encoded(column, self.labels[j], self.handle_unknown)

    def checked(self, check: Any, discrete: Sequence[int]) -> np.ndarray:
        """Check all rows; return a few that stand for them.

        These (d, m) have every value of columns that are `discrete`, and a gap in each
        column that has one.
        """
        d, n = self.shape
        seen = {j: np.empty(0) for j in discrete}
        some, gaps = np.full(d, np.nan), np.zeros(d, dtype=bool)
        for part in parts(n):
            values = self[:, part]
            missing = np.isnan(values)
            gaps |= missing.any(axis=1)
            for j, x in enumerate(values):
                there = x[~missing[j]]
                if not len(there):
                    continue
                some[j] = there[0]
                if j not in self.labels:
                    check(j, finite(self.names[j], there))
                if j in seen:
                    seen[j] = np.union1d(seen[j], there)
        most = max((len(x) for x in seen.values()), default=0)
        found = np.repeat(some[:, None], most + 2, axis=1)
        for j, x in seen.items():
            found[j, : len(x)] = x
        found[gaps, -1] = np.nan
        return found
