"""Positive values: exponential and gamma."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import gammainc, gammaln, xlog1py

from skem.core.gamma import gamma_shape, shape_information
from skem.core.gaussian.coordinates import Coordinates
from skem.families.column import (
    ColumnModel,
    observed,
    typical,
    widths_at,
    widths_of,
)
from skem.families.family import Family, positive
from skem.families.model import Bounds, Laws, Look, Model, Running, Seen

LARGEST_SHAPE = 1e6
SMALLEST_SHAPE = 1e-3
LEAST_MEAN = 1e-200
"""Mean of a component, at least, in units of the data's."""
NEAR_ZERO = 1e-20
"""A scaled value below which the first term of a distribution function is all of it."""


@dataclass(frozen=True)
class PositiveModel(ColumnModel):
    """Rows [mask, x/unit, ...]: sums stay in range whatever units the data have."""

    @cached_property
    def _units(self) -> np.ndarray:
        """Of each row: powers of two, next to the mean for that of x."""
        units = np.ones(self.n_rows)
        mean = max(float(self.pooled[0]), 1e-300)
        units[1] = 2.0 ** np.round(np.log2(mean)) if self.pooled[0] else 1.0
        return units

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, mask · x/unit, ...]."""
        return super().rows(values) / self._units[:, None]

    def _theta(self, laws: Laws) -> np.ndarray:
        return super()._theta(laws) * self._units

    def maximise(self, seen: Seen, previous: Laws | None) -> Laws:
        """(Σ r T + ε T̄) / (n + ε)."""
        units = self._units[1:]
        sums = seen.sums
        total = sums[:, :1] + self.epsilon
        there, pooled = total > 0, self.pooled / units
        means = (sums[:, 1:] + self.epsilon * pooled) / np.where(there, total, 1.0)
        means = np.where(there, means, pooled)
        means[:, 0] = np.maximum(means[:, 0], LEAST_MEAN)
        return self.family.estimate(means * units)

    def running(self, seen: Seen, laws: Laws) -> Running:
        """Return the sums of a pass in units of the data, as those of others are."""
        with np.errstate(over="ignore"):
            return np.nan_to_num(seen.sums * self._units)

    def settled(self, running: Running, counts: np.ndarray, previous: Laws) -> Laws:
        """M-step of running sums."""
        return self.maximise(Seen(running / self._units, counts), previous)


@dataclass(frozen=True)
class GammaModel(PositiveModel):
    """Where rows share values, log x is its mean over the width of these.

    So a component on one value has E log x below log E x, and a shape that is bounded.
    """

    def rows(self, values: np.ndarray) -> np.ndarray:
        """[mask, mask · x/unit, mask · E log x]."""
        rows = super().rows(values)
        if self.widths is not None:
            seen = rows[0] > 0
            rows[2, seen] += lowered(self.widths, values[0, seen])
        return rows


def lowered(widths: Coordinates, x: np.ndarray) -> np.ndarray:
    """Return how far the mean of log x over the width of values is below log x.

    Of x (1 − r) to x (1 + r) it is about −r²/6. No width reaches below zero.
    """
    r = np.minimum(np.sqrt(3) * (widths_at(widths, x) / x), 1.0)
    safe = np.maximum(r, 1e-3)
    found = xlog1py(1 + safe, safe) - xlog1py(1 - safe, -safe)
    return np.where(r < safe, -np.square(r) / 6, found / (2 * safe) - 1)


class Positive(Family):
    """A family of which the first statistic is x itself, and a parameter its mean."""

    _model = PositiveModel


class Exponential(Positive):
    """Waiting times with mean μ: T(x) = x, η = −1/μ, A = log μ."""

    name = "exponential"
    positive_parameters = ("mean",)

    def check(self, x: np.ndarray) -> None:
        """Require values from 0."""
        if (x < 0).any():
            raise ValueError("has negative values")

    def statistics(self, x: np.ndarray) -> np.ndarray:
        """Return x."""
        return x[None]

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """−1/μ and log μ."""
        return -1 / laws["mean"][:, None], np.log(laws["mean"])

    def estimate(self, means: np.ndarray) -> Laws:
        """μ is the mean."""
        return {"mean": np.maximum(means[:, 0], 1e-300)}

    def to_free(self, laws: Laws) -> np.ndarray:
        """Log μ."""
        return np.log(laws["mean"])[:, None]

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        return {"mean": np.exp(np.clip(free[:, 0], -690, 690))}

    def information(self, laws: Laws) -> np.ndarray:
        """Return 1, about log μ."""
        return np.ones((len(laws["mean"]), 1))

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Take the cube root, which is about symmetric (Wilson & Hilferty)."""
        return np.cbrt(x)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """1 − exp(−x/μ)."""
        with np.errstate(over="ignore"):
            return -np.expm1(-np.maximum(x, 0.0) / laws["mean"][:, None])

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from it."""
        return rng.exponential(laws["mean"][k], n)

    def expected(self, laws: Laws) -> np.ndarray:
        """μ."""
        return laws["mean"]


class Gamma(Positive):
    """Shape a and mean μ: T(x) = [x, log x], η = [−a/μ, a], h = −log x."""

    name = "gamma"
    positive_parameters = ("shape", "mean")
    bounds = Bounds("shape", 0, SMALLEST_SHAPE, LARGEST_SHAPE)
    _model = GammaModel

    def check(self, x: np.ndarray) -> None:
        """Require positive values."""
        positive(x)

    def look(self, look: Look) -> Model:
        """Return the model, with the widths of values that rows share."""
        found, widths = super().look(look), widths_of(look)
        assert isinstance(found, GammaModel)
        if widths is None:
            return found
        x, v = observed(look)
        kept = typical(v, x, self.embed(x))
        less = np.average(lowered(widths, x[kept]), weights=v[kept])
        return replace(found, widths=widths, pooled=found.pooled + np.array([0, less]))

    def statistics(self, x: np.ndarray) -> np.ndarray:
        """[x, log x]."""
        return np.stack([x, np.log(x)])

    def log_base(self, x: np.ndarray) -> np.ndarray:
        """−log x."""
        return -np.log(x)

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """[−a/μ, a] and log Γ(a) − a log(a/μ)."""
        a, mean = laws["shape"], laws["mean"]
        norm = gammaln(a) - a * np.log(a / mean)
        return np.column_stack([-a / mean, a]), norm

    def estimate(self, means: np.ndarray) -> Laws:
        """μ is the mean, and log a − ψ(a) = log E x − E log x."""
        mean = np.maximum(means[:, 0], 1e-300)
        gap = np.log(mean) - means[:, 1]
        return {"shape": gamma_shape(gap, SMALLEST_SHAPE, LARGEST_SHAPE), "mean": mean}

    def to_free(self, laws: Laws) -> np.ndarray:
        """[log a, log μ], which are orthogonal."""
        return np.log(np.column_stack([laws["shape"], laws["mean"]]))

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        low, high = np.log(SMALLEST_SHAPE), np.log(LARGEST_SHAPE)
        shape = np.exp(np.clip(free[:, 0], low, high))
        return {"shape": shape, "mean": np.exp(np.clip(free[:, 1], -690, 690))}

    def information(self, laws: Laws) -> np.ndarray:
        """[a² ψ′(a) − a, a]."""
        a = laws["shape"]
        return np.column_stack([shape_information(a), a])

    def embed(self, x: np.ndarray) -> np.ndarray:
        """Logarithms."""
        return np.log(x)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return the regularised incomplete gamma function."""
        a, mean = laws["shape"][:, None], laws["mean"][:, None]
        x = np.maximum(x, 0.0)
        with np.errstate(over="ignore", divide="ignore"):
            z, log_z = x / mean * a, np.log(x) - np.log(mean) + np.log(a)
        # z^a/Γ(a + 1) near zero, where z itself may be too small to be a number.
        near = np.exp(np.minimum(a * log_z - gammaln(a + 1), 0.0))
        return np.where(z < NEAR_ZERO, near, gammainc(a, z))

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw from it."""
        a, mean = laws["shape"][k], laws["mean"][k]
        # A small shape draws values that underflow.
        return np.maximum(rng.gamma(a, mean / a, n), 1e-300)

    def expected(self, laws: Laws) -> np.ndarray:
        """μ."""
        return laws["mean"]
