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
from skem.families.categories import CategoricalModel
from skem.families.family import Laws, Model, Running

BLOCK_VALUES = 2**18
"""Values of features in a block, about: two megabytes."""
LEAST_ROWS = 256
KEPT_VALUES = 2**26
"""Values of features that are kept from pass to pass, at most: half a gigabyte."""
LARGEST_TABLE = 1024
"""Combinations of categories that are looked up in one table, at most."""
SAFE = 1e-200
"""Products of proportions that have all of their digits."""
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
    """Features of a block of samples: F, those of other families, labels, weights.

    `codes` are places in the tables of columns of categories that are looked up.
    """

    linear: np.ndarray
    own: list[np.ndarray | None]
    codes: list[np.ndarray]
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


class Lookup(NamedTuple):
    """Columns of categories that share one table of log-proportions, by place.

    `shape` has the number of categories of each, and one more where cells are missing.
    To look a sum of several columns up takes no longer than that of one.
    """

    members: tuple[int, ...]
    shape: tuple[int, ...]

    def codes(self, product: Product, values: np.ndarray) -> np.ndarray:
        """Places of rows in the table, (b,)."""
        code = np.zeros(values.shape[1], dtype=np.intp)
        for j, size in zip(self.members, self.shape, strict=True):
            column = values[product.places[j][0]]
            code *= size
            code += np.nan_to_num(column, nan=size - 1).astype(np.intp)
        return code

    def table(self, product: Product, theta: np.ndarray) -> np.ndarray:
        """Log-proportions of all combinations, (K, size); of what is missing 0."""
        table = np.zeros((len(theta), 1))
        for j, size in zip(self.members, self.shape, strict=True):
            own = np.zeros((len(theta), 1, size))
            part = product.slices[j]
            assert part is not None
            own[:, 0, : part.stop - part.start] = theta[:, part]
            table = (table[:, :, None] + own).reshape(len(theta), -1)
        return table

    def add(
        self, product: Product, code: np.ndarray, resp: np.ndarray, sums: np.ndarray
    ) -> None:
        """Write the counts of categories where R Fᵀ has them."""
        size = math.prod(self.shape)
        found = np.stack([np.bincount(code, r, size) for r in resp])
        found = found.reshape(len(resp), *self.shape)
        for axis, j in enumerate(self.members):
            others = tuple(a + 1 for a in range(len(self.shape)) if a != axis)
            part = product.slices[j]
            assert part is not None
            counts = found.sum(axis=others)
            sums[:, part] = counts[:, : part.stop - part.start]


@dataclass(frozen=True)
class Given:
    """Which parts of a point a fit leaves as they are: weights, and groups' laws."""

    point: Point
    weights: bool
    groups: tuple[bool, ...]

    def restored(self, point: Point) -> Point:
        """Put what is given in its place."""
        chosen = zip(self.groups, self.point.laws, point.laws, strict=True)
        laws = tuple(own if given else found for given, own, found in chosen)
        return Point(self.point.weights if self.weights else point.weights, laws)


@dataclass(frozen=True)
class Product:
    """Models of groups of columns: `places` are the columns of each."""

    models: tuple[Model, ...]
    places: tuple[np.ndarray, ...]
    lookups: tuple[Lookup, ...] = ()
    given: Given | None = None

    def carried(self, point: Point, other: Product) -> Point:
        """Return a point of other models of the same families as one of these."""
        each = zip(self.models, point.laws, other.models, strict=True)
        laws = tuple(model.carried(laws, before) for model, laws, before in each)
        return Point(point.weights, laws)

    def restored(self, point: Point) -> Point:
        """Put what is given in its place."""
        return point if self.given is None else self.given.restored(point)

    def of(self, values: np.ndarray) -> Product:
        """Return the models as they are for values that may be missing."""
        pairs = zip(self.models, self.places, strict=True)
        models = tuple(m.of(values[p]) for m, p in pairs)
        groups: list[list[tuple[int, int]]] = [[]]
        size = 1
        for j, (model, place) in enumerate(zip(models, self.places, strict=True)):
            if isinstance(model, CategoricalModel):
                own = model.n_rows + int(np.isnan(values[place[0]]).any())
                if size * own > LARGEST_TABLE and groups[-1]:
                    groups.append([])
                    size = 1
                size *= own
                groups[-1].append((j, own))
        lookups = tuple(Lookup(*zip(*group, strict=True)) for group in groups if group)
        return replace(self, models=models, lookups=lookups)

    @cached_property
    def dense(self) -> np.ndarray:
        """Rows of Θᵀ that F has, all but those of what is looked up."""
        kept = np.ones(self.n_linear, dtype=bool)
        for lookup in self.lookups:
            for j in lookup.members:
                kept[self.slices[j]] = False
        return np.flatnonzero(kept)

    def as_points(self) -> Product:
        """Return the models that take values that rows share for points."""
        models = tuple(model.as_points() for model in self.models)
        if all(a is b for a, b in zip(models, self.models, strict=True)):
            return self
        return replace(self, models=models)

    @cached_property
    def slices(self) -> list[slice | None]:
        """Rows of Θᵀ of each linear model; the first one is of ones."""
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
        """Rows of Θᵀ."""
        return 1 + sum(model.n_rows for model in self.models if model.linear)

    @cached_property
    def n_rows(self) -> int:
        """Rows of features."""
        others = sum(model.n_rows for model in self.models if not model.linear)
        return len(self.dense) + others + len(self.lookups)

    def rows(
        self, values: np.ndarray, known: np.ndarray | None, weight: np.ndarray
    ) -> Rows:
        """Features of a block of values (d, b)."""
        linear = np.empty((len(self.dense), values.shape[1]))
        linear[0] = 1
        looked_up = {j for lookup in self.lookups for j in lookup.members}
        own: list[np.ndarray | None] = [None] * len(self.models)
        start = 1
        for j, (model, place) in enumerate(zip(self.models, self.places, strict=True)):
            if j in looked_up:
                continue
            if model.linear:
                linear[start : start + model.n_rows] = model.rows(values[place])
                start += model.n_rows
            else:
                own[j] = model.rows(values[place])
        codes = [lookup.codes(self, values) for lookup in self.lookups]
        return Rows(linear, own, codes, known, weight)

    def base(self, values: np.ndarray) -> np.ndarray:
        """Return what of log-densities does not depend on parameters, (b,)."""
        pairs = zip(self.models, self.places, strict=True)
        none = np.zeros(values.shape[1])
        return sum((model.base(values[place]) for model, place in pairs), none)

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
        first = int(np.searchsorted(self.dense, part.start))
        return rows.linear[first : first + part.stop - part.start]

    def logits(self, point: Point, found: Coefficients, rows: Rows) -> np.ndarray:
        """Log w_k p(x | k) less the base, (K, b)."""
        logits = np.empty((len(point.weights), rows.linear.shape[1]))
        theta = found.theta
        if not self.lookups:
            times_block(theta, rows.linear, logits)
        elif len(self.dense) == 1:
            logits[:] = theta[:, :1]
        else:
            times_block(np.ascontiguousarray(theta[:, self.dense]), rows.linear, logits)
        for lookup, code in zip(self.lookups, rows.codes, strict=True):
            table = lookup.table(self, theta)
            for row, own_table in zip(logits, table, strict=True):
                row += own_table.take(code, mode="clip")
        for j, own in enumerate(found.own):
            if own:
                logits += self.models[j].logits(point.laws[j], self._rows_of(rows, j))
        if rows.known is not None:
            others = rows.known != np.arange(len(logits))[:, None]
            logits[others & (rows.known >= 0)] = -np.inf
        return logits

    def folded(self, point: Point, found: Coefficients, rows: Rows) -> Sums:
        """Take the E-step of a block."""
        log_norm, resp = self.responsibilities(point, found, rows)
        loglik = float(log_norm @ rows.weight)
        resp *= rows.weight
        return self.totals(point, found, rows, resp, loglik)

    def responsibilities(
        self, point: Point, found: Coefficients, rows: Rows
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities less the base, (b,), and posterior probabilities, (K, b)."""
        tables_alone = len(self.dense) == 1 and not any(found.own)
        if self.lookups and tables_alone and rows.known is None:
            resp = self._products(point, found, rows)
            total = resp.sum(axis=0)
            if total.min(initial=1.0) > SAFE:
                resp /= total
                return np.log(total), resp
        logits = self.logits(point, found, rows)
        return softmax(logits), logits

    def _products(self, point: Point, found: Coefficients, rows: Rows) -> np.ndarray:
        """w_k Π p(x_j | k): of tables alone it takes no exponential of each row."""
        first, *others = (
            np.exp(lookup.table(self, found.theta)) for lookup in self.lookups
        )
        first *= np.exp(found.theta[:, :1])
        resp = np.empty((len(first), rows.linear.shape[1]))
        for k, row in enumerate(resp):
            first[k].take(rows.codes[0], out=row, mode="clip")
            for table, code in zip(others, rows.codes[1:], strict=True):
                row *= table[k].take(code, mode="clip")
        return resp

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
        return Sums(loglik, self._linear_sums(rows, resp), own)

    def _linear_sums(self, rows: Rows, resp: np.ndarray) -> np.ndarray:
        """R Fᵀ, with the counts of what is looked up."""
        if not self.lookups:
            return sum_over_columns(resp, rows.linear)
        sums = np.zeros((len(resp), self.n_linear))
        sums[:, self.dense] = sum_over_columns(resp, rows.linear)
        for lookup, code in zip(self.lookups, rows.codes, strict=True):
            lookup.add(self, code, resp, sums)
        return sums

    def started(self, rows: Rows, resp: np.ndarray) -> Point:
        """M-step of labelled rows, for (weighted) responsibilities (K, n)."""
        counts = resp.sum(axis=1)
        linear = self._linear_sums(rows, resp)
        looked_up = {j for lookup in self.lookups for j in lookup.members}
        laws = tuple(
            model.maximise(linear[:, self.slices[j]], counts, None)
            if j in looked_up
            else model.start(self._rows_of(rows, j), resp)
            for j, model in enumerate(self.models)
        )
        return Point(counts / counts.sum(), laws)

    def maximise(self, sums: Sums, previous: Point) -> Point:
        """M-step."""
        counts = np.maximum(sums.linear[:, 0], 0.0)
        laws = []
        for j, (model, part) in enumerate(zip(self.models, self.slices, strict=True)):
            own = sums.own[j]
            seen = own if own is not None else sums.linear[:, part]
            laws.append(model.maximise(seen, counts, previous.laws[j], own is not None))
        return self.restored(Point(counts / counts.sum(), tuple(laws)))

    def running(self, sums: Sums, point: Point) -> list[Running]:
        """Return the sums of a pass, to be added to those at other points."""
        counts = sums.linear[:, 0]
        found = []
        for j, (model, part) in enumerate(zip(self.models, self.slices, strict=True)):
            own = sums.own[j]
            seen = own if own is not None else sums.linear[:, part]
            found.append(model.running(seen, counts, point.laws[j], own is not None))
        return [counts, *found]

    def settled(self, running: list[Running], previous: Point) -> Point:
        """M-step of running sums."""
        counts, *others = running
        laws = tuple(
            model.settled(own, counts, before)
            for model, own, before in zip(
                self.models, others, previous.laws, strict=True
            )
        )
        return self.restored(Point(counts / counts.sum(), laws))

    def renewed(self, running: list[Running], share: float) -> Product:
        """Return the models with the penalty of what a stream has shown by now."""
        pairs = zip(self.models, running[1:], strict=True)
        return replace(self, models=tuple(m.renewed(own, share) for m, own in pairs))

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
        each = [model.n_free(n_components) for model in self.models]
        weights = n_components - 1
        if self.given is not None:
            weights *= not self.given.weights
            chosen = zip(self.given.groups, each, strict=True)
            each = [0 if given else size for given, size in chosen]
        return weights + sum(each)


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
    """θ → (θ⁺, ℓ(θ)) for values (d, n) with weights, and labels that are known.

    Values are an array, or what gives one for some of the rows: ``values[:, rows]``.
    """

    product: Product
    values: Any
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
        total = 0.0
        for start, stop in self._cuts():
            rows = slice(start, stop)
            seen = self.weight[rows] > 0
            base = self.product.base(self.values[:, rows][:, seen])
            total += float(base @ self.weight[rows][seen])
        return total

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
        in_memory = isinstance(self.values, np.ndarray)
        if not in_memory or self.product.n_rows * self.n_samples > KEPT_VALUES:
            return None
        return list(self.workers.map(lambda cut, _: self.block(cut), self._cuts()))

    def evaluate(self, point: Point) -> Evaluation:
        """Fold one pass over the data at a point."""
        point = self.product.restored(point)
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
                log_norm, resp = self.product.responsibilities(
                    point, found, self.block(cut)
                )
            here = slice(*cut)
            yield here, log_norm + self.product.base(self.values[:, here]), resp


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
