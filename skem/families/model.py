"""What an EM step asks of a family that has seen the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

Laws = dict[str, np.ndarray]
"""Parameters of all K components by name: the first axis is that of components."""
Running = Any
"""Sums that can be added up over passes at different parameters: arrays, mostly."""
LEAST_EXPECTED = 0.05
"""A share or a rate of which a component expects fewer is taken to be zero."""
SMALLEST_COUNT = 1e-6
"""Rows that a component is taken to have, at least, by the scale of coordinates."""


@dataclass(frozen=True)
class Look:
    """What a family may look at: a column or more, (d, n), with NaN for missing."""

    values: np.ndarray
    weight: np.ndarray
    n_components: int
    epsilon: float
    """How many pseudo-observations of the pooled data each component gets."""
    given: bool
    """Whether users chose `epsilon`."""
    n_categories: int
    """Number of categories of the column, 0 if it is of numbers."""


class Seen(NamedTuple):
    """What a pass has added up: R Fᵀ, or a model's `own` sums; and counts of rows."""

    sums: np.ndarray
    counts: np.ndarray
    own: bool = False


def about_zero(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mask of means (K, …) of a row that components of so many rows take for zero."""
    return np.maximum(counts[:, None], 1.0) * values < LEAST_EXPECTED


class Bounds(NamedTuple):
    """The range of a parameter that data may say nothing of.

    `column` is its place among the free coordinates of a component.
    """

    name: str
    column: int
    least: float
    most: float


class Model(Protocol):
    """A family that has seen the data: what an EM step asks of it.

    Where that is the same for most families, it is here.
    """

    @property
    def n_rows(self) -> int:
        """Rows of features."""

    @property
    def linear(self) -> bool:
        """Whether log-densities are linear in the rows, mostly at least."""
        return True

    @property
    def n_temporary(self) -> int:
        """Arrays as large as those of probabilities that a pass makes, about."""
        return 1

    @property
    def apart(self) -> bool:
        """Whether each component is estimated by itself, whatever the others are."""
        return True

    @property
    def least_points(self) -> int:
        """Rows that it takes to determine a component."""
        return 1

    @property
    def bounds(self) -> Bounds | None:
        """The parameter that may end on a bound, if there is one."""
        return None

    def moved(self, laws: Laws, bound: float) -> Laws:
        """Return laws with that parameter on a bound."""
        return laws

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray | None:
        """Mask of the free coordinates (K, q) of what is zero, or None if nothing is.

        What pseudo-observations keep from zero is not: it is determined by them.
        """
        return None

    def of(self, values: np.ndarray) -> Self:
        """Return the model as it is for values that may be missing."""
        return self

    def as_points(self) -> Self:
        """Return the model that takes values that rows share for points."""
        return self

    def with_widths_of(self, other: Any) -> Self:
        """Return the model that gives shared values the widths that `other` found."""
        return self

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Return the features of values (d, b), shape (n_rows, b)."""

    def base(self, values: np.ndarray) -> np.ndarray:
        """Log-density that does not depend on the parameters, (b,)."""

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Θ (K, n_rows) and constants (K,), or None if logits are not linear."""

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """Log p(x | k) less the base, (K, b)."""

    def sums(self, laws: Laws, rows: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Return what the M-step sees of responsibilities (K, b)."""
        return resp @ rows.T

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """M-step, with the penalty."""
        raise NotImplementedError

    def running(self, seen: Seen, laws: Laws) -> Running:
        """Return the sums of a pass at `laws`, to be added to those of other passes."""
        return seen.sums

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step, with the penalty, of running sums."""
        return self.maximise(Seen(running, counts), previous)

    def renewed(self, running: Running, share: float) -> Self:
        """Return the model with the penalty of what a stream has shown by now.

        Else with so much of the penalty, about the data of its start.
        """
        return self.scaled(share)

    def carried(self, laws: Laws, other: Any) -> Laws:
        """Return laws of the same family's `other` model as those of this one."""
        return laws

    def start(self, rows: np.ndarray, resp: np.ndarray) -> Laws:
        """M-step of labels, without earlier parameters."""
        return self.maximise(Seen(resp @ rows.T, resp.sum(axis=1)), None)

    def penalty(self, laws: Laws) -> float:
        """Return what the objective is below the log-likelihood."""

    def pack(self, laws: Laws, base: Laws, counts: np.ndarray) -> np.ndarray:
        """Coordinates about `base`: the complete data's information is about one."""

    def unpack(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> Laws:
        """Undo `pack`."""

    def far(self, vector: np.ndarray, base: Laws, counts: np.ndarray) -> float:
        """Size of a step, in standard deviations or logarithms."""

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Rows for k-means, (p, b), of about unit variance."""

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw n samples of component k, (d, n)."""

    def filled(self, laws: Laws, values: np.ndarray, resp: np.ndarray) -> np.ndarray:
        """Complete missing values by their conditional means, or likeliest ones."""

    def drawn(
        self,
        laws: Laws,
        values: np.ndarray,
        labels: np.ndarray,
        rng: np.random.RandomState,
    ) -> np.ndarray:
        """Complete missing values by draws from the components of the rows (b,)."""
        found, missing = values.copy(), np.isnan(values)
        for k in np.unique(labels[missing.any(axis=0)]).tolist():
            rows = np.flatnonzero(missing.any(axis=0) & (labels == k))
            own = self.draw(laws, k, len(rows), rng)
            own = self.given(laws, k, values[:, rows], own)
            found[:, rows] = np.where(missing[:, rows], own, values[:, rows])
        return found

    def given(
        self, laws: Laws, k: int, values: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Return draws of a component as they are given values with gaps, (d, b)."""
        return draws

    def n_free(self, n_components: int) -> int:
        """Return the number of free parameters."""

    def outward(self, laws: Laws) -> Laws:
        """Return what users see."""
        return dict(laws)

    def scaled(self, share: float) -> Self:
        """Return the model with so much of the penalty."""
        raise NotImplementedError

    def tells_apart(self, laws: Laws, j: int, k: int) -> bool:
        """Whether two components differ, whatever coordinates say."""
        return False

    def scarce(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Mask of components of fewer rows than it takes to determine them, (K,)."""
        return np.round(counts) < self.least_points

    def ordered(self, laws: Laws, order: np.ndarray) -> Laws:
        """Return the components in another order."""
        return {name: values[order] for name, values in laws.items()}
