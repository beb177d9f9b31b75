"""The kernels of a fitted mixture, kept while they are asked for again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from skem._inputs.array_api import numpy_of
from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import Expectation
from skem.core.mixture.kernel import Kernel
from skem.core.passes.forms import choose_form


def write_log_density(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities, those out of its range at its limits."""
    info = np.finfo(out.dtype)
    out[:] = np.clip(expectation.log_density(block, ws), info.min, info.max)


def write_responsibilities(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the posterior probabilities of the components."""
    expectation.write_responsibilities(block, ws, out)


def write_labels(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the most probable components, −1 for noise."""
    out[:] = expectation.labels(block, ws)
    if expectation.background is not None:
        # Noise is the last one.
        out[out == len(expectation.parameters.means)] = -1


def write_component_log_density(
    expectation: Kernel, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities of components, those out of range at its limits."""
    info = np.finfo(out.dtype)
    log_density = expectation.component_log_density(block, ws)
    out[:] = np.clip(log_density, info.min, info.max).T


class _Kept(NamedTuple):
    """Kernels, and the structure and the values that they were prepared for."""

    structure: Any
    values: list[np.ndarray | None]
    kernels: Kernel


_kept: WeakKeyDictionary[Any, dict[Any, _Kept]] = WeakKeyDictionary()


def kept_kernels(
    owner: Any,
    key: tuple[str, np.dtype],
    structure: Any,
    values: Iterable[Any],
    prepare: Callable[[], Kernel],
) -> Kernel:
    """Return the kernels that evaluate blocks, those of before if they are the same.

    A mixture that is asked for one row at a time does not prepare them for each. They
    are kept as long as their owner is there, and are the same while the values are, of
    attributes that may be edited in place. `key` says what they are for.
    """
    arrays = [None if value is None else numpy_of(value) for value in values]
    of_owner = _kept.setdefault(owner, {})
    found = of_owner.get(key)
    if found is None or found.structure != structure or not _same(found.values, arrays):
        copies = [None if array is None else array.copy() for array in arrays]
        found = of_owner[key] = _Kept(structure, copies, prepare())
    return found.kernels


def _same(before: list[np.ndarray | None], now: list[np.ndarray | None]) -> bool:
    return len(before) == len(now) and all(
        a is b
        if a is None or b is None
        else a.shape == b.shape and bool((a == b).all())
        for a, b in zip(before, now, strict=True)
    )


def expectation_at(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None = None,
) -> Kernel:
    """Prepare the kernels that evaluate blocks. `log_widths` are those of noise."""
    structure = SHAPES[covariance_type]
    coordinates = scoring_coordinates(structure, parameters, dtype)
    inward = coordinates.inward(structure, parameters)
    if log_widths is not None:
        log_widths = log_widths + coordinates.log_slopes
    return Expectation(choose_form(structure, inward, dtype, log_widths), coordinates)
