"""Rows of the data in coordinates, to label for starts and moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks, Block
from skem.core.gaussian.statistics import Statistics

if TYPE_CHECKING:
    from skem.core.mixture.em import EMMap
    from skem.core.mixture.problem import FitProblem


class Rows(NamedTuple):
    """A block, its standardised rows (n, d), weights, w²/12 of shared values.

    Rows are completed, and what completes them has its variance beside w²/12. `seen`
    are what distances between them may be measured in. Those that are `kept`, a mask,
    are no noise.
    """

    block: Block
    Z: np.ndarray
    weight: np.ndarray
    squares: np.ndarray | None
    seen: Sequence[np.ndarray] = ()
    kept: np.ndarray | None = None

    @classmethod
    def of(cls, problem: FitProblem, taken: ArrayBlocks) -> Rows:
        """Load rows that are in memory."""
        z, squares = problem.filled(taken.X.T)
        block = taken.block(0, taken.n_samples)._replace(weight=None)
        Z = np.ascontiguousarray(z.T)
        return cls(block, Z, taken.weight_of_each, squares, problem.views(Z))

    def labelled(self, em: EMMap, resp: np.ndarray) -> Statistics:
        """Statistics with given (weighted) responsibilities, about the means."""
        return em.of_part(em.of_labels(self.Z, resp, self.squares))

    def only(self, chosen: np.ndarray, weight: np.ndarray) -> Rows:
        """Return some of the rows, with weights of their own."""
        squares = self.squares
        if squares is not None:
            squares = np.broadcast_to(squares, self.Z.T.shape)[:, chosen]
        return Rows(
            self.block.only(chosen),
            self.Z[chosen],
            weight,
            squares,
            [view[chosen] for view in self.seen],
        )
