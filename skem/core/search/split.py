"""What splits of single components gain, by fits of their own rows alone.

A component and its rows are a problem of its own, of one component against two, and a
step of all of these is hardly more work than one of the mixture. Splits that gain the
most there, and components that would be missed the least, are the moves to try (Ueda et
al. 2000, Neural Computation 12(9), whose criteria ask for no fit).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import IllDefinedCovarianceError
from skem.core.mixture.em import EMMap
from skem.core.mixture.rows import Rows
from skem.core.search.climb import climb
from skem.core.search.draw import drawn_of_each, nearer

OWN = 1e-3
"""Probability from which a row belongs to the problem of a component."""
HALVES = 3
"""Ways in which each component is cut."""
STEPS = 8
"""Steps that each of them gets."""


@dataclass(frozen=True)
class Split:
    """Two components in the place of their owner, and what they gain on its rows."""

    owner: int
    two: Parameters
    gain: float


def splits(
    em: EMMap,
    parameters: Parameters,
    rows: Rows,
    resp: np.ndarray,
    rng: np.random.RandomState,
) -> list[Split]:
    """Split each component by itself, in the best of several ways.

    `resp` (K, n) are posterior probabilities of the rows. What fails is left out.
    """
    found = []
    for k, own in enumerate(resp):
        chosen = np.flatnonzero(own > OWN)
        weight = rows.weight[chosen] * own[chosen]
        # Two rows are the least that can be told apart.
        if np.count_nonzero(weight) < 2:
            continue
        mine = rows.only(chosen, weight)
        cholesky = em.structure.ordered(parameters.precisions_cholesky, np.array([k]))
        one = replace(
            parameters,
            weights=np.ones(1),
            means=parameters.means[[k]],
            precisions_cholesky=cholesky,
        )
        try:
            local = problem_of(em, mine)
            starts = local.started(mine.labelled(local, halves(mine, rng)))
            trials = climb(local, starts, STEPS)
            before = float(local.evaluate(one).objective)
        except IllDefinedCovarianceError:
            continue
        if trials:
            found.append(Split(k, trials[0].parameters, trials[0].objective - before))
    return found


def problem_of(em: EMMap, rows: Rows) -> EMMap:
    """Return the problem that some of the rows are, with their weights."""
    X, precise = np.ascontiguousarray(rows.block.data.T), np.dtype(float)
    incomplete = em.blocks.incomplete
    blocks = ArrayBlocks(X, rows.weight, Workers(), precise, incomplete)
    return replace(em.with_blocks(blocks), sample=None)


def halves(rows: Rows, rng: np.random.RandomState) -> np.ndarray:
    """Weights of rows that are nearer to one than to another: (HALVES, 2, n).

    Both are drawn by their weights.
    """
    pairs = drawn_of_each(np.tile(rows.weight, (2 * HALVES, 1)), rng)
    first = nearer(rows.seen, pairs[::2], pairs[1::2])
    return np.stack([first, ~first], axis=1) * rows.weight
