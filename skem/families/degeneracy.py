"""Which components of a table's mixture the data do not support."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from skem.core.gaussian.degeneracy import ONE_SPOT
from skem.families.point import Point
from skem.families.product import Product


def degenerate_components(
    product: Product, point: Point, total_weight: float
) -> np.ndarray:
    """Return the indices of components that are scarce or coincide with another one."""
    counts = total_weight * point.weights
    pairs = list(zip(product.models, point.laws, strict=True))
    found = np.zeros(len(counts), dtype=bool)
    for model, laws in pairs:
        found |= model.scarce(laws, counts)
    one = np.ones(len(counts))
    for j, k in combinations(range(len(counts)), 2):
        if any(model.tells_apart(laws, j, k) for model, laws in pairs):
            continue
        # Component k as if it were j: how many standard deviations of a row is that?
        order = np.arange(len(counts))
        order[k] = j
        with np.errstate(all="ignore"):
            moves = (m.pack(m.ordered(laws, order), laws, one) for m, laws in pairs)
            if all(np.abs(move).max(initial=0.0) < ONE_SPOT for move in moves):
                found[[j, k]] = True
    return np.flatnonzero(found)
