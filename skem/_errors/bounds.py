"""Whether a parameter is on a bound of its range: data cannot tell it from there."""

from __future__ import annotations

import numpy as np

from skem._errors.scores import sums_of_others

INDISTINCT = 0.05
"""Nats: a parameter counts as being on its bound if the log-likelihood changes by less
when it moves there. Fits that have converged may differ by as much."""


def costs(
    resp: np.ndarray, changes: np.ndarray, weight: np.ndarray | float
) -> np.ndarray:
    """Return what changes of log-densities cost in log-likelihood, one by one, (K,).

    −Σ v log(1 − r + r exp Δ), with Δ (K, b) and v the weights of rows. More rows of r
    than there are changes, as that of noise, are of what does not change.
    """
    with np.errstate(divide="ignore"):
        moved = np.log(resp[: len(changes)]) + np.clip(changes, -1e300, 1e300)
        rest = np.log(sums_of_others(resp)[: len(changes)])
        whole = np.logaddexp(rest, moved)
    return -(np.clip(whole, -1e300, 1e300) * weight).sum(axis=1)
