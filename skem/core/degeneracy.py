"""Which components of a mixture the data do not support."""

from __future__ import annotations

import numpy as np

from skem.core.covariance import Structure
from skem.core.parameters import Parameters
from skem.core.regularization import Regularization

ONE_SPOT = 0.01
"""Distance, in standard deviations or logarithms, below which components coincide."""
FLAT = 0.99
"""Share of the variance in some direction that is the penalty's, not the data's."""


def scarce(
    structure: Structure, parameters: Parameters, total_weight: float
) -> np.ndarray:
    """Mask of components with fewer effective points, N·w_k rounded, than they need."""
    counts = total_weight * parameters.weights
    # Points are whole in truth; tails of other components blur the count.
    return np.round(counts) < structure.least_points(parameters.means.shape[-1])


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


def flat(
    structure: Structure,
    regularization: Regularization,
    parameters: Parameters,
    total_weight: float,
) -> np.ndarray:
    """Mask of components whose samples do not differ in some direction.

    Their variance there is the penalty's, and so is what it adds to the likelihood: a
    column of few distinct values makes such components whatever clusters there are.
    """
    return regularization.share(structure, parameters, total_weight) > FLAT


def sound(
    structure: Structure,
    regularization: Regularization,
    parameters: Parameters,
    total_weight: float,
) -> np.ndarray:
    """Tell whether no component is scarce or flat, for each mixture of a stack."""
    poor = scarce(structure, parameters, total_weight)
    thin = flat(structure, regularization, parameters, total_weight)
    return np.asarray(~(poor | thin).any(axis=-1))


def degenerate_components(
    structure: Structure,
    regularization: Regularization,
    parameters: Parameters,
    total_weight: float,
) -> np.ndarray:
    """Return the indices of components that the data do not support."""
    return np.flatnonzero(
        scarce(structure, parameters, total_weight)
        | flat(structure, regularization, parameters, total_weight)
        | coincident(structure, parameters)
    )
