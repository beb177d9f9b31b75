"""What is pickled of a fit: internal objects as plain values, and back.

So that a file is of public classes, arrays and numbers alone, which tools such as skops
can load without trust in more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, ClassVar

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


def _module_of(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_own(value: Any) -> bool:
    """Whether it is an object of this package that is no estimator: a family, say."""
    return (
        _module_of(value) == "skem"
        and hasattr(value, "__dict__")
        and not hasattr(value, "get_params")
    )


def plain(value: Any) -> Any:
    """Return a value made of arrays, numbers, text and containers."""
    if isinstance(value, Structure):
        return {KIND: "structure", "name": value.name}
    if isinstance(value, type):
        return {KIND: "class", "name": _name_of(value)}
    if isinstance(value, np.dtype):
        return {KIND: "dtype", "name": value.str}
    if _module_of(value) == "pandas" and hasattr(value, "kind"):
        return _plain_dtype(value)
    if is_dataclass(value) or _is_own(value):
        names = [f.name for f in fields(value)] if is_dataclass(value) else vars(value)
        content = {name: plain(getattr(value, name)) for name in names}
        return {KIND: "dataclass", "name": _name_of(type(value)), "fields": content}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        content = {name: plain(getattr(value, name)) for name in value._fields}
        return {KIND: "tuple", "name": _name_of(type(value)), "fields": content}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: plain(each) for key, each in value.items()}
        # JSON, which skops writes, has keys of text alone.
        items = [(plain(key), plain(each)) for key, each in value.items()]
        return {KIND: "items", "items": items}
    return value


def _plain_dtype(dtype: Any) -> dict[str, Any]:
    """Return a type of a column of pandas by its name, or by its categories."""
    if str(dtype) != "category":
        return {KIND: "pandas", "name": str(dtype)}
    labels, ordered = plain(dtype.categories.tolist()), bool(dtype.ordered)
    return {KIND: "categories", "name": "category", "of": labels, "ordered": ordered}


def _restored_dtype(state: dict[str, Any]) -> Any:
    import pandas

    if state[KIND] == "pandas":
        return pandas.api.types.pandas_dtype(state["name"])
    return pandas.CategoricalDtype(restored(state["of"]), state["ordered"])


def restored(value: Any) -> Any:
    """Return the value that `plain` was made of."""
    if isinstance(value, list | tuple):
        return type(value)(map(restored, value))
    if not isinstance(value, dict):
        return value
    if KIND not in value:
        return {key: restored(each) for key, each in value.items()}
    if value[KIND] == "items":
        return {restored(key): restored(each) for key, each in value["items"]}
    name = value["name"]
    if value[KIND] == "structure":
        return SHAPES[name]
    if value[KIND] == "dtype":
        return np.dtype(name)
    if value[KIND] in ("pandas", "categories"):
        return _restored_dtype(value)
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


class PlainState:
    """An estimator whose pickle has its `_internal` attributes as plain values."""

    _internal: ClassVar[tuple[str, ...]] = ()
    """Attributes that are, or hold, objects of the package."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with internal objects as plain values."""
        state = super().__getstate__()
        assert isinstance(state, dict)
        return self._with_internal(plain, state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes of another estimator."""
        above: Any = super()
        above.__setstate__(self._with_internal(restored, state))

    def _with_internal(
        self, turn: Callable[[Any], Any], state: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            name: turn(value) if name in self._internal else value
            for name, value in state.items()
        }
