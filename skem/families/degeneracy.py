"""Which components of a table's mixture the data do not support."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from skem.core.degeneracy import ONE_SPOT
from skem.families.product import Point, Product


def degenerate_components(
    product: Product, point: Point, total_weight: float
) -> np.ndarray:
    """Return the indices of components that are scarce or coincide with another one."""
    counts = total_weight * point.weights
    pairs = list(zip(product.models, point.laws, strict=True))
    found = np.zeros(len(counts), dtype=bool)
    for model, laws in pairs:
        found |= model.scarce(laws, counts)
    for j, k in combinations(range(len(counts)), 2):
        order = np.arange(len(counts))
        order[k] = j
        # Component k as if it were j: how far is that?
        moved = [(model, laws, model.ordered(laws, order)) for model, laws in pairs]
        with np.errstate(all="ignore"):
            if all(
                model.far(model.pack(there, laws, counts), laws, counts) < ONE_SPOT
                for model, laws, there in moved
            ):
                found[[j, k]] = True
    return np.flatnonzero(found)
