"""Categories: a table of proportions for each component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from skem.families.family import Kind
from skem.families.model import (
    SMALLEST_COUNT,
    Laws,
    Look,
    Model,
    Running,
    Seen,
    about_zero,
)

SMALLEST = 1e-300
"""Proportions are at least this, so that their logarithms are numbers."""
INFORMED = 1e-8
"""Proportions at least, by the scale of coordinates."""


class Categorical(Kind):
    """Categories with proportions p: T is one-hot, η = log p, A = 0."""

    name = "categorical"
    probabilities = ("proportions",)
    categorical = True
    discrete = True

    def look(self, look: Look) -> Model:
        """Return the model: ε pseudo-observations at the overall proportions."""
        x = look.values[0]
        kept = ~np.isnan(x)
        counts = np.bincount(x[kept].astype(int), look.weight[kept], look.n_categories)
        return CategoricalModel(self, counts / counts.sum(), look.epsilon)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw codes."""
        proportions = laws["proportions"][k]
        return rng.choice(len(proportions), n, p=proportions / proportions.sum())

    def outward(self, laws: Laws) -> Laws:
        """Return what users see."""
        return dict(laws)


class Ordinal(Categorical):
    """Ordered categories, with proportions of their own each, as `Categorical`."""

    name = "ordinal"


class Bernoulli(Categorical):
    """Two categories; a column of numbers has the values 0 and 1.

    If rows have one category alone, there is one, until a stream shows the other.
    """

    name = "bernoulli"
    probabilities = ("probability",)

    def outward(self, laws: Laws) -> Laws:
        """Return the probability of the last category, the second if there are two."""
        return {"probability": laws["proportions"][:, -1]}


@dataclass(frozen=True)
class CategoricalModel(Model):
    """A column of categories: rows are one-hot, zero where a cell is missing."""

    family: Categorical
    pooled: np.ndarray
    epsilon: float

    @property
    def n_rows(self) -> int:
        """One for each category."""
        return len(self.pooled)

    def rows(self, values: np.ndarray) -> np.ndarray:
        """One-hot rows."""
        return (values == np.arange(self.n_rows)[:, None]).astype(float)

    def base(self, values: np.ndarray) -> np.ndarray:
        """Return zero."""
        return np.zeros(values.shape[1])

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """Log p."""
        natural = np.log(laws["proportions"])
        return natural, np.zeros(len(natural))

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """Log p of the category."""
        return np.log(laws["proportions"]) @ rows

    @cached_property
    def alone(self) -> Batch:
        """The column as a batch of one."""
        return Batch((self,))

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """(n_c + ε p̄_c) / (n + ε)."""
        return next(self.alone.maximise(seen.sums))

    def renewed(self, running: Running, share: float) -> CategoricalModel:
        """Return the model with the proportions of all that a stream has shown."""
        total = running.sum(axis=0)
        n = total.sum()
        return replace(self.scaled(share), pooled=total / n if n > 0 else self.pooled)

    def penalty(self, laws: Laws) -> float:
        """ε Σ_k KL(p̄ ‖ p_k)."""
        return float(self.alone.penalties([laws])[0])

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """√(n p⁰) (log p − log p⁰), less its mean under p⁰."""
        return self.alone.chart([base], counts).pack([laws])

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        return next(self.alone.chart([base], counts).unpack(vector))

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Largest change of a logarithm, less for rare categories."""
        return self.alone.chart([base], counts).far(vector)

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Proportions of about zero."""
        free = self.epsilon * self.pooled == 0
        return free & about_zero(laws["proportions"], counts)

    def embed(self, values: np.ndarray) -> np.ndarray:
        """One-hot rows about the overall proportions, of total variance one."""
        rows = self.rows(values) - np.where(np.isnan(values), 0.0, self.pooled[:, None])
        spread = 1 - float(self.pooled @ self.pooled)
        return rows / np.sqrt(spread) if spread > 0 else rows

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw codes."""
        return self.family.draw(laws, k, n, rng)[None].astype(float)

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete by the likeliest category of the mixture."""
        likeliest = (laws["proportions"].T @ resp).argmax(axis=0)
        return np.where(np.isnan(values), likeliest, values)

    def with_another(self) -> CategoricalModel:
        """Return the model with one category more, which no row has had."""
        return replace(self, pooled=np.append(self.pooled, 0.0))

    def n_free(self, n_components: int) -> int:
        """K (C − 1)."""
        return n_components * (len(self.pooled) - 1)

    def outward(self, laws: Laws) -> Laws:
        """Return the proportions, or the probability of the last category."""
        return self.family.outward(laws)

    def scaled(self, share: float) -> CategoricalModel:
        """Return the model with so much of the penalty."""
        return replace(self, epsilon=self.epsilon * share)


@dataclass(frozen=True)
class Batch:
    """Columns of categories, their proportions side by side: (K, C) of all C.

    A step of many columns takes a handful of calls, as one of one column does.
    """

    models: tuple[CategoricalModel, ...]

    @cached_property
    def _edges(self) -> np.ndarray:
        """Where the categories of each column begin, and the end."""
        return np.cumsum([0] + [model.n_rows for model in self.models])

    @cached_property
    def _column(self) -> np.ndarray:
        """Column of each category."""
        return np.repeat(np.arange(len(self.models)), np.diff(self._edges))

    @cached_property
    def _pooled(self) -> np.ndarray:
        return np.concatenate([model.pooled for model in self.models])

    @cached_property
    def _prior(self) -> np.ndarray:
        """ε p̄ of each category."""
        return np.concatenate([model.epsilon * model.pooled for model in self.models])

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return, beside each category, the sum over those of its column."""
        sums = np.add.reduceat(values, self._edges[:-1], axis=1)
        return sums.take(self._column, axis=1)

    def tops(self, values: np.ndarray) -> np.ndarray:
        """Return, beside each category, the largest one of its column."""
        tops = np.maximum.reduceat(values, self._edges[:-1], axis=1)
        return tops.take(self._column, axis=1)

    @staticmethod
    def shares(laws: Sequence[Laws]) -> np.ndarray:
        """Proportions side by side, (K, C)."""
        return np.concatenate([law["proportions"] for law in laws], axis=1)

    def laws(self, shares: np.ndarray) -> Iterator[Laws]:
        """Laws of each column, with proportions off zero."""
        shares = np.maximum(shares, SMALLEST)
        for start, stop in pairwise(self._edges.tolist()):
            yield {"proportions": shares[:, start:stop]}

    def maximise(self, sums: np.ndarray) -> Iterator[Laws]:
        """(n_c + ε p̄_c) / (n + ε)."""
        raised = sums + self._prior
        total = self.totals(raised)
        safe = np.where(total > 0, total, 1.0)
        return self.laws(np.where(total > 0, raised / safe, self._pooled))

    def penalties(self, laws: Sequence[Laws], n_mixtures: int = 1) -> np.ndarray:
        """ε Σ_k KL(p̄ ‖ p_k) of all columns, of each mixture of a stack."""
        seen = self._prior > 0
        gap = np.log(self._pooled[seen]) - np.log(self.shares(laws)[:, seen])
        return (gap @ self._prior[seen]).reshape(n_mixtures, -1).sum(axis=1)

    def chart(self, base: Sequence[Laws], counts: np.ndarray) -> BatchChart:
        """Return coordinates about laws, of components with so many rows."""
        rows = np.maximum(counts, SMALLEST_COUNT)[:, None]
        return BatchChart(self, self.shares(base), np.sqrt(rows))


@dataclass(frozen=True)
class BatchChart:
    """Coordinates √(n p⁰) (log p − log p⁰), less its mean under p⁰ in each column."""

    batch: Batch
    origin: np.ndarray
    root: np.ndarray

    @cached_property
    def scale(self) -> np.ndarray:
        """√(n p⁰) of each category, (K, C)."""
        return self.root * np.sqrt(np.maximum(self.origin, INFORMED))

    @cached_property
    def _logs(self) -> np.ndarray:
        return np.log(self.origin)

    def pack(self, laws: Sequence[Laws]) -> np.ndarray:
        """Laws -> vector."""
        moved = np.log(self.batch.shares(laws)) - self._logs
        moved -= self.batch.totals(self.origin * moved)
        moved *= self.scale
        return moved.ravel()

    def unpack(self, vector: np.ndarray) -> Iterator[Laws]:
        """Undo `pack`."""
        free = vector.reshape(self.scale.shape) / self.scale
        free += self._logs
        free -= self.batch.tops(free)
        shares = np.exp(free)
        return self.batch.laws(shares / self.batch.totals(shares))

    def far(self, vector: np.ndarray) -> float:
        """Largest change of a logarithm, less for rare categories."""
        sizes = np.abs(vector).reshape(len(self.root), -1).max(axis=1, initial=0.0)
        return float((sizes / self.root[:, 0]).max())
