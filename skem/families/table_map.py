"""The EM map of a table, its evaluations, and its charts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from itertools import pairwise
from typing import Any

import numpy as np

from skem.core.blocks.dask import CallingThread
from skem.core.blocks.threads import Workers, Workspace
from skem.core.gaussian.chart import SMALLEST_WEIGHT
from skem.core.mixture.em import EQUAL_WEIGHTS
from skem.families.categories import BatchChart
from skem.families.model import Laws
from skem.families.point import Point, Sums
from skem.families.product import Product, Rows

BLOCK_VALUES = 2**18
"""Values of features in a block, about: two megabytes."""
LEAST_PIECE = 256
PIECE_VALUES = 2**17
"""Probabilities of components that are computed at once, about: a megabyte.

Fewer if a family makes temporary arrays of them: large ones are new memory each time.
"""
ROW_VALUES = 8
"""Values of a row that a pass works with, at least."""
KEPT_VALUES = 2**26
"""Values of features that are kept from pass to pass, at most: half a gigabyte."""


@dataclass(frozen=True)
class TableMap:
    """θ → (θ⁺, ℓ(θ)) for values (d, n) with weights, and labels that are known.

    Values are an array, or what gives one for some of the rows: ``values[:, rows]``.
    What has a method `total` folds rows where they are, and is asked for nothing else
    in a pass.
    """

    product: Product
    values: Any
    weight: np.ndarray
    workers: Workers
    known: np.ndarray | None = None
    keep: bool = True

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.values.shape[1]

    @cached_property
    def total_weight(self) -> float:
        """N."""
        return float(self.weight.sum())

    @cached_property
    def constant(self) -> float:
        """Part of the log-likelihood that does not depend on parameters."""
        base = partial(_total_base, self.product)
        if hasattr(self.values, "total"):
            return float(self.values.total(base, self.weight))
        blocks = (slice(*cut) for cut in self._cuts())
        return sum(base(self.numbers(rows), self.weight[rows]) for rows in blocks)

    def _cuts(self) -> list[tuple[int, int]]:
        each = max(LEAST_PIECE, BLOCK_VALUES // max(self.product.n_rows, ROW_VALUES))
        pieces = max(1, -(-self.n_samples // each))
        edges = [i * self.n_samples // pieces for i in range(pieces + 1)]
        return list(pairwise(edges))

    def block(self, cut: tuple[int, int]) -> Rows:
        """Features of consecutive rows."""
        rows = slice(*cut)
        known = None if self.known is None else self.known[rows]
        return self.product.rows(self.numbers(rows), known, self.weight[rows])

    def numbers(self, rows: slice = slice(None)) -> np.ndarray:
        """Values of consecutive rows, in float64, which the table need not be of."""
        return np.asarray(self.values[:, rows], dtype=float)

    @cached_property
    def _kept(self) -> list[Rows] | None:
        """Features of all blocks, if there is room for them."""
        in_memory = self.keep and isinstance(self.values, np.ndarray)
        if not in_memory or self.product.n_rows * self.n_samples > KEPT_VALUES:
            return None
        return list(self.workers.map(lambda cut, _: self.block(cut), self._cuts()))

    @cached_property
    def _cut(self) -> dict[int, list[list[Rows]]]:
        """Kept features in pieces, by their size."""
        return {}

    def _pieces(self, size: int) -> list[list[Rows]] | None:
        """Return kept features in pieces of so many rows, which are kept, too."""
        kept = self._kept
        if kept is None:
            return None
        if size not in self._cut:
            self._cut[size] = [list(rows.pieces(size)) for rows in kept]
        return self._cut[size]

    @staticmethod
    def admitted(start: Point) -> Point:
        """Return a start as it is."""
        return start

    @staticmethod
    def adopted(point: Point) -> Point:
        """Return what a part of the rows has led to as it is."""
        return point

    @staticmethod
    def light(stack: Point) -> bool:
        """Have no steps from a stack that take little time."""
        return False

    @staticmethod
    def contest(*_: Any) -> None:
        """Have no way to take steps of a stack, and give up the worse, in one call."""

    def advanced(self, point: Point, steps: int) -> Point:
        """Take plain steps."""
        for _ in range(steps):
            point = self.evaluate(point).successor
        return point

    def evaluate(self, point: Point) -> Evaluation:
        """Fold one pass over the data at a point, or at a stack of them."""
        point = self.product.restored(point)
        if hasattr(self.values, "total"):
            # Features are not kept where rows are: others may be there, too.
            fold = partial(_folded_there, self.product, point)
            sums = self.values.total(fold, self.weight, self.known)
        else:
            sums = self.folded(point)
        return Evaluation(self, point, sums)

    def folded(self, point: Point) -> Sums:
        """Add up what blocks of rows give."""
        found = self.product.coefficients(point)
        values = PIECE_VALUES // self.product.n_temporary
        size = max(LEAST_PIECE, values // len(point.weights))
        pieces = self._pieces(size)
        items: Sequence[Any] = self._cuts() if pieces is None else pieces

        def fold(item: Any, _: Workspace) -> Sums:
            parts = self.block(item).pieces(size) if pieces is None else item
            folded = (self.product.folded(point, found, rows) for rows in parts)
            return reduce(Sums.__add__, folded)

        with np.errstate(over="ignore", under="ignore"):
            return reduce(Sums.__add__, self.workers.map(fold, items))

    def labelled(self, resp: np.ndarray) -> Point:
        """M-step of responsibilities (K, n), of all rows at once."""
        resp = resp * self.weight
        if self.known is not None:
            marked = self.known >= 0
            resp[:, marked] = 0
            resp[self.known[marked], marked] = self.weight[marked]
        return self.product.started(self._whole, resp)

    @cached_property
    def _whole(self) -> Rows:
        """Features of all rows."""
        kept = self._kept
        if kept is not None and len(kept) == 1:
            return kept[0]
        return self.block((0, self.n_samples))

    def taken(self, rows: np.ndarray) -> TableMap:
        """Return the same problem for some of the rows, with less of the penalty."""
        weight = self.weight[rows]
        share = float(weight.sum()) / self.total_weight
        return TableMap(
            self.product.scaled(share),
            self.values[:, rows],
            weight,
            self.workers,
            None if self.known is None else self.known[rows],
        )

    def chart(self, base: Point) -> TableChart:
        """Return unconstrained coordinates about a point."""
        return TableChart(self.product, base, self.total_weight)

    def posterior(self, point: Point) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield log-densities (b,) and probabilities (K, b) of blocks of rows."""
        point = self.product.without_empty(point)
        found = self.product.coefficients(point)
        for cut in self._cuts():
            with np.errstate(over="ignore", under="ignore"):
                log_norm, resp = self.product.responsibilities(
                    point, found, self.block(cut)
                )
            here = slice(*cut)
            yield here, log_norm + self.product.base(self.numbers(here)), resp

    def component_log_density(self, point: Point) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield log p_k(x) of blocks of rows, (K, b)."""
        even = Point(np.ones(len(point.weights)), point.laws)
        found = self.product.coefficients(even)
        for cut in self._cuts():
            here = slice(*cut)
            with np.errstate(over="ignore", invalid="ignore"):
                logits = self.product.logits(even, found, self.block(cut))
                yield here, logits + self.product.base(self.numbers(here))


def _folded_there(
    product: Product,
    point: Point,
    values: np.ndarray,
    weight: np.ndarray,
    known: np.ndarray | None = None,
) -> Sums:
    """Fold values (d, b) of some of the rows, where they are."""
    with CallingThread() as thread:
        em = TableMap(product, values, weight, thread, known, keep=False)
        return em.folded(point)


def _total_base(product: Product, values: np.ndarray, weight: np.ndarray) -> float:
    """Add up the log-likelihood's part of some rows that no parameter is in."""
    seen = weight > 0
    return float(product.base(values[:, seen]) @ weight[seen])


@dataclass(frozen=True)
class Evaluation:
    """What one pass at a point has found."""

    em: TableMap
    parameters: Point
    sums: Sums

    @cached_property
    def loglik(self) -> float:
        """ℓ(θ), in units of the data."""
        return float(self.sums.loglik) + self.em.constant

    @cached_property
    def objective(self) -> Any:
        """ℓ(θ) less the penalty and a constant; of a stack an array."""
        penalty = self.em.product.penalties(self.parameters)
        found = self.sums.loglik - (penalty if self.parameters.stack else penalty[0])
        return found if self.parameters.stack else float(found)

    @cached_property
    def successor(self) -> Point:
        """θ⁺."""
        return self.em.product.maximise(self.sums, self.parameters)


@dataclass(frozen=True)
class TableChart:
    """Coordinates about a base point: log-weights, then those of each model."""

    product: Product
    base: Point
    total_weight: float

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each component."""
        return self.total_weight * np.maximum(self.base.weights, SMALLEST_WEIGHT)

    @cached_property
    def _batch(self) -> BatchChart | None:
        """Coordinates of the columns of categories."""
        batch = self.product.batch
        if batch is None:
            return None
        return batch.chart(self.product.of_batch(self.base), self.counts)

    def pack(self, point: Point) -> np.ndarray:
        """Point -> vector; the base is the origin."""
        ratio = point.log_weights - self.base.log_weights
        ratio -= self.base.weights @ ratio
        parts = [np.sqrt(self.counts) * ratio]
        if self._batch is not None:
            parts.append(self._batch.pack(self.product.of_batch(point)))
        for j in self.product.single:
            model = self.product.models[j]
            parts.append(model.pack(point.laws[j], self.base.laws[j], self.counts))
        return np.concatenate(parts)

    @cached_property
    def _cuts(self) -> list[slice]:
        """Where the weights, the batch and the single models have their parts."""
        K = len(self.counts)
        sizes = [
            K,
            K * sum(self.product.models[j].n_rows for j in self.product.batched),
        ]
        for j in self.product.single:
            own = self.base.laws[j]
            sizes.append(len(self.product.models[j].pack(own, own, self.counts)))
        ends = np.cumsum([0, *sizes]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    def _split(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, list]:
        """Return the parts of weights, of the batch and of single models."""
        first, batched, *parts = (vector[cut] for cut in self._cuts)
        return first, batched, list(zip(self.product.single, parts, strict=True))

    def unpack(self, vector: np.ndarray) -> Point:
        """Vector -> point."""
        first, batched, parts = self._split(vector)
        logs = self.base.log_weights + first / np.sqrt(self.counts)
        shares = np.exp(logs - logs.max())
        laws: list[Laws] = [{}] * len(self.product.models)
        if self._batch is not None:
            found = self._batch.unpack(batched)
            for j, law in zip(self.product.batched, found, strict=True):
                laws[j] = law
        for j, part in parts:
            model = self.product.models[j]
            laws[j] = model.unpack(part, self.base.laws[j], self.counts)
        return Point(shares / shares.sum(), tuple(laws))

    def farthest(self, step: np.ndarray) -> float:
        """Return the largest move of a step, in deviations or logarithms."""
        first, batched, parts = self._split(step)
        sizes = [float(np.max(np.abs(first) / np.sqrt(self.counts)))]
        if self._batch is not None:
            sizes.append(self._batch.far(batched))
        for j, part in parts:
            model = self.product.models[j]
            sizes.append(model.far(part, self.base.laws[j], self.counts))
        size = max(sizes)
        return size if math.isfinite(size) else 1e300


def by_weight(em: TableMap, point: Point) -> Point:
    """Return the heaviest component first; of equal ones by their coefficients."""
    theta = em.product.coefficients(point).theta
    weights = np.round(point.weights, EQUAL_WEIGHTS)
    keys = np.round(theta[:, ::-1].T, EQUAL_WEIGHTS)
    return em.product.ordered(point, np.lexsort((*keys, -weights)))
