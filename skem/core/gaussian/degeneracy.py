"""Which components of a mixture the data do not support."""

from __future__ import annotations

import numpy as np

from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.parameters import Parameters

ONE_SPOT = 0.01
"""Distance, in standard deviations or logarithms, below which components coincide."""
PAIRS_TOGETHER = 10_000
"""Pairs of components that are compared together, at least one with each."""
REMOTE = 25.0
"""Squared distance per feature, in standard deviations, from which rows are remote."""


def too_few(
    structure: Structure, n_components: int, n_features: int, total_weight: float
) -> bool:
    """Whether some component lacks points, however they are shared out."""
    if structure.shared:
        least = structure.least_rows(n_components, n_features)
        return bool(np.round(total_weight) < least)
    least = structure.least_points(n_features)
    return bool(np.round(total_weight / n_components) < least)


def scarce(
    structure: Structure,
    parameters: Parameters,
    total_weight: float,
    n_null: int = 0,
) -> np.ndarray:
    """Mask of components with fewer effective points, N·w_k rounded, than they need.

    All of them, if what they share takes more rows than there are. Where one point is
    enough, it must be remote from all other components: else it may be one of theirs.
    In `n_null` directions rows have no variance. These need no points, but where it is
    as there are no more rows. Components whose density peaks without bound at a row are
    scarce, too.
    """
    K, d = parameters.means.shape
    if d - n_null + 1 < np.round(total_weight):
        d -= n_null
    if structure.shared and too_few(structure, K, d, total_weight):
        return np.ones(K, bool)
    # Points are whole in truth; tails of other components blur the count.
    counts = np.round(total_weight * parameters.weights)
    least = structure.least_points(d)
    few = counts < least
    if least == 1:
        for k in np.flatnonzero(counts == 1).tolist():
            few[k] = not _remote(structure, parameters, k, d)
    return few | parameters.peaked(counts, d)


def _remote(structure: Structure, parameters: Parameters, k: int, d: int) -> bool:
    """Whether a component is remote from all others, of the same covariance."""
    others = np.delete(parameters.means, k, axis=0) - parameters.means[k]
    own = np.full(len(others), k)
    base = structure.ordered(parameters.precisions_cholesky, own)
    # Squares may be out of range.
    distances = np.hypot.reduce(structure.whiten_rows(base, others), axis=1)
    return bool((distances > np.sqrt(REMOTE * d)).all())


def coincident(structure: Structure, parameters: Parameters) -> np.ndarray:
    """Mask of components that have the mean and covariance of another one."""
    cholesky, means = parameters.precisions_cholesky, parameters.means
    K = len(means)
    found = np.zeros(K, bool)
    together = max(1, PAIRS_TOGETHER // K)
    for first in range(1, K, together):
        shifts = np.arange(first, min(first + together, K))
        own = np.tile(np.arange(K), len(shifts))
        other = (own + np.repeat(shifts, K)) % K
        base = structure.ordered(cholesky, own)
        apart = structure.whiten_rows(base, means[other] - means[own])
        near = np.abs(apart).max(axis=1) < ONE_SPOT
        own, other = own[near], other[near]
        if len(own) and not structure.shared:
            shapes = structure.to_chart(cholesky[own], cholesky[other])
            own = own[np.abs(shapes).max(axis=1) < ONE_SPOT]
        found[own] = True
    return found


def degenerate_components(
    structure: Structure,
    parameters: Parameters,
    total_weight: float,
    n_null: int = 0,
) -> np.ndarray:
    """Return the indices of components that are scarce or coincide with another one."""
    few = scarce(structure, parameters, total_weight, n_null)
    return np.flatnonzero(few | coincident(structure, parameters))
