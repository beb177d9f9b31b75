"""Read numeric columns of a CSV file, or say which cell is in the way.

Cells that are empty, or have a word for a missing value, are NaN.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from skem._cli import CommandError
from skem._text import count, printable, shorten
from skem.datasets import load_faithful

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Words for a missing value: not a number, but not the name of a column either."""
SEPARATE = "separate cells by comma, semicolon or tab"


class Table(NamedTuple):
    """Numbers (n, d), the names of their columns, and where they are from.

    What is missing is NaN.
    """

    title: str
    names: tuple[str, ...]
    values: np.ndarray


class Row(NamedTuple):
    """The cells of a row, and the line of the file at which it ends."""

    cells: list[str]
    line: int


def load_table(path: str | None, columns: str | None) -> Table:
    """Read the selected columns of a CSV file; without a path, of Old Faithful."""
    if path is None:
        faithful = load_faithful()
        names = tuple(faithful.feature_names)
        chosen = select_columns(names, columns)
        title, values = "Old Faithful", faithful.data[:, chosen]
    else:
        title = path
        rows, delimiter = _read_rows(path)
        names, rows = _split_header(path, rows)
        chosen = select_columns(names, columns)
        # Files have semicolons between cells where the comma is the decimal mark.
        decimal = "," if delimiter == ";" else "."
        try:
            values = np.array(
                [[_number(row, names, j, decimal) for j in chosen] for row in rows]
            )
        except ValueError as error:
            raise CommandError(f"{path}, {error}") from None
        for name, column in zip([names[j] for j in chosen], values.T, strict=True):
            if np.isnan(column).all():
                raise CommandError(f"{path}, {name}: there is no number in the column")
    return Table(title, tuple(names[j] for j in chosen), values)


def _read_rows(path: str) -> tuple[list[Row], str]:
    """Return the rows, all of one length, and what is between their cells."""
    try:
        # utf-8-sig drops a byte order mark; newline="" leaves line ends to csv.
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = _delimiter(first)
            rows = _parse(chain([first], file), delimiter)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text file in UTF-8") from None
    except csv.Error as error:
        raise CommandError(f"{path} is not a CSV file: {error}") from None
    if not rows:
        raise CommandError(f"{path} is empty")
    _check_rectangular(path, rows)
    return rows, delimiter


def _split_header(path: str, rows: list[Row]) -> tuple[tuple[str, ...], list[Row]]:
    """Return the names of the columns, and the rows below them."""
    names = tuple(f"column {j + 1}" for j in range(len(rows[0].cells)))
    if not _is_header(rows[0].cells):
        return names, rows
    header, *rows = rows
    if not rows:
        raise CommandError(f"{path} has a header but no rows")
    pairs = zip(header.cells, names, strict=True)
    return tuple(printable(cell) or name for cell, name in pairs), rows


def select_columns(names: Sequence[str], columns: str | None) -> list[int]:
    """Return the indices of columns given by name, or by number or range from 1."""
    if columns is None:
        return list(range(len(names)))
    chosen = []
    for wanted in map(printable, columns.split(",")):
        for index in _find(names, wanted):
            if index in chosen:
                raise CommandError(f"--columns has {wanted!r} twice")
            chosen.append(index)
    return chosen


def _find(names: Sequence[str], wanted: str) -> Sequence[int]:
    """Return the indices of one column, or of a range of them."""
    ends = re.fullmatch("([0-9]{1,9})-([0-9]{1,9})", wanted)
    if ends is None or wanted in names:
        return [_find_one(names, wanted)]
    first, last = (_find_one(names, str(int(end))) for end in ends.groups())
    if first > last:
        raise CommandError(f"--columns: {wanted!r} should count upwards")
    return range(first, last + 1)


def _find_one(names: Sequence[str], wanted: str) -> int:
    matches = [j for j, name in enumerate(names) if name == wanted]
    if len(matches) > 1:
        numbers = ", ".join(str(j + 1) for j in matches)
        raise CommandError(
            f"more than one column is named {wanted!r}: choose by number ({numbers})"
        )
    # A header has no numbers in it, so a number cannot be a name.
    if not matches and wanted.isascii() and wanted.isdecimal():
        matches = [j for j in range(len(names)) if str(j + 1) == wanted]
    if not matches:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise CommandError(f"no column {wanted!r}; there are: {shown}")
    return matches[0]


def _delimiter(line: str) -> str:
    for delimiter in ";\t":
        if len(next(csv.reader([line], delimiter=delimiter), [])) > 1:
            return delimiter
    return ","


def _parse(lines: Iterable[str], delimiter: str) -> list[Row]:
    """Return all rows up to the last that has anything in it."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = [Row([cell.strip() for cell in cells], reader.line_num) for cells in reader]
    while rows and not any(rows[-1].cells):
        rows.pop()
    return rows


def _check_rectangular(path: str, rows: list[Row]) -> None:
    expected = len(rows[0].cells)
    for cells, line in rows:
        # A blank line may be a missing value; to skip it would shift the labels.
        if not cells:
            raise CommandError(f"{path}, line {line} is blank")
        if len(cells) != expected:
            raise CommandError(
                f"{path}, line {line} has {count(len(cells), 'cell')}, "
                f"but line {rows[0].line} has {expected}"
            )


def _is_header(cells: list[str]) -> bool:
    """Whether there are names among the cells, and no numbers."""
    return not any(map(_is_number, cells)) and any(
        cell.lower() not in MISSING for cell in cells
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _number(row: Row, names: Sequence[str], j: int, decimal: str) -> float:
    cell = row.cells[j]
    where = f"line {row.line}, {names[j]}"
    if cell.lower() in MISSING:
        return math.nan
    try:
        # Python's own literals may have underscores, data may not.
        value = float(cell.replace(decimal, ".").replace("_", "?"))
    except ValueError:
        shown = shorten(cell, 30)
        hint = "--columns selects columns"
        if len(row.cells) == 1 and len(parts := cell.split()) > 1:
            hint = SEPARATE if any(map(_is_number, parts)) else hint
        raise ValueError(f"{where}: {shown!r} is not a number ({hint})") from None
    if not math.isfinite(value):
        raise ValueError(f"{where}: {cell} is not a finite number")
    return value
