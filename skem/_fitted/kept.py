"""What is made of values of a mixture, kept while they stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from skem._inputs.array_api import numpy_of

T = TypeVar("T")


class _Kept(NamedTuple):
    """What was made, and the setting and the values that it was made of."""

    setting: Any
    values: list[np.ndarray | None]
    made: Any


# Outside of the mixtures, so that neither copies nor pickles of them carry it.
_kept: WeakKeyDictionary[Any, dict[Any, _Kept]] = WeakKeyDictionary()


def kept(
    owner: Any, what: Any, setting: Any, values: Iterable[Any], make: Callable[[], T]
) -> T:
    """Return what `make` makes, that of before if setting and values are the same.

    It is kept as long as its owner is there, in place of an earlier one. Values may be
    attributes that are edited in place.
    """
    arrays = [None if value is None else numpy_of(value) for value in values]
    of_owner = _kept.setdefault(owner, {})
    found = of_owner.get(what)
    if found is None or found.setting != setting or not _same(found.values, arrays):
        copies = [None if array is None else array.copy() for array in arrays]
        found = of_owner[what] = _Kept(setting, copies, make())
    return found.made


def _same(before: list[np.ndarray | None], now: list[np.ndarray | None]) -> bool:
    return len(before) == len(now) and all(
        a is b
        if a is None or b is None
        else a.shape == b.shape and bool((a == b).all())
        for a, b in zip(before, now, strict=True)
    )
