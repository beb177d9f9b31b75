"""Stepwise EM: statistics that follow a stream of batches, in constant memory.

Cappé & Moulines (2009): after each batch the running statistics move towards those of
the batch, s ← (1 − γ) s + γ ŝ(batch; θ), and the M-step turns them into θ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import boxcox

from skem.core.blocks.arrays import ArrayBlocks, Blocks
from skem.core.gaussian.coordinates import Coordinates
from skem.core.gaussian.covariance import Structure
from skem.core.gaussian.fixed import Fixed
from skem.core.gaussian.parameters import Parameters
from skem.core.gaussian.regularization import Regularization
from skem.core.gaussian.statistics import Statistics
from skem.core.incomplete.patterns import distinct_rows
from skem.core.mixture.em import EMMap, Evaluation
from skem.core.mixture.expectation import total_statistics
from skem.core.mixture.late import with_late_widths
from skem.core.mixture.noise import Background
from skem.core.mixture.scale import one_component, unit_component

FARTHEST: dict[Any, float] = {np.dtype(np.float64): 1e100, np.dtype(np.float32): 1e15}
"""Standard deviations from the start beyond which a value counts as being there:
squares of more would leave the floating-point range."""
START_ROWS_PER_COMPONENT = 150
"""Rows that a start is made from if batches are smaller. The optimum of a third as many
is often one that a stream does not leave again."""
ROWS_COMPARED = 2**12
"""Rows that are compared at once, in search of distinct ones."""
LARGEST_WEIGHT = 1e300
"""Weight in units of the start's beyond which sums would leave the range."""


class Forgetting(NamedTuple):
    """How fast what a stream has shown loses weight.

    With u the weight seen so far in units of the start's, statistics decay at the rate
    λ(u) = u^(−decay), and with a `window` W of the same units never slower than 1/W.
    For batches of the start's size the step γ is then t^(−decay), t the number of
    batches; a batch that is cut in two makes two steps that come to the same.
    """

    decay: float
    window: float

    @classmethod
    def of(cls, decay: float, window: float | None, unit: float) -> Forgetting:
        """Return that of a window in other units, or without one."""
        return cls(decay, math.inf if window is None else window / unit)

    def _elapsed(self, start: float, stop: float) -> float:
        """∫ max(λ, 1/W), where the first part is a Box-Cox transform of u."""
        with np.errstate(over="ignore"):
            full = float(np.float64(max(self.window, 1.0)) ** (1 / self.decay))
        first, last = boxcox([min(start, full), min(stop, full)], 1 - self.decay)
        late = max(stop - full, 0.0) - max(start - full, 0.0)
        return float(last - first) + late / self.window

    def step(self, seen: float, batch: float) -> float:
        """γ = 1 − exp(−∫λ): the share of the statistics that a batch replaces."""
        seen, batch = min(seen, LARGEST_WEIGHT), min(batch, LARGEST_WEIGHT)
        return -math.expm1(-self._elapsed(seen, seen + batch))

    def after(
        self, seen: float, size: float, unit: float, batch: float
    ) -> tuple[float, float]:
        """Return γ of a batch of this weight, and the `size` of averages after it."""
        step = self.step(seen / unit, batch / unit)
        return step, 1 / ((1 - step) ** 2 / size + step**2 / batch)


@dataclass(frozen=True)
class Gathering:
    """Rows that are kept until there are enough of them to start from.

    Meanwhile they may be fitted each time that their number has doubled, all of them
    from `start` if that is given. In `incomplete` rows a NaN is a missing value.
    """

    structure: Structure
    n_components: int
    X: np.ndarray
    weight: np.ndarray | None = None
    n_seen: int = 0
    n_fitted: int = 0
    start: Parameters | None = None
    incomplete: bool = False

    def join(
        self, X: np.ndarray, weight: np.ndarray | None, *, incomplete: bool = False
    ) -> Gathering:
        """Add a batch; the first one is not copied."""
        n_seen = self.n_seen + (
            len(X) if weight is None else int(np.count_nonzero(weight))
        )
        if len(self.X):
            if self.weight is not None or weight is not None:
                weight = np.concatenate(
                    [_weights(self.X, self.weight), _weights(X, weight)]
                )
            X = np.concatenate([_floating(self.X), _floating(X)])
        incomplete = incomplete or self.incomplete
        return replace(self, X=X, weight=weight, n_seen=n_seen, incomplete=incomplete)

    @property
    def n_values(self) -> np.ndarray:
        """Number of values of each feature in the observed rows."""
        X = self.X if self.weight is None else self.X[self.weight > 0]
        return np.count_nonzero(~np.isnan(X), axis=0)

    @property
    def is_enough(self) -> bool:
        """Whether there are `START_ROWS_PER_COMPONENT`, and K distinct rows."""
        if self.n_seen < START_ROWS_PER_COMPONENT * self.n_components:
            return False
        return any(len(found) >= self.n_components for found, _ in self._distinct())

    @property
    def is_due(self) -> bool:
        """Whether the rows should be fitted, enough or not."""
        if self.n_seen < max(self.n_components, 2 * self.n_fitted):
            return False
        return not self.incomplete or bool(self.n_values.all())

    def kept(self) -> Gathering:
        """Copy the observed rows; merge equal ones if any number of them might come."""
        if self.n_seen >= START_ROWS_PER_COMPONENT * self.n_components:
            *_, (X, weight) = self._distinct()
            return replace(self, X=X, weight=weight)
        if self.weight is None:
            return replace(self, X=self.X.copy())
        observed = self.weight > 0
        return replace(self, X=self.X[observed], weight=self.weight[observed])

    def spread(self) -> Gathering:
        """Cut rows in parts of equal weight, until there are as many as components."""
        observed = (
            len(self.X) if self.weight is None else int(np.count_nonzero(self.weight))
        )
        copies = -(-self.n_components // observed)
        if copies == 1:
            return self
        weight = _weights(self.X, self.weight)
        return replace(
            self,
            X=np.repeat(self.X, copies, axis=0),
            weight=np.repeat(weight / copies, copies),
        )

    def _distinct(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield distinct observed rows, and their weights, of more and more rows."""
        found, total = self.X[:0], np.array([])
        for start in range(0, len(self.X), ROWS_COMPARED):
            part = slice(start, start + ROWS_COMPARED)
            X = self.X[part]
            weight = _weights(X, None if self.weight is None else self.weight[part])
            observed = weight > 0
            X = np.concatenate([found, X[observed]])
            weight = np.concatenate([total, weight[observed]])
            found, labels = distinct_rows(X)
            total = np.bincount(labels, weight, len(found)).astype(float)
            yield found, total


def _weights(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    return np.ones(len(X)) if weight is None else weight


def _floating(X: np.ndarray) -> np.ndarray:
    """Convert what is not of the precision that it is computed in, as integers are."""
    return X if X.dtype.itemsize >= 4 and X.dtype.kind == "f" else X.astype(float)


@dataclass(frozen=True)
class Stream:
    """A mixture and the statistics that stand for what it has seen.

    - `averages`: running means of the mixture's statistics, about its means; `loglik`
      is that of each batch at the parameters before it
    - `unit`: weight of the start, which the forgetting counts by
    - `seen`: weight of all rows so far
    - `kind`: the map that a step is one of
    - `fixed`: the parts of the mixture that are given
    - `background`: where noise is, if one more component is noise
    - `size`: 1 / Σ ω², with ω the share that each row has in the averages: the
      weight of as many rows as the averages are as precise as
    """

    structure: Structure
    coordinates: Coordinates
    regularization: Regularization
    parameters: Parameters
    averages: Statistics
    unit: float
    seen: float
    size: float
    dtype: np.dtype
    kind: type[EMMap] = EMMap
    farthest: ClassVar[dict[Any, float]] = FARTHEST
    fixed: Fixed | None = None
    background: Background | None = None

    @classmethod
    def begin(cls, evaluation: Evaluation) -> Self:
        """Begin as if what has been fitted had been the stream so far."""
        em, statistics = evaluation.em, evaluation.complete
        N = em.blocks.total_weight
        return cls(
            em.structure,
            em.coordinates,
            em.regularization,
            evaluation.parameters,
            statistics.about(statistics.means) * (1 / N),
            unit=N,
            seen=N,
            size=N,
            dtype=em.blocks.dtype,
            kind=type(em),
            fixed=em.fixed,
            background=em.background,
        )

    @property
    def n_components(self) -> int:
        """K, the number of components."""
        return len(self.parameters.means)

    @property
    def multiplications_per_sample(self) -> int:
        """At least as many as any product of a step with one sample has."""
        K, d = self.parameters.shape
        # That of a covariance with another included.
        return (1 + d + self.structure.quadratic.size(d) + K) * max(K, d)

    def map_of(
        self, batch: Blocks, regularization: Regularization, total: Statistics
    ) -> EMMap:
        """Return the map of a batch."""
        return self.kind(
            batch,
            self.coordinates,
            self.structure,
            regularization,
            total,
            fixed=self.fixed,
            background=self.background,
        )

    def advance(self, batch: ArrayBlocks, forgetting: Forgetting) -> Self:
        """Take one step with a batch.

        Raises `IllDefinedCovarianceError` as the M-step does.
        """
        batch = replace(batch, X=self._bounded(batch))
        before = self.averages.pooled()
        late = with_late_widths(
            self.coordinates, self.averages, before, self.size, batch.X, batch.weight
        )
        if late is not None:
            return self._widened(*late, batch).advance(batch, forgetting)
        weight = batch.total_weight
        step, size = forgetting.after(self.seen, self.size, self.unit, weight)
        gain, kept = step / weight, 1 - step
        whole = None
        if batch.incomplete and before.counts[0] > 0:
            values = before.scatter().values[0] / before.counts[0]
            whole = one_component(self.structure, before.means, values)
        elif batch.incomplete:
            whole = unit_component(self.structure, before.means)
        total = total_statistics(batch, self.coordinates, self.structure, whole)
        seen = _moved(before, total, gain, kept)
        regularization = self._renewed(self.averages, seen, size)
        em = self.map_of(batch, regularization, total)
        found = em.evaluate(self.parameters).complete
        averages = _moved(self.averages, found, gain, kept)
        parameters = em.maximise(averages * size, self.parameters)
        return replace(
            self,
            regularization=em.regularization,
            parameters=parameters,
            averages=self._at(averages, parameters, averages),
            seen=self.seen + weight,
            size=size,
        )

    def _widened(
        self, coordinates: Coordinates, averages: Statistics, batch: ArrayBlocks
    ) -> Self:
        """Return the stream with what averages of wider values lead to."""
        there = replace(self, coordinates=coordinates, averages=averages)
        total = averages.pooled()
        regularization = there._renewed(averages, total, self.size)
        em = there.map_of(batch, regularization, total)
        found = em.maximise(averages * self.size, self.parameters)
        averages = self._at(averages, found, self.averages)
        return replace(
            there, regularization=regularization, parameters=found, averages=averages
        )

    def _at(
        self, averages: Statistics, parameters: Parameters, before: Statistics
    ) -> Statistics:
        """Return averages with a `loglik` as it is kept, after new parameters.

        That of the averages `before` is what there is so far.
        """
        return averages

    def _renewed(
        self, averages: Statistics, total: Statistics, size: float
    ) -> Regularization:
        """Return the regularization for averages that stand for so much weight."""
        within, d = (averages * size).scatter(), averages.n_features
        return self.regularization.renewed(
            self.structure, within, total.scatter(), size, d
        )

    def _bounded(self, batch: ArrayBlocks) -> np.ndarray:
        """Rows with no value farther away than `FARTHEST`."""
        X, coordinates = batch.X, self.coordinates
        unit = 1.0 if coordinates.unit is None else coordinates.unit
        most = float(np.finfo(batch.dtype).max) / 4
        with np.errstate(over="ignore"):
            reach = self.farthest[batch.dtype] / coordinates.scale
            low, high = (
                # Neither x nor x·unit may leave the range.
                np.clip(
                    np.clip(coordinates.shift + sign * reach, -most, most) / unit,
                    -most,
                    most,
                )
                for sign in (-1, 1)
            )
        if X.min() >= low.max() and X.max() <= high.min():
            return X
        return np.clip(X, low, high)


def _moved(
    averages: Statistics, batch: Statistics, gain: float, kept: float
) -> Statistics:
    """Merge `gain` times the batch with `kept` times the averages."""
    return (batch * gain).merged(averages * kept)
