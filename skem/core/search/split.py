"""What splits of single components gain, by fits of their own rows alone.

A component and its rows are a problem of its own, of one component against two, and all
of these together are as little work as two steps of the whole mixture. Splits that gain
the most there, and components that would be missed the least, are the moves that are
tried (Ueda et al. 2000, Neural Computation 12(9), whose criteria are of one step).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.climb import climb

OWN = 1e-3
"""Probability from which a row belongs to the problem of a component."""
HALVES = 3
"""Ways in which each component is cut."""
STEPS = 8
"""Steps that each of them gets."""
LEAST_ROWS = 4
"""Rows that a component must have to be cut."""


@dataclass(frozen=True)
class Split:
    """Two components in the place of one, and what they gain."""

    gain: float
    owner: int
    two: Parameters


def splits(
    em: EMMap,
    parameters: Parameters,
    rows: Rows,
    resp: np.ndarray,
    rng: np.random.RandomState,
) -> list[Split]:
    """Cut each component in two by itself, and return the cuts that can be made."""
    found = []
    for k in range(len(parameters.weights)):
        cut = _split(em, parameters, k, rows, resp[k], rng)
        if cut is not None:
            found.append(cut)
    return found


def _split(
    em: EMMap,
    parameters: Parameters,
    k: int,
    rows: Rows,
    resp: np.ndarray,
    rng: np.random.RandomState,
) -> Split | None:
    own = np.flatnonzero(resp > OWN)
    if len(own) < LEAST_ROWS:
        return None
    weight = rows.weight[own] * resp[own]
    local, mine = part(em, rows, own, weight)
    try:
        one = local.evaluate(alone(em, parameters, k)).objective
        here, there = drawn_pairs(weight, HALVES, rng)
        halves = np.stack([_halves(mine.seen, i, h, t) for i, (h, t) in enumerate(zip(here, there))])
        starts = local.started(mine.labelled(local, halves * weight))
        trials = climb(local, starts, STEPS)
    except IllDefinedCovarianceError:
        return None
    if not trials:
        return None
    best = trials[0]
    return Split(best.objective - one, k, best.parameters)


def _halves(seen, i, h, t):
    Z = seen[i % len(seen)]
    a, b = ((Z - Z[h]) ** 2).sum(1), ((Z - Z[t]) ** 2).sum(1)
    near = a < b
    return np.stack([near, ~near]).astype(float)


def part(em, rows, own, weight):
    blocks = em.blocks
    X = np.ascontiguousarray(rows.block.data[:, own].T)
    block = replace(blocks, X=X, weight=weight, empty_weight=0.0, known=None)
    local = replace(em.with_blocks(block), fixed=None, sample=None)
    mine = Rows(
        block.block(0, len(own))._replace(weight=None),
        rows.Z[own], weight,
        None if rows.squares is None else rows.squares[own],
        [view[own] for view in rows.seen],
    )
    return local, mine


def alone(em, parameters, k):
    cholesky = em.structure.ordered(parameters.precisions_cholesky, np.array([k]))
    return Parameters(np.ones(1), parameters.means[[k]], cholesky)


def drawn_pairs(weight, count, rng):
    c = np.cumsum(weight); c /= c[-1]
    u = rng.random_sample((2, count))
    at = np.searchsorted(c, u, side="right").clip(max=len(c) - 1)
    return at
