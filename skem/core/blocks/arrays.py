"""Cut data into blocks and fold a function over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from operator import iadd
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from skem.core.blocks.threads import Workers, Workspace

BLOCK_BYTES = 4 * 2**20
"""Working memory of one block: smaller ones cost more in hand-overs between threads
than they gain in cache."""
MIN_ROWS = 512
INCOMPLETE = 4
"""Times as many rows in blocks of incomplete data: more of them share a pattern."""
LEAST_BLOCKS = 8
"""Blocks of incomplete data that threads share, if the data have so many."""
GROUPS = 32
"""Groups of blocks that threads take, at most."""
WORTH_A_THREAD = 200_000
"""Values of work on a block that are worth a hand-over to another thread."""
SHARES = 8
"""Blocks that threads share, if there are so many values of work."""
SEARCHED = 2**18
"""Weights that are searched at once for those that are not zero."""


class Additive(Protocol):
    """What a fold can add up."""

    def __add__(self, other: Any, /) -> Any: ...


A = TypeVar("A", bound=Additive)


class Block(NamedTuple):
    """Consecutive samples: ``data`` is (features, samples), a view.

    `incomplete` says that the data it is of have missing values, NaN. `known` are the
    components that samples are known to belong to, −1 where that is not known.
    """

    start: int
    stop: int
    data: np.ndarray
    weight: np.ndarray | None
    incomplete: bool = False
    known: np.ndarray | None = None

    @property
    def weight_of_each(self) -> np.ndarray:
        """The weights, ones if there are none."""
        return np.ones(self.data.shape[1]) if self.weight is None else self.weight

    @property
    def total_weight(self) -> float:
        """The sum of the weights: the number of samples if there are none."""
        return self.data.shape[1] if self.weight is None else self.weight.sum()

    def observed(self) -> Block:
        """Leave out the samples of weight zero."""
        if self.weight is None or self.weight.all():
            return self
        return self.only(self.weight > 0)

    def only(self, chosen: np.ndarray) -> Block:
        """Return some of the samples, by a mask or by indices."""
        return self._replace(
            data=self.data[:, chosen],
            weight=None if self.weight is None else self.weight[chosen],
            known=None if self.known is None else self.known[chosen],
        )


Compute = Callable[[Block, Workspace], A]
"""What is computed of one block."""
Write = Callable[[np.ndarray, Block, Workspace], None]
"""Fills the rows of an output that belong to one block."""


class Blocks(Protocol):
    """Rows of data, wherever they are: to fold over, and to take a few of."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    @property
    def n_observed(self) -> int:
        """Number of rows of positive weight."""

    @property
    def n_features(self) -> int:
        """Number of columns."""

    @property
    def dtype(self) -> np.dtype:
        """Floating-point type that blocks are computed in."""

    @property
    def total_weight(self) -> float:
        """N, the sum of the weights: the number of rows if there are none."""

    @property
    def whole_weights(self) -> bool:
        """Whether all weights are whole numbers."""

    @property
    def incomplete(self) -> bool:
        """Whether there are missing values, NaN."""

    @property
    def empty_weight(self) -> float:
        """Weight of rows without any value, to which a fit gives none here."""

    @property
    def known_components(self) -> np.ndarray:
        """Components, sorted, that rows of positive weight are known to belong to."""

    def known_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Choose at most so many rows of each known component, one component by one.

        They have positive weight, and depend on `rng` as `random_rows` does.
        """

    def fold(self, compute: Compute[A], values_per_sample: int) -> A:
        """Add up the computed values over the observed samples, in a fixed order."""

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight.

        They depend on the weights and on `rng` alone, not on where the rows are.
        """

    def rows_at(self, ranks: np.ndarray) -> np.ndarray:
        """Sorted ranks among the rows of positive weight -> indices among all."""

    def take(self, rows: np.ndarray) -> ArrayBlocks:
        """Return the rows of sorted indices, in memory, as blocks of their own."""


def are_whole(weight: np.ndarray | None) -> bool:
    """Whether all weights are whole numbers, as counts are."""
    return weight is None or bool((np.floor(weight) == weight).all())


def random_ranks(n: int, most: int, rng: np.random.RandomState) -> np.ndarray:
    """Sorted numbers below n, at most so many, chosen evenly."""
    if n <= most:
        return np.arange(n)
    return _distinct(n, most, rng)


@dataclass(frozen=True)
class ArrayBlocks:
    """An array or memmap of shape (n_samples, n_features), with optional weights.

    Both may be of any real type, byte order and memory layout: what needs another is
    converted block by block. `dtype` is the floating-point type that blocks are
    computed in. In `incomplete` data a NaN is a missing value; rows without any value
    weigh `empty_weight`, and have the weight zero here. `known` are the components
    that rows are known to belong to, −1 where that is not known.
    """

    X: np.ndarray
    weight: np.ndarray | None
    workers: Workers
    dtype: np.dtype
    incomplete: bool = False
    empty_weight: float = 0.0
    known: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.X.shape[0]

    @property
    def n_observed(self) -> int:
        """Number of rows of positive weight."""
        if self.weight is None:
            return self.n_samples
        return int(np.count_nonzero(self.weight))

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return self.X.shape[1]

    @property
    def weight_of_each(self) -> np.ndarray:
        """The weights, ones if there are none."""
        return np.ones(self.n_samples) if self.weight is None else self.weight

    @cached_property
    def total_weight(self) -> float:
        """N, the sum of the weights: the number of rows if there are none."""
        if self.weight is None:
            return float(self.n_samples)
        return float(self.weight.sum(dtype=float))

    @property
    def whole_weights(self) -> bool:
        """Whether all weights are whole numbers."""
        return are_whole(self.weight)

    def cuts(self, values_per_sample: int) -> list[tuple[int, int]]:
        """Start and stop of even blocks, given the values of work on a sample.

        They depend on the data's shape alone, never on the number of threads.
        """
        bytes_per_sample = values_per_sample * self.dtype.itemsize
        rows = max(BLOCK_BYTES // bytes_per_sample, MIN_ROWS)
        if self.incomplete:
            shared = self.n_samples // LEAST_BLOCKS
            rows = max(rows, min(INCOMPLETE * rows, shared))
        if self.n_samples == 0:
            return []
        worth = self.n_samples * values_per_sample // WORTH_A_THREAD
        n_blocks = _even(max(-(-self.n_samples // rows), min(worth, SHARES)))
        edges = [i * self.n_samples // n_blocks for i in range(n_blocks + 1)]
        return list(pairwise(edges))

    def block(self, start: int, stop: int) -> Block:
        """Return the samples from `start` to `stop`, the weights in float64."""
        weight = self.weight
        if weight is not None:
            weight = weight[start:stop].astype(float, copy=False)
        known = None if self.known is None else self.known[start:stop]
        return Block(start, stop, self.X[start:stop].T, weight, self.incomplete, known)

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight."""
        return self.rows_at(random_ranks(self.n_observed, most, rng))

    def rows_at(self, ranks: np.ndarray) -> np.ndarray:
        """Sorted ranks among the rows of positive weight -> indices among all."""
        return ranks if self.weight is None else _nonzero(self.weight, ranks)

    @cached_property
    def known_components(self) -> np.ndarray:
        """Components, sorted, that rows of positive weight are known to belong to."""
        if self.known is None:
            return np.empty(0, int)
        return np.unique(self.known[observed_and_known(self.weight, self.known)])

    def known_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Choose at most so many rows of each known component, one component by one."""
        if self.known is None:
            return np.empty(0, int)
        rows = np.flatnonzero(observed_and_known(self.weight, self.known))
        parts = (rows[self.known[rows] == k] for k in self.known_components)
        chosen = [part[random_ranks(len(part), most, rng)] for part in parts]
        return np.concatenate([rows[:0], *chosen])

    def take(self, rows: np.ndarray) -> ArrayBlocks:
        """Return some of the rows, as blocks of their own."""
        weight = None if self.weight is None else self.weight[rows].astype(float)
        known = None if self.known is None else self.known[rows]
        return replace(
            self, X=self.X[rows], weight=weight, empty_weight=0.0, known=known
        )

    def map(self, compute: Compute[A], values_per_sample: int) -> Iterator[A]:
        """Yield the computed value for each block, in order."""

        def evaluate(cut: tuple[int, int], workspace: Workspace) -> A:
            return compute(self.block(*cut), workspace)

        return self.workers.map(evaluate, self.cuts(values_per_sample))

    def fill(self, out: np.ndarray, write: Write, values_per_sample: int) -> np.ndarray:
        """Let `write` fill the rows of `out` that belong to each block; return it."""

        def compute(block: Block, workspace: Workspace) -> int:
            write(out[block.start : block.stop], block, workspace)
            return block.stop - block.start

        for _ in self.map(compute, values_per_sample):
            pass
        return out

    def fold(self, compute: Compute[A], values_per_sample: int) -> A:
        """Add up the computed values over the observed samples, in block order.

        Threads add up groups of blocks, which depend on the data's shape alone.
        """
        cuts = self.cuts(values_per_sample)
        n_groups = min(len(cuts), GROUPS)
        groups = [
            cuts[i * len(cuts) // n_groups : (i + 1) * len(cuts) // n_groups]
            for i in range(n_groups)
        ]

        def fold_group(group: list[tuple[int, int]], workspace: Workspace) -> A:
            blocks = (self.block(*cut) for cut in self.workers.until_stopped(group))
            return reduce(
                iadd, (compute(block.observed(), workspace) for block in blocks)
            )

        return reduce(iadd, self.workers.map(fold_group, groups))


def _even(n_blocks: int) -> int:
    """Raise a number of blocks, so that any few threads have about as many each."""
    groups = min(1 << (n_blocks - 1).bit_length(), GROUPS)
    return -(-n_blocks // groups) * groups


def observed_and_known(weight: np.ndarray | None, known: np.ndarray) -> np.ndarray:
    """Mask of the rows of positive weight whose component is known."""
    return known >= 0 if weight is None else (known >= 0) & (weight > 0)


def is_mapped(X: np.ndarray) -> bool:
    """Whether an array is, or is a view of, a file that is mapped into memory."""
    array: Any = X
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _distinct(n: int, size: int, rng: np.random.RandomState) -> np.ndarray:
    """So many sorted integers below `n`, in memory of their number, not of `n`.

    Repeated draws are drawn again: every subset stays as likely as any other.
    """
    if n < 4 * size:
        return np.sort(rng.permutation(n)[:size])
    chosen = np.empty(0, dtype=np.int64)
    while len(chosen) < size:
        more = rng.randint(n, size=size - len(chosen), dtype=np.int64)
        # np.unique takes twenty times as long on many large integers.
        chosen = np.sort(np.concatenate([chosen, more]))
        chosen = chosen[np.diff(chosen, prepend=-1) > 0]
    return chosen


def _nonzero(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """``np.flatnonzero(values)[ranks]`` for sorted ranks, without an index of all."""
    found, before = [], 0
    for start in range(0, len(values), SEARCHED):
        indices = np.flatnonzero(values[start : start + SEARCHED])
        first, last = np.searchsorted(ranks, [before, before + len(indices)])
        found.append(start + indices[ranks[first:last] - before])
        before += len(indices)
    return np.concatenate(found)
