"""How finely data are recorded, and what narrower components gain by it.

A feature that is recorded in steps of h (whole numbers, bits, one decimal) tells of no
density above 1/h: a component of one single value would otherwise be likelier without
bound, and hide whatever clusters there are in the other features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skem.core.blocks import ArrayBlocks, Blocks
from skem.core.coordinates import Coordinates
from skem.core.covariance import Structure
from skem.core.parameters import Parameters

ROWS = 2_000
"""Rows that are looked at."""
ROUNDING = 1e-9
"""Share of a feature's range by which equal values may differ."""


def resolution(blocks: Blocks, coordinates: Coordinates) -> np.ndarray:
    """Least distance between different values of each standardised feature, (d,).

    0 for constant features, and for data that are not in the memory of this machine.
    """
    if not isinstance(blocks, ArrayBlocks):
        return np.zeros(blocks.n_features)
    # Those of positive weight, the same ones in every fit.
    rows = blocks.random_rows(ROWS, np.random.RandomState(0))
    data = blocks.take(rows).X.T
    z = np.sort(coordinates.load(data, np.empty(data.shape)), axis=1)
    gaps = np.diff(z, axis=1, prepend=z[:, :1])
    gaps[gaps <= ROUNDING * (z[:, -1:] - z[:, :1])] = np.inf
    least = gaps.min(axis=1)
    return np.where(np.isfinite(least), least, 0.0)


def excess(
    structure: Structure,
    parameters: Parameters,
    resolution: np.ndarray | float,
    total_weight: float,
    pseudo: np.ndarray | float = 0.0,
) -> Any:
    """½ Σ_kj [n_k log p_kj − (1 − 1/p_kj)(n_k − P_k,jj s_j)], for each of a stack.

    1/P_jj is the variance of feature j, given the others, and √(P_jj/2π) the density at
    its mean; p = P_jj h²/2π is the square of how far that exceeds 1/h, or 1 if it does
    not. The penalised log-likelihood would fall by so much, were the variance raised to
    h²/2π; and so would the log-likelihood itself, with `pseudo` the sum of squares s
    that the penalty has put in.
    """
    shape = parameters.shape
    precisions = structure.precision_diagonals(parameters.precisions_cholesky, shape)
    with np.errstate(over="ignore"):
        p = np.clip(precisions * resolution**2 / (2 * np.pi), 1.0, np.finfo(float).max)
    counts = total_weight * parameters.weights[..., None]
    squares = np.maximum(counts - precisions * pseudo, 0.0)
    return 0.5 * (counts * np.log(p) - (1 - 1 / p) * squares).sum(axis=(-2, -1))
