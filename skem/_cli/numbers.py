"""Numbers as people write them: 1,234.5 and 1.234,5 and 12 %."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

MISSING = frozenset(
    "na n/a n.a. nan null nil none missing ? - -- . #n/a <na>".split()
) | {""}
"""Words for a missing value: not a number, but not the name of a column either."""
CURRENCIES = "$€£¥ \u00a0"
_SIGN = r"[+-]?"
_GROUPED = {
    mark: re.compile(
        rf"{_SIGN}\d{{1,3}}(?:(?P<by>[{other} '’\u00a0\u202f])\d{{3}})"
        rf"(?:(?P=by)\d{{3}})*(?:[{mark}]\d*)?"
    )
    for mark, other in ((".", ","), (",", "."))
}
"""Whole thousands that are set apart, by one and the same sign."""
_MARKED = re.compile(rf"{_SIGN}[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?\s*%?")


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.lower() in MISSING


def number(cell: str, decimal: str = ".") -> float | None:
    """Return the number of a cell, NaN if it is missing, or None if it is text."""
    if "_" not in cell and "%" not in cell:
        # Python's own literals may have underscores, data may not.
        try:
            value = float(cell)
        except ValueError:
            pass
        else:
            grouped = decimal == "," and _GROUPED[","].fullmatch(cell)
            if not grouped:
                return value
    if is_missing(cell):
        return math.nan
    text = cell.removesuffix("%").strip(CURRENCIES).replace("−", "-").replace("_", "?")
    if match := _GROUPED[decimal].fullmatch(text):
        text = text.replace(match["by"], "")
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None


def decimal_marks(cells: Iterable[str]) -> set[str]:
    """Return which of point and comma are evidently decimal marks."""
    found = set()
    for cell in cells:
        if _MARKED.fullmatch(cell) and (mark := _decimal_mark(cell)):
            found.add(mark)
    return found


def _decimal_mark(cell: str) -> str | None:
    """Return the decimal mark, unless it may as well set thousands apart."""
    points, commas = cell.count("."), cell.count(",")
    if points and commas:
        return max(".,", key=cell.rindex)
    if max(points, commas) > 1:
        return "," if points else "."
    if not points + commas:
        return None
    mark = "." if points else ","
    before, _, after = re.sub(r"[+-]|\s*%$", "", cell).partition(mark)
    thousands = re.fullmatch(r"[1-9]\d{0,2}", before) and re.fullmatch(r"\d{3}", after)
    return None if thousands else mark
