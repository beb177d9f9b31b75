"""Blocks of a Dask array: folded where they are, so that only statistics travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skem.core.blocks.arrays import (
    A,
    ArrayBlocks,
    Compute,
    observed_and_known,
    random_ranks,
)
from skem.core.blocks.graph import Chunks
from skem.core.blocks.threads import Workers


class CallingThread(Workers):
    """The calling thread alone: the cores beside it belong to the scheduler's tasks."""

    def __enter__(self) -> CallingThread:
        super().__enter__()
        self.n_threads = 1
        return self


@dataclass(frozen=True)
class FoldChunk:
    """Fold a chunk like an array in memory, in pieces of the size of the cache."""

    compute: Compute[Any]
    values_per_sample: int
    dtype: np.dtype
    incomplete: bool = False
    labelled: bool = False

    def __call__(self, x: np.ndarray, *beside: np.ndarray) -> Any:
        """Return the sum of the computed values."""
        weight, known = weight_and_known(beside, self.labelled)
        with CallingThread() as thread:
            blocks = ArrayBlocks(
                x, weight, thread, self.dtype, self.incomplete, known=known
            )
            return blocks.fold(self.compute, self.values_per_sample)


def weight_and_known(
    beside: tuple[np.ndarray, ...], labelled: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Tell apart what is beside a chunk; labels of any type become integers."""
    known = beside[-1].astype(np.intp, copy=False) if labelled else None
    weight = beside[: len(beside) - labelled]
    return (weight[0] if weight else None), known


class Tally(NamedTuple):
    """What there is in a chunk: rows, those of positive weight, and their weight.

    And whether values are missing, and what those of these rows that have no value (and
    no label) are and weigh; how many are known of each component; and whether weights
    are whole numbers.
    """

    n_samples: int
    n_observed: int
    total_weight: float
    incomplete: bool = False
    n_empty: int = 0
    empty_weight: float = 0.0
    known: tuple[int, ...] = ()
    whole_weights: bool = True

    def without_empty_rows(self) -> Tally:
        """Count these as rows of weight zero."""
        return self._replace(
            n_observed=self.n_observed - self.n_empty,
            total_weight=self.total_weight - self.empty_weight,
        )


@dataclass(frozen=True)
class DaskBlocks:
    """A Dask array of shape (n_samples, n_features), with optional weights and labels.

    `tallies` are those of the chunks, which are NumPy arrays with all the columns.
    `workers` are for the rows that are taken. If they are `labelled`, known components
    are the last of what is beside the data.
    """

    chunks: Chunks
    tallies: list[Tally]
    n_features: int
    dtype: np.dtype
    workers: Workers
    empty_weight: float = 0.0
    labelled: bool = False

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return sum(tally.n_samples for tally in self.tallies)

    @property
    def n_observed(self) -> int:
        """Number of rows of positive weight."""
        return sum(tally.n_observed for tally in self.tallies)

    @property
    def total_weight(self) -> float:
        """N, the sum of the weights: the number of rows if there are none."""
        return float(sum(tally.total_weight for tally in self.tallies))

    @property
    def whole_weights(self) -> bool:
        """Whether all weights are whole numbers."""
        return all(tally.whole_weights for tally in self.tallies)

    @property
    def incomplete(self) -> bool:
        """Whether there are missing values, NaN."""
        return any(tally.incomplete for tally in self.tallies)

    @cached_property
    def known_components(self) -> np.ndarray:
        """Components, sorted, that rows of positive weight are known to belong to."""
        return np.flatnonzero(self._known.sum(axis=0))

    @cached_property
    def _known(self) -> np.ndarray:
        """Observed rows that are known, by chunk and component."""
        return np.array([tally.known for tally in self.tallies], dtype=int)

    @cached_property
    def _observed(self) -> Chunks:
        return self.chunks.only(
            n for n, tally in enumerate(self.tallies) if tally.n_observed
        )

    def fold(self, compute: Compute[A], values_per_sample: int) -> A:
        """Add up the computed values over the observed samples, in a fixed order."""
        fold = FoldChunk(
            compute, values_per_sample, self.dtype, self.incomplete, self.labelled
        )
        return self._observed.total(fold)

    def random_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Sorted indices of at most so many rows of positive weight."""
        return self.rows_at(random_ranks(self.n_observed, most, rng))

    def rows_at(self, ranks: np.ndarray) -> np.ndarray:
        """Sorted ranks among the rows of positive weight -> indices among all."""
        if self.n_observed == self.n_samples or not len(ranks):
            return ranks
        parts = _split(ranks, [tally.n_observed for tally in self.tallies])
        rows = self.chunks.only(parts).without_data().each(_observed_rows, parts)
        return np.concatenate(
            [self._starts[n] + part for n, part in zip(parts, rows, strict=True)]
        )

    @cached_property
    def _starts(self) -> np.ndarray:
        """Index of the first row of each chunk, and the number of rows."""
        return np.cumsum([0, *(tally.n_samples for tally in self.tallies)])

    def known_rows(self, most: int, rng: np.random.RandomState) -> np.ndarray:
        """Choose at most so many rows of each known component, one component by one."""
        wanted: dict[int, dict[int, np.ndarray]] = {}
        for k in self.known_components.tolist():
            sizes = self._known[:, k]
            chosen = random_ranks(int(sizes.sum()), most, rng)
            for n, ranks in _split(chosen, sizes).items():
                wanted.setdefault(n, {})[k] = ranks
        numbers = sorted(wanted)
        found = self.chunks.only(numbers).without_data().each(_known_rows, wanted)
        rows = [
            self._starts[n] + part[k]
            for k in self.known_components.tolist()
            for n, part in zip(numbers, found, strict=True)
            if k in part
        ]
        return np.concatenate([np.empty(0, int), *rows])

    def take(self, rows: np.ndarray) -> ArrayBlocks:
        """Return the rows of sorted indices, in memory, as blocks of their own."""
        parts = _split(rows, [tally.n_samples for tally in self.tallies])
        taken = self.chunks.only(parts).each(_take, parts)
        X, *beside = (np.concatenate(arrays) for arrays in zip(*taken, strict=True))
        weight, known = weight_and_known(tuple(beside), self.labelled)
        return ArrayBlocks(
            X, weight, self.workers, self.dtype, self.incomplete, known=known
        )


def _split(
    indices: np.ndarray, sizes: Sequence[int] | np.ndarray
) -> dict[int, np.ndarray]:
    """Sorted indices -> those within each chunk that has any."""
    ends = np.cumsum(sizes)
    parts = np.split(indices, np.searchsorted(indices, ends[:-1]))
    starts = ends - sizes
    return {
        n: part - start
        for n, (part, start) in enumerate(zip(parts, starts, strict=True))
        if len(part)
    }


def _observed_rows(weight: np.ndarray, *others: Any) -> np.ndarray:
    return np.flatnonzero(weight)[others[-1]]


def _known_rows(*beside_and_ranks: Any) -> dict[int, np.ndarray]:
    """Ranks among the observed rows of each known component -> their indices."""
    *beside, wanted = beside_and_ranks
    weight, known = weight_and_known(tuple(beside), True)
    assert known is not None
    observed = observed_and_known(weight, known)
    return {k: np.flatnonzero(observed & (known == k))[r] for k, r in wanted.items()}


def _take(*chunk_and_rows: np.ndarray) -> list[np.ndarray]:
    *chunk, rows = chunk_and_rows
    return [array[rows] for array in chunk]
