"""What splits of single components gain, by fits of their own rows alone.

A component and its rows are a problem of its own, of one component against two, and a
step of all of these is hardly more work than one of the mixture. Splits that gain the
most there, and components that would be missed the least, are the moves to try (Ueda et
al. 2000, Neural Computation 12(9), whose criteria ask for no fit).
"""

from __future__ import annotations

from collections.abc import Mapping
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
CUT_STEPS = 4
"""Steps that each of them gets."""
CHANGED = 0.05
"""Share of its rows that a component may have lost or won for its split to hold."""


@dataclass(frozen=True)
class Split:
    """Two components in the place of their owner, and what they gain on its rows.

    `chosen` are the rows, and `weight` what of them was the owner's.
    """

    owner: int
    two: Parameters
    gain: float
    chosen: np.ndarray
    weight: np.ndarray

    def holds(self, weighted: np.ndarray) -> bool:
        """Whether the owner, with weights (n,) of all rows, has about the same ones."""
        if self.chosen[-1] >= len(weighted):
            return False
        stayed = weighted[self.chosen]
        others = weighted.sum() - stayed.sum()
        moved = np.abs(stayed - self.weight).sum() + others
        return bool(moved <= CHANGED * self.weight.sum())


def splits(
    em: EMMap,
    parameters: Parameters,
    rows: Rows,
    resp: np.ndarray,
    rng: np.random.RandomState,
    earlier: Mapping[int, Split],
) -> list[Split]:
    """Split each component by itself, in the best of several ways.

    `resp` (K, n) are posterior probabilities of the rows. What fails is left out, and
    what was split `earlier`, with about the same rows, is not split again.
    """
    found = []
    for k, own in enumerate(resp):
        before = earlier.get(k)
        if before is not None and before.holds(own * rows.weight):
            found.append(before)
            continue
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
            trials = climb(local, starts, CUT_STEPS)
            alone = float(local.evaluate(one).objective)
        except IllDefinedCovarianceError:
            continue
        if trials:
            two, gain = trials[0].parameters, trials[0].objective - alone
            found.append(Split(k, two, gain, chosen, weight))
    return found


def problem_of(em: EMMap, rows: Rows) -> EMMap:
    """Return the problem that some of the rows are, with their weights."""
    X, whole = np.ascontiguousarray(rows.block.data.T), em.blocks
    blocks = ArrayBlocks(X, rows.weight, Workers(), whole.dtype, whole.incomplete)
    return replace(em.with_blocks(blocks), sample=None)


def halves(rows: Rows, rng: np.random.RandomState) -> np.ndarray:
    """Weights of rows that are nearer to one than to another: (HALVES, 2, n).

    Both are drawn by their weights.
    """
    pairs = drawn_of_each(np.tile(rows.weight, (2 * HALVES, 1)), rng)
    first = nearer(rows.seen, pairs[::2], pairs[1::2])
    return np.stack([first, ~first], axis=1) * rows.weight
