"""Attributes that show what a mixture is made of, and cannot be edited."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

REFUSAL = (
    "The fitted parameters of a table are read-only. To start a fit from others, edit "
    "a copy.deepcopy of parameters_, and pass it as parameters_init."
)


class ReadOnly(dict):
    """A dictionary that refuses changes. Copies of it are ordinary dictionaries."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(REFUSAL)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[dict], tuple[dict]]:
        return dict, (dict(self),)


def read_only(value: Any) -> Any:
    """Return arrays, in dictionaries or not, that cannot be written to."""
    if isinstance(value, dict):
        return ReadOnly({key: read_only(each) for key, each in value.items()})
    view = np.asarray(value).view()
    view.flags.writeable = False
    return view
