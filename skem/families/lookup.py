"""Columns of categories that are looked up: one table for several columns.

To look a sum, or a product, of several columns up takes no longer than that of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csc_array

from skem.families.categories import CategoricalModel
from skem.families.model import Model

LARGEST_TABLE = 1024
"""Combinations of categories that are looked up in one table, at most."""
SMALL_TABLE = 256
"""The same for few rows."""
FEW_ROWS = 4096


@dataclass(frozen=True)
class Lookup:
    """Columns that share one table.

    - `members`: their models' places
    - `columns`: their places in the values
    - `parts`: their rows of Θᵀ
    - `shape`: the number of categories of each, and one more where cells are missing
    """

    members: tuple[int, ...]
    columns: tuple[int, ...]
    parts: tuple[slice, ...]
    shape: tuple[int, ...]

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Places of rows in the table, (b,)."""
        code = np.zeros(values.shape[1], dtype=np.intp)
        for column, size in zip(self.columns, self.shape, strict=True):
            code *= size
            code += np.nan_to_num(values[column], nan=size - 1).astype(np.intp)
        return code

    @property
    def size(self) -> int:
        """Combinations."""
        return math.prod(self.shape)

    def _combined(
        self, theta: np.ndarray, combine: np.ufunc, missing: float
    ) -> np.ndarray:
        K = len(theta)
        rows = np.ascontiguousarray(theta.T)
        table = None
        for part, size in zip(self.parts, self.shape, strict=True):
            own = rows[part]
            if size > len(own):
                own = np.concatenate([own, np.full((1, K), missing)])
            if table is None:
                table = own
            else:
                # The longer loop inside.
                table = combine(table[:, None], own).reshape(-1, K)
        assert table is not None
        return table

    def logarithms(self, theta: np.ndarray) -> np.ndarray:
        """Log-proportions of all combinations, (size, K); of what is missing 0."""
        return self._combined(theta, np.add, 0.0)

    def products(self, shares: np.ndarray) -> np.ndarray:
        """Products of proportions of all combinations, (size, K); of missing ones 1."""
        return self._combined(shares, np.multiply, 1.0)

    @cached_property
    def _categories(self) -> np.ndarray:
        """One-hot categories of combinations, (categories of all columns, size)."""
        found = []
        places = np.indices(self.shape).reshape(len(self.shape), -1)
        for place, part in zip(places, self.parts, strict=True):
            found.append(np.arange(part.stop - part.start)[:, None] == place)
        return np.vstack(found).astype(float)

    @cached_property
    def _rows(self) -> np.ndarray:
        """Rows of Θᵀ of all columns."""
        return np.concatenate([np.arange(p.start, p.stop) for p in self.parts])

    def put(self, counts: np.ndarray, sums: np.ndarray) -> None:
        """Write counts of combinations, (size, K), where R Fᵀ has categories."""
        if len(self.members) == 1:
            sums[:, self.parts[0]] = counts[: len(self._rows)].T
        else:
            sums[:, self._rows] = (self._categories @ counts).T


@dataclass(frozen=True)
class Codes:
    """Places of rows in the tables of some lookups, (b,) each."""

    lookups: tuple[Lookup, ...]
    places: tuple[np.ndarray, ...]

    @cached_property
    def _one_hot(self) -> csc_array:
        """Which combinations a row has, of all tables one behind the other."""
        edges = np.cumsum([0] + [lookup.size for lookup in self.lookups])
        L, n = len(self.places), len(self.places[0])
        where = np.empty((n, L), dtype=np.int32)
        for column, place, first in zip(where.T, self.places, edges, strict=False):
            column[:] = place + first
        ends = np.arange(0, n * L + 1, L, dtype=np.int32)
        return csc_array((np.ones(n * L), where.ravel(), ends), (int(edges[-1]), n))

    def add(self, resp: np.ndarray, sums: np.ndarray) -> None:
        """Write the counts of all and of categories as R Fᵀ has them, R (b, K)."""
        counts = self._one_hot @ resp
        sums[:, 0] = counts[: self.lookups[0].size].sum(axis=0)
        start = 0
        for lookup in self.lookups:
            lookup.put(counts[start : start + lookup.size], sums)
            start += lookup.size

    def joint(self, tables: list[np.ndarray]) -> np.ndarray:
        """w_k Π p(x_j | k), (b, K): it takes no exponential of each row."""
        first, *others = tables
        found = first.take(self.places[0], axis=0, mode="clip")
        for table, place in zip(others, self.places[1:], strict=True):
            found *= table.take(place, axis=0, mode="clip")
        return found

    def part(self, rows: slice) -> Codes:
        """Those of some rows."""
        return Codes(self.lookups, tuple(place[rows] for place in self.places))


def lookups_of(
    models: tuple[Model, ...],
    places: tuple[np.ndarray, ...],
    slices: list[slice | None],
    values: np.ndarray,
) -> tuple[Lookup, ...]:
    """Put columns of categories together, in their order, as tables have room."""
    groups: list[list[tuple[int, int, slice, int]]] = [[]]
    size = 1
    most = SMALL_TABLE if values.shape[1] < FEW_ROWS else LARGEST_TABLE
    for j, (model, place, part) in enumerate(zip(models, places, slices, strict=True)):
        if not isinstance(model, CategoricalModel):
            continue
        assert part is not None
        column = int(place[0])
        own = model.n_rows + int(np.isnan(values[column]).any())
        if size * own > most and groups[-1]:
            groups.append([])
            size = 1
        size *= own
        groups[-1].append((j, column, part, own))
    return tuple(Lookup(*zip(*group, strict=True)) for group in groups if group)
