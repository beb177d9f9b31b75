"""The softmax over components: logits become responsibilities, in place, in NumPy."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from skem.core.blocks.threads import Workspace
from skem.core.passes.forms import UNDERFLOW, Form, Loaded

LEAST_NORMAL = -708.0
"""Logits below it have no normal exponential in float64."""
UNDERFLOWING = 0.2
"""Share of such logits from which on it is faster to leave them out."""


class Softmax(NamedTuple):
    """What is left of a block's logits: responsibilities are logits · inverse.

    Both are of shape (…, b).
    """

    log_norm: np.ndarray
    inverse: np.ndarray


@cache
def _wide_exponential() -> bool:
    """Whether NumPy's exponential is as fast where it underflows: with AVX-512."""
    try:
        found = np.lib.introspect.opt_func_info(func_name="^exp$")
        target = found["exp"]["dd"]["current"]
        return "X86_V4" in target or "AVX512" in target
    except (AttributeError, KeyError):  # NumPy before 2.1
        return False


def exponentials(logits: np.ndarray, workspace: Workspace) -> None:
    """Take exponentials in place, in float64; zero where they underflow.

    C's libraries take several times as long for those.
    """
    if not _wide_exponential():
        normal = workspace.array("normal", logits.shape, np.bool_)
        np.greater(logits, LEAST_NORMAL, out=normal)
        if np.count_nonzero(normal) < (1 - UNDERFLOWING) * logits.size:
            np.exp(logits, out=logits, where=normal)
            # What was left out is negative, or NaN.
            np.maximum(logits, 0, out=logits)
            return
    np.exp(logits, out=logits)


def softmax(
    form: Form, block: Loaded, logits: np.ndarray, workspace: Workspace
) -> Softmax:
    """Turn logits, in place, into unnormalised responsibilities.

    float64 logits of a structure with its quadratic part are at most 0, so that one
    exponential without a search for the maximum will do; samples for which the sum
    underflows are done again with one. The few that are too far for either are
    evaluated by themselves. `log_norm` is the log-density less the form's `peak` and
    the common term.
    """
    shape = (*logits.shape[:-2], logits.shape[-1])
    log_norm = workspace.array("log_norm", shape, form.dtype)
    total = workspace.array("total", shape, form.dtype)
    with np.errstate(all="ignore"):
        if form.bounded and form.dtype == np.float64:
            exponentials(logits, workspace)
            np.add.reduce(logits, axis=-2, out=total)
            np.log(total, out=log_norm)
            # Also where one term overflowed before another of the other sign.
            lost = ~(np.abs(log_norm) < UNDERFLOW)
            if lost.any():
                _again(form, block, logits, log_norm, total, lost)
        else:
            maximum = workspace.array("maximum", shape, form.dtype)
            _shifted(logits, maximum, total, workspace)
            np.log(total, out=log_norm)
            log_norm += maximum
        lost = ~np.isfinite(log_norm)
        if form.bounded:
            lost |= ~(np.abs(log_norm) < form.far)
        np.divide(1, total, out=total)
        if lost.any():
            for mixture in np.ndindex(shape[:-1]):
                found = lost[mixture]
                careful = form.of_mixture(mixture).careful(block.only(found))
                log_norm[mixture][found], logits[mixture][:, found] = careful
                total[mixture][found] = 1
    return Softmax(log_norm, total)


def responsibilities(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn logits (…, K, b), in place, and return the logarithms (…, b) of their sums.

    What is out of range is NaN.
    """
    top = logits.max(axis=-2, keepdims=True)
    with np.errstate(all="ignore"):
        logits -= top
        np.exp(logits, out=logits)
        total = logits.sum(axis=-2, keepdims=True)
        logits /= total
        return (np.log(total) + top)[..., 0, :], logits


def _shifted(
    logits: np.ndarray, maximum: np.ndarray, total: np.ndarray, workspace: Workspace
) -> None:
    """Replace logits by exponentials of their distance to the largest."""
    np.maximum.reduce(logits, axis=-2, out=maximum)
    logits -= maximum[..., None, :]
    if logits.dtype == np.float64:
        exponentials(logits, workspace)
    else:
        np.exp(logits, out=logits)
    np.add.reduce(logits, axis=-2, out=total)


def _again(
    form: Form,
    block: Loaded,
    logits: np.ndarray,
    log_norm: np.ndarray,
    total: np.ndarray,
    lost: np.ndarray,
) -> None:
    """Do lost samples again, with a search for the maximum."""
    for mixture in np.ndindex(lost.shape[:-1]):
        found = lost[mixture]
        n = int(found.sum())
        own = np.empty((logits.shape[-2], n))
        maximum, sums = np.empty((2, n))
        form.of_mixture(mixture).logits(block.only(found), own, Workspace())
        _shifted(own, maximum, sums, Workspace())
        logits[mixture][:, found], total[mixture][found] = own, sums
        log_norm[mixture][found] = np.log(sums) + maximum
