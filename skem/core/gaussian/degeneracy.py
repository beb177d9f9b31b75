"""Which components of a mixture the data do not support."""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters

ONE_SPOT = 0.01
"""Distance, in standard deviations or logarithms, below which components coincide."""


def scarce(
    structure: Structure, parameters: Parameters, total_weight: float
) -> np.ndarray:
    """Mask of components with fewer effective points, N·w_k rounded, than they need.

    All of them, if what they share takes more rows than there are.
    """
    K, d = parameters.means.shape
    if structure.shared and np.round(total_weight) < structure.least_rows(K, d):
        return np.ones(K, bool)
    # Points are whole in truth; tails of other components blur the count.
    counts = total_weight * parameters.weights
    return np.round(counts) < structure.least_points(d)


def coincident(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Mask of components that have the mean and covariance of another one."""
    cholesky, means = parameters.precisions_cholesky, parameters.means
    K = len(means)
    found = np.zeros(K, bool)
    for shift in range(1, K):
        other = np.roll(np.arange(K), shift)
        apart = structure.whiten_rows(cholesky, means[other] - means)
        near = np.abs(apart).max(axis=1) < ONE_SPOT
        if near.any() and not structure.shared:
            shapes = structure.to_chart(cholesky, cholesky[other])
            near &= np.abs(shapes).max(axis=1) < ONE_SPOT
        found |= near
    return found


def degenerate_components(
    structure: Structure, parameters: Parameters, total_weight: float
) -> np.ndarray:
    """Return the indices of components that are scarce or coincide with another one."""
    return np.flatnonzero(
        scarce(structure, parameters, total_weight) | coincident(structure, parameters)
    )
