"""A column that has seen the data: of any family, and of an exponential one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skem.core.blocks.arrays import ArrayBlocks
from skem.core.blocks.threads import Workers
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import SHAPES
from skem.core.mixture.bulk import bounds_of
from skem.core.mixture.scale import coordinates_with_widths
from skem.families.model import (
    SMALLEST_COUNT,
    Bounds,
    Laws,
    Look,
    Model,
    Running,
    Seen,
)

if TYPE_CHECKING:
    from skem.families.family import Family


def observed(look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Values of a column that are there, with weights, in rows of positive weight."""
    x = look.values[0]
    kept = ~np.isnan(x) & (look.weight > 0)
    return x[kept], look.weight[kept]


def typical(weight: np.ndarray, *scales: np.ndarray) -> np.ndarray:
    """Mask of values (n,) that are no outliers on any of some scales.

    Of all, if most of the weight is on outliers. What components are drawn to should be
    of the others: one value far from them would decide it.
    """
    values = np.stack(scales, axis=1)
    low, high = bounds_of(values, weight)
    kept = ((values >= low) & (values <= high)).all(axis=1)
    return kept | (2 * weight[kept].sum() < weight.sum())


def mean_and_spread(x: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the mean and the standard deviation, one if there is none."""
    mean = float(np.average(x, weights=weight))
    return mean, float(np.sqrt(np.average((x - mean) ** 2, weights=weight))) or 1.0


def widths_of(look: Look) -> Coordinates | None:
    """Return coordinates that know the widths of values that rows share, if any do."""
    X = np.ascontiguousarray(look.values.T)
    missing = np.isnan(X)
    weight = np.where(missing[:, 0], 0.0, look.weight)
    blocks = ArrayBlocks(X, weight, Workers(), np.dtype(float), bool(missing.any()))
    found = coordinates_with_widths(blocks, SHAPES["diag"])
    return None if found.ties is None else found


def widths_at(coordinates: Coordinates, values: np.ndarray) -> np.ndarray:
    """Return the roots of w²/12 of values (b,), zero where they are not shared."""
    found = coordinates.squares(values[None])
    assert found is not None
    return np.broadcast_to(
        np.sqrt(found) / coordinates.slope[:, None], (1, len(values))
    )[0]


class OneColumn(Model):
    """A column of a family that has free coordinates of each component.

    The family says what they are by `to_free`, `from_free` and `information`, as a
    :class:`~skem.Family`; and has `embed`, `draw` and `expected`, unless the model does
    what these are for.
    """

    family: Any
    epsilon: float
    place: tuple[float, float]

    @property
    def bounds(self) -> Bounds | None:
        """That of the family."""
        found: Bounds | None = self.family.bounds
        return found

    def moved(self, laws: Laws, bound: float) -> Laws:
        """As the family has it."""
        found: Laws = self.family.moved(laws, bound)
        return found

    def _scale(self, base: Laws, counts: np.ndarray) -> np.ndarray:
        information = self.family.information(base)
        return np.sqrt(
            np.maximum(counts, SMALLEST_COUNT)[:, None] * np.maximum(information, 1e-12)
        )

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """√(n I) (φ − φ⁰)."""
        moved = self.family.to_free(laws) - self.family.to_free(base)
        return (self._scale(base, counts) * moved).ravel()

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""
        scale = self._scale(base, counts)
        moved = vector.reshape(scale.shape) / scale
        return self.family.from_free(self.family.to_free(base) + moved)

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Largest change of a free coordinate, in roots of its information or as is."""
        scale = self._scale(base, counts)
        size = np.abs(vector.reshape(scale.shape)) / scale
        information = np.sqrt(self.family.information(base))
        return float(np.max(size * np.minimum(information, 1.0), initial=0.0))

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Values on the family's scale, standardised, at the mean where missing."""
        x = values[0]
        mean, spread = self.place
        found = np.zeros((1, len(x)))
        kept = ~np.isnan(x)
        found[0, kept] = (self.family.embed(x[kept]) - mean) / spread
        return found

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from the family."""
        return np.asarray(self.family.draw(laws, k, n, rng), float)[None]

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete by Σ r E_k x."""
        mean = self.family.expected(laws) @ resp
        return np.where(np.isnan(values), mean, values)

    def n_free(self, n_components: int) -> int:
        """K q."""
        return n_components * self.least_points

    def scaled(self, share: float) -> Any:
        """Return the model with so much of the penalty."""
        own: Any = self
        return replace(own, epsilon=self.epsilon * share)


@dataclass(frozen=True)
class ColumnModel(OneColumn):
    """A column of an exponential family: rows [mask, T], S = R [mask, T]ᵀ.

    `pooled` is the mean statistic of all the data, which each component has `epsilon`
    pseudo-observations of; `place` the mean and the deviation of what k-means sees.
    `widths` know those of values that rows share, of families that look at them.
    """

    family: Family
    pooled: np.ndarray
    epsilon: float
    place: tuple[float, float]
    widths: Coordinates | None = None

    def as_points(self) -> Self:
        """Return the model that takes values that rows share for points."""
        return self if self.widths is None else replace(self, widths=None)

    def with_widths_of(self, other: Any) -> Self:
        """Return the model that gives shared values the widths that `other` found."""
        return replace(self, widths=other.widths)

    @property
    def n_rows(self) -> int:
        """The mask and T."""
        return 1 + len(self.pooled)

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, mask · T]."""
        x = values[0]
        missing = np.isnan(x)
        rows = np.empty((self.n_rows, len(x)))
        rows[0] = ~missing
        if missing.any():
            rows[1:] = 0
            rows[1:, ~missing] = self.family.statistics(x[~missing])
        else:
            rows[1:] = self.family.statistics(x)
        return rows

    def base(self, values: np.ndarray) -> np.ndarray:
        """h(x), zero where x is missing."""
        x = values[0]
        found = np.zeros(len(x))
        kept = ~np.isnan(x)
        found[kept] = self.family.log_base(x[kept])
        return found

    def _theta(self, laws: Laws) -> np.ndarray:
        """Return [−A, η] of all components."""
        natural, norm = self.family.natural(laws)
        return np.column_stack([-norm, natural])

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Return [−A, η]."""
        theta = self._theta(laws)
        return theta, np.zeros(len(theta))

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """η·T − A."""
        return self._theta(laws) @ rows

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """(Σ r T + ε T̄) / (n + ε)."""
        sums = seen.sums
        total = sums[:, 0] + self.epsilon
        safe = np.where(total > 0, total, 1.0)[:, None]
        means = (sums[:, 1:] + self.epsilon * self.pooled) / safe
        # Without a sample and without a penalty, as all the data are.
        return self.family.estimate(np.where(total[:, None] > 0, means, self.pooled))

    def renewed(self, running: Running, share: float) -> ColumnModel:
        """Return the model with the mean statistic of all that a stream has shown."""
        n, *total = running.sum(axis=0)
        pooled = np.array(total) / n if n > 0 else self.pooled
        return replace(self.scaled(share), pooled=pooled)

    def penalty(self, laws: Laws) -> float:
        """−ε Σ_k (η_k·T̄ − A_k), less what it is for the pooled law."""
        if self.epsilon == 0:
            return 0.0
        whole = self.family.estimate(self.pooled[None])
        value = [
            natural @ self.pooled - norm
            for natural, norm in map(self.family.natural, (laws, whole))
        ]
        return float(self.epsilon * (value[1] - value[0]).sum())

    @property
    def least_points(self) -> int:
        """q: as many as there are free coordinates."""
        whole = self.family.estimate(self.pooled[None])
        return self.family.to_free(whole).shape[1]
