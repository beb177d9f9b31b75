"""The EM map of a table: columns that are independent given the component.

The rows of all linear families stand in one array F, so that a block costs two matrix
products and one softmax: L = Θ F, S = R Fᵀ. Families that are not linear add their
logits before the softmax, and take their sums after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skem.core.blocks.threads import Workspace
from skem.core.gaussian.parameters import TINY
from skem.core.gaussian.products import sum_over_columns, times_block
from skem.core.passes.forms import FAR, FAR_PER_FEATURE
from skem.core.passes.softmax import exponentials
from skem.families.categories import Batch, CategoricalModel
from skem.families.far import compared
from skem.families.gaussian_model import GaussianModel
from skem.families.lookup import Codes, Lookups, lookups_of, sliced
from skem.families.model import Laws, Model, Running, Seen
from skem.families.point import Given, Point, Sums


class Rows(NamedTuple):
    """Features of a block of samples: F, those of other families, labels, weights.

    `codes` are places in the tables of columns of categories, which are looked up.
    """

    linear: np.ndarray
    own: list[np.ndarray | None]
    codes: Codes | None
    known: np.ndarray | None
    weight: np.ndarray

    def pieces(self, size: int) -> Iterator[Rows]:
        """Cut into about as many samples each."""
        n = self.linear.shape[1]
        if n <= size:
            yield self
            return
        count = -(-n // size)
        for i in range(count):
            yield self.part(slice(i * n // count, (i + 1) * n // count))

    def part(self, rows: slice | np.ndarray) -> Rows:
        """Those of some samples."""
        return Rows(
            self.linear[:, rows],
            [None if own is None else own[:, rows] for own in self.own],
            None if self.codes is None else self.codes.part(rows),
            None if self.known is None else self.known[rows],
            self.weight[rows],
        )


class Coefficients(NamedTuple):
    """Θ of the linear families, with log-weights; and whose logits are their own.

    `tables` are products of proportions, where there is nothing but lookups.
    """

    theta: np.ndarray
    own: list[bool]
    tables: np.ndarray | None


@dataclass(frozen=True)
class Product:
    """Models of groups of columns: `places` are the columns of each."""

    models: tuple[Model, ...]
    places: tuple[np.ndarray, ...]
    lookups: Lookups | None = None
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
        seen = replace(self, models=models, lookups=None)
        lookups = lookups_of(models, self.places, seen.slices, values)
        return replace(seen, lookups=lookups)

    @cached_property
    def batched(self) -> list[int]:
        """Places of the models of categories."""
        found = enumerate(self.models)
        return [j for j, model in found if isinstance(model, CategoricalModel)]

    @cached_property
    def batch(self) -> Batch | None:
        """All columns of categories at once."""
        models = [self.models[j] for j in self.batched]
        kept = tuple(m for m in models if isinstance(m, CategoricalModel))
        return Batch(kept) if kept else None

    @cached_property
    def batch_rows(self) -> slice | np.ndarray:
        """Their rows of Θᵀ."""
        rows = np.arange(self.n_linear)
        parts = [rows[self.slices[j]] for j in self.batched]
        return sliced(np.concatenate(parts) if parts else rows[:0])

    def of_batch(self, point: Point) -> list[Laws]:
        """Laws of the columns of categories."""
        return [point.laws[j] for j in self.batched]

    @cached_property
    def single(self) -> list[int]:
        """Places of the other models."""
        return [j for j in range(len(self.models)) if j not in set(self.batched)]

    @property
    def apart(self) -> bool:
        """Whether each component is estimated by itself, so that mixtures stack."""
        return self.given is None and all(model.apart for model in self.models)

    @cached_property
    def n_temporary(self) -> int:
        """Arrays as large as those of probabilities that a pass makes at a time."""
        return max(model.n_temporary for model in self.models)

    @cached_property
    def dense(self) -> np.ndarray:
        """Rows of Θᵀ that F has, all but those of what is looked up."""
        kept = np.ones(self.n_linear, dtype=bool)
        kept[self.batch_rows] = self.lookups is None
        return np.flatnonzero(kept)

    def as_points(self) -> Product:
        """Return the models that take values that rows share for points."""
        models = tuple(model.as_points() for model in self.models)
        if all(a is b for a, b in zip(models, self.models, strict=True)):
            return self
        return replace(self, models=models)

    def with_widths_of(self, other: Product) -> Product:
        """Return the models that give shared values the widths that others found."""
        pairs = zip(self.models, other.models, strict=True)
        return replace(self, models=tuple(a.with_widths_of(b) for a, b in pairs))

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
        looked_up = 0 if self.lookups is None else len(self.lookups.each)
        return len(self.dense) + others + looked_up

    def rows(
        self, values: np.ndarray, known: np.ndarray | None, weight: np.ndarray
    ) -> Rows:
        """Features of a block of values (d, b)."""
        linear = np.empty((len(self.dense), values.shape[1]))
        linear[0] = 1
        looked_up = self.batched if self.lookups is not None else []
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
        codes = None
        if self.lookups is not None:
            codes = self.lookups.codes(values, known, weight)
        return Rows(linear, own, codes, known, weight)

    def base(self, values: np.ndarray) -> np.ndarray:
        """Return what of log-densities does not depend on parameters, (b,)."""
        pairs = zip(self.models, self.places, strict=True)
        none = np.zeros(values.shape[1])
        return sum((model.base(values[place]) for model, place in pairs), none)

    @cached_property
    def gaussian(self) -> dict[int, GaussianModel]:
        """The models of Gaussian columns, by their places."""
        found = enumerate(self.models)
        return {j: model for j, model in found if isinstance(model, GaussianModel)}

    @cached_property
    def _far(self) -> float:
        """Nats from which on the logits of Gaussian columns have lost digits."""
        d = sum(model.d for model in self.gaussian.values())
        return max(FAR[np.dtype(float)], FAR_PER_FEATURE * d)

    def coefficients(self, point: Point, *, gaussian: bool = True) -> Coefficients:
        """Return what a pass at a point multiplies rows by.

        Or that of all columns but Gaussian ones.
        """
        theta = np.zeros((len(point.weights), self.n_linear))
        theta[:, 0] = point.log_weights
        own = [False] * len(self.models)
        if self.batch is not None:
            proportions = self.batch.shares(self.of_batch(point))
            theta[:, self.batch_rows] = np.log(proportions)
        for j in self.single:
            if j in self.gaussian and not gaussian:
                continue
            model, part = self.models[j], self.slices[j]
            found = model.coefficients(point.laws[j]) if part is not None else None
            own[j] = found is None
            if found is not None:
                theta[:, part] = found[0]
                theta[:, 0] += found[1]
        tables = None
        if self.lookups is not None and len(self.dense) == 1 and not any(own):
            shares = np.empty_like(theta)
            shares[:, self.batch_rows] = proportions
            weights = np.maximum(point.weights, TINY)
            tables = self.lookups.products(weights, shares)
        return Coefficients(theta, own, tables)

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
        if len(self.dense) == 1:
            logits[:] = theta[:, :1]
        else:
            times_block(np.ascontiguousarray(theta[:, self.dense]), rows.linear, logits)
        if self.lookups is not None and rows.codes is not None:
            table = self.lookups.logarithms(theta)
            for place in rows.codes.places.T:
                logits += table.take(place, axis=1, mode="clip")
        for j, own in enumerate(found.own):
            if own:
                logits += self.models[j].logits(point.laws[j], self._rows_of(rows, j))
        if rows.known is not None:
            K = len(logits) // (point.stack or (1,))[0]
            others = rows.known != (np.arange(len(logits)) % K)[:, None]
            logits[others & (rows.known >= 0)] = -np.inf
        return logits

    def folded(self, point: Point, found: Coefficients, rows: Rows) -> Sums:
        """Take the E-step of a block."""
        if found.tables is not None and rows.codes is not None:
            shape = self._mixtures(point)
            folded = rows.codes.folded(found.tables, shape)
            if folded is not None:
                loglik, counts = folded
                sums = np.zeros((len(point.weights), self.n_linear))
                rows.codes.lookups.put(counts, sums)
                own: list[np.ndarray | None] = [None] * len(self.models)
                return Sums(loglik if point.stack else loglik[0], sums, own)
        log_norm, resp = self.responsibilities(point, found, rows)
        loglik = log_norm @ rows.weight
        resp *= rows.weight
        return self.totals(point, found, rows, resp, loglik)

    def responsibilities(
        self, point: Point, found: Coefficients, rows: Rows
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-densities less the base, (…, b), and posterior probabilities, (K, b).

        Of a stack each mixture has log-densities of its own.
        """
        single = not point.stack
        if found.tables is not None and rows.codes is not None and single:
            shape = self._mixtures(point)
            looked_up = rows.codes.joint(found.tables, shape)
            if looked_up is not None:
                joint, total = looked_up
                return np.log(total[:, 0]), np.divide(joint.T, total[:, 0], order="C")
        logits = self.logits(point, found, rows)
        shaped = logits.reshape(*point.stack, -1, logits.shape[1])
        top = shaped.max(axis=-2)
        far = self._far_rows(point, rows, logits, top)
        if not len(far):
            return softmax(shaped, top), logits
        careful = self._careful(point, rows.part(far), shaped.shape[:-1])
        shaped[..., far], top[..., far] = 0, 0
        log_norm = softmax(shaped, top)
        log_norm[..., far], shaped[..., far] = careful
        return log_norm, logits

    def _far_rows(
        self, point: Point, rows: Rows, logits: np.ndarray, top: np.ndarray
    ) -> np.ndarray:
        """Return the samples that are far from all components, by Gaussian columns."""
        if not self.gaussian:
            return np.empty(0, dtype=np.intp)
        lost = ~(np.abs(top) < self._far)
        found = np.flatnonzero(lost.reshape(-1, lost.shape[-1]).any(axis=0))
        if not len(found) or len(self.gaussian) == len(self.models):
            return found
        # It may be other columns that have large logits, as those of counts.
        others = self._others(point, rows.part(found))
        with np.errstate(invalid="ignore"):
            own = np.where(others > -np.inf, logits[:, found] - others, -np.inf)
        own = own.reshape(*point.stack, -1, len(found)).max(axis=-2)
        lost = ~(np.abs(own) < self._far)
        return found[lost.reshape(-1, len(found)).any(axis=0)]

    def _others(self, point: Point, rows: Rows) -> np.ndarray:
        """Logits of all columns but Gaussian ones, (K, b)."""
        return self.logits(point, self.coefficients(point, gaussian=False), rows)

    def _careful(
        self, point: Point, rows: Rows, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate samples at any distance."""
        groups = [
            model.expansion(point.laws[j], self._rows_of(rows, j))
            for j, model in self.gaussian.items()
        ]
        others = self._others(point, rows)
        return compared(groups, others.reshape(*shape, -1))

    @staticmethod
    def _mixtures(point: Point) -> tuple[int, int]:
        """How many mixtures there are, and of how many components each."""
        M = point.stack[0] if point.stack else 1
        return M, len(point.weights) // M

    def totals(
        self,
        point: Point,
        found: Coefficients,
        rows: Rows,
        resp: np.ndarray,
        loglik: float | np.ndarray = 0.0,
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
        if rows.codes is None:
            return sum_over_columns(resp, rows.linear)
        sums = np.zeros((len(resp), self.n_linear))
        sums[:, self.dense] = sum_over_columns(resp, rows.linear)
        rows.codes.add(resp, sums)
        return sums

    def started(self, rows: Rows, resp: np.ndarray) -> Point:
        """M-step of labelled rows, for (weighted) responsibilities (K, n)."""
        counts = resp.sum(axis=1)
        laws = self._batch_laws(self._linear_sums(rows, resp))
        for j in self.single:
            laws[j] = self.models[j].start(self._rows_of(rows, j), resp)
        return Point(counts / counts.sum(), tuple(laws))

    def _batch_laws(self, linear: np.ndarray) -> list[Laws]:
        """Laws of the columns of categories, each in its place."""
        laws: list[Laws] = [{}] * len(self.models)
        if self.batch is not None:
            found = self.batch.maximise(linear[:, self.batch_rows])
            for j, law in zip(self.batched, found, strict=True):
                laws[j] = law
        return laws

    def maximise(self, sums: Sums, previous: Point) -> Point:
        """M-step."""
        counts = np.maximum(sums.linear[:, 0], 0.0)
        laws = self._batch_laws(sums.linear)
        for j in self.single:
            laws[j] = self.models[j].maximise(
                self._seen(sums, j, counts), previous.laws[j]
            )
        each = counts.reshape(*previous.stack, -1)
        weights = each / each.sum(axis=-1, keepdims=True)
        return self.restored(Point(weights.ravel(), tuple(laws), previous.stack))

    def running(self, sums: Sums, point: Point) -> list[Running]:
        """Return the sums of a pass, to be added to those at other points."""
        counts = sums.linear[:, 0]
        return [
            counts,
            *(
                model.running(self._seen(sums, j, counts), point.laws[j])
                for j, model in enumerate(self.models)
            ),
        ]

    def _seen(self, sums: Sums, j: int, counts: np.ndarray) -> Seen:
        """Return what a pass has added up for one of the models."""
        own = sums.own[j]
        if own is not None:
            return Seen(own, counts, own=True)
        return Seen(sums.linear[:, self.slices[j]], counts)

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

    def penalties(self, point: Point) -> np.ndarray:
        """Return what the objective of each mixture is below the log-likelihood."""
        M, _ = self._mixtures(point)
        found = np.zeros(M)
        if self.batch is not None:
            found += self.batch.penalties(self.of_batch(point), M)
        if self.single:
            found += [
                sum(self.models[j].penalty(each.laws[j]) for j in self.single)
                for each in point.mixtures
            ]
        return found

    def scaled(self, share: float) -> Product:
        """Return the models with so much of the penalty."""
        return replace(self, models=tuple(m.scaled(share) for m in self.models))

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Rows for k-means, (n, p)."""
        pairs = zip(self.models, self.places, strict=True)
        return np.vstack([model.embed(values[place]) for model, place in pairs]).T

    def without_empty(self, point: Point) -> Point:
        """Return a point whose components without weight are like the heaviest one.

        As logarithms of weights are finite, they would have all rows far enough.
        """
        empty = point.weights == 0
        if not empty.any() or empty.all():
            return point
        order = np.where(empty, point.weights.argmax(), np.arange(len(empty)))
        return Point(point.weights, self.ordered(point, order).laws)

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


def softmax(logits: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Turn logits (…, K, b) into probabilities, in place; return log-norms (…, b).

    Those are at most `top` for each sample, which is overwritten.
    """
    top[~np.isfinite(top)] = 0.0
    logits -= top[..., None, :]
    exponentials(logits, Workspace())
    total = np.maximum(logits.sum(axis=-2), TINY)
    logits /= total[..., None, :]
    return np.log(total) + top
