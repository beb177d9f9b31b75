"""Constraints of parameters that are one of some strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skem._inputs.sklearn import UnorderedStrOptions

OF_ONE_FEATURE = "mclust's 'E' and 'V', of one feature, are 'tied' and 'full' here"


class StrOptions(UnorderedStrOptions):
    """One of some strings, which an error lists in their order, with a note."""

    def __init__(self, options: Iterable[str], note: str = "") -> None:
        self.ordered = tuple(options)
        self.note = note
        super().__init__(set(self.ordered))

    def __str__(self) -> str:
        listed = ", ".join(map(repr, self.ordered))
        return f"a str among {{{listed}}}{self.note and f' ({self.note})'}"


def covariance_types(names: Iterable[str], *others: str) -> Any:
    """Return the constraint of a structure's name, or of others than these."""
    return StrOptions([*names, *others], OF_ONE_FEATURE)
