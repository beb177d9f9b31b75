"""Zeros beside positive values: amounts and counts of which many are nothing.

With probability π a value is zero, and else it is of a family of positive values
(Cragg, 1971; Mullahy, 1986):

    log p(x) = [x = 0] log π + [x > 0] (log(1 − π) + log f(x)).

So what the family of f sees is the column with gaps in place of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import expit

from skem.core.gaussian.degeneracy import ONE_SPOT
from skem.families.column import ColumnModel, OneColumn, observed
from skem.families.counts import PositivePoisson
from skem.families.family import Family, Kind
from skem.families.logarithms import Logarithmic
from skem.families.model import Laws, Look, Model, Running, Seen, about_zero
from skem.families.positive import Gamma

ZERO = "zero_probability"
LEAST_PROBABILITY = 2.0**-53
"""Of either a zero or another value."""


def without_zeros(values: np.ndarray) -> np.ndarray:
    """Return values with gaps in place of zeros."""
    return np.where(values == 0, np.nan, values)


class Hurdle(Kind):
    """Zero with a probability, and else a value of a family of positive ones.

    Attributes
    ----------
    rest : Family
        The family of values that are not zero.
    """

    rest: ClassVar[Family]
    probabilities = (ZERO,)

    def check(self, x: np.ndarray) -> None:
        """Require zeros, and values that the other family takes."""
        if (x < 0).any():
            raise ValueError("has negative values")
        self.rest.check(x[x > 0])

    def look(self, look: Look) -> Model:
        """Return the model: ε pseudo-observations of zeros and others together."""
        x, v = observed(look)
        share = float(v[x > 0].sum() / v.sum())
        others = replace(
            look, values=without_zeros(look.values), epsilon=share * look.epsilon
        )
        if share == 0:
            others = replace(others, values=np.ones((1, 1)), weight=np.ones(1))
        inner = self.rest.look(others)
        assert isinstance(inner, ColumnModel)
        return HurdleModel(self, inner, share, look.epsilon)

    def to_free(self, laws: Laws) -> np.ndarray:
        """Log (1 − π)/π, and those of the other family."""
        zero = laws[ZERO]
        logit = np.log1p(-zero) - np.log(zero)
        return np.column_stack([logit, self.rest.to_free(laws)])

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        zero = bounded(expit(-free[:, 0]))
        return {ZERO: zero, **self.rest.from_free(free[:, 1:])}

    def information(self, laws: Laws) -> np.ndarray:
        """π (1 − π), and those of the other family in the share of 1 − π."""
        some = 1 - laws[ZERO]
        inner = self.rest.information(laws)
        return np.column_stack([laws[ZERO] * some, some[:, None] * inner])

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """π of zero, and (1 − π) F(x) of what is above it."""
        zero = laws[ZERO][:, None]
        return np.where(x < 0, 0.0, zero + (1 - zero) * self.rest.cdf(laws, x))

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw whether values are zero, and those that are not."""
        drawn = np.zeros(n)
        some = rng.uniform(size=n) >= laws[ZERO][k]
        drawn[some] = self.rest.draw(laws, k, int(some.sum()), rng)
        return drawn

    def expected(self, laws: Laws) -> np.ndarray:
        """(1 − π) times the mean of positive values."""
        return (1 - laws[ZERO]) * self.rest.expected(laws)


def bounded(zero: np.ndarray) -> np.ndarray:
    """Return probabilities that are neither zero nor one."""
    return np.clip(zero, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)


@dataclass(frozen=True)
class HurdleModel(OneColumn):
    """Rows [mask, those of positive values], which are a `share` of the pooled data."""

    family: Hurdle
    inner: ColumnModel
    share: float
    epsilon: float

    @property
    def n_rows(self) -> int:
        """One more."""
        return 1 + self.inner.n_rows

    @property
    def least_points(self) -> int:
        """One more."""
        return 1 + self.inner.least_points

    def of(self, values: np.ndarray) -> HurdleModel:
        """Return the model in the form that is exact for the values."""
        return replace(self, inner=self.inner.of(without_zeros(values)))

    def as_points(self) -> HurdleModel:
        """Return the model that takes positive values that rows share for points."""
        inner = self.inner.as_points()
        return self if inner is self.inner else replace(self, inner=inner)

    def with_widths_of(self, other: HurdleModel) -> HurdleModel:
        """Return the model that gives shared values the widths that `other` found."""
        return replace(self, inner=self.inner.with_widths_of(other.inner))

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, [x > 0], [x > 0] T, ...]."""
        return np.vstack([~np.isnan(values), self.inner.rows(without_zeros(values))])

    def base(self, values: np.ndarray) -> np.ndarray:
        """h(x) of positive values."""
        return self.inner.base(without_zeros(values))

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """[log π, log(1 − π)/π − A, η], or None if the other family has none."""
        found = self.inner.coefficients(laws)
        if found is None:
            return None
        theta = np.column_stack([np.log(laws[ZERO]), found[0]])
        theta[:, 1] += np.log1p(-laws[ZERO]) - theta[:, 0]
        return theta, found[1]

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """[x = 0] log π + [x > 0] (log(1 − π) + log f)."""
        mask, some = rows[:2]
        zero = laws[ZERO][:, None]
        own = (mask - some) * np.log(zero) + some * np.log1p(-zero)
        return own + self.inner.logits(laws, rows[1:])

    def _of_others(self, seen: Seen) -> Seen:
        return Seen(seen.sums[:, 1:], seen.sums[:, 1])

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """1 − π is (n₊ + ε p̄) / (n + ε)."""
        inner = self.inner.maximise(self._of_others(seen), previous)
        return {ZERO: self._zero(seen.sums), **inner}

    def _zero(self, sums: np.ndarray) -> np.ndarray:
        """Return π of sums of all and of those that are not zero."""
        n, some = sums[:, :2].T
        total = n + self.epsilon
        safe = np.where(total > 0, total, 1.0)
        share = np.where(
            total > 0, (some + self.epsilon * self.share) / safe, self.share
        )
        return bounded(1 - share)

    def running(self, seen: Seen, laws: Laws) -> Running:
        """Beside those of the other family."""
        inner = self.inner.running(self._of_others(seen), laws)
        return np.column_stack([seen.sums[:, 0], inner])

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step of running sums."""
        inner = self.inner.settled(running[:, 1:], running[:, 1], previous)
        return {ZERO: self._zero(running), **inner}

    def renewed(self, running: Running, share: float) -> HurdleModel:
        """Return the model with the pooled share of all that a stream has shown."""
        n, some = running[:, :2].sum(axis=0)
        own = self.scaled(share)
        pooled = float(some / n) if n > 0 else self.share
        inner = self.inner.renewed(running[:, 1:], share)
        epsilon = own.epsilon * pooled
        return replace(own, share=pooled, inner=replace(inner, epsilon=epsilon))

    def scaled(self, share: float) -> HurdleModel:
        """Return the model with so much of the penalty."""
        return replace(
            self, epsilon=self.epsilon * share, inner=self.inner.scaled(share)
        )

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Probabilities of about zero or one, and what no positive value tells of."""
        zero = laws[ZERO]
        some = counts * (1 - zero)
        none = about_zero(1 - zero[:, None], counts)
        all_of_them = about_zero(zero[:, None], counts)
        inner = self.inner.on_border(laws, some)
        # Pseudo-observations say how rare positive values are, not what they are.
        own = np.repeat(none, self.inner.least_points, axis=1)
        if inner is not None:
            own |= inner
        none &= self.epsilon * self.share == 0
        all_of_them &= self.epsilon * (1 - self.share) == 0
        return np.hstack([none | all_of_them, own])

    @property
    def pooled(self) -> np.ndarray:
        """Shares of zeros and of others in the pooled data."""
        return np.array([1 - self.share, self.share])

    def tells_apart(self, laws: Laws, j: int, k: int) -> bool:
        """Whether probabilities of zero do, near zero or one as well."""
        p = np.stack([laws[ZERO], 1 - laws[ZERO]])
        return bool(np.abs(np.sqrt(p[:, j]) - np.sqrt(p[:, k])).max() > ONE_SPOT)

    def penalty(self, laws: Laws) -> float:
        """ε Σ_k of the divergence of the pooled shares from those of components."""
        pairs = zip(self.pooled, (laws[ZERO], 1 - laws[ZERO]), strict=True)
        own = sum(a * np.log(a / b).sum() for a, b in pairs if a > 0)
        return self.epsilon * float(own) + self.inner.penalty(laws)

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Whether values are positive, standardised, and what they are if so."""
        some, spread = values > 0, np.sqrt(self.share * (1 - self.share)) or 1.0
        row = np.where(np.isnan(values), 0.0, (some - self.share) / spread)
        return np.vstack([row, self.inner.embed(without_zeros(values))])


class HurdleLogNormal(Hurdle):
    """Zero, or a positive amount: parameters of logarithms, as of 'lognormal'."""

    name = "hurdle_lognormal"
    rest = Logarithmic()
    positive_parameters = Logarithmic.positive_parameters
    logarithms = Logarithmic.logarithms


class HurdleGamma(Hurdle):
    """Zero, or a positive amount: shape and mean of these, as of 'gamma'."""

    name = "hurdle_gamma"
    rest = Gamma()
    positive_parameters = Gamma.positive_parameters
    bounds = Gamma.bounds._replace(column=Gamma.bounds.column + 1)


class HurdlePoisson(Hurdle):
    """Zero, or a count of Poisson's given that it is positive, of some rate."""

    name = "hurdle_poisson"
    rest = PositivePoisson()
    positive_parameters = PositivePoisson.positive_parameters
    discrete = True
