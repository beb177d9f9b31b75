"""Say what each column has: measurements, or text, dates, ids or numbers of rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from skem._cli import CommandError
from skem._cli.numbers import decimal_marks, is_missing, number
from skem._cli.sheet import Sheet
from skem._report.text import listed, printable, shorten

TEXT, DATES, FLAGS = "text", "dates", "true or false"
IDS, COUNTS, EMPTY = "ids", "the number of the row", "no values"
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|\d{1,2}[- ]?[a-z]{3,9}\.?[- ,]{1,2}\d{2,4}|[a-z]{3,9}\.? \d{1,2}, ?\d{4})"
    r"([T ].*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[ap]m)?",
    re.IGNORECASE,
)
_DAY = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_ID = re.compile(
    r"(?i:(.*[\s_.-])?(id|ids|uuid|guid)|id[\s_.-].*)|[A-Za-z]*[a-z](ID|Id)"
)
_CODE = re.compile(r"\d{2,}")
NAMES_LISTED = 6


@dataclass(frozen=True)
class SheetColumn:
    """A column, why it is not used unless asked for, and what is wrong with it."""

    name: str
    values: list[float]
    reason: str = ""
    problem: str = ""
    percent: bool = False


def look(sheet: Sheet) -> list[SheetColumn]:
    """Look at all columns."""
    cells = list(map(list, zip(*sheet.rows, strict=True)))
    with_comma = [cell for column in cells for cell in column if "," in cell]
    marks = decimal_marks(with_comma)
    # Files have semicolons between cells where the comma is the decimal mark.
    unsaid = not marks and bool(with_comma) and sheet.delimiter == ";"
    usual = "," if marks == {","} or unsaid else "."
    return [_column(sheet, j, column, usual) for j, column in enumerate(cells)]


def _column(sheet: Sheet, j: int, cells: list[str], usual: str) -> SheetColumn:
    name = sheet.names[j]
    # Without a comma anywhere there is no doubt, and nothing to look for.
    plain = usual == "." and not any("," in cell for cell in cells)
    marks = set() if plain else decimal_marks(cells)
    decimal = marks.pop() if len(marks) == 1 else usual
    values = [number(cell, decimal) for cell in cells]
    bad = [i for i, value in enumerate(values) if value is None]
    filled = [cell for cell in cells if not is_missing(cell)]
    if not filled:
        return SheetColumn(name, [], EMPTY, f"{name}: there is no number in the column")
    if bad:
        reason = _text(filled, len(bad))
        problem = _problem(sheet, j, bad[0], reason)
        return SheetColumn(name, [], reason, problem)
    known = [math.nan if value is None else value for value in values]
    infinite = [i for i, value in enumerate(known) if math.isinf(value)]
    problem = ""
    if infinite:
        i = infinite[0]
        where = f"line {sheet.lines[i]}, {name}"
        problem = f"{where}: {cells[i]} is not a finite number"
    percent = all(cell.endswith("%") for cell in filled)
    nameless = sheet.named and name in (f"column {j + 1}", f"Unnamed: {j}")
    reason = _numbered(name, nameless, cells, known)
    return SheetColumn(name, known, reason, problem, percent)


def _text(filled: list[str], n_bad: int) -> str:
    """Say what the cells are that are no numbers; nothing if they are mistakes."""
    n = len(filled)
    if n_bad <= max(1, n // 10) and n - n_bad >= n_bad:
        return ""
    if sum(_DATE.fullmatch(cell) is not None for cell in filled) >= 0.9 * n:
        return DATES
    words = {cell.lower() for cell in filled}
    if words <= {"true", "false"} or words <= {"yes", "no"}:
        return FLAGS
    return TEXT


def _problem(sheet: Sheet, j: int, i: int, reason: str) -> str:
    shown = repr(shorten(sheet.rows[i][j], 30))
    where = f"line {sheet.lines[i]}, {sheet.names[j]}: {shown} is not a number"
    if reason:
        return f"{where} (--columns selects columns)"
    return (
        f"{where}, unlike the rest of the column (correct the cell, empty it if there "
        "is no value, or leave the column out with --exclude)"
    )


def _numbered(name: str, nameless: bool, cells: list[str], values: list[float]) -> str:
    """Say why a column of numbers is not one of measurements."""
    # NaN is no integer either: what names or numbers rows has no gaps.
    if len(values) < 3 or not all(map(float.is_integer, values)):
        return ""
    steps = {after - before for before, after in pairwise(values)}
    if steps == {1.0} or (nameless and min(steps) > 0):
        return COUNTS
    if _ID.fullmatch(name):
        return IDS
    if all(map(_CODE.fullmatch, cells)):
        if any(cell.startswith("0") for cell in cells):
            return IDS
        if all(map(_DAY.fullmatch, cells)):
            return DATES
    return ""


def select(
    sheet: Sheet,
    columns: Sequence[SheetColumn],
    wanted: str | None,
    unwanted: str | None,
    notes: list[str],
) -> list[int]:
    """Return the indices of the columns to use; those left out are noted."""
    out = set() if unwanted is None else set(find(sheet.names, unwanted, "--exclude"))
    if wanted is not None:
        chosen = [j for j in find(sheet.names, wanted, "--columns") if j not in out]
        if not chosen:
            raise CommandError("--exclude leaves out all of --columns")
    else:
        every = [j for j in range(len(columns)) if j not in out]
        chosen = [j for j in every if not columns[j].reason]
        if not chosen:
            chosen = [j for j in every if columns[j].reason == COUNTS]
        if not chosen:
            raise CommandError(
                f"{sheet.title} has no column of numbers to use: "
                f"{_listed(columns, every) or 'all are left out'}"
            )
        if left := [j for j in every if j not in chosen]:
            what = "Columns" if len(left) > 1 else "Column"
            notes.append(
                f"{what} left out: {_listed(columns, left)}. --columns selects columns."
            )
    for j in chosen:
        if columns[j].problem:
            raise CommandError(f"{sheet.title}, {columns[j].problem}")
    if percent := [columns[j].name for j in chosen if columns[j].percent]:
        notes.append(f"In percent, so that 50% is 50: {_some(percent)}.")
    return chosen


def _listed(columns: Sequence[SheetColumn], indices: Sequence[int]) -> str:
    """Name columns by why they are left out."""
    reasons = dict.fromkeys(columns[j].reason for j in indices)
    groups = [
        (reason, [columns[j].name for j in indices if columns[j].reason == reason])
        for reason in reasons
    ]
    return "; ".join(f"{_some(names)} ({reason})" for reason, names in groups)


def _some(names: Sequence[str]) -> str:
    if len(names) <= NAMES_LISTED:
        return listed(names)
    first, others = names[: NAMES_LISTED - 1], len(names) - NAMES_LISTED + 1
    return f"{', '.join(first)} and {others} more"


def find(names: Sequence[str], text: str, option: str) -> list[int]:
    """Return the indices of columns given by name, or by number or range from 1."""
    chosen: list[int] = []
    for wanted in map(printable, text.split(",")):
        for index in _find(names, wanted, option):
            if index in chosen:
                raise CommandError(f"{option} has {wanted!r} twice")
            chosen.append(index)
    return chosen


def _find(names: Sequence[str], wanted: str, option: str) -> Sequence[int]:
    """Return the indices of one column, or of a range of them."""
    ends = re.fullmatch("([0-9]{1,9})-([0-9]{1,9})", wanted)
    if ends is None or wanted in names:
        return [_find_one(names, wanted)]
    first, last = (_find_one(names, str(int(end))) for end in ends.groups())
    if first > last:
        raise CommandError(f"{option}: {wanted!r} should count upwards")
    return range(first, last + 1)


def _find_one(names: Sequence[str], wanted: str) -> int:
    matches = [j for j, name in enumerate(names) if name == wanted]
    if len(matches) > 1:
        numbers = ", ".join(str(j + 1) for j in matches)
        raise CommandError(
            f"more than one column is named {wanted!r}: choose by number ({numbers})"
        )
    # Where names are numbers, such as years, a name goes before a place.
    if not matches and wanted.isascii() and wanted.isdecimal():
        matches = [j for j in range(len(names)) if str(j + 1) == wanted]
    if not matches:
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise CommandError(f"no column {wanted!r}; there are: {shown}")
    return matches[0]
