"""Cut data into blocks and fold a function over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import iadd
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from sklearn.utils.random import sample_without_replacement

from skem.core.threads import Workers, Workspace

BLOCK_BYTES = 4 * 2**20
"""Working memory of one block: smaller ones cost more in hand-overs between threads
than they gain in cache."""
MIN_ROWS = 512
GROUPS = 32
"""Groups of blocks that threads take, at most."""


class Additive(Protocol):
    """What a fold can add up."""

    def __add__(self, other: Any, /) -> Any: ...


A = TypeVar("A", bound=Additive)


class Block(NamedTuple):
    """Consecutive samples: ``data`` is (features, samples), a view."""

    start: int
    stop: int
    data: np.ndarray
    weight: np.ndarray | None

    def observed(self) -> Block:
        """Leave out the samples of weight zero."""
        if self.weight is None or self.weight.all():
            return self
        kept = self.weight > 0
        return self._replace(data=self.data[:, kept], weight=self.weight[kept])


@dataclass(frozen=True)
class ArrayBlocks:
    """An array or memmap of shape (n_samples, n_features), with optional weights.

    `dtype` is the floating-point type that blocks are computed in.
    """

    X: np.ndarray
    weight: np.ndarray | None
    workers: Workers
    dtype: np.dtype

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.X.shape[1]

    @property
    def total_weight(self) -> float:
        """N, the sum of the weights: the number of rows if there are none."""
        return float(self.n_samples if self.weight is None else self.weight.sum())

    def blocks(self, values_per_sample: int) -> Iterator[Block]:
        """Cut into even blocks, given how many values a sample occupies in work.

        The cut depends on the data's shape alone, never on the number of threads.
        """
        bytes_per_sample = values_per_sample * self.dtype.itemsize
        rows = max(BLOCK_BYTES // bytes_per_sample, MIN_ROWS)
        n_blocks = -(-self.n_samples // rows)
        for i in range(n_blocks):
            start = i * self.n_samples // n_blocks
            stop = (i + 1) * self.n_samples // n_blocks
            weight = None if self.weight is None else self.weight[start:stop]
            yield Block(start, stop, self.X[start:stop].T, weight)

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight."""
        if self.weight is None:
            n_rows, rows = self.n_samples, None
        else:
            rows = np.flatnonzero(self.weight)
            n_rows = len(rows)
        if n_rows <= most:
            return np.arange(n_rows) if rows is None else rows
        chosen = np.sort(sample_without_replacement(n_rows, most, random_state=rng))
        return chosen if rows is None else rows[chosen]

    def take(self, rows: np.ndarray) -> ArrayBlocks:
        """Return some of the rows, as blocks of their own."""
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, X=self.X[rows], weight=weight)

    def map(
        self, kernel: Callable[[Block, Workspace], A], values_per_sample: int
    ) -> Iterator[A]:
        """Yield the kernel's value for each block, in order."""
        return self.workers.map(kernel, self.blocks(values_per_sample))

    def fold(
        self, kernel: Callable[[Block, Workspace], A], values_per_sample: int
    ) -> A:
        """Add up the kernel's values over the observed samples, in block order.

        Threads add up groups of blocks, which depend on the data's shape alone.
        """
        blocks = list(self.blocks(values_per_sample))
        n_groups = min(len(blocks), GROUPS)
        groups = [
            blocks[i * len(blocks) // n_groups : (i + 1) * len(blocks) // n_groups]
            for i in range(n_groups)
        ]

        def fold_group(group: list[Block], workspace: Workspace) -> A:
            return reduce(
                iadd, (kernel(block.observed(), workspace) for block in group)
            )

        return reduce(iadd, self.workers.map(fold_group, groups))
