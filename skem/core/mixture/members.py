"""Which rows components own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skem.core.blocks.arrays import Block, Blocks
from skem.core.blocks.threads import Workspace
from skem.core.mixture.kernel import Kernel


@dataclass(frozen=True)
class Members:
    """Ranks, among `n` observed rows, of those that each component owns.

    Adding joins those of the rows that follow.
    """

    n: int
    ranks: tuple[np.ndarray, ...]

    def __add__(self, other: Members) -> Members:
        pairs = zip(self.ranks, other.ranks, strict=True)
        joined = tuple(np.concatenate([a, self.n + b]) for a, b in pairs)
        return Members(self.n + other.n, joined)


def members(
    expectation: Kernel, blocks: Blocks, components: Sequence[int]
) -> dict[int, np.ndarray]:
    """Component -> indices of the rows for which it is the most probable one."""

    def kernel(block: Block, workspace: Workspace) -> Members:
        owner = expectation.labels(block, workspace)
        ranks = tuple(np.flatnonzero(owner == k) for k in components)
        return Members(len(owner), ranks)

    found = blocks.fold(kernel, expectation.values_per_sample)
    return {
        int(k): blocks.rows_at(ranks)
        for k, ranks in zip(components, found.ranks, strict=True)
    }
