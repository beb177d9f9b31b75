"""Columns of categories that are looked up: one table for several columns.

To look a sum, or a product, of several columns up takes no longer than that of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
from scipy.sparse import csc_array, csr_array

from skem.families.categories import CategoricalModel
from skem.families.model import Model
from skem.kernels import native
from skem.kernels.native import Library, address

LARGEST_TABLE = 1024
"""Combinations of categories that are looked up in one table, at most."""
FEW_ROWS = 4096
"""Rows below which each column has its own table: others take longer to make."""
SAFE = 1e-200
"""Products of proportions that have all of their digits."""
PADDED = 8
"""Columns of tables are a multiple of that: the widest registers' doubles."""
TILE = 64
"""Rows that compiled code takes at a time."""


def width(n_components: int) -> int:
    """Columns of tables, P."""
    return -(-n_components // PADDED) * PADDED


def empty(n_rows: int, n_components: int) -> np.ndarray:
    """Memory for (n_rows, P), which begins where compiled code reads fastest."""
    P = width(n_components)
    room = np.empty(n_rows * P + PADDED)
    first = -(address(room) // 8) % PADDED
    return room[first : first + n_rows * P].reshape(n_rows, P)


@dataclass(frozen=True)
class Lookup:
    """Columns that share one table.

    - `members`: their models' places
    - `columns`: their places in the values
    - `rows`: the row of Θᵀ of each category; the first one where cells are missing
    """

    members: tuple[int, ...]
    columns: tuple[int, ...]
    rows: tuple[np.ndarray, ...]

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.rows))

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Places of rows in the table, (b,)."""
        code = np.zeros(values.shape[1], dtype=np.int32)
        for column, size in zip(self.columns, self._shape, strict=True):
            code *= size
            code += np.nan_to_num(values[column], nan=size - 1).astype(np.int32)
        return code

    @cached_property
    def size(self) -> int:
        """Combinations."""
        return math.prod(self._shape)

    def combined(self, rows: np.ndarray, combine: np.ufunc) -> np.ndarray:
        """Combine rows (of Θᵀ) of each category, (size, K)."""
        first, *others = self.rows
        table = rows[first]
        for own in others:
            # The longer loop inside.
            table = combine(table[:, None], rows[own]).reshape(-1, rows.shape[1])
        return table

    @cached_property
    def _categories(self) -> np.ndarray:
        """One-hot categories of combinations, (categories of all columns, size)."""
        places = np.indices(self._shape).reshape(len(self._shape), -1)
        found = [
            np.arange(len(own))[:, None] == place
            for own, place in zip(self.rows, places, strict=True)
        ]
        return np.vstack(found).astype(float)

    @cached_property
    def all_rows(self) -> np.ndarray:
        """Rows of Θᵀ of all columns."""
        return np.concatenate(self.rows)

    def put(self, counts: np.ndarray, sums: np.ndarray) -> None:
        """Write counts of combinations, (size, K), where R Fᵀ has categories."""
        sums[:, self.all_rows] = (self._categories @ counts).T


@dataclass(frozen=True)
class Lookups:
    """Tables one behind the other."""

    each: tuple[Lookup, ...]

    @cached_property
    def edges(self) -> list[int]:
        """Where tables begin, and the end."""
        return list(accumulate((lookup.size for lookup in self.each), initial=0))

    @cached_property
    def _rows(self) -> slice | np.ndarray | None:
        """Rows of Θᵀ, if each table is of one column."""
        if any(len(lookup.members) > 1 for lookup in self.each):
            return None
        return sliced(np.concatenate([lookup.all_rows for lookup in self.each]))

    def codes(
        self, values: np.ndarray, known: np.ndarray | None, weight: np.ndarray
    ) -> Codes:
        """Find the places of values (d, b)."""
        places = np.empty((values.shape[1], len(self.each)), dtype=np.int32)
        for column, lookup, start in zip(places.T, self.each, self.edges, strict=False):
            column[:] = lookup.codes(values)
            column += start
        if known is not None:
            known = np.ascontiguousarray(known, dtype=np.int64)
        return Codes(self, places, known, np.ascontiguousarray(weight, dtype=float))

    def _combined(self, rows: np.ndarray, combine: np.ufunc) -> np.ndarray:
        if self._rows is not None:
            return rows[self._rows]
        return np.concatenate([each.combined(rows, combine) for each in self.each])

    def logarithms(self, theta: np.ndarray) -> np.ndarray:
        """Log-proportions of all combinations, (K, R); of what is missing 0."""
        rows = np.array(theta.T, order="C")
        rows[0] = 0
        return np.ascontiguousarray(self._combined(rows, np.add).T)

    def products(self, weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Products of proportions of all combinations, (R, P); of missing ones 1.

        The weights of the components are in those of the first table. With zeros from
        K to P, as `empty` has it.
        """
        K = len(weights)
        rows = np.ascontiguousarray(shares.T)
        rows[0] = 1
        found = empty(self.edges[-1], K)
        found[:, :K] = self._combined(rows, np.multiply)
        found[: self.edges[1], :K] *= weights
        found[:, K:] = 0
        return found

    def put(self, counts: np.ndarray, sums: np.ndarray) -> None:
        """Write counts of combinations, (R, P), where R Fᵀ has categories and ones."""
        counts = counts[:, : len(sums)]
        if self._rows is not None:
            sums[:, self._rows] = counts.T
        else:
            for lookup, cut in zip(self.each, pairwise(self.edges), strict=True):
                lookup.put(counts[slice(*cut)], sums)
        # What is missing was put there, too.
        sums[:, 0] = counts[: self.edges[1]].sum(axis=0)


def sliced(places: np.ndarray) -> slice | np.ndarray:
    """Return places as a slice, which is faster, if they are one."""
    if not len(places) or (np.diff(places) != 1).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1)


@dataclass(frozen=True)
class Codes:
    """Places of rows in tables, (b, L), with their labels and weights."""

    lookups: Lookups
    places: np.ndarray
    known: np.ndarray | None
    weight: np.ndarray

    @cached_property
    def _one_hot(self) -> csc_array:
        """Which combinations a row has."""
        n, L = self.places.shape
        ends = np.arange(0, n * L + 1, L, dtype=np.int32)
        shape = self.lookups.edges[-1], n
        return csc_array((np.ones(n * L), self.places.ravel(), ends), shape)

    @cached_property
    def _of_rows(self) -> csr_array:
        """Which rows have a combination: the same matrix by rows."""
        return self._one_hot.tocsr()

    @cached_property
    def _addresses(self) -> list[int]:
        """Where what is the same in all calls of compiled code is."""
        order, starts = self._of_rows.indices, self._of_rows.indptr
        return [*map(address, (self.places, order, starts, self.known, self.weight))]

    def add(self, resp: np.ndarray, sums: np.ndarray) -> None:
        """Write the counts of all and of categories as R Fᵀ has them, R (K, b)."""
        library = native.library()
        if library is None:
            counts = self._one_hot @ np.ascontiguousarray(resp.T)
        else:
            given = np.ascontiguousarray(resp)
            counts = self._run(library, (1, len(resp)), None, given)[1]
        self.lookups.put(counts, sums)

    def _run(
        self,
        library: Library,
        shape: tuple[int, int],
        tables: np.ndarray | None,
        given: np.ndarray | None = None,
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Log-likelihoods, and counts (R, P); no log-likelihoods where digits lack."""
        (n, L), (M, K), R = self.places.shape, shape, self.lookups.edges[-1]
        # Counts, what is worked in, and log-likelihoods behind one another.
        P = width(M * K)
        sizes = accumulate((R * P, n * P + TILE * (M + 1), M))
        ends = list(sizes)
        room = empty(1, ends[-1])[0]
        first = address(room)
        precise = library.lookups(
            n, L, M, K, P, R, SAFE, *self._addresses, address(tables), address(given),
            first, first + 8 * ends[1], first + 8 * ends[0],
        )  # fmt: skip
        counts = room[: ends[0]].reshape(R, P)
        return (room[ends[1] : ends[2]].copy() if precise else None), counts

    def folded(
        self, tables: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Log-likelihoods of M mixtures of K components, and counts of combinations.

        None if products lack digits.
        """
        library = native.library()
        if library is not None:
            loglik, counts = self._run(library, shape, tables)
            return None if loglik is None else (loglik, counts)
        found = self.joint(tables, shape)
        if found is None:
            return None
        joint, total = found
        joint *= np.repeat(self.weight[:, None] / total, shape[1], axis=1)
        return self.weight @ np.log(total), self._one_hot @ joint

    def joint(
        self, tables: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """w_k Π p(x_j | k), (b, MK), and their sums of each mixture, (b, M).

        It takes no exponential of each row. None if products lack digits.
        """
        M, K = shape
        first, *others = self.places.T
        joint = tables[:, : M * K].take(first, axis=0, mode="clip")
        for place in others:
            joint *= tables[:, : M * K].take(place, axis=0, mode="clip")
        if self.known is not None:
            label = self.known[:, None]
            joint[(label >= 0) & (label != np.arange(M * K) % K)] = 0
        total = joint @ np.repeat(np.eye(M), K, axis=1).T
        return (joint, total) if total.min(initial=1.0) > SAFE else None

    def part(self, rows: slice | np.ndarray) -> Codes:
        """Those of some rows."""
        known = None if self.known is None else self.known[rows]
        return Codes(self.lookups, self.places[rows], known, self.weight[rows])


def lookups_of(
    models: tuple[Model, ...],
    places: tuple[np.ndarray, ...],
    slices: list[slice | None],
    values: np.ndarray,
) -> Lookups | None:
    """Put columns of categories together, in their order, as tables have room."""
    groups: list[list[tuple[int, int, np.ndarray]]] = [[]]
    size = 1
    most = 1 if values.shape[1] < FEW_ROWS else LARGEST_TABLE
    for j, (model, place, part) in enumerate(zip(models, places, slices, strict=True)):
        if not isinstance(model, CategoricalModel):
            continue
        assert part is not None
        column = int(place[0])
        rows = np.arange(part.start, part.stop)
        if np.isnan(values[column]).any():
            rows = np.append(rows, 0)
        if size * len(rows) > most and groups[-1]:
            groups.append([])
            size = 1
        size *= len(rows)
        groups[-1].append((j, column, rows))
    found = tuple(Lookup(*zip(*group, strict=True)) for group in groups if group)
    return Lookups(found) if found else None
