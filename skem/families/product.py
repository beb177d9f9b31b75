"""The EM map of a table: columns that are independent given the component.

The rows of all linear families stand in one array F, so that a block costs two matrix
products and one softmax: L = Θ F, S = R Fᵀ. Families that are not linear add their
logits before the softmax, and take their sums after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from skem.core.expectation import exponentials
from skem.core.parameters import TINY
from skem.core.products import sum_over_columns, times_block
from skem.core.threads import Workers, Workspace
from skem.families.family import Laws, Model

BLOCK_VALUES = 2**18
"""Values of features in a block, about: two megabytes."""
LEAST_ROWS = 256
KEPT_VALUES = 2**26
"""Values of features that are kept from pass to pass, at most: half a gigabyte."""
SMALLEST_WEIGHT = 1e-10
EQUAL_WEIGHTS = 6
"""Decimals of weights that tell components apart when they are put in order."""


@dataclass(frozen=True)
class Point:
    """The parameters of a mixture: weights, and the laws of each group of columns."""

    weights: np.ndarray
    laws: tuple[Laws, ...]

    @property
    def log_weights(self) -> np.ndarray:
        """Log w, finite also where a weight is zero."""
        return np.log(np.maximum(self.weights, TINY))


class Rows(NamedTuple):
    """Features of a block of samples: F, those of other families, labels, weights."""

    linear: np.ndarray
    own: list[np.ndarray | None]
    known: np.ndarray | None
    weight: np.ndarray


@dataclass
class Sums:
    """What a pass adds up: Σ v log p, R Fᵀ, and the sums of other families."""

    loglik: float
    linear: np.ndarray
    own: list[np.ndarray | None]

    def __add__(self, other: Sums) -> Sums:
        own = [
            None if a is None or b is None else a + b
            for a, b in zip(self.own, other.own, strict=True)
        ]
        return Sums(self.loglik + other.loglik, self.linear + other.linear, own)

    def __mul__(self, factor: float) -> Sums:
        own = [None if each is None else each * factor for each in self.own]
        return Sums(self.loglik * factor, self.linear * factor, own)


class Coefficients(NamedTuple):
    """Θ of the linear families, with log-weights; and whose logits are their own."""

    theta: np.ndarray
    own: list[bool]


@dataclass(frozen=True)
class Product:
    """Models of groups of columns: `places` are the columns of each."""

    models: tuple[Model, ...]
    places: tuple[np.ndarray, ...]

    def of(self, values: np.ndarray) -> Product:
        """Return the models as they are for values that may be missing."""
        pairs = zip(self.models, self.places, strict=True)
        return replace(self, models=tuple(m.of(values[p]) for m, p in pairs))

    def as_points(self) -> Product:
        """Return the models that take values that rows share for points."""
        return replace(self, models=tuple(model.as_points() for model in self.models))

    @cached_property
    def slices(self) -> list[slice | None]:
        """Rows of F of each linear model; the first row of F is ones."""
        found: list[slice | None] = []
        start = 1
        for model in self.models:
            if model.linear:
                found.append(slice(start, start + model.n_rows))
                start += model.n_rows
            else:
                found.append(None)
        return found

    @cached_property
    def n_linear(self) -> int:
        """Rows of F."""
        return 1 + sum(model.n_rows for model in self.models if model.linear)

    @cached_property
    def n_rows(self) -> int:
        """Rows of features."""
        return 1 + sum(model.n_rows for model in self.models)

    def rows(
        self, values: np.ndarray, known: np.ndarray | None, weight: np.ndarray
    ) -> Rows:
        """Features of a block of values (d, b)."""
        linear = np.empty((self.n_linear, values.shape[1]))
        linear[0] = 1
        own: list[np.ndarray | None] = []
        for model, place, part in zip(
            self.models, self.places, self.slices, strict=True
        ):
            found = model.rows(values[place])
            if part is None:
                own.append(found)
            else:
                linear[part] = found
                own.append(None)
        return Rows(linear, own, known, weight)

    def base(self, values: np.ndarray) -> np.ndarray:
        """Return what of log-densities does not depend on parameters, (b,)."""
        pairs = zip(self.models, self.places, strict=True)
        return sum(model.base(values[place]) for model, place in pairs)

    def coefficients(self, point: Point) -> Coefficients:
        """Return what a pass at a point multiplies rows by."""
        theta = np.zeros((len(point.weights), self.n_linear))
        theta[:, 0] = point.log_weights
        own = []
        for model, laws, part in zip(self.models, point.laws, self.slices, strict=True):
            found = model.coefficients(laws) if part is not None else None
            own.append(found is None)
            if found is not None:
                theta[:, part] = found[0]
                theta[:, 0] += found[1]
        return Coefficients(theta, own)

    def _rows_of(self, rows: Rows, j: int) -> np.ndarray:
        own, part = rows.own[j], self.slices[j]
        if own is not None:
            return own
        assert part is not None
        return rows.linear[part]

    def logits(self, point: Point, found: Coefficients, rows: Rows) -> np.ndarray:
        """Log w_k p(x | k) less the base, (K, b)."""
        logits = np.empty((len(point.weights), rows.linear.shape[1]))
        times_block(found.theta, rows.linear, logits)
        for j, own in enumerate(found.own):
            if own:
                logits += self.models[j].logits(point.laws[j], self._rows_of(rows, j))
        if rows.known is not None:
            others = rows.known != np.arange(len(logits))[:, None]
            logits[others & (rows.known >= 0)] = -np.inf
        return logits

    def folded(self, point: Point, found: Coefficients, rows: Rows) -> Sums:
        """Take the E-step of a block."""
        logits = self.logits(point, found, rows)
        log_norm = softmax(logits)
        loglik = float(log_norm @ rows.weight)
        logits *= rows.weight
        return self.totals(point, found, rows, logits, loglik)

    def totals(
        self,
        point: Point,
        found: Coefficients,
        rows: Rows,
        resp: np.ndarray,
        loglik: float = 0.0,
    ) -> Sums:
        """Return sums for weighted responsibilities (K, b)."""
        own = [
            self.models[j].sums(point.laws[j], self._rows_of(rows, j), resp)
            if own
            else None
            for j, own in enumerate(found.own)
        ]
        return Sums(loglik, sum_over_columns(resp, rows.linear), own)

    def started(self, rows: Rows, resp: np.ndarray) -> Point:
        """M-step of labelled rows, for (weighted) responsibilities (K, n)."""
        laws = tuple(
            model.start(self._rows_of(rows, j), resp)
            for j, model in enumerate(self.models)
        )
        counts = resp.sum(axis=1)
        return Point(counts / counts.sum(), laws)

    def maximise(self, sums: Sums, previous: Point) -> Point:
        """M-step."""
        counts = np.maximum(sums.linear[:, 0], 0.0)
        laws = []
        for j, (model, part) in enumerate(zip(self.models, self.slices, strict=True)):
            own = sums.own[j]
            seen = own if own is not None else sums.linear[:, part]
            laws.append(model.maximise(seen, counts, previous.laws[j], own is not None))
        return Point(counts / counts.sum(), tuple(laws))

    def penalty(self, point: Point) -> float:
        """Return what the objective is below the log-likelihood."""
        pairs = zip(self.models, point.laws, strict=True)
        return sum(model.penalty(laws) for model, laws in pairs)

    def scaled(self, share: float) -> Product:
        """Return the models with so much of the penalty."""
        return replace(self, models=tuple(m.scaled(share) for m in self.models))

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Rows for k-means, (n, p)."""
        pairs = zip(self.models, self.places, strict=True)
        return np.vstack([model.embed(values[place]) for model, place in pairs]).T

    def ordered(self, point: Point, order: np.ndarray) -> Point:
        """Return the components in another order."""
        pairs = zip(self.models, point.laws, strict=True)
        laws = tuple(model.ordered(each, order) for model, each in pairs)
        return Point(point.weights[order], laws)

    def n_free(self, n_components: int) -> int:
        """Return the number of free parameters."""
        each = (model.n_free(n_components) for model in self.models)
        return n_components - 1 + sum(each)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (K, b) into probabilities, in place; return their log-norm (b,)."""
    top = logits.max(axis=0)
    top[~np.isfinite(top)] = 0.0
    logits -= top
    exponentials(logits, Workspace())
    total = np.maximum(logits.sum(axis=0), TINY)
    logits /= total
    return np.log(total) + top


@dataclass(frozen=True)
class TableMap:
    """θ → (θ⁺, ℓ(θ)) for values (d, n) with weights, and labels that are known."""

    product: Product
    values: np.ndarray
    weight: np.ndarray
    workers: Workers
    known: np.ndarray | None = None

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
        seen = self.weight > 0
        return float(self.product.base(self.values[:, seen]) @ self.weight[seen])

    def _cuts(self) -> list[tuple[int, int]]:
        each = max(LEAST_ROWS, BLOCK_VALUES // self.product.n_rows)
        pieces = max(1, -(-self.n_samples // each))
        edges = [i * self.n_samples // pieces for i in range(pieces + 1)]
        return list(pairwise(edges))

    def block(self, cut: tuple[int, int]) -> Rows:
        """Features of consecutive rows."""
        rows = slice(*cut)
        known = None if self.known is None else self.known[rows]
        return self.product.rows(self.values[:, rows], known, self.weight[rows])

    @cached_property
    def _kept(self) -> list[Rows] | None:
        """Features of all blocks, if there is room for them."""
        if self.product.n_rows * self.n_samples > KEPT_VALUES:
            return None
        return list(self.workers.map(lambda cut, _: self.block(cut), self._cuts()))

    def evaluate(self, point: Point) -> Evaluation:
        """Fold one pass over the data at a point."""
        found = self.product.coefficients(point)
        kept = self._kept
        items: Sequence[Any] = self._cuts() if kept is None else kept

        def fold(item: Any, _: Workspace) -> Sums:
            rows = self.block(item) if kept is None else item
            return self.product.folded(point, found, rows)

        with np.errstate(over="ignore", under="ignore"):
            sums = reduce(Sums.__add__, self.workers.map(fold, items))
        return Evaluation(self, point, sums)

    def labelled(self, resp: np.ndarray) -> Point:
        """M-step of responsibilities (K, n), of all rows at once."""
        resp = resp * self.weight
        if self.known is not None:
            marked = self.known >= 0
            resp[:, marked] = 0
            resp[self.known[marked], marked] = self.weight[marked]
        return self.product.started(self.block((0, self.n_samples)), resp)

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
        found = self.product.coefficients(point)
        for cut in self._cuts():
            with np.errstate(over="ignore", under="ignore"):
                logits = self.product.logits(point, found, self.block(cut))
                log_norm = softmax(logits)
            here = slice(*cut)
            yield here, log_norm + self.product.base(self.values[:, here]), logits


@dataclass(frozen=True)
class Evaluation:
    """What one pass at a point has found."""

    em: TableMap
    parameters: Point
    sums: Sums

    @cached_property
    def loglik(self) -> float:
        """ℓ(θ), in units of the data."""
        return self.sums.loglik + self.em.constant

    @cached_property
    def objective(self) -> float:
        """ℓ(θ) less the penalty."""
        return self.sums.loglik - self.em.product.penalty(self.parameters)

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

    def pack(self, point: Point) -> np.ndarray:
        """Point -> vector; the base is the origin."""
        ratio = point.log_weights - self.base.log_weights
        ratio -= self.base.weights @ ratio
        parts = [np.sqrt(self.counts) * ratio]
        for model, laws, base in zip(
            self.product.models, point.laws, self.base.laws, strict=True
        ):
            parts.append(model.pack(laws, base, self.counts))
        return np.concatenate(parts)

    @cached_property
    def _cuts(self) -> list[int]:
        sizes = [len(self.counts)]
        for model, base in zip(self.product.models, self.base.laws, strict=True):
            sizes.append(len(model.pack(base, base, self.counts)))
        return list(np.cumsum(sizes))[:-1]

    def unpack(self, vector: np.ndarray) -> Point:
        """Vector -> point."""
        first, *parts = np.split(vector, self._cuts)
        logs = self.base.log_weights + first / np.sqrt(self.counts)
        shares = np.exp(logs - logs.max())
        laws = tuple(
            model.unpack(part, base, self.counts)
            for model, part, base in zip(
                self.product.models, parts, self.base.laws, strict=True
            )
        )
        return Point(shares / shares.sum(), laws)

    def farthest(self, step: np.ndarray) -> float:
        """Return the largest move of a step, in deviations or logarithms."""
        first, *parts = np.split(step, self._cuts)
        size = float(np.max(np.abs(first) / np.sqrt(self.counts)))
        for model, part, base in zip(
            self.product.models, parts, self.base.laws, strict=True
        ):
            size = max(size, model.far(part, base, self.counts))
        return size if math.isfinite(size) else 1e300


def by_weight(em: TableMap, point: Point) -> Point:
    """Return the heaviest component first; of equal ones by their coefficients."""
    theta = em.product.coefficients(point).theta
    weights = np.round(point.weights, EQUAL_WEIGHTS)
    keys = np.round(theta[:, ::-1].T, EQUAL_WEIGHTS)
    return em.product.ordered(point, np.lexsort((*keys, -weights)))
