"""Counts: Poisson, and Poisson given that they are positive."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import pdtr, pdtrc, xlogy

from skem.families.column import ColumnModel
from skem.families.family import LARGEST_COUNT, Family, whole_numbers
from skem.families.model import Laws, about_zero
from skem.families.saddle_point import deviance, stirling

LEAST_RATE = 1e-300
SMALL_RATE = 1e-3
"""A rate up to which the mean of positive counts is a series."""
NEWTON_STEPS = 50
LARGE_COUNT = 2.0**20
"""A count from which on x log λ − λ − log x! has lost more than eight decimals."""


@dataclass(frozen=True)
class PoissonModel(ColumnModel):
    """Rows [mask, x]. Log-densities of large counts are −deviance(x, λ) − stirling(x).

    For them x log λ and λ are the same in all digits that a float has.
    """

    large: bool = False

    def of(self, values: np.ndarray) -> PoissonModel:
        """Return the model in the form that is exact for the values."""
        return replace(self, large=bool(np.nanmax(values, initial=0.0) > LARGE_COUNT))

    def base(self, values: np.ndarray) -> np.ndarray:
        """−log x!, or what of it the deviance leaves."""
        if not self.large:
            return super().base(values)
        return -stirling(np.nan_to_num(values[0]))

    def coefficients(self, laws: Laws) -> tuple[np.ndarray, np.ndarray] | None:
        """Return [−λ, log λ], or None for large counts."""
        return None if self.large else super().coefficients(laws)

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """X log λ − λ, or for large counts the deviance."""
        if not self.large:
            return super().logits(laws, rows)
        mask, x = rows
        return -mask * deviance(x, laws["rate"][:, None])

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Rates of about zero."""
        return (self.epsilon == 0) & about_zero(laws["rate"][:, None], counts)

    def penalty(self, laws: Laws) -> float:
        """ε Σ_k deviance(x̄, λ_k)."""
        return float(self.epsilon * deviance(self.pooled, laws["rate"]).sum())


class Poisson(Family):
    """Counts with rate λ: T(x) = x, η = log λ, A = λ."""

    name = "poisson"
    positive_parameters = ("rate",)
    discrete = True
    _model = PoissonModel

    def check(self, x: np.ndarray) -> None:
        """Require whole numbers from 0."""
        whole_numbers(x)

    def statistics(self, x: np.ndarray) -> np.ndarray:
        """Return x."""
        return x[None]

    def log_base(self, x: np.ndarray) -> np.ndarray:
        """−log x!."""
        return x - xlogy(x, x) - stirling(x)

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """Log λ and λ."""
        return np.log(laws["rate"])[:, None], laws["rate"]

    def estimate(self, means: np.ndarray) -> Laws:
        """λ is the mean."""
        return {"rate": np.maximum(means[:, 0], LEAST_RATE)}

    def to_free(self, laws: Laws) -> np.ndarray:
        """Log λ."""
        return np.log(laws["rate"])[:, None]

    def from_free(self, free: np.ndarray) -> Laws:
        """Undo `to_free`."""
        return {"rate": np.exp(np.clip(free[:, 0], -690, 690))}

    def information(self, laws: Laws) -> np.ndarray:
        """λ, about log λ."""
        return laws["rate"][:, None]

    def embed(self, x: np.ndarray) -> np.ndarray:
        """2√x has a variance of about one, whatever λ (Anscombe)."""
        return 2 * np.sqrt(x + 0.375)

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return that of counts up to x."""
        return np.where(x < 0, 0.0, pdtr(np.maximum(x, 0.0), laws["rate"][:, None]))

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw counts, none larger than columns may have."""
        rate = min(float(laws["rate"][k]), 1e17)
        return np.minimum(rng.poisson(rate, n), LARGEST_COUNT)

    def expected(self, laws: Laws) -> np.ndarray:
        """λ."""
        return laws["rate"]


class PositivePoissonModel(PoissonModel):
    """Rows [mask, x]: the log-densities of counts, less log(1 − exp(−λ))."""

    def logits(self, laws: Laws, rows: np.ndarray) -> np.ndarray:
        """As those of Poisson's, given that counts are positive."""
        if not self.large:
            return super().logits(laws, rows)
        some = np.log(-np.expm1(-laws["rate"]))[:, None]
        return super().logits(laws, rows) - some * rows[0]

    def on_border(self, laws: Laws, counts: np.ndarray) -> np.ndarray:
        """Rates of about zero: all positive counts are one."""
        return about_zero(laws["rate"][:, None], counts)

    def penalty(self, laws: Laws) -> float:
        """As that of any exponential family."""
        return ColumnModel.penalty(self, laws)


class PositivePoisson(Poisson):
    """Poisson counts given that they are positive: A = log(exp λ − 1)."""

    name = "positive_poisson"
    _model = PositivePoissonModel

    def natural(self, laws: Laws) -> tuple[np.ndarray, np.ndarray]:
        """Log λ, and λ + log(1 − exp(−λ))."""
        rate = laws["rate"]
        return np.log(rate)[:, None], rate + np.log(-np.expm1(-rate))

    def estimate(self, means: np.ndarray) -> Laws:
        """Solve λ/(1 − exp(−λ)) = x̄.

        That is convex, and at least 1 + λ/2 and λ: Newton's steps from there go down.
        """
        mean = np.maximum(means[:, 0], 1.0)
        rate = np.maximum(np.minimum(2 * (mean - 1), mean), LEAST_RATE)
        for _ in range(NEWTON_STEPS):
            value, slope = _mean_of_positive(rate)
            last, rate = rate, np.maximum(rate - (value - mean) / slope, LEAST_RATE)
            if np.allclose(last, rate, rtol=1e-14, atol=0):
                break
        return {"rate": rate}

    def information(self, laws: Laws) -> np.ndarray:
        """Variance of positive counts, about log λ."""
        slope = _mean_of_positive(laws["rate"])[1]
        return (laws["rate"] * slope)[:, None]

    def cdf(self, laws: Laws, x: np.ndarray) -> np.ndarray:
        """Return that of positive counts up to x."""
        rate = laws["rate"][:, None]
        above = pdtrc(np.maximum(x, 0.0), rate) / -np.expm1(-rate)
        return np.where(x < 1, 0.0, 1 - above)

    def draw(
        self, laws: Laws, k: int, n: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draw when the first event is, and how many are after it."""
        rate = float(laws["rate"][k])
        first = -np.log1p(rng.uniform(size=n) * np.expm1(-rate))
        later = np.minimum(np.maximum(rate - first, 0.0), 1e17)
        return np.minimum(1 + rng.poisson(later), LARGEST_COUNT)

    def expected(self, laws: Laws) -> np.ndarray:
        """λ/(1 − exp(−λ))."""
        return _mean_of_positive(laws["rate"])[0]


def _mean_of_positive(rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return λ/(1 − exp(−λ)), and its slope."""
    small = rate < SMALL_RATE
    safe = np.where(small, 1.0, rate)
    some = -np.expm1(-safe)
    mean = np.where(small, 1 + rate / 2 + rate**2 / 12, safe / some)
    slope = (some - safe * np.exp(-safe)) / some**2
    return mean, np.where(small, 0.5 + rate / 6 - rate**3 / 180, slope)
