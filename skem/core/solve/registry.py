"""The accelerators by the names that users know."""

from __future__ import annotations

from collections.abc import Callable

from skem.core.solve.accelerator import Accelerator
from skem.core.solve.lbfgs import LBFGS
from skem.core.solve.plain import Plain
from skem.core.solve.squarem import Squarem

ACCELERATORS: dict[str, Callable[..., Accelerator]] = {
    "auto": LBFGS,
    "em": Plain,
    "squarem": Squarem,
    "lbfgs": LBFGS,
}
