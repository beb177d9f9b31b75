"""Tell whether the first row of a file has the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from skem._cli.numbers import is_missing, number
from skem._report.text import shorten

YEARS = range(1800, 2101)
LONGEST_FIRST_ROW = 60
"""Letters of a first row that are shown."""


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with either decimal mark."""
    return not is_missing(cell) and any(number(cell, m) is not None for m in ".,")


def is_header(
    rows: Sequence[Sequence[str]], header: bool | None, notes: list[str]
) -> bool:
    """Whether the first row has names; what is doubtful is noted."""
    if header is not None:
        return header
    first, body = rows[0], rows[1:]
    numbers = [j for j, cell in enumerate(first) if is_number(cell)]
    names = [j for j, c in enumerate(first) if j not in numbers and not is_missing(c)]
    if not numbers:
        return bool(names)
    shown = shorten(", ".join(filter(None, first)), LONGEST_FIRST_ROW)
    if not any(_is_numeric(cells[j] for cells in body) for j in names):
        kind = _labels([first[j] for j in numbers])
        again = (_labels([cells[j] for j in numbers]) for cells in body)
        if not kind or kind in again:
            return False
        if not any(
            _stands_out(first[j], [cells[j] for cells in body]) for j in numbers
        ):
            notes.append(
                f"The first row ({shown}) was read as data; if it has the names of the "
                "columns, say --header."
            )
            return False
    notes.append(
        f"The first row ({shown}) was read as the names of the columns; if it is data, "
        "say --no-header."
    )
    return True


def _labels(cells: Sequence[str]) -> str:
    """Say which numbers the cells are, if people or programs name columns by them."""
    if not all(re.fullmatch("[0-9]{1,4}", cell) for cell in cells):
        return ""
    values = list(map(int, cells))
    if all(value in YEARS for value in values):
        return (
            "years"
            if values in (sorted(set(values)), sorted(set(values))[::-1])
            else ""
        )
    counts = len(values) > 1 and values[0] < 2
    return (
        "counts" if counts and values == list(range(values[0], values[-1] + 1)) else ""
    )


def _is_numeric(cells: Iterable[str]) -> bool:
    """Whether most cells are numbers, of those that are not empty."""
    found = [is_number(cell) for cell in cells if not is_missing(cell)]
    return sum(found) > len(found) / 2


def _stands_out(name: str, cells: Sequence[str]) -> bool:
    """Whether a whole number is unlike those below it."""
    values = [number(cell) for cell in cells if is_number(cell)]
    known = [value for value in values if value is not None]
    if not known:
        return False
    if any(not value.is_integer() for value in known):
        return True
    return int(name) in YEARS and not min(known) <= int(name) <= max(known)
