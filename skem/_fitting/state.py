"""What is pickled of a fit: internal objects as plain values, and back.

So that a file is of public classes, arrays and numbers alone, which tools such as skops
can load without trust in more.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

from skem.core.gaussian.covariance import SHAPES, Structure

KIND = "__skem__"
"""Key of a dictionary that stands for an object."""


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str) -> Any:
    module, _, qualname = name.partition(":")
    kind = None
    if module.partition(".")[0] == "skem":
        kind = getattr(import_module(module), qualname, None)
    # Of this package, and of its own: not what a module has imported.
    if not isinstance(kind, type) or _name_of(kind) != name:
        raise ValueError(f"{name!r} is no class of skem")
    return kind


def plain(value: Any) -> Any:
    """Return a value made of arrays, numbers, text and containers."""
    if isinstance(value, Structure):
        return {KIND: "structure", "name": value.name}
    if isinstance(value, type):
        return {KIND: "class", "name": _name_of(value)}
    if isinstance(value, np.dtype):
        return {KIND: "dtype", "name": value.str}
    if is_dataclass(value):
        content = {
            each.name: plain(getattr(value, each.name)) for each in fields(value)
        }
        return {KIND: "dataclass", "name": _name_of(type(value)), "fields": content}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        content = {name: plain(getattr(value, name)) for name in value._fields}
        return {KIND: "tuple", "name": _name_of(type(value)), "fields": content}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value


def restored(value: Any) -> Any:
    """Return the value that `plain` was made of."""
    if isinstance(value, list | tuple):
        return type(value)(map(restored, value))
    if not isinstance(value, dict) or KIND not in value:
        return value
    name = value["name"]
    if value[KIND] == "structure":
        return SHAPES[name]
    if value[KIND] == "dtype":
        return np.dtype(name)
    kind = _class_of(name)
    if value[KIND] == "class":
        return kind
    content = {key: restored(each) for key, each in value["fields"].items()}
    if value[KIND] == "tuple":
        return kind(**content)
    made = object.__new__(kind)
    for key, each in content.items():
        object.__setattr__(made, key, each)
    return made
