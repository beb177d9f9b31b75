"""Categories: a table of proportions for each component."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skem.families.family import (
    SMALLEST_COUNT,
    Kind,
    Laws,
    Look,
    Model,
    Running,
    Seen,
)

SMALLEST = 1e-300
"""Proportions are at least this, so that their logarithms are numbers."""
INFORMED = 1e-8
"""Proportions at least, by the scale of coordinates."""


class Categorical(Kind):
    """Categories with proportions p: T is one-hot, η = log p, A = 0."""

    name = "categorical"
    categorical = True
    discrete = True

    def look(self, look: Look) -> Model:
        """Return the model: ε pseudo-observations at the overall proportions."""
        x = look.values[0]
        kept = ~np.isnan(x)
        counts = np.bincount(x[kept].astype(int), look.weight[kept], look.n_categories)
        return CategoricalModel(self, counts / counts.sum(), look.epsilon)

    def estimate(self, means: np.ndarray) -> Laws:
        """Proportions are the means."""
        return {"proportions": np.maximum(means, SMALLEST)}

    def from_free(self, free: np.ndarray) -> Laws:
        """Softmax."""
        shares = np.exp(free - free.max(axis=1, keepdims=True))
        return self.estimate(shares / shares.sum(axis=1, keepdims=True))

    def information(self, laws: Laws) -> np.ndarray:
        """p, under the constraint."""
        return np.maximum(laws["proportions"], INFORMED)

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
    """Two categories; a column of numbers has the values 0 and 1."""

    name = "bernoulli"

    def outward(self, laws: Laws) -> Laws:
        """Return the probability of the second category."""
        return {"probability": laws["proportions"][:, 1]}


@dataclass(frozen=True)
class CategoricalModel(Seen):
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

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Return the counts of categories."""
        return resp @ rows.T

    def maximise(
        self,
        sums: np.ndarray,
        counts: np.ndarray,
        previous: Laws | None,
        own: bool = False,
    ) -> Laws:
        """(n_c + ε p̄_c) / (n + ε)."""
        raised = sums + self.epsilon * self.pooled
        total = raised.sum(axis=1, keepdims=True)
        shares = raised / np.where(total > 0, total, 1.0)
        return self.family.estimate(np.where(total > 0, shares, self.pooled))

    def renewed(self, running: Running, share: float) -> CategoricalModel:
        """Return the model with the proportions of all that a stream has shown."""
        total = running.sum(axis=0)
        n = total.sum()
        return replace(self.scaled(share), pooled=total / n if n > 0 else self.pooled)

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """M-step of labels."""
        return self.maximise(resp @ rows.T, resp.sum(axis=1), None)

    def penalty(self, laws: Laws) -> float:
        """ε Σ_k KL(p̄ ‖ p_k)."""
        seen = self.pooled > 0
        gap = np.log(self.pooled[seen]) - np.log(laws["proportions"][:, seen])
        return float(self.epsilon * (gap @ self.pooled[seen]).sum())

    def _scale(self, base: Laws, counts: np.ndarray) -> np.ndarray:
        counts = np.maximum(counts, SMALLEST_COUNT)[:, None]
        return np.sqrt(counts * self.family.information(base))

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """√(n p⁰) (log p − log p⁰), less its mean under p⁰."""
        moved = np.log(laws["proportions"]) - np.log(base["proportions"])
        moved -= (base["proportions"] * moved).sum(axis=1, keepdims=True)
        return (self._scale(base, counts) * moved).ravel()

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        scale = self._scale(base, counts)
        moved = vector.reshape(scale.shape) / scale
        return self.family.from_free(np.log(base["proportions"]) + moved)

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Largest change of a logarithm, less for rare categories."""
        root = np.sqrt(np.maximum(counts, SMALLEST_COUNT))[:, None]
        return float(np.max(np.abs(vector.reshape(len(root), -1)) / root))

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

    def n_free(self, n_components: int) -> int:
        """K (C − 1)."""
        return n_components * (len(self.pooled) - 1)

    def outward(self, laws: Laws) -> Laws:
        """Return the proportions, or the probability of the second category."""
        return self.family.outward(laws)

    def scaled(self, share: float) -> CategoricalModel:
        """Return the model with so much of the penalty."""
        return replace(self, epsilon=self.epsilon * share)
