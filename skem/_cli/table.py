"""The numbers of a file, with notes on how they were read."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skem._cli import CommandError
from skem._cli.columns import EMPTY, SheetColumn, look, select
from skem._cli.sheet import Sheet, read_sheet
from skem._report.text import count, printable


class NumberTable(NamedTuple):
    """Numbers (n, d), the names of their columns, and where they are from.

    What is missing is NaN. `kept` are the indices of the rows in the sheet.
    """

    title: str
    names: tuple[str, ...]
    values: np.ndarray
    sheet: Sheet
    kept: np.ndarray
    notes: list[str]


def load_table(options: Namespace, names: Sequence[str] | None = None) -> NumberTable:
    """Read the selected columns of a file; without a path, of Old Faithful.

    `names` are those of the features of a mixture, which the columns then are.
    """
    path = options.data
    if path is None:
        sheet = _old_faithful()
    else:
        sheet = read_sheet(path, options.encoding, options.header)
    notes = list(sheet.notes)
    columns = look(sheet)
    wanted, unwanted = options.columns, options.exclude
    if names is not None and wanted is None:
        chosen = _features(sheet, columns, names, notes)
    else:
        chosen = select(sheet, columns, wanted, unwanted, notes)
    values = np.array([_numbers(sheet, columns[j]) for j in chosen]).T
    if names is not None and len(chosen) != len(names):
        raise CommandError(
            f"the model has {count(len(names), 'feature')} ({', '.join(names)}), but "
            f"--columns selects {count(len(chosen), 'column')}"
        )
    kept = np.arange(len(values))
    if options.missing == "drop":
        kept = _complete(sheet, values, notes)
    chosen_names = tuple(sheet.names[j] for j in chosen)
    return NumberTable(sheet.title, chosen_names, values[kept], sheet, kept, notes)


def _numbers(sheet: Sheet, column: SheetColumn) -> list[float]:
    return column.values or [np.nan] * len(sheet.rows)


def _complete(sheet: Sheet, values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the rows without a missing value."""
    kept = np.flatnonzero(~np.isnan(values).any(axis=1))
    if not len(kept):
        raise CommandError(
            f"{sheet.title}: no row is complete (--missing em uses the others too)"
        )
    if n_left := len(values) - len(kept):
        notes.append(
            f"{count(n_left, 'row')} of {len(values)} left out, for missing values; "
            "--missing em uses them."
        )
    return kept


def _features(
    sheet: Sheet, columns: Sequence[SheetColumn], names: Sequence[str], notes: list[str]
) -> list[int]:
    """Return the columns that have the names of a mixture's features.

    Those of one name are taken in order.
    """
    wanted = list(map(printable, names))
    places = {
        name: [j for j, own in enumerate(sheet.names) if own == name] for name in wanted
    }
    lacking = [name for name, own in places.items() if len(own) != wanted.count(name)]
    if not lacking:
        chosen = [places[name].pop(0) for name in wanted]
    elif several := [name for name in lacking if places[name]]:
        name = several[0]
        raise CommandError(
            f"{sheet.title} has {count(len(places[name]), 'column')} named {name!r}, "
            f"and the model needs {wanted.count(name)} (--columns takes others instead)"
        )
    elif sheet.named and not all(name.startswith("column ") for name in wanted):
        raise CommandError(
            f"{sheet.title} has no column{'s' * (len(lacking) > 1)} "
            f"{', '.join(map(repr, lacking))}, which the "
            f"model needs; there are: {', '.join(sheet.names)} (--columns takes "
            "others instead)"
        )
    else:
        chosen = list(range(len(columns)))
        if len(chosen) != len(wanted):
            chosen = select(sheet, columns, None, None, notes)
        if len(chosen) != len(wanted):
            raise CommandError(
                f"the model has {count(len(wanted), 'feature')}, but {sheet.title} has "
                f"{count(len(chosen), 'column')} of numbers (--columns selects columns)"
            )
    for j in chosen:
        # All values of a feature may be missing here.
        if columns[j].problem and columns[j].reason != EMPTY:
            raise CommandError(f"{sheet.title}, {columns[j].problem}")
    return chosen


def _old_faithful() -> Sheet:
    from skem.datasets import load_faithful

    faithful = load_faithful()
    rows = [list(map(repr, row)) for row in faithful.data.tolist()]
    lines = list(range(1, len(rows) + 1))
    names = tuple(faithful.feature_names)
    return Sheet("Old Faithful", names, True, rows, lines, ",", [])
