"""Numbers in a file, or of Dask: read block by block, never copied as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Real
from typing import Any

import numpy as np

from skem._inputs.tables import NUMBERS, Column, encoded, parts


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

    def sweep(self, function: Callable[..., Any], *arrays: np.ndarray) -> Iterable[Any]:
        """Return a function of each block of values, and of its parts of arrays."""
        for part in parts(self.shape[1]):
            yield function(self[:, part], *(array[part] for array in arrays))

    def checked(
        self, check: Callable[[int, np.ndarray], None], discrete: Sequence[int]
    ) -> np.ndarray:
        """Check all rows; return a few that stand for them.

        These (d, m) have every value of columns that are `discrete`, and a gap in each
        column that has one.
        """
        d = self.shape[0]
        seen = {j: np.empty(0) for j in discrete}
        some, gaps = np.full(d, np.nan), np.zeros(d, dtype=bool)
        examined = self.sweep(partial(_examined, check, discrete))
        for own_some, own_gaps, own_seen in examined:
            gaps |= own_gaps
            some = np.where(np.isnan(own_some), some, own_some)
            seen = {j: np.union1d(x, own_seen[j]) for j, x in seen.items()}
        most = max((len(x) for x in seen.values()), default=0)
        found = np.repeat(some[:, None], most + 2, axis=1)
        for j, x in seen.items():
            found[j, : len(x)] = x
        found[gaps, -1] = np.nan
        return found


def _examined(
    check: Callable[[int, np.ndarray], None],
    discrete: Sequence[int],
    values: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Check a block (d, b); tell a value of each column, gaps, and different values."""
    missing = np.isnan(values)
    some = np.full(len(values), np.nan)
    seen = {j: np.empty(0) for j in discrete}
    for j, x in enumerate(values):
        there = x[~missing[j]]
        if not len(there):
            continue
        some[j] = there[0]
        check(j, there)
        if j in seen:
            seen[j] = np.unique(there)
    return some, missing.any(axis=1), seen


@dataclass(frozen=True)
class DaskValues(FileValues):
    """The same of rows of Dask: passes are computed where the rows are."""

    def sweep(self, function: Callable[..., Any], *arrays: np.ndarray) -> list[Any]:
        """Return a function of each chunk of values, and of its parts of arrays."""
        return self.X.sweep(self._of_chunk(function), *arrays)

    def _of_chunk(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of rows, and of what is beside them."""
        lean = FileValues(self.names, None, self.labels, self.handle_unknown)
        return partial(_of_values, lean, function)

    @cached_property
    def _beside(self) -> dict[int, tuple[tuple[Any, ...], Any]]:
        """Chunks with arrays beside them, the last ones of each number of arrays."""
        return {}

    def total(self, function: Callable[..., Any], *arrays: np.ndarray | None) -> Any:
        """Add up a function of the values of each chunk, and of its parts of arrays."""
        given = tuple(array for array in arrays if array is not None)
        before, chunks = self._beside.get(len(given), ((None,) * len(given), None))
        if any(a is not b for a, b in zip(before, given, strict=True)):
            chunks = self.X.beside(*given)
            self._beside[len(given)] = given, chunks
        return chunks.total(self._of_chunk(function))


def _of_values(
    values: FileValues, function: Callable[..., Any], x: Any, *arrays: np.ndarray
) -> Any:
    """Call a function of the values (d, b) of rows (b, d)."""
    return function(replace(values, X=np.asarray(x))[:, :], *arrays)
