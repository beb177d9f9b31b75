"""The kernels of a fitted mixture, kept while they are asked for again and again."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from skem.core.blocks.arrays import Block
from skem.core.blocks.threads import Workspace
from skem.core.gaussian.coordinates import scoring_coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.gaussian.parameters import Parameters
from skem.core.mixture.expectation import Expectation
from skem.core.passes.forms import choose_form

KEPT_BYTES = 2**15
"""Size of a mixture, beyond which those of before are not looked up by all values."""


def write_log_density(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities, those out of its range at its limits."""
    info = np.finfo(out.dtype)
    out[:] = np.clip(expectation.log_density(block, ws), info.min, info.max)


def write_responsibilities(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the posterior probabilities of the components."""
    expectation.write_responsibilities(block, ws, out)


def write_labels(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with the most probable components, −1 for noise."""
    out[:] = expectation.labels(block, ws)
    if expectation.background is not None:
        # Noise is the last one.
        out[out == len(expectation.form.parameters.means)] = -1


def write_component_log_density(
    expectation: Expectation, out: np.ndarray, block: Block, ws: Workspace
) -> None:
    """Fill `out` with log-densities of components, those out of range at its limits."""
    info = np.finfo(out.dtype)
    log_density = expectation.component_log_density(block, ws)
    out[:] = np.clip(log_density, info.min, info.max).T


def expectation_at(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None = None,
    owner: Any = None,
) -> Expectation:
    """Return the kernels that evaluate blocks, those of before if there are any.

    They are looked up by the values of the parameters: a mixture that is asked for
    one row at a time does not prepare them for each, and edited attributes are others.
    Of large mixtures the last ones are kept, as long as their owner is there.
    `log_widths` are those of noise, if there is any.
    """
    arrays = parameters.arrays
    if sum(array.nbytes for array in arrays) > KEPT_BYTES:
        if owner is None:
            return _prepared(covariance_type, parameters, dtype, log_widths)
        return _of_owner(owner, covariance_type, parameters, dtype, log_widths)
    keys = ((array.shape, array.tobytes()) for array in arrays)
    kind: Any = type(parameters)
    noise = None if log_widths is None else log_widths.tobytes()
    return _kept(kind, covariance_type, np.dtype(dtype), noise, *keys)


def _prepared(
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None,
) -> Expectation:
    structure = SHAPES[covariance_type]
    coordinates = scoring_coordinates(structure, parameters, dtype)
    inward = coordinates.inward(structure, parameters)
    if log_widths is not None:
        log_widths = log_widths + coordinates.log_slopes
    return Expectation(choose_form(structure, inward, dtype, log_widths), coordinates)


class _Last(NamedTuple):
    """What was prepared last for a mixture, and of which values."""

    covariance_type: str
    dtype: np.dtype
    arrays: list[np.ndarray]
    expectation: Expectation


_last: WeakKeyDictionary[Any, _Last] = WeakKeyDictionary()


def _of_owner(
    owner: Any,
    covariance_type: str,
    parameters: Parameters,
    dtype: np.dtype,
    log_widths: np.ndarray | None,
) -> Expectation:
    last, arrays = _last.get(owner), parameters.arrays
    if log_widths is not None:
        arrays = (*arrays, log_widths)
    if (
        last is not None
        and (last.covariance_type, last.dtype) == (covariance_type, dtype)
        and len(last.arrays) == len(arrays)
        and all(map(np.array_equal, last.arrays, arrays))
    ):
        return last.expectation
    expectation = _prepared(covariance_type, parameters, dtype, log_widths)
    copies = [array.copy() for array in arrays]
    _last[owner] = _Last(covariance_type, np.dtype(dtype), copies, expectation)
    return expectation


@lru_cache(maxsize=16)
def _kept(
    kind: Any,
    covariance_type: str,
    dtype: np.dtype,
    noise: bytes | None,
    *keys: tuple[tuple[int, ...], bytes],
) -> Expectation:
    arrays = (np.frombuffer(values).reshape(shape) for shape, values in keys)
    log_widths = None if noise is None else np.frombuffer(noise)
    return _prepared(covariance_type, kind(*arrays), dtype, log_widths)
