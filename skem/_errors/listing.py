"""Errors and intervals as one table: a row for each parameter, with its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

import numpy as np

from skem._report.text import (
    TextColumn,
    capitalised,
    pandas_for,
    printable,
    rounded,
    shorten,
    table,
)

ALL = "all"
"""Stands for the component of what all share, and for the features of a sphere."""
WAYS = {
    "sandwich": "the sandwich",
    "hessian": "the Hessian",
    "opg": "the outer product of gradients",
    "survey": "the sandwich for sampling weights",
    "bootstrap": "the bootstrap",
}
LONGEST_NAMES = 40
"""Characters of the names of one row, at most."""
ROWS_SHOWN = 60
"""Of more rows of one part, such as all means, those in the middle are left out."""
GAP = "..."
NO_ESTIMATES = (
    "These standard errors have no estimates with them. Take those that the method "
    "standard_errors returns."
)


class Key(NamedTuple):
    """What a number is of."""

    component: int | str
    parameter: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Rows in parts, such as all weights, and columns of their numbers by name."""

    title: str
    parts: Sequence[Sequence[Key]]
    values: dict[str, np.ndarray]

    def text(self) -> str:
        """Return the title, and the rows below it."""
        shown, start, cut = [], 0, False
        for part in self.parts:
            rows = [*enumerate(part, start)]
            start += len(part)
            if len(part) > ROWS_SHOWN:
                half, cut = ROWS_SHOWN // 2, True
                shown += [*self._rows(rows[:half]), None, *self._rows(rows[-half:])]
            else:
                shown += self._rows(rows)
        titles = ("component", "parameter", "feature", *self.values)
        gap = (GAP,) * len(titles)
        texts = [gap if row is None else row for row in shown]
        columns = [list(column) for column in zip(titles, *texts, strict=True)]
        # One column, so that it is repeated where a table goes on below.
        names = ["  ".join(row) for row in zip(*map(_padded, columns[:3]), strict=True)]
        found = table(
            [TextColumn(head, cells) for head, *cells in (names, *columns[3:])]
        )
        end = "\n\nto_frame() has all rows." if cut else ""
        return f"{self.title}\n\n{found}{end}"

    def _rows(self, rows: list[tuple[int, Key]]) -> Iterator[tuple[str, ...]]:
        """Yield the cells of rows."""
        cells = self._numbers(rows)
        for i, key in rows:
            width = LONGEST_NAMES // max(1, len(key.features))
            names = [shorten(printable(name), width) for name in key.features]
            yield str(key.component), key.parameter, ", ".join(names), *cells[i]

    def _numbers(self, rows: list[tuple[int, Key]]) -> dict[int, list[str]]:
        """Round each row by its error; without one, as the closest of its kind."""
        numbers = np.array([*self.values.values()])
        estimates, errors = numbers[:2]
        least: dict[tuple[Any, ...], float] = {}
        for i, key in rows:
            if _is_unit(errors[i]):
                least[key[1:]] = min(errors[i], least.get(key[1:], np.inf))
        found = {}
        for i, key in rows:
            units = errors[i], least.get(key[1:], np.nan), abs(estimates[i])
            unit = next(filter(_is_unit, units), np.inf)
            found[i] = rounded(numbers[:, i], unit)
        return found

    def frame(self) -> Any:
        """Return a data frame of pandas."""
        pd = pandas_for("to_frame")
        keys = [key for part in self.parts for key in part]
        components = [None if key.component == ALL else key.component for key in keys]
        names = {
            "component": pd.array(components, dtype="Int64"),
            "parameter": [key.parameter for key in keys],
            "feature": [", ".join(key.features) for key in keys],
        }
        return pd.DataFrame({**names, **self.values})


class Listed(ABC):
    """A named tuple with attributes beside it, which prints as a listing.

    If it has the estimates. A subclass has values for what it is not given.
    """

    def __new__(cls, *entries: Any, **beside: Any) -> Self:
        """Make the tuple of the entries, which may have their names."""
        fields = cast(Any, cls)._fields
        named = {name: beside.pop(name) for name in fields if name in beside}
        if unknown := [name for name in beside if not hasattr(cls, name)]:
            raise TypeError(f"{cls.__name__} has no attribute {unknown[0]!r}")
        found = super().__new__(cls, *entries, **named)
        vars(found).update(beside)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), tuple(cast(Any, self)), vars(self))

    @abstractmethod
    def _listing(self) -> Listing | None:
        """Return the rows; None without estimates."""

    def __str__(self) -> str:
        listing = self._listing()
        return repr(self) if listing is None else listing.text()

    def to_frame(self) -> Any:
        """Return a data frame with a row for each parameter.

        Its methods `to_markdown`, `to_latex` and `to_csv` write it.

        Returns
        -------
        frame : pandas.DataFrame
            Its columns are `component`, of the dtype Int64, with ``<NA>`` for what all
            components share; `parameter`; `feature`, two names with a comma for a
            covariance, and name and value for a category; `estimate`; `error`; and of
            intervals `lower` and `upper`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If it was made by hand, without estimates.
        """
        listing = self._listing()
        if listing is None:
            raise ValueError(NO_ESTIMATES)
        return listing.frame()


def _made_again(kind: Any, entries: tuple[Any, ...], beside: dict[str, Any]) -> Any:
    return kind(*entries, **beside)


class ListedErrors(Listed):
    """Standard errors, and how they were found."""

    estimates: Any = None
    method: str | None = None
    n_boot: int | None = None
    n_groups: int | None = None

    def _listing(self) -> Listing | None:
        return None if self.estimates is None else self.estimates.listing(self)


class ListedIntervals(Listed):
    """Intervals, and the errors that they were made of."""

    errors: Any = None
    level: float | None = None

    def _listing(self) -> Listing | None:
        if self.errors is None or self.errors.estimates is None:
            return None
        listing: Listing = self.errors.estimates.listing(self.errors, self)
        return listing


def title_of(errors: Any, level: float | None = None) -> str:
    """Say what numbers are, and by which method."""
    title = "standard errors"
    if errors.method is not None:
        title += f" by {WAYS[errors.method]}"
    if errors.n_boot is not None:
        title += f", {errors.n_boot} refits"
    if errors.n_groups is not None:
        title += f", {errors.n_groups} groups of rows"
    if level is not None:
        title = f"{100 * level:.6g} % intervals, from {title}"
    return capitalised(title)


def _is_unit(error: float) -> bool:
    return 0 < error < np.inf


def _padded(cells: list[str]) -> list[str]:
    """Align numbers on the right, and names on the left."""
    width = max(map(len, cells))
    whole = all(cell.isdigit() or cell in (ALL, GAP) for cell in cells[1:])
    return [cell.rjust(width) if whole else cell.ljust(width) for cell in cells]
