"""Rows of cells and the names of their columns, from whatever a file holds."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from skem._cli import CommandError
from skem._cli.header import is_header, is_number
from skem._cli.sources import (
    check_kind,
    check_named_type,
    decode,
    is_frame,
    read_bytes,
    read_frame,
    title_of,
)
from skem._report.text import count, printable

DELIMITERS = ";\t|,"
"""The comma comes last: it may be a decimal mark between other delimiters."""
LOOKED_AT = 10
"""Lines that tell the delimiter."""


class Sheet(NamedTuple):
    """Cells as text, the names of the columns, and the line that each row is in."""

    title: str
    names: tuple[str, ...]
    named: bool
    """Whether the names are from the file."""
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    notes: list[str]


class _Records(NamedTuple):
    rows: list[list[str]]
    lines: list[int]
    above: list[str]
    """Comments above the first row."""
    below: list[tuple[int, str]]
    """The numbers of lines of comments below it, and their texts."""
    blank: int
    empty: int
    """Rows of delimiters alone at the end, which are left out."""


def read_sheet(path: str, encoding: str | None, header: bool | None) -> Sheet:
    """Read a file; `header` tells whether its first row has names, if that is known."""
    title = title_of(path)
    notes: list[str] = []
    content = read_bytes(path)
    names: Sequence[str] | None
    if is_frame(content):
        names, rows = read_frame(content, title)
        found = _Records(rows, list(range(1, len(rows) + 1)), [], [], 0, 0)
        delimiter = ""
    else:
        try:
            text = decode(content, encoding, title, notes)
        except CommandError:
            check_named_type(path, content, title)
            check_kind(path, title)
            raise
        if text.lstrip().startswith(("{", "[")):
            check_kind(path, title)
        told = re.match(r"sep=(.)(?=[\r\n])", text)
        if told:
            # Excel reads the line, which becomes a comment here.
            text = f"#{text[told.end() :]}"
        try:
            delimiter = told[1] if told else _delimiter(text)
            found = _records(title, text, delimiter)
        except csv.Error as error:
            raise CommandError(f"{title} is not a CSV file: {error}") from None
        if told:
            del found.above[0]
        names = None
    if not found.rows:
        raise CommandError(f"{title} is empty{_instead(found)}")
    rows, lines = _rectangular(title, found.rows, found.lines)
    if names is None and found.above:
        names = _names_of_comment(found.above[-1], delimiter, rows, header)
        if names is not None:
            found.above.pop()
    if names is None and is_header(rows, header, notes):
        names, rows, lines = rows[0], rows[1:], lines[1:]
        if not rows:
            check_named_type(path, content, title)
            raise CommandError(f"{title} has a header but no rows{_instead(found)}")
    notes += _skipped(found, delimiter)
    numbered = [f"column {j + 1}" for j in range(len(rows[0]))]
    shown = [printable(name) for name in names or []]
    return Sheet(
        title,
        tuple(
            name or own for name, own in zip(shown or numbered, numbered, strict=True)
        ),
        names is not None,
        rows,
        lines,
        delimiter,
        notes,
    )


def _records(title: str, text: str, delimiter: str) -> _Records:
    """Parse all rows; comments are apart, and blank lines up to the last row counted.

    A row of delimiters is one with empty cells, and no blank line. Spreadsheets add
    such rows at the end, where they are left out.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    kept, blank, blank_before, first, between = 0, 0, 0, 0, True
    above: list[str] = []
    below: list[tuple[int, str]] = []
    space = " \r\n" if delimiter == "\t" else None
    record: list[str] = []

    def source() -> Iterator[str]:
        nonlocal blank, first, between
        for number, line in enumerate(io.StringIO(text, newline=""), start=1):
            if between:
                bare = line.strip(space)
                if not bare:
                    blank += 1
                    continue
                if bare.startswith("#"):
                    if rows:
                        below.append((number, bare))
                    else:
                        above.append(bare)
                    continue
                # A quoted cell may have several lines.
                first, between = number, False
                record.clear()
            record.append(f"{line.strip()}\n" if delimiter == " " else line)
            yield record[-1]
        if not between:
            # The reader asks for one line more within quotes alone.
            _check_quotes(title, first, record, delimiter)

    reader = csv.reader(source(), delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if len(record) > 1:
                _check_quotes(title, first, record, delimiter)
            between = True
            rows.append([cell.strip() for cell in cells])
            lines.append(first)
            if "".join(record).strip(f"{delimiter} \t\r\n"):
                kept, blank_before = len(rows), blank
    except csv.Error:
        # A cell that is too long may be one that is not closed.
        _check_quotes(title, first, record, delimiter)
        raise
    empty = len(rows) - kept
    return _Records(rows[:kept], lines[:kept], above, below, blank_before, empty)


def _instead(found: _Records) -> str:
    """Say what lines are that may have been meant to be rows, where there are none."""
    comments, told = len(found.above) + len(found.below), []
    if comments == 1:
        told.append("1 line begins with # and was taken for a comment")
    elif comments:
        told.append(f"{comments} lines begin with # and were taken for comments")
    if found.empty:
        told.append(f"{count(found.empty, 'row')} of empty cells skipped")
    return "".join(f"; {each}" for each in told)


def _skipped(found: _Records, delimiter: str) -> list[str]:
    """Say which lines were no rows; some comments look as if they were meant to be."""
    notes = []
    width = len(found.rows[-1])
    alike = [
        number
        for number, text in found.below
        if width > 1 and not re.match(r"#+ ", text) and _width(text, delimiter) == width
    ]
    if len(alike) == 1:
        notes.append(
            f"Line {alike[0]} begins with # and was taken for a comment, but has "
            f"{width} cells as rows have. If it is a row, put its first cell in quotes."
        )
    elif alike:
        notes.append(
            f"{len(alike)} lines, the first of them line {alike[0]}, begin with # and "
            f"were taken for comments, but have {width} cells as rows have. If they "
            "are rows, put their first cells in quotes."
        )
    others = len(found.above) + len(found.below) - len(alike)
    for number, kind in ((others, "comment line"), (found.blank, "blank line")):
        if number:
            notes.append(f"{count(number, kind)} skipped.")
    if found.empty:
        notes.append(f"{count(found.empty, 'row')} of empty cells at the end skipped.")
    return notes


def _check_quotes(title: str, first: int, record: list[str], delimiter: str) -> None:
    """Require that quotes around several lines are closed at the end of a cell.

    The reader takes all that follows a stray quote for text of its cell.
    """
    text, between = "".join(record), re.escape(delimiter)
    quoted = rf'(?:\A|(?<={between})) *"(?:[^"]|"")*+("[ \t]*(?={between}|[\r\n]|\Z))?'
    for cell in re.finditer(quoted, text):
        beyond = cell.end() == len(text) or re.search(r"[\r\n]", cell[0])
        if beyond and not cell[1]:
            line = first + len(re.findall(r"\r\n?|\n", text[: cell.start()]))
            raise CommandError(
                f'{title}, line {line} opens a quote, ", that is not closed at the end '
                "of a cell. Remove it, or quote the cell and double the quotes in it"
            )


def _delimiter(text: str) -> str:
    """Return what is between the cells of the first lines."""
    bare = (line.strip(" \r\n") for line in io.StringIO(text, newline=""))
    content = (line for line in bare if line.strip() and not line.startswith("#"))
    lines = list(islice(content, LOOKED_AT))
    for delimiter in DELIMITERS:
        if _is_between_cells(delimiter, lines):
            return delimiter
    for delimiter in DELIMITERS:
        if lines and _width(lines[0], delimiter) > 1:
            return delimiter
    if any(mark in line for line in lines for mark in DELIMITERS):
        # Below a single name, a comma is a decimal mark.
        return ";" if all(map(is_number, lines[1:])) else ","
    numbers = lines and any(map(is_number, lines[-1].split()))
    return " " if numbers and _is_between_cells(" ", lines) else ","


def _is_between_cells(delimiter: str, lines: list[str]) -> bool:
    """Whether all lines have as many cells, but for a name that the first may lack."""
    first, *others = (_width(line, delimiter) for line in lines or [""])
    widths = set(others or [first])
    width = widths.pop()
    return not widths and first > 1 and first in (width, width - 1)


def _width(line: str, delimiter: str) -> int:
    return len(_cells(line, delimiter))


def _cells(line: str, delimiter: str) -> list[str]:
    reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    return next(reader, [])


def _rectangular(
    title: str, rows: list[list[str]], lines: list[int]
) -> tuple[list[list[str]], list[int]]:
    """Require rows of one length, but for what programs are known to leave out."""
    first = len(rows[0])
    others = {len(cells) for cells in rows[1:]}
    if len(rows) > 2 and others == {first + 1} and not any(map(is_number, rows[0])):
        if any(cells[-1] for cells in rows[1:]):
            # R writes no name above the names of the rows.
            return [["", *rows[0]], *rows[1:]], lines
        # A delimiter at the end of each row.
        return [rows[0], *(cells[:-1] for cells in rows[1:])], lines
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) != first:
            raise CommandError(
                f"{title}, line {line} has {count(len(cells), 'cell')}, "
                f"but line {lines[0]} has {first}"
            )
    return rows, lines


def _names_of_comment(
    comment: str, delimiter: str, rows: list[list[str]], header: bool | None
) -> list[str] | None:
    """Return the names in a comment above numbers, as NumPy writes them."""
    if header is not None or not all(map(is_number, filter(None, rows[0]))):
        return None
    bare = comment.lstrip("#").strip(" ")
    cells = [cell.strip() for cell in _cells(bare, delimiter or ",")]
    if delimiter.strip() and comment.startswith(f"#{delimiter}"):
        cells = ["", *cells[1:]]
    if len(cells) != len(rows[0]) or len(cells) < 2 or any(map(is_number, cells)):
        return None
    return cells
