"""Text: counted nouns, rounded numbers, tables in plain text and in HTML."""

from __future__ import annotations

import html
import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

WIDTH = 80
WIDEST_NUMBER = 16
MOST_NAMED = 5
"""Rows of a component that are named, at most."""
UNDETERMINED = (
    "rest on fewer samples than it takes to determine them, or coincide with others."
)
NOT_IDENTIFIED = "The parameters of the mixture are not identified"
"""How the warning of more parameters than a table determines begins."""


class TextColumn(NamedTuple):
    """A column of a table."""

    title: str
    cells: Sequence[str]


class Section(NamedTuple):
    """A table, of which the first column names the rows, with its title."""

    title: str
    columns: Sequence[TextColumn]


class Printed(ABC):
    """What prints as tables, and in notebooks as HTML."""

    @abstractmethod
    def _sections(self) -> Iterable[Section]:
        """Return the tables."""

    def __str__(self) -> str:
        return "\n\n".join(map(as_text, self._sections()))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        tables = "\n".join(map(as_html, self._sections()))
        return f'<section class="skem-summary">\n{tables}\n</section>'


def pandas_for(what: str) -> Any:
    """Return pandas, which something requires."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{what} requires pandas, which is not installed.") from error
    return pandas


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number with its noun, in the plural if need be."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Sequence[str]) -> str:
    """Return items with commas, and the last one with an "and"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def capitalised(text: str) -> str:
    """Return text that begins a sentence."""
    return text[:1].upper() + text[1:]


def rows_of_components(rows: dict[int, np.ndarray]) -> str:
    """Say which rows components rest on: some of them, where they are many."""
    return "; ".join(
        f"component {k} rests on {_rows(found)}" for k, found in rows.items()
    )


def _rows(rows: np.ndarray) -> str:
    if len(rows) == 0:
        return "no row"
    if len(rows) == 1:
        return f"row {rows[0]} alone"
    shown = [str(row) for row in rows[:MOST_NAMED]]
    if len(rows) > MOST_NAMED:
        shown.append(f"{len(rows) - MOST_NAMED} more")
    return f"rows {listed(shown)}"


def printable(text: str) -> str:
    """Return one line, without control characters."""
    text = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in text)


def shorten(text: str, width: int) -> str:
    """Return at most `width` characters, from both ends."""
    if len(text) <= width:
        return text
    tail = (width - 3) // 2
    return f"{text[: width - 3 - tail]}...{text[-tail:]}"


def paragraph(text: str) -> str:
    """Break lines between words, never within one: it may be a path."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def rounded(values: np.ndarray, unit: float) -> list[str]:
    """Return numbers with three significant digits of `unit` and the same decimals."""
    if 0 < unit < math.inf:
        decimals = max(0, 2 - math.floor(math.log10(unit)))
        # + 0.0 makes a zero of a negative zero.
        cells = [f"{round(float(v), decimals) + 0.0:.{decimals}f}" for v in values]
        if max(map(len, cells)) <= WIDEST_NUMBER:
            return cells
    return [f"{v:.6e}" for v in values]


def table(columns: Sequence[TextColumn]) -> str:
    """Align columns on the right.

    Those that do not fit continue below, beside the first column again.
    """
    key, *others = (_aligned(column) for column in columns)
    parts = [[key]]
    for column in others:
        width = sum(2 + len(cells[0]) for cells in [*parts[-1], column])
        if width > WIDTH and len(parts[-1]) > 1:
            parts.append([key])
        parts[-1].append(column)
    return "\n\n".join(map(_side_by_side, parts))


def as_text(section: Section) -> str:
    """Return the title and the table below it."""
    return f"{section.title}\n\n{table(section.columns)}"


def as_html(section: Section) -> str:
    """Return an HTML table with the title for its caption."""
    header = "".join(_cell(column.title, "col") for column in section.columns)
    rows = zip(*(column.cells for column in section.columns), strict=True)
    body = "\n".join(
        f"<tr>{_cell(name, 'row')}{''.join(map(_cell, cells))}</tr>"
        for name, *cells in rows
    )
    return (
        f"<table>\n<caption>{html.escape(section.title)}</caption>\n"
        f"<thead>\n<tr>{header}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _cell(text: str, scope: str | None = None) -> str:
    if scope is None or not text:
        return f"<td>{html.escape(text)}</td>"
    return f'<th scope="{scope}">{html.escape(text)}</th>'


def _aligned(column: TextColumn) -> list[str]:
    width = max(map(len, [column.title, *column.cells]))
    return [cell.rjust(width) for cell in [column.title, *column.cells]]


def _side_by_side(columns: list[list[str]]) -> str:
    lines = zip(*columns, strict=True)
    return "\n".join(("  " + "  ".join(line)).rstrip() for line in lines)
