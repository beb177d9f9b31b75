"""Rows of a stream of tables, kept until there are enough of them to start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem._inputs.tables import CATEGORIES, NUMBERS, Column, Table, in_order
from skem.core.mixture.stream import START_ROWS_PER_COMPONENT


@dataclass(frozen=True)
class TableGathering:
    """Rows that have come so far; `n_fitted` of them have been fitted.

    `told`: whether there was a warning of codes.
    """

    table: Table
    weight: np.ndarray
    n_fitted: int = 0
    told: bool = False

    def join(self, table: Table, weight: np.ndarray) -> TableGathering:
        """Add a batch."""
        return replace(
            self,
            table=joined(self.table, table),
            weight=np.concatenate([self.weight, weight]),
        )

    @property
    def n_seen(self) -> int:
        """Rows of positive weight."""
        return int(np.count_nonzero(self.weight))

    def is_enough(self, n_components: int) -> bool:
        """Whether a stream may begin."""
        return self.n_seen >= START_ROWS_PER_COMPONENT * n_components

    def is_due(self, n_components: int) -> bool:
        """Whether the rows should be fitted, enough or not."""
        if self.is_enough(n_components):
            return True
        if self.n_seen < max(n_components, 2, 2 * self.n_fitted):
            return False
        return self.has_values

    @property
    def has_values(self) -> bool:
        """Whether each column has one, in rows of positive weight."""
        there = self.weight > 0
        return all(_seen(column)[there].any() for column in self.table.columns)


def _seen(column: Column) -> np.ndarray:
    """Which cells are not missing."""
    if column.numbers is not None:
        return ~np.isnan(column.numbers)
    assert column.codes is not None
    return column.codes >= 0


def joined(first: Table, second: Table) -> Table:
    """Return the rows of both; categories are those of either."""
    pairs = zip(first.columns, second.columns, strict=True)
    columns = [_joined(a, b) for a, b in pairs]
    n_rows = first.n_rows + second.n_rows
    return replace(first, columns=columns, n_rows=n_rows, file=None)


def _joined(a: Column, b: Column) -> Column:
    if a.kind != b.kind:
        # A column without a value may be of either kind.
        for empty, other in ((a, b), (b, a)):
            if empty.kind == NUMBERS and not _seen(empty).any():
                codes = np.full(len(_seen(empty)), -1)
                gaps = Column(empty.name, CATEGORIES, None, codes)
                a, b = (gaps, other) if empty is a else (other, gaps)
                break
        else:
            raise ValueError(
                f"Column {a.name!r} has {b.kind}; the stream has had {a.kind} there."
            )
    if a.numbers is not None and b.numbers is not None:
        return Column(a.name, NUMBERS, np.concatenate([a.numbers, b.numbers]))
    assert a.codes is not None and b.codes is not None
    labels = {label: code for code, label in enumerate(a.labels)}
    place = [labels.setdefault(label, len(labels)) for label in b.labels]
    codes = np.array([*place, -1])[b.codes]
    return in_order(a.name, np.concatenate([a.codes, codes]), list(labels))
